"""The URLs of stores in memory, and of what keeps their state, read and checked.

| URL | kept in |
|---|---|
| ``memory://`` | nothing |
| ``file:///var/lib/oto/state.ndjson?every=5`` | a file |
| ``https://state.example.com/oto?v=1#every=10&header=X-Key: abc`` | what answers there |
| ``s3://bucket/otoroshi/states/state?region=eu-west-1`` | an object |

Options of an HTTP URL stand behind the ``#``, which no server ever sees. Nothing here needs a client library, so
that settings can be checked without one.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import msgspec

__all__ = [
    "FileUrl",
    "HttpUrl",
    "MemoryUrl",
    "S3Url",
    "StateUrl",
    "StateUrlError",
    "read_state_url",
    "state_url_problem",
]

LONGEST_S: Final = 86_400.0
"""Longest time between two saves, and longest timeout."""

DEFAULT_REGION: Final = "eu-west-1"
"""Source: Otoroshi's ``app.s3db.region``."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")
_ACLS: Final = frozenset(
    {
        *("private", "public-read", "public-read-write", "authenticated-read"),
        *("aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"),
    }
)


class StateUrlError(ValueError):
    """A URL names no state; the message says why and what to write, and repeats no secret."""


class MemoryUrl(msgspec.Struct, frozen=True):
    """Nothing is kept."""

    shown: str = "memory://"


class FileUrl(msgspec.Struct, frozen=True):
    """A file; relative paths begin in the working folder."""

    path: str
    every_s: float = 5.0
    """Time between two saves. Source: Otoroshi's file persistence."""

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        path = quote(self.path)
        return f"file://{path if path.startswith(('/', './', '../')) else './' + path}"


class HttpUrl(msgspec.Struct, frozen=True):
    """A resource that is read with GET, and written with POST or PUT."""

    url: str
    shown: str
    """The URL as it may be shown: without user, password and query."""
    headers: tuple[tuple[str, str], ...] = ()
    method: Literal["POST", "PUT"] = "POST"
    """Source: Otoroshi writes with POST."""
    every_s: float = 10.0
    """Time between two saves. Source: Otoroshi's ``app.httpdb.pollEvery``."""
    timeout_s: float = 10.0
    """Source: Otoroshi's ``app.httpdb.timeout``."""


class S3Url(msgspec.Struct, frozen=True):
    """An object in a bucket of S3, or of what speaks as it does."""

    bucket: str
    key: str
    endpoint: str | None = None
    """Such as ``https://minio.example.com``; None = Amazon's."""
    region: str | None = None
    """None = what the environment of AWS says, else `DEFAULT_REGION`."""
    access: str | None = None
    secret: str | None = None
    """None = what the environment of AWS says."""
    style: Literal["path", "virtual"] = "virtual"
    """Whether the bucket stands in the path, or in the name of the host."""
    acl: str | None = None
    every_s: float = 60.0
    """Time between two saves. Source: Otoroshi's ``app.s3db.writeEvery``."""
    timeout_s: float = 60.0

    @property
    def shown(self) -> str:
        """The URL as it may be shown: without the keys."""
        where = f" at {self.endpoint}" if self.endpoint is not None else ""
        return f"s3://{self.bucket}/{quote(self.key)}{where}"


StateUrl = MemoryUrl | FileUrl | HttpUrl | S3Url


