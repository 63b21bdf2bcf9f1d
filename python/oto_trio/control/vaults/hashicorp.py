"""Secrets of HashiCorp Vault, key/value engine of version 1 or 2, over its HTTP API.

``${vault://corp/apps/db/password}`` reads the key ``password`` of the secret ``apps/db``. Otoroshi takes a token
only; the login of an AppRole and namespaces are ours, named as in Vault's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

import msgspec

from oto_trio.control.vaults.base import SecretError, spelled
from oto_trio.control.vaults.calls import Caller, check_url
from oto_trio.control.vaults.hashicorp_tokens import AppRole, VaultTokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.vaults.calls import Answer

__all__ = ["HashicorpProvider", "HashicorpSettings"]


class HashicorpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``hashicorp-vault``, as the settings have it: a token, or the AppRole that gets one.

    ``auth_mount`` is where that login is mounted. Without either the token is ``root``, Otoroshi's default, that
    of Vault's development server.
    """

    url: str = "http://127.0.0.1:8200"
    mount: str = "secret"
    kv: Literal["v1", "v2"] = "v2"
    token: str | None = None
    role_id: str | None = None
    secret_id: str | None = None
    auth_mount: str = "approle"
    namespace: str | None = None

    def __post_init__(self) -> None:
        """Check the address, and what belongs together.

        Raises:
            ValueError: The address is no http or https URL, there are a token and a role or half a role, or no
                header can hold the namespace.
        """
        check_url(self.url)
        if self.token is not None and self.role_id is not None:
            raise ValueError("give token, or role_id and secret_id, not both")
        if self.role_id is None and self.secret_id is not None:
            raise ValueError("secret_id needs role_id")
        if self.role_id == "" or self.secret_id == "":
            raise ValueError("role_id and secret_id must not be empty")
        if not self.auth_mount.strip("/"):
            raise ValueError("auth_mount must not be empty")
        if self.namespace is not None and not (
            self.namespace.isascii() and self.namespace.isprintable()
        ):
            raise ValueError("namespace must be printable ASCII")


class HashicorpProvider:
    """Asks a Vault server.

    Args:
        settings: Its settings.
        caller: Makes the calls; one of its own without.
    """

    is_near = False

    def __init__(self, settings: HashicorpSettings, caller: Caller | None = None) -> None:
        self._settings = settings
        self._base = f"{settings.url.rstrip('/')}/v1/{_escaped(settings.mount)}/"
        if settings.kv == "v2":
            self._base += "data/"
        self._caller = caller or Caller()
        self._headers: dict[str, str] = {}
        if settings.namespace:
            self._headers["X-Vault-Namespace"] = settings.namespace
        given: str | AppRole = "root" if settings.token is None else settings.token
        if settings.role_id is not None:
            path = f"auth/{_escaped(settings.auth_mount)}/login"
            given = AppRole(settings.role_id, settings.secret_id, path)
        self._tokens = VaultTokens(self._caller, settings.url, self._headers, given)

    async def keep(self) -> None:
        """Renew the token before its lease ends; see `KeptProvider.keep`."""
        await self._tokens.run()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one key of a secret; see `SecretProvider.read`.

        Options: sent on, such as ``version=2``.
        """
        if len(path) < 2:
            raise SecretError("bad-secret-path", "name a secret, and a key of it, after the vault")
        address = self._base + "/".join(quote(part, safe="") for part in path[:-1])
        token = await self._tokens.get()
        answer = await self._get(address, token, options)
        if answer.status == 403 and await self._tokens.is_replaced(token):
            answer = await self._get(address, await self._tokens.get(), options)
        document = answer.json()
        for _ in range(2 if self._settings.kv == "v2" else 1):
            document = _member(document, "data")
        value = _member(document, path[-1])
        if value is None:
            raise SecretError("secret-value-not-found", "the secret has no such key")
        return spelled(value)

    async def _get(self, address: str, token: str, options: Mapping[str, str]) -> Answer:
        headers = {**self._headers, "X-Vault-Token": token}
        return await self._caller.call(address, headers=headers, params=options)


def _member(document: object, name: str) -> object:
    return cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None


def _escaped(path: str) -> str:
    return "/".join(quote(part, safe="") for part in path.split("/") if part)
