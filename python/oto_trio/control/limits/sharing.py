"""Windows, days and months that all gateways of a shared store count together.

Every `every_s` seconds each gateway tells the store how far it has counted the keys that were called since, and hears
how far the others have; the table has both side by side, and what decides adds them up. So a gateway lets through
at most what comes to it within such a time, and while it is told, after the calls of all have reached a limit.

What is told is how far this gateway's own part has come, never by how much it grew: see `oto_trio.control.store.tallies`.
Nothing is counted twice when an answer is lost, and nothing is lost when the store is away: the table goes on, remembers
which keys changed, and they are told once the store is back. It is also how days and months live through a restart:
the first time that a key is heard of, this gateway's own part from before becomes the beginning of its count.

The counter of a key is named by the keyed hash under which the table has it. Its parts:

``d20779:NODE``, ``m683:NODE``
    What a gateway counted in a day or a month, each told by its number.
``w1795383600123:NODE``
    What it counted in the window that ends at this moment, in milliseconds of Unix time.
``d20779:``, ``m683:``
    What was taken back by a reset: the sum of all gateways' parts at that moment.
``d20779:NODE~``, ``m683:NODE~``
    What an older version of the gateway had kept in pages, moved here once.
"""

from __future__ import annotations

import calendar
import logging
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from oto_trio.control.store.base import Blob
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.limits.table import LimitsTable
    from oto_trio.control.store.base import Store

__all__ = ["LimitsSharer"]

logger = logging.getLogger(__name__)

TOGETHER: Final = 500
"""Keys told together, about: three parts each, and so many calls of others wait behind them in the store."""

SHARE: Final = 0.05
"""Which part of the time telling may take before it is done less often."""

LONGEST_PAUSE_S: Final = 5.0
"""Seconds between two rounds at the most, unless the setting says more."""

LAST_ROUND_S: Final = 5.0
"""How long the round at the end may take."""

KEPT_S: Final = 2 * 86_400.0
"""How much longer than a day or a month its parts are kept: their numbers tell them apart, and time zones differ."""

_DAY_S: Final = 86_400
_ROW: Final = 32

Standing: TypeAlias = tuple[bytes, bool, tuple[int, int, int], tuple[int, int], tuple[int, int]]
"""How a key stands: see `oto_trio._core.Limits.take_standings`."""


