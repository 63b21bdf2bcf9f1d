"""What the gateway needs of the engine, as types.

`oto_trio._core.Engine` satisfies `Engine`; so does the scripted engine of the tests. Only
`gateway.worker` makes a real one; the rest of this room is written against these protocols, so that
the pump and the pipeline can be tested without sockets.

An *event* is a pair of an int and what it is about:

=========  ====================================  =====================================
kind       value                                 the gateway must
=========  ====================================  =====================================
`RUN`      the exchange, suspended at its slot    run the hook, then `resume`, `respond`
                                                  or `refuse`
`GONE`     exchange id                            cancel the task that works for it
`RESOLVE`  host name                              look it up, then `resolved`
`BODY`     (exchange id, bytes or None)           wake the hook that reads the body
`PANIC`    what panicked                          log and count it; the connection is gone
`CERTIFICATE` server name                         have one made, then `certificate_told`
`NOTICE`   what an operator should know           log it
`LEAKED`   an API key that was sent in the clear  have it taken out of use
`CARRIED`  (connection, listener, secured)        speak HTTP/2 on it from now on
`BYTES`    (connection, bytes)                    decode them
`WRITABLE` connection                             send what waits
`LOST`     connection                             reset its streams, forget it
`IDLE`     connection                             see whether it is to be closed
`HEAD`     (stream, fields)                       send a response head, or an interim one
`DATA`     (stream, bytes, ends)                  send bytes of the body
`TRAILERS` (stream, fields)                       send them; the response is over
`ANSWER`   (stream, fields, body)                 send a whole response
`BROKEN`   stream                                 reset it
`HALVED`   stream                                 send the end of a response; what its client
                                                  says goes on until it is `BROKEN`
`CONSUMED` (stream, count)                        let the peer send so much more
`REACHED`  connection                             speak HTTP/2 to the backend on it
`CALL`     (connection, stream, fields, ends)     send a request on it
`UPGRADED` (watch, connection, connection or      pass frames on between the client's and the
           None, (seconds, bytes, frames))        backend's; idle after so many seconds, messages so long
`LEAVING`  connection                             end it: its listener went, or this is a drain
`MOUNTED`  (connection, application)              call the application with what comes on it
`DIAL`     `upstream.dialling.Wanted`             connect to a backend over QUIC
=========  ====================================  =====================================
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias, overload

from oto_trio.gateway.listeners.carried_engine import CarriedEngine, DialEngine
from oto_trio.plugin_api.exchange import Exchange

__all__ = [
    "ANSWER",
    "BODY",
    "BROKEN",
    "BYTES",
    "CALL",
    "CARRIED",
    "CERTIFICATE",
    "CONSUMED",
    "DATA",
    "DIAL",
    "GONE",
    "HALVED",
    "HEAD",
    "IDLE",
    "LEAKED",
    "LEAVING",
    "LOST",
    "MONITORING_SLOT",
    "MOUNTED",
    "NOTICE",
    "OF_SESSIONS",
    "PANIC",
    "REACHED",
    "RESOLVE",
    "RUN",
    "TRAILERS",
    "UPGRADED",
    "WRITABLE",
    "BodyReader",
    "Clock",
    "CountedRoute",
    "Engine",
    "Event",
    "SuspendedExchange",
]

RUN: Final = 0
GONE: Final = 1
RESOLVE: Final = 2
BODY: Final = 3
PANIC: Final = 4
CERTIFICATE: Final = 5
NOTICE: Final = 6
LEAKED: Final = 7
CARRIED: Final = 8
BYTES: Final = 9
WRITABLE: Final = 10
LOST: Final = 11
IDLE: Final = 12
HEAD: Final = 13
DATA: Final = 14
TRAILERS: Final = 15
ANSWER: Final = 16
BROKEN: Final = 17
CONSUMED: Final = 18
REACHED: Final = 19
CALL: Final = 20
UPGRADED: Final = 21
MOUNTED: Final = 22
DIAL: Final = 23
HALVED: Final = 24
LEAVING: Final = 25

OF_SESSIONS: Final = frozenset(
    {
        *(CARRIED, REACHED, UPGRADED, MOUNTED, DIAL),
        *(BYTES, WRITABLE, LOST, IDLE, LEAVING, CALL),
        *(HEAD, DATA, TRAILERS, ANSWER, BROKEN, HALVED, CONSUMED),
    }
)
"""The kinds of events that are about connections and streams whose protocol is spoken in Python."""

MONITORING_SLOT: Final = -1
"""The slot of an exchange for `/.well-known/otoroshi/monitoring/...`, which has no route."""

Event: TypeAlias = tuple[int, object]

Clock: TypeAlias = Callable[[], float]
"""Reads the Trio clock, in seconds; only differences mean something."""


BodyReader: TypeAlias = Callable[[Exchange, int, bool], Awaitable[bytes]]
"""Reads the whole body of an exchange, of a number of bytes at most: the response's, or the request's."""


class SuspendedExchange(Exchange, Protocol):
    """An exchange that waits for Python."""

    @property
    def slot(self) -> int:
        """The slot of the hook to run, or `MONITORING_SLOT`."""
        ...

    @property
    def generation(self) -> int:
        """The generation of the snapshot it began with, and finishes with."""
        ...

    def bind_reader(self, reader: "BodyReader", /) -> None:
        """Let `request.read` and `response.read` work, by calling `reader`."""
        ...


CountedRoute: TypeAlias = tuple[str, int, int, int, float, float, int]
"""A route's id, calls, bytes in and out, seconds, seconds of overhead, and calls that run."""


