"""What the calls of routes came to in all workers, those that ended included.

A worker is asked for one entity at a time; one that ends tells all its sums before. What a worker counted that
was killed or crashed is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from oto_trio.gateway.frames import AskRouteCounts, RouteCount, RouteCounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from oto_trio.gateway.frames import EntityKey

__all__ = ["MOST_RETIRED", "RetiredCounts", "RouteQuestions", "summed"]

MOST_RETIRED: Final = 100_000
"""Routes of workers that ended whose sums are kept, as many as one engine tells apart."""


class RouteQuestions:
    """Questions to one worker about its routes, and its answers.

    Args:
        order: Sends the worker a frame.
    """

    def __init__(self, order: Callable[[AskRouteCounts], Awaitable[None]]) -> None:
        self._order = order
        self._token = 0
        self._is_over = False
        self._waiting: dict[int, tuple[trio.Event, list[RouteCounts]]] = {}

    async def ask(self, entity: EntityKey, timeout_s: float) -> RouteCounts | None:
        """Ask for the counts of an entity's routes; None when the worker does not answer in time."""
        self._token += 1
        token = self._token
        answered = trio.Event()
        answers: list[RouteCounts] = []
        self._waiting[token] = (answered, answers)
        try:
            with trio.move_on_after(timeout_s):
                await self._order(AskRouteCounts(token, entity))
                if not self._is_over:
                    await answered.wait()
        finally:
            del self._waiting[token]
        return answers[0] if answers else None

    def take(self, answer: RouteCounts) -> None:
        """Give an answer to who asked; nobody may be left."""
        waiting = self._waiting.get(answer.token)
        if waiting is not None:
            answered, answers = waiting
            answers.append(answer)
            answered.set()

    def close(self) -> None:
        """Let nobody wait any longer: the worker has ended."""
        self._is_over = True
        for answered, _ in self._waiting.values():
            answered.set()


class RetiredCounts:
    """The sums of workers that ended, by route.

    Cost: about 300 bytes for each route that had calls.
    """

    def __init__(self, most: int = MOST_RETIRED) -> None:
        self._most = most
        self._counts: dict[str, RouteCount] = {}

    def take(self, counts: Iterable[RouteCount]) -> None:
        """Add the sums of a worker; those of more routes than there is room for are dropped."""
        for count in counts:
            known = self._counts.get(count.id)
            if known is not None:
                self._counts[count.id] = _added(known, count)
            elif len(self._counts) < self._most:
                self._counts[count.id] = msgspec.structs.replace(count, running=0)

    def of(self, routes: Iterable[str]) -> list[RouteCount]:
        """Return the sums of those of some routes that have any."""
        return [self._counts[route_id] for route_id in routes if route_id in self._counts]


def summed(counts: Iterable[RouteCount]) -> dict[str, Any]:
    """Add counts up, under the names of the counters of the whole gateway."""
    total = RouteCount("", 0, 0, 0, 0.0, 0.0, 0)
    for count in counts:
        total = _added(total, count)
    return {
        "requests": total.calls,
        "bytes_in": total.bytes_in,
        "bytes_out": total.bytes_out,
        "latency_sum_s": total.duration_s,
        "overhead_sum_s": total.overhead_s,
        "exchanges": total.running,
    }


def _added(one: RouteCount, other: RouteCount) -> RouteCount:
    """Add two counts; the id is the first one's."""
    return RouteCount(
        one.id,
        one.calls + other.calls,
        one.bytes_in + other.bytes_in,
        one.bytes_out + other.bytes_out,
        one.duration_s + other.duration_s,
        one.overhead_s + other.overhead_s,
        one.running + other.running,
    )
