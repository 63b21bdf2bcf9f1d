"""Calls that providers make over HTTP: bounded, without redirects, and silent about what they carry."""

from __future__ import annotations

import importlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec
import trio

from oto_trio.control.vaults.base import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_BODY_BYTES", "Answer", "Caller", "check_url", "refusal"]

MAX_BODY_BYTES: Final = 1024 * 1024
"""Longest answer that is read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: Its status.
        body: Its body, `MAX_BODY_BYTES` long at most.
    """

    status: int
    body: bytes

    def json(self) -> object:
        """Return the body of a 200, decoded.

        Raises:
            SecretError: It is another status, or no JSON.
        """
        if self.status != 200:
            raise refusal(self.status)
        try:
            document: object = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise SecretError("secret-read-error", "the answer is no JSON") from None
        return document


class Caller:
    """Calls a server. Nothing is taken from the environment but the authorities that OpenSSL trusts.

    Redirects are not followed: what is sent along is for this address.

    Args:
        authority: An authority to trust instead, in PEM.
    """

    def __init__(self, authority: str | None = None) -> None:
        self._authority = authority
        self._tls: ssl.SSLContext | None = None

    async def call(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """Make one call and read its answer.

        Raises:
            SecretError: There is none.

        Cancellation: ends the call.
        """
        # Slow to import, and most gateways have no such vault.
        httpx: Any = await trio.to_thread.run_sync(importlib.import_module, "httpx")
        # Uncompressed: a bomb could otherwise be longer than its bound before it is noticed.
        sent = {**(headers or {}), "Accept-Encoding": "identity"}
        body, is_longer = bytearray(), False
        try:
            if self._tls is None:
                self._tls = await trio.to_thread.run_sync(_context, self._authority)
            async with (
                httpx.AsyncClient(
                    verify=self._tls, trust_env=False, follow_redirects=False, timeout=None
                ) as client,
                client.stream(
                    method, url, params=params or None, headers=sent, content=content
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
        return Answer(response.status_code, bytes(body))


def _context(authority: str | None) -> ssl.SSLContext:
    """Return what TLS connections trust.

    Raises:
        ssl.SSLError: The authority is no certificate.
    """
    return ssl.create_default_context(cadata=authority)


def refusal(status: int) -> SecretError:
    """Say what an answer that is none means."""
    match status:
        case 404:
            return SecretError("secret-not-found", "there is no such secret")
        case 401:
            return SecretError("secret-read-not-authorized", "the credentials are refused")
        case 403:
            reason = "the credentials are refused, or lack the right"
            return SecretError("secret-read-forbidden", reason)
        case _:
            is_down = status >= 500 or status == 429
            return SecretError("secret-read-error", f"it answers {status}", is_down=is_down)


def check_url(url: str, name: str = "url") -> None:
    """Check an address of the settings.

    Raises:
        ValueError: It is no http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{name} must be an http or https URL")
