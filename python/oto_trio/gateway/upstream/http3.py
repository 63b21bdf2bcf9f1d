"""One HTTP/3 connection to a backend.

Place in the path
    `calls` says what a connection does that requests share; this is its HTTP/3, on a QUIC connection that `dialling`
    makes. The engine keeps a place for it from the moment it asked for it.

A backend that is gone
    UDP tells of it seldom. A connection on which nothing was heard for `DOUBTED_S` is asked first whether it still is
    there; requests wait for the answer, and go to another connection, unseen, when none comes. Requests that were sent
    are broken off when the backend acknowledged nothing for `SILENT_S` although it was asked again and again.

Bounds
    `QuicLimits`, `CALLS_MOST` requests at once and as many as the backend takes, `AHEAD_BYTES` of each request's body
    that the connection could not send yet.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from aioquic.h3.connection import Setting
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import (
    HandshakeCompleted,
    PingAcknowledged,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from typing_extensions import override

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.carried_engine import DialEngine
from oto_trio.gateway.listeners.http2.limits import Budget
from oto_trio.gateway.listeners.http2.stream import Stream
from oto_trio.gateway.quic import QuicLink
from oto_trio.gateway.upstream.backend_state import BackendState
from oto_trio.gateway.upstream.calls import CALLS_MOST, BackendCalls, NoRoomError, Why
from oto_trio.gateway.upstream.http3_frames import Http3Frames

__all__ = ["ALPN", "DOUBTED_S", "SILENT_S", "Http3Calls"]

logger = logging.getLogger(__name__)

ALPN: Final = "h3"
AHEAD_BYTES: Final = 64 * 1024
"""Of a request's body: what the connection keeps that congestion and windows let it not send."""
IDLE_S: Final = 30.0
"""Without a request for so long, the connection is closed."""
TICK_S: Final = 0.5
"""How often a connection with requests on it is looked at."""
KEEP_ALIVE_S: Final = 10.0
"""A request waits for its answer and nothing moves: so often the backend is told that we are there."""
DOUBTED_S: Final = 1.0
"""A connection on which nothing was heard for so long is asked before it is used."""
SILENT_S: Final = 8.0
UNHEARD_S: Final = 2.0
SILENT_PROBES: Final = 3
"""A backend that left so many probes without an answer, and said nothing for so long, is gone. Where all requests still wait to be
sent, `UNHEARD_S` is enough: none of them is lost."""
ABORTS: Final = 100
"""Requests that we give up on a connection, in a burst and then in 30 s; it takes no more of them after that."""
FRAMES: Final = 1000
FRAMES_PER_S: Final = 100
"""Pieces of streams that bring no part of a message, in a burst."""

REQUEST_REJECTED: Final = 0x10B
_CODES: Final = {
    Why.DONE: 0x100,
    Why.CANCELLED: 0x10C,
    Why.MALFORMED: 0x10E,
    Why.STRANGE: 0x103,
    Why.EXCESSIVE: 0x107,
    Why.FAULT: 0x102,
}
"""RFC 9114 section 8.1."""
BACKENDS_OWN: Final = 1
"""The last bits of a stream of both directions that a server opened: there are none in HTTP/3 (RFC 9114 section 6.1)."""
INTERIM: Final = range(100, 200)


