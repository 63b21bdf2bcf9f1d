"""The Rust engine: sockets, HTTP/1, routing and plans, turned from a Trio task.

Times are seconds of the Trio clock. Nothing here blocks, starts a thread or reads a clock; every
method returns at once and none is a checkpoint. A panic in Rust arrives as `PanicException`.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, Self, TypeAlias, final, overload

__version__: str

__all__ = [
    "ApiKey",
    "ClientCertificate",
    "Engine",
    "Exchange",
    "ExchangeGone",
    "ExchangeLimits",
    "FieldBlock",
    "FrameReader",
    "FrameWriter",
    "HeadRefused",
    "Headers",
    "HmacVerifier",
    "HpackDecoder",
    "HpackEncoder",
    "JwtRefused",
    "JwtSigner",
    "JwtVerifier",
    "Limits",
    "MessageSigner",
    "MessageVerifier",
    "Pattern",
    "QuicKeys",
    "Redaction",
    "Request",
    "ResponseHead",
    "Router",
    "Snapshot",
    "Template",
    "TokenBucket",
    "TokenKeys",
    "Usage",
    "__version__",
    "access_lines",
    "asked_name",
    "read_data_frames",
]

_Standing: TypeAlias = tuple[bytes, bool, tuple[int, int, int], tuple[int, int], tuple[int, int]]
_Event: TypeAlias = (
    tuple[Literal[0], Exchange]
    | tuple[Literal[1], int]
    | tuple[Literal[2], str]
    | tuple[Literal[3], tuple[int, bytes | None]]
    | tuple[Literal[4], str]
    | tuple[Literal[5], str]
    | tuple[Literal[6], str]
)

_Decision: TypeAlias = (
    tuple[Literal["python"], int, bool]
    | tuple[
        Literal["forward"], tuple[str, int, bool] | None, bytes, bytes, list[tuple[bytes, bytes]]
    ]
    | tuple[Literal["reply"], int, list[tuple[bytes, bytes]], bytes]
    | tuple[Literal["stream"], int, list[tuple[bytes, bytes]]]
    | tuple[Literal["finished"]]
)

class HeadRefused(ValueError):
    """A request head that is answered with an error: `args` are status and message."""

class JwtRefused(ValueError):
    """A token that is not accepted; the text says why and never holds the token."""

class ExchangeGone(RuntimeError):
    """The exchange was given back to the engine, or its client left."""

@final
class Snapshot:
    """Routes, plans and settings as one immutable value; a change makes another that shares the rest."""

    def __new__(cls, limits: Limits | None = None) -> Self:
        """An empty snapshot, generation 0.

        Args:
            limits: the counters; those that come from this snapshot count in them too. None makes
                counters of their own.
        """

    @property
    def generation(self) -> int:
        """Grows by one with each change."""

    def apply(
        self,
        upserts: Sequence[bytes],
        removed: Sequence[str],
        settings: bytes | None = None,
        entities: Sequence[tuple[str, str, bytes | None]] = ...,
    ) -> Snapshot:
        """Return the snapshot after a change, all or nothing.

        Args:
            upserts: lowered routes as JSON; a route replaces the one of the same id.
            removed: ids of routes to take away; unknown ids are ignored.
            settings: JSON of the settings for all routes (`trust_x_forwarded`, `maintenance`).
            entities: what native steps look up: kind, id, and JSON or None when it is gone.

        Raises:
            ValueError: names the route, the field and the fix; nothing is changed.

        Cost: proportional to the routes named, not to the routes there are.
        """

    def explain(
        self,
        method: str,
        host: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        *,
        secured: bool = False,
        listener: str = "standard-listener",
        exclusive: bool = False,
    ) -> dict[str, Any]:
        """Say which route a request takes, why the others lose, the steps of its plan and its target.

        Raises:
            ValueError: the engine would refuse the request head itself.
        """

    def begin(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        version: str = "2.0",
        remote_address: str = "127.0.0.1",
        secured: bool = False,
        listener: str = "standard-listener",
        exclusive: bool = False,
        now: float = 0.0,
        unix_time: float = 0.0,
        random: int = 0,
        client_chain: Sequence[bytes] = ...,
    ) -> Exchange:
        """Route a request whose bytes were decoded elsewhere; `Exchange.advance` runs its plan.

        Raises:
            HeadRefused: the head breaks a rule that holds for every protocol.
            ValueError: version or address make no sense; `unix:` stands for a client without an address.
        """

    def __len__(self) -> int: ...
    def __contains__(self, id: str, /) -> bool: ...

@final
class Engine:
    """Non-blocking HTTP/1 between clients and backends.

    Wait until `fileno()` is readable, call `turn`, carry out the events it returns:
    (0, exchange) run the hook `exchange.slot`, then give the exchange back with one of `resume`,
    `respond`, `refuse` or `reject`; (1, exchange id) its client left, cancel its task;
    (2, host name) find its addresses and call `resolved`; (3, (exchange id, body)) the answer to
    `read_body`, None when the body is too large; (4, text) a panic cost one connection.

    A connection that speaks HTTP/2 is *carried*: the engine keeps its socket and its TLS, and its bytes
    are decoded outside. (8, (connection, listener, secured)) one was found; (9, (connection, bytes)) it
    sent these; (10, connection) what `send` left waiting has gone out; (11, connection) its client is
    gone; (12, connection) the time of `patience` has come. Each request on it is a *stream*:
    (13, (stream, fields)) the head of its response, or of an interim one; (14, (stream, bytes, ends)) bytes of
    the body; (15, (stream, fields)) trailers; (16, (stream, fields, body)) a whole response at once;
    (17, stream) the rest of the response will never come; (18, (stream, count)) so many bytes of the
    body went on. After an end the stream is forgotten.

    A backend that speaks HTTP/2 is reached the same way from the other side: (19, connection) a connection to
    one is there and carried; (20, (connection, stream, fields, ends)) send a request on it. Events 14, 15 and
    17 are about the request then, and 18 about the answer, which `answer_head`, `feed` and `feed_trailers` bring.

    (21, (watch, connection, connection or None, seconds)) a connection changed its protocol, and `Exchange.watch`
    was given something: the client's connection and the backend's are carried from then on, and idle after so many seconds
    without a byte.
    """

    def __new__(cls, settings: bytes | None = None, seed: int = 1) -> Self:
        """An engine without listeners.

        Args:
            settings: JSON of bounds and time-outs; every key has a default.
            seed: drives random choices.

        Raises:
            ValueError: names the key that is unknown or wrong.
            OSError: the kernel gives no event queue.
        """

    def fileno(self) -> int:
        """The descriptor that is readable when `turn` has something to do."""

    def adopt(
        self,
        fd: int,
        listener: str,
        secured: bool,
        client_auth: str = "Dynamic",
        http2: bool = False,
        http1: bool = True,
        exclusive: bool = False,
    ) -> int:
        """Accept connections from a listening socket; the descriptor is duplicated.

        Args:
            fd: the socket.
            listener: the listener's id.
            secured: whether clients speak TLS on it.
            client_auth: whether they show a certificate (`None`, `Want`, `Need`), or `Dynamic`
                for what the settings of the snapshot say.
            http2: whether they may speak HTTP/2: by ALPN under TLS, by its preface without.
            http1: whether they may speak HTTP/1; otherwise ALPN does not offer it, and who speaks it all the
                same gets 505.
            exclusive: whether they find only the routes that are bound to the listener.

        Raises:
            OSError: the descriptor is no listening socket that can be watched.
            ValueError: `client_auth` is none of the four.

        Returns:
            What `release` takes.
        """

    def retune(
        self,
        handle: int,
        secured: bool,
        client_auth: str = "Dynamic",
        http2: bool = False,
        http1: bool = True,
        exclusive: bool = False,
    ) -> None:
        """Have the connections that a listener accepts from now on go other ways; those it has keep theirs.

        One of `adopt_datagrams` is secured whatever is said here.

        Raises:
            OSError: its socket cannot be watched again; nothing is accepted on it then.
            ValueError: `client_auth` is none of the four.
        """

    def adopt_tcp(self, fd: int, listener: str) -> int:
        """Accept connections of TCP services from a listening socket; the descriptor is duplicated.

        Args:
            fd: the socket.
            listener: the id of their port in the snapshot's table `tcp-ports`.

        Raises:
            OSError: the descriptor is no listening socket that can be watched.
            ValueError: `fd` is negative.

        Returns:
            What `release` takes.
        """

    def adopt_datagrams(
        self, listener: str, exclusive: bool = False, client_auth: str = "Dynamic"
    ) -> int:
        """Make a listener without a socket, for connections whose datagrams are read outside (HTTP/3).

        Args:
            listener: the listener's id.
            exclusive: whether its clients find only the routes that are bound to it.
            client_auth: as of `adopt`; `client_auth` tells what holds.

        Raises:
            ValueError: `client_auth` is none of the four.

        Returns:
            What `carry`, `retune` and `release` take.
        """

    def to_show(self, server_name: str | None, now: float) -> tuple[str, list[bytes], bytes] | None:
        """Choose the certificate for a client that names a server, as handshakes over TCP do.

        Args:
            server_name: the name, in lower case; None for a client that gives none.
            now: the Trio clock.

        Raises:
            LookupError: there is none.

        Returns:
            Its id, its chain and its private key in DER; None while one is being made, which an event asks for.
        """

    def client_auth(self, listener: int) -> str:
        """Tell whether clients of a listener without a socket are asked for a certificate.

        Returns:
            `None`, `Want` or `Need`; `None` too when the listener is gone.
        """

    def check_client(self, listener: int, chain: list[bytes], now: float) -> tuple[int, str] | None:
        """Judge what a client showed in a handshake that is done outside, as those over TCP are judged.

        That the client has the key of its certificate is not looked at here.

        Args:
            listener: what `adopt_datagrams` gave.
            chain: what it showed, in DER, its own certificate first; empty when it showed none.
            now: the Trio clock.

        Returns:
            The alert of TLS that refuses it, and what is wrong; None when it is taken.
        """

    def carry(
        self,
        listener: int,
        ip: str,
        server_name: str | None,
        now: float,
        chain: list[bytes] = ...,
        is_resumed: bool = ...,
    ) -> int:
        """Take in a connection whose handshake was done outside; `open_stream`, `patience` and `hang_up` take it.

        Args:
            listener: what `adopt_datagrams` gave.
            ip: the client's address.
            server_name: the name it asked for, in lower case.
            now: the Trio clock.
            chain: the certificates that the client showed and has the key of, in DER, its own first.
            is_resumed: whether the handshake went on with an earlier session; it is counted.

        Raises:
            ValueError: there is no room, or the engine drains, or the listener is gone, or its clients need
                another certificate by now, or there is none to show for that name any more.
        """

    def release(self, handle: int, now: float, tunnels_s: float = ...) -> list[_Event]:
        """Accept what a listening socket has queued, and nothing after it.

        Connections of TCP services go on. Those of HTTP/1 end with the answers to what was asked on them, and
        idle ones soon; who carries a connection of HTTP/2 ends it. What changed its protocol ends after `tunnels_s`, or
        whoever looks at its bytes is told with `LEAVING`.

        Args:
            handle: what `adopt`, `adopt_tcp` or `adopt_datagrams` gave.
            now: the Trio clock.
            tunnels_s: seconds; without end when left out.
        """

    def install(self, snapshot: Snapshot) -> None:
        """Use this snapshot for every exchange that begins from now on."""

    @overload
    def turn(self, now: float) -> list[_Event]: ...
    @overload
    def turn(self, now: float, linger: float) -> list[_Event] | None:
        """Do what is ready now, a bounded batch of it.

        Args:
            now: the Trio clock, in seconds.
            linger: wait in place for so many seconds, a millisecond at most, when nothing is ready.

        Returns:
            The events; None when there was nothing to do, which only a turn that lingers tells.
        """

    def expire(self, now: float) -> list[_Event]:
        """Carry out deadlines that are due."""

    def certificate_told(self, server_name: str, certificate: bytes, now: float) -> list[_Event]:
        """A certificate that was asked for is in the installed snapshot now, or will not come."""

    def set_ticket_secret(self, secret: bytes) -> None:
        """Lock TLS session tickets with a secret that all workers of a gateway share."""

    def send(self, connection: int, data: bytes) -> bool:
        """Write to a carried connection; False when some of it waits, and event 10 follows.

        While more than 256 KiB wait, nothing more is read from it.
        """

    def patience(self, connection: int, due: float) -> None:
        """Raise event 12 for a carried connection at this time, in place of any asked for before."""

    def set_appetite(self, connection: int, most: int) -> None:
        """Raise no more than so many bytes of a client's carried connection in a turn; 16 KiB to begin with, 128 KiB at most."""

    def hold(self, connection: int, held: bool) -> None:
        """Read nothing of a carried connection for now, or go on."""

    def hang_up(self, connection: int, now: float) -> None:
        """Write what waits to a carried connection, then close it; nothing more is told of it."""

    def open_stream(self, connection: int, fields: FieldBlock, ends: bool, now: float) -> int:
        """Begin an exchange for a request that a carried connection brought.

        A request that is well-formed and refused is answered as over HTTP/1.1. What follows is told by the next
        `turn`.

        Args:
            connection: the carried connection.
            fields: its fields, pseudo-fields first.
            ends: whether it has no body.
            now: the Trio clock, in seconds.

        Returns:
            The stream.

        Raises:
            ValueError: the request is malformed (RFC 9113 section 8.1.1), or the connection is gone:
                the stream is to be reset.
        """

    def feed(self, stream: int, data: bytes, ends: bool, now: float) -> None:
        """Bytes of a request body; `ends` says that these are the last.

        They are kept until they can go on: how many a client may send is bounded by whoever carries the stream.
        """

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float) -> None:
        """The trailers that end a request body. Raises ValueError when they are malformed."""

    def reset_stream(self, stream: int, now: float) -> None:
        """The client gave the stream up, or its connection is gone: cancel all its work."""

    def answer_head(self, stream: int, fields: FieldBlock, now: float) -> None:
        """The head of a backend's answer, or of an interim one; a malformed one ends the attempt."""

    def break_stream(self, stream: int, unseen: bool, now: float) -> None:
        """A backend broke a stream off, or its connection is gone.

        `unseen` says that it did nothing with the request for certain, so that another attempt is safe.
        """

    def set_room(self, connection: int, most: int, now: float) -> None:
        """So many streams a backend takes at once on a connection; 100 until told, 0 for no more."""

    def backend_of(self, connection: int) -> str:
        """The address of a connection's backend, for the log; empty when the connection is gone."""

    def set_sockets(self, connection: int, allowed: bool, now: float) -> None:
        """The settings of a backend have come: whether it takes WebSockets on streams of a connection."""

    def dialled(self, connection: int, room: int, now: float) -> None:
        """A connection that `DIAL` asked for is made; its backend takes so many streams at once."""

    def dial_failed(self, connection: int, problem: str, is_tls: bool, now: float) -> None:
        """None could be made; `is_tls` says that the two did not agree in the handshake."""

    def check_backend(self, connection: int, name: str, chain: list[bytes]) -> None:
        """Check the chain, in DER, that a backend shows while its connection is being made.

        Raises:
            ValueError: What is wrong with it.
        """

    def taken(self, stream: int, count: int) -> None:
        """The other side took so many bytes of the body: 64 KiB beyond that are told at most."""

    def set_unix_offset(self, seconds: float) -> None:
        """Tell how far Unix time is ahead of the clock that `turn` is given."""

    @property
    def pending(self) -> bool:
        """Whether `turn` has work without waiting for `fileno()`."""

    def resume(self, exchange: Exchange, now: float) -> list[_Event]:
        """Go on behind the hook. Raises `ExchangeGone` when the exchange was given back before."""

    def reject(self, exchange: Exchange, now: float) -> list[_Event]:
        """A match_route hook said no: look for another route."""

    def respond(
        self,
        exchange: Exchange,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        now: float,
    ) -> list[_Event]:
        """Answer. From a call_backend hook the response steps still run.

        Raises:
            ValueError: a status outside 200..599 or a header that cannot be sent; the exchange stays held.
        """

    def refuse(
        self, exchange: Exchange, status: int, message: str, cause: str | None, now: float
    ) -> list[_Event]:
        """Answer with an error in Otoroshi's format (HTML or JSON by `Accept`)."""

    def read_body(self, exchange: Exchange, limit: int, now: float) -> tuple[bool, list[_Event]]:
        """Ask for the whole request body; an event 3 follows, at once if the body is here.

        Returns:
            Whether the exchange is still there (if not, no event follows), and events.
        """

    def read_response(
        self, exchange: Exchange, limit: int, now: float
    ) -> tuple[bool, list[_Event]]:
        """Ask for the whole response body; an event 3 follows, at once if the body is here.

        What is read goes on to the client, also when the body is too large.

        Returns:
            Whether there is a response whose head waits for this hook (if not, no event follows), and events.
        """

    def resolved(self, hostname: str, addresses: Sequence[str], now: float) -> list[_Event]:
        """Tell the addresses of a host name; none means there are none."""

    def capture(self, settings: bytes) -> None:
        """Keep other access records from now on.

        Args:
            settings: JSON: `records` (how many wait at most; 0 makes none), `details` (whether they tell what events
                need), `alerts` (without details: how many exchanges that raised an alert wait at most, with details all
                the same), and `redaction` (what of them may be told).

        Raises:
            ValueError: What is wrong with it; nothing is changed then.
        """

    def drain_records(self, max: int) -> bytes:
        """Up to `max` access records as one msgpack array of arrays, oldest first."""

    def log_access(self, listeners: set[str]) -> None:
        """Make a line of each request that ends from now on and came by one of these listeners, and of no other.

        Lines are as web servers write them, without the query; they wait for `take_access_lines`, 1 MiB at most.
        """

    def take_access_lines(self) -> tuple[bytes, int]:
        """Take the lines of `log_access`, and how many were lost since the last time."""

    def drain_tcp_records(self, max: int) -> bytes:
        """Up to `max` records of connections of TCP services, likewise."""

    def drain_alerts(self) -> bytes:
        """The records of exchanges that raised alerts while records have no details, likewise."""

    def metrics(self) -> dict[str, Any]:
        """The counters since the start."""

    def count_routes(self, ids: list[str]) -> list[tuple[str, int, int, int, float, float, int]]:
        """What the calls of some routes came to.

        Each with its id: calls, bytes in, bytes out, seconds that the calls took, seconds of that not spent
        waiting for a backend, and calls that run now. A route without any call so far is left out. Cost: one look at every connection.
        """

    def tallied_routes(self) -> list[tuple[str, int, int, int, float, float, int]]:
        """The same of every route that had calls, 100,000 at most, without those that run."""

    def drain(self, now: float) -> None:
        """Stop accepting, close idle connections, end the others after their answer."""

    def in_flight(self) -> dict[str, int]:
        """What a drain waits for: connections, exchanges, tunnels; and pooled connections."""

    @property
    def oldest_generation(self) -> int:
        """The oldest snapshot generation that an exchange inside the engine still runs on."""

    def close(self) -> None:
        """Close every socket."""

