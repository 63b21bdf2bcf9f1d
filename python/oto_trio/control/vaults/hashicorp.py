"""Secrets of HashiCorp Vault, key/value engine of version 1 or 2, over its HTTP API.

``${vault://corp/apps/db/password}`` reads the key ``password`` of the secret ``apps/db``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import msgspec

from oto_trio.control.vaults.base import SecretError, spelled
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HashicorpProvider", "HashicorpSettings"]


class HashicorpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``hashicorp-vault``, as the settings have it."""

    url: str = "http://127.0.0.1:8200"
    mount: str = "secret"
    kv: Literal["v1", "v2"] = "v2"
    token: str = "root"  # noqa: S105 (Otoroshi's default, that of Vault's development server)

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is no http or https URL.
        """
        check_url(self.url)


class HashicorpProvider:
    """Asks a Vault server.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: HashicorpSettings) -> None:
        self._settings = settings
        mount = "/".join(quote(part, safe="") for part in settings.mount.split("/") if part)
        self._base = f"{settings.url.rstrip('/')}/v1/{mount}/"
        if settings.kv == "v2":
            self._base += "data/"
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one key of a secret; see `SecretProvider.read`.

        Options: sent on, such as ``version=2``.
        """
        if len(path) < 2:
            raise SecretError("bad-secret-path", "name a secret, and a key of it, after the vault")
        address = self._base + "/".join(quote(part, safe="") for part in path[:-1])
        headers = {"X-Vault-Token": self._settings.token}
        answer = await self._caller.call(address, headers=headers, params=options)
        document = answer.json()
        for _ in range(2 if self._settings.kv == "v2" else 1):
            document = _member(document, "data")
        value = _member(document, path[-1])
        if value is None:
            raise SecretError("secret-value-not-found", "the secret has no such key")
        return spelled(value)


def _member(document: object, name: str) -> object:
    return cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
