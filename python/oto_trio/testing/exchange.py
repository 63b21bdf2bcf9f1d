"""A fake exchange: runs a plugin's hooks without a gateway.

::

    exchange = FakeExchange.of("GET", "http://api.localhost/users?page=2", {"Accept": "*/*"})
    assert await play(MyPlugin(MyConfig()), exchange) is None
    assert exchange.request.headers.get("X-Mine") == "yes"

The fakes keep the promises of ``oto_trio.plugin_api.exchange`` and refuse what the engine refuses, so
a plugin that works here works there.
"""

import re
from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import msgspec
import trio

from oto_trio._core import ApiKey, Exchange, ExchangeLimits, Limits, Snapshot
from oto_trio.plugin_api import (
    Answer,
    BodyTooLarge,
    ClientCertificate,
    Phase,
    Plugin,
    Refusal,
    Response,
)
from oto_trio.plugin_api.fields import ENGINE_FIELDS

__all__ = ["FakeExchange", "FakeHeaders", "FakeRequest", "FakeResponseHead", "call_hook", "play"]

_QUERY = re.compile(r"[!\"$-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_REQUEST_PHASES = (Phase.PRE_ROUTE, Phase.ACCESS, Phase.TRANSFORM_REQUEST, Phase.CALL_BACKEND)

HeaderSource: TypeAlias = dict[str, str] | Sequence[tuple[str, str]]


class FakeHeaders:
    """Header fields in memory; see ``plugin_api.Headers``.

    Args:
        fields: A mapping, or (name, value) pairs when a name occurs twice.
    """

    def __init__(self, fields: HeaderSource = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        pairs = fields.items() if isinstance(fields, dict) else fields
        # What came over the wire may hold any field; only a plugin may not write them all.
        self._fields.extend(pairs)

    def get(self, name: str, /) -> str | None:
        """Return the first value of a field, or ``None``."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str, /) -> list[str]:
        """Return every value of a field in order."""
        return [value for known, value in self._fields if known.lower() == name.lower()]

    def set(self, name: str, value: str, /) -> None:
        """Replace every value of a field by one, where the first one was.

        Raises:
            ValueError: The name is no token, the value holds control characters, or the field
                frames the message.
        """
        _check(name, value)
        places = [i for i, (known, _) in enumerate(self._fields) if known.lower() == name.lower()]
        if not places:
            self._fields.append((name, value))
            return
        self._fields[places[0]] = (name, value)
        for place in reversed(places[1:]):
            del self._fields[place]

    def add(self, name: str, value: str, /) -> None:
        """Append a field.

        Raises:
            ValueError: As for ``set``.
        """
        _check(name, value)
        self._fields.append((name, value))

    def remove(self, name: str, /) -> bool:
        """Remove every value of a field and tell whether there was one."""
        kept = [field for field in self._fields if field[0].lower() != name.lower()]
        was_there = len(kept) < len(self._fields)
        self._fields = kept
        return was_there

    def items(self) -> list[tuple[str, str]]:
        """Return the fields in order, as a copy."""
        return list(self._fields)

    def __contains__(self, name: object, /) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))


class FakeRequest:
    """A request in memory; see ``plugin_api.Request``.

    Args:
        method: The method.
        path: The canonical path.
        query: The query without ``?``.
        host: The host with its port.
        headers: The header fields, ``Host`` included.
        body: The whole body.
        version: The HTTP version.
    """

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        query: str = "",
        host: str = "api.localhost",
        headers: HeaderSource = (),
        body: bytes = b"",
        version: str = "1.1",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.host = host
        self.headers = FakeHeaders(headers)
        self.version = version
        self.upgrade: str | None = None
        """The protocol that the client asks to change to."""
        self.body = body
        """What ``read`` returns."""

    def set_query(self, query: str, /) -> None:
        """Put another query in place.

        Raises:
            ValueError: It holds a character that no query may.
        """
        if not _QUERY.fullmatch(query):
            raise ValueError("the query holds a character that no query may; escape it")
        self.query = query

    @property
    def domain(self) -> str:
        """The host in lower case, without port."""
        return self.host.partition(":")[0].lower()

    @property
    def content_length(self) -> int | None:
        """See ``plugin_api.Request.content_length``."""
        length = self.headers.get("Content-Length")
        return int(length) if length is not None and length.isdigit() else None

    @property
    def has_body(self) -> bool:
        """Whether there is a body."""
        return bool(self.body)

    async def read(self, limit: int, /) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLarge: The body is longer than ``limit`` bytes.

        Cancellation:
            A checkpoint, as with the engine.
        """
        return await _read(self.body, limit)


class FakeResponseHead:
    """A response head in memory; see ``plugin_api.ResponseHead``."""

    def __init__(self, status: int = 200, headers: HeaderSource = (), body: bytes = b"") -> None:
        self.status = status
        self.headers = FakeHeaders(headers)
        self.body = body
        """What ``read`` returns."""

    async def read(self, limit: int, /) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLarge: The body is longer than ``limit`` bytes.

        Cancellation:
            A checkpoint, as with the engine.
        """
        return await _read(self.body, limit)


class FakeExchange:
    """An exchange in memory; see ``plugin_api.Exchange``. Every attribute may be set by the test."""

    mounted: str | None = None
    """The application that is to answer in the backend's place."""

    target_address: str | None = "backend.internal:80"
    """Where the target is."""
    may_ask_again = False
    """Whether there is another attempt."""
    asked_again = 0
    """How often ``ask_again`` was called."""
    watched: object = None
    """What ``watch`` was given."""

    def __init__(
        self, request: FakeRequest | None = None, response: FakeResponseHead | None = None
    ) -> None:
        self.request = request or FakeRequest()
        self.response = response
        self.id = 1
        self.unix_time = 1_700_000_000.0
        """What is taken for now, in Unix seconds."""
        self.request_id = 7
        self.received_at = self.unix_time
        self.proxy_latency_ms = 0
        self.upstream_latency_ms: int | None = None
        self.remaining_calls: tuple[int, int] | None = None
        self.now = 0.0
        """What limits take for now, in seconds of the Trio clock."""
        self.counters = Limits()
        """What limits count in; give several exchanges the same to count them together."""
        self.client_certificate: ClientCertificate | None = None
        self.wanted_key_set: str | None = None
        self.key_sets: dict[str, bytes | None] = {}
        """What ``put_key_set`` was told."""
        self.decision: bool | tuple[int, list[tuple[str, str]], bytes] = True
        """What ``decide`` returns: what the native step says."""
        self.route_id = "route_1"
        self.route_name = "a route"
        self.secured = False
        self.remote_address = "192.0.2.7"
        self.forwarded_for = "192.0.2.7"
        self.listener = "standard-listener"
        self.matched_path = ""
        self.path_params: dict[str, str] = {}
        self.strip_path = True
        self.target_hostname: str | None = "backend.internal"
        self.upstream_url: str | None = "http://backend.internal/"
        self.attrs: dict[str, object] = {}
        self.backend_root = "/"
        self.response_fields: list[tuple[str, str]] = []
        """What ``add_to_response`` gathered."""
        self.upstream_query = self.request.query
        self.user: Mapping[str, Any] | None = None
        self.token: Mapping[str, Any] | None = None
        self.plugins_config: Mapping[str, Any] = {}
        self.apikey: ApiKey | None = None
        self.apikeys: dict[str, ApiKey] = {}
        """What ``find_api_key`` looks in."""
        self.notes: dict[str, str] = {}
        self.context: dict[str, str] = {}
        """What plugins told expressions (``tell_context``); ``native`` does not know it."""
        """What ``note`` was given."""
        self.alerts: list[tuple[str, Mapping[str, object]]] = []
        """What ``alert`` was given."""
        self.hidden: list[str] = []
        """What ``hide`` was given."""

    def find_api_key(self, client_id: str, /) -> ApiKey | None:
        """Look a key up in ``apikeys``."""
        return self.apikeys.get(client_id)

    def note(self, name: str, text: str, /) -> None:
        """Keep a note in ``notes``."""
        self.notes[name] = text

    def tell_context(self, name: str, text: str, /) -> None:
        """Keep a text for expressions in ``context``."""
        self.context[name] = text

    def alert(self, name: str, fields: Mapping[str, object], /) -> None:
        """Keep an alert in ``alerts``."""
        self.alerts.append((name, fields))

    def watch(self, watch: object, /) -> None:
        """Keep what looks at the connection once it has changed its protocol in ``watched``."""
        self.watched = watch

    def hide(self, secret: str, /) -> None:
        """Keep a secret in ``hidden``."""
        self.hidden.append(secret)

    @classmethod
    def of(
        cls, method: str, url: str, headers: HeaderSource = (), body: bytes = b""
    ) -> "FakeExchange":
        """Make the exchange of one request.

        Args:
            method: The method.
            url: The whole URL; ``https`` makes a secured exchange.
            headers: The header fields besides ``Host``, which the URL gives.
            body: The request's body.
        """
        parts = urlsplit(url)
        assert parts.hostname, "a URL names its host: http://api.localhost/path"
        path, host = parts.path or "/", parts.netloc
        pairs = headers.items() if isinstance(headers, dict) else headers
        fields = [("Host", host), *pairs]
        request = FakeRequest(method, path, parts.query, host, fields, body)
        exchange = cls(request)
        exchange.secured = parts.scheme == "https"
        return exchange

    @property
    def limits(self) -> ExchangeLimits:
        """What the plugin counts by; it counts in `counters`."""
        return self.native().limits

    def put_key_set(self, wanted: str, body: bytes | None, now: float, /) -> None:
        """Keep a key set in ``key_sets``; the native step then lacks nothing more."""
        del now
        self.key_sets[wanted] = body
        self.wanted_key_set = None

    def ask_again(self) -> None:
        """Count in ``asked_again``."""
        self.asked_again += 1

    def decide(self, now: float, /) -> bool | tuple[int, list[tuple[str, str]], bytes]:
        """Return ``decision``."""
        del now
        return self.decision

    def mount(self, app: str, /) -> None:
        """Keep which application is to answer, as ``mounted``."""
        self.mounted = app

    def add_to_response(self, name: str, value: str, /) -> None:
        """Keep a field for the answer.

        Raises:
            ValueError: As for ``FakeHeaders.set``.
        """
        _check(name, value)
        self.response_fields.append((name, value))

    def native(self) -> Exchange:
        """Return the engine's exchange for the same request, as it is now.

        It is a copy, to ask things of: what is done to it does not come back. The path parameters
        must be segments of the path.
        """
        segments = self.request.path.split("/")
        for name, value in self.path_params.items():
            segments[segments.index(value)] = f":{name}"
        route = {
            "id": self.route_id,
            "name": self.route_name,
            "frontend": {
                "domains": [self.request.domain + "/".join(segments)],
                "strip_path": self.strip_path,
            },
        }
        settings = msgspec.json.encode({"trust_x_forwarded": False})
        snapshot = Snapshot(self.counters).apply([msgspec.json.encode(route)], [], settings)
        fields = [(n, v) for n, v in self.request.headers.items() if n.lower() != "host"]
        query = self.request.query
        return snapshot.begin(
            self.request.method.encode(),
            (self.request.path + ("?" + query if query else "")).encode(),
            [
                (n.encode("latin-1"), v.encode("latin-1"))
                for n, v in [("Host", self.request.host), *fields]
            ],
            version=self.request.version,
            remote_address=self.remote_address,
            secured=self.secured,
            listener=self.listener,
            now=self.now,
            unix_time=self.unix_time,
        )


async def call_hook(plugin: Plugin[Any], phase: Phase, exchange: FakeExchange) -> Answer:
    """Call one hook, ``def`` or ``async def``, and return its answer.

    Raises:
        TypeError: The hook returned something that is no answer.
    """
    hook = getattr(plugin, phase.value)
    outcome: object = hook(exchange)
    if isawaitable(outcome):
        outcome = await cast("Awaitable[object]", outcome)
    if outcome is None or isinstance(outcome, Response | Refusal):
        return outcome
    raise TypeError(
        f"{phase} returned a {type(outcome).__name__}; return a Response, a Refusal or None"
    )


async def play(
    plugin: Plugin[Any], exchange: FakeExchange, backend: FakeResponseHead | None = None
) -> Answer:
    """Run an exchange through all phases of one plugin, as the engine would.

    Args:
        plugin: The plugin.
        exchange: The exchange; its ``response`` is set on the way.
        backend: The response head of the backend; 200 without fields when left out.

    Returns:
        The answer that went to the downstream, or ``None`` when the backend's response did.
    """
    answer: Answer = None
    phase = Phase.PRE_ROUTE
    for phase in _REQUEST_PHASES:
        answer = await call_hook(plugin, phase, exchange)
        if answer is not None:
            break
    exchange.response = _head_of(answer) or backend or FakeResponseHead()
    # A refusal or redirect stands as it is; what came in the backend's place is transformed.
    if answer is None or phase is Phase.CALL_BACKEND:
        replacement = await call_hook(plugin, Phase.TRANSFORM_RESPONSE, exchange)
        if replacement is not None:
            answer = replacement
            exchange.response = _head_of(answer)
    for name, value in exchange.response_fields:
        if exchange.response is not None:
            exchange.response.headers.set(name, value)
    await call_hook(plugin, Phase.DONE, exchange)
    return answer


def _head_of(answer: Answer) -> FakeResponseHead | None:
    """Return the response head that an answer becomes."""
    if isinstance(answer, Response):
        return FakeResponseHead(answer.status, answer.headers)
    if isinstance(answer, Refusal):
        return FakeResponseHead(answer.status)
    return None


async def _read(body: bytes, limit: int) -> bytes:
    """Return a body that is no longer than its bound."""
    await trio.lowlevel.checkpoint()
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def _check(name: str, value: str) -> None:
    """Refuse what the engine refuses.

    Raises:
        ValueError: As ``FakeHeaders.set`` says.
    """
    if name.lower() in ENGINE_FIELDS:
        raise ValueError(f"the header {name} cannot be set: the gateway frames messages itself")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} holds characters a header cannot carry")
