"""The carried connections of a worker: which session each belongs to.

Place in the path
    The pipeline hands on what the engine tells of connections and streams, and calls `flush` when it has
    worked through a batch of events: each session writes once then, whatever happened on it. A session
    that fails loses its own connection and no other.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

from oto_trio.gateway.engine import (
    ANSWER,
    BROKEN,
    BYTES,
    CALL,
    CARRIED,
    CONSUMED,
    DATA,
    DIAL,
    HALVED,
    HEAD,
    IDLE,
    LEAVING,
    LOST,
    MOUNTED,
    REACHED,
    TRAILERS,
    UPGRADED,
    WRITABLE,
)
from oto_trio.gateway.listeners.carried_engine import CarriedEngine, DialEngine
from oto_trio.gateway.listeners.http2 import Http2Limits, Http2Session
from oto_trio.gateway.mounts import Mounts, MountSession
from oto_trio.gateway.upstream.http2 import Http2Calls
from oto_trio.plugin_api.websockets import Watch

if TYPE_CHECKING:
    from oto_trio.gateway.listeners.http3.session import Http3Session
    from oto_trio.gateway.upstream.dialling import Dialler, Wanted
    from oto_trio.gateway.upstream.http3 import Http3Calls
    from oto_trio.gateway.websocket.session import SocketEnd, SocketTasks

__all__ = ["CarriedConnections"]

logger = logging.getLogger(__name__)

_WITH_MORE: Final = frozenset({BYTES, CALL})
_BARE: Final = frozenset({BROKEN, HALVED})
_CONNECTIONS_OF: Final[dict[int, Callable[[Any], list[int]]]] = {
    CARRIED: lambda told: [told[0]],
    DIAL: lambda told: [told[0]],
    MOUNTED: lambda told: [told[0]],
    REACHED: lambda told: [told],
    UPGRADED: lambda told: [conn for conn in told[1:3] if conn is not None],
}
"""What begins connections, and which."""


Session: TypeAlias = (
    "Http2Session | Http2Calls | Http3Calls | Http3Session | MountSession | SocketEnd"
)
"""One connection: of a client, to a backend, or to an application here."""


Upgraded: TypeAlias = tuple[Watch, int, int | None, tuple[float, int, int]]
"""Who looks at messages, the client's connection, the backend's, and the bounds: seconds, bytes and frames of a message."""


@runtime_checkable
class ClientSession(Protocol):
    """The connection of a client, whichever its protocol: it takes no more requests from here on."""

    def drain(self, now: float) -> None:
        """Close behind the last answer."""
        ...


class SessionEngine(CarriedEngine, DialEngine, Protocol):
    """What sessions of all kinds need of the engine."""


class CarriedConnections:
    """Sessions by the engine's numbers of connections and streams.

    Args:
        engine: Raises the events.
        limits: The bounds of each connection of a client over HTTP/2; those to backends keep the usual ones.
        tasks: Runs hooks for messages of WebSockets; without it there are none.
    """

    def __init__(
        self,
        engine: SessionEngine,
        limits: Http2Limits | None = None,
        tasks: "SocketTasks | None" = None,
    ) -> None:
        self._tasks = tasks
        self._engine = engine
        self.limits = limits or Http2Limits()
        """For the connections that come from now on."""
        self._sessions: dict[int, Session] = {}
        self.streams: dict[int, Session] = {}
        """Sessions by the engine's numbers of their streams; they enter them here."""
        self._dirty: dict[int, Session] = {}
        self._listeners: dict[int, str] = {}
        self._draining = False
        self.mounts: Mounts | None = None
        """Finds applications; without it there are none."""
        self.make_dialler: Callable[[], Dialler] | None = None
        """Makes what makes connections to backends over QUIC, when the first one is wanted."""
        self._dialler: Dialler | None = None

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._sessions)

    def note(self, kind: int, told: Any, now: float) -> None:
        """Act on an event of a connection or a stream. Never raises.

        Args:
            kind: What happened, one of `OF_SESSIONS`.
            told: What it is about.
            now: The Trio clock.

        Cost: what the session makes of it; `flush` has to follow.
        """
        if (tell := _TELL_OF_STREAM.get(kind)) is not None:
            found = self.streams.get(told if kind in _BARE else told[0])
        elif (tell := _TELL_OF_CONNECTION.get(kind)) is not None:
            found = self._sessions.get(told[0] if kind in _WITH_MORE else told)
        else:
            try:
                self._begin(kind, told, now)
            except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                self._cannot_begin(kind, told, error, now)
            return
        if found is None:
            # It ended before it heard of this. A request that it never saw may go elsewhere.
            if kind == CALL:
                self._engine.break_stream(told[1], True, now)  # noqa: FBT003 (positional only)
            return
        self._dirty[found.conn] = found
        try:
            tell(found, told, now)
        except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
            self._fail(found, error, now)

    def _begin(self, kind: int, told: Any, now: float) -> None:
        """Make the session of a connection that the engine tells of for the first time."""
        if kind == CARRIED:
            conn = told[0]
            session = Http2Session(
                self._engine, conn, self.streams, now, self.limits, extended_connect=True
            )
            self._listeners[conn] = told[1]
            self._sessions[conn] = self._dirty[conn] = session
        elif kind == REACHED:
            calls = Http2Calls(self._engine, told, self.streams, now)
            self._sessions[told] = self._dirty[told] = calls
        elif kind == UPGRADED:
            self._upgraded(told, now)
        elif kind == MOUNTED:
            assert self.mounts is not None, "whoever binds hooks has applications called"
            self._sessions[told[0]] = MountSession(self.mounts, told[0], told[1], self.streams)
        else:
            self._dial(told, now)

    def _cannot_begin(self, kind: int, told: Any, error: BaseException, now: float) -> None:
        """Close a connection that gets no session; re-raise what is no fault of it."""
        if not isinstance(error, Exception):
            raise error
        logger.error("a connection cannot be carried", exc_info=error)
        conns = _CONNECTIONS_OF[kind](told)
        for conn in conns:
            self._forget(conn)
            self._dirty.pop(conn, None)
        if kind == DIAL:
            problem = "the gateway failed"
            self._engine.dial_failed(conns[0], problem, False, now)  # noqa: FBT003 (positional only)
            return
        for conn in conns:
            self._engine.hang_up(conn, now)

    def _upgraded(self, told: "Upgraded", now: float) -> None:
        """Begin to pass frames between two connections."""
        # Loaded when the first route with such a plugin was installed: most workers never see one.
        from oto_trio.gateway.websocket.limits import SocketLimits  # noqa: PLC0415
        from oto_trio.gateway.websocket.session import WebSocketSession  # noqa: PLC0415

        assert self._tasks is not None, "whoever binds hooks runs them"
        watch, client, backend, (idle_s, message_bytes, fragments) = told
        session = WebSocketSession(
            self._engine,
            self._tasks,
            watch,
            (client, backend),
            now,
            forget=self._forget,
            limits=SocketLimits(message_bytes, fragments, idle_s=idle_s),
        )
        self._sessions[client] = self._dirty[client] = session.client
        if backend is not None:
            self._sessions[backend] = session.backend

    def _dial(self, wanted: "Wanted", now: float) -> None:
        if self._dialler is None and self.make_dialler is not None:
            self._dialler = self.make_dialler()
        if self._dialler is None:
            problem = "this worker makes no connections over QUIC"
            self._engine.dial_failed(wanted[0], problem, False, now)  # noqa: FBT003 (positional only)
            return
        session = self._dialler.dial(wanted, self.streams, self._mark, now)
        if session is not None:
            self._sessions[session.conn] = session

    def _mark(self, session: "Http3Calls") -> None:
        self._dirty[session.conn] = session

    def enter(self, session: Session) -> None:
        """Hand a session what the engine tells of its connection, which it asked for itself."""
        self._sessions[session.conn] = session

    def leave(self, conn: int) -> None:
        """Forget a connection that entered: it has ended, and the engine says nothing more of it."""
        self._forget(conn)

    def flush(self, now: float) -> None:
        """Have every session write what came together since the last time. Never raises."""
        while self._dirty:
            conn, session = self._dirty.popitem()
            try:
                # Requests that are under way may need a backend yet.
                if self._draining and isinstance(session, ClientSession):
                    session.drain(now)
                session.flush(now)
            except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                self._fail(session, error, now)
            if session.is_over:
                self._forget(conn)

    def drain(self, now: float) -> None:
        """Have clients open no more requests, and close each connection behind its last answer."""
        self._draining = True
        self._dirty.update(self._sessions)
        self.flush(now)

    def drain_listener(self, name: str, now: float) -> None:
        """Likewise for the clients that came over one listener."""
        for conn in [conn for conn, listener in self._listeners.items() if listener == name]:
            session = self._sessions.get(conn)
            if isinstance(session, Http2Session):
                self._dirty[conn] = session
                try:
                    session.drain(now)
                except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                    self._fail(session, error, now)
        self.flush(now)

    def _forget(self, conn: int) -> None:
        self._sessions.pop(conn, None)
        self._listeners.pop(conn, None)

    def _fail(self, session: Session, error: BaseException, now: float) -> None:
        """Close the connection of a session that raised; re-raise what is no fault of it."""
        if not isinstance(error, Exception):
            raise error
        logger.error("the session of connection %d failed", session.conn, exc_info=error)
        self._forget(session.conn)
        try:
            session.fail(now)
        except Exception:
            logger.exception("connection %d is closed without a word", session.conn)
            self._engine.hang_up(session.conn, now)


_Tell: TypeAlias = Callable[[Any, Any, float], None]
"""What is called for an event, as (session, what it is about, the Trio clock)."""

_TELL_OF_STREAM: Final[dict[int, _Tell]] = {
    ANSWER: lambda session, told, _: session.answer(*told),
    BROKEN: lambda session, told, _: session.broken(told),
    CONSUMED: lambda session, told, _: session.consumed(*told),
    DATA: lambda session, told, _: session.data(*told),
    HALVED: lambda session, told, _: session.halved(told),
    HEAD: lambda session, told, _: session.head(*told),
    TRAILERS: lambda session, told, _: session.trailers(*told),
}

_TELL_OF_CONNECTION: Final[dict[int, _Tell]] = {
    BYTES: lambda session, told, now: session.receive(told[1], now),
    CALL: lambda session, told, now: session.call(*told[1:], now),
    IDLE: lambda session, _, now: session.idle(now),
    LEAVING: lambda session, _, now: session.leave(now),
    LOST: lambda session, _, now: session.lost(now),
    WRITABLE: lambda session, _, now: session.writable(now),
}
