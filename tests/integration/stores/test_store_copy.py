"""`oto-trio store copy`: any store into any other, and Otoroshi's Redis into one of ours."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from click.testing import CliRunner

from oto_trio.app import STORE_FILE
from oto_trio.cli import program
from oto_trio.control.store import Delete, Put
from oto_trio.control.store.base import Blob
from oto_trio.control.store.history import Origin, acting
from oto_trio.control.store.opening import open_store
from oto_trio.control.store.redis_line import Line
from oto_trio.control.store.redis_whole import SWAP
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.control.store.whole import CopiedStore, CopyError, Whole, copy_store
from oto_trio.model.errors import StoreError
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import ask, eventually, route
from tests.integration.stores.redis_server import RedisServer, redis_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.integration.conftest import Upstream
    from tests.integration.stores.cassandra_server import CassandraServer
    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

KINDS = ("sqlite", "redis", "postgresql", "file", "cassandra")
FAR = 4e9


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncGenerator[RedisServer]:
    (tmp_path / "redis").mkdir()
    async with redis_server(tmp_path / "redis") as running:
        yield running


def place(
    kind: str,
    name: str,
    folder: Path,
    redis: RedisServer,
    postgres: PostgresServer,
    cassandra: CassandraServer | None = None,
) -> str:
    """Return a URL, or for the embedded store a file."""
    match kind:
        case "sqlite":
            return str(folder / name / STORE_FILE)
        case "redis":
            return f"{redis.url}?prefix={name}"
        case "postgresql":
            return postgres.new_database()
        case "cassandra":
            assert cassandra is not None
            if not cassandra.is_running:
                cassandra.start()
            return cassandra.new_url()
        case _:
            return f"file://{folder}/{name}.ndjson"


async def opened(stack: AsyncExitStack, where: str, folder: Path) -> CopiedStore:
    if "://" in where:
        store = await open_store(where, folder / "unused")
    else:
        store = await SqliteStore.open(Path(where))
    return cast("CopiedStore", await stack.enter_async_context(store))


async def fill(store: CopiedStore) -> None:
    """Write some history, in which documents come, change, go and come again."""
    await store.transact([Put("routes", f"r{n}", b'{"n":%d}' % n) for n in range(30)])
    with acting(Origin("somebody", "request 1", "because")):
        await store.transact([Put("routes", "r1", b"[1]"), Delete("routes", "r2")])
    await store.put("apikeys", "a\u00e9 b", b'{"clientSecret":"x"}')
    await store.put("routes", "r2", b"again")
    await store.transact([Delete("routes", "r2"), Put("odd:kind", "o", b"1")])
    await store.save_blobs([Blob("counter:1", bytes(range(256)), FAR), Blob("counter:2", b"")])
    await store.save_blobs([Blob("over", b"1", 1.0)])


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_copied_is_all_there_is(
    kind: str,
    tmp_path: Path,
    redis: RedisServer,
    postgres: PostgresServer,
    cassandra: CassandraServer,
) -> None:
    """Round in a circle: from one kind through each other back into itself."""
    start = KINDS.index(kind)
    way = [*KINDS[start:], *KINDS[:start], kind]
    places = [place(k, f"p{n}", tmp_path, redis, postgres, cassandra) for n, k in enumerate(way)]
    first: Whole | None = None
    for source, target in pairwise(places):
        async with AsyncExitStack() as stack:
            taken = await opened(stack, source, tmp_path)
            if first is None:
                await fill(taken)
                first = await taken.read_whole()
                assert first.counts == {
                    "apikeys": 1, "odd:kind": 1, "routes": 29, "(blobs)": 2, "(revisions)": 5,
                }  # fmt: skip
            filled = await opened(stack, target, tmp_path)
            assert await copy_store(taken, filled) == first
            with pytest.raises(CopyError, match="not empty; give --replace"):
                await copy_store(taken, filled)
    async with AsyncExitStack() as stack:
        # What was copied is as good as what was written: it is read, told and goes on.
        last = await opened(stack, places[-1], tmp_path)
        assert last.revision == 5
        difference = await last.difference(1, 4)
        assert [(c.id, c.before, c.after) for c in difference.changed] == [
            ("a\u00e9 b", None, b'{"clientSecret":"x"}'),
            ("r1", b'{"n":1}', b"[1]"),
            ("r2", b'{"n":2}', b"again"),
        ]
        second = (await last.revisions(before=3, limit=1))[0]
        assert second.origin == Origin("somebody", "request 1", "because")
        with last.watch() as feed:
            assert await last.put("routes", "new", b"1", expect="absent") == 6
            assert (await anext(feed)).revision == 6
        assert await last.put("routes", "r1", b"2", expect=2) == 7
        assert (await last.difference(0)).until == 7


@pytest.mark.parametrize("kind", KINDS)
async def test_a_target_that_holds_something_is_replaced_whole(
    kind: str,
    tmp_path: Path,
    redis: RedisServer,
    postgres: PostgresServer,
    cassandra: CassandraServer,
) -> None:
    async with AsyncExitStack() as stack:
        source = await opened(stack, place("sqlite", "from", tmp_path, redis, postgres), tmp_path)
        await fill(source)
        where = place(kind, "to", tmp_path, redis, postgres, cassandra)
        target = await opened(stack, where, tmp_path)
        for n in range(9):
            await target.put("backends", f"old{n}", b"{}")
        await target.save_blobs([Blob("old", b"1"), Blob("old2", b"2", FAR)])
        whole = await copy_store(source, target, replace=True)
        assert whole == await source.read_whole()
        assert await target.count("backends") == 0
        assert await target.put("routes", "new", b"1") == 6


async def test_a_swap_that_is_sent_again_after_a_broken_connection_takes_nothing_away(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_once = Line.ask
    sent: list[int] = []

    async def ask_twice(self: Line, *words: Any, **options: Any) -> Any:
        if SWAP.text in words:
            sent.append(len(words))
            await ask_once(self, *words, **options)  # its answer is lost
        return await ask_once(self, *words, **options)

    async with AsyncExitStack() as stack:
        source = await opened(stack, place("sqlite", "from", tmp_path, redis, postgres), tmp_path)
        await fill(source)
        target = await opened(stack, place("redis", "to", tmp_path, redis, postgres), tmp_path)
        await target.put("backends", "old", b"{}")
        monkeypatch.setattr(Line, "ask", ask_twice)
        assert await copy_store(source, target, replace=True) == await source.read_whole()
        assert len(sent) == 1
        assert await target.put("routes", "new", b"1") == 6


async def test_a_copy_whose_new_keys_another_copy_removed_takes_nothing_away(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_once = Line.ask

    async def ask_late(self: Line, *words: Any, **options: Any) -> Any:
        if SWAP.text in words:
            await ask_once(self, "UNLINK", next(w for w in words if str(w).endswith("new:log")))
        return await ask_once(self, *words, **options)

    async with AsyncExitStack() as stack:
        source = await opened(stack, place("sqlite", "from", tmp_path, redis, postgres), tmp_path)
        await fill(source)
        target = await opened(stack, place("redis", "to", tmp_path, redis, postgres), tmp_path)
        await target.put("backends", "old", b"{}")
        monkeypatch.setattr(Line, "ask", ask_late)
        with pytest.raises(StoreError, match="another copy was made into it"):
            await copy_store(source, target, replace=True)
        assert await target.count("backends") == 1


async def test_a_gateway_on_a_store_that_was_replaced_notices(
    tmp_path: Path, redis: RedisServer, postgres: PostgresServer
) -> None:
    async with AsyncExitStack() as stack:
        where = place("redis", "to", tmp_path, redis, postgres)
        used = await opened(stack, where, tmp_path)
        await used.put("routes", "a", b"1")
        source = await opened(stack, place("sqlite", "from", tmp_path, redis, postgres), tmp_path)
        await fill(source)
        target = await opened(stack, where, tmp_path)
        await copy_store(source, target, replace=True)
        with pytest.raises(Exception, match="restart this gateway"):
            await used.put("routes", "a", b"2")


# --------------------------------------------------------------------------- the command itself


async def run(*words: str, **variables: str) -> tuple[int, str]:
    """Run the command; give its exit code and what it wrote."""
    invoke = partial(CliRunner().invoke, program, ["store", "copy", *words], env=variables)
    done = await trio.to_thread.run_sync(invoke)  # it has a Trio run of its own
    return done.exit_code, done.output


async def test_the_command_copies_compares_and_tells_counts(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with await SqliteStore.open(tmp_path / "data" / STORE_FILE) as store:
        await fill(store)
    target = f"{redis.url}?prefix=x"
    code, said = await run(str(tmp_path / "data"), "env:TARGET", TARGET=target)
    assert code == 0, said
    assert "29  routes" in said
    assert "copied up to revision 5" in said
    code, said = await run(str(tmp_path / "data"), target)
    assert (code, "--replace" in said) == (1, True), said
    code, said = await run(target, str(tmp_path / "data"), "--replace")
    assert code == 0, said
    for words, reason in (
        ((str(tmp_path / "none"), target), "there is no store"),
        ((target, target), "the same"),
        (("env:NOTHING", target), "NOTHING is not set"),
        (("mysql://me:hidden@h", target), "no store has such a url"),
        (("memory://", target), "keeps nothing"),
        ((target, "otoroshi+redis://h"), "only read"),
    ):
        code, said = await run(*words)
        assert (code, reason in said) == (2, True), said
        assert "hidden" not in said
    code, said = await run("redis://:hidden@127.0.0.1:1", str(tmp_path / "other"))
    assert (code, "cannot be reached" in said, "hidden" in said) == (1, True, False), said


async def test_the_redis_of_an_otoroshi_is_brought_in_and_served(
    redis: RedisServer, upstream: Upstream, tmp_path: Path
) -> None:
    entities: dict[str, Any] = {
        "otoroshi:config:global": {"lines": ["prod"]},
        "otoroshi:routes:r1": route("r1", upstream.url),
        "otoroshi:apikey:coll:k1": {
            "clientId": "k1", "clientSecret": "s", "clientName": "k", "authorizedEntities": [],
        },
    }  # fmt: skip
    for key, entity in entities.items():
        await redis.command("SET", key, json.dumps(entity))
    await redis.command("SET", "otoroshi:apikey:quotas:global:k1", "7")
    await redis.command("LPUSH", "otoroshi:events:audit", "{}")
    await redis.command("SET", "other:routes:r9", "{}")
    url = f"otoroshi+{redis.url}"
    data = tmp_path / "data"
    code, said = await run(url, str(data))
    assert code == 0, said
    assert "routes: 1 created (r1)" in said
    assert "left out: 1 of apikey:quotas" in said
    assert "left out: 1 of events" in said
    assert await redis.command("GET", "otoroshi:routes:r1") == json.dumps(
        entities["otoroshi:routes:r1"]
    )
    code, said = await run(url, str(data))
    assert (code, "not empty" in said) == (1, True), said
    code, said = await run(f"{url}?prefix=nothing", str(tmp_path / "new"))
    assert (code, "app.storageRoot" in said) == (1, True), said
    async with gateway_process("--workers", "1", data=data) as gateway:

        async def is_served() -> bool:
            return (await ask(gateway.port, "r1.test")).status == 200

        await eventually(is_served)
    await redis.command("SET", "otoroshi:routes:broken", "{")
    code, said = await run(url, str(tmp_path / "new"))
    assert (code, "line" in said) == (1, True), said
