"""One HTTP/2 connection to a backend: requests of the engine out, bytes of the backend in.

Place in the path
    The engine makes the connection, and hands requests on it over as streams (`call`). What the backend
    answers goes back to the engine, head and body apart, and from there through the plan of its exchange as
    any answer. Like a client's session this one never blocks, reads no clock and owns no task; `flush` sends what came
    together in a round.

Back-pressure
    A request body is taken from the engine when the backend's window let it out (`taken`); an answer's body
    is acknowledged when the client took it (`consumed`). So a slow side stops the other, over both windows.

Bounds
    `Http2Limits`, and `CALLS_MOST` requests at once. A backend that pushes is refused: it was told not to.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import NoAvailableStreamIDError, ProtocolError, TooManyStreamsError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream
from hyperframe.frame import Frame, GoAwayFrame
from typing_extensions import override

from oto_trio._core import FieldBlock, HpackDecoder, HpackEncoder
from oto_trio.gateway.listeners.carried_engine import CallEngine
from oto_trio.gateway.listeners.http2.connection import KEPT_CLOSED
from oto_trio.gateway.listeners.http2.limits import Budget, Http2Limits
from oto_trio.gateway.listeners.http2.stream import OVER, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CALLS_MOST", "Http2Calls"]

logger = logging.getLogger(__name__)

CALLS_MOST: Final = 256
"""Requests at once on a connection, however many more the backend takes; then another one is made."""
BATCH: Final = 128 * 1024
"""Bytes that are written before the socket is asked whether it takes more."""
MOST_DIGITS: Final = 18
"""Digits of a Content-Length; Python refuses to read thousands of them."""
NOT_MODIFIED: Final = 304
GREETING_BYTES: Final = 4
SETTINGS_FRAME: Final = b"\4"
"""A server's first frame is SETTINGS (RFC 9113 section 3.4); the fourth byte of a frame tells its type."""

_CONFIG = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Stream(H2Stream):
    """A stream whose length is not looked at."""

    @override
    def _initialize_content_length(self, headers: Iterable[object]) -> None:
        """The session counts: a wrong length breaks one answer, not everybody's connection."""


