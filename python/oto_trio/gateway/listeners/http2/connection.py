"""The protocol state of one connection: the `h2` library with the engine's field coder.

`h2` decides what may be sent and received when. What it says about the *content* of heads is switched
off, because the engine checks that when it opens the stream; and a few of its answers are changed where
a gateway has to be milder than a library may be, or stricter. Each says why.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionState
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    Event,
    RequestReceived,
    StreamEnded,
    TrailersReceived,
)
from h2.exceptions import DenialOfServiceError, ProtocolError, StreamIDTooLowError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamInputs
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)
from typing_extensions import override

from oto_trio._core import FieldBlock, HpackDecoder
from oto_trio.gateway.listeners.http2.limits import Http2Limits
from oto_trio.gateway.listeners.http2.plain import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HALF_CLOSED_REMOTE,
    HEADERS,
    OPEN,
    SENT_END,
    PlainConnection,
    PlainEvent,
    PlainFrames,
)

if TYPE_CHECKING:
    from hpack.hpack import Encoder

__all__ = ["NO_RFC7540_PRIORITIES", "Http2Connection", "Http2Frames"]

NO_RFC7540_PRIORITIES: Final = 0x9
"""The setting that says: priorities are those of RFC 9218."""

SETTINGS: Final = 0x4
ACK: Final = 0x1
SETTING_SIZE: Final = 6
SERVER_OPEN: Final = ConnectionState.SERVER_OPEN
ODD: Final = AllowedStreamIDs.ODD

_CONFIG = H2Configuration(
    client_side=False,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Stream(H2Stream):
    """A stream whose fields stay one block."""

    @override
    def send_headers(
        self,
        headers: Iterable[object],
        encoder: "Encoder",
        end_stream: bool = False,
    ) -> list[HeadersFrame | ContinuationFrame | PushPromiseFrame]:
        """Frames of a head or trailers; the same steps as the library's, on a block."""
        block = cast("FieldBlock", headers)
        status = block.status
        machine = self.state_machine
        interim = status is not None and status < 200
        machine.process_input(
            StreamInputs.SEND_INFORMATIONAL_HEADERS if interim else StreamInputs.SEND_HEADERS
        )
        encoded = encoder.encode(cast("Iterable[tuple[bytes, bytes]]", block))
        room = self.max_outbound_frame_size or len(encoded)
        first = HeadersFrame(self.stream_id)
        first.data = encoded[:room]
        frames: list[HeadersFrame | ContinuationFrame | PushPromiseFrame] = [first]
        for start in range(room, len(encoded), room):
            more = ContinuationFrame(self.stream_id)
            more.data = encoded[start : start + room]
            frames.append(more)
        frames[-1].flags.add("END_HEADERS")
        if end_stream:
            machine.process_input(StreamInputs.SEND_END_STREAM)
            first.flags.add("END_STREAM")
        return frames

    @override
    def receive_headers(
        self,
        headers: Iterable[object],
        end_stream: bool,
        header_encoding: bool | str | None,
    ) -> tuple[list[Frame], list[Event]]:
        """A head or trailers of the client; the same steps as the library's, on a block."""
        machine = self.state_machine
        events = machine.process_input(StreamInputs.RECV_HEADERS)
        told = cast("RequestReceived | TrailersReceived", events[0])
        if end_stream:
            ended = machine.process_input(StreamInputs.RECV_END_STREAM)
            told.stream_ended = cast("StreamEnded", ended[0])
            events += ended
        elif isinstance(told, TrailersReceived):
            raise ProtocolError("trailers that do not end the stream")
        told.headers = cast("list[tuple[bytes, bytes]]", headers)
        return [], events

    @override
    def _process_received_headers(self, headers: Iterable[object], *_: object) -> list[object]:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        return cast("list[object]", headers)

    @override
    def _initialize_content_length(self, headers: Iterable[object]) -> None:
        """The session counts: a wrong length ends the stream, not everybody's connection."""


class Http2Frames(PlainFrames):
    """Frames of the peer, with bounds on a head that comes in pieces (CVE-2024-27316)."""

    def __init__(self, limits: Http2Limits, *, server: bool = True) -> None:
        super().__init__(server=server)
        self._limits = limits

    @override
    def _update_header_buffer(self, f: Frame | None) -> Frame | None:
        frame = super()._update_header_buffer(f)
        pieces = self._headers_buffer
        if pieces:
            if len(pieces) >= self._limits.header_frames:
                message = f"a head takes more than {self._limits.header_frames} frames"
                raise DenialOfServiceError(message)
            if sum(len(piece.data) for piece in pieces) > self._limits.header_block_bytes:
                message = f"an encoded head is over {self._limits.header_block_bytes} bytes"
                raise DenialOfServiceError(message)
        return frame


