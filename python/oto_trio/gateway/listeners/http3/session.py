"""One HTTP/3 connection of a client: QUIC's events in, streams of the engine out, and back.

Place in the path
    The QUIC endpoint hands a session what came on its connection; the pump hands it what the engine tells of its
    streams. The session opens a stream of the engine for each request, and writes what the engine answers to the stream of
    QUIC. It never blocks, reads no clock, and owns no task. What came together leaves together: `flush` has
    the connection send.

Back-pressure
    A request's body is *held* in QUIC's window until the backend took it (`consumed`), so a slow backend closes the
    window of the stream and, with others, of the connection. What the engine gives of a response is written at once, or
    when it is its turn (`turns`);
    the engine is told that it was `taken` when it went out in packets, so a slow client has 64 KiB of each response here and
    what is in flight, which has a bound of its own.

Bounds
    `Http3Limits` and `QuicLimits`. A client that passes one that it could know is told so with
    H3_EXCESSIVE_LOAD; what is wrong with one request ends its stream.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from aioquic.h3.connection import ErrorCode, stream_is_request_response
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import (
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from oto_trio.gateway.listeners.carried_engine import Http3Engine
from oto_trio.gateway.listeners.http2.limits import Budget
from oto_trio.gateway.listeners.http3.connection import Http3Connection
from oto_trio.gateway.listeners.http3.early import TOO_EARLY, is_harmless, marked
from oto_trio.gateway.listeners.http3.limits import Http3Limits
from oto_trio.gateway.listeners.http3.stream import Http3Stream, WithoutSocket
from oto_trio.gateway.listeners.http3.turns import Piece, Priorities, Turns
from oto_trio.gateway.listeners.patience import Patience

if TYPE_CHECKING:
    from oto_trio._core import FieldBlock
    from oto_trio.gateway.quic import QuicLink

__all__ = ["Http3Engine", "Http3Session", "Http3Stream"]

logger = logging.getLogger(__name__)

OVER: Final = -1
"""In place of the engine's number: the engine has nothing to do with the stream any more."""
MOST_DIGITS: Final = 18
"""Digits of a Content-Length; Python refuses to read thousands of them."""
BODILESS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"TRACE"})
"""Methods of requests that mostly have no body."""
END_WAIT_S: Final = 0.2
"""How long the head of such a request, which announces no body, waits for the end of its stream: some clients send that in a packet
of its own. Without it a backend would be told of a body that there is not."""
KNOWN_UNIDIRECTIONAL: Final = 3
"""Streams of one direction that a client has use for: control, and two of QPACK."""


