"""One end of a WebSocket over a socket, in a test's hand: octets, and frames read without a library."""

from __future__ import annotations

import base64
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from tests.conformance.websocket.frames import Frame, take_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = base64.b64encode(b"sixteen octets !")


class End:
    """One end.

    Args:
        stream: The connection.
        is_client: Whether this is the end of the client.
    """

    def __init__(self, stream: trio.SocketStream, *, is_client: bool) -> None:
        self.stream = stream
        self.is_client = is_client
        self.head = b""
        """The head of the request, or of the response, that came."""
        self._held = bytearray()

    async def send(self, data: bytes) -> None:
        """Send octets."""
        await self.stream.send_all(data)

    async def say(self, *frames: Frame) -> None:
        """Send frames as this end has to."""
        mask = b"mask" if self.is_client else None
        await self.send(b"".join(frame.octets(mask) for frame in frames))

    async def read_head(self) -> None:
        """Wait for the head of the request or response."""
        while b"\r\n\r\n" not in self._held:
            assert await self._more(), "the connection ended within the head"
        end = self._held.index(b"\r\n\r\n") + 4
        self.head = bytes(self._held[:end])
        del self._held[:end]

    async def frame(self) -> Frame:
        """Wait for a frame."""
        while (frame := take_frame(self._held, is_masked=not self.is_client)) is None:
            assert await self._more(), "the connection ended before a frame"
        return frame

    async def exactly(self, count: int) -> bytes:
        """Wait for so many octets, whatever they are."""
        while len(self._held) < count:
            assert await self._more(), "the connection ended too early"
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    async def ended(self) -> None:
        """Wait for the end, before which nothing must come."""
        while await self._more():
            pass
        assert bytes(self._held) == b""

    async def _more(self) -> bool:
        """Read what comes next; False at the end."""
        data = await self.stream.receive_some(65536)
        self._held += data
        return bool(data)


class Ends(NamedTuple):
    """Both ends of a WebSocket."""

    client: End
    backend: End


class Backends:
    """A backend whose WebSockets are taken one by one, by who opened them."""

    def __init__(self) -> None:
        self.port = 0
        self._send, self._accepted = trio.open_memory_channel[trio.SocketStream](0)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Backends]:
        """Listen for the length of a block."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(self._accept, listener)
            yield self
            nursery.cancel_scope.cancel()

    async def _accept(self, listener: trio.SocketListener) -> None:
        while True:
            await self._send.send(await listener.accept())

    @asynccontextmanager
    async def opened(
        self, port: int, host: str, more: bytes = b"", answer: bytes = b""
    ) -> AsyncGenerator[Ends]:
        """Open a WebSocket through a gateway.

        Args:
            port: The gateway's.
            host: Of the route.
            more: Further lines of the request.
            answer: Further lines of the backend's answer.
        """
        async with (
            await trio.open_tcp_stream("127.0.0.1", port) as front,
            self.shaken(front, host, more, answer) as ends,
        ):
            head = ends.client.head
            assert head.startswith(b"HTTP/1.1 101 "), head
            yield ends

    @asynccontextmanager
    async def shaken(
        self, front: trio.SocketStream, host: str, more: bytes, answer: bytes
    ) -> AsyncGenerator[Ends]:
        """Have a client ask for a WebSocket and the backend agree, whatever the gateway makes of that."""
        client = End(front, is_client=True)
        await client.send(
            b"GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n"
            % (host.encode(), _KEY, more)
        )
        async with await self._accepted.receive() as back:
            backend = End(back, is_client=False)
            await backend.read_head()
            await backend.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                b"Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n%s\r\n"
                % (_accept(backend.head), answer)
            )
            await client.read_head()
            yield Ends(client, backend)


def _accept(head: bytes) -> bytes:
    """Return what a request is accepted with."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"sec-websocket-key":
            return base64.b64encode(hashlib.sha1(value.strip() + _GUID).digest())
    raise AssertionError("a request without a key")
