"""What only the Cassandra store does; what every store does is in `test_stores`."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.control.store import Change, Delete, Put, Record
from oto_trio.control.store import cassandra as driver
from oto_trio.control.store.base import Blob
from oto_trio.control.store.cassandra import CassandraStore
from oto_trio.control.store.cassandra_link import UNSURE, Talk
from oto_trio.control.store.cassandra_schema import PART, SCHEMA_VERSION
from oto_trio.control.store.cassandra_state import MOST_DOCUMENT
from oto_trio.control.store.cassandra_whole import read_settled
from oto_trio.control.store.history import HistoryBounds
from oto_trio.model.errors import (
    StoreError,
    StoreFileError,
    StoreOutcomeUnknownError,
    StoreTooLargeError,
)
from tests.integration.clients import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.store.cassandra_link import Question
    from tests.integration.stores.cassandra_server import CassandraServer

pytestmark = pytest.mark.slow

GUARD_S = 180.0


@pytest.fixture
def server(cassandra: CassandraServer) -> CassandraServer:
    if not cassandra.is_running:
        cassandra.start()
    return cassandra


async def ask(store: CassandraStore, text: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask the server itself."""
    return await store._link.run(lambda talk: talk.ask(text, *values))


# ------------------------------------------------------------------------- behind the commits


async def test_the_table_of_documents_follows_and_a_start_needs_no_more(
    server: CassandraServer,
) -> None:
    url = server.new_url()
    async with await CassandraStore.open(url) as store:
        await store.transact([Put("routes", f"r{n}", b"%d" % n) for n in range(20)])
        await store.transact([Put("routes", "r1", b"new"), Delete("routes", "r2")])

        async def is_settled() -> bool:
            settled = await store._link.run(lambda talk: read_settled(talk, store._store))
            # Who settles hears of it for himself, maybe later than this.
            return settled == 2 and not store._replica.pending

        await eventually(is_settled)
        rows = await ask(store, "SELECT base, part FROM oto_bodies")
        for base, part in rows:
            await ask(
                store,
                "DELETE FROM oto_bodies WHERE store = ? AND base = ? AND part = ?",
                *(store._store, base, part),
            )
    async with await CassandraStore.open(url) as store:
        assert await store.count("routes") == 19
        assert await store.get("routes", "r1") == Record("routes", "r1", 2, b"new")
        assert await store.get("routes", "r2") is None
        assert [r.revision for r in await store.revisions()] == [2, 1]
        with pytest.raises(StoreError, match="revisions from 1 on changed is gone"):
            await store.difference(0)


