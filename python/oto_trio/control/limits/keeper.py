"""Keeps days and months over a restart: writes them to the store, brings them back.

Written every second, what changed together; and once more at the end. So a clean stop loses nothing,
and a gateway that is killed loses the last second's counts at the most. Windows, buckets and bans are
not kept: they are of this run.

In the store a count is a counter named ``limits:<key>:day:<number>`` or ``limits:<key>:month:<number>``.
The key is the keyed hash under which the table has it, so the names tell nobody whose it is.
"""

import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

import trio

from oto_trio.control.limits.table import LimitsTable
from oto_trio.control.store.base import Counter, Store
from oto_trio.model.errors import StoreError

__all__ = ["FLUSH_S", "LimitsKeeper", "load_seed"]

logger = logging.getLogger(__name__)

FLUSH_S: Final = 1.0
"""Seconds between two writes: what a gateway that is killed loses at the most."""

LAST_FLUSH_S: Final = 5.0
"""How long the write at the end may take."""

SWEEP_PARTS: Final = 64
"""The table is cleared of what is over a part a second, so all of it within about a minute."""

PAGE: Final = 2_000
"""Counters written together, so that an admin write need not wait for long behind them."""

_DAY_S: Final = 86_400
_PREFIX: Final = "limits:"
_SEED: Final = ("limits:seed:0", "limits:seed:1")


async def load_seed(store: Store) -> tuple[int, int]:
    """Return the secret of the table's keys; made and kept the first time.

    Raises:
        StoreError: The store cannot be read or written.
    """
    kept = {counter.name: counter.value for counter in await store.load_counters(_SEED[0][:-1])}
    if all(name in kept for name in _SEED):
        return kept[_SEED[0]] % 2**64, kept[_SEED[1]] % 2**64
    seed = secrets.randbits(64), secrets.randbits(64)
    await store.save_counters(
        [Counter(name, _signed(half)) for name, half in zip(_SEED, seed, strict=True)]
    )
    return seed


class LimitsKeeper:
    """Writes what the table counted, and brings it back.

    Args:
        store: Where it is kept.
        table: What counts.
    """

    def __init__(self, store: Store, table: LimitsTable) -> None:
        self._store = store
        self._table = table
        self._unsaved: dict[str, Counter] = {}
        self._part = 0
        self._is_failing = False

    async def load(self) -> int:
        """Bring back what was kept; before any worker counts.

        Returns:
            How many counters were brought back.

        Raises:
            StoreError: The store cannot be read.
        """
        found: dict[bytes, dict[str, tuple[int, int]]] = {}
        for counter in await self._store.load_counters(_PREFIX):
            parts = counter.name.split(":")
            if len(parts) == 4 and parts[2] in ("day", "month"):
                number = int(parts[3])
                by_period = found.setdefault(bytes.fromhex(parts[1]), {})
                # Of several days or months of a key only the newest can still count.
                by_period[parts[2]] = max(by_period.get(parts[2], (0, 0)), (number, counter.value))
        now, unix_time = self._table.now()
        none = (0, 0)
        kept = [(key, *by.get("day", none), *by.get("month", none)) for key, by in found.items()]
        self._table.limits.restore(kept, now, unix_time)
        return len(kept)

    async def run(self) -> None:
        """Write what changed, again and again.

        Cancellation: writes once more, for a bounded time.
        """
        try:
            while True:
                await trio.sleep(FLUSH_S)
                await self.flush()
                self._tidy()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_FLUSH_S):
                await self.flush()
            if self._unsaved:
                logger.error("%d quota counters could not be kept", len(self._unsaved))

    async def flush(self) -> None:
        """Write what changed since the last time; what cannot be written is tried again later."""
        self._unsaved.update(_counters(self._table.limits.take_changed()))
        while self._unsaved:
            names = list(self._unsaved)[:PAGE]
            batch = [self._unsaved[name] for name in names]
            try:
                await self._store.save_counters(batch)
            except StoreError as error:
                if not self._is_failing:
                    logger.error("quota counters wait to be kept: %s", error)  # noqa: TRY400
                self._is_failing = True
                return
            self._is_failing = False
            for name, counter in zip(names, batch, strict=True):
                if self._unsaved.get(name) is counter:
                    del self._unsaved[name]

    def _tidy(self) -> None:
        """Free what is over, and follow the time zone."""
        now, unix_time = self._table.now()
        self._table.limits.sweep(self._part, SWEEP_PARTS, now, unix_time)
        self._part = (self._part + 1) % SWEEP_PARTS
        self._table.follow_time_zone()


def _counters(changed: Iterable[tuple[bytes, int, int, int, int]]) -> Mapping[str, Counter]:
    """Return counters of the store by name."""
    counters: dict[str, Counter] = {}
    for key, day, of_day, month, of_month in changed:
        # A time zone may be most of a day behind; a month is counted as long as any is.
        for name, value, expires_at in (
            (f"{_PREFIX}{key.hex()}:day:{day}", of_day, (day + 2.0) * _DAY_S),
            (f"{_PREFIX}{key.hex()}:month:{month}", of_month, (month + 2.0) * 31 * _DAY_S),
        ):
            counters[name] = Counter(name, value, expires_at)
    return counters


def _signed(number: int) -> int:
    """Return 64 bits as the signed number that a store keeps."""
    return number - 2**64 if number >= 2**63 else number
