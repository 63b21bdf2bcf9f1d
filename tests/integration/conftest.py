"""What the tests with real processes and sockets share."""

import re
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field

import pytest
import trio
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from tests.integration.backends import serving
from tests.integration.stores.cassandra_server import CassandraServer
from tests.integration.stores.postgres_server import PostgresServer

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
                        data = await stream.receive_some()
                        if not data:
                            return
                        buffered += data
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


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Generator[None]:
    """Have clients that were given no timeout wait longer than httpx's 5 s, which a busy machine may take."""
    with pytest.MonkeyPatch.context() as patched:
        for step in ("connect", "read", "write", "pool"):
            patched.setattr(DEFAULT_TIMEOUT_CONFIG, step, 60.0)
        yield


@pytest.fixture(scope="session")
def cassandra() -> Generator[CassandraServer]:
    """A Cassandra server of all tests, which takes seconds to start: the first that needs it does."""
    server = CassandraServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """A PostgreSQL server of all tests; one that ends it starts it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream]:
    """A backend on loopback."""
    backend = Upstream()
    async with serving(backend.serve) as backend.port:
        yield backend
