"""Several Redis servers together: a primary with its replica and a sentinel, and a cluster of three nodes."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from tests.integration.ports import free_port
from tests.integration.stores.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

__all__ = ["Cluster", "Sentinels", "redis_cluster", "redis_sentinels"]

GUARD_S: Final = 120.0
NODES: Final = 3


async def told(server: RedisServer, text: str, *words: str) -> None:
    """Ask a server until its answer holds a text."""
    with trio.fail_after(GUARD_S):
        while text not in await server.command(*words):  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.05)


async def offset(server: RedisServer, name: str) -> int:
    """Ask a server how far its replication is."""
    told = await server.command("INFO", "replication")
    return next(int(line.partition(":")[2]) for line in told.split() if line.startswith(f"{name}:"))


class Sentinels:
    """A primary, its replica, and a sentinel that makes the one the other when it must."""

    def __init__(self, folder: Path) -> None:
        for name in ("one", "two", "sentinel"):
            (folder / name).mkdir()
        self.primary = RedisServer(folder / "one")
        at = f"127.0.0.1 {self.primary.port}"
        self.replica = RedisServer(folder / "two", "--replicaof", at)
        settings = folder / "sentinel" / "sentinel.conf"
        settings.write_text(
            f"sentinel monitor gateways {at} 1\n"
            # Until a test ends the primary: one that a busy machine has wait must not be taken for one that is away.
            "sentinel down-after-milliseconds gateways 600000\n"
            "sentinel failover-timeout gateways 3000\n"
        )
        self.sentinel = RedisServer(folder / "sentinel", "--sentinel", settings=settings)

    @property
    def url(self) -> str:
        """Sentinels that are asked in turn: the first of them is not there."""
        return (
            f"redis-sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/0"
            "?sentinelMasterId=gateways"
        )

    async def start(self) -> None:
        """Start all, and wait until the replica is one."""
        await self.primary.start()
        await self.replica.start()
        await told(self.replica, "master_link_status:up", "INFO", "replication")
        await self.sentinel.start()
        await told(self.sentinel, "slaves=1", "INFO", "sentinel")

    async def replicated(self) -> None:
        """Wait until the replica has what the primary has.

        WAIT would not do: it waits for what its own connection wrote.
        """
        sent = await offset(self.primary, "master_repl_offset")
        with trio.fail_after(GUARD_S):
            while await offset(self.replica, "slave_repl_offset") < sent:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.05)

    async def lose_primary(self) -> None:
        """Kill the primary, and have the sentinel notice soon."""
        await self.primary.stop(signal.SIGKILL)
        words = ("SENTINEL", "SET", "gateways", "down-after-milliseconds", "500")
        assert await self.sentinel.command(*words) == "OK"

    async def stop(self) -> None:
        for server in (self.sentinel, self.replica, self.primary):
            await server.stop(signal.SIGKILL)


@asynccontextmanager
async def redis_sentinels(folder: Path) -> AsyncGenerator[Sentinels]:
    """Run them for as long as the block."""
    farm = Sentinels(folder)
    try:
        await farm.start()
        yield farm
    finally:
        await farm.stop()


class Cluster:
    """Three nodes that share the keys."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[RedisServer] = []
        for number in range(NODES):
            (folder / f"node{number}").mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            self.nodes.append(RedisServer(folder / f"node{number}", *options))

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis-cluster://{hosts}"

    async def start(self) -> None:
        """Start all nodes, share the slots, and wait until every node knows it."""
        for node in self.nodes:
            await node.start()
        hosts = [f"127.0.0.1:{node.port}" for node in self.nodes]
        await trio.run_process(
            ["redis-cli", "--cluster", "create", *hosts, "--cluster-yes"], capture_stdout=True
        )
        for node in self.nodes:
            await told(node, "cluster_state:ok", "CLUSTER", "INFO")

    async def move(self, key: str) -> None:
        """Move the slot of a key, with all keys in it, to another node."""
        slot = await self.nodes[0].command("CLUSTER", "KEYSLOT", key)
        counts = [await node.command("CLUSTER", "COUNTKEYSINSLOT", slot) for node in self.nodes]
        (owner,) = (node for node, count in zip(self.nodes, counts, strict=True) if int(count))
        target = self.nodes[(self.nodes.index(owner) + 1) % NODES]
        ids = [await node.command("CLUSTER", "MYID") for node in (owner, target)]
        await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        await owner.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        keys = (await owner.command("CLUSTER", "GETKEYSINSLOT", slot, "1000")).split()
        await owner.command(
            *("MIGRATE", "127.0.0.1", str(target.port), "", "0", "10000", "KEYS", *keys)
        )
        for node in (target, owner, *self.nodes):
            await node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
        assert await owner.command("CLUSTER", "COUNTKEYSINSLOT", slot) == "0"

    async def stop(self) -> None:
        for node in self.nodes:
            await node.stop(signal.SIGKILL)


@asynccontextmanager
async def redis_cluster(folder: Path) -> AsyncGenerator[Cluster]:
    """Run one for as long as the block."""
    cluster = Cluster(folder)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()
