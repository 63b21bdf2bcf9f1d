"""The contract of a store, as a program: give it a way to open stores, it tries every rule.

The rules are those of `oto_trio.control.store.base`. A driver that passes can stand in for any other;
the memory store passes too, which keeps it an honest fake.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeAlias, TypeVar

import trio
import trio.testing

from oto_trio.control.store.base import (
    Blob,
    Change,
    Delete,
    Expectation,
    Put,
    Record,
    Seen,
    Store,
    Write,
)
from oto_trio.model.errors import ConflictError, StoreClosedError, StoreMovedError
from oto_trio.testing.check_history import HISTORY_RULES, history_is_durable
from oto_trio.testing.check_tallies import TALLY_RULES, tallies_are_durable

__all__ = ["OpenStore", "check_store"]

OpenStore: TypeAlias = Callable[[str], Awaitable[Store]]
"""Opens the store of a name. A new name gives an empty store; a durable driver gives an old name's
store back as it was."""

P = ParamSpec("P")
E = TypeVar("E", bound=Exception)

WAIT_S = 120.0
"""A rule that takes longer than this has hung."""


async def check_store(open_store: OpenStore, *, durable: bool) -> None:
    """Try every rule of the contract, each with a store of its own.

    Args:
        open_store: How to open a store.
        durable: Whether what was acknowledged is there again after closing and opening.

    Raises:
        AssertionError: A rule is broken; the message, or the line, says which.
    """
    for rule in _RULES:
        with trio.fail_after(WAIT_S):
            async with await open_store(rule.__name__) as store:
                await rule(store)
    if durable:
        with trio.fail_after(WAIT_S):
            await _what_was_acknowledged_is_there_after_reopening(open_store)
            await _blobs_are_there_after_reopening(open_store)
            await history_is_durable(open_store)
            await tallies_are_durable(open_store)


async def _refused(
    expected: type[E], action: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs
) -> E:
    """Do something that must be refused, and give the error."""
    try:
        await action(*args, **kwargs)
    except expected as error:
        return error
    raise AssertionError(f"{action} was expected to raise {expected.__name__}")


async def _an_empty_store_has_nothing(store: Store) -> None:
    assert store.revision == 0
    assert await store.get("routes", "a") is None
    assert await store.list("routes") == []
    assert await store.count("routes") == 0
    snapshot = await store.snapshot(["routes", "backends"])
    assert (snapshot.revision, snapshot.records) == (0, ())
    assert store.name


async def _what_is_put_is_read_back(store: Store) -> None:
    odd = b'{"n":1e400,"t":"\\u0000 \xf0\x9f\x90\x8d"}'
    revision = await store.put("routes", "a", odd)
    assert revision == store.revision == 1
    assert await store.get("routes", "a") == Record("routes", "a", 1, odd)
    assert await store.get("backends", "a") is None, "kinds are apart"
    assert await store.put("routes", "a", b"{}") == 2
    assert await store.get("routes", "a") == Record("routes", "a", 2, b"{}")
    assert await store.count("routes") == 1


async def _what_is_deleted_is_gone_and_deleting_nothing_changes_nothing(store: Store) -> None:
    await store.put("routes", "a", b"{}")
    assert await store.delete("routes", "a") == 2
    assert await store.get("routes", "a") is None
    assert await store.count("routes") == 0
    assert await store.list("routes") == []
    assert await store.delete("routes", "a") == 2, "no change, no revision"
    assert await store.transact([]) == 2


async def _lists_are_sorted_and_paged(store: Store) -> None:
    ids = ["b", "a", "a/b", "Z", "é", "\U0001f40d", "a b", "aa", "10", "9"]
    await store.transact([Put("routes", i, i.encode()) for i in ids])
    await store.put("backends", "other", b"{}")
    assert [r.id for r in await store.list("routes")] == sorted(ids)
    first = await store.list("routes", limit=4)
    assert [r.id for r in first] == sorted(ids)[:4]
    rest = await store.list("routes", after=first[-1].id)
    assert [r.id for r in rest] == sorted(ids)[4:]
    assert await store.list("routes", after=max(ids)) == []
    assert await store.list("routes", limit=0) == []
    places = [await store.id_at("routes", place) for place in range(len(ids) + 1)]
    assert places == [*sorted(ids), None]
    assert [r.id async for r in store.walk("routes", page=3, after=places[1] or "")] == places[2:-1]
    walked = [record async for record in store.walk("routes", page=3)]
    assert [r.id for r in walked] == sorted(ids)
    assert all(r.document == r.id.encode() for r in walked)
    assert await store.count("routes") == len(ids)


async def _a_transaction_shares_one_revision(store: Store) -> None:
    await store.put("routes", "gone", b"{}")
    revision = await store.transact(
        [Put("routes", "a", b"1"), Put("backends", "b", b"2"), Delete("routes", "gone")]
    )
    assert revision == 2
    snapshot = await store.snapshot(["routes", "backends", "routes"])
    assert snapshot.revision == 2
    assert snapshot.records == (Record("backends", "b", 2, b"2"), Record("routes", "a", 2, b"1"))


async def _expectations_hold_or_nothing_is_kept(store: Store) -> None:
    await store.put("routes", "a", b"1")
    refused: list[tuple[str, Expectation]] = [
        ("a", "absent"),
        ("a", 7),
        ("new", "present"),
        ("new", 1),
    ]
    for entity_id, expect in refused:
        writes: list[list[Write]] = [
            [Put("routes", "bystander", b"x"), Put("routes", entity_id, b"2", expect)],
            [Put("routes", "bystander", b"x"), Delete("routes", entity_id, expect)],
        ]
        for both in writes:
            error = await _refused(ConflictError, store.transact, both)
            assert error.entity_id == entity_id
    assert store.revision == 1
    assert [r.id for r in await store.list("routes")] == ["a"]
    assert await store.put("routes", "a", b"2", expect=1) == 2
    assert await store.put("routes", "a", b"3", expect="present") == 3
    assert await store.put("routes", "new", b"1", expect="absent") == 4
    assert await store.delete("routes", "new", expect=4) == 5


async def _what_was_seen_holds_or_nothing_is_kept(store: Store) -> None:
    await store.put("routes", "a", b"1")
    await store.put("routes", "b", b"1")
    write = Put("routes", "new", b"1")
    for expect in ("absent", 2, 7):
        await _refused(ConflictError, store.transact, [write], seen=[Seen("routes", "a", expect)])
    await _refused(ConflictError, store.transact, [write], seen=[Seen("routes", "-", "present")])
    await _refused(ConflictError, store.transact, [], seen=[Seen("backends", "a", 1)])
    holding = [
        Seen("routes", "a", 1),
        Seen("routes", "b", "present"),
        Seen("routes", "-", "absent"),
    ]
    assert await store.transact([], seen=holding) == 2, "looking is no change"
    assert await store.transact([write, Delete("routes", "--")], seen=holding) == 3
    await _refused(ValueError, store.transact, [write], seen=[Seen("routes", "new", 3)])
    await _refused(ValueError, store.transact, [write], seen=[Seen("routes", "\n", 3)])
    newest = (await store.revisions(limit=1))[0]
    assert (newest.revision, newest.changes) == (3, 1), "what was seen is no part of what changed"
    difference = await store.difference(2)
    assert [changed.id for changed in difference.changed] == ["new"]
    record = await store.get("routes", "a")
    assert record == Record("routes", "a", 1, b"1")


async def _a_transaction_may_expect_the_store_as_it_was(store: Store) -> None:
    await store.put("routes", "a", b"1")
    await store.put("routes", "b", b"1")
    write = Put("routes", "c", b"1")
    for at in (0, 1, 3):
        error = await _refused(StoreMovedError, store.transact, [write], at=at)
        assert (error.wanted, error.at) == (at, 2)
        await _refused(StoreMovedError, store.transact, [], at=at)
    assert (store.revision, await store.count("routes")) == (2, 2)
    assert await store.transact([], at=2) == 2
    assert await store.transact([write], at=2) == 3
    await _refused(ConflictError, store.transact, [Put("routes", "c", b"2", "absent")], at=3)
    outcomes: list[int | None] = []

    async def add(number: int) -> None:
        try:
            outcomes.append(await store.transact([Put("routes", f"n{number}", b"1")], at=3))
        except StoreMovedError:
            outcomes.append(None)

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(add, number)
    assert sorted(outcomes, key=str) == [4, *[None] * 11], "of those that saw the same, one wins"
    assert await store.count("routes") == 4


async def _bad_writes_are_refused_whole(store: Store) -> None:
    for bad in ("", " ", "a\n", "\ud800", "x" * 5000):
        both = [Put("routes", "fine", b"{}"), Put("routes", bad, b"{}")]
        await _refused(ValueError, store.transact, both)
    await _refused(ValueError, store.transact, [Put("routes", "a", b"1"), Delete("routes", "a")])
    assert (store.revision, await store.count("routes")) == (0, 0)


async def _a_feed_tells_every_change_in_order(store: Store) -> None:
    await store.put("routes", "before", b"{}")
    with store.watch() as feed:
        await store.put("routes", "a", b"1")
        batch = await anext(feed)
        assert (batch.revision, batch.changes) == (2, (Change(2, "routes", "a", b"1"),))
        await store.transact([Put("routes", "a", b"2"), Delete("routes", "before")])
        await store.delete("routes", "nothing")
        batch = await anext(feed)
        assert batch.revision == 3
        assert set(batch.changes) == {
            Change(3, "routes", "a", b"2"),
            Change(3, "routes", "before", None),
        }
        assert feed.behind == 0
    await store.put("routes", "after", b"{}")
    assert [batch async for batch in feed] == [], "a feed ends with its block"


async def _a_slow_reader_gets_the_latest_state_of_each_document(store: Store) -> None:
    with store.watch() as feed:
        for n in range(50):
            await store.put("routes", "hot", str(n).encode())
        await store.put("routes", "cold", b"{}")
        await store.put("routes", "hot", b"last")
        assert feed.behind == 2, "what waits is bounded by the number of documents"
        batch = await anext(feed)
        assert batch.revision == 52
        assert batch.changes == (
            Change(51, "routes", "cold", b"{}"),
            Change(52, "routes", "hot", b"last"),
        )


async def _a_waiting_reader_is_woken_and_loses_nothing_when_cancelled(store: Store) -> None:
    with store.watch() as feed:
        with trio.move_on_after(0.01):
            await anext(feed)
        got: list[Change] = []

        async def read() -> None:
            async for batch in feed:
                got.extend(batch.changes)
                if batch.revision == 2:
                    return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await store.put("routes", "a", b"1")
            await store.put("routes", "b", b"2")
        assert [c.id for c in got] == ["a", "b"]


async def _many_writers_at_once_are_all_kept(store: Store) -> None:
    revisions: list[int] = []

    async def write(number: int) -> None:
        for n in range(4):
            revision = await store.put("routes", f"r{number}-{n}", b"{}")
            revisions.append(revision)
            record = await store.get("routes", f"r{number}-{n}")
            assert record is not None
            assert record.revision == revision, "what was acknowledged is read"

    told: list[int] = []
    with store.watch() as feed:
        async with trio.open_nursery() as nursery:
            for number in range(24):
                nursery.start_soon(write, number)
        while not told or told[-1] < store.revision:
            told += [change.revision for change in (await anext(feed)).changes]
    assert sorted(revisions) == list(range(1, 97)), "each transaction has a revision of its own"
    assert told == sorted(told)
    assert len(told) == 96
    assert await store.count("routes") == 96


async def _a_follower_has_every_state_and_no_half_transaction(store: Store) -> None:
    """Feed first, then snapshot, then the feed's batches: the state of the store, at every batch."""
    with store.watch() as feed:
        async with trio.open_nursery() as nursery:
            for writer in range(3):
                nursery.start_soon(_write_pairs, store, writer)
            snapshot = await store.snapshot(["a", "z"])
            state = {(r.kind, r.id): r.document for r in snapshot.records}
            _assert_pairs(state)
            revision, last = snapshot.revision, 0
            while revision < 3 * _PAIRS:
                batch = await anext(feed)
                assert batch.revision > last, "batches are in order"
                revision = last = batch.revision
                for change in batch.changes:
                    if change.revision <= snapshot.revision:
                        continue
                    if change.document is None:
                        state.pop((change.kind, change.id), None)
                    else:
                        state[change.kind, change.id] = change.document
                if revision >= snapshot.revision:
                    _assert_pairs(state)
    now = await store.snapshot(["a", "z"])
    assert now.revision == revision == 3 * _PAIRS, "no transaction is left out, none is told twice"
    assert state == {(r.kind, r.id): r.document for r in now.records}


