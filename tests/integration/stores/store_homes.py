"""Every kind of store there is, for tests that all of them must pass: where they live, and how that goes away."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from typing_extensions import override

from oto_trio.control.store import MemoryStore, SqliteStore
from oto_trio.control.store.cassandra import CassandraStore
from oto_trio.control.store.history import DEFAULT_BOUNDS
from oto_trio.control.store.opening import open_store
from oto_trio.control.store.postgres import PostgresStore
from oto_trio.control.store.redis import RedisStore
from tests.integration.stores.cassandra_server import PASSWORD, CassandraServer
from tests.integration.stores.redis_server import RedisServer
from tests.integration.stores.state_server import StateServer, state_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.control.store import Store
    from oto_trio.control.store.history import HistoryBounds
    from tests.integration.stores.postgres_server import PostgresServer

__all__ = ["EMBEDDED", "SHARED", "Home", "ServerHome", "home_of"]

SHARED: Final = ("redis", "postgresql", "cassandra")
"""Kinds of stores that several gateways share."""

EMBEDDED: Final = ("memory", "file", "http", "sqlite")
"""Kinds that one gateway has for itself."""


class Home(ABC):
    """Where stores of one kind live."""

    is_durable = True

    @abstractmethod
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        """Open the store of a name: an empty one, or what was left there."""


class MemoryHome(Home):
    """Nowhere."""

    is_durable = False

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return MemoryStore(history=history)


class SqliteHome(Home):
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await SqliteStore.open(self._folder / f"{name}.sqlite3", history=history)


class FileHome(Home):
    """Files, each the state of a store in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await open_store(
            f"file://{self._folder}/{name}.ndjson", self._folder / "unused", history=history
        )


class HttpHome(Home):
    """A server of HTTP that keeps what it is sent."""

    def __init__(self, server: StateServer, folder: Path) -> None:
        self._server = server
        self._folder = folder

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await open_store(
            f"{self._server.url}/{name}", self._folder / "unused", history=history
        )


class ServerHome(Home):
    """A server, which tests stop, kill and start again."""

    secrets: tuple[str, ...] = ()
    """What no log may show."""

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the setting `store` for the store of a name."""

    @abstractmethod
    async def start(self) -> None:
        """Start the server, and wait until it answers."""

    @abstractmethod
    async def stop(self) -> None:
        """End the server in order; clients' connections break."""

    @abstractmethod
    async def kill(self) -> None:
        """Kill the server, whatever it does."""


class RedisHome(ServerHome):
    """A Redis server that syncs each write."""

    def __init__(self, folder: Path) -> None:
        self._server = RedisServer(folder)

    @override
    def url(self, name: str) -> str:
        return f"{self._server.url}?prefix={name.strip('_')}"

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await RedisStore.open(self.url(name), history=history)

    @override
    async def start(self) -> None:
        await self._server.start()

    @override
    async def stop(self) -> None:
        await self._server.stop()

    @override
    async def kill(self) -> None:
        await self._server.stop(signal.SIGKILL)


class PostgresHome(ServerHome):
    """A PostgreSQL server, which runs before and afterwards."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.secrets = (server.password,)
        self._urls: dict[str, str] = {}

    @override
    def url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._server.new_database()
        return self._urls[name]

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await PostgresStore.open(self.url(name), history=history)

    @override
    async def start(self) -> None:
        if not self._server.is_running:
            await trio.to_thread.run_sync(self._server.start)

    @override
    async def stop(self) -> None:
        await trio.to_thread.run_sync(self._server.stop)

    @override
    async def kill(self) -> None:
        await trio.to_thread.run_sync(self._server.kill)


class CassandraHome(ServerHome):
    """A Cassandra server that syncs each write; it goes on running afterwards."""

    # The password is its user's name, and so the name of the store's kind.
    secrets = (f":{PASSWORD}@",)

    def __init__(self, server: CassandraServer) -> None:
        self._server = server
        self._urls: dict[str, str] = {}

    @override
    def url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._server.new_url()
        return self._urls[name]

    @override
    async def open(self, name: str, history: HistoryBounds = DEFAULT_BOUNDS) -> Store:
        return await CassandraStore.open(self.url(name), history=history)

    @override
    async def start(self) -> None:
        if not self._server.is_running:
            await trio.to_thread.run_sync(self._server.start)

    @override
    async def stop(self) -> None:
        # An end in order takes five seconds; clients see no difference.
        await trio.to_thread.run_sync(self._server.kill)

    @override
    async def kill(self) -> None:
        await trio.to_thread.run_sync(self._server.kill)


@asynccontextmanager
async def home_of(
    kind: str, folder: Path, postgres: PostgresServer, cassandra: CassandraServer
) -> AsyncGenerator[Home]:
    """Give the home of a kind of store; its server runs for the length of the block.

    Args:
        kind: One of `EMBEDDED` or `SHARED`.
        folder: For files.
        postgres: A server of the whole test module, as making one takes seconds.
        cassandra: Likewise of all tests; it is started when it is first asked for.
    """
    match kind:
        case "memory":
            yield MemoryHome()
        case "sqlite":
            yield SqliteHome(folder)
        case "file":
            yield FileHome(folder)
        case "http":
            async with state_server() as server:
                yield HttpHome(server, folder)
        case _:
            home: ServerHome = RedisHome(folder)
            if kind == "postgresql":
                home = PostgresHome(postgres)
            elif kind == "cassandra":
                home = CassandraHome(cassandra)
            try:
                await home.start()
                yield home
            finally:
                with trio.CancelScope(shield=True):
                    # The servers that are used by the next test must run.
                    await (home.kill() if kind == "redis" else home.start())
