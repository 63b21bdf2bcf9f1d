"""One HTTP/2 connection to a backend: requests of the engine out, bytes of the backend in.

Place in the path
    `calls` says what a connection does that requests share; this is its HTTP/2. The engine makes the connection
    and owns its socket.

Bounds
    `Http2Limits`, and `CALLS_MOST` requests at once. A backend that pushes is refused: it was told not to.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionState
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
from h2.exceptions import (
    NoAvailableStreamIDError,
    ProtocolError,
    StreamClosedError,
    StreamIDTooLowError,
    TooManyStreamsError,
)
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream
from hyperframe.frame import Frame, GoAwayFrame
from typing_extensions import override

from oto_trio._core import FieldBlock, HpackDecoder
from oto_trio.gateway.listeners.carried_engine import CallEngine
from oto_trio.gateway.listeners.http2.connection import Http2Frames
from oto_trio.gateway.listeners.http2.limits import Budget, Http2Limits
from oto_trio.gateway.listeners.http2.plain import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HALF_CLOSED_LOCAL,
    HEADERS,
    OPEN,
    TRAILERS,
    PlainConnection,
    PlainEvent,
)
from oto_trio.gateway.upstream.calls import CALLS_MOST, BackendCalls, NoRoomError, Why

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Http2Calls"]

logger = logging.getLogger(__name__)

CLIENT_OPEN: Final = ConnectionState.CLIENT_OPEN
ODD: Final = AllowedStreamIDs.ODD
UNREAD_MOST: Final = 64 * 1024
"""Bytes of frames that answer a backend, and wait because it does not read; bodies wait elsewhere."""
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
    """A stream whose length is not looked at, and which may have been given up before its answer came."""

    @override
    def receive_headers(
        self, headers: Iterable[Any], end_stream: bool, header_encoding: bool | str | None
    ) -> tuple[list[Frame], list[Event]]:
        if self.closed:
            # The library has no step for an interim head here, and would end everybody's connection.
            raise StreamClosedError(self.stream_id)
        return super().receive_headers(headers, end_stream, header_encoding)

    @override
    def _initialize_content_length(self, headers: Iterable[object]) -> None:
        """The session counts: a wrong length breaks one answer, not everybody's connection."""


