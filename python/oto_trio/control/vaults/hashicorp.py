"""Secrets of HashiCorp Vault, key/value engine of version 1 or 2, over its HTTP API.

``${vault://corp/apps/db/password}`` reads the key ``password`` of the secret ``apps/db``.
"""

from __future__ import annotations

import importlib
import ssl
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from urllib.parse import quote, urlsplit

import msgspec
import trio

from oto_trio.control.vaults.base import SecretError, spelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MAX_BODY_BYTES", "HashicorpProvider", "HashicorpSettings"]

MAX_BODY_BYTES: Final = 1024 * 1024
"""Longest answer that is read."""


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
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url must be an http or https URL")


class HashicorpProvider:
    """Asks a Vault server. Nothing is taken from the environment but the authorities that OpenSSL trusts.

    Redirects are not followed: the token is for this address.

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
        self._tls: ssl.SSLContext | None = None

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one key of a secret; see `SecretProvider.read`.

        Options: sent on, such as ``version=2``.
        """
        if len(path) < 2:
            raise SecretError("bad-secret-path", "name a secret, and a key of it, after the vault")
        status, body = await self._get("/".join(quote(p, safe="") for p in path[:-1]), options)
        if status != 200:
            raise _refusal(status)
        try:
            document: object = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise SecretError("secret-read-error", "the answer is no JSON") from None
        for _ in range(2 if self._settings.kv == "v2" else 1):
            document = _member(document, "data")
        value = _member(document, path[-1])
        if value is None:
            raise SecretError("secret-value-not-found", "the secret has no such key")
        return spelled(value)

    async def _get(self, path: str, options: Mapping[str, str]) -> tuple[int, bytes]:
        """Make one call and read its answer.

        Raises:
            SecretError: There is none.
        """
        # Slow to import, and most gateways have no such vault.
        httpx: Any = await trio.to_thread.run_sync(importlib.import_module, "httpx")
        if self._tls is None:
            self._tls = await trio.to_thread.run_sync(ssl.create_default_context)
        # Uncompressed: a bomb could otherwise be longer than its bound before it is noticed.
        headers = {"X-Vault-Token": self._settings.token, "Accept-Encoding": "identity"}
        body, is_longer = bytearray(), False
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._tls, trust_env=False, follow_redirects=False, timeout=None
                ) as client,
                client.stream(
                    "GET", self._base + path, params=dict(options), headers=headers
                ) as response,
            ):
                # Who leaves the loop leaves generators inside of httpx unclosed; cancelling ends them.
                with trio.CancelScope() as reading:
                    async for chunk in response.aiter_raw():
                        if len(body) + len(chunk) > MAX_BODY_BYTES:
                            is_longer = True
                            reading.cancel()
                        else:
                            body += chunk
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            # Its text may repeat what was sent.
            reason = f"the call failed ({type(error).__name__})"
            raise SecretError("secret-read-error", reason, is_down=True) from None
        if is_longer:
            raise SecretError("secret-read-error", f"the answer is over {MAX_BODY_BYTES} bytes")
        return response.status_code, bytes(body)


def _refusal(status: int) -> SecretError:
    """Say what an answer that is none means. Source: the status codes of Vault's HTTP API."""
    match status:
        case 404:
            return SecretError("secret-not-found", "there is no such secret")
        case 401:
            return SecretError("secret-read-not-authorized", "the token is refused")
        case 403:
            return SecretError("secret-read-forbidden", "the token is refused, or lacks the right")
        case _:
            is_down = status >= 500 or status == 429
            return SecretError("secret-read-error", f"it answers {status}", is_down=is_down)


def _member(document: object, name: str) -> object:
    return cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
