"""WebSockets of clients in every version of HTTP, with one way to open them and to leave."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from typing_extensions import override

from tests.integration.protocols.every_version import Http1Client, Version, client_of
from tests.integration.protocols.http2_client import Http2Client
from tests.integration.sockets import Socket, opened, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.protocols.http3_client import Http3Client

__all__ = ["Opened", "StreamWire", "ask_for_socket", "reset_at_close", "socket_of"]

CANCEL = 8


def reset_at_close(wire: trio.SocketStream) -> None:
    """Have a connection end with a reset."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class StreamWire(trio.abc.Stream):
    """The bytes of one stream of a client of HTTP/2 or HTTP/3."""

    def __init__(self, client: Http2Client | Http3Client, stream: int) -> None:
        self.client = client
        self.stream = stream

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.client.heard[self.stream].is_over:
            raise trio.BrokenResourceError
        await self.client.send_body(self.stream, bytes(data), end=False)

    @override
    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        heard = self.client.heard[self.stream]
        if isinstance(self.client, Http2Client):
            while not heard.octets and not heard.is_over:
                if not await self.client.hear():
                    return b""
        else:
            client = self.client
            await client.until(lambda: heard.octets or heard.is_over or client.ended)
        data = heard.body
        heard.octets.clear()
        return data

    @override
    async def aclose(self) -> None:
        """The connection is closed by whoever opened it."""


class Opened:
    """What a client's request for a WebSocket came to.

    Args:
        status: What it was answered; 200 is 101 over HTTP/1.1.
        fields: The head of the answer.
        socket: It.
    """

    def __init__(self, status: int, fields: dict[str, str], socket: Socket) -> None:
        self.status = status
        self.fields = fields
        self.socket = socket

    async def leave(self) -> None:
        """Go without a word: by a reset."""
        wire = self.socket.wire
        if isinstance(wire, trio.SocketStream):
            reset_at_close(wire)
            await wire.aclose()
            return
        assert isinstance(wire, StreamWire)
        if isinstance(wire.client, Http2Client):
            wire.client.h2.reset_stream(wire.stream, CANCEL)
            await wire.client.flush()
        else:
            await wire.client.cancel(wire.stream)


async def ask_for_socket(
    client: Http2Client | Http3Client, host: str, path: str, *more: tuple[str, str]
) -> int:
    """Ask for a WebSocket on a stream (RFC 8441, RFC 9220), and wait for the head of the answer; returns the stream."""
    if isinstance(client, Http2Client):
        await client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
    stream = await client.begin(
        *("CONNECT", host, path),
        *((":protocol", "websocket"), ("sec-websocket-version", "13"), *more),
        end=False,
    )
    await client.until(lambda: client.heard[stream].fields)
    return stream


@asynccontextmanager
async def socket_of(
    gateway: GatewayProcess, version: Version, host: str, *more: tuple[str, str]
) -> AsyncGenerator[Opened]:
    """Ask for a WebSocket on a connection of its own, and wait for the answer."""
    async with client_of(gateway, version, host) as client:
        if isinstance(client, Http1Client):
            wire = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            async with websocket(wire, host, "/chat", headers=dict(more)) as socket:
                assert socket.response is not None
                status = socket.response.status_code
                fields = {name.lower(): it for name, it in socket.response.headers.raw_items()}
                yield Opened(200 if status == 101 else status, fields, socket)
            return
        stream = await ask_for_socket(client, host, "/chat", *more)
        heard = client.heard[stream]
        told = {name.decode(): value.decode() for name, value in heard.fields}
        yield Opened(heard.status, told, opened(StreamWire(client, stream), None))