class _Connection(H2Connection):
    """The client's side of one connection."""

    MAX_CLOSED_STREAMS = KEPT_CLOSED

    @override
    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """Begin a stream of ours; the backend may open none."""
        if stream_id <= self.highest_outbound_stream_id or stream_id % 2 != int(allowed_ids):
            message = "only the client opens streams, with odd numbers that grow"
            raise ProtocolError(message)
        stream = _Stream(
            stream_id,
            config=self.config,
            inbound_window_size=self.local_settings.initial_window_size,
            outbound_window_size=self.remote_settings.initial_window_size,
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[stream_id] = stream
        self.highest_outbound_stream_id = stream_id
        return stream

    @override
    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Note that the backend takes no more streams; the library would drop those under way, too."""
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Http2Calls:
    """The client's side of one connection to a backend.

    Args:
        engine: Has the connection and the exchanges.
        conn: The engine's number of the connection.
        streams: Where the session enters the engine's numbers of its streams.
        now: The Trio clock, as in every method here.
        limits: The bounds.
        idle_s: Without a request for so long, the connection is closed.
    """

    def __init__(
        self,
        engine: CallEngine,
        conn: int,
        streams: dict[int, Any],
        now: float,
        limits: Http2Limits | None = None,
        idle_s: float = 30.0,
    ) -> None:
        self.conn = conn
        self._engine = engine
        self._registry = streams
        self._limits = limits = limits or Http2Limits()
        self._idle_s = idle_s
        self._h2 = _Connection(_CONFIG)
        self._h2.encoder = cast("Any", HpackEncoder())
        self._h2.decoder = cast(
            "Any",
            HpackDecoder(
                max_header_list_size=limits.header_list_bytes, max_fields=limits.header_fields
            ),
        )
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
            },
        )
        self._h2.initiate_connection()
        spare = limits.connection_window - self._h2.inbound_flow_control_window
        if spare > 0:
            self._h2.increment_flow_control_window(spare)
        self._by_id: dict[int, Stream] = {}
        self._by_engine: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}
        self._frames = Budget(limits.frames, limits.frames_per_s, now)
        self._greeting = b""
        self._blocked = False
        self._leaving = False
        self._ended = False
        self._quiet_since = now
        self._now = now
        self._handlers: dict[type[Event], Callable[[Any, float], None]] = {
            ResponseReceived: self._on_head,
            InformationalResponseReceived: self._on_head,
            DataReceived: self._on_data,
            TrailersReceived: self._on_trailers,
            StreamEnded: self._on_end,
            StreamReset: self._on_reset,
            WindowUpdated: self._on_window,
            RemoteSettingsChanged: self._on_settings,
            ConnectionTerminated: self._on_goaway,
        }
        engine.patience(conn, now + idle_s)

    @property
    def is_over(self) -> bool:
        """Whether the connection was closed, by either side."""
        return self._ended

    # ------------------------------------------------------------------- from the engine

    def call(self, engine_id: int, fields: FieldBlock, ends: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send the head of a request; `ends` tells that it has no body."""
        if self._leaving or self._ended:
            self._engine.break_stream(engine_id, True, self._now)  # noqa: FBT003 (positional only)
            return
        try:
            identity = self._h2.get_next_available_stream_id()
            self._h2.send_headers(identity, cast("Any", fields), end_stream=ends)
        except (NoAvailableStreamIDError, TooManyStreamsError) as error:
            if isinstance(error, NoAvailableStreamIDError):
                self._leave()  # for good: numbers are not used again
            else:
                self._engine.set_room(self.conn, len(self._by_id), self._now)
            self._engine.break_stream(engine_id, True, self._now)  # noqa: FBT003 (positional only)
            return
        stream = Stream(identity, engine_id, self._now)
        stream.is_sent = ends
        if fields.get(b":method") == b"HEAD":
            stream.announced = 0  # whatever the answer says
        self._by_id[identity] = self._by_engine[engine_id] = stream
        self._registry[engine_id] = self

    def data(self, engine_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send body of a request, as the windows allow; `end` tells that it is the last."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            stream.push(data)
            stream.is_answered = end
            self._waiting[stream.id] = stream

    def trailers(self, engine_id: int, fields: FieldBlock) -> None:
        """Send trailers behind what waits of the body."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            stream.trailers = fields
            stream.is_answered = True
            self._waiting[stream.id] = stream

    def broken(self, engine_id: int) -> None:
        """Nobody wants the answer any more."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            self._forget(stream)
            self._reset(stream.id, ErrorCodes.CANCEL)

    def consumed(self, engine_id: int, count: int) -> None:
        """The client took so much of an answer: the backend may send as much again."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            count = min(count, stream.owed)
            stream.owed -= count
            if count and not self._ended:
                self._h2.acknowledge_received_data(count, stream.id)
            self._settle(stream)

    # ------------------------------------------------------------------ from the backend

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the backend."""
        self._now = now
        if not self._ended:
            self._receive(data, now)

    def _receive(self, data: bytes, now: float) -> None:
        if len(self._greeting) < GREETING_BYTES:
            self._greeting += data[:GREETING_BYTES]
            if self._greeting[GREETING_BYTES - 1 : GREETING_BYTES] not in {b"", SETTINGS_FRAME}:
                logger.info("a backend does not speak HTTP/2 on connection %d", self.conn)
                self._end()
                return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            logger.info("a backend broke HTTP/2 on connection %d: %s", self.conn, error)
            self._end()
            return
        for event in events:
            handle = self._handlers.get(event.__class__)
            if handle is not None:
                handle(event, now)
            elif not self._frames.spend(2, now):
                logger.info("a backend sends frames without end on connection %d", self.conn)
                self.close(ErrorCodes.ENHANCE_YOUR_CALM, now)
            if self._ended:
                return

    def _on_head(self, event: ResponseReceived | InformationalResponseReceived, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None or stream.engine_id == OVER:
            return
        fields = FieldBlock(event.headers)
        length = fields.get(b"content-length")
        if length is not None and event.__class__ is ResponseReceived:
            if not length.isdigit() or len(length) > MOST_DIGITS:
                logger.info(
                    "a backend sent a Content-Length that is none on connection %d", self.conn
                )
                self._give_up(stream, ErrorCodes.PROTOCOL_ERROR)
                return
            if stream.announced is None:
                stream.announced = 0 if fields.status == NOT_MODIFIED else int(length)
        self._engine.answer_head(stream.engine_id, fields, now)

    def _on_data(self, event: DataReceived, now: float) -> None:
        size = event.flow_controlled_length
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            # Nobody reads it, but the window belongs to the other streams too.
            self._h2.acknowledge_received_data(size, event.stream_id)
            return
        padding = size - len(event.data)
        if padding:
            self._h2.acknowledge_received_data(padding, event.stream_id)
        if event.data:
            stream.owed += len(event.data)
            stream.received += len(event.data)
            if stream.announced is not None and stream.received > stream.announced:
                self._give_up(stream, ErrorCodes.PROTOCOL_ERROR)
                return
            self._engine.feed(stream.engine_id, event.data, False, now)  # noqa: FBT003 (positional only)
        elif not event.stream_ended and not self._frames.spend(1, now):
            self.close(ErrorCodes.ENHANCE_YOUR_CALM, now)

    def _on_trailers(self, event: TrailersReceived, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
        if stream.announced not in {None, stream.received}:
            self._give_up(stream, ErrorCodes.PROTOCOL_ERROR)
            return
        stream.is_complete = True
        try:
            self._engine.feed_trailers(stream.engine_id, FieldBlock(event.headers), now)
        except ValueError as error:
            logger.info("a backend sent bad trailers on connection %d: %s", self.conn, error)
            self._give_up(stream, ErrorCodes.PROTOCOL_ERROR)

    def _on_end(self, event: StreamEnded, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
        if not stream.is_complete:
            if stream.announced not in {None, stream.received}:
                self._give_up(stream, ErrorCodes.PROTOCOL_ERROR)
                return
            self._engine.feed(stream.engine_id, b"", True, now)  # noqa: FBT003 (positional only)
            stream.is_complete = True
        self._settle(stream)

    def _on_reset(self, event: StreamReset, now: float) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
        unseen = event.error_code == ErrorCodes.REFUSED_STREAM
        if stream.is_complete:
            # The answer is whole; the backend does not want the rest of the request (RFC 9113 section 8.1).
            self._forget(stream)
            return
        self._forget(stream)
        self._engine.break_stream(stream.engine_id, unseen, now)

    def _on_window(self, _event: WindowUpdated, now: float) -> None:
        if not self._frames.spend(1, now):
            self.close(ErrorCodes.ENHANCE_YOUR_CALM, now)

    def _on_settings(self, _event: RemoteSettingsChanged, now: float) -> None:
        if not self._frames.spend(2, now):
            self.close(ErrorCodes.ENHANCE_YOUR_CALM, now)
        elif not self._leaving:
            most = min(self._h2.remote_settings.max_concurrent_streams, CALLS_MOST)
            self._engine.set_room(self.conn, most, now)

    def _on_goaway(self, event: ConnectionTerminated, now: float) -> None:
        """Send no more; what the backend did not look at goes elsewhere."""
        self._leave()
        last = event.last_stream_id or 0
        for stream in [one for one in self._by_id.values() if one.id > last]:
            self._forget(stream)
            self._engine.break_stream(stream.engine_id, True, now)  # noqa: FBT003 (positional only)

    # --------------------------------------------------------------------------- sending

    def writable(self, _now: float) -> None:
        """The socket took all that was written."""
        self._blocked = False

    def flush(self, now: float) -> None:
        """Send what there is: frames of the protocol, and bodies within the windows."""
        self._now = now
        while not self._ended:
            if not self._blocked:
                self._send_bodies(now)
            data = self._h2.data_to_send()
            if not data:
                break
            if not self._engine.send(self.conn, data):
                self._blocked = True
        if self._by_id:
            self._quiet_since = now
        elif self._leaving and not self._ended:
            self._end()

    def _send_bodies(self, now: float) -> None:
        """Hand out up to `BATCH` bytes, in turn."""
        room = BATCH
        for stream in list(self._waiting.values()):
            while room > 0 and self._send_turn(stream, now):
                room -= self._h2.max_outbound_frame_size
            if not stream.chunks:
                self._waiting.pop(stream.id, None)
            elif room <= 0:
                # The others first, the next time.
                self._waiting[stream.id] = self._waiting.pop(stream.id)
                return

    def _send_turn(self, stream: Stream, now: float) -> bool:
        """Send one frame of a request; False when there is none, or no window is open."""
        h2, identity = self._h2, stream.id
        if stream.is_sent:
            return False
        if stream.chunks:
            window = min(h2.local_flow_control_window(identity), h2.max_outbound_frame_size)
            if window <= 0:
                return False
            data = stream.take(window)
            last = stream.is_answered and not stream.chunks and stream.trailers is None
            h2.send_data(identity, data, end_stream=last)
            stream.moved_at = now
            self._frames.earn(2)
            self._engine.taken(stream.engine_id, len(data))
            if not last:
                return True
        elif not stream.is_answered:
            return False
        elif stream.trailers is not None:
            h2.send_headers(identity, cast("Any", stream.trailers), end_stream=True)
        else:
            h2.end_stream(identity)
        stream.is_sent = True
        self._settle(stream)
        return False

    # ---------------------------------------------------------------------------- ending

    def _settle(self, stream: Stream) -> None:
        """Let go of a stream whose answer is whole. The engine ends what is left of its request."""
        if stream.is_complete and stream.is_sent and not stream.owed:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._by_id.pop(stream.id, None)
        self._waiting.pop(stream.id, None)
        self._by_engine.pop(stream.engine_id, None)
        self._registry.pop(stream.engine_id, None)
        owed, stream.owed = stream.owed, 0
        if owed and not self._ended:
            self._h2.acknowledge_received_data(owed, stream.id)

    def _give_up(self, stream: Stream, code: ErrorCodes) -> None:
        self._forget(stream)
        self._reset(stream.id, code)
        self._engine.break_stream(stream.engine_id, False, self._now)  # noqa: FBT003 (positional only)

    def _reset(self, identity: int, code: ErrorCodes) -> None:
        known = self._h2.streams.get(identity)
        if known is not None and not known.closed and not self._ended:
            self._h2.reset_stream(identity, code)

    def _leave(self) -> None:
        self._leaving = True
        self._engine.set_room(self.conn, 0, self._now)

    def lost(self, now: float) -> None:
        """The backend has gone: every request on the connection has failed."""
        self._now = now
        self._ended = True
        for stream in list(self._by_id.values()):
            self._forget(stream)
            self._engine.break_stream(stream.engine_id, False, now)  # noqa: FBT003 (positional only)

    def idle(self, now: float) -> None:
        """The deadline has passed: close the connection if nobody used it."""
        self._now = now
        if self._ended:
            return
        if not self._by_id and now - self._quiet_since >= self._idle_s:
            self.close(ErrorCodes.NO_ERROR, now)
        else:
            self._engine.patience(self.conn, max(self._quiet_since, now) + self._idle_s)

    def close(self, code: ErrorCodes, now: float) -> None:
        """End the connection at once, and say why. Idempotent."""
        self._now = now
        if not self._ended:
            if self._h2.state_machine.state is not ConnectionState.CLOSED:
                self._h2.close_connection(code)
            self._end()

    def _end(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._engine.send(self.conn, data)
        self._engine.set_room(self.conn, 0, self._now)
        self.lost(self._now)
        self._engine.hang_up(self.conn, self._now)
