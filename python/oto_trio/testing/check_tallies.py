"""The part of a store's contract that is about counters: see `oto_trio.control.store.tallies`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from oto_trio.control.store.tallies import LONGEST_NAME, MOST_COUNTED, MOST_TALLIES, Tally

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.store.base import Store

__all__ = ["TALLY_RULES", "tallies_are_durable"]


def _now() -> float:
    """Unix time: servers forget by a clock of their own, if later than they are told."""
    return datetime.now(UTC).timestamp()


async def _what_a_part_told_last_is_what_it_counts(store: Store) -> None:
    now = _now()
    end = now + 100
    assert await store.tally([], now=now) == {}
    assert await store.tally([], ["a"], now=now) == {"a": {}}
    found = await store.tally([Tally("a", "n1", 3, end), Tally("b", "n1", 7, end)], now=now)
    assert found == {"a": {"n1": 3}, "b": {"n1": 7}}
    found = await store.tally([Tally("a", "n2", 4, end)], ["b", "c", "a"], now=now)
    assert found == {"a": {"n1": 3, "n2": 4}, "b": {"n1": 7}, "c": {}}
    told = [Tally("a", "n1", 5, end)]
    assert await store.tally(told, now=now) == await store.tally(told, now=now)
    assert await store.tally([Tally("a", "n1", 0, end)], now=now) == {"a": {"n1": 0, "n2": 4}}
    assert store.revision == 0, "no revision, no change to tell"
    assert await store.load_blobs("") == []


async def _a_part_ends_on_time_and_can_begin_again(store: Store) -> None:
    now = _now()
    # Long enough for no server to forget them by its own clock meanwhile.
    short, long = Tally("a", "short", 1, now + 1000), Tally("a", "long", 2, now + 2000)
    await store.tally([short, long], now=now)
    read = {n: await store.tally([], ["a"], now=now + n) for n in (999.99, 1000, 1999.99, 2000)}
    assert read[999.99] == {"a": {"short": 1, "long": 2}}
    assert read[1000] == read[1999.99] == {"a": {"long": 2}}
    assert read[2000] == {"a": {}}
    found = await store.tally([Tally("a", "short", 5, now + 4000)], now=now + 3000)
    assert found == {"a": {"short": 5}}, "the other one ended"


async def _many_adders_at_once_make_an_exact_sum(store: Store) -> None:
    now = _now()

    async def add(member: int) -> None:
        seen = 0
        for count in range(1, 11):
            found = await store.tally([Tally("a", f"n{member}", count, now + 1000)], now=now)
            assert found["a"][f"n{member}"] == count
            assert sum(found["a"].values()) > seen, "the sum only grows"
            seen = sum(found["a"].values())

    async with trio.open_nursery() as nursery:
        for member in range(8):
            nursery.start_soon(add, member)
    found = await store.tally([], ["a"], now=now)
    assert sum(found["a"].values()) == 8 * 10


async def _as_much_as_may_be_is_told_at_once(store: Store) -> None:
    now = _now()
    told = [Tally(f"c{n % 1250}", f"p{n}", n, now + 1000) for n in range(MOST_TALLIES)]
    found = await store.tally(told, now=now)
    assert sum(count for parts in found.values() for count in parts.values()) == sum(
        tally.count for tally in told
    )
    long = "x" * LONGEST_NAME
    told = [Tally(long, long, MOST_COUNTED, now + 1000)]
    assert await store.tally(told, now=now) == {long: {long: MOST_COUNTED}}


async def _bad_tallies_are_refused_whole(store: Store) -> None:
    now = _now()
    fine = Tally("fine", "n1", 1, now + 1000)
    for bad in (
        [Tally("", "n1", 1, now)],
        [Tally("a b", "n1", 1, now)],
        [Tally("a\n", "n1", 1, now)],
        [Tally("é", "n1", 1, now)],
        [Tally("a", "x" * (LONGEST_NAME + 1), 1, now)],
        [Tally("a", "n1", -1, now)],
        [Tally("a", "n1", MOST_COUNTED + 1, now)],
        [fine],
        [Tally("a", str(n), 1, now) for n in range(MOST_TALLIES)],
    ):
        try:
            await store.tally([fine, *bad], now=now)
        except ValueError:
            continue
        raise AssertionError(f"{bad[0]} was expected to be refused")
    assert await store.tally([], ["fine", "a"], now=now) == {"fine": {}, "a": {}}


async def tallies_are_durable(open_store: Callable[[str], Awaitable[Store]]) -> None:
    """What was told is there after closing and opening, where gateways share the store."""
    now = _now()
    async with await open_store("tallies") as store:
        if not store.is_shared:
            return
        await store.tally([Tally("a", "n1", 1, now + 1000)], now=now)
        await store.tally([Tally("a", "n1", 2, now + 1000)], now=now)
    async with await open_store("tallies") as store, await open_store("tallies") as other:
        await other.tally([Tally("a", "n2", 3, now + 1000)], now=now)
        assert await store.tally([], ["a"], now=now) == {"a": {"n1": 2, "n2": 3}}


TALLY_RULES: list[Callable[[Store], Awaitable[None]]] = [
    _what_a_part_told_last_is_what_it_counts,
    _a_part_ends_on_time_and_can_begin_again,
    _many_adders_at_once_make_an_exact_sum,
    _as_much_as_may_be_is_told_at_once,
    _bad_tallies_are_refused_whole,
]
"""Rules that a fresh store must keep."""