_PAIRS = 20
"""Transactions of each writer of pairs; each of them changes something."""


async def _write_pairs(store: Store, writer: int) -> None:
    """Write one text into two documents at a time, and remove both each fourth time."""
    for number in range(_PAIRS):
        name = f"{writer}-{number // 4}"
        if number % 4 == 3:
            await store.transact([Delete("a", name), Delete("z", name)])
        else:
            text = str(number).encode()
            await store.transact([Put("a", name, text), Put("z", name, text)])


def _assert_pairs(state: dict[tuple[str, str], bytes]) -> None:
    halves = [{i: d for (kind, i), d in state.items() if kind == half} for half in ("a", "z")]
    assert halves[0] == halves[1], "a transaction is seen whole or not at all"


async def _of_writers_that_expect_the_same_one_wins(store: Store) -> None:
    await store.put("routes", "a", b"0")
    won: list[int] = []
    lost: list[int] = []

    async def write(number: int) -> None:
        try:
            await store.put("routes", "a", str(number).encode(), expect=1)
        except ConflictError:
            lost.append(number)
        else:
            won.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(16):
            nursery.start_soon(write, number)
    assert (len(won), len(lost)) == (1, 15)
    record = await store.get("routes", "a")
    assert record == Record("routes", "a", 2, str(won[0]).encode())


