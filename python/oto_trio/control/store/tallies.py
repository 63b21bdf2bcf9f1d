"""Counters that several gateways add to: what is told of them, and the ones of a store that one gateway uses.

A counter is a name. It is counted in *parts*, each of which one writer has to itself, such as a gateway; a writer
tells how far its own part has come, never by how much it grew. So telling twice is telling once: whoever lost the
answer tells the same again, and nothing is counted twice and nothing lost. The sum is that of the parts.

Counters are no documents: they have no revision, no feed and no history, and each part has an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "LONGEST_NAME",
    "MOST_COUNTED",
    "MOST_TALLIES",
    "MemoryTallies",
    "Tally",
    "check_tallies",
]

MOST_TALLIES: Final = 5_000
"""Parts told in one call at most, and counters told and asked for together."""

LONGEST_NAME: Final = 200
"""Characters of the name of a counter, or of a part, at most."""

MOST_COUNTED: Final = 2**63 - 1
"""What a part counts at most."""


class Tally(msgspec.Struct, frozen=True):
    """How far one part of a counter has come."""

    counter: str
    """Printable ASCII without spaces."""
    part: str
    """Likewise. One writer has it to itself, and tells it once at a time."""
    count: int
    """From 0 to `MOST_COUNTED`."""
    ends_at: float
    """Unix time from which on the part is forgotten."""


def check_tallies(told: Sequence[Tally], asked: Iterable[str]) -> list[str]:
    """Refuse what no driver must see.

    Returns:
        The names of all counters, told and asked for, each once, in order of names.

    Raises:
        ValueError: It is too much at once, a part is told twice, or one cannot be.
    """
    counters = {tally.counter for tally in told} | set(asked)
    if len(told) > MOST_TALLIES or len(counters) > MOST_TALLIES:
        raise ValueError(
            f"{len(told)} parts of {len(counters)} counters at once; tell at most {MOST_TALLIES}"
        )
    names = counters | {tally.part for tally in told}
    for name in names:
        if not (0 < len(name) <= LONGEST_NAME and name.isascii() and name.isprintable()) or (
            " " in name
        ):
            raise ValueError(
                f"{name[:LONGEST_NAME]!r} is no name of a counter or a part; use 1 to {LONGEST_NAME} "
                "printable ASCII characters without spaces"
            )
    if len({(tally.counter, tally.part) for tally in told}) != len(told):
        raise ValueError("a part of a counter is told twice in one call")
    for tally in told:
        if not 0 <= tally.count <= MOST_COUNTED:
            raise ValueError(f"{tally.counter} {tally.part}: {tally.count} is no count of a part")
    return sorted(counters)


class MemoryTallies:
    """Counters in memory: those of a store that one gateway uses, which nobody else could add to.

    They live as long as the store is open.
    """

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, tuple[int, float]]] = {}

    def tally(
        self, told: Sequence[Tally], asked: Iterable[str], now: float
    ) -> Mapping[str, Mapping[str, int]]:
        """Do what `Store.tally` does."""
        counters = check_tallies(told, asked)
        for tally in told:
            self._parts.setdefault(tally.counter, {})[tally.part] = (tally.count, tally.ends_at)
        found: dict[str, dict[str, int]] = {}
        for counter in counters:
            parts = self._parts.pop(counter, {})
            parts = {part: kept for part, kept in parts.items() if kept[1] > now}
            if parts:
                self._parts[counter] = parts
            found[counter] = {part: count for part, (count, _) in parts.items()}
        return found
