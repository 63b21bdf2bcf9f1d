"""The frames of HTTP/3 as a client has them: aioquic's, with what it leaves to others.

* A message that breaks the rules costs its stream, not everybody's connection (`malformed`).
* Heads are coded without dynamic tables, both ways: many clients' requests share the connection, and none should
  learn from sizes what another one sent. It also bounds what a head can grow to, and none waits for another.
* GOAWAY is read (`take_goaway`); pushes are refused.

The overridden methods are private ones of aioquic; `tests/unit/gateway/upstream` fails when a release changes them.
"""

from typing import Any, Final

import pylsqpack
from aioquic._buffer import Buffer, BufferReadError
from aioquic.h3.connection import (
    ErrorCode,
    FrameType,
    FrameUnexpected,
    H3Connection,
    H3Stream,
    MessageError,
    Setting,
)
from aioquic.h3.events import H3Event
from aioquic.quic.connection import QuicConnection
from typing_extensions import override

from oto_trio.gateway.listeners.http3.control_frames import ControlFrames

__all__ = ["HEAD_BYTES", "Http3Frames"]

HEAD_BYTES: Final = 64 * 1024
"""An encoded head or trailer, and what a backend is told of decoded ones."""
CONTROL_BYTES: Final = 16 * 1024
"""What is kept of a stream of the protocol's own until a frame of it is whole."""
MAX_FIELD_SECTION_SIZE: Final = 0x6
GOAWAY_BYTES: Final = 8


class _Encoder:
    """An encoder that never uses a dynamic table, whatever the backend offers."""

    def __init__(self) -> None:
        self._encoder = pylsqpack.Encoder()

    def apply_settings(self, **_offered: int) -> bytes:
        return b""

    def encode(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        return self._encoder.encode(stream_id, headers)

    def feed_decoder(self, data: bytes) -> None:
        self._encoder.feed_decoder(data)


class Http3Frames(H3Connection):
    """The client's frames on one connection.

    Args:
        quic: The connection; its handshake is done.
    """

    def __init__(self, quic: QuicConnection) -> None:
        self.malformed: list[int] = []
        """Streams whose message broke the rules; whoever aborts them takes them out."""
        self._controls: dict[int, ControlFrames] = {}
        self._goaway: int | None = None
        super().__init__(quic)

    def take_goaway(self) -> int | None:
        """Return the first stream that the backend will not look at, once, if it said so."""
        told, self._goaway = self._goaway, None
        return told

    def note_control(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """Look for GOAWAY in what came on a stream of the protocol's own; one that says nothing ends the connection.

        Args:
            stream_id: Which stream.
            data: What came.
            end: The stream ends behind it: nothing of it is kept.
        """
        frames = self._controls.pop(stream_id, None)
        if frames is None:
            frames = ControlFrames(FrameType.GOAWAY, GOAWAY_BYTES)
        if not end:
            self._controls[stream_id] = frames
        for body in frames.feed(data):
            try:
                told = Buffer(data=body).pull_uint_var()
            except BufferReadError:
                self._is_done = True
                self._quic.close(ErrorCode.H3_FRAME_ERROR, reason_phrase="GOAWAY without a stream")
                return
            if self._goaway is None or told < self._goaway:
                self._goaway = told

    def holds_too_much(self, stream_id: int) -> bool:
        """Whether a frame of a stream of the protocol's own is larger than any should be."""
        stream = self._stream.get(stream_id)
        return stream is not None and len(stream.buffer) > CONTROL_BYTES

    def forget(self, stream_id: int) -> None:
        """Note that nothing more is sent or read on a stream."""
        self._stream.pop(stream_id, None)
        self._controls.pop(stream_id, None)

    @override
    def _init_connection(self) -> None:
        self._max_table_capacity = self._blocked_streams = 0
        self._decoder = pylsqpack.Decoder(0, 0)
        self._encoder: Any = _Encoder()
        self._max_push_id = None
        super()._init_connection()

    @override
    def _get_local_settings(self) -> dict[int, int]:
        return {
            Setting.QPACK_MAX_TABLE_CAPACITY: 0,
            Setting.QPACK_BLOCKED_STREAMS: 0,
            MAX_FIELD_SECTION_SIZE: HEAD_BYTES,
        }

    @override
    def _check_content_length(self, stream: H3Stream) -> None:
        """The session counts: it knows what was asked, and aioquic takes HEAD for GET."""

    @override
    def _check_request_or_push_frame_type(self, frame_type: int, stream: H3Stream) -> None:
        super()._check_request_or_push_frame_type(frame_type, stream)
        if frame_type == FrameType.PUSH_PROMISE:
            raise FrameUnexpected("pushes are not wanted")
        if frame_type == FrameType.HEADERS and (stream.frame_size or 0) > HEAD_BYTES:
            raise MessageError("a head is too large")

    @override
    def _receive_request_or_push_data(
        self, stream: H3Stream, data: bytes, stream_ended: bool
    ) -> list[H3Event]:
        try:
            return super()._receive_request_or_push_data(stream, data, stream_ended)
        except MessageError:
            self.malformed.append(stream.stream_id)
            return []
