"""The URL of a Redis store, read and checked: ``redis://user:password@host:6379/0?prefix=oto-trio``.

``redis-sentinel://host:26379,other:26379/0?sentinelMasterId=mymaster`` asks sentinels where the primary is, and
``redis-cluster://host:7000,other:7001`` the nodes of a cluster where the keys are; both as Lettuce, Otoroshi's client,
writes them. With ``rediss`` in the place of ``redis`` TLS is spoken. Nothing here needs a Redis client, so that settings can be checked without one.
"""

from __future__ import annotations

import re
import ssl
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

__all__ = [
    "DEFAULT_PREFIX",
    "MOST_HOSTS",
    "RedisUrl",
    "RedisUrlError",
    "read_redis_url",
    "redis_url_problem",
    "shown_host",
]

DEFAULT_PREFIX: Final = "oto-trio"
"""Start of every key, unless the URL names another one."""

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_OPTIONS: Final = frozenset({"prefix", "ca", "cert", "key"})
_SENTINEL_OPTIONS: Final = frozenset({"sentinelMasterId", "sentinelUsername", "sentinelPassword"})
_SCHEMES: Final = re.compile(r"redis(?P<tls>s?)(-(?P<kind>sentinel|cluster))?")
_PORTS: Final = {"single": 6379, "sentinel": 26379, "cluster": 6379}
MOST_HOSTS: Final = 64
"""Hosts that a URL names at most."""
_EXAMPLE: Final = "write it like redis://user:password@host:6379/0"


class RedisUrlError(ValueError):
    """A URL names no Redis store; the message says why and what to write, and repeats no password."""


class RedisUrl(msgspec.Struct, frozen=True):
    """Where a Redis store is, and how to get in."""

    hosts: tuple[tuple[str, int], ...]
    """Host and port of the server, or of some sentinels, or of some nodes of the cluster."""
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
    kind: Literal["single", "sentinel", "cluster"] = "single"
    master: str | None = None
    """How the sentinels call the primary."""
    sentinel_username: str | None = None
    sentinel_password: str | None = None

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without user and password."""
        scheme = "rediss" if self.is_secure else "redis"
        if self.kind != "single":
            scheme += f"-{self.kind}"
        hosts = ",".join(shown_host(host, port) for host, port in self.hosts)
        master = "" if self.master is None else f"sentinelMasterId={self.master}&"
        return f"{scheme}://{hosts}/{self.database}?{master}prefix={self.prefix}"

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
    scheme = _SCHEMES.fullmatch(text.partition("://")[0].lower())
    if scheme is None:
        raise RedisUrlError(f"its scheme is neither redis nor rediss; {_EXAMPLE}")
    kind: Literal["single", "sentinel", "cluster"] = "single"
    if scheme["kind"] is not None:
        kind = "sentinel" if scheme["kind"] == "sentinel" else "cluster"
    try:
        parts = urlsplit(text)
    except ValueError:
        # The error of the standard library repeats the text, and with it the password.
        raise _no_hosts() from None
    user, _, where = parts.netloc.rpartition("@")
    hosts = _hosts(where, kind)
    if parts.fragment:
        raise RedisUrlError(f"it has a '#'; percent-encode what is special, and {_EXAMPLE}")
    database = parts.path.strip("/") or "0"
    if not (database.isascii() and database.isdigit() and len(database) <= 5):
        raise RedisUrlError(f"its path is no number of a database; {_EXAMPLE}")
    if kind == "cluster" and int(database):
        raise RedisUrlError("a cluster has only the database 0; leave the number out")
    options = _options(parts.query, kind, is_secure=bool(scheme["tls"]))
    if kind == "sentinel" and "sentinelMasterId" not in options:
        raise RedisUrlError(
            "the option 'sentinelMasterId' is missing; write redis-sentinel://host:26379/0"
            "?sentinelMasterId=mymaster"
        )
    username, colon, password = user.partition(":")
    if not colon:
        # As Lettuce, Otoroshi's client, reads it; a user without a password gets in nowhere.
        username, password = "", username
    return RedisUrl(
        hosts=hosts,
        database=int(database),
        prefix=options.get("prefix", DEFAULT_PREFIX),
        username=unquote(username) or None,
        password=unquote(password) or None,
        is_secure=bool(scheme["tls"]),
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
        kind=kind,
        master=options.get("sentinelMasterId"),
        sentinel_username=options.get("sentinelUsername"),
        sentinel_password=options.get("sentinelPassword"),
    )


def shown_host(host: str, port: int) -> str:
    """Write a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hosts(text: str, kind: str) -> tuple[tuple[str, int], ...]:
    """Read the hosts, with their ports.

    Raises:
        RedisUrlError: One of them is not right.
    """
    hosts: list[tuple[str, int]] = []
    for each in text.split(","):
        try:
            parts = urlsplit(f"//{each}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _no_hosts() from None
        if not host:
            raise RedisUrlError(f"it names no host; {_EXAMPLE}")
        if port == 0:
            raise RedisUrlError(f"it has the port 0; write one of 1 to 65535, and {_EXAMPLE}")
        hosts.append((host, port or _PORTS[kind]))
    if len(hosts) > (1 if kind == "single" else MOST_HOSTS):
        raise RedisUrlError(
            f"it names {len(hosts)} hosts; name one, or write redis-sentinel:// or redis-cluster:// with "
            f"{MOST_HOSTS} at most"
        )
    return tuple(hosts)


def _no_hosts() -> RedisUrlError:
    return RedisUrlError(
        "this is no URL with a host and a port of 1 to 65535; percent-encode what is special in a "
        f"password, and {_EXAMPLE}"
    )


def redis_url_problem(text: str) -> tuple[str, str] | None:
    """Say what is wrong with a URL, and what to write; None = nothing. No password is repeated."""
    try:
        read_redis_url(text)
    except RedisUrlError as error:
        message, _, fix = str(error).partition("; ")
        return message, fix
    return None


def _options(query: str, kind: str, *, is_secure: bool) -> dict[str, str]:
    """Read what stands behind the question mark.

    Raises:
        RedisUrlError: It is not right.
    """
    options: dict[str, str] = {}
    known = _OPTIONS | _SENTINEL_OPTIONS if kind == "sentinel" else _OPTIONS
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise RedisUrlError(f"{name[:40]!r} is no option; use {', '.join(sorted(known))}")
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