async def _cancelled_writers_do_no_harm(store: Store) -> None:
    for wait_turns in range(4):
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(store.put, "routes", f"cancelled-{number}", b"{}")
            for _ in range(wait_turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        revision = await store.put("routes", f"kept-{wait_turns}", b"{}")
        assert revision == store.revision
    kept = [r.id async for r in store.walk("routes") if r.id.startswith("kept")]
    assert kept == ["kept-0", "kept-1", "kept-2", "kept-3"]


async def _a_closed_store_refuses_and_its_feeds_end(store: Store) -> None:
    with store.watch() as feed:
        await store.put("routes", "a", b"1")
        await store.aclose()
        await store.aclose()
        assert [batch.revision async for batch in feed] == [1], "what was told is still given"
    with store.watch() as late:
        assert [batch async for batch in late] == []
    await _refused(StoreClosedError, store.get, "routes", "a")
    await _refused(StoreClosedError, store.list, "routes")
    await _refused(StoreClosedError, store.count, "routes")
    await _refused(StoreClosedError, store.snapshot, ["routes"])
    await _refused(StoreClosedError, store.put, "routes", "b", b"{}")
    await _refused(StoreClosedError, store.transact, [])
    await _refused(StoreClosedError, store.revisions)
    await _refused(StoreClosedError, store.difference, 0)
    await _refused(StoreClosedError, store.load_blobs, "")
    await _refused(StoreClosedError, store.save_blobs, [])
    await _refused(StoreClosedError, partial(store.tally, [], ["a"], now=0.0))


async def _what_was_acknowledged_is_there_after_reopening(open_store: OpenStore) -> None:
    async with await open_store("durable") as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "b", b"2")
        await store.delete("routes", "b")
    async with await open_store("durable") as store:
        assert store.revision == 3
        assert await store.list("routes") == [Record("routes", "a", 1, b"1")]
        assert await store.put("routes", "c", b"3") == 4, "revisions go on where they were"