class Http2Connection(PlainConnection[Http2Frames]):
    """The server's side of one connection.

    Args:
        limits: The bounds; they are told to the client where HTTP/2 has a setting for them.
        extended_connect: Whether WebSockets may be opened (RFC 8441).
    """

    def __init__(self, limits: Http2Limits, *, extended_connect: bool = False) -> None:
        decoder = HpackDecoder(
            max_header_list_size=limits.decoded_bytes, max_fields=limits.decoded_fields
        )
        super().__init__(_CONFIG, Http2Frames(limits), decoder)
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.header_list_bytes,
            cast("SettingCodes", NO_RFC7540_PRIORITIES): 1,
        }
        if extended_connect:
            settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.local_settings = Settings(client=False, initial_values=settings)
        self.initiate_connection()
        spare = limits.connection_window - self.inbound_flow_control_window
        if spare > 0:
            self.increment_flow_control_window(spare)
        self._swept_at = 2 * limits.max_streams
        self.resets_sent = 0
        """How many RST_STREAM frames went out, those of the library itself included."""
        self.settings_read = 0
        """How many settings came, one that stands in a frame twice counted twice."""
        self._is_greeted = False

    @property
    @override
    def open_inbound_streams(self) -> int:
        """None, for the library's check: the session counts.

        The library would end the connection of a client that opens too many streams, perhaps before
        it read the settings; the session refuses such streams one by one.

        Closed streams are swept now and then, rather than looked for at each new one.
        """
        if len(self.streams) >= self._swept_at:
            self._open_streams(1)
        return 0

    @override
    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """Begin a stream of the client; the server opens none."""
        if stream_id <= self.highest_inbound_stream_id:
            raise StreamIDTooLowError(stream_id, self.highest_inbound_stream_id)
        if stream_id % 2 != int(allowed_ids):
            message = "a client's streams have odd numbers"
            raise ProtocolError(message)
        self.highest_inbound_stream_id = stream_id
        return self._new_stream(_Stream, stream_id)

    @override
    def _take_plain(
        self, kind: int, flags: int, identity: int, payload: bytes
    ) -> PlainEvent | None:
        if not self._is_greeted:
            self._greet(kind, flags)
        if self.state_machine.state is not SERVER_OPEN:
            return None
        if kind == HEADERS:
            is_whole = flags | END_STREAM == END_STREAM | END_HEADERS
            if is_whole and identity > self.highest_inbound_stream_id and identity & 1:
                return self._begin_request(identity, payload, flags & END_STREAM != 0)
        elif kind == DATA and flags in {0, END_STREAM}:
            stream = self.streams.get(identity)
            if stream is not None and stream.state_machine.state is OPEN:
                return self._take_data(stream, flags, payload)
        return None

    def _greet(self, kind: int, flags: int) -> None:
        """Look at the first frame behind the client's preface (RFC 9113 section 3.4).

        Raises:
            ProtocolError: It does not tell its settings.
        """
        if kind != SETTINGS or flags & ACK:
            raise ProtocolError("a client's first frame is not its settings")
        self._is_greeted = True

    def _begin_request(self, identity: int, block: bytes, ends: bool) -> PlainEvent:  # noqa: FBT001 (as the flag has it)
        """Begin a stream whose head is whole: what the library does in many steps."""
        if len(self.streams) >= self._swept_at:
            self._open_streams(1)
        fields = self._decode(block)
        machine = self._begin_new_stream(identity, ODD).state_machine
        machine.state = HALF_CLOSED_REMOTE if ends else OPEN
        machine.client = False
        machine.headers_received = True
        return HEADERS, identity, fields, ends

    @override
    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        for frame in frames:
            if frame.__class__ is RstStreamFrame:
                self.resets_sent += 1
        super()._prepare_for_sending(frames)

    @override
    def _receive_settings_frame(self, frame: SettingsFrame) -> tuple[list[Frame], list[Event]]:
        self.settings_read += frame.body_len // SETTING_SIZE
        return super()._receive_settings_frame(frame)

    @override
    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        """Note that the client opens no more streams.

        The library would be closed from here on, and what the client still waits for could not be
        sent (RFC 9113 section 6.8).
        """
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    def answer(
        self, identity: int, fields: FieldBlock, data: bytes, trailers: FieldBlock | None = None
    ) -> bool:
        """Send a whole response at once, if its request is whole and the windows let all of it out.

        It is what `send_headers` and `send_data` would send, without an object for each frame and a
        question for each step: most responses go this way.

        Returns:
            Whether it was sent; False leaves everything as it was.
        """
        stream = self.streams.get(identity)
        size = len(data)
        if (
            stream is None
            or stream.state_machine.state is not HALF_CLOSED_REMOTE
            or stream.state_machine.headers_sent
            or self.state_machine.state is not SERVER_OPEN
            or size > self.max_outbound_frame_size
            or size > self.outbound_flow_control_window
            or size > stream.outbound_flow_control_window
        ):
            return False
        out, largest = self._out, self.max_outbound_frame_size
        out.head(fields, identity, False, largest)  # noqa: FBT003 (positional only)
        out.data(data, identity, trailers is None)
        self.outbound_flow_control_window -= size
        if trailers is not None:
            out.head(trailers, identity, True, largest)  # noqa: FBT003 (positional only)
        self._close_stream(identity, SENT_END)
        return True

    def goaway(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Say that streams beyond those seen are not looked at; the others go on."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = self.highest_inbound_stream_id
        frame.error_code = code
        self._prepare_for_sending([frame])
