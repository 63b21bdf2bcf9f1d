"""The protocol state of one HTTP/3 connection: aioquic's, with bounds and with the gateway's fields.

What differs from the library: no dynamic table on either side, so no field costs more than its bytes and no secret is
ever in a table; heads are counted before they are read; and what is wrong with one request is left to whoever reads
its fields (`rust/oto-core/src/streamed.rs`), because it ends one stream and not the connection.

The overridden methods are private ones of aioquic; the tests of `listeners/http3` fail when a release changes them.
"""

import logging
from typing import Any, Final, cast

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import (
    ErrorCode,
    FrameType,
    FrameUnexpected,
    H3Connection,
    H3Stream,
    HeadersState,
    ProtocolError,
    QpackDecompressionFailed,
    Setting,
    encode_frame,
    parse_settings,
)
from aioquic.h3.events import DataReceived, H3Event, Headers, HeadersReceived
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent, StreamDataReceived
from typing_extensions import override

from oto_trio._core import FieldBlock, read_data_frames
from oto_trio.gateway.listeners.http3.limits import Http3Limits
from oto_trio.gateway.listeners.http3.lines import count_lines

__all__ = ["ExcessiveLoad", "Http3Connection"]

logging.getLogger("http3").setLevel(logging.CRITICAL)

SMALL_BLOCK: Final = 512
"""An encoded head of so many bytes is decoded whatever is in it."""
PRIORITY_UPDATES: Final = {0xF0700, 0xF0701}
"""Of requests and of pushes (RFC 9218 section 7.2)."""
UNIDIRECTIONAL: Final = 2
"""In the numbers of streams of one direction."""
FIELD_OVERHEAD: Final = 32
"""What each field counts beside its bytes (RFC 9114 section 4.2.2)."""


class ExcessiveLoad(ProtocolError):  # noqa: N818 (named as the library's own are)
    """The peer asks for more than it may."""

    error_code = ErrorCode.H3_EXCESSIVE_LOAD


