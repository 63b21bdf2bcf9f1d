"""Counters in the Cassandra store: a partition for each, a row for each part. All of this runs in worker threads."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.store.cassandra_link import Talk
    from oto_trio.control.store.tallies import Tally

__all__ = ["tally"]

GRACE_S: Final = 60
"""Seconds that a part is kept longer than it counts, for writers whose clocks lag."""

LONGEST_S: Final = 10 * 365 * 86_400
"""The servers forget a part after this time, also one that has no nearer end."""


_INSERT: Final = (
    "INSERT INTO oto_tallies (store, counter, part, count, ends_at) VALUES (?, ?, ?, ?, ?) "
    "USING TTL ?"
)


def tally(
    talk: Talk, store: str, told: Sequence[Tally], counters: Sequence[str], now: float
) -> Mapping[str, Mapping[str, int]]:
    """Tell parts, those of one counter together, then read counters.

    Args:
        talk: Where to ask.
        store: Generation of the store.
        told: The parts; each at most once.
        counters: All counters to read, those of the parts among them.
        now: Unix time.
    """
    rows = sorted(told, key=lambda one: one.counter)
    talk.write_batches(
        [
            (
                _INSERT,
                (store, counter, one.part, one.count, one.ends_at, _ttl_s(one, now)),
            )
            for one in parts
        ]
        for counter, parts in groupby(rows, key=lambda one: one.counter)
    )
    answers = talk.ask_all(
        (
            "SELECT part, count, ends_at FROM oto_tallies WHERE store = ? AND counter = ?",
            (store, counter),
        )
        for counter in counters
    )
    return {
        counter: {part: count for part, count, ends_at in answer if ends_at > now}
        for counter, answer in zip(counters, answers, strict=True)
    }


def _ttl_s(one: Tally, now: float) -> int:
    """Return after how many seconds the servers forget a part."""
    return min(max(int(one.ends_at - now), 0) + GRACE_S, LONGEST_S)