async def _blobs_are_kept_beside_the_documents(store: Store) -> None:
    assert await store.load_blobs("") == []
    far = 4e9
    await store.save_blobs([Blob("a:2", b""), Blob("a:1", bytes(range(256)), far)])
    await store.save_blobs([Blob("b", b"1", 1.0), Blob("a%", b"7", far)])
    assert store.revision == 0, "no revision, no change to tell"
    assert await store.load_blobs("a") == [
        Blob("a%", b"7", far),
        Blob("a:1", bytes(range(256)), far),
        Blob("a:2", b""),
    ]
    assert await store.load_blobs("a:") == [
        Blob("a:1", bytes(range(256)), far),
        Blob("a:2", b""),
    ]
    assert await store.load_blobs("b") == [], "it expired in 1970"
    await store.save_blobs([Blob("a:1", b"5")])
    assert await store.load_blobs("a:1") == [Blob("a:1", b"5")], "the later one counts"
    assert await store.count("routes") == 0


async def _a_blob_is_forgotten_at_its_end_and_not_before(store: Store) -> None:
    def now() -> float:  # stores in servers go by the clock on the wall, so the rule does too
        return datetime.now(UTC).timestamp()

    end = now() + 1.5
    await store.save_blobs([Blob("short", b"1", end), Blob("long", b"2", end + 3600)])
    while True:
        asked = now()
        names = [blob.name for blob in await store.load_blobs("")]
        if names == ["long"]:
            break
        assert names == ["long", "short"]
        assert asked < end + 1, "a store may count whole seconds, not more"
        await trio.sleep(0.05)
    assert now() > end - 1, "a store may count whole seconds, not more"


