"""The link: how the supervisor and one gateway worker talk.

A link is one stream socket between the supervisor and a worker (a socketpair; for `--workers 0`
both ends lie in one process). Each message is a *frame*: a four byte big-endian length, then a
msgpack body of that length. The body is one member of a tagged union (`gateway.frames`), so a frame
that one side does not know is refused by name instead of being misread.

Bounds
    No frame is larger than `MAX_FRAME_BYTES`; a larger announcement ends the link with
    `LinkProtocolError` before a byte of it is read. Senders split entity lists with
    `frames.batches`. Queues in front of a link are `Outbox`es: bounded, each message sent either by
    waiting for room or by being dropped and counted. Which of the two is stated where it is sent.
"""

import struct
from typing import Final, Generic, TypeVar

import msgspec
import trio

from oto_trio.gateway.frames import DownFrame, UpFrame

__all__ = [
    "MAX_FRAME_BYTES",
    "Link",
    "LinkClosedError",
    "LinkProtocolError",
    "Outbox",
    "supervisor_end",
    "worker_end",
]

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""Largest frame either side accepts. One entity must fit, so this also bounds an entity."""

_HEADER: Final = struct.Struct(">I")
_RECEIVE_BYTES: Final = 256 * 1024


class LinkClosedError(Exception):
    """The other end is gone: it closed the link or its process ended."""


class LinkProtocolError(Exception):
    """The other end sent something that is no frame, or one larger than `MAX_FRAME_BYTES`."""


Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class Link(Generic[Incoming, Outgoing]):
    """One end of a link: sends one side's frames, receives the other's.

    One task may send while another receives. Two tasks must not send at once; put an `Outbox`
    in front.

    Args:
        stream: The byte stream; the link owns it from here on.
        decoder: A msgpack decoder for the frames that come in.
    """

    def __init__(self, stream: trio.abc.Stream, decoder: msgspec.msgpack.Decoder[Incoming]) -> None:
        self._stream = stream
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()
        self._received = bytearray()

    async def send(self, frame: Outgoing) -> None:
        """Send one frame.

        Raises:
            LinkClosedError: The other end is gone.
            LinkProtocolError: The frame is larger than `MAX_FRAME_BYTES`; nothing was sent.

        Cancellation: may leave half a frame on the wire; close the link after it.
        """
        body = self._encoder.encode(frame)
        if len(body) > MAX_FRAME_BYTES:
            raise LinkProtocolError(
                f"a {type(frame).__name__} frame of {len(body)} bytes is over the limit of "
                f"{MAX_FRAME_BYTES}"
            )
        try:
            await self._stream.send_all(_HEADER.pack(len(body)) + body)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosedError("the other end of the link is gone") from error

    async def receive(self) -> Incoming:
        """Wait for the next frame.

        Raises:
            LinkClosedError: The other end is gone, also in the middle of a frame.
            LinkProtocolError: What came is no known frame, or is announced as too large.

        Cancellation: safe; bytes received so far are kept for the next call.
        """
        await self._fill(_HEADER.size)
        (size,) = _HEADER.unpack_from(self._received)
        if size > MAX_FRAME_BYTES:
            raise LinkProtocolError(
                f"a frame of {size} bytes is announced; the limit is {MAX_FRAME_BYTES}"
            )
        end = _HEADER.size + size
        await self._fill(end)
        with memoryview(self._received) as view:
            body = bytes(view[_HEADER.size : end])
        del self._received[:end]
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise LinkProtocolError(f"a frame that is not understood: {error}") from error

    async def _fill(self, size: int) -> None:
        """Receive until `size` bytes are buffered."""
        while len(self._received) < size:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LinkClosedError("the other end of the link is gone") from error
            if not data:
                raise LinkClosedError("the other end closed the link")
            self._received += data

    async def aclose(self) -> None:
        """Close the stream; a task that waits in `receive` gets `LinkClosedError`."""
        await self._stream.aclose()


def supervisor_end(stream: trio.abc.Stream) -> Link[UpFrame, DownFrame]:
    """Make the supervisor's end of a link on `stream`, which the link owns from here on."""
    decoder: msgspec.msgpack.Decoder[UpFrame] = msgspec.msgpack.Decoder(UpFrame)
    return Link(stream, decoder)


def worker_end(stream: trio.abc.Stream) -> Link[DownFrame, UpFrame]:
    """Make a worker's end of a link on `stream`, which the link owns from here on."""
    decoder: msgspec.msgpack.Decoder[DownFrame] = msgspec.msgpack.Decoder(DownFrame)
    return Link(stream, decoder)


class Outbox(Generic[Outgoing]):
    """The bounded queue in front of a link, emptied by one writer task.

    Args:
        size: How many frames wait at most.
    """

    def __init__(self, size: int) -> None:
        self._put, self._take = trio.open_memory_channel[Outgoing](size)
        self.dropped = 0
        """Frames that `offer` dropped because the queue was full."""
        self.finished = trio.Event()
        """Set once nothing is sent any more: all is sent, or the link is gone."""

    async def put(self, frame: Outgoing) -> None:
        """Queue a frame that must arrive; waits while the queue is full.

        Raises:
            LinkClosedError: The writer ended, so the frame can never be sent.
        """
        try:
            await self._put.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosedError("the link's writer has ended") from error

    def offer(self, frame: Outgoing) -> bool:
        """Queue a frame that may be lost; when the queue is full, drop and count it.

        Returns:
            Whether the frame was queued.
        """
        try:
            self._put.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.dropped += 1
            return False
        return True

    def finish(self) -> None:
        """Take no more frames; `run` returns once those queued are sent."""
        self._put.close()

    def close(self) -> None:
        """Take no more frames and forget those queued; `put` fails from here on. Idempotent."""
        self._put.close()
        self._take.close()

    async def run(self, link: Link[Incoming, Outgoing]) -> None:
        """Send queued frames until `finish` was called and the queue is empty.

        Raises:
            LinkClosedError: The other end is gone.

        Cancellation: may leave half a frame on the wire; close the link after it.
        """
        try:
            async with self._take:
                async for frame in self._take:
                    await link.send(frame)
        finally:
            self.finished.set()
