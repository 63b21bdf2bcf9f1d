"""What the tests with real processes and sockets share."""

import re
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field

import pytest
import trio

from tests.integration.stores.cassandra_server import CassandraServer

Answer = tuple[int, bytes]


@dataclass
class Upstream:
    """A backend that answers what a test says.

    `answer` gets the request head and returns a status and a body; `gate`, when set, holds answers back.
    """

    port: int = 0
    answer: Callable[[bytes], Answer] = lambda head: (200, head.split(b"\r\n")[0])
    gate: trio.Event | None = None
    heads: list[bytes] = field(default_factory=list)
    arrived: trio.Event = field(default_factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: trio.SocketStream) -> None:
        buffered = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in buffered:
                        data = await stream.receive_some()
                        if not data:
                            return
                        buffered += data
                    head, _, buffered = buffered.partition(b"\r\n\r\n")
                    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                    while length is not None and len(buffered) < int(length[1]):
                        buffered += await stream.receive_some()
                    buffered = buffered[int(length[1]) if length is not None else 0 :]
                    self.heads.append(head)
                    self.arrived.set()
                    if self.gate is not None:
                        await self.gate.wait()
                    status, body = self.answer(head)
                    await stream.send_all(
                        b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
                    )
            except trio.BrokenResourceError:
                return


@pytest.fixture(scope="session")
def cassandra() -> Generator[CassandraServer]:
    """A Cassandra server of all tests, which takes seconds to start: the first that needs it does."""
    server = CassandraServer()
    yield server
    server.remove()


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream]:
    """A backend on loopback."""
    backend = Upstream()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        backend.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, backend.serve, [listener])
        yield backend
        nursery.cancel_scope.cancel()
