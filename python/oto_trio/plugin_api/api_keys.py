"""API keys as plugins see them, and how a request's credential is found.

The engine has its own, faster reading of credentials; this one is what it is compared with.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol, cast
from urllib.parse import unquote, unquote_plus

import msgspec

from oto_trio.plugin_api.exchange import Exchange

__all__ = [
    "BEARER_START",
    "Credential",
    "CredentialNames",
    "basic_pair",
    "client_of_jwt",
    "find_credential",
    "wipe_credential",
]

BEARER_START = "otoapk_"
_X_API_KEY = "x-api-key"
_LONGEST = 16 * 1024
_URL_SAFE = str.maketrans("-_", "+/")

Kind = Literal["client_id", "custom_headers", "jwt", "basic", "oto_bearer"]
Place = Literal["header", "authorization", "query", "cookie", "path"]


class Credential(NamedTuple):
    """What a request shows of its client, and where."""

    kind: Kind
    client_id: str
    proof: str
    """The secret or the token; empty for a client id alone."""
    place: Place
    name: str
    """Name of the header, parameter or cookie."""


class CredentialNames(Protocol):
    """Where one kind of credential is looked for; names that are blank are the usual ones."""

    @property
    def enabled(self) -> bool:
        """Whether it is looked for at all."""
        ...

    @property
    def header_name(self) -> str | None:
        """Name of the header."""
        ...

    @property
    def query_name(self) -> str | None:
        """Name of the query parameter."""
        ...

    @property
    def cookie_name(self) -> str | None:
        """Name of the cookie."""
        ...

    @property
    def path_name(self) -> str | None:
        """Name of the path parameter."""
        ...


_USUAL: Mapping[Kind, tuple[str, str, str, str]] = {
    "client_id": (_X_API_KEY, _X_API_KEY, _X_API_KEY, "apikey_simple_id"),
    "jwt": ("Otoroshi-Token", "bearer_auth", "access_token", "apikey_jwt"),
    "basic": ("Otoroshi-Authorization", "basic_auth", "basic_auth", "apikey_basic"),
    "oto_bearer": ("Otoroshi-Token", "bearer_auth", "bearer", "apikey_bearer"),
}


def _named(name: str | None, usual: str) -> str:
    """Return a configured name, or the usual one when it is blank."""
    return name if name and name.strip() else usual


def _text(value: str | None) -> str | None:
    """Read a header value as UTF-8; None when it is none, empty or too long."""
    if value is None:
        return None
    try:
        text = value.encode("latin-1").decode()
    except UnicodeError:
        return None
    return text if 0 < len(text.encode()) <= _LONGEST else None


def _unescaped(text: str, unescape: Callable[..., str]) -> str | None:
    """Take the escapes out of a text; None when it is no UTF-8 then, or empty."""
    try:
        return unescape(text, errors="strict") or None
    except UnicodeError:
        return None


class _Reader:
    """Reads the places of one request."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._headers = exchange.request.headers

    def header(self, name: str) -> str | None:
        return _text(self._headers.get(name))

    def authorization(self, scheme: str) -> str | None:
        start, space, rest = (self.header("Authorization") or "").partition(" ")
        return rest if space and start.lower() == scheme else None

    def query(self, name: str, *, last: bool = False) -> str | None:
        pairs = [pair.partition("=") for pair in self._exchange.request.query.split("&")]
        values = [v for n, _, v in pairs if _unescaped(n, unquote_plus) == name]
        if not values:
            return None
        value = _unescaped(values[-1 if last else 0], unquote_plus)
        return value if value is not None and len(value.encode()) <= _LONGEST else None

    def cookie(self, name: str) -> str | None:
        for field in self._headers.get_all("Cookie"):
            for pair in field.split(";"):
                written, equals, value = pair.strip(" \t").partition("=")
                if equals and written == name:
                    if value:
                        return _text(value)
                    break
        return None

    def path(self, name: str) -> str | None:
        value = self._exchange.path_params.get(name)
        return None if value is None else _unescaped(value, unquote)


def basic_pair(encoded: str) -> tuple[str, str] | None:
    """Read ``base64(id:secret)``: standard or URL-safe alphabet, padded or not."""
    try:
        raw = encoded.strip().translate(_URL_SAFE).rstrip("=")
        text = base64.b64decode(raw + "=" * (-len(raw) % 4), validate=True).decode()
    except (UnicodeError, binascii.Error, ValueError):
        return None
    client_id, colon, secret = text.partition(":")
    return (client_id, secret) if colon and client_id else None


