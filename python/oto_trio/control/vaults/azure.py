"""Secrets of an Azure Key Vault: ``${vault://az/SECRET/VERSION}``; without a version the newest.

Source: Azure Key Vault REST API, Get Secret; RFC 6749 section 4.4 for the token.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import msgspec

from oto_trio.control.vaults.access_tokens import AccessTokens, token_of
from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AzureProvider", "AzureSettings"]

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)

_KINDS: Final[Mapping[str, str]] = {
    "privkey": "PRIVATE KEY",
    "pubkey": "PUBLIC KEY",
    "certificate": "CERTIFICATE",
}
"""What a part of a secret in PEM is called in ``azure_secret_kind``, and how its label ends."""


class AzureSettings(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"api_version": "api-version"},
):
    """An instance of type ``azure``, as the settings have it: a token, or what gets one.

    ``login`` is where tokens come from; only clouds of their own have another one.
    """

    url: str = "https://myvault.vault.azure.net"
    api_version: str = "7.2"
    token: str | None = None
    tenant: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    login: str = "https://login.microsoftonline.com"

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ValueError: An address is none, or there is neither a token nor all that gets one.
        """
        check_url(self.url)
        check_url(self.login, "login")
        if self.token is None and None in {self.tenant, self.client_id, self.client_secret}:
            raise ValueError("give token, or tenant, client_id and client_secret")


class AzureProvider:
    """Asks a key vault.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: AzureSettings) -> None:
        self._settings = settings
        self._caller = Caller()
        self._tokens = AccessTokens(self._fetch_token)

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a secret; see `SecretProvider.read`.

        Options: ``azure_secret_kind`` (``privkey``, ``pubkey`` or ``certificate``) takes that part of a
        secret in PEM, ``azure_secret_base_64=true`` decodes it before.
        """
        if len(path) not in {1, 2}:
            raise SecretError("bad-secret-path", "name a secret, and perhaps a version of it")
        settings = self._settings
        address = "/".join(quote(part, safe="") for part in path)
        token = settings.token or await self._tokens.get()
        answer = await self._caller.call(
            f"{settings.url.rstrip('/')}/secrets/{address}",
            headers={"Authorization": f"Bearer {token}"},
            params={"api-version": settings.api_version},
        )
        value = at_pointer(answer.json(), ("value",))
        if options.get("azure_secret_base_64") == "true":
            try:
                value = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                raise SecretError("secret-read-error", "it is no text in base64") from None
        kind = options.get("azure_secret_kind")
        return value if kind is None else _part(value, kind)

    async def _fetch_token(self) -> tuple[str, float]:
        """Get a token for the client of the settings."""
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
            "scope": "https://vault.azure.net/.default",
        }
        answer = await self._caller.call(
            f"{settings.login.rstrip('/')}/{quote(settings.tenant or '', safe='')}/oauth2/v2.0/token",
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        return token_of(answer)


def _part(value: str, kind: str) -> str:
    """Return the parts of a kind of a text in PEM.

    Raises:
        SecretError: There is no such kind, or none of them.
    """
    label = _KINDS.get(kind)
    if label is None:
        known = ", ".join(_KINDS)
        raise SecretError("bad-secret-path", f"azure_secret_kind must be one of {known}")
    parts = [match[0] for match in _BLOCK.finditer(value) if match[1].endswith(label)]
    if not parts:
        raise SecretError("secret-value-not-found", f"the secret has no {label} in PEM")
    return "".join(parts)