def read_state_url(text: str) -> StateUrl:
    """Read a URL. Paths, users and passwords may be percent-encoded.

    Raises:
        StateUrlError: It is not right.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        # The error of the standard library repeats the text, and with it a password.
        raise StateUrlError(
            "this is no URL with a port of 1 to 65535; percent-encode what is special in a password"
        ) from None
    match parts.scheme:
        case "memory":
            if parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
                raise StateUrlError("a store in memory has no name; write memory://")
            return MemoryUrl()
        case "file":
            return _file(parts.netloc, parts.path, parts.query, parts.fragment)
        case "http" | "https":
            return _http(text)
        case "s3":
            return _s3(text)
        case _:
            raise StateUrlError("its scheme is none of memory, file, http, https and s3; write one")


def state_url_problem(text: str) -> tuple[str, str] | None:
    """Say what is wrong with a URL, and what to write; None = nothing. No secret is repeated."""
    try:
        read_state_url(text)
    except StateUrlError as error:
        message, _, fix = str(error).partition("; ")
        return message, fix
    return None


def _file(host: str, path: str, query: str, fragment: str) -> FileUrl:
    """Read the URL of a file."""
    if host not in {"", ".", ".."} or fragment or not path.strip("/"):
        raise StateUrlError(
            "this names no file; write file:///folder/state.ndjson, or file://./state.ndjson"
        )
    options = _options(query, {"every"})
    path = unquote(path) if not host else f"{host}{unquote(path)}"
    if "\0" in path or path.endswith("/"):
        raise StateUrlError("this names a folder; write the name of a file in it")
    return FileUrl(path, _seconds(options, "every", 5.0))


def _http(text: str) -> HttpUrl:
    """Read the URL of a resource."""
    parts = urlsplit(text)
    if not parts.hostname:
        raise StateUrlError("it names no host; write it like http://127.0.0.1:8888/state.json")
    headers: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for name, value in parse_qsl(parts.fragment, keep_blank_values=True):
        if name != "header":
            rest.append((name, value))
            continue
        header, colon, content = value.partition(":")
        if not (colon and _TOKEN.fullmatch(header) and _VALUE.fullmatch(content.strip())):
            raise StateUrlError("an option 'header' is no header; write it like header=X-Key: abc")
        headers.append((header, content.strip()))
    options = _checked(rest, {"every", "timeout", "method"})
    method = options.get("method", "POST").upper()
    if method not in {"POST", "PUT"}:
        raise StateUrlError("the option 'method' is neither POST nor PUT; write one of them")
    host = parts.netloc.rpartition("@")[2]
    return HttpUrl(
        urlunsplit(parts._replace(fragment="")),
        urlunsplit((parts.scheme, host, parts.path, "", "")),
        tuple(headers),
        "PUT" if method == "PUT" else "POST",
        _seconds(options, "every", 10.0),
        _seconds(options, "timeout", 10.0),
    )


def _s3(text: str) -> S3Url:
    """Read the URL of an object."""
    parts = urlsplit(text)
    bucket, key = parts.hostname or "", unquote(parts.path[1:])
    if not _BUCKET.fullmatch(bucket) or not key or parts.port is not None or parts.fragment:
        raise StateUrlError("this names no object; write it like s3://bucket/otoroshi/states/state")
    names = {"endpoint", "region", "style", "acl", "every", "timeout"}
    options = _options(parts.query, names)
    if (parts.username is None) != (parts.password is None):
        raise StateUrlError("one of access key and secret is missing; write s3://key:secret@bucket")
    endpoint = options.get("endpoint")
    if endpoint is not None and not re.fullmatch(r"https?://[^/?#@\s]+/?", endpoint):
        raise StateUrlError("the option 'endpoint' is no host; write it like https://s3.local:9000")
    if not _REGION.fullmatch(options.get("region", DEFAULT_REGION)):
        raise StateUrlError("the option 'region' is no region; write it like eu-west-1")
    style = options.get("style", "virtual" if endpoint is None else "path")
    if style not in {"path", "virtual"}:
        raise StateUrlError("the option 'style' is neither path nor virtual; write one of them")
    acl = options.get("acl", "").lower() or None
    if acl is not None and acl not in _ACLS:
        raise StateUrlError(f"the option 'acl' is unknown; use one of {', '.join(sorted(_ACLS))}")
    return S3Url(
        bucket,
        key,
        None if endpoint is None else endpoint.rstrip("/"),
        options.get("region"),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
        "path" if style == "path" else "virtual",
        acl,
        _seconds(options, "every", 60.0),
        _seconds(options, "timeout", 60.0),
    )


def _options(query: str, names: set[str]) -> dict[str, str]:
    """Read options behind a question mark."""
    return _checked(parse_qsl(query, keep_blank_values=True), names)


def _checked(given: list[tuple[str, str]], names: set[str]) -> dict[str, str]:
    """Check names of options."""
    options: dict[str, str] = {}
    for name, value in given:
        if name not in names:
            raise StateUrlError(f"{name[:40]!r} is no option; use {', '.join(sorted(names))}")
        if name in options or not value:
            raise StateUrlError(f"the option {name!r} is empty or there twice; give it one value")
        options[name] = value
    return options


def _seconds(options: dict[str, str], name: str, default: float) -> float:
    """Read a time."""
    text = options.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= LONGEST_S:
        raise StateUrlError(
            f"the option {name!r} is no time; write 0.1 to {LONGEST_S:g}, in seconds"
        )
    return seconds