@final
class Exchange:
    """One request and its response, while Python holds them.

    Given back to the engine it is of no further use: every access raises `ExchangeGone`.
    """

    @property
    def id(self) -> int:
        """Unique in this engine."""

    @property
    def slot(self) -> int:
        """The hook to run; -1 for the gateway's monitoring pages."""

    @property
    def inline(self) -> bool:
        """Whether the hook is a plain function."""

    @property
    def phase(self) -> str:
        """The phase of the hook."""

    @property
    def plugin(self) -> str:
        """The plugin's id."""

    @property
    def generation(self) -> int:
        """Generation of the snapshot the exchange runs on."""

    @property
    def unix_time(self) -> float:
        """Now, in Unix seconds, as the plan sees it."""

    @property
    def request_id(self) -> int:
        """Otoroshi's id of the request, a snowflake that no other request of the cluster has."""

    @property
    def received_at(self) -> float:
        """When the request was here, in Unix seconds."""

    @property
    def proxy_latency_ms(self) -> int:
        """Milliseconds from the request to the first call of the backend; 0 before."""

    @property
    def upstream_latency_ms(self) -> int | None:
        """Milliseconds from the first call of the backend to its answer; None without one."""

    @property
    def remaining_calls(self) -> tuple[int, int] | None:
        """Calls that the caller's API key has left today and this month; None when none were counted."""

    @property
    def client_certificate(self) -> ClientCertificate | None:
        """The certificate the client proved to own in its TLS handshake."""

    @property
    def apikey(self) -> ApiKey | None:
        """The API key of the caller; assign to let a caller in by another key."""

    @apikey.setter
    def apikey(self, key: ApiKey | None, /) -> None: ...
    def find_api_key(self, client_id: str) -> ApiKey | None:
        """Look a stored API key up."""

    def note(self, name: str, text: str) -> None:
        """Add to the data of the exchange's event; no secret may be in it."""

    def tell_context(self, name: str, text: str) -> None:
        """Give expressions a text, `${ctx.name}`; an exchange keeps 256 of them."""

    @property
    def wanted_key_set(self) -> str | None:
        """What the native step lacks that left its decision to the hook: JSON with its `url`."""

    def put_key_set(self, wanted: str, body: bytes | None, now: float) -> None:
        """Keep a key set for all exchanges of this engine that fetch it with the same settings.

        Args:
            wanted: the settings, as `wanted_key_set` has them.
            body: its JSON; None notes that it could not be fetched.
            now: the Trio clock, in seconds.

        Raises:
            ValueError: it is no key set; noted as a failure.
        """

    @property
    def may_ask_again(self) -> bool:
        """Whether the backend answered, another attempt is allowed, and the request is all here."""

    def ask_again(self) -> None:
        """Have the request sent to the backend again when the transform_response hook returns None, if it may."""

    def decide(self, now: float) -> bool | tuple[int, list[tuple[str, str]], bytes]:
        """Let the native step decide again that left its decision to the hook.

        Args:
            now: the Trio clock, in seconds.

        Returns:
            True to go on; False when it still cannot decide; else status, fields and body of its
            answer.
        """

    @property
    def route_id(self) -> str:
        """The route's id; empty before a route is found."""

    @property
    def route_name(self) -> str:
        """The route's name."""

    @property
    def secured(self) -> bool:
        """Whether the client came over TLS, a trusted proxy's word included."""

    @property
    def remote_address(self) -> str:
        """The client's address, as a trusted proxy or the socket says."""

    @property
    def forwarded_for(self) -> str:
        """`X-Forwarded-For` for the backend: what a trusted proxy said, then the socket's address."""

    @property
    def listener(self) -> str:
        """The listener's id."""

    @property
    def matched_path(self) -> str:
        """The part of the path that the route's declared path matched."""

    @property
    def path_params(self) -> dict[str, str]:
        """Path parameters by name; a copy."""

    @property
    def strip_path(self) -> bool:
        """Whether the route takes the matched path off."""

    @property
    def target_hostname(self) -> str | None:
        """Host name of the chosen target, once chosen."""

    @property
    def target_address(self) -> str | None:
        """Where the chosen target is, as ``host:port``, or ``unix:`` and a path."""

    @property
    def upstream_url(self) -> str | None:
        """The whole URL that the backend is asked for, as it stands now; None without a target."""

    @property
    def limits(self) -> ExchangeLimits:
        """The counters, for plugins that limit."""

    @property
    def request(self) -> Request:
        """The canonical request."""

    @property
    def response(self) -> ResponseHead | None:
        """The response head, once there is one."""

    @property
    def user(self) -> dict[str, Any] | None:
        """The logged-in user in Otoroshi's JSON, as a copy; assign to log one in for this exchange."""

    @user.setter
    def user(self, user: Mapping[str, Any] | None) -> None: ...
    @property
    def token(self) -> dict[str, Any] | None:
        """The last token that was verified: `payload`, and `header` when it is known; as a copy."""

    @property
    def plugins_config(self) -> dict[str, Any]:
        """What the global config's `plugins.config` says to all plugins, as a copy."""

    def alert(self, name: str, fields: Mapping[str, object]) -> None:
        """Raise an alert; of one exchange, 16 are kept. No secret may be in its fields."""

    def watch(self, watch: object) -> None:
        """Have this object handed up with the bytes of both connections should they change their protocol (event 21)."""

    def hide(self, secret: str) -> None:
        """Take a text of four bytes or more out of what the exchange's event tells; 16 are."""

    @property
    def attrs(self) -> dict[str, Any]:
        """A dictionary that lives with the exchange, shared by its plugins."""

    @property
    def backend_root(self) -> str:
        """What the backend puts before the path; empty when it replaces the whole path by it."""

    @property
    def upstream_query(self) -> str:
        """The query that the backend gets, without `?`; may be set."""

    @upstream_query.setter
    def upstream_query(self, value: str) -> None: ...
    def mount(self, app: str) -> None:
        """Have an application of this process answer in the backend's place: `(22, (connection, app))` hands it over."""

    def add_to_response(self, name: str, value: str) -> None:
        """Send a field with whatever answer goes out.

        Raises:
            ValueError: not a header name or value, or a field that frames the message.
        """

    def native(self) -> Exchange:
        """Itself; what imitates an exchange answers with one of these."""

    def advance(self) -> _Decision:
        """Run native steps until something outside must happen; only for `Snapshot.begin`.

        Returns:
            ("python", slot, inline): run this hook, then advance;
            ("forward", (hostname, port, tls) or None when no target can be used, path and query,
            Host, fields): call the backend, then `receive`;
            ("reply", status, fields, body): send this; ("stream", status, fields): send this head
            and the backend's body; ("finished",).
        """

    def reject(self) -> None:
        """A match_route hook said no: `advance` goes on with another route."""

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> _Decision:
        """A hook answered; from call_backend the response steps run first."""

    def refuse(self, status: int, message: str, cause: str | None = None) -> _Decision:
        """A hook refused: an error in Otoroshi's format."""

    def finish(self) -> _Decision:
        """Run the steps that come when the exchange is over; again after each of their hooks."""

    def receive(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> _Decision:
        """The backend answered with this head: run the response steps."""

    def bind_reader(self, reader: Callable[[Exchange, int, bool], Awaitable[bytes]]) -> None:
        """Set what `request.read` and `response.read` call; the last argument says which of them."""

@final
class ApiKey:
    """An API key; never changes."""

    @staticmethod
    def read(document: bytes) -> ApiKey:
        """Read a key that is not stored, such as one that stands for a certificate.

        Raises:
            ValueError: A required key of the JSON is missing or wrong.
        """

    @property
    def client_id(self) -> str:
        """The client's id."""

    @property
    def client_name(self) -> str:
        """The client's name."""

    @property
    def client_secret(self) -> str:
        """The secret: to sign in the client's name, never for an answer, a log or an event."""

    @property
    def tenant(self) -> str:
        """The tenant that owns the key."""

    @property
    def tags(self) -> list[str]:
        """Its tags."""

    @property
    def metadata(self) -> dict[str, str]:
        """Its metadata, as a copy."""

    def light(self) -> dict[str, Any]:
        """Return what tokens and events tell of it: `clientId, clientName, metadata, tags`."""

    @property
    def allows_client_id_only(self) -> bool:
        """Whether the client's id suffices."""

    @property
    def is_constrained(self) -> bool:
        """Whether it is for routes that constrain their keys alone."""

    def is_enabled(self, unix_s: float) -> bool:
        """Tell whether the client may come in at a Unix time."""

    def has_secret(self, secret: str) -> bool:
        """Compare a text with the secret, and the next one while both are good, in constant time."""

    def has_bearer(self, token: str) -> bool:
        """Tell whether a token `otoapk_…` stands for its id and secret."""

    def is_in_group(self, group: str) -> bool:
        """Tell whether it is authorised on a group."""

    def may_call(self, exchange: Exchange) -> bool:
        """Tell whether it may call the exchange's route, and belongs to the route's tenant."""

    def is_of_tenant(self, exchange: Exchange) -> bool:
        """Tell whether the tenant that owns it owns the exchange's route too."""

    def has_signed(
        self,
        exchange: Exchange,
        token: str,
        *,
        secret_signed: bool = True,
        keypair_signed: bool = True,
        include_request_attrs: bool = False,
        max_lifespan_s: float | None = None,
    ) -> bool:
        """Tell whether it is enabled and signed a token that came with the exchange."""

    def sign_token(self, exchange: Exchange, claims: bytes, default_pair: str) -> str:
        """Sign claims in the client's name.

        With the key pair that its metadata name (`jwt-sign-keypair`), else with another one, else
        with its secret: RS256, the curve's algorithm, or HS512.

        Args:
            exchange: Where the certificates are looked up.
            claims: A JSON object.
            default_pair: Id of the certificate that signs for keys that name none.

        Raises:
            ValueError: The claims are no JSON object, or the secret is empty.
        """

    def restricted(self, exchange: Exchange) -> int | None:
        """Return the status with which its restrictions refuse the exchange; None lets it pass."""

    def count_call(self, exchange: Exchange, *, update: bool = True) -> bool:
        """Count a call, or with `update=False` look only; tell whether the quotas hold."""

    @staticmethod
    def tell_broken_quota(exchange: Exchange) -> None:
        """Tell the client how its quotas stand and when to come back, once `count_call` found one broken."""

@final
class ClientCertificate:
    """What a client proved to own in its TLS handshake; never changes."""

    @property
    def chain(self) -> list[bytes]:
        """The chain in DER, the client's own first."""

    @property
    def subject(self) -> str:
        """The subject, as `CN=a, OU=b`."""

    @property
    def issuer(self) -> str:
        """The issuer, as `CN=a, OU=b`."""

    @property
    def common_name(self) -> str | None:
        """The subject's first common name."""

    @property
    def serial(self) -> str:
        """The serial number in hexadecimal, lower case."""

    @property
    def alternative_names(self) -> list[str]:
        """DNS names, addresses, mail addresses and URIs of the subject alternative name."""

    @property
    def not_before_s(self) -> int:
        """Valid from, in Unix seconds."""

    @property
    def not_after_s(self) -> int:
        """Valid until, in Unix seconds."""

    @property
    def is_trusted(self) -> bool:
        """Whether a trusted authority vouches for it."""

    def certificates(self) -> list[ClientCertificate]:
        """Each certificate of the chain on its own, the client's first."""

@final
class Request:
    """The request of an exchange."""

    @property
    def method(self) -> str:
        """The method, as sent."""

    @property
    def path(self) -> str:
        """The canonical path, without query."""

    @property
    def query(self) -> str:
        """The query without `?`; empty when there is none."""

    @property
    def host(self) -> str:
        """Host with port."""

    def set_query(self, query: str) -> None:
        """Put another query in place, without `?`; an empty one is none.

        Raises:
            ValueError: It holds a character that no query may.
        """

    @property
    def domain(self) -> str:
        """Host in lower case, without port."""

    @property
    def version(self) -> str:
        """`1.0` or `1.1`."""

    @property
    def upgrade(self) -> str | None:
        """The protocol that the client would change to, and that may be passed on; `websocket` mostly."""

    @property
    def headers(self) -> Headers:
        """The fields, live."""

    @property
    def content_length(self) -> int | None:
        """How long the body says it is; None when it does not say."""

    @property
    def has_body(self) -> bool:
        """Whether a body is announced."""

    def read(self, limit: int) -> Awaitable[bytes]:
        """Read the whole body, of `limit` bytes at most; only in `async def` hooks."""

@final
class ResponseHead:
    """The response of an exchange."""

    def read(self, limit: int) -> Awaitable[bytes]:
        """Read the whole body, of `limit` bytes at most; only in `async def` hooks."""

    @property
    def status(self) -> int:
        """The status; may be set to 200..599."""

    @status.setter
    def status(self, value: int) -> None: ...
    @property
    def headers(self) -> Headers:
        """The fields, live."""

@final
class Headers:
    """Header fields, live: names without case, values as Latin-1 text, wire order kept."""

    def get(self, name: str) -> str | None:
        """The first value."""

    def get_all(self, name: str) -> list[str]:
        """All values."""

    def set(self, name: str, value: str) -> None:
        """Put one field in place of all of that name.

        Raises:
            ValueError: not a header name or value, or a field that frames the message.
        """

    def add(self, name: str, value: str) -> None:
        """Add a field behind the others."""

    def remove(self, name: str) -> bool:
        """Remove all fields of that name; says whether there was one."""

    def items(self) -> list[tuple[str, str]]:
        """All fields."""

    def __contains__(self, name: str, /) -> bool: ...

class _Native(Protocol):
    """What stands for an exchange: the engine's own, or one that imitates it."""

    def native(self) -> Exchange: ...

@final
class Template:
    """A text with expressions of Otoroshi's language, compiled once (`docs/expressions.md`)."""

    def __new__(cls, source: str) -> Self:
        """Compile a text.

        Raises:
            ValueError: it is too long, has too many expressions, or a regular expression in it is none
                that can be run.
        """

    @property
    def source(self) -> str:
        """The text as it was written."""

    @property
    def is_literal(self) -> bool:
        """Whether there is nothing to evaluate in it."""

    def render(self, exchange: _Native) -> str:
        """Return the text with its values.

        Raises:
            ExchangeGone: the exchange was given back to the engine.
        """

    def render_counted(self, exchange: _Native) -> str:
        """Return the text with its values, the client's address as it is counted.

        See `ExchangeLimits.counted_address`.

        Raises:
            ExchangeGone: the exchange was given back to the engine.
        """

    def render_header(self, exchange: _Native) -> str:
        """Return the text with its values; what no header can carry is replaced by `?`."""

@final
class Router:
    """Routes by the requests they want, as `docs/routing.md` says; a copy shares all with its origin."""

    def __new__(cls) -> Self:
        """A router without routes."""

    def insert(
        self,
        id: str,
        frontend: bytes,
        *,
        enabled: bool = True,
        bound_listeners: Sequence[str] = ...,
    ) -> None:
        """Put a route in, in the place of an earlier one of the same id.

        Args:
            id: id of the route.
            frontend: Otoroshi's JSON object `frontend`.
            enabled: false keeps the route out of every choice.
            bound_listeners: names of the listeners that serve the route; none means all that are
                not exclusive.

        Raises:
            ValueError: names the field, the text and the fix; nothing is changed.

        Cost: proportional to the declared paths, not to the routes there are.
        """

    def remove(self, id: str) -> bool:
        """Take a route out; whether there was one."""

    def find(
        self,
        method: str,
        host: str,
        path: str,
        query: str = "",
        headers: Sequence[tuple[str, str]] = ...,
        listener: str = "standard-listener",
        *,
        exclusive: bool = False,
    ) -> tuple[str, int, list[tuple[str, str]], bool] | None:
        """Find the route that takes a request.

        Args:
            method: as sent.
            host: lower-case, without port.
            path: canonical, without query.
            query: raw, without `?`.
            headers: names in any case, values as Latin-1 text.
            listener: name of the listener.
            exclusive: whether the listener serves only routes bound to it.

        Returns:
            Id of the route, how many bytes of the path its declaration matched, the names it binds,
            and whether it matched every segment; None when no route takes the request.
        """

    def explain(
        self,
        method: str,
        host: str,
        path: str,
        query: str = "",
        headers: Sequence[tuple[str, str]] = ...,
        listener: str = "standard-listener",
        *,
        exclusive: bool = False,
    ) -> dict[str, Any]:
        """Say which route takes a request and why each other one that could does not.

        Args are those of `find`. The answer has `winner`, and `candidates` in the order they were
        asked, each with `id`, `declared` and `loss` (None for the winner, else `code` and `detail`).
        """

    def snapshot(self) -> Router:
        """A copy that later changes do not reach, and the other way round. Cost: constant."""

    def __len__(self) -> int: ...
    def __contains__(self, id: str, /) -> bool: ...

@final
class Pattern:
    """A regular expression in Java's syntax, as Otoroshi's users write it.

    Time is linear in the text, whatever the expression; look-around, back-references and possessive
    quantifiers are refused.
    """

    def __new__(cls, source: str) -> Self:
        """Compile.

        Raises:
            ValueError: What of the expression is wrong, or cannot be run here.
        """

    @property
    def source(self) -> str:
        """The expression as written."""

    def matches(self, text: str) -> bool:
        """Tell whether the whole text matches. Text with lone surrogates raises `UnicodeEncodeError`."""

def access_lines(batch: bytes, unix_offset_s: float) -> bytes:
    """A batch of records as lines of JSON, for the access log. Lets go of the GIL.

    Args:
        batch: What `Engine.drain_records` gave.
        unix_offset_s: What to add to the records' times to get Unix time.

    Raises:
        ValueError: it is no such batch.

    Cost: about a microsecond a record.
    """

def asked_name(text: str, /) -> str | None:
    """Read the server name that a client's first message asks for, as handshakes of the engine do.

    Returns:
        The name in lower case, without a final dot; None when it is an address, which is no name (RFC 6066 section 3).

    Raises:
        ValueError: it is neither.
    """

def read_data_frames(data: bytes, left: int, /) -> tuple[bytes, int, int]:
    """Read DATA frames of HTTP/3 (RFC 9114 section 7.2.1) out of the data of a stream.

    Args:
        data: what came.
        left: bytes of a frame that is not whole yet; 0 between two frames.

    Returns:
        What the frames carry; how much of the last one is still to come; and how many bytes were read: what is behind them is a
        frame of another type or without a payload, or its header is not whole.
    """

@final
class Redaction:
    """The rules that take secrets out of what is told; `docs/events.md` has them."""

    def __new__(cls, settings: bytes) -> Self:
        """Make the rules.

        Args:
            settings: JSON: `headers`, `query` and `fields`, each name to action, and `hash_key`.

        Raises:
            ValueError: Which of the settings is wrong, and why.
        """

    def header(self, name: str, value: str) -> str | None:
        """Return a header's value as it may be told; None when the whole field is left out."""

    def query(self, query: str) -> str:
        """Return a query string without its secrets."""

    def path(self, path: str) -> str:
        """Return a path without segments that look like credentials."""

    def text(self, text: str) -> str:
        """Return a text as it may be told: no credential, no secret in the query of a URL."""

    def json(self, document: bytes) -> bytes:
        """Return JSON text without secrets.

        Raises:
            ValueError: It is no JSON.
        """

@final
class FieldBlock:
    """The fields of one message of HTTP/2 or HTTP/3, in order: pairs of bytes, pseudo-fields first.

    Immutable. Its text form tells how many fields there are and never a value.
    """

    def __new__(
        cls,
        fields: Iterable[tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, bool]]
        | None = None,
        /,
    ) -> Self:
        """A block of these fields; text becomes UTF-8.

        Args:
            fields: names and values; a tuple may have a third element that says whether no coder may
                keep the field in a table. So may `hpack.NeverIndexedHeaderTuple`.

        Raises:
            TypeError: A field is no such tuple.
        """

    @property
    def status(self) -> int | None:
        """What `:status` says; None unless the block begins with it and it is three digits."""

    @property
    def size(self) -> int:
        """Bytes as HTTP/2 counts them: 32 for each field beside its own."""

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field of a name (in lower case), or None."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> tuple[bytes, bytes]: ...
    def __iter__(self) -> Iterator[tuple[bytes, bytes]]: ...

