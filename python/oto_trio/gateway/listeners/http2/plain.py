"""The short ways of a connection: frames that are what they nearly always are, without the library's detours.

The `h2` library makes an object of each frame, asks several state machines about it, describes it for a log that
nobody reads, and makes an event of it. `PlainConnection` does with whole HEADERS and DATA frames, without padding and
in the states where they are expected, what the library would do: the same checks, the same states, the same windows.
Everything else goes the library's way, which finds the states as it would have left them. Frames are cut out of
octets, and put together, by the engine.
"""

import struct
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import DenialOfServiceError, FrameDataMissingError, ProtocolError
from h2.frame_buffer import FrameBuffer
from h2.settings import ChangedSetting, SettingCodes
from h2.stream import H2Stream, StreamClosedBy, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.exceptions import InvalidDataError, InvalidFrameError, InvalidPaddingError
from hyperframe.frame import Frame, WindowUpdateFrame
from typing_extensions import override

from oto_trio._core import FieldBlock, FrameReader, FrameWriter, HpackDecoder, HpackEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2._typing import Buffer
    from h2.events import Event

__all__ = [
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "HEADERS",
    "KEPT_CLOSED",
    "TRAILERS",
    "PlainConnection",
    "PlainEvent",
    "PlainFrames",
]

DATA, HEADERS = 0x0, 0x1
TRAILERS: Final = 0x101
"""HEADERS that end a message."""
END_STREAM, END_HEADERS = 0x1, 0x4
KEPT_CLOSED: Final = 1024
"""Of so many closed streams at least is known how they ended, and of twice as many at most; `h2` would keep 65,536 for
each connection."""
_HEAD: Final = struct.Struct(">HBBBL")

PlainEvent: TypeAlias = tuple[int, int, FieldBlock | bytes, bool]
"""A frame that came a short way: `HEADERS`, `TRAILERS` or `DATA`, its stream, the fields or octets, and whether it ends
its stream; nothing else tells of that end."""

# Members of an enumeration take Python longer to look up than a short way has.
OPEN: Final = StreamState.OPEN
HALF_CLOSED_LOCAL: Final = StreamState.HALF_CLOSED_LOCAL
HALF_CLOSED_REMOTE: Final = StreamState.HALF_CLOSED_REMOTE
CLOSED: Final = StreamState.CLOSED
RECEIVED_END: Final = StreamClosedBy.RECV_END_STREAM
SENT_END: Final = StreamClosedBy.SEND_END_STREAM


class _Closed(dict[int, "StreamClosedBy | None"]):
    """How the latest streams ended; the library's own, which is a bounded `OrderedDict`, takes longer."""

    @override
    def __setitem__(self, identity: int, by: "StreamClosedBy | None") -> None:
        super().__setitem__(identity, by)
        if len(self) > 2 * KEPT_CLOSED:
            self.forget()

    def forget(self) -> None:
        """Forget the older half."""
        for identity in list(islice(self, KEPT_CLOSED)):
            del self[identity]


_remember: Final = cast(
    "Callable[[_Closed, int, StreamClosedBy], None]",
    dict.__setitem__,  # pyright: ignore[reportUnknownMemberType]
)


class PlainFrames(FrameBuffer):
    """Octets of the peer, and the frames that they are."""

    def __init__(self, *, server: bool) -> None:
        super().__init__(server=server)
        self._reader = FrameReader()
        self.has_ended = False
        """Whether a frame, or a head over several frames, ended in what came last: what is partial began there."""

    @property
    def is_partial(self) -> bool:
        """Whether a frame, or a head over several frames, has begun and not ended."""
        return bool(len(self._reader) or self._headers_buffer or self._preamble_len)

    @property
    def in_head(self) -> bool:
        """Whether a head over several frames has begun and not ended."""
        return bool(self._headers_buffer)

    @override
    def add_data(self, data: "Buffer") -> None:
        if self._preamble_len:
            super().add_data(data)
            data = bytes(self._data)
            self._data.clear()
        self._reader.add(bytes(data))

    def take(self) -> tuple[int, int, int, bytes] | None:
        """Take the next frame: its kind, flags, stream and what is in it; None when it is not there whole.

        Raises:
            FrameTooLargeError: It is larger than we said that we take, though not all of it may be here.
        """
        return self._reader.take(self.max_frame_size)

    def read(self, kind: int, flags: int, identity: int, payload: bytes) -> Frame | None:
        """Make the library's object of a frame that was taken; None when more of its head has to come.

        Raises:
            ProtocolError: It is malformed.
        """
        size = len(payload)
        head = _HEAD.pack(size >> 8, size & 0xFF, kind, flags, identity)
        try:
            frame, _ = Frame.parse_frame_header(memoryview(head))
        except (InvalidDataError, InvalidFrameError) as error:
            raise ProtocolError(f"a frame has an invalid head: {error}") from error
        try:
            frame.parse_body(memoryview(payload))
        except InvalidDataError as error:
            raise ProtocolError("what is in a frame does not conform") from error
        except InvalidFrameError as error:
            raise FrameDataMissingError("a frame lacks something, or is invalid") from error
        return self._update_header_buffer(frame)