class _Connection(PlainConnection[Http2Frames]):
    """The client's side of one connection."""

    most = CALLS_MOST
    """Requests at once that the backend takes, of those that anybody would send."""

    @override
    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """Begin a stream of ours; the backend may open none, nor go back to one that was swept."""
        highest = self.highest_outbound_stream_id
        if stream_id % 2 == 0 or (allowed_ids is not ODD and stream_id > highest):
            message = "only the client opens streams, with odd numbers that grow"
            raise ProtocolError(message)
        if stream_id <= highest:
            # Those that we gave up get a late answer now and then; the library knows them by this.
            raise StreamIDTooLowError(stream_id, highest)
        self.highest_outbound_stream_id = stream_id
        return self._new_stream(_Stream, stream_id)

    def open(self, fields: FieldBlock, *, ends: bool) -> int:
        """Begin a stream with the head of a request; returns its number.

        Raises:
            NoAvailableStreamIDError: All numbers were used.
            TooManyStreamsError: The backend takes no more at once.
        """
        identity = self.get_next_available_stream_id()
        if self.state_machine.state is not CLIENT_OPEN:
            self.send_headers(identity, cast("Any", fields), end_stream=ends)
            return identity
        most = self.most
        # Streams that the library closed are in its table until they are swept.
        if len(self.streams) >= most and self.open_outbound_streams >= most:
            message = f"the backend takes {most} requests at once"
            raise TooManyStreamsError(message)
        machine = self._begin_new_stream(identity, ODD).state_machine
        machine.state = HALF_CLOSED_LOCAL if ends else OPEN
        machine.client = True
        machine.headers_sent = True
        self._out.head(fields, identity, ends, self.max_outbound_frame_size)
        return identity

    @override
    def _take_plain(
        self, kind: int, flags: int, identity: int, payload: bytes
    ) -> PlainEvent | None:
        stream = self.streams.get(identity)
        if stream is None or self.state_machine.state is not CLIENT_OPEN:
            return None
        state = stream.state_machine.state
        if state is not OPEN and state is not HALF_CLOSED_LOCAL:
            return None
        if kind == DATA:
            is_expected = flags in {0, END_STREAM} and stream.state_machine.headers_received
            return self._take_data(stream, flags, payload) if is_expected else None
        if kind == HEADERS and flags | END_STREAM == END_STREAM | END_HEADERS:
            return self._take_head(stream, payload, flags & END_STREAM != 0)
        return None

    def _take_head(self, stream: H2Stream, block: bytes, ends: bool) -> PlainEvent:  # noqa: FBT001 (as the flag has it)
        """Take a HEADERS frame that is a whole head, or trailers.

        Raises:
            ProtocolError: It is malformed, or ends a stream where it must not, or does not where it must.
        """
        fields = self._decode(block)
        status, kind = fields.status, HEADERS
        machine = stream.state_machine
        if machine.headers_received:
            if not ends:
                raise ProtocolError("trailers that do not end the stream")
            machine.trailers_received = True
            kind = TRAILERS
        elif status is None or not 100 <= status < 200:
            machine.headers_received = True
        elif ends:
            raise ProtocolError("an interim response that ends the stream")
        if ends:
            self._end_received(stream)
        return kind, stream.stream_id, fields, ends

    @override
    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Note that the backend takes no more streams; the library would drop those under way, too."""
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


_CODES: Final = {
    Why.DONE: ErrorCodes.NO_ERROR,
    Why.CANCELLED: ErrorCodes.CANCEL,
    Why.MALFORMED: ErrorCodes.PROTOCOL_ERROR,
    Why.STRANGE: ErrorCodes.PROTOCOL_ERROR,
    Why.EXCESSIVE: ErrorCodes.ENHANCE_YOUR_CALM,
    Why.FAULT: ErrorCodes.INTERNAL_ERROR,
}


class Http2Calls(BackendCalls):
    """The client's side of one HTTP/2 connection to a backend.

    Args:
        engine: Has the connection and the exchanges.
        conn: The engine's number of the connection.
        streams: Where the session enters the engine's numbers of its streams.
        now: The Trio clock, as in every method here.
        limits: The bounds.
        idle_s: Without a request for so long, the connection is closed.
    """

    protocol = "HTTP/2"

    def __init__(
        self,
        engine: CallEngine,
        conn: int,
        streams: dict[int, Any],
        now: float,
        limits: Http2Limits | None = None,
        idle_s: float = 30.0,
    ) -> None:
        super().__init__(engine, conn, streams, now, idle_s)
        self._limits = limits = limits or Http2Limits()
        decoder = HpackDecoder(
            max_header_list_size=limits.header_list_bytes, max_fields=limits.header_fields
        )
        self._h2 = _Connection(_CONFIG, Http2Frames(limits, server=False), decoder)
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
        self._frames = Budget(limits.frames, limits.frames_per_s, now)
        # Half of what we take of a client, who may be a gateway like this one.
        self._aborts = Budget(limits.resets / 2, limits.resets_per_s / 2, now)
        self._greeting = b""
        self._takes_sockets: bool | None = None
        self._blocked = False
        self._unread = 0
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

    # ------------------------------------------------------------------ from the backend

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the backend."""
        self._now = now
        if self._ended:
            return
        if len(self._greeting) < GREETING_BYTES:
            self._greeting += data[:GREETING_BYTES]
            if self._greeting[GREETING_BYTES - 1 : GREETING_BYTES] not in {b"", SETTINGS_FRAME}:
                logger.info("%s: it does not speak HTTP/2", self._named)
                self._end(Why.DONE)
                return
        self._receive(data, now)

    def _receive(self, data: bytes, now: float) -> None:
        unsent = self._h2.unsent
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            logger.info("%s: it broke HTTP/2: %s", self._named, error)
            self._end(Why.MALFORMED)
            return
        if self._blocked:
            # What these made the library say. A backend that reads nothing may not have it say more without end.
            self._unread += self._h2.unsent - unsent
            if self._unread > UNREAD_MOST:
                logger.info("%s: it sends without end, and reads nothing", self._named)
                self.close(Why.EXCESSIVE, now)
                return
        for event in events:
            if isinstance(event, tuple):
                self._on_plain(event, now)
            elif (handle := self._handlers.get(event.__class__)) is not None:
                handle(event, now)
            elif not self._frames.spend(2, now):
                logger.info("%s: it sends frames without end", self._named)
                self.close(Why.EXCESSIVE, now)
            if self._ended:
                return

    def _on_plain(self, event: PlainEvent, now: float) -> None:
        kind, identity, content, ends = event
        if isinstance(content, bytes):
            self._on_body(identity, content, ends, now)
        elif kind == TRAILERS:
            self._heard_trailers(identity, content, now)
        else:
            self._heard_head(identity, content, now)
        if ends:
            self._heard_end(identity, now)

    def _on_body(self, identity: int, data: bytes, ends: bool, now: float) -> None:  # noqa: FBT001 (as the flag has it)
        if data:
            self._heard_data(identity, data, now)
        elif not ends and not self._frames.spend(1, now):
            self.close(Why.EXCESSIVE, now)

    def _on_head(self, event: ResponseReceived | InformationalResponseReceived, now: float) -> None:
        self._heard_head(event.stream_id, FieldBlock(event.headers), now)

    def _on_data(self, event: DataReceived, now: float) -> None:
        padding = event.flow_controlled_length - len(event.data)
        if padding:
            self._h2.acknowledge_received_data(padding, event.stream_id)
        self._on_body(event.stream_id, event.data, event.stream_ended is not None, now)

    def _on_trailers(self, event: TrailersReceived, now: float) -> None:
        self._heard_trailers(event.stream_id, FieldBlock(event.headers), now)

    def _on_end(self, event: StreamEnded, now: float) -> None:
        self._heard_end(event.stream_id, now)

    def _on_reset(self, event: StreamReset, now: float) -> None:
        self._heard_reset(event.stream_id, event.error_code == ErrorCodes.REFUSED_STREAM, now)

    def _on_window(self, _event: WindowUpdated, now: float) -> None:
        if not self._frames.spend(1, now):
            self.close(Why.EXCESSIVE, now)

    def _on_settings(self, _event: RemoteSettingsChanged, now: float) -> None:
        if not self._frames.spend(2, now):
            self.close(Why.EXCESSIVE, now)
            return
        if not self._leaving:
            self._h2.most = min(self._h2.remote_settings.max_concurrent_streams, CALLS_MOST)
            self._engine.set_room(self.conn, self._h2.most, now)
        takes_sockets = bool(self._h2.remote_settings.enable_connect_protocol)
        if takes_sockets is not self._takes_sockets:
            self._takes_sockets = takes_sockets
            # Those that waited for this begin at once: as many as there is room for now.
            self._engine.set_sockets(self.conn, takes_sockets, now)

    def _on_goaway(self, event: ConnectionTerminated, now: float) -> None:
        self._heard_leaving((event.last_stream_id or 0) + 1, now)

    # --------------------------------------------------------------------------- sending

    def writable(self, _now: float) -> None:
        """The socket took all that was written."""
        self._blocked = False
        self._unread = 0

    @override
    def _open(self, fields: FieldBlock, ends: bool) -> int:
        try:
            return self._h2.open(fields, ends=ends)
        except NoAvailableStreamIDError as error:
            raise NoRoomError(for_good=True) from error  # numbers are not used again
        except TooManyStreamsError as error:
            raise NoRoomError from error

    @override
    def _room(self, identity: int) -> int:
        if self._blocked:
            return 0
        return min(self._h2.local_flow_control_window(identity), self._h2.max_outbound_frame_size)

    @override
    def _write(self, identity: int, data: bytes, end: bool) -> None:
        if data:
            self._h2.write(identity, data, ends=end)
            self._frames.earn(2)
        else:
            self._h2.end_stream(identity)

    @override
    def _write_trailers(self, identity: int, fields: FieldBlock) -> None:
        if len(fields):
            self._h2.send_headers(identity, cast("Any", fields), end_stream=True)
        else:
            self._h2.end_stream(identity)

    @override
    def _give_back(self, identity: int, count: int) -> None:
        self._h2.give_back(count, identity)

    @override
    def _give_back_own(self, identity: int, count: int) -> None:
        self._h2.give_back_own(count, identity)

    @override
    def _give_back_shared(self, count: int) -> None:
        self._h2.give_back_shared(count)

    @override
    def _abort(self, identity: int, why: Why) -> None:
        known = self._h2.streams.get(identity)
        if known is not None and not known.closed and not self._ended:
            self._h2.reset_stream(identity, _CODES[why])
            if not self._leaving and not self._aborts.spend(1, self._now):
                # The backend may soon take them for an attack, and end what others wait for (CVE-2023-44487).
                logger.info("%s: many requests were given up, it is left", self._named)
                self._leave()

    @override
    def _transmit(self, now: float) -> bool:
        data = self._h2.data_to_send()
        if data and not self._engine.send(self.conn, data):
            self._blocked = True
        return bool(data)

    @override
    def _say_end(self, why: Why) -> None:
        if self._h2.state_machine.state is not ConnectionState.CLOSED:
            self._h2.close_connection(_CODES[why])
        data = self._h2.data_to_send()
        if data:
            self._engine.send(self.conn, data)