@final
class HpackEncoder:
    """Writes field blocks (RFC 7541), one encoder a connection; `h2` takes it as `connection.encoder`.

    A field goes into the dynamic table when it is written the second time. Credentials and cookies,
    and fields that are marked so, never do: they are written as never indexed.
    """

    def __new__(cls) -> Self: ...
    @property
    def header_table_size(self) -> int:
        """Bytes of the dynamic table in use: what the peer's SETTINGS allow, 4096 at most."""

    @header_table_size.setter
    def header_table_size(self, size: int) -> None: ...
    def encode(
        self,
        headers: FieldBlock
        | Iterable[tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, bool]],
        huffman: bool = True,
    ) -> bytes:
        """Write one block.

        Args:
            headers: the fields, names in lower case; what `FieldBlock` can be made of.
            huffman: whether strings are written in the Huffman code where that is shorter.

        Raises:
            TypeError: A field is no pair; nothing is written then.
        """

@final
class FrameReader:
    """What a peer of HTTP/2 sends, from which whole frames are taken (RFC 9113 section 4.1)."""

    def __new__(cls) -> Self: ...
    def __len__(self) -> int:
        """Return how many bytes were added and not taken."""

    def add(self, data: bytes, /) -> None:
        """Add what the peer sent."""

    def take(self, largest: int, /) -> tuple[int, int, int, bytes] | None:
        """Take the next frame: its kind, flags, stream and what is in it; None while it is not there whole.

        Args:
            largest: Bytes that may be in it.

        Raises:
            h2.exceptions.FrameTooLargeError: It is larger; its first nine bytes tell.
        """

