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
from h2.exceptions import NoAvailableStreamIDError, ProtocolError, TooManyStreamsError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream
from hyperframe.frame import Frame, GoAwayFrame
from typing_extensions import override

from oto_trio._core import FieldBlock, HpackDecoder, HpackEncoder
from oto_trio.gateway.listeners.carried_engine import CallEngine
from oto_trio.gateway.listeners.http2.connection import KEPT_CLOSED, Http2Frames
from oto_trio.gateway.listeners.http2.limits import Budget, Http2Limits
from oto_trio.gateway.listeners.http2.plain import (
    DATA,
    END_HEADERS,
    END_STREAM,
    ENDED,
    HALF_CLOSED_LOCAL,
    HEADERS,
    OPEN,
    PlainConnection,
)
from oto_trio.gateway.upstream.calls import CALLS_MOST, BackendCalls, NoRoomError, Why

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Http2Calls"]

logger = logging.getLogger(__name__)

CLIENT_OPEN: Final = ConnectionState.CLIENT_OPEN
ODD: Final = AllowedStreamIDs.ODD
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


class _Connection(PlainConnection[Http2Frames]):
    """The client's side of one connection."""

    MAX_CLOSED_STREAMS = KEPT_CLOSED
    most = CALLS_MOST
    """Requests at once that the backend takes, of those that anybody would send."""

    @override
    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """Begin a stream of ours; the backend may open none."""
        if stream_id <= self.highest_outbound_stream_id or stream_id % 2 != int(allowed_ids):
            message = "only the client opens streams, with odd numbers that grow"
            raise ProtocolError(message)
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
        self._write_head(identity, fields, ends=ends)
        return identity

    @override
    def _take_plain(self, kind: int, flags: int, identity: int, size: int) -> Event | None:
        stream = self.streams.get(identity)
        if stream is None or self.state_machine.state is not CLIENT_OPEN:
            return None
        state = stream.state_machine.state
        if state is not OPEN and state is not HALF_CLOSED_LOCAL:
            return None
        if kind == DATA:
            is_expected = flags in {0, END_STREAM} and stream.state_machine.headers_received
            return self._take_data(stream, flags, size) if is_expected else None
        if kind == HEADERS and flags | END_STREAM == END_STREAM | END_HEADERS:
            return self._take_head(stream, size, ends=flags & END_STREAM != 0)
        return None

    def _take_head(self, stream: H2Stream, size: int, *, ends: bool) -> Event:
        """Take a HEADERS frame that is a whole head, or trailers.

        Raises:
            ProtocolError: It is malformed, or ends a stream where it must not, or does not where it must.
        """
        fields = self._decode(self.frames.take(size))
        status = fields.status
        identity, machine = stream.stream_id, stream.state_machine
        event: ResponseReceived | TrailersReceived
        if machine.headers_received:
            if not ends:
                raise ProtocolError("trailers that do not end the stream")
            machine.trailers_received = True
            event = TrailersReceived(stream_id=identity)
        elif status is not None and 100 <= status < 200:
            if ends:
                raise ProtocolError("an interim response that ends the stream")
            interim = InformationalResponseReceived(stream_id=identity)
            interim.headers = cast("list[tuple[bytes, bytes]]", fields)
            return interim
        else:
            machine.headers_received = True
            event = ResponseReceived(stream_id=identity)
        event.headers = cast("list[tuple[bytes, bytes]]", fields)
        if ends:
            self._end_received(stream)
            event.stream_ended = ENDED
        return event

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
        self._h2 = _Connection(_CONFIG)
        self._h2.frames = self._h2.incoming_buffer = Http2Frames(limits, server=False)
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
        self._frames = Budget(limits.frames, limits.frames_per_s, now)
        # Half of what we take of a client, who may be a gateway like this one.
        self._aborts = Budget(limits.resets / 2, limits.resets_per_s / 2, now)
        self._greeting = b""
        self._takes_sockets: bool | None = None
        self._blocked = False
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
        if not self._ended:
            self._receive(data, now)

    def _receive(self, data: bytes, now: float) -> None:
        if len(self._greeting) < GREETING_BYTES:
            self._greeting += data[:GREETING_BYTES]
            if self._greeting[GREETING_BYTES - 1 : GREETING_BYTES] not in {b"", SETTINGS_FRAME}:
                logger.info("a backend does not speak HTTP/2 on connection %d", self.conn)
                self._end(Why.DONE)
                return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            logger.info("a backend broke HTTP/2 on connection %d: %s", self.conn, error)
            self._end(Why.MALFORMED)
            return
        for event in events:
            handle = self._handlers.get(event.__class__)
            if handle is not None:
                handle(event, now)
            elif not self._frames.spend(2, now):
                logger.info("a backend sends frames without end on connection %d", self.conn)
                self.close(Why.EXCESSIVE, now)
            if self._ended:
                return

    def _on_head(self, event: ResponseReceived | InformationalResponseReceived, now: float) -> None:
        self._heard_head(event.stream_id, _block(event.headers), now)
        if isinstance(event, ResponseReceived) and event.stream_ended is ENDED:
            self._heard_end(event.stream_id, now)

    def _on_data(self, event: DataReceived, now: float) -> None:
        padding = event.flow_controlled_length - len(event.data)
        if padding:
            self._h2.acknowledge_received_data(padding, event.stream_id)
        if event.data:
            self._heard_data(event.stream_id, event.data, now)
        elif not event.stream_ended and not self._frames.spend(1, now):
            self.close(Why.EXCESSIVE, now)
        if event.stream_ended is ENDED:
            self._heard_end(event.stream_id, now)

    def _on_trailers(self, event: TrailersReceived, now: float) -> None:
        self._heard_trailers(event.stream_id, _block(event.headers), now)
        if event.stream_ended is ENDED:
            self._heard_end(event.stream_id, now)

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
        self._h2.send_headers(identity, cast("Any", fields), end_stream=True)

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
                logger.info("many requests were given up on connection %d: it is left", self.conn)
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


def _block(fields: Iterable[Any]) -> FieldBlock:
    """Return fields as a block, which those of a short way are."""
    return fields if isinstance(fields, FieldBlock) else FieldBlock(fields)