class Http3Connection(H3Connection):
    """One connection, of either side. Heads in events are `FieldBlock`.

    Args:
        quic: Its QUIC connection, whose handshake is done.
        limits: The bounds.
    """

    def __init__(self, quic: QuicConnection, limits: Http3Limits) -> None:
        self._limits = limits
        self.idle_frames = 0
        """Frames that are no part of a message, since somebody set this to 0."""
        super().__init__(quic)
        self._decoder = pylsqpack.Decoder(0, 0)

    @property
    def is_done(self) -> bool:
        """Whether the peer broke the protocol; the connection says CONNECTION_CLOSE then."""
        return self._is_done

    def goaway(self, stream_id: int) -> None:
        """Say that no request from this stream on is served (RFC 9114 section 5.2)."""
        frame = encode_frame(FrameType.GOAWAY, _varint(stream_id))
        self._quic.send_stream_data(cast("int", self._local_control_stream_id), frame)

    def forget(self, stream_id: int) -> None:
        """Drop what is kept of a stream that was given up."""
        self._stream.pop(stream_id, None)

    @override
    def handle_event(self, event: QuicEvent) -> list[H3Event]:
        """Act on what came. Most of it goes on in the middle of a body, of which nothing has to be kept."""
        if not isinstance(event, StreamDataReceived) or self._is_done:
            return super().handle_event(event)
        stream = self._stream.get(event.stream_id)
        if stream is None or not _is_in_body(stream):
            return super().handle_event(event)
        body, left, used = read_data_frames(event.data, stream.frame_size or 0)
        if not used:
            return super().handle_event(event)
        stream.content_length += len(body)
        stream.frame_size = left or None
        stream.frame_type = FrameType.DATA if left else None
        told: list[H3Event] = []
        if event.end_stream or used < len(event.data):
            rest = StreamDataReceived(event.data[used:], event.end_stream, event.stream_id)
            told = super().handle_event(rest)
            if told and isinstance(told[0], DataReceived) and not told[0].data:
                told[0].data = body
                return told
        if body:
            told.insert(0, DataReceived(body, event.stream_id, stream_ended=False))
        return told

    @override
    def send_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        """Send data of a message."""
        stream = self._stream.get(stream_id)
        if end_stream or stream is None or stream.headers_send_state != HeadersState.AFTER_HEADERS:
            super().send_data(stream_id, data, end_stream)
        else:
            self._quic.send_stream_data(stream_id, b"\0" + encode_uint_var(len(data)) + data)

    @override
    def _get_local_settings(self) -> dict[int, int]:
        settings = {
            Setting.QPACK_MAX_TABLE_CAPACITY: 0,
            Setting.QPACK_BLOCKED_STREAMS: 0,
            Setting.MAX_FIELD_SECTION_SIZE: self._limits.header_list_bytes,
        }
        if not self._is_client:
            settings[Setting.ENABLE_CONNECT_PROTOCOL] = 1
        return {int(name): value for name, value in settings.items()}

    @override
    def _check_control_frame_type(self, frame_type: int) -> None:
        super()._check_control_frame_type(frame_type)
        self.idle_frames += 1
        stream = self._stream.get(cast("int", self._peer_control_stream_id))
        is_kept = frame_type in {FrameType.SETTINGS, FrameType.MAX_PUSH_ID}
        size = stream.frame_size if stream is not None else None
        if is_kept and size is not None and size > self._limits.control_frame_bytes:
            raise ExcessiveLoad("a frame of the control stream is too large")

    @override
    def _handle_control_frame(self, frame_type: int, frame_data: bytes) -> None:
        if frame_type != FrameType.SETTINGS:
            super()._handle_control_frame(frame_type, frame_data)
            return
        # The encoder is not told: it uses no table, whatever the peer would keep.
        settings = parse_settings(frame_data)
        self._validate_settings(settings)
        self._received_settings = settings
        self._settings_received = True

    @override
    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if frame_type == FrameType.WEBTRANSPORT_STREAM:
            raise FrameUnexpected("there is no WebTransport")
        if frame_type in PRIORITY_UPDATES:
            raise FrameUnexpected("a priority is said on the control stream")
        size = stream.frame_size or 0
        if frame_type not in {FrameType.DATA, FrameType.HEADERS} or not size:
            self.idle_frames += 1
        if frame_type == FrameType.HEADERS and size > self._limits.header_block_bytes:
            raise ExcessiveLoad("a head is too large")

    @override
    def _handle_request_or_push_frame(
        self, frame_type: int, frame_data: bytes | None, stream: H3Stream, stream_ended: bool
    ) -> list[H3Event]:
        if frame_type != FrameType.HEADERS:
            return super()._handle_request_or_push_frame(
                frame_type, frame_data, stream, stream_ended
            )
        if stream.headers_recv_state == HeadersState.AFTER_TRAILERS:
            raise FrameUnexpected("HEADERS frame is not allowed in this state")
        fields = self._read_fields(stream.stream_id, frame_data or b"")
        is_first = stream.headers_recv_state == HeadersState.INITIAL
        is_interim = self._is_client and is_first and 100 <= (fields.status or 0) < 200
        if not is_interim:
            stream.headers_recv_state = (
                HeadersState.AFTER_HEADERS if is_first else HeadersState.AFTER_TRAILERS
            )
        headers = cast("Headers", fields)
        return [
            HeadersReceived(headers=headers, stream_id=stream.stream_id, stream_ended=stream_ended)
        ]

    @override
    def _handle_request_or_push_end(self, stream: H3Stream) -> list[H3Event]:
        if stream.headers_recv_state == HeadersState.INITIAL:
            self.idle_frames += 1  # it ended without a head
        return super()._handle_request_or_push_end(stream)

    def _read_fields(self, stream_id: int, data: bytes) -> FieldBlock:
        """Decode a head; of one with too many fields only so many are told that it is known to be too large."""
        most = self._limits.header_fields + 1
        if len(data) > SMALL_BLOCK and count_lines(data, most) == most:
            return FieldBlock([(b"too-many", b"")] * most)
        try:
            _, pairs = self._decoder.feed_header(stream_id, data)
        except (pylsqpack.DecompressionFailed, pylsqpack.StreamBlocked) as error:
            raise QpackDecompressionFailed from error
        return FieldBlock(cast("Any", pairs))

    def is_too_large(self, fields: FieldBlock) -> bool:
        """Whether a head has more, or larger, fields than are taken."""
        if len(fields) > self._limits.header_fields:
            return True
        size = sum(len(name) + len(value) + FIELD_OVERHEAD for name, value in fields)
        return size > self._limits.header_list_bytes

    @override
    def _encode_headers(self, stream_id: int, headers: Headers) -> bytes:
        _, data = self._encoder.encode(stream_id, list(headers))
        return bytes(data)


def _is_in_body(stream: H3Stream) -> bool:
    """Whether what comes on a stream is body, or what is between two frames of it."""
    return (
        stream.headers_recv_state == HeadersState.AFTER_HEADERS
        and stream.frame_type in {FrameType.DATA, None}
        and not (stream.buffer or stream.blocked or stream.stream_id & UNIDIRECTIONAL)
    )


def _varint(value: int) -> bytes:
    """Write an integer as QUIC does, in eight bytes."""
    return (value | 0xC0 << 56).to_bytes(8)