@final
class FrameWriter:
    """Frames for a peer of HTTP/2, one behind the other; `h2` adds its own as to a `bytearray`.

    Args:
        encoder: Writes the heads.
    """

    def __new__(cls, encoder: HpackEncoder, /) -> Self: ...
    def __len__(self) -> int:
        """Return how many bytes were written and not taken."""

    def __iadd__(self, frames: bytes | bytearray, /) -> Self:
        """Add frames as they are."""

    def head(self, fields: FieldBlock, stream: int, ends: bool, largest: int, /) -> None:
        """Write HEADERS, and CONTINUATION for what is beyond `largest` bytes; `ends` ends the stream."""

    def data(self, data: bytes, stream: int, ends: bool, /) -> None:
        """Write a DATA frame; `ends` ends the stream."""

    def take(self) -> bytes:
        """Take all that was written."""

@final
class QuicKeys:
    """The keys of one direction of a QUIC connection whose handshake is done (RFC 9001 section 5).

    Opens and seals many packets with one call. What a peer sends never raises.
    """

    def __new__(cls, suite: int, key: bytes, iv: bytes, header: bytes, /) -> Self:
        """Keys as they were derived from a secret of the handshake.

        Args:
            suite: the number of the cipher suite in TLS: 0x1301, 0x1302 or 0x1303.
            key: of the payload.
            iv: 12 bytes.
            header: the key of the header's protection.

        Raises:
            ValueError: there is no such suite in QUIC, or a length is not that of the suite.
        """

    def open_runs(
        self,
        runs: list[tuple[bytes, int]],
        cid: bytes,
        phase: bool,
        expected: int,
        lowest: int,
        /,
    ) -> tuple[int, list[tuple[int, int]], bool, bool, list[tuple[int, bytes, int, int]]]:
        """Open datagrams that came together, up to the first one that is no plain packet of a transfer.

        A plain packet has a short header with the identifier and the phase of the arguments, a number above those before
        it, and well-formed frames of these types only: PADDING, PING, ACK, STREAM, MAX_DATA, MAX_STREAM_DATA, DATA_BLOCKED and
        STREAM_DATA_BLOCKED, as few as an honest transfer has: 32, and no PING, ACK or stream twice, and no STREAM without data
        or an end. What is not one is told nothing of.

        Args:
            runs: datagrams of one peer, one behind the other, with the length of each but the last, which may be shorter.
            cid: the connection identifier that they have to name.
            phase: the key phase of these keys.
            expected: the number of the packet that is expected next.
            lowest: the lowest number that is taken.

        Returns:
            How many bytes of the runs were read; the numbers of the packets, as ranges without their ends; whether
            some of them are to be acknowledged; the spin bit of the last one; and frames, as type, what is behind the type,
            0 and 0, or for STREAM as type (0x0e or 0x0f), data, stream and offset. Of STREAM frames that go on where
            another ends, one is made; an ACK that says all that an earlier one says takes its place.
        """

    def seal_flight(
        self,
        cid: bytes,
        spin: bool,
        phase: bool,
        number: int,
        lead: bytes,
        pieces: list[tuple[int, int, bytes, bool]],
        size: int,
        room: int,
        most: int,
        /,
    ) -> list[tuple[bytes, list[tuple[int, int, int, bool]]]]:
        """Make datagrams with data of streams, each of the full size but the last.

        Args:
            cid: the connection identifier of the peer.
            spin: the spin bit.
            phase: the key phase of these keys.
            number: of the first packet.
            lead: frames that are written already, to go first, whatever room there is.
            pieces: what is to be sent in this order, as stream, offset, data and whether the stream ends behind it.
            size: bytes of a datagram, at most.
            room: bytes of all of them, at most; none is made that is only smaller for want of room.
            most: datagrams, at most.

        Returns:
            Each datagram with what it holds of the pieces: position in `pieces`, where in the stream it begins
            and ends, and whether the stream ends with it.
        """

