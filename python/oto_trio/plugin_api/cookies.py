"""Cookies of requests and responses, as the plugins on them read and write them (RFC 6265)."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from oto_trio.plugin_api.config import Config
from oto_trio.plugin_api.exchange import Headers

__all__ = [
    "CookieConfig",
    "put_cookie",
    "rewrite_cookies",
    "sent_cookies",
    "set_cookie_line",
    "set_cookie_name",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BLANK = " \t\n\r\x0c"


_PathText = Annotated[str, Meta(pattern=r"^[\x20-\x3a\x3c-\x7e]*(?!\n)$")]


class CookieConfig(Config, frozen=True):
    """A cookie with its attributes."""

    name: Annotated[str, Meta(description="Its name; ${…} is evaluated.")] = "cookie"
    value: Annotated[str, Meta(description="Its value; ${…} is evaluated.")] = "value"
    domain: Annotated[str | None, Meta(description="The hosts it is for; ${…} is evaluated.")] = (
        None
    )
    path: Annotated[_PathText | None, Meta(description="The paths it is for.")] = None
    maxAge: Annotated[  # noqa: N815 (the key in Otoroshi's JSON)
        int | None, Meta(description="Seconds it is kept; null = as long as the browser runs.")
    ] = None
    secure: Annotated[bool, Meta(description="Only sent over HTTPS.")] = False
    httpOnly: Annotated[bool, Meta(description="Hidden from scripts.")] = False  # noqa: N815 (Otoroshi's key)
    sameSite: Annotated[  # noqa: N815 (Otoroshi's key)
        Literal["Strict", "Lax", "None"] | None,
        Meta(description="Whether other sites' pages send it along."),
    ] = None


def sent_cookies(headers: Headers) -> list[tuple[str, str]]:
    """Return the cookies of a request as name and whole pair, in order."""
    pairs = (pair.strip(_BLANK) for line in headers.get_all("Cookie") for pair in line.split(";"))
    return [(pair.partition("=")[0].rstrip(_BLANK), pair) for pair in pairs if pair]


def rewrite_cookies(headers: Headers, pairs: Sequence[str]) -> None:
    """Write the cookies of a request as one field; none at all removes the field."""
    if pairs:
        headers.set("Cookie", "; ".join(pairs))
    else:
        headers.remove("Cookie")


def put_cookie(headers: Headers, name: str, value: str) -> None:
    """Put a cookie behind the others of a request, in place of those of its name.

    Args:
        headers: The request's fields.
        name: Its name; one that is no token puts nothing.
        value: Text that a header can carry; ``;`` becomes ``?``.
    """
    if _TOKEN.fullmatch(name):
        kept = [pair for known, pair in sent_cookies(headers) if known != name]
        rewrite_cookies(headers, [*kept, f"{name}={value.replace(';', '?')}"])


def set_cookie_name(line: str) -> str:
    """Return the name that the value of a ``Set-Cookie`` sets."""
    return line.partition(";")[0].partition("=")[0].strip(_BLANK)


def set_cookie_line(config: CookieConfig, name: str, value: str, domain: str) -> str | None:
    """Return the value of a ``Set-Cookie``; None for a name that is no token.

    Args:
        config: The attributes but the domain.
        name: The name.
        value: Text that a header can carry.
        domain: The same; empty when there is none.
    """
    if not _TOKEN.fullmatch(name):
        return None
    line = f"{name}={value.replace(';', '?')}"
    if config.domain:
        line += f"; Domain={domain.replace(';', '?')}"
    if config.maxAge is not None:
        line += f"; Max-Age={config.maxAge}"
    if config.path:
        line += f"; Path={config.path}"
    if config.secure:
        line += "; Secure"
    if config.httpOnly:
        line += "; HttpOnly"
    return line + (f"; SameSite={config.sameSite}" if config.sameSite else "")