class LimitsSharer:
    """Tells the store what this gateway counts, and the table what the others count.

    Args:
        store: The store that the gateways share.
        table: What counts here.
        node: Tells this gateway from the others; no two that run use one name.
        every_s: Seconds between two rounds, while they are short.
    """

    def __init__(
        self, store: Store, table: LimitsTable, node: str, *, every_s: float = 1.0
    ) -> None:
        self._store = store
        self._table = table
        self._node = node
        self._every_s = every_s
        self._unix_less_machine_ms: int | None = None
        # A part has one writer, which tells it once at a time.
        self._telling = trio.Lock()
        self._is_failing = False

    async def load(self) -> int:
        """Move what an older version kept in pages; before any worker counts.

        Days and months themselves are heard of when their keys are called.

        Returns:
            How many keys' counts were moved.

        Raises:
            StoreError: The store cannot be read or written.
        """
        pages = await self._store.load_blobs(f"limits:node:{self._node}:page:")
        rows = [page.value[n : n + _ROW] for page in pages for n in range(0, len(page.value), _ROW)]
        moved: dict[bytes, tuple[int, int]] = {}
        for row in rows:
            if len(row) == _ROW:
                moved[row[:16]] = (int.from_bytes(row[16:24]), int.from_bytes(row[24:]))
        tallies = [
            tally
            for key, words in moved.items()
            for letter, word in zip("dm", words, strict=True)
            for tally in self._period(key, letter, (word >> 48, word & (1 << 48) - 1), "~")
        ]
        for start in range(0, len(tallies), 3 * TOGETHER):
            await self._store.tally(tallies[start : start + 3 * TOGETHER], now=self._unix_time())
        if pages:
            await self._store.save_blobs([Blob(page.name, b"", expires_at=0.0) for page in pages])
        return len(moved)

    async def run(self) -> None:
        """Tell and hear, again and again.

        Cancellation: tells once more, for a bounded time.
        """
        pause_s = self._every_s
        try:
            while True:
                await trio.sleep(pause_s)
                began = trio.current_time()
                await self.flush()
                took_s = trio.current_time() - began
                longest_s = max(self._every_s, LONGEST_PAUSE_S)
                pause_s = min(max(self._every_s, took_s / SHARE), longest_s)
                self._table.tidy()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_ROUND_S) as last:
                await self.flush()
            if last.cancelled_caught or self._is_failing:
                logger.error("quota counters of the last moments could not be told to the store")

    async def flush(self) -> None:
        """Tell what changed since the last time; what cannot be told is told at a later time."""
        limits = self._table.limits
        # What is heard of for the first time can be told only then: that is a second turn.
        for _ in range(2):
            start: int | None = 0
            were_new = False
            while start is not None:
                start, standings = limits.take_standings(start, TOGETHER, *self._table.now())
                were_new = were_new or any(is_new for _, is_new, *_ in standings)
                if not standings:
                    continue
                try:
                    await self._exchange(standings)
                except BaseException as error:
                    for key, *_ in standings:
                        limits.mark_again(key)
                    if not isinstance(error, StoreError):
                        raise
                    if not self._is_failing:
                        logger.error("quota counters wait to be told to the store: %s", error)
                    self._is_failing = True
                    return
                self._is_failing = False
            if not were_new:
                return

    async def refresh(self, client_id: str) -> None:
        """Tell and hear of one API key now.

        Raises:
            StoreError: The store cannot be asked.
        """
        key = self._table.limits.api_key(client_id)
        for _ in range(2):  # twice for a key that is heard of for the first time
            now = self._table.now()
            standing = self._table.limits.standing(key, *now)
            if standing is None:
                day, month = self._table.limits.periods(now[1])
                standing = (key, True, (0, 0, 0), (day, 0), (month, 0))
            await self._exchange([standing])
            if not standing[1]:
                return

    async def reset(self, client_id: str) -> None:
        """Set an API key's day and month back to 0 for all gateways.

        The others know it as soon as they hear of the key: within a round of their next call of it.

        Raises:
            StoreError: The store cannot be asked; nothing was set back, or all was.
        """
        await self.refresh(client_id)
        key = self._table.limits.api_key(client_id)
        name = _name(key)
        unix_time = self._unix_time()
        numbers = self._table.limits.periods(unix_time)
        async with self._telling:
            found = await self._store.tally([], [name], now=unix_time)
            taken = [
                tally
                for letter, number in zip("dm", numbers, strict=True)
                for tally in self._period(
                    key, letter, (number, _counted(found[name], f"{letter}{number}:")), None
                )
            ]
            if taken:
                await self._store.tally(taken, now=unix_time)
        await self.refresh(client_id)

    def _unix_time(self) -> float:
        return self._table.now()[1]

    async def _exchange(self, standings: Sequence[Standing]) -> None:
        """Tell how some keys stand, and hear of them; of a key that is new, only hear.

        Raises:
            StoreError: The store cannot be asked.
        """
        async with self._telling:
            now, unix_time = self._table.now()
            told = [
                tally
                for standing in standings
                if not standing[1]
                for tally in self._parts(standing, unix_time)
            ]
            names = [_name(key) for key, *_ in standings]
            found = await self._store.tally(told, names, now=unix_time)
            now, unix_time = self._table.now()
            for standing, name in zip(standings, names, strict=True):
                self._hear(standing, found[name], now, unix_time)

    def _parts(self, standing: Standing, unix_time: float) -> list[Tally]:
        """Return this gateway's parts of a key's counter."""
        key, _, (calls, left_ms, end_ms), day, month = standing
        if self._unix_less_machine_ms is None:
            # Once: the same window must always be told by the same name.
            self._unix_less_machine_ms = round(unix_time * 1000) - (end_ms - left_ms)
        parts = [*self._period(key, "d", day), *self._period(key, "m", month)]
        if calls:
            end_ms += self._unix_less_machine_ms
            parts.append(Tally(_name(key), f"w{end_ms}:{self._node}", calls, end_ms / 1000))
        return parts

    def _period(
        self, key: bytes, letter: str, period: tuple[int, int], suffix: str | None = ""
    ) -> list[Tally]:
        """Return the part of a day or a month, if anything was counted in it.

        Args:
            key: The key.
            letter: ``d`` or ``m``.
            period: Its number and the count.
            suffix: What follows the node's name; None = it is what was taken back.
        """
        number, count = period
        if not count:
            return []
        owner = "" if suffix is None else f"{self._node}{suffix}"
        ends_at = _end_of(letter, number) + KEPT_S
        return [Tally(_name(key), f"{letter}{number}:{owner}", count, ends_at)]

    def _hear(
        self, standing: Standing, parts: Mapping[str, int], now: float, unix_time: float
    ) -> None:
        """Put into the table what the store has of a key."""
        key, is_new, _, day, month = standing
        calls, left_ms = 0, 0
        for part, count in parts.items():
            moment, _, node = part.partition(":")
            if moment[0] == "w" and node != self._node:
                left = int(moment[1:]) - int(unix_time * 1000)
                if left > 0:
                    calls, left_ms = calls + count, max(left_ms, left)
        heard: list[tuple[int, int, int]] = []
        for letter, (number, _) in (("d", day), ("m", month)):
            start = f"{letter}{number}:"
            own = parts.get(f"{start}{self._node}", 0)
            others = _counted(parts, start) - own - parts.get(start, 0)
            heard.append((number, others, own if is_new else 0))
        self._table.limits.hear(
            key, now, unix_time, window=(calls, left_ms), day=heard[0], month=heard[1]
        )


def _name(key: bytes) -> str:
    """Return the name of a key's counter."""
    return f"limits:{key.hex()}"


def _counted(parts: Mapping[str, int], start: str) -> int:
    """Return what all gateways counted in a period; what was taken back is not subtracted."""
    return sum(count for part, count in parts.items() if part.startswith(start) and part != start)


def _end_of(letter: str, number: int) -> int:
    """Return when a day or a month ends, in Unix time, as UTC has it."""
    if letter == "d":
        return (number + 1) * _DAY_S
    year, month = divmod(number + 1, 12)
    return calendar.timegm((1970 + year, month + 1, 1, 0, 0, 0))