@final
class HpackDecoder:
    """Reads field blocks (RFC 7541), one decoder a connection; `h2` takes it as `connection.decoder`.

    Bounds hold while a block is decoded, so a small block that stands for a large list costs no more
    than the bound.
    """

    def __new__(
        cls, *, max_header_list_size: int | None = None, max_fields: int | None = None
    ) -> Self:
        """A decoder with an empty table.

        Args:
            max_header_list_size: bytes of a decoded list, 32 for each field beside its own; 64 KiB
                when None.
            max_fields: fields of a list; 256 when None.
        """

    @property
    def header_table_size(self) -> int:
        """Bytes of the dynamic table, as the peer chose."""

    @header_table_size.setter
    def header_table_size(self, size: int) -> None: ...
    @property
    def max_allowed_table_size(self) -> int:
        """The largest table the peer may choose: the acknowledged SETTINGS_HEADER_TABLE_SIZE."""

    @max_allowed_table_size.setter
    def max_allowed_table_size(self, size: int) -> None: ...
    @property
    def max_header_list_size(self) -> int:
        """Bytes of a decoded list, 32 for each field beside its own."""

    @max_header_list_size.setter
    def max_header_list_size(self, size: int) -> None: ...
    @property
    def max_fields(self) -> int:
        """Fields of a list."""

    @max_fields.setter
    def max_fields(self, count: int) -> None: ...
    def decode(self, data: bytes, raw: bool = True) -> FieldBlock:
        """Read one whole block.

        Args:
            data: the block, without the frames around it.
            raw: must be True: fields are bytes.

        Raises:
            hpack.OversizedHeaderListError: The list passes a bound; the text names it.
            hpack.HPACKDecodingError: The block is malformed. The decoder is of no use after either.
            ValueError: `raw` is False.
        """