async def _blobs_are_there_after_reopening(open_store: OpenStore) -> None:
    async with await open_store("blobs") as store:
        await store.save_blobs([Blob("n", b"41")])
        await store.save_blobs([Blob("n", b"42")])
    async with await open_store("blobs") as store:
        assert await store.load_blobs("") == [Blob("n", b"42")]


_RULES: list[Callable[[Store], Awaitable[None]]] = [
    _an_empty_store_has_nothing,
    _what_is_put_is_read_back,
    _what_is_deleted_is_gone_and_deleting_nothing_changes_nothing,
    _lists_are_sorted_and_paged,
    _a_transaction_shares_one_revision,
    _expectations_hold_or_nothing_is_kept,
    _what_was_seen_holds_or_nothing_is_kept,
    _a_transaction_may_expect_the_store_as_it_was,
    _bad_writes_are_refused_whole,
    _a_feed_tells_every_change_in_order,
    _a_slow_reader_gets_the_latest_state_of_each_document,
    _a_waiting_reader_is_woken_and_loses_nothing_when_cancelled,
    _many_writers_at_once_are_all_kept,
    _a_follower_has_every_state_and_no_half_transaction,
    _of_writers_that_expect_the_same_one_wins,
    _cancelled_writers_do_no_harm,
    _blobs_are_kept_beside_the_documents,
    _a_blob_is_forgotten_at_its_end_and_not_before,
    *HISTORY_RULES,
    *TALLY_RULES,
    _a_closed_store_refuses_and_its_feeds_end,
]
