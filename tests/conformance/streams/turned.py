"""An engine that a test turns itself, and whose events it takes one by one."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.conformance.http1.gateway import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from oto_trio._core import Engine

__all__ = ["PREFACE", "Turned", "fronting"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What connections of HTTP/2 begin with."""


class Turned:
    """An engine, and what it told.

    Args:
        engine: It.
        backends: Listens for it.
    """

    def __init__(self, engine: Engine, backends: trio.SocketListener) -> None:
        self.engine = engine
        self.backends = backends
        self.now = 1000.0
        self.events: list[tuple[int, Any]] = []
        """What nobody took yet."""

    async def told(self, *kinds: int) -> Any:
        """Turn until an event of one of these kinds is there; return the value of the first."""
        while True:
            for at, (kind, value) in enumerate(self.events):
                if kind in kinds:
                    del self.events[at]
                    return value
            if not self.engine.pending:
                await trio.lowlevel.wait_readable(self.engine.fileno())
            self.events += self.engine.turn(self.now)
            await trio.lowlevel.checkpoint()

    def values(self, kind: int) -> list[Any]:
        """The events of a kind that nobody took yet."""
        return [value for found, value in self.events if found == kind]

    async def until(self, is_so: Callable[[], object]) -> None:
        """Turn until something is so."""
        while not is_so():
            self.events += self.engine.turn(self.now)
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def turning(self) -> AsyncGenerator[None]:
        """Turn for as long as the block goes on, which waits for something of the other side of its sockets."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.told, -1)
            yield
            nursery.cancel_scope.cancel()

    async def tunnels_over(self) -> None:
        """Turn until there is no tunnel any more."""
        await self.until(lambda: self.engine.metrics()["tunnels"] == 0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and deadlines with it."""
        self.now += seconds
        self.events += self.engine.expire(self.now)

    async def hears(self, stream: trio.SocketStream, end: bytes) -> bytes:
        """Read at the other side of one of its sockets up to `end`, turning it meanwhile."""
        heard = b""
        async with self.turning():
            while not heard.endswith(end):
                piece = await stream.receive_some(65536)
                assert piece, heard
                heard += piece
        return heard


@asynccontextmanager
async def fronting(engine: Engine) -> AsyncGenerator[tuple[int, trio.SocketListener]]:
    """Have an engine listen for clients, and others for it; it is closed behind the block.

    Yields:
        The port for clients, and where the engine's own connections can come.
    """
    with (
        trio.fail_after(PATIENCE_S),
        socket.create_server(("127.0.0.1", 0), backlog=10) as listener,
    ):
        (backends,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        try:
            engine.adopt(listener.fileno(), "standard-listener", False, "Dynamic", True)
            yield listener.getsockname()[1], backends
        finally:
            engine.close()
            backends.socket.close()
