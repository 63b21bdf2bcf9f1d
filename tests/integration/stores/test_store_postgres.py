"""The PostgreSQL store on a real server: what only it does, and servers that go away.

What holds for every store is in `test_stores`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest
import trio
import trio.testing

from oto_trio.control.store import Delete, Put
from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.postgres import PostgresStore
from oto_trio.control.store.postgres_schema import SCHEMA_VERSION
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import (
    RevisionUnknownError,
    StoreError,
    StoreFileError,
    StoreOutcomeUnknownError,
)
from oto_trio.testing.gateway_process import GatewayEndedError, gateway_process
from tests.integration.clients import admin

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from oto_trio.control.store import Feed
    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

GUARD_S = 180.0
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"


@pytest.fixture
def running(postgres: PostgresServer) -> Generator[PostgresServer]:
    """The server, for a test that ends it; it runs again afterwards."""
    yield postgres
    postgres.stop()
    postgres.start()


async def told(feed: Feed, count: int) -> dict[str, bytes | None]:
    """Wait until so many documents were told; return their latest state by id."""
    state: dict[str, bytes | None] = {}
    with trio.fail_after(GUARD_S):
        async for batch in feed:
            state.update({change.id: change.document for change in batch.changes})
            if len(state) >= count:
                break
    return state


async def test_writers_at_once_share_a_commit(postgres: PostgresServer) -> None:
    async with await PostgresStore.open(postgres.new_database()) as store:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(store.put, "routes", f"r{number}", b"{}")
        assert store.revision == 200
        assert store.groups <= 4, "the first goes alone, the others wait and go together"


async def test_who_missed_more_removals_than_are_marked_compares_all(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.postgres_writes.MOST_MARKS", 3)
    url = postgres.new_database()
    async with await PostgresStore.open(url) as one:
        await one.transact([Put("routes", f"r{number}", b"{}") for number in range(10)])
        two = await PostgresStore.open(url)  # not in its block: it does not follow yet
        for number in range(8):
            await one.delete("routes", f"r{number}")
        await one.put("routes", "new", b"{}")
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(*) FROM oto_trio.removed").fetchone()
        assert row == (3,), "marks are trimmed"
        with two.watch() as feed:
            async with two:
                state = await told(feed, 9)
        assert state == {"new": b"{}", **{f"r{number}": None for number in range(8)}}


async def test_a_restart_of_the_server_costs_no_restart_of_the_gateway(
    running: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = running.new_database()
    async with await PostgresStore.open(url) as one, await PostgresStore.open(url) as two:
        with two.watch() as feed:
            await one.put("routes", "before", b"1")
            assert await told(feed, 1) == {"before": b"1"}
            await trio.to_thread.run_sync(running.stop)
            for action in (
                partial(one.put, "routes", "lost", b"1"),
                partial(one.get, "routes", "before"),
                partial(one.snapshot, ["routes"]),
            ):
                with pytest.raises(StoreError) as caught:
                    await action()
                assert f"127.0.0.1:{running.port}" in str(caught.value)
                assert "check that the server runs" in str(caught.value)
                assert running.password not in str(caught.value)
            await trio.to_thread.run_sync(running.start)
            assert await one.put("routes", "after", b"2") == 2, "a refused write costs no revision"
            assert await told(feed, 1) == {"after": b"2"}
            assert await one.get("routes", "before") == Record("routes", "before", 1, b"1")
    assert "changes of other gateways wait" in caplog.text
    assert running.password not in caplog.text


async def test_a_restart_between_two_actions_is_not_noticed(running: PostgresServer) -> None:
    async with await PostgresStore.open(running.new_database()) as store:
        await store.put("routes", "a", b"1")
        await store.get("routes", "a")
        await trio.to_thread.run_sync(running.stop)
        await trio.to_thread.run_sync(running.start)
        assert await store.put("routes", "a", b"2") == 2
        assert await store.get("routes", "a") == Record("routes", "a", 2, b"2")


@pytest.mark.parametrize("kept", [True, False])
async def test_the_outcome_of_a_commit_is_asked_for_when_the_connection_breaks_at_it(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    async with await PostgresStore.open(postgres.new_database()) as store:
        await store.put("routes", "a", b"1")
        connection = store._writer.connect()
        execute = connection.execute
        broken: list[str] = []

        def breaking(query: str | bytes, *args: object, **options: object) -> object:
            if query == "COMMIT":
                broken.append(query)
                if kept:
                    execute("COMMIT")
                connection.close()
                raise psycopg.OperationalError("the connection broke")
            return execute(query, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(connection, "execute", breaking)
        # When nothing was kept, it is written once more, with a connection that works.
        assert await store.put("routes", "a", b"2", expect=1) == 2
        assert broken == ["COMMIT"]
        assert await store.get("routes", "a") == Record("routes", "a", 2, b"2")


async def test_an_outcome_that_nobody_can_tell_is_told_as_such(
    running: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.postgres.OUTCOME_PAUSE_S", 0.01)
    async with await PostgresStore.open(running.new_database()) as store:
        await store.put("routes", "a", b"1")
        connection = store._writer.connect()
        execute = connection.execute

        def breaking(query: str | bytes, *args: object, **options: object) -> object:
            if query == "COMMIT":
                running.stop()
            return execute(query, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(connection, "execute", breaking)
        with pytest.raises(StoreOutcomeUnknownError, match="read it again"):
            await store.put("routes", "a", b"2")


@pytest.mark.halts_not
async def test_a_server_that_freezes_is_given_up_and_taken_back(
    running: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.postgres.LOOK_S", 0.05)
    async with await PostgresStore.open(running.new_database() + "?connect_timeout=2") as store:
        await store.put("routes", "a", b"1")
        await store.get("routes", "a")
        running.freeze()
        try:
            with trio.fail_after(GUARD_S):
                with pytest.raises(StoreError):
                    await store.get("routes", "a")
                with pytest.raises(StoreError):
                    await store.put("routes", "a", b"2")
        finally:
            running.thaw()
        assert await store.put("routes", "a", b"3") == 2
        assert await store.get("routes", "a") == Record("routes", "a", 2, b"3")


@pytest.mark.halts_not
async def test_closing_does_not_wait_for_a_frozen_server(
    running: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.postgres.CLOSE_WAIT_S", 0.2)
    refused: list[StoreError] = []

    async def write(store: PostgresStore) -> None:
        try:
            await store.put("routes", "a", b"2")
        except StoreError as error:
            refused.append(error)

    try:
        with trio.fail_after(GUARD_S):
            async with (
                trio.open_nursery() as nursery,
                await PostgresStore.open(running.new_database() + "?connect_timeout=2") as store,
            ):
                await store.put("routes", "a", b"1")
                running.freeze()
                nursery.start_soon(write, store)
                await trio.testing.wait_all_tasks_blocked(0.05)
    finally:
        running.thaw()
    assert len(refused) == 1


async def test_a_store_that_went_back_is_refused(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    async with await PostgresStore.open(url) as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE oto_trio.facts SET value = 1 WHERE name = 'revision'")
        with pytest.raises(StoreError, match="stands at revision 1, but stood at 2 before"):
            await store.put("routes", "a", b"3")


async def test_many_documents_in_one_transaction(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    async with await PostgresStore.open(url) as one, await PostgresStore.open(url) as two:
        with two.watch() as feed:
            await one.transact([Put("routes", f"r{n}", b"x" * 500) for n in range(5_000)])
            with trio.fail_after(GUARD_S):
                batch = await anext(feed)
            assert len(batch.changes) == 5_000, "a transaction is told whole"
            await one.transact([Delete("routes", f"r{n}") for n in range(5_000)])
            with trio.fail_after(GUARD_S):
                batch = await anext(feed)
            assert {change.document for change in batch.changes} == {None}
        assert await two.count("routes") == 0


async def test_what_postgresql_cannot_hold_is_not_there(postgres: PostgresServer) -> None:
    async with await PostgresStore.open(postgres.new_database()) as store:
        await store.transact([Put("routes", i, b"{}") for i in ("a", "ab", "b")])
        assert await store.get("routes", "a\0b") is None
        assert await store.get("routes", "\ud800") is None
        assert await store.get("\0", "a") is None
        assert [r.id for r in await store.list("routes", after="a\0b")] == ["ab", "b"]
        assert await store.count("\0") == 0


async def test_blobs_of_two_gateways(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    async with await PostgresStore.open(url) as one, await PostgresStore.open(url) as two:
        names = [f"n{number}" for number in range(50)]
        with trio.fail_after(GUARD_S):
            async with trio.open_nursery() as nursery:
                for order in (names, names[::-1]):
                    for store in (one, two):
                        nursery.start_soon(store.save_blobs, [Blob(n, b"1") for n in order])
        assert [blob.name for blob in await two.load_blobs("n")] == sorted(names)


async def test_parts_of_counters_that_ended_are_removed_a_bounded_number_at_a_time(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.postgres_tallies.SWEPT", 3)
    url, now = postgres.new_database(), 3e9
    with psycopg.connect(url, autocommit=True) as connection:

        def rows() -> int:
            (row,) = connection.execute("SELECT count(*) FROM oto_trio.tallies").fetchall()
            return int(row[0])

        async with await PostgresStore.open(url) as one, await PostgresStore.open(url) as two:
            await one.tally([Tally("a", f"p{n}", n, now) for n in range(5)], now=now - 1)
            await one.tally([Tally("b", "p", 1, now + 9999)], now=now + 30)
            assert rows() == 6, "a writer whose clock lags may still tell them"
            await two.tally([], ["a"], now=now + 100)
            assert rows() == 6, "to ask removes nothing"
            for left in (3, 1, 1):
                await two.tally([Tally("b", "p", 1, now + 9999)], now=now + 100)
                assert rows() == left
            whole = await one.read_whole()
            await one.become(whole)
            assert rows() == 0


# -------------------------------------------------------------------------- whole gateways


async def test_gateways_that_start_at_once_on_an_empty_database(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    environ = {"OTO_TRIO_STORE": postgres.new_database()}
    authorities: list[list[str]] = []
    both_asked = trio.Event()

    async def run(name: str) -> None:
        async with (
            gateway_process("--workers", "1", data=tmp_path / name, environ=environ) as gateway,
            admin(gateway) as api,
        ):
            answer = await api.get("/apis/pki.otoroshi.io/v1/certificates")
            authorities.append(sorted(it["id"] for it in answer.json() if it["ca"]))
            if len(authorities) == 2:
                both_asked.set()
            with trio.fail_after(GUARD_S):
                await both_asked.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, "one")
        nursery.start_soon(run, "two")
    assert authorities[0] == authorities[1]


async def test_a_gateway_does_not_start_without_its_store(tmp_path: Path) -> None:
    environ = {"OTO_TRIO_STORE": "postgresql://oto:hidden@127.0.0.1:1/x"}
    with pytest.RaisesGroup(GatewayEndedError) as raised:
        async with gateway_process(data=tmp_path / "data", environ=environ):
            raise AssertionError
    (error,) = raised.value.exceptions
    assert isinstance(error, GatewayEndedError)
    assert error.status == 1
    assert "postgresql://oto@127.0.0.1:1/x cannot be used" in error.output
    assert "Traceback" not in error.output
    assert "hidden" not in error.output


# -------------------------------------------------------------------------- what is not right


async def test_nobody_listens_is_named(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match="check that the server runs") as caught:
        await PostgresStore.open("postgresql://oto:hidden@127.0.0.1:1/x")
    assert "postgresql://oto@127.0.0.1:1/x" in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_wrong_password_is_named_and_not_shown(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        await PostgresStore.open(postgres.url(password="hidden"))
    assert "hidden" not in str(caught.value)
    assert "hidden" not in repr(caught.value.__cause__)


async def test_a_missing_database_is_named(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        await PostgresStore.open(postgres.url("nowhere"))


async def test_a_server_without_tls_is_refused_when_the_url_asks_for_it(
    postgres: PostgresServer,
) -> None:
    with pytest.raises(StoreError, match="does not support SSL"):
        await PostgresStore.open(postgres.url(query="?sslmode=require"))


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden@h:1:2/x?hidden=1", "postgresql://u:hid%00den@h/x"]
)
async def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreFileError, match="no url of PostgreSQL") as caught:
        await PostgresStore.open(url)
    assert "hid" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_database_of_another_encoding_is_named(postgres: PostgresServer) -> None:
    url = postgres.new_database(encoding="SQL_ASCII")
    with pytest.raises(StoreFileError, match=r"encoding .* is SQL_ASCII"):
        await PostgresStore.open(url)


async def test_a_store_of_a_newer_version_is_named_and_left_alone(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    async with await PostgresStore.open(url) as store:
        await store.put("routes", "a", b"{}")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE oto_trio.facts SET value = 7 WHERE name = 'schema'")
    with pytest.raises(StoreFileError, match=r"newer oto-trio \(schema 7"):
        await PostgresStore.open(url)
    assert SCHEMA_VERSION < 7


async def test_gateways_that_start_at_once_make_the_tables_once(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    stores: list[PostgresStore] = []

    async def open_store() -> None:
        stores.append(await PostgresStore.open(url))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(open_store)
    for store in stores:
        async with store:
            assert await store.count("routes") == 0


async def test_a_user_who_may_not_make_the_tables_is_told_so(postgres: PostgresServer) -> None:
    url = postgres.new_database("guarded")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = f"postgresql://guest:guest@127.0.0.1:{postgres.port}/guarded"
    with pytest.raises(StoreError, match="GRANT CREATE ON DATABASE"):
        await PostgresStore.open(guest)


async def test_a_server_that_acknowledges_early_is_told_not_to(postgres: PostgresServer) -> None:
    url = postgres.new_database("hasty")
    with psycopg.connect(url) as connection:
        connection.execute("ALTER DATABASE hasty SET synchronous_commit = off")
    async with await PostgresStore.open(url) as store:
        row = store._writer.connect().execute("SHOW synchronous_commit").fetchone()
        assert row == ("on",)


async def test_what_was_written_without_history_begins_a_new_one(postgres: PostgresServer) -> None:
    """As when an older version was put back for a while: what it wrote is not remembered."""
    async with await PostgresStore.open(postgres.new_database()) as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
        with psycopg.connect(store._target.conninfo) as connection:
            connection.execute("UPDATE oto_trio.documents SET document = '3', revision = 3")
            connection.execute("UPDATE oto_trio.facts SET value = 3 WHERE name = 'revision'")
        assert await store.revisions() == []
        with pytest.raises(RevisionUnknownError, match="the states of revisions 3 to 3 are known"):
            await store.difference(2)
        await store.put("routes", "a", b"4")
        assert [r.revision for r in await store.revisions()] == [4]
        (changed,) = (await store.difference(3)).changed
        assert (changed.before, changed.after) == (b"3", b"4")
