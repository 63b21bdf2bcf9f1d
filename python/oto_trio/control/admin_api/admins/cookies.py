"""The cookie of a session, and whether a request that brings it was meant by whoever holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.responses import Response

__all__ = ["DEFAULT_COOKIE", "SessionCookie", "is_own_request"]

DEFAULT_COOKIE: Final = "otoroshi-session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SessionCookie(msgspec.Struct, frozen=True):
    """How the cookie is set: for this host alone, out of reach of scripts, not sent along from other sites."""

    name: str = DEFAULT_COOKIE
    is_secure: bool = False
    """Whether browsers send it over HTTPS only."""

    def token(self, headers: Headers) -> str | None:
        """Return the token that a request brings; None without one."""
        for line in headers.getlist("cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.name and value:
                    return value.strip('"')
        return None

    def set_on(self, response: Response, token: str, *, lifetime_ms: int) -> None:
        """Give a token to the client."""
        response.set_cookie(
            self.name,
            token,
            max_age=lifetime_ms // 1000,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def remove_from(self, response: Response) -> None:
        """Tell the client to forget the token."""
        response.delete_cookie(
            self.name, path="/", secure=self.is_secure, httponly=True, samesite="lax"
        )


def is_own_request(headers: Headers, method: str) -> bool:
    """Tell whether a request with a cookie may change something: it was not made by the page of another site.

    Browsers say where a request was made, in ``Sec-Fetch-Site`` or ``Origin``; what says neither is no page.
    """
    if method in _SAFE:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
