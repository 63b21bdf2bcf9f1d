"""How a drain went, for the log."""

from collections.abc import Mapping

import msgspec
from typing_extensions import override

__all__ = ["DrainOutcome"]


class DrainOutcome(msgspec.Struct, frozen=True):
    """How a drain went.

    Attributes:
        took_s: How long it took.
        waited_for: Counts by name when it began, such as `exchanges` and `tunnels`.
        dropped: Counts by name of what the deadline cut off; empty when nothing was.
    """

    took_s: float
    waited_for: dict[str, int]
    dropped: dict[str, int]

    @override
    def __str__(self) -> str:
        """Say it in one line for the log."""
        waited = f"waited for {_counts(self.waited_for)}"
        if self.dropped:
            return f"drain deadline over after {self.took_s:.1f} s; {waited}; dropped {_counts(self.dropped)}"
        return f"drained in {self.took_s:.1f} s; {waited}"


def _counts(counts: Mapping[str, int]) -> str:
    """Say counts as `3 exchanges, 1 tunnel`; `nothing` when all are 0."""
    said = (
        f"{count} {name.removesuffix('s') if count == 1 else name}"
        for name, count in sorted(counts.items())
        if count
    )
    return ", ".join(said) or "nothing"