class Engine(CarriedEngine, DialEngine, Protocol):
    """The engine as the pump, the pipeline and the worker use it. No method blocks.

    Methods that return events may be called from any task of the worker's Trio run; the caller
    hands the events to `Pipeline.run`.
    """

    @property
    def pending(self) -> bool:
        """Whether `turn` has work to do although no socket is ready."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that is readable when `turn` has sockets to serve."""
        ...

    def adopt(
        self,
        fd: int,
        listener: str,
        secured: bool,  # noqa: FBT001 (as the compiled module has it)
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT001, FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        /,
    ) -> int:
        """Accept connections on a listening socket; returns what `release` takes.

        The engine keeps a duplicate of it.
        """
        ...

    def retune(
        self,
        handle: int,
        secured: bool,  # noqa: FBT001 (as the compiled module has it)
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT001, FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        /,
    ) -> None:
        """Have the connections that a listener accepts from now on go other ways; others keep theirs."""
        ...

    def adopt_tcp(self, fd: int, listener: str, /) -> int:
        """Likewise for the TCP services of a port, which the snapshot has under the listener's name."""
        ...

    def release(self, handle: int, now: float, tunnels_s: float = ..., /) -> list[Event]:
        """Accept what a listener has queued, and nothing after it; its tunnels last so many seconds more."""
        ...

    @overload
    def turn(self, now: float, /) -> list[Event]: ...
    @overload
    def turn(self, now: float, linger: float, /) -> list[Event] | None: ...
    def turn(self, now: float, linger: float = 0.0, /) -> list[Event] | None:
        """Do one batch of I/O; one that lingers tells by None that there was nothing to do."""
        ...

    def expire(self, now: float, /) -> list[Event]:
        """Act on the deadlines that have passed."""
        ...

    def set_unix_offset(self, seconds: float, /) -> None:
        """Tell how far Unix time is ahead of the Trio clock, in seconds."""
        ...

    # The four calls below take any exchange, because a hook holds it as plugin_api's protocol.
    def resume(self, exchange: Exchange, now: float, /) -> list[Event]:
        """Go on from the step after the one that ran."""
        ...

    def reject(self, exchange: Exchange, now: float, /) -> list[Event]:
        """The `match_route` hook said no: try the next route."""
        ...

    def respond(
        self,
        exchange: Exchange,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        now: float,
        /,
    ) -> list[Event]:
        """Answer in the backend's place."""
        ...

    def refuse(
        self, exchange: Exchange, status: int, message: str, cause: str | None, now: float, /
    ) -> list[Event]:
        """Answer with an error in Otoroshi's format."""
        ...

    def read_body(self, exchange: Exchange, limit: int, now: float, /) -> tuple[bool, list[Event]]:
        """Ask for the whole request body; a `BODY` event brings it. False when it is too late."""
        ...

    def read_response(
        self, exchange: Exchange, limit: int, now: float, /
    ) -> tuple[bool, list[Event]]:
        """Ask for the whole response body; a `BODY` event brings it. False when there is none to read."""
        ...

    def resolved(self, hostname: str, addresses: list[str], now: float, /) -> list[Event]:
        """Answer a `RESOLVE`; no address means that the name could not be resolved."""
        ...

    def certificate_told(self, server_name: str, certificate: bytes, now: float, /) -> list[Event]:
        """Answer a `CERTIFICATE`: it is in the installed snapshot now, or there will be none."""
        ...

    def set_ticket_secret(self, secret: bytes, /) -> None:
        """Lock TLS session tickets with a secret that all workers share."""
        ...

    def capture(self, settings: bytes, /) -> None:
        """Keep other access records from now on; raises ValueError and goes on as before."""
        ...

    def drain_records(self, limit: int, /) -> bytes:
        """Take up to `limit` access records, as one msgpack array."""
        ...

    def log_access(self, listeners: set[str], /) -> None:
        """Make a line of each request of these listeners, and of no others."""
        ...

    def take_access_lines(self) -> tuple[bytes, int]:
        """Take the lines, and how many were lost since the last time."""
        ...

    def drain_tcp_records(self, limit: int, /) -> bytes:
        """Take up to `limit` records of connections of TCP services, as one msgpack array."""
        ...

    def drain_alerts(self) -> bytes:
        """Take the records of exchanges that raised alerts while nobody wants events, likewise."""
        ...

    def metrics(self) -> dict[str, object]:
        """Return the counters since the start."""
        ...

    def count_routes(self, ids: list[str], /) -> list[CountedRoute]:
        """Return what there is to tell of routes, by id; those without any call are left out."""
        ...

    def tallied_routes(self) -> list[CountedRoute]:
        """Return the same of every route that had calls, without those that run."""
        ...

    def drain(self, now: float, /) -> None:
        """Stop accepting and close each connection after what it has in flight."""
        ...

    def in_flight(self) -> dict[str, int]:
        """Count what a drain waits for."""
        ...

    def close(self) -> None:
        """Drop every connection and listener. Idempotent."""
        ...