FramesT = TypeVar("FramesT", bound=PlainFrames)


class PlainConnection(H2Connection, Generic[FramesT]):
    """A connection with short ways; either side's, which says in `_take_plain` what it expects."""

    frames: FramesT
    outbound_flow_control_window: int
    _windows: tuple[int, int] | None = None
    """What a new stream may receive and send, as the settings have it; None when they are to be asked."""

    def __init__(self, config: H2Configuration, frames: FramesT, decoder: HpackDecoder) -> None:
        super().__init__(config)
        self.frames = self.incoming_buffer = frames
        encoder = HpackEncoder()
        self.encoder = cast("Any", encoder)
        self._heads = decoder
        self.decoder = cast("Any", decoder)
        self._out = FrameWriter(encoder)
        # The library adds its own frames there.
        self._data_to_send = cast("Any", self._out)
        self._closed_streams = self._closed = _Closed()

    @property
    def unsent(self) -> int:
        """How many bytes wait to be taken by `data_to_send`."""
        return len(self._out)

    @override
    def data_to_send(self, amount: int | None = None) -> bytes:
        """Take all that is to be sent; `amount` is the library's, and not looked at."""
        return self._out.take()

    @override
    def clear_outbound_data_buffer(self) -> None:
        self._out.take()

    def _new_stream(self, cls: type[H2Stream], identity: int) -> H2Stream:
        """Make a stream, with the windows that the settings give it, and enter it."""
        windows = self._windows
        if windows is None:
            windows = self._windows = (
                self.local_settings.initial_window_size,
                self.remote_settings.initial_window_size,
            )
        stream = cls(identity, self.config, *windows)
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

    def _take_plain(
        self, kind: int, flags: int, identity: int, payload: bytes
    ) -> PlainEvent | None:
        """Act on a frame, if there is a short way for it; None leaves it to the library."""
        raise NotImplementedError

    @override
    def receive_data(self, data: "Buffer") -> "list[Event | PlainEvent]":  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        """Take bytes of the peer; the library's loop, with the short ways.

        Raises:
            ProtocolError: The peer broke the protocol; GOAWAY is among the data to send.
        """
        frames = self.frames
        frames.max_frame_size = self.max_inbound_frame_size
        frames.add_data(data)
        events: list[Event | PlainEvent] = []
        has_ended = False
        try:
            while (taken := frames.take()) is not None:
                if not frames.in_head and (event := self._take_plain(*taken)) is not None:
                    events.append(event)
                elif (frame := frames.read(*taken)) is not None:
                    events += self._receive_frame(frame)
                else:
                    continue  # a head goes on
                has_ended = True
        except InvalidPaddingError as error:
            self._terminate_connection(ErrorCodes.PROTOCOL_ERROR)
            raise ProtocolError("a frame has invalid padding") from error
        except ProtocolError as error:
            self._terminate_connection(error.error_code)
            raise
        frames.has_ended = has_ended
        return events

    def _decode(self, block: bytes) -> FieldBlock:
        """Decode a head.

        Raises:
            ProtocolError: It is malformed, or too large.
        """
        try:
            return self._heads.decode(block)
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(str(error)) from error
        except HPACKError as error:
            raise ProtocolError(str(error)) from error

    def _take_data(self, stream: H2Stream, flags: int, data: bytes) -> PlainEvent:
        """Take a DATA frame without padding on a stream that expects it.

        Raises:
            FlowControlError: It is more than the windows let in.
        """
        size = len(data)
        self._inbound_flow_control_window_manager.window_consumed(size)
        stream._inbound_window_manager.window_consumed(size)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] (as the library does)
        if flags:
            self._end_received(stream)
        return DATA, stream.stream_id, data, flags != 0

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
        closed = self._closed
        _remember(closed, identity, by)
        if len(closed) > 2 * KEPT_CLOSED:
            closed.forget()

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
        self._out.data(data, identity, ends)
        self.outbound_flow_control_window -= len(data)
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