@final
class HmacVerifier:
    """Checks the signature that Otoroshi's scheme `hmac` puts under `Authorization`.

    Args:
        secret: what caller and gateway share; an empty one leaves it to the exchange's API key.
        authorization_header: the field that carries the signature; when a request lacks it, and by
            default, one of `Authorization` and `Proxy-Authorization` does.
    """

    def __new__(cls, secret: str, authorization_header: str | None = None) -> Self: ...
    def verify(self, headers: Sequence[tuple[str, str]], exchange: object | None = None) -> bool:
        """Tell whether the request's sender has the secret; compared in constant time.

        Args:
            headers: the request's fields in wire order, values as Latin-1 text.
            exchange: whose API key's secret counts when the verifier has none of its own.

        Raises:
            ValueError: a value has a character outside Latin-1.
        """

@final
class TokenKeys:
    """The keys of one of Otoroshi's algorithm settings, for tokens that hooks make and check.

    Args:
        settings: JSON of the settings (`{"type": "HSAlgoSettings", ...}`).

    Raises:
        ValueError: names the field, the problem and the fix; never a secret.
    """

    def __new__(cls, settings: bytes) -> Self: ...
    def sign(self, claims: bytes, exchange: object | None = None) -> str | None:
        """Sign claims as a compact JWT; None when there is no key to sign with.

        Args:
            claims: JSON of the claims.
            exchange: the exchange whose snapshot has the certificates, for settings that name one.

        Raises:
            ValueError: the claims are no JSON object.
        """

    def verify(self, token: str, exchange: object | None = None) -> bytes:
        """Return the claims of a token, as JSON, when its signature is good. Times are not checked.

        Raises:
            ValueError: why the token is none, or is not the key's.
        """

