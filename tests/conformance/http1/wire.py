"""One end of a TCP connection, in a test's hand."""

import os
import socket
import struct

import h11
import trio

from tests.conformance.http1.messages import (
    RequestReader,
    RequestSeen,
    ResponseReader,
    ResponseSeen,
)

__all__ = ["Wire", "connect"]


class Wire:
    """One end of a connection: raw bytes, or messages read by h11."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.held = b""
        """Bytes that were read behind the last message."""
        self.was_reset = False
        """Whether the other side reset the connection, as a read or write found."""
        self.is_finished = False
        """Whether this side has ended what it sends."""

    async def send(self, data: bytes) -> None:
        """Send all bytes; a connection that the other side has closed swallows them."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            self.was_reset = True

    async def finish(self) -> None:
        """Close the sending side only."""
        self.is_finished = True
        try:
            await self.stream.send_eof()
        except trio.BrokenResourceError:
            self.was_reset = True

    async def close(self) -> None:
        """Close both directions."""
        await self.stream.aclose()

    def reset(self) -> None:
        """Close at once, telling the other side with a reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()

    def send_at_once(self, data: bytes) -> int:
        """Send what the kernel takes now, before anybody else has a turn; says how much it was."""
        try:
            return os.write(self.stream.socket.fileno(), data)
        except BlockingIOError:
            return 0

    def send_and_close_at_once(self, data: bytes) -> int:
        """Send what the kernel takes now and close; bytes and end arrive as one."""
        count = self.send_at_once(data)
        self.stream.socket.close()
        return count

    async def read_some(self, most: int = 65536) -> bytes:
        """What is there, as soon as something is; nothing at the end, or after a reset."""
        if self.held:
            data, self.held = self.held[:most], self.held[most:]
            return data
        try:
            return await self.stream.receive_some(most)
        except trio.BrokenResourceError:
            self.was_reset = True
            return b""

    async def read_to_end(self) -> bytes:
        """Everything up to the end of the connection."""
        data = bytearray()
        while piece := await self.read_some():
            data += piece
        return bytes(data)

    async def read_exactly(self, count: int) -> bytes:
        """So many bytes; fewer only at the end of the connection."""
        data = bytearray()
        while len(data) < count and (piece := await self.read_some(count - len(data))):
            data += piece
        return bytes(data)

    async def read_until(self, mark: bytes) -> bytes:
        """Everything up to and including a mark, or to the end; what follows the mark is kept."""
        data = bytearray()
        while mark not in data and (piece := await self.read_some()):
            data += piece
        before, found, after = bytes(data).partition(mark)
        self.held = after + self.held
        return before + found

    async def read_request(self) -> RequestSeen:
        """The next request, whole.

        Raises:
            h11.RemoteProtocolError: It is none, or the connection ended before its end.
        """
        reader = RequestReader()
        await self._fill(reader)
        return reader.seen

    async def read_response(self, method: str = "GET") -> ResponseSeen:
        """The next final response, whole, to a request of this method.

        Raises:
            h11.RemoteProtocolError: It is none, or the connection ended before its end.
        """
        reader = ResponseReader(method)
        await self._fill(reader)
        return reader.seen

    async def _fill(self, reader: RequestReader | ResponseReader) -> None:
        while True:
            piece = await self.read_some()
            if reader.feed(piece):
                self.held = reader.rest + self.held
                return
            if not piece:
                raise h11.RemoteProtocolError("the connection ended before the message")


async def connect(port: int) -> Wire:
    """Connect to a port of this machine."""
    return Wire(await trio.open_tcp_stream("127.0.0.1", port))