def client_of_jwt(token: str) -> str | None:
    """Return the client that a token says it is from; not to be trusted before it is verified."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = parts[1].rstrip("=")
        if set(payload) & set("+/"):
            return None
        raw = base64.b64decode(
            payload.translate(_URL_SAFE) + "=" * (-len(payload) % 4), validate=True
        )
        claims: object = msgspec.json.decode(raw)
    except (UnicodeError, binascii.Error, ValueError, msgspec.DecodeError):
        return None
    if not isinstance(claims, dict):
        return None
    found = (cast("dict[str, Any]", claims).get(n) for n in ("clientId", "client_id", "cid", "iss"))
    return next((value for value in found if isinstance(value, str)), None)


def _client_of_bearer(token: str) -> str | None:
    client_id, underscore, _ = token.removeprefix(BEARER_START).rpartition("_")
    return client_id if token.startswith(BEARER_START) and underscore and client_id else None


def _of_jwt(value: str) -> tuple[str, str] | None:
    client_id = client_of_jwt(value)
    return None if client_id is None else (client_id, value)


def _of_bearer(value: str) -> tuple[str, str] | None:
    client_id = _client_of_bearer(value)
    return None if client_id is None else (client_id, value)


def _of_id(value: str) -> tuple[str, str] | None:
    return value, ""


def _of_id_but_token(value: str) -> tuple[str, str] | None:
    return None if value.startswith(BEARER_START) else (value, "")


_SCHEMES: Mapping[Kind, str] = {"jwt": "bearer", "basic": "basic", "oto_bearer": "bearer"}


def _places(read: _Reader, kind: Kind, at: CredentialNames) -> Iterator[tuple[Place, str, str]]:
    """Walk what stands in the places of one kind of credential: place, name, value."""
    usual = _USUAL[kind]
    header, query = _named(at.header_name, usual[0]), _named(at.query_name, usual[1])
    cookie, path = _named(at.cookie_name, usual[2]), _named(at.path_name, usual[3])
    own = read.header(header)
    if own is not None and kind == "basic" and own[:6].lower() == "basic ":
        own = own[6:]
    places: list[tuple[Place, str, str | None]] = [("header", header, own)]
    if kind in _SCHEMES:
        places.append(("authorization", "Authorization", read.authorization(_SCHEMES[kind])))
    places.append(("query", query, read.query(query, last=kind == "client_id")))
    if kind == "oto_bearer":
        places.append(("query", _X_API_KEY, read.query(_X_API_KEY)))
        places.append(("header", _X_API_KEY, read.header(_X_API_KEY)))
    places.append(("cookie", cookie, read.cookie(cookie)))
    places.append(("path", path, read.path(path)))
    for place, name, value in places:
        if value is not None:
            yield place, name, value


def _of_headers(read: _Reader, custom: tuple[str | None, str | None]) -> Credential | None:
    """Return id and secret that stand in a pair of headers."""
    id_name = _named(custom[0], "Otoroshi-Client-Id")
    client_id = read.header(id_name)
    secret = read.header(_named(custom[1], "Otoroshi-Client-Secret"))
    if client_id is None or secret is None:
        return None
    return Credential("custom_headers", client_id, secret, "header", id_name)


def find_credential(
    exchange: Exchange,
    names: Mapping[Kind, CredentialNames],
    custom: tuple[str | None, str | None] | None,
) -> Credential | None:
    """Return the first credential of a request, in Otoroshi's order of precedence.

    Args:
        exchange: Its request is read.
        names: Where each kind is looked for.
        custom: The names of the headers for id and secret; None when they are not looked at.
    """
    read = _Reader(exchange)
    order: tuple[tuple[Kind, Callable[[str], tuple[str, str] | None]], ...] = (
        ("client_id", _of_id_but_token if names["oto_bearer"].enabled else _of_id),
        ("custom_headers", _of_id),
        ("jwt", _of_jwt),
        ("basic", basic_pair),
        ("oto_bearer", _of_bearer),
    )
    for kind, reading in order:
        if kind == "custom_headers":
            found = None if custom is None else _of_headers(read, custom)
            if found is not None:
                return found
        elif names[kind].enabled:
            for place, name, value in _places(read, kind, names[kind]):
                pair = reading(value)
                if pair is not None:
                    return Credential(kind, *pair, place, name)
    return None


def _without(query: str, name: str) -> str:
    """Return a query without the parameters of a name."""
    pairs = query.split("&")
    return "&".join(p for p in pairs if _unescaped(p.partition("=")[0], unquote_plus) != name)


def wipe_credential(
    exchange: Exchange, credential: Credential, custom: tuple[str | None, str | None] | None
) -> None:
    """Take a credential away from the request, wherever its name occurs there; a path stays."""
    headers = exchange.request.headers
    if credential.kind == "custom_headers" and custom is not None:
        headers.remove(_named(custom[0], "Otoroshi-Client-Id"))
        headers.remove(_named(custom[1], "Otoroshi-Client-Secret"))
    elif credential.place in ("header", "authorization"):
        headers.remove(credential.name)
    elif credential.place == "query":
        # A step may have made another query for the backend, from one that held the credential.
        exchange.upstream_query = _without(exchange.upstream_query, credential.name)
        exchange.request.set_query(_without(exchange.request.query, credential.name))
    elif credential.place == "cookie":
        kept: list[str] = []
        start = credential.name + "="
        for field in headers.get_all("Cookie"):
            pairs = [pair.strip(" \t") for pair in field.split(";")]
            left = [pair for pair in pairs if pair and not pair.startswith(start)]
            if left:
                kept.append("; ".join(left))
        headers.remove("Cookie")
        for field in kept:
            headers.add("Cookie", field)
