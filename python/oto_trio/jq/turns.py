"""Which of the runs that wait for a process is next.

A filter that is slow must not starve those of others. So runs wait by route, or whatever else they are for, and the next one is of the
route whose runs have had the processes for the least time: a route of quick filters waits for one slow run of another, not for
all that came before. Runs that are under way count as long as they have been so far. A route whose runs are over is
forgotten: when it comes again, it begins where the others are, and has saved nothing up. When as many wait as may, a newcomer of a
route that has fewer takes the place of the last one of the route that has most.
"""

from __future__ import annotations

from typing import Final

import trio

from oto_trio.jq.errors import JqBusyError

__all__ = ["WAIT_S", "Turns"]

WAIT_S: Final = 5.0
"""How long a run waits for a process."""


class _Waiter:
    """A run that waits.

    Args:
        number: Greater than those of all that came before.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.news = trio.Event()
        self.has_place = False
        self.is_pushed_out = False


class _Line:
    """The runs of one route, under way or waiting.

    Args:
        level_s: What it is taken to have had.
    """

    def __init__(self, level_s: float) -> None:
        self.waiting: dict[_Waiter, None] = {}
        """In the order in which they came."""
        self._running = 0
        self._had_s = level_s  # less the moments at which those under way began

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return not (self._running or self.waiting)

    def had_s(self, now: float) -> float:
        """Return for how long its runs have had processes."""
        return self._had_s + self._running * now

    def begin(self, now: float) -> None:
        """Note that a run begins."""
        self._running += 1
        self._had_s -= now

    def end(self, now: float) -> None:
        """Note that a run ends."""
        self._running -= 1
        self._had_s += now


class Turns:
    """Hands out places.

    Args:
        places: How many runs may be under way at once.
        most_waiting: How many more may wait.
    """

    def __init__(self, places: int, most_waiting: int) -> None:
        self.waiting = 0
        """How many wait."""
        self._free = places
        self._most_waiting = most_waiting
        self._lines: dict[str, _Line] = {}
        self._level_s = 0.0  # what the line had that was last given a place
        self._came = 0

    async def begin(self, whose: str) -> None:
        """Wait for a place; give it back with `end`.

        Args:
            whose: Who is to get no more than others.

        Raises:
            JqBusyError: Too many wait already, or none gets free for `WAIT_S`.

        Cost: when it waits, a look at each route that waits too.
        """
        line = self._lines.get(whose)
        if line is None:
            line = self._lines[whose] = _Line(self._level_s)
        if self._free:
            self._free -= 1
            self._give(line)
            return
        if self.waiting >= self._most_waiting:
            self._make_room(whose)
        self._came += 1
        waiter = _Waiter(self._came)
        line.waiting[waiter] = None
        self.waiting += 1
        try:
            # Who is given a place is not cancelled at the same moment: there is no checkpoint behind this.
            with trio.move_on_after(WAIT_S):
                await waiter.news.wait()
        finally:
            self._leave(whose, waiter)
        if waiter.is_pushed_out:
            raise _crowded()
        if not waiter.has_place:
            raise JqBusyError(f"other filters run for longer than {WAIT_S:g} s")

    def end(self, whose: str) -> None:
        """Give a place back; the next one gets it."""
        now = trio.current_time()
        self._lines[whose].end(now)
        self._forget(whose)
        if not self.waiting:
            self._free += 1
            return
        following, line = min(
            ((name, line) for name, line in self._lines.items() if line.waiting),
            key=lambda it: (it[1].had_s(now), next(iter(it[1].waiting)).number),
        )
        waiter = next(iter(line.waiting))
        self._give(line)
        self._leave(following, waiter)
        waiter.has_place = True
        waiter.news.set()

    def _give(self, line: _Line) -> None:
        """Have a run of a line begin."""
        now = trio.current_time()
        self._level_s = max(self._level_s, line.had_s(now))
        line.begin(now)

    def _leave(self, whose: str, waiter: _Waiter) -> None:
        """Have a run wait no more, if it does."""
        line = self._lines.get(whose)
        if line is not None and waiter in line.waiting:
            del line.waiting[waiter]
            self.waiting -= 1
            self._forget(whose)

    def _forget(self, whose: str) -> None:
        if self._lines[whose].is_over:
            del self._lines[whose]

    def _make_room(self, whose: str) -> None:
        """Push out the last one of those who have most, so that they have no fewer than the newcomer's."""
        longest = max(self._lines, key=lambda name: len(self._lines[name].waiting))
        waiting = self._lines[longest].waiting
        if len(waiting) <= len(self._lines[whose].waiting) + 1:
            self._forget(whose)
            raise _crowded()
        waiter = next(reversed(waiting))
        self._leave(longest, waiter)
        waiter.is_pushed_out = True
        waiter.news.set()


def _crowded() -> JqBusyError:
    return JqBusyError("too many filters wait for others to end")
