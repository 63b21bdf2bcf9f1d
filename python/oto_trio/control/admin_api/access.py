"""How requests to the admin API show an API key, and the state header that every answer repeats."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["StateEcho", "given_key"]

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def _basic(value: str | None) -> tuple[str, str] | None:
    """Read ``Basic <base64 of id:secret>``: standard or URL-safe alphabet, padded or not.

    otoroshictl sends the standard alphabet without padding.
    """
    scheme, _, encoded = (value or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        raw = encoded.strip().encode("ascii").rstrip(b"=").translate(_URL_SAFE)
        text = b64decode(raw + b"=" * (-len(raw) % 4), validate=True).decode()
    except (UnicodeError, binascii.Error):
        return None
    client_id, colon, secret = text.partition(":")
    return (client_id, secret) if colon else None


def given_key(headers: Headers) -> tuple[str, str] | None:
    """Find the API key of a request: (client id, secret), or None when there is none to be read."""
    client_id = headers.get("otoroshi-client-id")
    secret = headers.get("otoroshi-client-secret")
    if client_id is not None and secret is not None:
        return client_id, secret
    return _basic(headers.get("otoroshi-authorization")) or _basic(headers.get("authorization"))


class StateEcho:
    """ASGI middleware: answers the ``Otoroshi-State`` header in ``Otoroshi-State-Resp``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add the header to the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = Headers(scope=scope).get("otoroshi-state") or "--"

        async def send_with_state(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Otoroshi-State-Resp"] = state
            await send(message)

        await self._app(scope, receive, send_with_state)
