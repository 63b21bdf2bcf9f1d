"""The short ways of a connection: frames that are what they nearly always are, without the library's detours.

The `h2` library makes an object of each frame, asks several state machines about it, and describes it for a log
that nobody reads. `PlainConnection` does with whole HEADERS and DATA frames, without padding and in the states where
they are expected, what the library would do: the same checks, the same states, the same windows. Everything
else goes the library's way, which finds the states as it would have left them.
"""

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, StreamEnded
from h2.exceptions import DenialOfServiceError, ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import ChangedSetting, SettingCodes
from h2.stream import H2Stream, StreamClosedBy, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import InvalidPaddingError
from hyperframe.frame import Frame, WindowUpdateFrame
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from h2._typing import Buffer

    from oto_trio._core import FieldBlock

__all__ = [
    "DATA",
    "ENDED",
    "END_HEADERS",
    "END_STREAM",
    "HEADERS",
    "LARGEST_STREAM",
    "PlainConnection",
    "PlainFrames",
]

DATA, HEADERS, CONTINUATION = 0x0, 0x1, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4
HEAD_SIZE: Final = 9
LARGEST_STREAM: Final = 2**31 - 1
"""The bit above means nothing and is read over."""
_HEAD: Final = struct.Struct(">HBBBL")

# Members of an enumeration take Python longer to look up than a short way has.
OPEN: Final = StreamState.OPEN
HALF_CLOSED_LOCAL: Final = StreamState.HALF_CLOSED_LOCAL
HALF_CLOSED_REMOTE: Final = StreamState.HALF_CLOSED_REMOTE
CLOSED: Final = StreamState.CLOSED
RECEIVED_END: Final = StreamClosedBy.RECV_END_STREAM
SENT_END: Final = StreamClosedBy.SEND_END_STREAM

# The library's own dictionary asks for its size in Python, each time.
_remember: Final = cast(
    "Callable[[OrderedDict[int, StreamClosedBy | None], int, StreamClosedBy], None]",
    OrderedDict.__setitem__,  # pyright: ignore[reportUnknownMemberType]
)

ENDED: Final = StreamEnded(stream_id=0)
"""What an event of a short way has for `stream_ended`; no event of its own follows."""


class PlainFrames(FrameBuffer):
    """Bytes of the peer, of which a whole frame can be looked at before it is taken."""

    def peek(self) -> tuple[int, int, int, int] | None:
        """Kind, flags, stream and size of the next frame; None when it is not there whole, or not by itself."""
        data = self._data
        if len(data) < HEAD_SIZE or self._headers_buffer or self._preamble_len:
            return None
        high, low, kind, flags, stream = _HEAD.unpack_from(data)
        size = high << 8 | low
        if size > self.max_frame_size or len(data) < HEAD_SIZE + size:
            return None
        return kind, flags, stream & LARGEST_STREAM, size

    def take(self, size: int) -> bytes:
        """Take the next frame, of which `peek` told the size; returns what is in it."""
        data = self._data
        payload = bytes(memoryview(data)[HEAD_SIZE : HEAD_SIZE + size])
        del data[: HEAD_SIZE + size]
        return payload


FramesT = TypeVar("FramesT", bound=PlainFrames)


