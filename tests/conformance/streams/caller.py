"""An engine whose route leads to a backend over HTTP/2, up to where the frames of its requests would be written."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from oto_trio._core import Engine, FieldBlock, Snapshot
from oto_trio.gateway.engine import CALL, CARRIED, REACHED
from tests.conformance.http1.gateway import route
from tests.conformance.streams.turned import PREFACE, Turned, fronting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["GET", "OK", "POST", "THREE", "TRAILER", "Caller", "asked", "calling"]

GET = b"GET /a?b HTTP/1.1\r\nHost: api.test\r\nAccept: application/json\r\nX-A: 1\r\n\r\n"
POST = GET.replace(b"GET", b"POST").replace(b"X-A: 1", b"Content-Length: 0")
OK = FieldBlock([(":status", "200")])
THREE = FieldBlock([(":status", "200"), ("content-length", "3")])
TRAILER = FieldBlock([("grpc-status", "0")])


class Caller(Turned):
    """An engine whose route leads to a backend that speaks HTTP/2: the test."""

    def __init__(self, engine: Engine, port: int, backends: trio.SocketListener) -> None:
        super().__init__(engine, backends)
        self.port = port
        self.target: dict[str, Any] = {}
        self.opened: list[trio.SocketStream] = []

    async def client(self, request: bytes) -> trio.SocketStream:
        """Connect, and send a request."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.opened.append(stream)
        await stream.send_all(request)
        return stream

    async def called(self, request: bytes) -> tuple[trio.SocketStream, int]:
        """Send a request on connections that are new on both sides; returns the client's, and the call's number."""
        client = await self.client(request)
        await self.told(REACHED)
        _, stream, _, _ = await self.told(CALL)
        return client, stream

    async def accept(self) -> trio.SocketStream:
        """Accept the engine's connection."""
        stream = await self.backends.accept()
        self.opened.append(stream)
        return stream


@asynccontextmanager
async def calling(*steps: dict[str, Any], **client: float) -> AsyncGenerator[Caller]:
    """Run an engine in front of a backend that speaks HTTP/2 without TLS."""
    engine = Engine(json.dumps({"body_idle_s": 5}).encode())
    async with fronting(engine) as (port, backends):
        caller = Caller(engine, port, backends)
        there = backends.socket.getsockname()[1]
        target = caller.target = {"hostname": "127.0.0.1", "port": there, "protocol": "HTTP/2.0"}
        engine.install(Snapshot().apply([route(targets=[target], steps=steps, client=client)], []))
        try:
            yield caller
        finally:
            for stream in caller.opened:
                stream.socket.close()


async def asked(caller: Caller, *fields: tuple[str, str], ends: bool = True) -> tuple[int, int]:
    """Have a client of HTTP/2 ask; returns its stream and the one to the backend."""
    await caller.client(PREFACE)
    carried, _, _ = await caller.told(CARRIED)
    head = [(":method", "POST"), (":scheme", "http"), (":authority", "a.b"), (":path", "/")]
    stream = caller.engine.open_stream(carried, FieldBlock([*head, *fields]), ends, caller.now)
    await caller.told(REACHED)
    return stream, (await caller.told(CALL))[1]
