"""A WebSocket between a client and a backend, whose messages plugins look at.

Place in the path
    The engine raises `UPGRADED` in place of making a tunnel. From then on it hands the bytes of both
    connections up; each is a `Leg`, each direction a `Lane`. Nothing here blocks or reads a clock; only ``async def``
    hooks have tasks. `flush` sends what came together in a round.

Ends
    A close frame goes from end to end, behind the messages before it, and its answer comes back the same way; then both
    connections are closed. A side that breaks a rule is closed at once with the code for it; the other is told 1001 when
    that was the client, 1011 when it was the backend. When a client is gone without a close frame, hooks that still run
    for it are cancelled and the backend is told 1001; a backend that goes without one leaves its client without one,
    as through a tunnel. When the gateway drains, or the client's listener goes, both are told 1001. A side that does not
    answer a close frame is cut off.

Bounds
    `SocketLimits` on either side. A slow receiver, or a slow hook, stops the reading of the sender; what is then already
    read, at most some reads of 64 KiB, is passed on.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, Protocol

import trio
from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from oto_trio.gateway.faults import split_fault
from oto_trio.gateway.websocket.lane import Lane, MessageHook, hooks_of
from oto_trio.gateway.websocket.leg import Frame, Leg, LegEngine
from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.gateway.websocket.running import Rejection
from oto_trio.gateway.websocket.served import SERVED, Served, ServedEngine
from oto_trio.plugin_api.websockets import (
    Member,
    Message,
    Reject,
    Watch,
    WebSocketBackend,
    is_attending,
)

__all__ = ["SocketEnd", "SocketTasks", "WebSocketSession"]

logger = logging.getLogger(__name__)

_OTHER_SIDE: Final = {
    True: (CloseReason.GOING_AWAY, "the client is gone"),
    False: (CloseReason.INTERNAL_ERROR, "the backend broke the protocol"),
}
"""What one side is told when the other one, the client (True) or the backend, was cut off."""


class SocketTasks(Protocol):
    """What sessions need of whoever runs them."""

    def start(self, run: Callable[[], Awaitable[None]], /) -> trio.CancelScope:
        """Run something in a task of its own; returns the scope it runs under."""
        ...

    def clock(self) -> float:
        """Read the Trio clock."""
        ...

    def settle(self) -> None:
        """See that the pump follows up on what was sent outside of a turn."""
        ...

    def failed(self, plugin: str, hook: str, error: BaseException, /) -> None:
        """Log the fault of a plugin."""
        ...

    def rejected(self, rejection: Rejection, /) -> None:
        """Note a message that a plugin let go no further."""
        ...


class WebSocketSession:
    """Both sides of a WebSocket.

    Args:
        engine: Has the connections.
        tasks: Runs async hooks.
        watch: The plugins.
        conns: The engine's numbers of the client's connection and the backend's; None when a plugin of the watch is the
            backend.
        now: The Trio clock, as in every method here.
        forget: Called with the number of each connection that is closed.
        limits: The bounds.
    """

    def __init__(
        self,
        engine: LegEngine,
        tasks: SocketTasks,
        watch: Watch,
        conns: tuple[int, int | None],
        now: float,
        *,
        forget: Callable[[int], None],
        limits: SocketLimits | None = None,
    ) -> None:
        limits = limits or SocketLimits()
        self._served: Served | None = None
        client, backend = conns
        if backend is None:
            backend = SERVED
            self._served = Served(limits, self._received, self.follow_up)
            engine = ServedEngine(engine, self._served)
        self._engine = engine
        self._tasks = tasks
        self._watch = watch
        self._forget = forget
        self._limits = limits
        self._heard = now
        self._scopes: set[trio.CancelScope] = set()
        self._behind: set[Leg] = set()
        self._is_closing = False
        # A client that was told of no terms keeps to none.
        terms = watch.client_deflate if watch.is_answered else None, watch.backend_deflate
        self._client = Leg(engine, client, is_client=True, limits=limits, deflate=terms[0])
        self._backend = Leg(engine, backend, is_client=False, limits=limits, deflate=terms[1])
        members = watch.members
        self._requests = Lane(self, hooks_of(members, "on_request_message"), limits)
        self._responses = Lane(self, hooks_of(members, "on_response_message"), limits)
        self.client = SocketEnd(self, self._client)
        """The client's connection, as what the engine tells of it is told."""
        self.backend = SocketEnd(self, self._backend)
        """The backend's."""
        for member in members:
            if is_attending(member.plugin):
                self._run(
                    member, "attend_socket", partial(member.plugin.attend_socket, member.opened)
                )
        served, by = self._served, watch.backend
        if served is not None and by is not None:
            self._run(by, "serve_socket", partial(_serve, by, served), served)

    def _run(
        self,
        member: Member,
        hook: str,
        call: Callable[[], Awaitable[None]],
        served: Served | None = None,
    ) -> None:
        """Run a hook for as long as the connection is open."""

        async def run() -> None:
            code, reason = CloseReason.NORMAL_CLOSURE, ""
            try:
                await call()
            except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                passing, fault = split_fault(error)
                if passing is not None:
                    raise passing from None
                self._tasks.failed(member.plugin.id, hook, fault or error)
                code, reason = CloseReason.INTERNAL_ERROR, "internal_server_error"
            if served is not None:
                served.finish(code, reason)
                self.follow_up()

        self._start(run)

    def _start(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run something in a task; whatever fails there is the end of this connection, and of no other."""

        async def guarded() -> None:
            try:
                await run()
            except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                passing, fault = split_fault(error)
                if fault is not None:
                    self._broke(fault)
                if passing is not None:
                    raise passing from None
            finally:
                self._scopes.discard(scope)

        scope = self._tasks.start(guarded)
        self._scopes.add(scope)

    def _broke(self, error: BaseException) -> None:
        """Close both connections for an error that is the gateway's own."""
        logger.error("the WebSocket of connection %d failed", self._client.conn, exc_info=error)
        self.abort(self._tasks.clock())
        self._tasks.settle()

    def _received(self) -> None:
        """A plugin in the backend's place has room again."""
        self.writable(self._backend)
        self.follow_up()

    def follow_up(self) -> None:
        """Write what came together outside of a turn."""
        self.flush(self._tasks.clock())
        self._tasks.settle()

    # ------------------------------------------------------------------------- what the engine tells

    def receive(self, leg: Leg, data: bytes, now: float) -> None:
        """Take in bytes of one side."""
        self._heard = now
        if leg.has_ended:
            return
        leg.note_time(now)
        if leg.has_more:
            # It comes behind what waits.
            leg.receive(data)
        else:
            self._read(leg, leg.receive(data))

    def _read(self, leg: Leg, frames: Iterator[Frame]) -> None:
        """Pass on what came; of what was compressed, which may be a thousand times as much, only so much at once."""
        lane = self._requests if leg.is_client else self._responses
        size = 0
        for frame in frames:
            lane.put(frame)
            if leg.is_deflating and isinstance(frame, Message):
                size += frame.size
                if lane.is_full or size > self._limits.waiting_bytes:
                    return
        if leg.fault is not None:
            lane.put(CloseConnection(*_OTHER_SIDE[leg.is_client]))
        elif leg.is_over:
            self._left()

    def _go_on(self, leg: Leg) -> None:
        """Read on in a while, when others had their turn."""
        if leg in self._behind:
            return
        self._behind.add(leg)

        async def run() -> None:
            try:
                await trio.lowlevel.checkpoint()
            finally:
                self._behind.discard(leg)
            self._read(leg, leg.frames())
            self.follow_up()

        self._start(run)

    def writable(self, leg: Leg) -> None:
        """All that one side had to be sent has gone."""
        leg.is_blocked = False

    def lost(self, leg: Leg) -> None:
        """One side is gone."""
        leg.end()
        if leg.is_client:
            leg.drop()
        self._forget(leg.conn)
        if not leg.is_client:
            if not leg.has_more:
                self._left()
        elif not self._requests.has_close:
            self._cancel()
            self._requests.end()
            self._responses.end()
            self._backend.close(*_OTHER_SIDE[True])

    def _left(self) -> None:
        """Leave the client as the backend left, behind what it said before."""
        if not self._responses.has_close and not self._client.has_closed:
            self._responses.put(CloseConnection(CloseReason.ABNORMAL_CLOSURE))

    def idle(self, leg: Leg, now: float) -> None:
        """The time that was asked for has come."""
        if self._is_closing or not leg.is_client:
            leg.hang_up(now)
            self._forget(leg.conn)
            if self._served is not None:
                # Nobody tells it the time.
                self._backend.hang_up(now)
        elif now - self._heard >= self._limits.idle_s:
            self._close(CloseReason.GOING_AWAY, "nothing was said for too long")
        else:
            self._engine.patience(leg.conn, self._heard + self._limits.idle_s)

    def leave(self) -> None:
        """Close both sides, because the gateway or the client's listener goes."""
        self._close(CloseReason.GOING_AWAY, "the gateway is going away")

    def abort(self, now: float) -> None:
        """Close both connections, now."""
        self._cancel()
        for leg in (self._client, self._backend):
            leg.hang_up(now)
            self._forget(leg.conn)

    def flush(self, now: float) -> None:
        """Write what came together, and stop or go on reading."""
        client, backend = self._client, self._backend
        self._flush_both(now)
        while self._served is not None and (said := self._served.said()):
            self.receive(backend, said, now)
            self._flush_both(now)
        waits = (
            backend.is_blocked or self._requests.is_full,
            client.is_blocked or self._responses.is_full,
        )
        for leg, is_held in zip((client, backend), waits, strict=True):
            leg.hold(is_held=is_held or leg.has_more)
            if leg.has_more and not is_held:
                self._go_on(leg)
        if client.is_over and backend.is_over:
            self._cancel()
            for leg in (client, backend):
                leg.drop()  # what waits for somebody who is gone
        elif not self._is_closing and (
            client.has_closed
            or backend.has_closed
            or client.is_over
            # A slow client has its time for what a backend said that left.
            or (backend.is_over and not backend.has_more)
        ):
            self._is_closing = True
            for leg in (client, backend):
                if not leg.is_over:
                    self._engine.patience(leg.conn, now + self._limits.close_s)

    def _flush_both(self, now: float) -> None:
        """Write what came together."""
        for leg in (self._client, self._backend):
            was_over = leg.is_over
            leg.flush(now)
            if leg.is_over and not was_over:
                self._forget(leg.conn)

    # ------------------------------------------------------------------------- what the lanes ask

    def deliver(self, lane: Lane, frame: Frame) -> None:
        """Hand a frame to the other side."""
        leg = self._backend if lane is self._requests else self._client
        if isinstance(frame, CloseConnection) and frame.code == CloseReason.ABNORMAL_CLOSURE:
            leg.is_done = True
        else:
            leg.send(frame)

    def rejected(self, message: Message, answer: Reject) -> None:
        """Note what became of a message, and close both sides if they are to be."""
        self._tasks.rejected(Rejection(self._watch, message, answer))
        if answer.closes:
            self._close(answer.code, answer.reason)

    def _close(self, code: int, reason: str) -> None:
        """Close both sides; messages that wait are dropped."""
        self._requests.end()
        self._responses.end()
        self._client.close(code, reason)
        self._backend.close(code, reason)

    def work(self, lane: Lane, message: Message, at: int) -> None:
        """Run an async hook, and what waits behind it, in a task."""

        async def run() -> None:
            try:
                await lane.work_off(message, at)
            finally:
                self.follow_up()

        self._start(run)

    def _cancel(self) -> None:
        """Cancel the hooks that run."""
        for scope in self._scopes:
            scope.cancel()

    def failed(self, hook: MessageHook, error: BaseException) -> None:
        """Log the fault of a hook."""
        self._tasks.failed(hook.member.plugin.id, hook.name, error)


async def _serve(member: Member, served: Served) -> None:
    """Have a plugin serve a WebSocket; that the client is gone is no fault of it."""
    plugin = member.plugin
    assert isinstance(plugin, WebSocketBackend)
    try:
        await plugin.serve_socket(served, member.opened)
    except (trio.EndOfChannel, trio.BrokenResourceError):
        if not served.has_ended:
            raise


class SocketEnd:
    """One connection of a session, as the table of carried connections knows it."""

    __slots__ = ("_leg", "_session")

    def __init__(self, session: WebSocketSession, leg: Leg) -> None:
        self._session = session
        self._leg = leg

    @property
    def conn(self) -> int:
        """The engine's number of it."""
        return self._leg.conn

    @property
    def is_over(self) -> bool:
        """Whether it is closed."""
        return self._leg.is_over

    def receive(self, data: bytes, now: float) -> None:
        """Take in bytes."""
        self._session.receive(self._leg, data, now)

    def writable(self, _now: float) -> None:
        """All that was sent has gone."""
        self._session.writable(self._leg)

    def lost(self, _now: float) -> None:
        """It is gone."""
        self._session.lost(self._leg)

    def idle(self, now: float) -> None:
        """The time that was asked for has come."""
        self._session.idle(self._leg, now)

    def leave(self, _now: float) -> None:
        """The gateway, or the client's listener, goes."""
        self._session.leave()

    def flush(self, now: float) -> None:
        """Write what came together, on both sides."""
        self._session.flush(now)

    def fail(self, now: float) -> None:
        """Close both sides, now."""
        self._session.abort(now)
