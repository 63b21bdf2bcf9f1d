"""Clients of a whole gateway: connections that are kept, load on them, and the admin API.

A failure is never swallowed here: what a client could not do is in its notes, with the reason, and a test
says which notes it accepts.
"""

import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx
import trio

from oto_trio.testing.gateway_process import GatewayProcess

__all__ = [
    "STAMP",
    "UNTIMED",
    "Answer",
    "Connection",
    "Load",
    "LostError",
    "admin",
    "ask",
    "bulk",
    "eventually",
    "eventually_is",
    "on_every_worker",
    "route",
]

GUARD_S: Final = 60.0
"""How long anything may take before a test gives up; nothing is expected to."""

APPLIED_MS: Final = 60_000
"""How long a change may take to be live, where a test waits for that; by itself the admin API waits 10 s."""

UNTIMED: Final = {
    "call_timeout": 0,
    "global_timeout": 0,
    "call_and_stream_timeout": 0,
    "idle_timeout": 0,
}
"""A backend's `client` where a test waits for a call to end: none ends because its time is over, for whatever that test says."""

STAMP: Final = '''\
"""Writes into each answer which process made it, and for which version of the route."""
import os
from typing import Annotated
from msgspec import Meta
from oto_trio.plugin_api import Config, Exchange, Plugin


class StampConfig(Config, frozen=True):
    """What to write."""
    version: Annotated[str, Meta(description="Any text.")] = ""


class Stamp(Plugin[StampConfig]):
    """Stamp answers."""
    id = "cp:test.Stamp"
    name = "Stamp"
    description = "Writes the worker and the version into each answer."
    categories = ("Other",)

    def transform_response(self, exchange: Exchange) -> None:
        exchange.response.headers.set("X-Worker", str(os.getpid()))
        exchange.response.headers.set("X-Version", self.config.version)
'''
"""A user plugin, for the plugin folder of a gateway under test."""


