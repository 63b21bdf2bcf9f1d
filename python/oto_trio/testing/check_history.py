"""The part of a store's contract that is about its history, as rules for `check_store`."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from oto_trio.control.store.base import Delete, Put
from oto_trio.control.store.history import (
    CHANGE_BYTES,
    Changed,
    Difference,
    HistoryBounds,
    Origin,
    Sought,
    acting,
)
from oto_trio.model.errors import ConflictError, RevisionUnknownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.store.base import Store

__all__ = ["HISTORY_RULES", "OpenBoundedStore", "check_history_bounds", "history_is_durable"]

OpenBoundedStore: TypeAlias = "Callable[[str, HistoryBounds], Awaitable[Store]]"
"""Opens the store of a name that remembers as much as is said."""

WAIT_S = 120.0
"""A rule that takes longer than this has hung."""


async def _is_unknown(store: Store, since: int, until: int | None = None) -> bool:
    """Tell whether a span of revisions is refused."""
    try:
        await store.difference(since, until)
    except RevisionUnknownError as error:
        return error.latest == store.revision
    return False


async def _every_transaction_is_a_revision_with_its_origin(store: Store) -> None:
    assert await store.revisions() == []
    assert await store.difference(0) == Difference(0, 0, ())
    began = datetime.now(UTC).timestamp()
    with acting(Origin("somebody", "request-1", "because é \x00 \ud800")):
        await store.transact([Put("routes", "a", b"1"), Put("routes", "b", b"22")])
    await store.delete("routes", "nothing")
    await store.transact([Put("routes", "c", b"3"), Delete("routes", "b"), Delete("routes", "-")])
    later, first = await store.revisions()
    assert (first.revision, later.revision) == (1, 2), "nothing changed is no revision"
    assert (first.origin.actor, first.origin.request_id) == ("somebody", "request-1")
    assert first.origin.message == "because é   ?", "what a database cannot hold is replaced"
    assert later.origin == Origin(), "an origin ends with its block"
    assert (first.changes, later.changes) == (2, 2)
    assert (first.size, later.size) == (2 * CHANGE_BYTES, 2 * CHANGE_BYTES + 2)
    assert began - 5 <= first.at <= later.at <= datetime.now(UTC).timestamp() + 5


async def _revisions_are_paged_from_the_newest(store: Store) -> None:
    for n in range(7):
        await store.put("routes", f"r{n}", b"{}")
    assert [r.revision for r in await store.revisions(limit=3)] == [7, 6, 5]
    assert [r.revision for r in await store.revisions(before=5, limit=3)] == [4, 3, 2]
    assert [r.revision for r in await store.revisions(before=2)] == [1]
    assert await store.revisions(before=1) == []
    assert await store.revisions(limit=0) == []
    assert len(await store.revisions(before=99)) == 7


async def _revisions_are_found_by_what_they_changed_by_whom_and_when(store: Store) -> None:
    for n in range(8):
        with acting(Origin("even" if n % 2 == 0 else "odd")):
            await store.transact(
                [Put("routes", f"r{n % 3}", b"%d" % n), Put("backends", f"b{n}", b"")]
            )
    await store.transact([Delete("routes", "r1"), Delete("backends", "b7")])
    await store.put("routes-too", "r1", b"1")
    times = [revision.at for revision in reversed(await store.revisions())]

    async def found(before: int | None = None, limit: int = 100, **sought: Any) -> list[int]:
        rows = await store.find_revisions(Sought(**sought), before=before, limit=limit)
        return [row.revision for row in rows]

    assert await found() == list(range(10, 0, -1))
    assert await found(kind="routes") == list(range(9, 0, -1))
    assert await found(kind="routes", id="r1") == [9, 8, 5, 2]
    assert await found(kind="routes", id="r1", limit=2) == [9, 8]
    assert await found(kind="routes", id="r1", before=8) == [5, 2]
    assert await found(kind="backends", id="b7") == [9, 8]
    assert await found(kind="routes-too") == [10]
    assert await found(kind="routes", id="b1") == []
    assert await found(kind="route") == []
    assert await found(actor="odd") == [8, 6, 4, 2]
    assert await found(actor="odd", kind="routes", id="r0") == [4]
    assert await found(actor="") == [10, 9]
    assert await found(actor="od") == []
    assert await found(limit=0) == []
    assert await found(before=1) == []
    for n, at in enumerate(times, 1):
        assert await found(since=at) == [10 - m for m, t in enumerate(reversed(times)) if t >= at]
        assert await found(until=at) == [m for m in range(10, 0, -1) if times[m - 1] < at], n
    assert await found(since=times[-1] + 1) == []
    rows = await store.find_revisions(Sought(kind="routes-too"))
    assert list(rows) == list(await store.revisions(limit=1))


async def _a_refused_transaction_leaves_no_trace(store: Store) -> None:
    await store.put("routes", "a", b"1")
    with suppress(ConflictError):
        await store.transact([Put("routes", "a", b"2"), Put("routes", "b", b"2", "present")])
    await store.put("routes", "c", b"3")
    assert [r.revision for r in await store.revisions()] == [2, 1]
    assert (await store.difference(1)).changed == (Changed("routes", "c", None, b"3", 2),)


async def _differences_tell_before_and_after_of_any_span(store: Store) -> None:
    """A document that comes, changes, goes, and comes again; every span is compared with what was."""
    states: list[dict[tuple[str, str], bytes]] = [{}]

    async def write(*writes: Put | Delete) -> None:
        await store.transact(writes)
        state = dict(states[-1])
        for one in writes:
            if isinstance(one, Put):
                state[one.kind, one.id] = one.document
            else:
                state.pop((one.kind, one.id), None)
        states.append(state)

    await write(Put("routes", "a", b"a1"), Put("backends", "a", b"b1"))
    await write(Put("routes", "a", b"a2"))
    await write(Delete("routes", "a"), Put("routes", "b", b"b3"))
    await write(Put("routes", "b", b"b3"))
    await write(Put("routes", "a", b"a5"))
    await write(Delete("routes", "b"), Delete("backends", "a"))
    await write(Put("routes", "a", b"a2"))
    for since, older in enumerate(states):
        for until in range(since, len(states)):
            difference = await store.difference(since, until)
            assert (difference.since, difference.until) == (since, until)
            keys = [(changed.kind, changed.id) for changed in difference.changed]
            assert keys == sorted(set(keys))
            newer = states[until]
            for changed in difference.changed:
                key = (changed.kind, changed.id)
                assert changed.before == older.get(key), (since, until, key)
                assert changed.after == newer.get(key), (since, until, key)
                assert since < changed.revision <= until
            unequal = {k for k in older | newer if older.get(k) != newer.get(k)}
            assert unequal <= set(keys)
    latest = await store.difference(2)
    assert (latest.since, latest.until) == (2, 7)
    assert [(c.kind, c.id, c.revision) for c in latest.changed] == [
        ("backends", "a", 6),
        ("routes", "a", 7),
        ("routes", "b", 6),
    ]
    assert await _is_unknown(store, 3, 8)
    assert await _is_unknown(store, 8)
    assert await _is_unknown(store, -1, 3)


async def _a_large_transaction_is_one_revision(store: Store) -> None:
    ids = [f"r{n:04}" for n in range(1500)]
    await store.transact([Put("routes", i, b"1" * 50) for i in ids])
    await store.transact([Put("routes", i, b"2" * 50) for i in ids])
    await store.transact([Delete("routes", i) for i in ids])
    assert [r.changes for r in await store.revisions()] == [1500, 1500, 1500]
    middle = await store.difference(1, 2)
    assert [c.id for c in middle.changed] == ids
    assert {(c.before, c.after, c.revision) for c in middle.changed} == {(b"1" * 50, b"2" * 50, 2)}
    whole = await store.difference(0)
    assert {(c.before, c.after, c.revision) for c in whole.changed} == {(None, None, 3)}


async def _writers_at_once_keep_their_own_origins(store: Store) -> None:
    async def write(number: int) -> None:
        with acting(Origin(f"writer-{number}")):
            await store.put("routes", f"r{number}", b"{}")

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(write, number)
    for revision in await store.revisions():
        (changed,) = (await store.difference(revision.revision - 1, revision.revision)).changed
        assert changed.id.removeprefix("r") == revision.origin.actor.removeprefix("writer-")


HISTORY_RULES: Final[list[Callable[[Store], Awaitable[None]]]] = [
    _every_transaction_is_a_revision_with_its_origin,
    _revisions_are_paged_from_the_newest,
    _revisions_are_found_by_what_they_changed_by_whom_and_when,
    _a_refused_transaction_leaves_no_trace,
    _differences_tell_before_and_after_of_any_span,
    _a_large_transaction_is_one_revision,
    _writers_at_once_keep_their_own_origins,
]


async def history_is_durable(open_store: Callable[[str], Awaitable[Store]]) -> None:
    """Try that a store which was closed and opened again remembers what it did."""
    async with await open_store("history") as store:
        with acting(Origin("before")):
            await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
    async with await open_store("history") as store:
        await store.delete("routes", "a")
        assert [r.origin.actor for r in await store.revisions()] == ["", "", "before"]
        assert (await store.difference(1)).changed == (Changed("routes", "a", b"1", None, 3),)


async def check_history_bounds(open_store: OpenBoundedStore) -> None:
    """Try that a store forgets what goes beyond its bounds, and nothing else.

    Raises:
        AssertionError: It does not.
    """
    for rule in (_few_revisions_are_kept, _little_text_is_kept, _nothing_old_is_kept):
        with trio.fail_after(WAIT_S):
            await rule(open_store)


async def _few_revisions_are_kept(open_store: OpenBoundedStore) -> None:
    async with await open_store("few", HistoryBounds(revisions=3)) as store:
        for n in range(1, 10):
            await store.transact([Put("routes", "a", b"%d" % n), Put("routes", f"r{n}", b"{}")])
            if n % 3 == 0:
                await store.delete("routes", f"r{n}")
        assert store.revision == 12
        assert [r.revision for r in await store.revisions()] == [12, 11, 10]
        assert await _is_unknown(store, 8)
        difference = await store.difference(9)
        assert [(c.id, c.before, c.after) for c in difference.changed] == [
            ("a", b"7", b"9"),
            ("r8", None, b"{}"),
            ("r9", None, None),
        ]


async def _little_text_is_kept(open_store: OpenBoundedStore) -> None:
    async with await open_store("little", HistoryBounds(size=5000)) as store:
        await store.put("routes", "a", b"x" * 2000)
        for _ in range(4):
            await store.put("routes", "a", b"y" * 2000)
        assert [r.revision for r in await store.revisions()] == [5, 4]
        await store.put("routes", "big", b"z" * 9000)
        await store.put("routes", "small", b"1")
        assert [r.revision for r in await store.revisions()] == [7, 6, 5, 4]
        await store.put("routes", "big", b"2")
        assert [r.revision for r in await store.revisions()] == [8], "the latest is always kept"
        (changed,) = (await store.difference(7)).changed
        assert changed.before == b"z" * 9000


async def _nothing_old_is_kept(open_store: OpenBoundedStore) -> None:
    async with await open_store("old", HistoryBounds(age_s=0.0)) as store:
        await store.put("routes", "a", b"1")
        while len(await store.revisions()) > 1 or store.revision < 2:
            await store.put("routes", "a", b"2")
        assert [r.revision for r in await store.revisions()] == [store.revision]
