"""One HTTP/2 connection of a client: bytes in, streams of the engine out, and back.

Place in the path
    The pump hands a session what the engine tells of its connection and its streams. The session feeds the client's
    bytes to the protocol state, opens a stream in the engine for each request, and sends what the engine answers
    within the client's windows. It never blocks, reads no clock, and owns no task; at the end of a round the pump
    calls `flush`, and all that came together goes out in one call.

Back-pressure
    A request body is acknowledged when the backend took it (`consumed`), so a slow backend closes the client's
    window. A response is taken from the engine when the client's window let it out (`taken`), so a slow client holds
    64 KiB of each response here and no more. While the socket is full nothing of a body is written, and the engine
    reads nothing.

Bounds
    `Http2Limits`. A client that passes one of them that it could know is told so with GOAWAY and ENHANCE_YOUR_CALM;
    what belongs to one stream ends that stream.
"""

import logging
from typing import TYPE_CHECKING, Any, Final, cast

from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PriorityUpdated,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.carried_engine import CarriedEngine
from oto_trio.gateway.listeners.http2.connection import Http2Connection
from oto_trio.gateway.listeners.http2.limits import (
    BATCH,
    CHEAP_SETTINGS,
    CUT_BYTES,
    JUDGED_BYTES,
    SLICE,
    Budget,
    Http2Limits,
    appetite,
)
from oto_trio.gateway.listeners.http2.plain import PlainEvent
from oto_trio.gateway.listeners.http2.priorities import choose, parse_priority, read_update
from oto_trio.gateway.listeners.http2.stream import OVER, Stream, announced_length
from oto_trio.gateway.listeners.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Http2Session"]

logger = logging.getLogger(__name__)

COSTS: Final[dict[type[Event], int]] = {StreamEnded: 0, PriorityUpdated: 1, WindowUpdated: 1}
"""What frames without a handler cost of the budget. PING and SETTINGS have to be answered: 2. Each DATA frame that is
sent earns two windows, or more; see `_send_turn`."""