class PlainConnection(H2Connection, Generic[FramesT]):
    """A connection with short ways; either side's, which says in `_take_plain` what it expects."""

    frames: FramesT
    outbound_flow_control_window: int
    _windows: tuple[int, int] | None = None
    """What a new stream may receive and send, as the settings have it; None when they are to be asked."""

    def _new_stream(self, cls: type[H2Stream], identity: int) -> H2Stream:
        """Make a stream, with the windows that the settings give it, and enter it."""
        windows = self._windows
        if windows is None:
            windows = self._windows = (
                self.local_settings.initial_window_size,
                self.remote_settings.initial_window_size,
            )
        stream = cls(
            identity,
            config=self.config,
            inbound_window_size=windows[0],
            outbound_window_size=windows[1],
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[identity] = stream
        return stream

    @override
    def _acknowledge_settings(self) -> list[Frame]:
        self._windows = None
        return super()._acknowledge_settings()

    @override
    def _local_settings_acked(self) -> dict[SettingCodes | int, ChangedSetting]:
        self._windows = None
        return super()._local_settings_acked()

    def _take_plain(self, kind: int, flags: int, identity: int, size: int) -> Event | None:
        """Take the next frame, if there is a short way for it; None leaves it where it is."""
        raise NotImplementedError

    @override
    def receive_data(self, data: "Buffer") -> list[Event]:
        """Take bytes of the peer; the library's loop, with the short ways.

        Raises:
            ProtocolError: The peer broke the protocol; GOAWAY is among the data to send.
        """
        frames = self.frames
        frames.add_data(data)
        frames.max_frame_size = self.max_inbound_frame_size
        events: list[Event] = []
        try:
            while True:
                head = frames.peek()
                if head is not None and (event := self._take_plain(*head)) is not None:
                    events.append(event)
                    continue
                frame = next(frames, None)
                if frame is None:
                    return events
                events += self._receive_frame(frame)
        except InvalidPaddingError as error:
            self._terminate_connection(ErrorCodes.PROTOCOL_ERROR)
            raise ProtocolError("a frame has invalid padding") from error
        except ProtocolError as error:
            self._terminate_connection(error.error_code)
            raise

    def _decode(self, block: bytes) -> "FieldBlock":
        """Decode a head.

        Raises:
            ProtocolError: It is malformed, or too large.
        """
        try:
            return cast("FieldBlock", self.decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(str(error)) from error
        except HPACKError as error:
            raise ProtocolError(str(error)) from error

    def _take_data(self, stream: H2Stream, flags: int, size: int) -> DataReceived:
        """Take a DATA frame without padding on a stream that expects it.

        Raises:
            FlowControlError: It is more than the windows let in.
        """
        self._inbound_flow_control_window_manager.window_consumed(size)
        stream._inbound_window_manager.window_consumed(size)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] (as the library does)
        event = DataReceived(
            stream_id=stream.stream_id, data=self.frames.take(size), flow_controlled_length=size
        )
        if flags:
            self._end_received(stream)
            event.stream_ended = ENDED
        return event

    def _end_received(self, stream: H2Stream) -> None:
        """Note that the peer has ended its side of a stream."""
        machine = stream.state_machine
        if machine.state is OPEN:
            machine.state = HALF_CLOSED_REMOTE
        else:
            self._close_stream(stream.stream_id, RECEIVED_END)

    def _close_stream(self, identity: int, by: StreamClosedBy) -> None:
        machine = self.streams.pop(identity).state_machine
        machine.state = CLOSED
        machine.stream_closed_by = by
        closed = cast("OrderedDict[int, StreamClosedBy | None]", self._closed_streams)
        _remember(closed, identity, by)
        if len(closed) > self.MAX_CLOSED_STREAMS:
            closed.popitem(last=False)

    def _write_head(self, identity: int, fields: "FieldBlock", *, ends: bool) -> None:
        """Write the frames of a head or trailers; states are the caller's to change."""
        block = self.encoder.encode(cast("Iterable[tuple[bytes, bytes]]", fields))
        room = self.max_outbound_frame_size
        out = self._data_to_send
        flags = END_STREAM if ends else 0
        if len(block) <= room:
            out += _frame_head(len(block), HEADERS, flags | END_HEADERS, identity)
            out += block
            return
        out += _frame_head(room, HEADERS, flags, identity)
        out += block[:room]
        for start in range(room, len(block), room):
            part = block[start : start + room]
            last = start + room >= len(block)
            out += _frame_head(len(part), CONTINUATION, END_HEADERS if last else 0, identity)
            out += part

    def _write_data(self, identity: int, data: bytes, *, ends: bool) -> None:
        """Write a DATA frame that the connection's window has room for."""
        out = self._data_to_send
        out += _frame_head(len(data), DATA, END_STREAM if ends else 0, identity)
        out += data
        self.outbound_flow_control_window -= len(data)

    def write(self, identity: int, data: bytes, *, ends: bool) -> None:
        """Send body, no more than the windows and the size of a frame let out; `ends` says that it is the last."""
        stream = self.streams.get(identity)
        state = None if stream is None else stream.state_machine.state
        if (
            stream is None
            or (state is not OPEN and state is not HALF_CLOSED_REMOTE)
            or not stream.state_machine.headers_sent
            or len(data) > self.max_outbound_frame_size
            or len(data) > self.outbound_flow_control_window
            or len(data) > stream.outbound_flow_control_window
        ):
            self.send_data(identity, data, end_stream=ends)
            return
        self._write_data(identity, data, ends=ends)
        stream.outbound_flow_control_window -= len(data)
        if not ends:
            return
        if state is OPEN:
            stream.state_machine.state = HALF_CLOSED_LOCAL
        else:
            self._close_stream(identity, SENT_END)

    def give_back(self, count: int, identity: int) -> None:
        """Let the peer send so much more; of a stream whose body is whole, on the others."""
        stream = self.streams.get(identity)
        if stream is not None and stream.state_machine.state in _RECEIVES:
            self.acknowledge_received_data(count, identity)
        else:
            self.give_back_shared(count)

    def give_back_own(self, count: int, identity: int) -> None:
        """Let the peer send so much more on a stream, as far as the connection goes."""
        stream = self.streams.get(identity)
        if stream is not None and stream.state_machine.state in _RECEIVES:
            self._prepare_for_sending(stream.acknowledge_received_data(count))

    def give_back_shared(self, count: int) -> None:
        """Let the peer send so much more on the connection, as far as its streams go."""
        increment = self._inbound_flow_control_window_manager.process_bytes(count)
        if increment:
            frame = WindowUpdateFrame(0)
            frame.window_increment = increment
            self._prepare_for_sending([frame])


_RECEIVES: Final = frozenset({OPEN, HALF_CLOSED_LOCAL})


def _frame_head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """What every frame begins with (RFC 9113 section 4.1)."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream)