class LostError(Exception):
    """A connection ended in the middle of, or instead of, an answer."""


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether the server announced that it closes the connection."""
        return self.headers.get("connection", "").lower() == "close"

    @property
    def version(self) -> str:
        """What the stamp says of the route."""
        return self.headers.get("x-version", "")

    @property
    def worker(self) -> int:
        """The process that the stamp names; 0 without one."""
        return int(self.headers.get("x-worker", "0"))


class Connection:
    """One connection to the gateway, kept open.

    Args:
        stream: Connected; closed with this.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._held = b""

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect; raises OSError when refused."""
        return cls(await trio.open_tcp_stream("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            raise LostError("the connection was reset while sending") from None

    async def ask(
        self,
        host: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request and read the whole answer.

        Raises:
            LostError: The connection ended first.
        """
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        await self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
        return await self.answer()

    async def answer(self) -> Answer:
        """Read one whole answer; it must have a Content-Length."""
        status, headers = await self.read_head()
        length = 0 if status == 101 else int(headers["content-length"])
        return Answer(status, headers, await self.read(length))

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Read the status and the headers of an answer."""
        head = await self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        return int(status_line.split(" ", 2)[1]), headers

    async def read(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        while len(self._held) < count:
            self._held += await self._receive()
        data, self._held = self._held[:count], self._held[count:]
        return data

    async def is_closed(self) -> bool:
        """Wait until the gateway closes the connection; nothing else may come."""
        try:
            await self._receive()
        except LostError:
            return True
        return False

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    async def _until(self, end: bytes) -> bytes:
        while end not in self._held:
            self._held += await self._receive()
        data, _, self._held = self._held.partition(end)
        return data

    async def _receive(self) -> bytes:
        try:
            data = await self._stream.receive_some(65536)
        except trio.BrokenResourceError:
            raise LostError(f"reset after {self._held[:100]!r}") from None
        if not data:
            raise LostError(f"closed after {self._held[:100]!r}")
        return bytes(data)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()


async def ask(port: int, host: str, path: str = "/") -> Answer:
    """Make one request on a connection of its own."""
    with trio.fail_after(GUARD_S):
        async with await Connection.open(port) as connection:
            return await connection.ask(host, path)


@dataclass
class Load:
    """Requests without an end, on connections that are kept for as long as the gateway keeps them.

    Attributes:
        port: The gateway's.
        is_right: Judges an answer.
        pause_s: Pause of each client after an answer, to leave others some of a small machine.
        answered: Right answers, by worker.
        failures: Everything that went wrong: wrong answers, ended and refused connections.
        closed: Connections that the gateway announced to close, and then closed.
    """

    port: int
    is_right: Callable[[Answer], bool] = lambda answer: answer.status == 200
    pause_s: float = 0.0
    answered: Counter[int] = field(default_factory=Counter[int])
    failures: list[str] = field(default_factory=list[str])
    closed: int = 0
    _news: trio.Event = field(default_factory=trio.Event)

    async def keep_asking(self, host: str, path: str = "/") -> None:
        """Be one client, until cancelled; makes a new connection when the old one was closed."""
        while True:
            try:
                connection = await Connection.open(self.port)
            except OSError as error:
                self._fail(f"not connected: {error}")
                await trio.lowlevel.checkpoint()
                continue
            async with connection:
                try:
                    await self._ask_until_last(connection, host, path)
                    self.closed += 1
                except LostError as error:
                    self._fail(f"{host}{path}: {error}")

    async def until_answered(self, more: int) -> None:
        """Wait for so many more right answers."""
        wanted = self.answered.total() + more
        with trio.fail_after(GUARD_S):
            while self.answered.total() < wanted:
                await self._news.wait()

    async def _ask_until_last(self, connection: Connection, host: str, path: str) -> None:
        while True:
            answer = await self._ask(connection, host, path)
            if answer.is_last:
                return
            await trio.sleep(self.pause_s)

    async def _ask(self, connection: Connection, host: str, path: str) -> Answer:
        answer = await connection.ask(host, path)
        if self.is_right(answer):
            self.answered[answer.worker] += 1
        else:
            self.failures.append(f"{host}{path}: {answer}")
        self._tell()
        return answer

    def _fail(self, reason: str) -> None:
        self.failures.append(reason)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def on_every_worker(
    port: int, host: str, workers: Iterable[int]
) -> AsyncGenerator[list[Connection]]:
    """Open connections until each worker has one, and keep them; the route must be stamped.

    The kernel picks the worker, so this needs a few more connections than workers.
    """
    missing = set(workers)
    connections: list[Connection] = []
    try:
        with trio.fail_after(GUARD_S):
            while missing:
                connection = await Connection.open(port)
                connections.append(connection)
                missing.discard((await connection.ask(host)).worker)
        yield connections
    finally:
        for connection in connections:
            await connection.aclose()


async def eventually(question: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes: for what tells nobody when it happens."""
    with trio.fail_after(GUARD_S):
        while not await question():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def eventually_is(ask: Callable[[], Awaitable[object]], expected: object) -> None:
    """Wait until all that comes is as it is meant to be; workers hear of changes one by one."""

    async def is_so() -> bool:
        return all([await ask() == expected for _ in range(6)])

    await eventually(is_so)


def admin(gateway: GatewayProcess, auth: tuple[str, str] | None = None) -> httpx.AsyncClient:
    """A client of the admin API; `auth` when the key was shown at an earlier start."""

    async def wait_longer(request: httpx.Request) -> None:
        if request.url.params.get("wait") and "timeout" not in request.url.params:
            request.url = request.url.copy_set_param("timeout", APPLIED_MS)

    return httpx.AsyncClient(
        base_url=gateway.admin,
        auth=auth or gateway.auth,
        timeout=2 * GUARD_S,
        event_hooks={"request": [wait_longer]},
    )


def route(name: str, url: str, *, version: str | None = None, **more: Any) -> dict[str, Any]:
    """A route for `<name>.test`, stamped with its version when it has one."""
    plugins = [{"plugin": "cp:test.Stamp", "config": {"version": version}}] if version else []
    return {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {"url": url},
        "plugins": plugins,
        **more,
    }


async def bulk(
    api: httpx.AsyncClient, verb: str, entities: Iterable[Mapping[str, Any]], **query: str
) -> list[dict[str, Any]]:
    """Send many entities of one kind in one request, and return the outcome of each."""
    answer = await api.request(
        verb,
        "/apis/proxy.otoroshi.io/v1/routes/_bulk",
        params={"_group": "10", **query},
        content="\n".join(json.dumps(entity) for entity in entities),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]
