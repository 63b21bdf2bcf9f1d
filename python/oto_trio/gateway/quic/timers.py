"""When connections want to be looked at again.

Most deadlines of QUIC are near and move with every datagram: those of loss and acknowledgement. A heap holds
them. The far ones, of idle connections, would fill it with what is stale; they are looked for now and then.
"""

import heapq
import itertools
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["FAR_S", "Timed", "Timers"]

FAR_S: Final = 0.5
"""Deadlines that are further away wait for the next sweep; so much later than asked they may be seen."""


class Timed(Protocol):
    """What has a deadline."""

    due: float
    """On the Trio clock; infinite for none."""
    queued: float
    """The time under which it is in the heap; infinite when it is not. `Timers` writes it."""


T = TypeVar("T", bound=Timed)


class Timers(Generic[T]):
    """The near deadlines of many."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = itertools.count()
        self._sweep_at = 0.0

    def note(self, one: T, now: float) -> None:
        """Take notice of a deadline that was set."""
        if one.due < one.queued and one.due - now <= FAR_S:
            one.queued = one.due
            heapq.heappush(self._heap, (one.due, next(self._numbers), one))

    def sweep(self, everyone: "set[T]", now: float) -> None:
        """Take notice of deadlines that have come near."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + FAR_S / 2
        for one in everyone:
            self.note(one, now)

    def pop(self, now: float) -> T | None:
        """Return the next one whose deadline has passed; None when there is none."""
        while self._heap and self._heap[0][0] <= now:
            at, _, one = heapq.heappop(self._heap)
            if at != one.queued:
                continue  # an earlier one took its place
            one.queued = float("inf")
            if one.due <= now:
                return one
            self.note(one, now)
        return None

    def next_due(self, everyone: "set[T]") -> float:
        """Return when to look again; infinite when there is nothing to wait for."""
        if not everyone:
            return float("inf")
        return min(self._heap[0][0], self._sweep_at) if self._heap else self._sweep_at
