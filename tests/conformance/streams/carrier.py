"""An engine with a carried connection of a client, whose streams the test opens itself.

The client's connection is real, and begins with the preface of HTTP/2; what comes after it means
nothing to the engine.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from oto_trio._core import Engine, FieldBlock, Snapshot
from oto_trio.gateway.engine import CARRIED
from tests.conformance.http1.gateway import route
from tests.conformance.streams.turned import PREFACE, Turned, fronting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Carrier", "carrying"]


class Carrier(Turned):
    """An engine with one carried connection.

    Args:
        engine: The engine.
        client: The client's end of the connection.
        backends: Listens for the engine.
    """

    def __init__(
        self, engine: Engine, client: trio.SocketStream, backends: trio.SocketListener
    ) -> None:
        super().__init__(engine, backends)
        self.client = client
        self.connection = 0
        self.accepted: list[trio.SocketStream] = []
        """The engine's connections to the backend."""

    def open(self, *fields: tuple[str, str], ends: bool = True, path: str = "/") -> int:
        """Open a stream for a request."""
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "a.b"), (":path", path)]
        block = FieldBlock([*head, *fields])
        return self.engine.open_stream(self.connection, block, ends, self.now)

    async def backend(self) -> trio.SocketStream:
        """Accept the engine's connection to the backend."""
        async with self.turning():
            self.accepted.append(await self.backends.accept())
        return self.accepted[-1]


@asynccontextmanager
async def carrying(
    *steps: dict[str, Any], preface: bytes = PREFACE, times: dict[str, float] | None = None
) -> AsyncGenerator[Carrier]:
    """Run an engine with a carried connection; everything is closed behind it."""
    engine = Engine()
    async with fronting(engine) as (port, backends):
        client = await trio.open_tcp_stream("127.0.0.1", port)
        carrier = Carrier(engine, client, backends)
        there = backends.socket.getsockname()[1]
        try:
            engine.install(Snapshot().apply([route(there, steps=steps, client=times)], []))
            await client.send_all(preface)
            carrier.connection, listener_id, secured = await carrier.told(CARRIED)
            assert (listener_id, secured) == ("standard-listener", False)
            yield carrier
        finally:
            for stream in (client, *carrier.accepted):
                stream.socket.close()
