"""Who may use the admin API: the API key of each request, checked before anything else is looked at."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from oto_trio.control.admin_api.refusals import gateway_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from oto_trio.control.credentials import AdminCredentials

__all__ = ["ApiKeyGuard", "StateEcho", "given_key", "is_refused"]

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


def is_refused(
    headers: Headers, credentials: Sequence[AdminCredentials]
) -> tuple[int, str, str] | None:
    """Check the API key of a request.

    Returns:
        None when it is accepted, else (status, message, cause) as Otoroshi's gateway answers.

    Cost: the same for every key that can be read, whether it is known or not.
    """
    given = given_key(headers)
    if given is None:
        return 400, "no apikey", "errors.no.api.key"
    known = accepted = False
    for one in credentials:
        same_id = hmac.compare_digest(given[0].encode(), one.client_id.encode())
        same_secret = hmac.compare_digest(given[1].encode(), one.client_secret.encode())
        known |= same_id
        accepted |= same_id & same_secret
    if accepted:
        return None
    if known:
        return 401, "bad apikey", "errors.bad.api.key"
    return 400, "invalid apikey tuple", "errors.invalid.api.key.tuple"


class ApiKeyGuard:
    """ASGI middleware: lets nothing through without the API key, but the open paths.

    Args:
        app: What is guarded.
        credentials: The keys that are accepted.
        is_open: Tells whether a path needs no key.
    """

    def __init__(
        self,
        app: ASGIApp,
        credentials: Sequence[AdminCredentials],
        is_open: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._credentials = credentials
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on or refuse."""
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = is_refused(headers, self._credentials)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, message, cause = refusal
        response = gateway_error(status, message, cause, accept=headers.get("accept"))
        await response(scope, receive, send)


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
