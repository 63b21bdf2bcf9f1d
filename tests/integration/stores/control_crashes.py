"""kill -9 of the control process while clients write, again and again: what was acknowledged must be there.

The tests do it a few times for each store. By hand, two hundred times::

    python -m tests.integration.stores.control_crashes redis --kills 200

Rounds take turns: in one many writers write one entity each, by single requests and in bulk; in the other a whole
configuration is imported again and again, which is one transaction of many writes. After each kill a new gateway
starts on the same store and everything it has is compared with what was acknowledged.
"""

from __future__ import annotations

import argparse
import random
import signal
import sqlite3
import sys
import tempfile
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec
import trio

from oto_trio.app import STORE_FILE
from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import GUARD_S, admin, eventually
from tests.integration.stores.cassandra_server import CassandraServer
from tests.integration.stores.crash_writers import (
    BulkWriter,
    Countdown,
    ImportWriter,
    Writer,
    are_gone,
    compare,
    write_until_gone,
)
from tests.integration.stores.postgres_server import PostgresServer
from tests.integration.stores.store_homes import SHARED, ServerHome, home_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["STORES", "Report", "kill_again_and_again"]

STORES: Final = ("sqlite", *SHARED)

KEY: Final = ("crashes", "a secret of this test only")

MOST_WRITES: Final = 40
"""Acknowledged writes before a kill, at most."""


class Report(msgspec.Struct):
    """What was tried."""

    kills: int = 0
    acknowledged: int = 0
    """Requests that were answered before a kill."""
    in_flight: int = 0
    """Entities of which a write was under way at a kill."""
    kept_in_flight: int = 0
    """Those of them whose write was kept all the same."""


class _Rounds:
    """Plays rounds against one store."""

    def __init__(self, data: Path, url: str | None, backend: str, chance: random.Random) -> None:
        self._data = data
        self._environ = {
            "OTO_TRIO_ADMIN_API_CLIENT_ID": KEY[0],
            "OTO_TRIO_ADMIN_API_CLIENT_SECRET": KEY[1],
            **({} if url is None else {"OTO_TRIO_STORE": url}),
        }
        self._is_embedded = url is None
        self._chance = chance
        self._singles = [Writer(f"single-{number}", backend) for number in range(6)]
        self._bulk = BulkWriter(backend)
        self._imports = ImportWriter(backend)
        self.everyone = [*self._singles, *self._bulk.writers, *self._imports.writers]
        self.report = Report()

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[GatewayProcess]:
        """Run a gateway on the store, and compare what it has with what was acknowledged."""
        async with gateway_process(
            "--workers", "1", data=self._data, environ=self._environ
        ) as gateway:
            async with admin(gateway, KEY) as api:
                tried = {writer.name: writer.tried for writer in self.everyone}
                unsure = [w for w in self.everyone if w.tried > w.acknowledged]
                await compare(api, self.everyone)
                self._imports.settle()
                self.report.in_flight += len(unsure)
                self.report.kept_in_flight += sum(w.acknowledged == tried[w.name] for w in unsure)
            yield gateway

    async def prepare(self) -> None:
        """Write everything once, so that each later write finds something."""
        async with self.gateway() as gateway, admin(gateway, KEY) as api:
            await self._bulk.write_next(api)
            await self._imports.write_next(api)

    async def play(self, *, imports: bool) -> None:
        """Let writers write, kill the control process, and wait until its workers are gone."""
        async with self.gateway() as gateway, admin(gateway, KEY) as api:
            workers = gateway.workers()
            least = self._chance.randint(1, MOST_WRITES // (4 if imports else 1))
            counter = Countdown(least, [] if imports else self._singles)
            writers = [writer.write_next for writer in self._singles] + [self._bulk.write_next]
            if imports:
                self._imports.begin()
                writers = [self._imports.write_next]
            async with trio.open_nursery() as nursery:
                for write_next in writers:
                    nursery.start_soon(write_until_gone, write_next, api, counter)
                with trio.fail_after(4 * GUARD_S):
                    await counter.zero.wait()
                await trio.sleep(self._chance.uniform(0, 0.02))  # anywhere in the next writes
                gateway.signal(signal.SIGKILL)
            assert await gateway.wait() == -signal.SIGKILL
            await eventually(partial(are_gone, workers))
            self.report.kills += 1
            self.report.acknowledged += counter.counted
        if self._is_embedded:
            assert _integrity(self._data / STORE_FILE) == "ok"


async def kill_again_and_again(
    kind: str,
    kills: int,
    folder: Path,
    postgres: PostgresServer,
    cassandra: CassandraServer,
    *,
    backend: str = "http://127.0.0.1:9",
    seed: int = 0,
    progress: Callable[[Report], None] = lambda _: None,
) -> tuple[Report, list[Writer]]:
    """Kill the control process of a gateway so many times while it writes.

    Args:
        kind: One of `STORES`.
        kills: How often.
        folder: For the data of gateway and store.
        postgres: A server that runs, used for that store only.
        cassandra: A server that is started for that store only.
        backend: Where the routes lead.
        seed: Of the moments at which it is killed.
        progress: Told after each kill.

    Returns:
        What was tried, and the writers, which know what is stored.

    Raises:
        AssertionError: Something acknowledged is lost, or something is half there.
    """
    async with home_of(kind, folder, postgres, cassandra) as home:
        url = home.url("crashes") if isinstance(home, ServerHome) else None
        rounds = _Rounds(folder / "data", url, backend, random.Random(seed))
        await rounds.prepare()
        for number in range(kills):
            await rounds.play(imports=number % 2 == 1)
            progress(rounds.report)
        async with rounds.gateway():
            pass
        return rounds.report, rounds.everyone


def _integrity(file: Path) -> str:
    """What SQLite says of the file that the crash left."""
    with closing(sqlite3.connect(file)) as database:
        verdict: str = database.execute("PRAGMA integrity_check").fetchone()[0]
    return verdict


def main(arguments: list[str]) -> None:
    """Run it by hand; prints the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.stores.control_crashes")
    parser.add_argument("store", choices=STORES)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def tell(report: Report) -> None:
        if report.kills % 20 == 0:
            click.echo(f"{options.store}: {report}")

    postgres, cassandra = PostgresServer(), CassandraServer()
    try:
        if options.store == "postgresql":
            postgres.start()
        with tempfile.TemporaryDirectory() as folder:
            report, _ = trio.run(
                partial(
                    kill_again_and_again,
                    *(options.store, options.kills, Path(folder), postgres, cassandra),
                    seed=options.seed,
                    progress=tell,
                )
            )
    finally:
        postgres.remove()
        cassandra.remove()
    click.echo(f"{options.store}: {report}: nothing acknowledged was lost, nothing was half there")


if __name__ == "__main__":
    main(sys.argv[1:])