@final
class Limits:
    """Counters by key: windows, days, months, token buckets, bans, calls at once (`docs/limits.md`).

    A table in memory, of this process alone or in a file that all workers of a machine map; then what
    it counts is exact among them. `now` is the Trio clock, `unix_time` the clock on the wall, both in
    seconds.
    """

    def __new__(
        cls,
        *,
        slots: int = 4096,
        seed: tuple[int, int] = ...,
        window_ms: int = 10_000,
        utc_offset_s: int = 0,
        fd: int | None = None,
    ) -> Self:
        """A new table.

        Args:
            slots: counters there is room for; rounded up. A counter takes 73 bytes.
            seed: the secret of its keys, two numbers below 2**64; counts are found again after a
                restart by the same seed.
            window_ms: the throttling window.
            utc_offset_s: how far the server's time zone is east of UTC.
            fd: an empty file to make it in, which must never be cut shorter; None keeps it in this
                process.

        Raises:
            OSError: there is no memory, or the file cannot be mapped.
        """

    @staticmethod
    def open(fd: int, gauge: int) -> Limits:
        """Use the table that another process made.

        Args:
            fd: its file; may be closed afterwards.
            gauge: the number under which this process counts its calls at once; its own, below
                `gauges`.

        Raises:
            OSError: it is no table of this version, or is cut short.
        """

    @property
    def gauges(self) -> int:
        """Processes that may count their calls at once."""

    @property
    def window_ms(self) -> int:
        """The throttling window in milliseconds."""

    def set_clock_offset(self, seconds: float) -> None:
        """Tell how far the machine's monotonic clock is ahead of this process's Trio clock."""

    def set_utc_offset(self, seconds: int) -> None:
        """Tell every process how far the server's time zone is east of UTC."""

    def consume_quota(
        self,
        client_id: str,
        now: float,
        unix_time: float,
        *,
        window: int = 10_000_000,
        daily: int = 10_000_000,
        monthly: int = 10_000_000,
        strategy: bytes | None = None,
        bucket: str = "",
    ) -> Usage:
        """Count a call of an API key. 10,000,000 is no limit.

        Args:
            client_id: the key's id.
            now: now.
            unix_time: now.
            window: calls in a throttling window.
            daily: calls in a day.
            monthly: calls in a month.
            strategy: Otoroshi's JSON of a `throttlingStrategy`; its quota counts then.
            bucket: its `bucketKey`, evaluated; empty counts by the client id.

        Raises:
            ValueError: the strategy is none; names the field.
        """

    def peek_quota(
        self,
        client_id: str,
        now: float,
        unix_time: float,
        *,
        window: int = 10_000_000,
        daily: int = 10_000_000,
        monthly: int = 10_000_000,
    ) -> Usage:
        """What `consume_quota` has counted; counts nothing."""

    def reset_quota(self, client_id: str, now: float, unix_time: float) -> None:
        """Set an API key's day and month back to 0."""

    def take_changed(self) -> list[tuple[int, bytes]]:
        """The parts of the table in which days or months changed since the last call.

        Returns:
            The number of the part, and its page: every day and month in it, 32 bytes a key.
        """

    def restore(self, page: bytes, now: float, unix_time: float) -> int:
        """Bring back a page that `take_changed` gave; added to what was counted meanwhile.

        All that is brought back counts as changed.

        Returns:
            How many keys it has.

        Raises:
            ValueError: it is no page.
        """

    def take_standings(
        self, start: int, most: int, now: float, unix_time: float
    ) -> tuple[int | None, list[_Standing]]:
        """How keys stand whose window, day or month changed since the last call, some at a time.

        Instead of `take_changed`: each of them takes what the other one would give.

        Args:
            start: where to go on, 0 at first.
            most: about how many are given; up to 63 more.
            now: now.
            unix_time: now.

        Returns:
            Where to go on, None at the end; and for each key its bytes, whether nothing was ever heard
            about it, its window (calls, milliseconds left, its end in milliseconds of the machine's clock),
            its day (number, calls) and its month.
        """

    def standing(self, key: bytes, now: float, unix_time: float) -> _Standing | None:
        """How one key stands; None when this machine knows nothing of it.

        Raises:
            ValueError: it is no key.
        """

    def api_key(self, client_id: str) -> bytes:
        """The key of an API key's window, day and month: 16 bytes, the same for the same seed."""

    def periods(self, unix_time: float) -> tuple[int, int]:
        """The numbers of a moment's day and month, as `take_standings` gives them."""

    def mark_again(self, key: bytes) -> None:
        """Let `take_standings` give a key once more.

        Raises:
            ValueError: it is no key.
        """

    def hear(
        self,
        key: bytes,
        now: float,
        unix_time: float,
        *,
        window: tuple[int, int],
        day: tuple[int, int, int],
        month: tuple[int, int, int],
    ) -> None:
        """Note what other machines counted of a key; decisions count it in from now on.

        Args:
            key: the key.
            now: now.
            unix_time: now.
            window: calls in their windows, and the milliseconds left of the last of these.
            day: its number, what others counted less what was taken back, and what this machine had
                told before it was started anew, which the first time is added to its own.
            month: likewise.

        Raises:
            ValueError: it is no key.
        """

    def sweep(self, part: int, parts: int, now: float, unix_time: float) -> int:
        """Free the counters of one part of the table that are over; how many were."""

    def release(self, pid: int, gauge: int) -> None:
        """Give back what a process that has ended held."""

    def occupancy(self) -> tuple[int, int]:
        """Counters in use, and room for counters."""

    @property
    def under_way(self) -> int:
        """Calls under way in all processes, where they are bounded."""

    @property
    def uncounted(self) -> int:
        """Calls let through uncounted because there was no room."""

    @property
    def forgotten(self) -> int:
        """Windows forgotten before their end to make room."""

@final
class Usage:
    """What one call did to its limits.

    Each is four numbers: calls used, the limit, its length and what is left of it in milliseconds.
    """

    @property
    def broken(self) -> Literal["window", "daily", "monthly"] | None:
        """The first limit that does not hold; None lets the call through."""

    @property
    def retry_after_s(self) -> int | None:
        """Seconds until no limit is broken any more; None when none is."""

    @property
    def window(self) -> tuple[int, int, int, int]:
        """The throttling window, or the token bucket."""

    @property
    def daily(self) -> tuple[int, int, int, int]:
        """The day."""

    @property
    def monthly(self) -> tuple[int, int, int, int]:
        """The month."""

