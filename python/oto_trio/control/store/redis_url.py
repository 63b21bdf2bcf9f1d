"""The URL of a Redis store, read and checked: ``redis://user:password@host:6379/0?prefix=oto-trio``.

Nothing here needs a Redis client, so that settings can be checked without one.
"""

from __future__ import annotations

import re
import ssl
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

__all__ = ["DEFAULT_PREFIX", "RedisUrl", "RedisUrlError", "read_redis_url", "redis_url_problem"]

DEFAULT_PREFIX: Final = "oto-trio"
"""Start of every key, unless the URL names another one."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_OPTIONS: Final = frozenset({"prefix", "ca", "cert", "key"})
_EXAMPLE: Final = "write it like redis://user:password@host:6379/0"


class RedisUrlError(ValueError):
    """A URL names no Redis store; the message says why and what to write, and repeats no password."""


class RedisUrl(msgspec.Struct, frozen=True):
    """Where a Redis store is, and how to get in."""

    host: str
    port: int
    database: int
    prefix: str
    """Start of every key; two stores in one database have two of them."""
    username: str | None = None
    password: str | None = None
    is_secure: bool = False
    """Whether TLS is spoken (``rediss://``)."""
    ca: str | None = None
    """File of the authorities that are trusted; None = those of the system."""
    cert: str | None = None
    """File of the certificate shown to the server."""
    key: str | None = None
    """File of its private key."""

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user and password."""
        scheme = "rediss" if self.is_secure else "redis"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/{self.database}?prefix={self.prefix}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how TLS is spoken; None without TLS. Certificate and host name are always checked.

        Raises:
            OSError: A file cannot be read, or holds no certificate or key (`ssl.SSLError`).
        """
        if not self.is_secure:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


def read_redis_url(text: str) -> RedisUrl:
    """Read a URL. User, password and file names may be percent-encoded.

    Raises:
        RedisUrlError: It is not right.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # The error of the standard library repeats the text, and with it the password.
        raise RedisUrlError(
            "this is no URL with a host and a port of 1 to 65535; percent-encode what is special in a "
            f"password, and {_EXAMPLE}"
        ) from None
    if parts.scheme not in {"redis", "rediss"}:
        raise RedisUrlError(f"its scheme is neither redis nor rediss; {_EXAMPLE}")
    if not parts.hostname:
        raise RedisUrlError(f"it names no host; {_EXAMPLE}")
    if port == 0 or parts.fragment:
        raise RedisUrlError(
            f"it has the port 0 or a '#'; percent-encode what is special in a password, and {_EXAMPLE}"
        )
    database = parts.path.strip("/") or "0"
    if not (database.isascii() and database.isdigit() and len(database) <= 5):
        raise RedisUrlError(f"its path is no number of a database; {_EXAMPLE}")
    options = _options(parts.query, is_secure=parts.scheme == "rediss")
    return RedisUrl(
        host=parts.hostname,
        port=port or 6379,
        database=int(database),
        prefix=options.get("prefix", DEFAULT_PREFIX),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        is_secure=parts.scheme == "rediss",
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
    )


def redis_url_problem(text: str) -> tuple[str, str] | None:
    """Say what is wrong with a URL, and what to write; None = nothing. No password is repeated."""
    try:
        read_redis_url(text)
    except RedisUrlError as error:
        message, _, fix = str(error).partition("; ")
        return message, fix
    return None


def _options(query: str, *, is_secure: bool) -> dict[str, str]:
    """Read what stands behind the question mark.

    Raises:
        RedisUrlError: It is not right.
    """
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise RedisUrlError(f"{name!r} is no option; use {', '.join(sorted(_OPTIONS))}")
        if name in options or not value:
            raise RedisUrlError(f"the option {name!r} is empty or there twice; give it one value")
        options[name] = value
    if not _PREFIX.fullmatch(options.get("prefix", DEFAULT_PREFIX)):
        raise RedisUrlError(
            "the option 'prefix' is not 1 to 64 letters, digits and _ . : -; choose another one"
        )
    if not is_secure and options.keys() & {"ca", "cert", "key"}:
        raise RedisUrlError("the options ca, cert and key are there without TLS; write rediss://")
    if "key" in options and "cert" not in options:
        raise RedisUrlError(
            "the option 'key' stands alone; add 'cert', the certificate it belongs to"
        )
    return options