class Http3Calls(BackendCalls):
    """The client's side of one HTTP/3 connection to a backend.

    Args:
        engine: Has the exchanges, and the place of the connection.
        conn: The engine's number of the connection.
        streams: Where the session enters the engine's numbers of its streams.
        now: The Trio clock, as in every method here.
        link: The connection, being made.
        state: Its state.
        mark: Called when something happened here: has `flush` called at the end of the round.
    """

    protocol = "HTTP/3"

    def __init__(
        self,
        engine: DialEngine,
        conn: int,
        streams: dict[int, Any],
        now: float,
        link: QuicLink,
        state: BackendState,
        *,
        mark: Callable[["Http3Calls"], None],
    ) -> None:
        super().__init__(engine, conn, streams, now, IDLE_S)
        self._dialler = engine
        self._link = link
        self._state = state
        self._mark = mark
        self._h3: Http3Frames | None = None
        self._headed: set[int] = set()
        self._held: dict[int, tuple[FieldBlock, bool]] = {}
        """Heads of requests that wait until the backend is known to be there, by a number below zero."""
        self._provisional = 0
        self._is_asked = False
        self._pinged_at = now
        self._room_told = -1
        self._is_greeted = False
        self._due = 0.0
        self._frames = Budget(FRAMES, FRAMES_PER_S, now)
        self._aborts = Budget(ABORTS, ABORTS / 30, now)

    # ------------------------------------------------------------------- from the connection

    def refused(self, now: float) -> None:
        """End the connection: the backend's machine says that nobody listens there."""
        self._state.give_up()
        self._link.touch()
        self.quic_lost(now)

    def touched(self) -> None:
        """A datagram came, or a timer struck: more of a body may go out, or more requests be made."""
        self._mark(self)

    def quic_event(self, event: QuicEvent, now: float) -> None:
        """Act on what happened on the connection."""
        self._now = now
        if self._ended:
            return
        self._mark(self)
        if isinstance(event, HandshakeCompleted):
            self._on_made(now)
        elif isinstance(event, PingAcknowledged):
            self._is_asked = False
            self._begin_held()
        elif self._h3 is not None:
            self._on_streams(self._h3, event, now)

    def quic_lost(self, now: float) -> None:
        """The connection ends."""
        self._mark(self)
        if self._ended:
            return
        self._now = now
        problem, is_tls = self._state.problem
        if self._h3 is None:
            self._ended = True
            self._dialler.dial_failed(self.conn, problem, is_tls, now)
        else:
            logger.info("%s: it ended: %s", self._named, problem)
            self._end(Why.DONE)

    def _on_made(self, now: float) -> None:
        self._h3 = Http3Frames(self._state)
        self._pinged_at = now
        self._room_told = self._places()
        self._dialler.dialled(self.conn, self._room_told, now)

    def _on_streams(self, h3: Http3Frames, event: QuicEvent, now: float) -> None:
        if not isinstance(event, StreamDataReceived | StreamReset | StopSendingReceived):
            return
        identity = event.stream_id
        if identity & 3 == BACKENDS_OWN:
            logger.info("%s: it opened a request of its own", self._named)
            self.close(Why.STRANGE, now)
            return
        is_ours = not identity & 3  # a request's; else one of the protocol's own
        if is_ours and identity not in self._by_id:
            return  # we gave it up: what is still under way is nobody's
        if not is_ours and isinstance(event, StreamDataReceived):
            h3.note_control(identity, event.data, end=event.end_stream)
        told = h3.handle_event(event)
        for one in told:
            self._on_message(one, now)
        self._note_settings(h3, now)
        self._refuse_malformed(h3)
        if isinstance(event, StreamReset):
            # HTTP/2 ends both ways with one frame. Here the request's is still ours to end.
            h3.forget(identity)
            self._state.cancel(identity, event.error_code)
            self._heard_reset(identity, event.error_code == REQUEST_REJECTED, now)
        elif isinstance(event, StopSendingReceived):
            self._on_stopped(identity)
        is_request_over = not isinstance(event, StreamDataReceived) or event.end_stream
        if not told and not (is_ours and is_request_over):
            # A request ends once. Of streams of its own a backend may open another for each that ends.
            self._check_use(h3, identity, now)
        goaway = h3.take_goaway()
        if goaway is not None:
            self._heard_leaving(goaway, now)

    def _note_settings(self, h3: Http3Frames, now: float) -> None:
        if not self._is_greeted and h3.received_settings is not None:
            self._is_greeted = True
            takes_sockets = h3.received_settings.get(Setting.ENABLE_CONNECT_PROTOCOL) == 1
            self._engine.set_sockets(self.conn, takes_sockets, now)

    def _refuse_malformed(self, h3: Http3Frames) -> None:
        for identity in h3.malformed:
            stream = self._by_id.get(identity)
            if stream is not None:
                logger.info("%s: it broke a message of HTTP/3", self._named)
                self._give_up(stream, Why.MALFORMED)
        h3.malformed.clear()

    def _on_message(self, event: H3Event, now: float) -> None:
        if isinstance(event, HeadersReceived):
            identity = event.stream_id
            fields = FieldBlock(event.headers)
            if identity in self._headed:
                self._heard_trailers(identity, fields, now)
            else:
                if fields.status not in INTERIM:
                    self._headed.add(identity)
                self._heard_head(identity, fields, now)
        elif isinstance(event, DataReceived):
            identity = event.stream_id
            if event.data:
                self._state.hold(identity, len(event.data))
                self._heard_data(identity, event.data, now)
        else:
            return
        if event.stream_ended:
            self._heard_end(identity, now)

    def _on_stopped(self, identity: int) -> None:
        """Have the rest of a request go nowhere: its backend answers without it."""
        stream = self._by_id.get(identity)
        if stream is not None:
            self._drop_body(stream)
            stream.is_sent = True
            self._settle(stream)

    def _drop_body(self, stream: Stream) -> None:
        while stream.chunks:
            self._engine.taken(stream.engine_id, len(stream.take(AHEAD_BYTES)))

    def _check_use(self, h3: Http3Frames, identity: int, now: float) -> None:
        """See that a backend does not send for ever what moves nothing."""
        if h3.holds_too_much(identity) or not self._frames.spend(1, now):
            logger.info("%s: it sends without end", self._named)
            self.close(Why.EXCESSIVE, now)

    # ------------------------------------------------------------------------------- requests

    @override
    def data(self, engine_id: int, data: bytes, end: bool) -> None:
        super().data(engine_id, data, end)
        stream = self._by_engine.get(engine_id)
        if stream is not None and stream.is_sent:
            self._drop_body(stream)

    @override
    def _open(self, fields: FieldBlock, ends: bool) -> int:
        h3 = self._h3
        if h3 is None or self._state.is_closing:
            raise NoRoomError(for_good=True)
        now = self._now
        if not self._is_asked and now - self._state.heard_at > DOUBTED_S:
            self._is_asked = True
            self._ping(now)
        if self._is_asked:
            self._provisional -= 1
            self._held[self._provisional] = (fields, ends)
            return self._provisional
        identity = self._state.get_next_available_stream_id()
        if fields.get(b":protocol") is not None:
            self._state.apart.add(identity)
        h3.send_headers(identity, list(fields), ends)
        return identity

    def _begin_held(self) -> None:
        """Send the requests that waited until the backend was heard."""
        held, self._held = self._held, {}
        for provisional, (fields, ends) in held.items():
            stream = self._by_id.pop(provisional)
            self._waiting.pop(provisional, None)
            try:
                stream.id = self._open(fields, ends)
            except NoRoomError:
                # It was heard, and what it said was that it leaves.
                self._forget(stream)
                self._engine.break_stream(stream.engine_id, True, self._now)  # noqa: FBT003 (positional only)
                continue
            self._by_id[stream.id] = self._waiting[stream.id] = stream

    def _ping(self, now: float) -> None:
        self._state.send_ping(0)
        self._pinged_at = now

    @override
    def _send_turn(self, stream: Stream, now: float) -> int:
        return 0 if stream.id in self._held else super()._send_turn(stream, now)

    @override
    def _room(self, identity: int) -> int:
        return AHEAD_BYTES - self._state.unsent(identity)

    @override
    def _write(self, identity: int, data: bytes, end: bool) -> None:
        if self._h3 is not None:
            self._h3.send_data(identity, data, end)

    @override
    def _write_trailers(self, identity: int, fields: FieldBlock) -> None:
        if self._h3 is not None:
            self._h3.send_headers(identity, list(fields), end_stream=True)

    @override
    def _give_back(self, identity: int, count: int) -> None:
        self._state.release(identity, count)

    @override
    def _give_back_own(self, identity: int, count: int) -> None:
        self._state.release(identity, count)

    @override
    def _give_back_shared(self, count: int) -> None:
        """The stream is kept apart; there is nothing to give back."""

    @override
    def _abort(self, identity: int, why: Why) -> None:
        if identity < 0:
            return
        if self._h3 is not None:
            self._h3.forget(identity)
        self._state.cancel(identity, _CODES[why])
        if not self._leaving and not self._ended and not self._aborts.spend(1, self._now):
            # The backend may soon take them for an attack, and end what others wait for.
            logger.info("%s: many requests were given up, it is left", self._named)
            self._leave()

    @override
    def _forget(self, stream: Stream) -> None:
        super()._forget(stream)
        self._state.apart.discard(stream.id)
        self._headed.discard(stream.id)
        self._held.pop(stream.id, None)

    # -------------------------------------------------------------------------------- sending

    @override
    def flush(self, now: float) -> None:
        super().flush(now)
        if self._ended or self._h3 is None:
            return
        places = 0 if self._leaving else self._places()
        if places != self._room_told:
            self._room_told = places
            self._engine.set_room(self.conn, places, now)
        due = now + TICK_S if self._by_id else self._quiet_since + self._idle_s
        if due < self._due or self._due <= now or not self._by_id:
            self._due = due
            self._engine.patience(self.conn, due)

    def _places(self) -> int:
        """Return how many requests there may be at once on the connection."""
        return min(CALLS_MOST, len(self._by_id) + self._state.streams_to_open)

    @override
    def _transmit(self, now: float) -> bool:
        self._link.transmit(now)
        # What waits for the backend to say that it is there goes out behind that, in another round.
        waiting = (it for it in self._waiting.values() if it.id not in self._held)
        return any(it.chunks and self._room(it.id) > 0 for it in waiting)

    # --------------------------------------------------------------------------------- ending

    @override
    def idle(self, now: float) -> None:
        """Look whether the backend is still there, and whether somebody uses the connection."""
        self._now = now
        if self._ended:
            return
        state = self._state
        silent_s = UNHEARD_S if len(self._held) == len(self._by_id) else SILENT_S
        if state.unanswered >= SILENT_PROBES and now - state.heard_at >= silent_s:
            logger.info("%s: it fell silent", self._named)
            self._end(Why.DONE)
            return
        if not self._by_id and now - self._quiet_since >= self._idle_s:
            self._end(Why.DONE)
            return
        if self._by_id and now - self._pinged_at >= min(KEEP_ALIVE_S, state.idle_s / 3):
            self._ping(now)
        # `flush` follows, and sets the next time.

    @override
    def lost(self, now: float) -> None:
        """The connection is gone, or nobody wants it any more: every request on it has failed."""
        for provisional in list(self._held):
            stream = self._by_id[provisional]
            self._forget(stream)
            self._engine.break_stream(stream.engine_id, True, now)  # noqa: FBT003 (positional only)
        super().lost(now)
        self._say_end(Why.DONE)

    @override
    def _say_end(self, why: Why) -> None:
        was_ended, self._ended = self._ended, True
        self._link.close(_CODES[why], "", self._now)
        self._link.transmit(self._now)
        self._ended = was_ended