@final
class ExchangeLimits:
    """The counters as one exchange sees them; see `plugin_api.limits`. Counts at the exchange's time.

    Every method raises `ExchangeGone` once the exchange was given back.
    """

    @property
    def counted_address(self) -> str:
        """The client's address as limits count it: of IPv6 its network, such as `2001:db8::/64`."""

    def window(self, key: str, limit: int, window_ms: int | None = None) -> Usage:
        """Count a call in a window that begins with its first call; None is the throttling window."""

    def quotas(
        self,
        key: str,
        *,
        window: int = 10_000_000,
        daily: int = 10_000_000,
        monthly: int = 10_000_000,
    ) -> Usage:
        """Count a call in the throttling window, the day and the month."""

    def strategy(self, key: str, strategy: bytes) -> Usage:
        """Count a call by a strategy in Otoroshi's JSON. Raises ValueError when it is none."""

    def fail(self, key: str, most: int, detect_ms: int, ban_ms: int) -> bool:
        """Count a failure; whether it was the last one that is allowed, and bans."""

    def banned_ms(self, key: str) -> int:
        """Milliseconds that a ban still lasts; 0 without one."""

    def address(self) -> Usage | None:
        """Count the call for its address, once an exchange; None when there is no limit."""

    def everybody(self) -> Usage | None:
        """Count the call for everybody, once an exchange; None when there is no limit."""

    def tell(self, usage: Usage, policy: str = "window") -> None:
        """Tell the client in `RateLimit`; the policy is `window`, `address` or `global`."""

    def retry_after(self, seconds: int) -> None:
        """Send `Retry-After`."""

@final
class TokenBucket:
    """So many calls at once, so many in the long run. Begins full; every interval brings tokens."""

    def __new__(cls, capacity: int, interval_ms: int, tokens: int) -> Self:
        """A full bucket.

        Args:
            capacity: tokens it holds, 1 to 2**32 - 1.
            interval_ms: milliseconds between two refills, which come at its multiples.
            tokens: tokens that a refill brings.

        Raises:
            ValueError: names the number that cannot be.
        """

    def take(self, now: float, tokens: int = 1) -> bool:
        """Take tokens, all or none; whether they were there."""

    def available(self, now: float) -> int:
        """Tokens in it."""

    def wait_s(self, now: float, tokens: int = 1) -> float | None:
        """Seconds until there are so many; None when it never holds them."""

@final
class JwtVerifier:
    """Checks compact JWS: signature, algorithm, times, claims.

    `none` is never accepted, a key only with algorithms of its own kind, `crit` and members named
    twice never. A moment is Unix seconds; nothing reads a clock.
    """

    def __new__(
        cls,
        keys: bytes,
        *,
        algorithms: Sequence[str] | None = None,
        issuers: Sequence[str] = ...,
        audiences: Sequence[str] = ...,
        required: Sequence[str] = ...,
        patterns: Sequence[tuple[str, str]] = ...,
        leeway: float = 10.0,
        max_age: float | None = None,
    ) -> Self:
        """Prepare keys and rules.

        Args:
            keys: JSON of Otoroshi's algorithm settings (HS, RS, ES), of a JWK, or of a key set.
            algorithms: the allow-list; None allows what the keys can do.
            issuers: `iss` must be one of them, when there are any.
            audiences: `aud` must have one of them, when there are any.
            required: claims that must be there and not null.
            patterns: claim and expression (Java's syntax) that its text must match in full.
            leeway: tolerance for `exp`, `nbf` and `iat`, 0 to 86400 seconds.
            max_age: `iat` may be this many seconds ago at most.

        Raises:
            ValueError: names the field and the fix, never a key.
        """

    def verify(self, token: str, unix_time: float) -> dict[str, Any]:
        """Check a token at a moment and return its claims.

        Raises:
            JwtRefused: why it is not accepted.

        Cost: the check of one signature, and a JSON read.
        """

    @staticmethod
    def header(token: str) -> dict[str, Any]:
        """Return the header of a token; nothing about it is verified.

        Raises:
            JwtRefused: it is no token.
        """

    @staticmethod
    def check(entity: bytes) -> None:
        """Check the JSON of a verifier entity as the engine reads it.

        Raises:
            ValueError: names the field and the fix, never a key.
        """

@final
class JwtSigner:
    """Signs claims as a compact JWS with one key and one algorithm."""

    def __new__(cls, key: bytes, algorithm: str | None = None) -> Self:
        """Prepare the key.

        Args:
            key: JSON of Otoroshi's algorithm settings (HS, RS, ES), or of a private JWK.
            algorithm: what to sign with; for a JWK only, and needed there.

        Raises:
            ValueError: names the field and the fix, never the key.
        """

    @property
    def algorithm(self) -> str:
        """What it signs with, such as `ES256`."""

    def sign(self, claims: bytes, header: bytes | None = None) -> str:
        """Sign.

        Args:
            claims: a JSON object.
            header: JSON object of members beside `alg`, `typ` and `kid`; `alg` cannot be replaced.

        Raises:
            ValueError: one of them is no JSON object, or names a member twice.
        """

@final
class MessageSigner:
    """Makes HTTP message signatures (RFC 9421) of responses.

    Args:
        settings: JSON of the plugin HttpSignatureSignResponse's config.

    Raises:
        ValueError: names the field, the problem and the fix; never a secret.
    """

    def __new__(cls, settings: bytes) -> Self: ...
    def sign(
        self,
        exchange: object,
        status: int,
        headers: Sequence[tuple[str, str]],
        nonce: str | None = None,
    ) -> tuple[str, str]:
        """Sign the response of an exchange, now.

        Args:
            exchange: whose request is answered, and whose snapshot has the certificates that keys are
                taken from.
            status: the response's status.
            headers: its fields, values as Latin-1 text.
            nonce: a text that no other signature has.

        Returns:
            The values of `Signature-Input` and `Signature`, with the signatures that are there already
            under other labels.

        Raises:
            ValueError: why it cannot be signed: no key, or a component that the response does not have.
        """

    @staticmethod
    def content_digest(algorithm: str, body: bytes) -> str:
        """Write the `Content-Digest` of a body.

        Args:
            algorithm: `sha-256` or `sha-512`.
            body: all of it.

        Raises:
            ValueError: another algorithm.
        """

@final
class MessageVerifier:
    """Checks HTTP message signatures (RFC 9421) of requests.

    Args:
        settings: JSON of the plugin HttpSignatureVerifyRequest's config.

    Raises:
        ValueError: names the field, the problem and the fix; never a secret.
    """

    def __new__(cls, settings: bytes) -> Self: ...
    def verify(
        self,
        method: str,
        scheme: str,
        authority: str,
        path: str,
        query: str,
        headers: Sequence[tuple[str, str]],
        unix_time: float,
        exchange: object | None = None,
    ) -> tuple[bool, str | None, bool, int, bytes]:
        """Judge a request.

        Args:
            method: as sent.
            scheme: `http` or `https`.
            authority: host with port.
            path: canonical, without query.
            query: without `?`.
            headers: the request's fields in wire order, values as Latin-1 text.
            unix_time: now, in Unix seconds.
            exchange: whose snapshot has the certificates and key sets that keys are taken from.

        Returns:
            Whether it may pass; the label of the signature that holds, None when there is none; whether
            the signature covers the body's digest; status and JSON of the refusal.

        Raises:
            ValueError: a value has a character outside Latin-1.
        """

    def wanted(
        self, headers: Sequence[tuple[str, str]], exchange: object | None = None
    ) -> list[str]:
        """Tell which key sets have to be fetched before a request can be judged.

        Args:
            headers: the request's fields, values as Latin-1 text.
            exchange: whose engine keeps the sets; without one of an engine there is nothing to fetch.

        Returns:
            The settings of each as JSON, for `Exchange.put_key_set`. None is named that was asked for
            in the last ten seconds.

        Raises:
            ValueError: a value has a character outside Latin-1.
        """

    @staticmethod
    def digest_fault(headers: Sequence[tuple[str, str]], body: bytes) -> str | None:
        """Say why `Content-Digest` is not that of a body; None when it is."""