class Http2Session:
    """The server's side of one connection.

    Args:
        engine: Has the connection and its streams.
        conn: The engine's number of the connection.
        streams: Where the session enters the engine's numbers of its streams, for the pump to find it.
        now: The Trio clock, as in every method here.
        limits: The bounds.
        extended_connect: Whether a client may open a WebSocket on a stream (RFC 8441).
    """

    def __init__(
        self,
        engine: CarriedEngine,
        conn: int,
        streams: dict[int, Any],
        now: float,
        limits: Http2Limits,
        *,
        extended_connect: bool = False,
    ) -> None:
        self.conn = conn
        self._engine = engine
        self._registry = streams
        self._limits = limits
        self._h2 = Http2Connection(limits, extended_connect=extended_connect)
        self._by_id: dict[int, Stream] = {}
        self._by_engine: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}
        self._early_priorities: dict[int, tuple[int, bool]] = {}
        self._resets = Budget(limits.resets, limits.resets_per_s, now)
        self._frames = Budget(limits.frames, limits.frames_per_s, now)
        self._now = now
        self._turns = 0
        self._events = 0
        self._blocked = False
        self._blocked_at = now
        self._draining = False
        self._ended = False
        self._partial_since: float | None = now
        self._patience = Patience(limits.idle_s, now)
        self._handlers: dict[type[Event], Callable[[Any, float], None]] = {
            RequestReceived: self._on_long_request,
            DataReceived: self._on_data,
            TrailersReceived: self._on_trailers,
            StreamReset: self._on_reset,
            UnknownFrameReceived: self._on_unknown,
            ConnectionTerminated: self._on_goaway,
        }
        self._rearm(now)

    @property
    def is_over(self) -> bool:
        """Whether the connection was closed, by either side."""
        return self._ended

    # ------------------------------------------------------------------- from the client

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the client."""
        self._now = now
        self._events = 0
        for start in range(0, len(data), SLICE):
            self._receive(data[start : start + SLICE], now)
            if self._ended:
                return
        if len(data) >= JUDGED_BYTES:
            # Many small frames take long to work through, and others wait meanwhile.
            self._engine.set_appetite(self.conn, appetite(len(data), self._events))

    def _receive(self, data: bytes, now: float) -> None:
        h2 = self._h2
        resets, settings = h2.resets_sent, h2.settings_read
        try:
            events = h2.receive_data(data)
        except ProtocolError as error:
            logger.debug("HTTP/2 connection %d broke the protocol: %s", self.conn, error)
            self._end()
            return
        except Exception:
            # A defect of the codec must not take the worker's other connections with it.
            logger.exception("HTTP/2 connection %d failed", self.conn)
            self._close(ErrorCodes.INTERNAL_ERROR)
            return
        self._events += len(events)
        for event in events:
            self._on_event(event, now)
            if self._ended:
                return
        if h2.settings_read > settings:
            self._spend((h2.settings_read - settings) // CHEAP_SETTINGS, now)
            if self._ended:
                return
        if h2.resets_sent > resets and not self._resets.spend(h2.resets_sent - resets, now):
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        if not h2.frames.is_partial:
            self._partial_since = None
        elif self._partial_since is None or h2.frames.has_ended:
            self._partial_since = now

    def _on_event(self, event: Event | PlainEvent, now: float) -> None:
        if isinstance(event, tuple):
            _, identity, content, ends = event
            if isinstance(content, bytes):
                self._on_body(identity, content, len(content), ends, now)
            else:
                self._on_request(identity, content, ends, now)
            return
        handle = self._handlers.get(event.__class__)
        if handle is not None:
            handle(event, now)
        else:
            self._spend(COSTS.get(event.__class__, 2), now)

    def _on_goaway(self, _event: ConnectionTerminated, now: float) -> None:
        self._spend(2, now)
        self._draining = True
        self._end_when_done()

    def _spend(self, count: float, now: float) -> None:
        if not self._frames.spend(count, now) and not self._ended:
            logger.info("HTTP/2 connection %d sends frames without end", self.conn)
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)

    def _refuse(self, identity: int, code: ErrorCodes) -> None:
        """End a stream by the client's fault; the budget of resets is charged where they are counted."""
        if identity in self._h2.streams and not self._h2.streams[identity].closed:
            self._h2.reset_stream(identity, code)
        self._forget(self._by_id.get(identity))

    def _on_long_request(self, event: RequestReceived, now: float) -> None:
        if event.priority_updated is not None:
            self._frames.earn(1)  # it is told by itself too, and came with the request
        fields = cast("FieldBlock", event.headers)
        self._on_request(event.stream_id, fields, event.stream_ended is not None, now)

    def _on_request(self, identity: int, fields: FieldBlock, end: bool, now: float) -> None:  # noqa: FBT001 (as the flag has it)
        if self._draining or len(self._by_id) >= self._limits.max_streams:
            self._refuse(identity, ErrorCodes.REFUSED_STREAM)
            return
        # One that is too large is refused by the engine, as over HTTP/1.1; it costs more than others.
        if (excess := self._limits.excess(fields)) and not self._resets.spend(excess, now):
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        try:
            announced = announced_length(fields, ends=end)
            engine_id = self._engine.open_stream(self.conn, fields, end, now)
        except ValueError as error:
            logger.debug("HTTP/2 stream %d.%d is refused: %s", self.conn, identity, error)
            self._refuse(identity, ErrorCodes.PROTOCOL_ERROR)
            return
        stream = Stream(identity, engine_id, now)
        stream.is_complete = end
        stream.announced = announced
        said = self._early_priorities.pop(identity, None) or parse_priority(fields.get(b"priority"))
        if said is not None:
            stream.urgency, stream.incremental = said
        self._by_id[identity] = self._by_engine[engine_id] = stream
        self._registry[engine_id] = self

    def _on_data(self, event: DataReceived, now: float) -> None:
        end = event.stream_ended is not None
        self._on_body(event.stream_id, event.data, event.flow_controlled_length, end, now)

    def _on_body(self, identity: int, data: bytes, size: int, end: bool, now: float) -> None:  # noqa: FBT001 (as the flag has it)
        stream = self._by_id.get(identity)
        if not data and not end:
            self._spend(1, now)
        if stream is None or stream.engine_id == OVER:
            # Nobody reads it, but the window belongs to the other streams too.
            if size:
                self._h2.acknowledge_received_data(size, identity)
            if stream is not None and end:
                stream.is_complete = True
                self._settle(stream)
            return
        padding = size - len(data)
        if padding:
            self._h2.acknowledge_received_data(padding, identity)
        stream.owed += len(data)
        stream.received += len(data)
        stream.moved_at = now
        announced = stream.announced
        if announced is not None and (
            stream.received > announced or (end and stream.received != announced)
        ):
            self._refuse(stream.id, ErrorCodes.PROTOCOL_ERROR)
            return
        stream.is_complete = end
        self._engine.feed(stream.engine_id, data, end, now)

    def _on_trailers(self, event: TrailersReceived, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
        stream.is_complete = True
        stream.moved_at = now
        if stream.engine_id == OVER:
            self._settle(stream)
            return
        fields = cast("FieldBlock", event.headers)
        if stream.announced not in {None, stream.received} or self._limits.excess(fields):
            self._refuse(stream.id, ErrorCodes.PROTOCOL_ERROR)
            return
        try:
            self._engine.feed_trailers(stream.engine_id, fields, now)
        except ValueError as error:
            logger.debug("HTTP/2 stream %d.%d is refused: %s", self.conn, stream.id, error)
            self._refuse(stream.id, ErrorCodes.PROTOCOL_ERROR)

    def _on_reset(self, event: StreamReset, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        # One that the library sent is counted as such.
        if event.remote_reset and not self._resets.spend(1, now):
            logger.info("HTTP/2 connection %d resets streams without end", self.conn)
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        self._forget(stream)

    def _on_unknown(self, event: UnknownFrameReceived, now: float) -> None:
        """A frame of an extension; only PRIORITY_UPDATE means something (RFC 9218 section 7.1)."""
        self._spend(1, now)
        update = read_update(event.frame)
        if self._ended or update is None:
            return
        if isinstance(update, ErrorCodes):
            self._close(update)
            return
        identity, said = update
        stream = self._by_id.get(identity)
        if stream is not None:
            stream.urgency, stream.incremental = said
        elif (
            identity > self._h2.highest_inbound_stream_id
            and len(self._early_priorities) < self._limits.max_streams
        ):
            self._early_priorities[identity] = said

    # ------------------------------------------------------------------- from the engine

    def head(self, engine_id: int, fields: FieldBlock) -> None:
        """Send a head: an interim one at once, the final one with what follows in this round."""
        stream = self._by_engine.get(engine_id)
        if stream is None:
            return
        status = fields.status
        if status is not None and status < 200:
            # Who reads nothing misses what need not be said; it would wait here without a bound.
            if not self._blocked:
                self._h2.send_headers(stream.id, fields)
        else:
            stream.head = fields
            self._waiting[stream.id] = stream

    def answer(self, engine_id: int, fields: FieldBlock, data: bytes) -> None:
        """Send a whole response."""
        stream = self._engine_done(engine_id)
        if stream is None:
            return
        if not data:
            self._h2.send_headers(stream.id, fields, end_stream=True)
            stream.is_sent = True
            self._settle(stream)
            return
        stream.head = fields
        stream.push(data)
        self._waiting[stream.id] = stream
        self._send_whole(stream)

    def data(self, engine_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send body of a response, as the windows allow; `end` tells that it is the last."""
        stream = self._engine_done(engine_id) if end else self._by_engine.get(engine_id)
        if stream is not None:
            stream.push(data)
            self._waiting[stream.id] = stream

    def trailers(self, engine_id: int, fields: FieldBlock) -> None:
        """Send trailers behind what waits of the body."""
        stream = self._engine_done(engine_id)
        if stream is not None:
            stream.trailers = fields
            self._waiting[stream.id] = stream
            self._send_whole(stream)

    def _send_whole(self, stream: Stream) -> None:
        """Send a response of which nothing is out yet and everything is here, if nobody waits before it."""
        if (
            len(self._waiting) > 1
            or self._blocked
            or stream.head is None
            or len(stream.chunks) != 1
        ):
            return
        if self._h2.answer(stream.id, stream.head, stream.chunks[0], stream.trailers):
            self._frames.earn(2)
            stream.is_sent = True
            self._forget(stream)

    def broken(self, engine_id: int) -> None:
        """The response cannot be completed: what was sent of it must not look whole."""
        stream = self._engine_done(engine_id)
        if stream is not None and stream.is_halved:
            self._settle(stream)
        elif stream is not None:
            self._h2.reset_stream(stream.id, ErrorCodes.INTERNAL_ERROR)
            self._forget(stream)

    def halved(self, engine_id: int) -> None:
        """End our half of a tunnel behind what waits of it; the client's half goes on until `broken`."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            stream.is_halved = stream.is_answered = True
            self._waiting[stream.id] = stream

    def consumed(self, engine_id: int, count: int) -> None:
        """The backend took so much of the request's body: the client may send as much again."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            count = min(count, stream.owed)
            stream.owed -= count
            if count:
                self._h2.give_back(count, stream.id)

    def _engine_done(self, engine_id: int) -> Stream | None:
        """The engine's part is over; it hears no more of the stream."""
        stream = self._by_engine.pop(engine_id, None)
        self._registry.pop(engine_id, None)
        if stream is not None:
            stream.engine_id = OVER
            stream.is_answered = True
            self._return_window(stream)
        return stream

    # --------------------------------------------------------------------------- sending

    def writable(self, now: float) -> None:
        """The socket took all that was written."""
        self._blocked = False
        for stream in self._waiting.values():
            stream.moved_at = now

    def flush(self, now: float) -> None:
        """Send what there is: frames of the protocol, and bodies within the windows."""
        self._now = now
        while not self._ended:
            if self._waiting and not self._blocked:
                self._send_bodies(now)
            data = self._h2.data_to_send()
            if not data:
                break
            if not self._engine.send(self.conn, data) and not self._blocked:
                self._blocked = True
                self._blocked_at = now
        self._end_when_done()
        self._rearm(now)

    def _send_bodies(self, now: float) -> None:
        """Hand out up to `BATCH` bytes, by priority."""
        room = BATCH
        h2 = self._h2
        candidates = {
            identity: stream
            for identity, stream in self._waiting.items()
            if stream.head is not None
            or not stream.chunks
            or h2.local_flow_control_window(identity) > 0
        }
        while room > 0 and candidates and not self._ended:
            stream = choose(candidates)
            sent = self._send_turn(stream, now)
            room -= sent
            if not stream.waits:
                del candidates[stream.id]
                self._waiting.pop(stream.id, None)
            elif sent == 0:
                del candidates[stream.id]

    def _send_turn(self, stream: Stream, now: float) -> int:
        """Send one frame of a stream; returns what it takes of the batch, 0 when no window is open."""
        h2, identity = self._h2, stream.id
        sent = 0
        head, stream.head = stream.head, None
        if head is not None:
            h2.send_headers(identity, head)
        if stream.chunks:
            window = min(h2.local_flow_control_window(identity), h2.max_outbound_frame_size)
            if window <= 0:
                return 0
            data = stream.take(window)
            sent = len(data)
            last = stream.is_answered and not stream.chunks and stream.trailers is None
            h2.write(identity, data, ends=last)
            self._turns += 1
            stream.turn = self._turns
            stream.moved_at = now
            if sent < CUT_BYTES and stream.chunks:
                # The client wants it drop by drop (CVE-2019-9511). One whose window ends between two frames
                # gets such drops too; what else it takes pays for them.
                self._spend(1, now)
                if self._ended:
                    return sent
            else:
                # The client answers with a WINDOW_UPDATE of the stream and one of the connection.
                self._frames.earn(2 if sent < CUT_BYTES else 4)
            if stream.engine_id != OVER:
                self._engine.taken(stream.engine_id, sent)
            if not last:
                return sent
        elif not stream.is_answered:
            return 0
        elif stream.trailers is not None:
            h2.send_headers(identity, stream.trailers, end_stream=True)
        else:
            h2.end_stream(identity)
        stream.is_sent = True
        self._settle(stream)
        return sent or 1

    # ---------------------------------------------------------------------------- ending

    def _settle(self, stream: Stream) -> None:
        """Let go of a stream whose response was sent; the rest of its request is not wanted."""
        is_over = stream.is_sent and stream.engine_id == OVER
        if not is_over or stream.ends_soon(self._now - self._limits.stall_s):
            return
        if not stream.is_complete and not self._h2.streams[stream.id].closed:
            # RFC 9113 section 8.1. It is no reset by the client's doing.
            self._h2.reset_stream(stream.id, ErrorCodes.NO_ERROR)
            self._h2.resets_sent -= 1
        self._forget(stream)

    def _forget(self, stream: Stream | None) -> None:
        """Drop a stream; the engine cancels what it still does for it."""
        if stream is None:
            return
        self._by_id.pop(stream.id, None)
        self._waiting.pop(stream.id, None)
        if stream.engine_id != OVER:
            self._by_engine.pop(stream.engine_id, None)
            self._registry.pop(stream.engine_id, None)
            self._engine.reset_stream(stream.engine_id, self._now)
            stream.engine_id = OVER
        self._return_window(stream)

    def _return_window(self, stream: Stream) -> None:
        """Give the connection back what a stream's body took of its window and nobody will consume."""
        owed, stream.owed = stream.owed, 0
        if owed and not self._ended:
            self._h2.give_back(owed, stream.id)

    def lost(self, now: float) -> None:
        """The client has gone: cancel all that is done for it."""
        self._now = now
        self._ended = True
        for stream in list(self._by_id.values()):
            self._forget(stream)

    def drain(self, now: float) -> None:
        """Take no more requests; close when those under way are answered."""
        self._now = now
        if self._draining or self._ended:
            return
        self._draining = True
        self._h2.goaway()
        self.flush(now)

    def _end_when_done(self) -> None:
        if self._draining and not self._by_id and not self._ended:
            self._end()

    def close(self, code: ErrorCodes, now: float) -> None:
        """End the connection at once, and say why. Idempotent."""
        self._now = now
        self._close(code)

    def fail(self, now: float) -> None:
        """End the connection at once: the gateway failed. Idempotent."""
        self.close(ErrorCodes.INTERNAL_ERROR, now)

    def _close(self, code: ErrorCodes) -> None:
        if not self._ended:
            self._h2.close_connection(code)
            self._end()

    def _end(self) -> None:
        data = self._h2.data_to_send()
        self.lost(self._now)
        if data:
            self._engine.send(self.conn, data)
        self._engine.hang_up(self.conn, self._now)

    # -------------------------------------------------------------------------- patience

    def idle(self, now: float) -> None:
        """The deadline set with `patience` has passed: see who let others wait for too long."""
        self._now = now
        self._patience.passed()
        stall = self._limits.stall_s
        if self._ended:
            return
        if self._partial_since is not None and now - self._partial_since >= stall:
            logger.info("HTTP/2 connection %d does not end what it began", self.conn)
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        if self._blocked and now - self._blocked_at >= stall:
            logger.info("HTTP/2 connection %d reads nothing", self.conn)
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)
            return
        for stream in list(self._by_id.values()):
            self._settle(stream)
            owes_window = bool(stream.chunks) and not self._blocked
            if owes_window and self._h2.local_flow_control_window(stream.id) > 0:
                # The window is open: others went first.
                stream.moved_at = now
            if owes_window and now - stream.moved_at >= stall:
                self._refuse(stream.id, ErrorCodes.ENHANCE_YOUR_CALM)
        if not self._by_id and self._patience.is_idle(now):
            self._draining = True
            self._h2.goaway()
        self.flush(now)

    def _rearm(self, now: float) -> None:
        """Have `idle` called when the next deadline may pass."""
        if self._ended:
            return
        is_waited_for = self._by_id or self._blocked or self._partial_since is not None
        wait = self._limits.stall_s / 4 if is_waited_for else None
        due = self._patience.rearm(now, busy=bool(self._by_id), wait_s=wait)
        if due is not None:
            self._engine.patience(self.conn, due)