class Http3Session(WithoutSocket):
    """The server's side of one connection; the owner of a `QuicLink`.

    Args:
        engine: Has the streams.
        link: The connection.
        listener: The engine's number of the listener.
        streams: Where the session enters the engine's numbers of its streams, for the pump to find it.
        now: The Trio clock, as in every method here.
        limits: The bounds.
        wake: Has the engine turned soon, for what it may go on with.
        enter: Told once the connection has its number.
        leave: Told that number once the connection has ended.
    """

    def __init__(  # noqa: PLR0913 (each of them is another part of the worker)
        self,
        engine: Http3Engine,
        link: "QuicLink",
        listener: int,
        streams: dict[int, Any],
        now: float,
        limits: Http3Limits | None = None,
        *,
        wake: Callable[[], None] = lambda: None,
        enter: Callable[["Http3Session"], None] = lambda _: None,
        leave: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.conn = -1
        """The engine's number of the connection, once its handshake is done."""
        self._engine = engine
        self._link = link
        self._listener = listener
        self._registry = streams
        self._limits = limits = limits or Http3Limits()
        self._h3: Http3Connection | None = None
        self._by_id: dict[int, Http3Stream] = {}
        self._by_engine: dict[int, Http3Stream] = {}
        self._sending: dict[int, Http3Stream] = {}
        self._resets = Budget(limits.resets, limits.resets_per_s, now)
        self._frames = Budget(limits.frames, limits.frames_per_s, now)
        self._highest = self._sent = 0
        self._endless: dict[int, tuple[FieldBlock, float]] = {}
        """Heads of requests that may have no body, with the time since when they wait to know."""
        self._turns = Turns(link.state, self._sending, self._write)
        self._priorities = Priorities(self._turns, self._by_id)
        self._abandoned: set[int] = set()
        self._strange_streams: set[int] = set()
        self._draining = False
        self._is_lost = False
        self._patience = Patience(limits.idle_s, now, least_s=limits.stall_s / 4)
        self._wake = wake
        self._enter = enter
        self._leave = leave
        link.on_sent = self.quic_sent

    @property
    def is_over(self) -> bool:
        """Whether the connection was closed, by either side."""
        return self._is_lost

    @property
    def open_streams(self) -> int:
        """How many requests are under way."""
        return len(self._by_id)

    # ---------------------------------------------------------------------------- from the client

    def quic_event(self, event: QuicEvent, now: float) -> None:
        """Act on something that happened on the connection."""
        is_time = isinstance(event, HandshakeCompleted) or self._link.state.takes_early
        if is_time and self._h3 is None and not self._is_lost:
            self._begin(now)
        h3 = self._h3
        if h3 is None or self._is_lost:
            return
        if isinstance(event, StreamReset | StopSendingReceived):
            if self._on_reset(event, now):
                return
        elif isinstance(event, StreamDataReceived):
            if event.stream_id in self._abandoned:
                if event.end_stream:
                    self._abandoned.discard(event.stream_id)
                return
            self._note_stream(event, now)
        for told in h3.handle_event(event):
            self._on_h3(told, now)
        if h3.idle_frames:
            self._spend(h3.idle_frames, now)
            h3.idle_frames = 0

    def _begin(self, now: float) -> None:
        """The handshake is done, or requests come before that: take a place in the engine, and begin to speak."""
        try:
            state = self._link.state
            address = str((state.begun_from or self._link.peer)[0]).partition("%")[0]
            told = state.server_name, now, state.client_chain, state.is_resumed
            self.conn = self._engine.carry(self._listener, address, *told)
        except ValueError as error:
            logger.debug("an HTTP/3 connection is refused: %s", error)
            self._link.close(ErrorCode.H3_EXCESSIVE_LOAD, str(error), now)
            return
        self._h3 = Http3Connection(self._link.state, self._limits)
        self._patience.quiet_since = now
        self._enter(self)
        self._rearm(now)

    def _note_stream(self, event: StreamDataReceived, now: float) -> None:
        """Count streams of one direction: some clients open ones that nobody knows, and few need more."""
        identity = event.stream_id
        if not identity & 2:
            return
        if not self._priorities.note(identity, event.data, self._highest):
            self._link.close(ErrorCode.H3_ID_ERROR, "a priority of no request", now)
        if identity not in self._strange_streams:
            self._strange_streams.add(identity)
            if len(self._strange_streams) > KNOWN_UNIDIRECTIONAL:
                self._strange_streams = {identity}
                self._spend(KNOWN_UNIDIRECTIONAL + 1, now)

    def _spend(self, count: float, now: float) -> None:
        if not self._frames.spend(count, now):
            logger.info("HTTP/3 connection %d sends frames without end", self.conn)
            self._link.close(ErrorCode.H3_EXCESSIVE_LOAD, "frames without end", now)

    def _on_h3(self, event: H3Event, now: float) -> None:
        if self._is_lost:
            return
        if isinstance(event, HeadersReceived):
            stream = self._by_id.get(event.stream_id)
            fields = cast("FieldBlock", event.headers)
            if stream is None and event.stream_id in self._endless:
                stream = self._begin_endless(event.stream_id, now)
                if stream is None:
                    return
            if stream is not None:
                self._on_trailers(stream, fields, now)
            elif not event.stream_ended and _may_end(fields):
                self._endless[event.stream_id] = (fields, now)
                self._rearm(now)
            else:
                self._on_request(event.stream_id, fields, event.stream_ended, now)
        elif isinstance(event, DataReceived):
            if event.stream_id in self._endless:
                end = event.stream_ended and not event.data
                self._begin_endless(event.stream_id, now, end=end)
                if end:
                    return
            self._on_data(event, now)

    def _begin_endless(self, identity: int, now: float, *, end: bool = False) -> Http3Stream | None:
        """Begin a request that waited for the end of its stream; None when it is refused."""
        fields, _ = self._endless.pop(identity)
        self._on_request(identity, fields, end, now)
        return self._by_id.get(identity)

    def _begin_all_endless(self, now: float, wait_s: float = 0.0) -> None:
        """Begin the requests that waited so long."""
        for identity, (_, since) in list(self._endless.items()):
            if now - since >= wait_s:
                self._begin_endless(identity, now)

    def _on_request(self, identity: int, fields: "FieldBlock", end: bool, now: float) -> None:  # noqa: FBT001 (as the event has it)
        if self._draining:
            self._refuse(identity, ErrorCode.H3_REQUEST_REJECTED, now)
            return
        self._highest = max(self._highest, identity + 4)
        self._frames.earn(1)  # clients may say a priority with each
        if not self._link.state.can_send(identity):
            # Refused already, or by a client that wants no answer: work for nobody, which nothing would end.
            self._refuse(identity, ErrorCode.H3_REQUEST_CANCELLED, now)
            return
        assert self._h3 is not None, "it told of the request"
        if self._h3.is_too_large(fields):
            self._refuse(identity, ErrorCode.H3_EXCESSIVE_LOAD, now)
            return
        if not self._link.state.is_established:
            if not is_harmless(fields, end=end):
                self._speak.send_headers(identity, list(TOO_EARLY), end_stream=True)
                self._spend(1, now)
                if not end:
                    self._abandon(identity, ErrorCode.H3_NO_ERROR)
                return
            fields = marked(fields)
        length = fields.get(b"content-length")
        is_count = length is not None and length.isdigit() and len(length) <= MOST_DIGITS
        announced = int(length) if length is not None and is_count else None
        try:
            if announced is None and length is not None:
                raise ValueError("Content-Length is no number")
            if end and announced:
                raise ValueError("there is no body of the announced length")
            engine_id = self._engine.open_stream(self.conn, fields, end, now)
        except ValueError as error:
            logger.debug("HTTP/3 stream %d.%d is refused: %s", self.conn, identity, error)
            self._refuse(identity, ErrorCode.H3_MESSAGE_ERROR, now)
            return
        stream = Http3Stream(identity, engine_id, now)
        stream.is_complete = end
        stream.announced = announced
        self._priorities.begin(stream, fields)
        self._by_id[identity] = self._by_engine[engine_id] = stream
        self._registry[engine_id] = self

    def _on_data(self, event: DataReceived, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        data, end = event.data, event.stream_ended
        if stream is None or stream.engine_id == OVER:
            if stream is not None and end:
                stream.is_complete = True
            return
        stream.received += len(data)
        announced = stream.announced
        if announced is not None and (
            stream.received > announced or (end and stream.received != announced)
        ):
            self._refuse(stream.id, ErrorCode.H3_MESSAGE_ERROR, now)
            return
        stream.is_complete = end
        if data:
            self._link.state.hold(stream.id, len(data))
        self._engine.feed(stream.engine_id, data, end, now)

    def _on_trailers(self, stream: Http3Stream, fields: "FieldBlock", now: float) -> None:
        assert self._h3 is not None, "it told of the trailers"
        stream.is_complete = True
        if stream.engine_id == OVER:
            return
        is_short = stream.announced is not None and stream.received != stream.announced
        try:
            if is_short or self._h3.is_too_large(fields):
                raise ValueError("trailers too soon, or too many")
            self._engine.feed_trailers(stream.engine_id, fields, now)
        except ValueError as error:
            logger.debug("HTTP/3 stream %d.%d is refused: %s", self.conn, stream.id, error)
            self._refuse(stream.id, ErrorCode.H3_MESSAGE_ERROR, now)

    def _on_reset(self, event: StreamReset | StopSendingReceived, now: float) -> bool:
        """The client gave a request up, or does not want its answer.

        Returns:
            Whether that was all there is to do. The library, which has forgotten such a stream, would reset its answer.
        """
        identity = event.stream_id
        if not stream_is_request_response(identity):
            self._spend(1, now)
            return False
        if isinstance(event, StreamReset) and identity in self._abandoned:
            self._abandoned.discard(identity)
            return True
        if self._endless.pop(identity, None) is not None:
            self._refuse(identity, ErrorCode.H3_REQUEST_CANCELLED, now)
            return True
        stream = self._by_id.get(identity)
        if stream is None:
            self._spend(1, now)
            return False
        if not self._resets.spend(1, now):
            logger.info("HTTP/3 connection %d resets streams without end", self.conn)
            self._link.close(ErrorCode.H3_EXCESSIVE_LOAD, "streams reset without end", now)
            return True
        stream.is_complete = stream.is_complete or isinstance(event, StreamReset)
        self._give_up(identity, ErrorCode.H3_REQUEST_CANCELLED)
        self._forget(stream, now)
        return True

    def _refuse(self, identity: int, code: ErrorCode, now: float) -> None:
        """End a stream by the client's fault."""
        self._give_up(identity, code)
        self._forget(self._by_id.get(identity), now)
        if not self._resets.spend(1, now):
            self._link.close(ErrorCode.H3_EXCESSIVE_LOAD, "broken requests without end", now)

    def _give_up(self, identity: int, code: int) -> None:
        """Send no more on a stream, and take no more of it."""
        if self._link.state.is_known(identity):
            self._link.state.reset_stream(identity, code)
        self._abandon(identity, code)

    def _abandon(self, identity: int, code: int) -> None:
        """Have the client send no more on a stream; what is under way is dropped unread."""
        state = self._link.state
        if state.is_receiving(identity):
            state.stop_stream(identity, code)
            self._abandoned.add(identity)
        if self._h3 is not None:
            self._h3.forget(identity)
        self._link.touch()

    # ------------------------------------------------------------------------------ from the engine

    def head(self, engine_id: int, fields: "FieldBlock") -> None:
        """Send a head, interim or final."""
        stream = self._by_engine.get(engine_id)
        if stream is not None and self._may_send(stream):
            self._speak.send_headers(stream.id, cast("Any", fields))

    def answer(self, engine_id: int, fields: "FieldBlock", data: bytes) -> None:
        """Send a whole response."""
        stream = self._engine_done(engine_id)
        if stream is None or not self._may_send(stream):
            return
        self._speak.send_headers(stream.id, cast("Any", fields), end_stream=not data)
        if data:
            self._turns.say(stream, (data, True))

    def data(self, engine_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send body of a response; `end` tells that it is the last."""
        stream = self._engine_done(engine_id) if end else self._by_engine.get(engine_id)
        if stream is None or not self._may_send(stream):
            return
        if not end:
            stream.untaken += len(data)
        self._sending[stream.id] = stream
        self._turns.say(stream, (data, end))

    def trailers(self, engine_id: int, fields: "FieldBlock") -> None:
        """Send trailers behind the body."""
        stream = self._engine_done(engine_id)
        if stream is not None and self._may_send(stream):
            self._turns.say(stream, fields)

    def broken(self, engine_id: int) -> None:
        """The response cannot be completed: what was sent of it must not look whole."""
        stream = self._engine_done(engine_id)
        if stream is not None and not stream.is_halved:
            self._give_up(stream.id, ErrorCode.H3_INTERNAL_ERROR)
            self._drop(stream)

    def halved(self, engine_id: int) -> None:
        """End our half of a tunnel; the client's half goes on until `broken`."""
        stream = self._by_engine.get(engine_id)
        if stream is not None and self._may_send(stream):
            stream.is_halved = True
            self._sending[stream.id] = stream
            self._turns.say(stream, (b"", True))

    def consumed(self, engine_id: int, count: int) -> None:
        """The backend took so much of the request's body: the client may send as much again."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            self._link.state.release(stream.id, count)

    @property
    def _speak(self) -> Http3Connection:
        assert self._h3 is not None, "requests come after the handshake"
        return self._h3

    def _may_send(self, stream: Http3Stream) -> bool:
        return not self._is_lost and self._link.state.can_send(stream.id)

    def _engine_done(self, engine_id: int) -> Http3Stream | None:
        """Note that the engine has told all of a stream."""
        stream = self._by_engine.pop(engine_id, None)
        self._registry.pop(engine_id, None)
        if stream is not None:
            stream.engine_id = OVER
            stream.is_answered = True
            self._link.state.release_all(stream.id)
            self._sending[stream.id] = stream
        return stream

    # ------------------------------------------------------------------------------------- sending

    def flush(self, now: float) -> None:
        """Send what came together since the last time."""
        if self._is_lost:
            return
        self._end_when_done(now)
        self._rearm(now)
        self._turns.let_go()
        self._link.transmit(now)
        self._look_at_sent(now)
        while self._turns.let_go():
            self._link.transmit(now)
            self._look_at_sent(now)

    def quic_sent(self, now: float) -> None:
        """Packets may have gone out: tell the engine what it may go on with, and let go of what is done."""
        if not self._is_lost:
            self._look_at_sent(now)
            if self._turns.let_go():
                self._link.touch()

    def _write(self, stream: Http3Stream, piece: Piece) -> None:
        """Send a piece of a response whose turn it is, if anybody still wants it."""
        if not self._may_send(stream):
            self._turns.drop(stream)
        elif isinstance(piece, tuple):
            self._speak.send_data(stream.id, piece[0], end_stream=piece[1])
        else:
            self._speak.send_headers(stream.id, cast("Any", piece), end_stream=True)

    def _look_at_sent(self, now: float) -> None:
        state = self._link.state
        before, self._sent = self._sent, state.stream_bytes_sent
        for stream in list(self._sending.values()):
            written = state.unsent(stream.id)
            unsent = written + stream.kept
            # What only waits for its turn moves with the others of its connection.
            if unsent != stream.unsent or (not written and self._sent != before):
                stream.moved_at = now
                stream.unsent = unsent
            taken = stream.untaken - min(unsent, stream.untaken)
            if taken and stream.engine_id != OVER:
                stream.untaken -= taken
                self._engine.taken(stream.engine_id, taken)
                self._wake()
            if unsent or stream.pieces:
                continue
            if not stream.is_answered:
                del self._sending[stream.id]
            else:
                self._settle(stream)
        if self._draining:
            self._end_when_done(now)

    def _settle(self, stream: Http3Stream) -> None:
        """Let go of a stream whose response was sent; the rest of its request is not wanted."""
        if not stream.is_complete:
            self._abandon(stream.id, ErrorCode.H3_NO_ERROR)  # RFC 9114 section 4.1.1
        self._drop(stream)

    def _drop(self, stream: Http3Stream) -> None:
        self._by_id.pop(stream.id, None)
        self._sending.pop(stream.id, None)
        self._turns.drop(stream)
        self._link.state.release_all(stream.id)

    def _forget(self, stream: Http3Stream | None, now: float) -> None:
        """Drop a stream; the engine cancels what it still does for it."""
        if stream is None:
            return
        if stream.engine_id != OVER:
            self._by_engine.pop(stream.engine_id, None)
            self._registry.pop(stream.engine_id, None)
            self._engine.reset_stream(stream.engine_id, now)
            stream.engine_id = OVER
        self._drop(stream)

    # -------------------------------------------------------------------------------------- ending

    def quic_lost(self, now: float) -> None:
        """The connection ends: cancel all that is done on it."""
        if self._is_lost:
            return
        self._is_lost = True
        self._endless.clear()
        for stream in list(self._by_id.values()):
            self._forget(stream, now)
        if self.conn >= 0:
            self._engine.hang_up(self.conn, now)
            self._leave(self.conn)

    def lost(self, now: float) -> None:
        """The engine let go of the connection."""
        self._link.close(ErrorCode.H3_NO_ERROR, "", now)

    def drain(self, now: float) -> None:
        """Take no more requests; close when those under way are answered and heard."""
        if self._draining or self._is_lost or self._h3 is None:
            return
        self._begin_all_endless(now)
        self._draining = True
        self._h3.goaway(self._highest)
        self._end_when_done(now)
        self._link.touch()

    def _end_when_done(self, now: float) -> None:
        if self._draining and not self._by_id and not self._is_lost and not self._link.state.owes:
            self._link.close(ErrorCode.H3_NO_ERROR, "", now)

    def fail(self, now: float) -> None:
        """End the connection at once: the gateway failed. Idempotent."""
        self._link.close(ErrorCode.H3_INTERNAL_ERROR, "", now)
        self._link.transmit(now)

    # ------------------------------------------------------------------------------------ patience

    def idle(self, now: float) -> None:
        """The deadline set with `patience` has passed: see who let others wait for too long."""
        self._patience.passed()
        if self._is_lost:
            return
        self._begin_all_endless(now, END_WAIT_S)
        self._look_at_sent(now)
        for stream in list(self._sending.values()):
            if stream.unsent and now - stream.moved_at >= self._limits.stall_s:
                logger.info("HTTP/3 stream %d.%d reads nothing", self.conn, stream.id)
                self._refuse(stream.id, ErrorCode.H3_EXCESSIVE_LOAD, now)
        if not self._by_id and self._patience.is_idle(now):
            self.drain(now)
        self.flush(now)

    def _rearm(self, now: float) -> None:
        """Have `idle` called when the next deadline may pass."""
        if self._is_lost or self.conn < 0:
            return
        wait = self._limits.stall_s / 4 if self._by_id else None
        if self._endless:
            wait = END_WAIT_S
        due = self._patience.rearm(now, busy=bool(self._by_id), wait_s=wait)
        if due is not None:
            self._engine.patience(self.conn, due)


def _may_end(fields: "FieldBlock") -> bool:
    """Whether a head whose stream goes on may be all of its request."""
    return (
        fields.get(b":method") in BODILESS
        and fields.get(b"content-length") is None
        and fields.get(b"expect") is None
    )
