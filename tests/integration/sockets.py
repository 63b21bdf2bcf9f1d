"""WebSockets on Trio, with the `websockets` library as the protocol: clients, and a backend."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.integration.backends import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from websockets.extensions import ClientExtensionFactory, ServerExtensionFactory

Wire = trio.abc.Stream


class Socket:
    """One end of a WebSocket.

    Args:
        wire: Carries the bytes.
        protocol: The library's state machine.
    """

    def __init__(self, wire: Wire, protocol: Protocol) -> None:
        self.wire = wire
        self.protocol = protocol
        self.frames: list[Frame] = []
        """What came and was not taken."""
        self.response: Response | None = None
        self.request: Request | None = None

    async def flush(self) -> None:
        """Send what the library would send."""
        for data in self.protocol.data_to_send():
            if data:
                await self.wire.send_all(data)

    async def hear(self) -> bool:
        """Take what comes next; False at the end."""
        try:
            data = await self.wire.receive_some(65536)
        except trio.BrokenResourceError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Request):
                self.request = event
            else:
                self.frames.append(event)
        try:
            await self.flush()
        except trio.BrokenResourceError:
            return False
        return bool(data)

    async def send(self, message: str | bytes) -> None:
        """Send a whole message."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        await self.flush()

    async def raw(self, data: bytes) -> None:
        """Send bytes that the library would not."""
        await self.wire.send_all(data)

    async def ping(self, data: bytes) -> None:
        self.protocol.send_ping(data)
        await self.flush()

    async def frame(self) -> Frame:
        """Wait for a frame."""
        while not self.frames:
            assert await self.hear(), "the connection ended before a frame"
        return self.frames.pop(0)

    async def receive(self) -> str | bytes:
        """Wait for a message of one frame."""
        frame = await self.frame()
        assert frame.opcode in (Opcode.TEXT, Opcode.BINARY), frame
        data = bytes(frame.data)
        return data.decode() if frame.opcode is Opcode.TEXT else data

    async def close(self, code: int = 1000, reason: str = "") -> tuple[int | None, str | None]:
        """Close, and wait for the end; returns what the other end said."""
        self.protocol.send_close(code, reason)
        await self.flush()
        return await self.closed()

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the end; returns the code and the reason that the other end said."""
        while await self.hear():
            pass
        received = self.protocol.close_rcvd
        return (received.code, received.reason) if received is not None else (None, None)


@asynccontextmanager
async def websocket(
    wire: Wire,
    host: str,
    path: str = "/",
    extensions: list[ClientExtensionFactory] | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncGenerator[Socket]:
    """Open a WebSocket as a client, over HTTP/1.1."""
    uri = parse_uri(f"ws://{host}{path}")
    protocol = ClientProtocol(uri, extensions=extensions, max_size=None)
    async with wire:
        socket = Socket(wire, protocol)
        request = protocol.connect()
        request.headers.update(headers or {})
        protocol.send_request(request)
        await socket.flush()
        while socket.response is None and await socket.hear():
            pass
        yield socket


def opened(wire: Wire, agreed: str | None) -> Socket:
    """A client whose handshake somebody else did.

    Args:
        wire: Carries the bytes.
        agreed: The extension that the server agreed on.
    """
    uri = parse_uri("ws://a.test/")
    protocol = ClientProtocol(uri, state=OPEN, max_size=None)
    if agreed is not None:
        offers = [ClientPerMessageDeflateFactory()]
        protocol.available_extensions = offers
        headers = Headers({"Sec-WebSocket-Extensions": agreed})
        protocol.extensions = protocol.process_extensions(headers)
    return Socket(wire, protocol)


@asynccontextmanager
async def socket_backend(
    serve: Callable[[Socket], Awaitable[None]],
    extensions: list[ServerExtensionFactory] | None = None,
) -> AsyncGenerator[int]:
    """A backend of WebSockets; yields its port."""

    async def accept(wire: trio.SocketStream) -> None:
        protocol = ServerProtocol(extensions=extensions, max_size=None)
        socket = Socket(wire, protocol)
        async with wire:
            while socket.request is None:
                if not await socket.hear():
                    return
            protocol.send_response(protocol.accept(socket.request))
            await socket.flush()
            await serve(socket)

    async with serving(accept) as port:
        yield port