async def test_what_is_forgotten_is_removed_with_what_came_to_nothing(
    server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SETTLE_S", 0.01)
    monkeypatch.setattr(driver, "KEPT_ROWS", 2)
    monkeypatch.setattr(driver, "TRIMMED_AT_ONCE", 3)
    url = server.new_url()
    async with await CassandraStore.open(url, history=HistoryBounds(revisions=2)) as store:
        mine = store._store
        await ask(
            store,
            "INSERT INTO oto_bodies (store, base, part, attempt, parts) VALUES (?, 2, 0, 'crashed', 2)",
            mine,
        )
        await ask(
            store,
            "INSERT INTO oto_bodies (store, base, part, attempt, parts) VALUES (?, 2, 1, 'crashed', 2)",
            mine,
        )

        async def is_trimmed() -> bool:
            await store.put("routes", "a", b"%d" % store.revision)
            bodies = await ask(store, "SELECT store, base FROM oto_bodies")
            rows = await ask(store, "SELECT revision FROM oto_revisions WHERE store = ?", mine)
            return (mine, 2) not in bodies and min(row[0] for row in rows) > 2

        await eventually(is_trimmed)
        assert len(store._replica.rows) < store.revision
        assert [r.revision for r in await store.revisions()] == [store.revision, store.revision - 1]
    async with await CassandraStore.open(url) as again:
        assert again.revision == store.revision
        assert len(await again.revisions()) == 2


async def test_a_gateway_that_commits_nothing_forgets_too(
    server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SETTLE_S", 0.01)
    monkeypatch.setattr(driver, "KEPT_ROWS", 10)
    monkeypatch.setattr(driver, "TRIMMED_AT_ONCE", 3)
    url, bounds = server.new_url(), HistoryBounds(revisions=2)
    async with (
        await CassandraStore.open(url, history=bounds) as one,
        await CassandraStore.open(url, history=bounds) as two,
    ):
        for n in range(40):
            await one.put("routes", f"r{n}", b"1")
            assert (
                await two.count("routes") == n + 1
            )  # one by one, so that it never reads everything

        async def has_forgotten() -> bool:
            replica = two._replica
            return replica.revision == 40 and len(replica.rows) <= 25 and len(replica.pending) <= 25

        await eventually(has_forgotten)
        assert await two.count("routes") == 40
        assert [r.revision for r in await two.revisions()] == [40, 39]
        assert await two.put("routes", "mine", b"1") == 41
        assert (await one.difference(40)).until == 41


async def test_a_gateway_that_was_cut_off_for_long_reads_everything_and_tells_the_difference(
    server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SETTLE_S", 0.01)
    monkeypatch.setattr(driver, "KEPT_ROWS", 2)
    monkeypatch.setattr(driver, "TRIMMED_AT_ONCE", 3)
    url, bounds = server.new_url(), HistoryBounds(revisions=1)
    async with await CassandraStore.open(url, history=bounds) as one:
        await one.transact([Put("routes", "gone", b"1"), Put("routes", "same", b"1")])
        # Not entered: it does not follow.
        two = await CassandraStore.open(url, history=bounds)
        try:

            async def is_trimmed() -> bool:
                await one.transact([Put("routes", "a", b"%d" % one.revision)])
                rows = await ask(
                    one, "SELECT revision FROM oto_revisions WHERE store = ?", one._store
                )
                return bool(min(row[0] for row in rows) > 2)

            await one.delete("routes", "gone")
            await eventually(is_trimmed)
            with two.watch() as feed:
                assert await two.get("routes", "gone") is None
                batch = await anext(feed)
            assert batch.revision == two.revision == one.revision
            last = Change(one.revision, "routes", "a", b"%d" % (one.revision - 1))
            assert {(c.id, c.document) for c in batch.changes} == {
                ("gone", None),
                ("a", last.document),
            }
            assert await two.list("routes") == await one.list("routes")
            assert await two.put("routes", "b", b"1") == one.revision + 1
        finally:
            await two.aclose()


async def test_a_transaction_of_many_parts_is_whole_for_everybody(server: CassandraServer) -> None:
    url = server.new_url()
    async with await CassandraStore.open(url) as one, await CassandraStore.open(url) as two:
        large = random.Random(1).randbytes(3 * PART)
        with two.watch() as feed, trio.fail_after(GUARD_S):
            await one.transact([Put("routes", "a", large), Put("routes", "b", b"1")])
            batch = await anext(feed)
        assert {c.id: c.document for c in batch.changes} == {"a": large, "b": b"1"}
        (row,) = two._replica.remembered()
        assert row.parts > 3
    async with await CassandraStore.open(url) as one:
        record = await one.get("routes", "a")
        assert record is not None
        assert record.document == large


# -------------------------------------------------------------------------- commits in the dark


@pytest.mark.parametrize("is_made", [True, False])
async def test_a_commit_without_an_answer_is_found_out_and_made_once(
    server: CassandraServer, monkeypatch: pytest.MonkeyPatch, is_made: bool
) -> None:
    lost = 0
    decide = Talk.decide

    def lose(self: Talk, questions: Sequence[Question]) -> bool:
        nonlocal lost
        if lost < 2:
            if is_made or lost:
                decide(self, questions)
            lost += 1
            raise UNSURE[2]("no answer")
        return decide(self, questions)

    async with await CassandraStore.open(server.new_url()) as store:
        monkeypatch.setattr(Talk, "decide", lose)
        assert await store.put("routes", "a", b"1", expect="absent") == 1
        assert lost == 2
        assert await store.put("routes", "a", b"2") == 2
        assert [r.revision for r in await store.revisions()] == [2, 1]


async def test_a_commit_that_nobody_can_tell_of_is_said_to_be_unknown(
    server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(self: Talk, questions: Sequence[Question]) -> bool:
        raise UNSURE[2]("no answer")

    async with await CassandraStore.open(server.new_url()) as store:
        monkeypatch.setattr("oto_trio.control.store.cassandra_log.OUTCOME_PAUSE_S", 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(Talk, "decide", lose)
            with pytest.raises(StoreOutcomeUnknownError, match="read it again"):
                await store.put("routes", "a", b"1")
        assert await store.put("routes", "a", b"2") == 1


async def test_a_store_that_was_emptied_is_not_taken_for_an_empty_one(
    server: CassandraServer,
) -> None:
    async with await CassandraStore.open(server.new_url()) as store:
        await store.put("routes", "a", b"1")
        await ask(store, "DELETE FROM oto_revisions WHERE store = ?", store._store)
        with pytest.raises(StoreError, match="was emptied, or holds another store"):
            await store.get("routes", "a")
        with pytest.raises(StoreError, match="was emptied, or holds another store"):
            await store.put("routes", "a", b"2")


# ---------------------------------------------------------------------------------- bounds


async def test_what_is_too_large_is_refused_and_named(server: CassandraServer) -> None:
    async with await CassandraStore.open(server.new_url()) as store:
        largest = b"x" * MOST_DOCUMENT
        assert await store.put("routes", "a", largest) == 1
        with pytest.raises(StoreTooLargeError, match="routes 'b' has 4194305 bytes") as caught:
            await store.transact([Put("routes", "c", b"1"), Put("routes", "b", largest + b"x")])
        assert caught.value.status == 413
        with pytest.raises(StoreTooLargeError, match="so make several of it"):
            await store.transact([Put("routes", f"r{n}", largest) for n in range(65)])
        blobs = [Blob(f"b{n}", largest) for n in range(3)]
        with pytest.raises(StoreTooLargeError, match="3 blobs"):
            await store.save_blobs(blobs)
        await store.save_blobs(blobs[:2])
        assert (store.revision, await store.count("routes")) == (1, 1)


# -------------------------------------------------------------------------- what is not right


async def test_gateways_that_start_at_once_begin_one_store(server: CassandraServer) -> None:
    url = server.new_url()
    stores: list[CassandraStore] = []

    async def open_store() -> None:
        stores.append(await CassandraStore.open(url))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(open_store)
    for number, store in enumerate(stores):
        assert await store.put("routes", f"r{number}", b"{}") == number + 1
    for store in stores:
        assert await store.count("routes") == 4
        await store.aclose()


async def test_tls_is_spoken_and_the_certificate_checked(server: CassandraServer) -> None:
    url = server.new_url()
    async with await CassandraStore.open(f"{url}&tls=true&ca={server.ca}") as store:
        assert await store.put("routes", "a", b"1") == 1
    with pytest.raises(StoreError, match="certificate verify failed"):
        await CassandraStore.open(f"{url}&tls=true")
    with pytest.raises(StoreFileError, match="ca, cert and key"):
        await CassandraStore.open(f"{url}&tls=true&ca=/nowhere.pem")


async def test_a_wrong_password_is_named_and_not_shown(server: CassandraServer) -> None:
    with pytest.raises(StoreError, match="refuses the user or the password") as caught:
        await CassandraStore.open(server.url("x", password="hidden"))
    assert "hidden" not in str(caught.value)


async def test_nobody_listens_is_named() -> None:
    with pytest.raises(StoreError, match="check that one runs") as caught:
        await CassandraStore.open("cassandra://oto:hidden@127.0.0.1:1/ks")
    assert "cassandra://127.0.0.1:1/ks" in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_datacenter_that_is_none_is_named(server: CassandraServer) -> None:
    with pytest.raises(StoreError, match="datacenter"):
        await CassandraStore.open(server.new_url() + "&datacenter=nowhere")


async def test_a_store_of_a_newer_version_is_named_and_left_alone(server: CassandraServer) -> None:
    url = server.new_url()
    name = url.rpartition("store=")[2]
    async with await CassandraStore.open(url) as store:
        await ask(store, "UPDATE oto_stores SET version = 7 WHERE name = ?", name)
    with pytest.raises(StoreFileError, match=r"newer oto-trio \(schema 7"):
        await CassandraStore.open(url)
    assert SCHEMA_VERSION < 7


async def test_a_user_without_rights_is_told_which(server: CassandraServer) -> None:
    url = server.new_url()
    async with await CassandraStore.open(url) as store:
        define = partial(
            Talk.define, statement="CREATE ROLE guest WITH PASSWORD='g' AND LOGIN=true"
        )
        await store._link.run(define)
    with pytest.raises(StoreError, match=r"lacks a right .* grant it CREATE, SELECT and MODIFY"):
        await CassandraStore.open(url.replace("cassandra:cassandra@", "guest:g@"))
