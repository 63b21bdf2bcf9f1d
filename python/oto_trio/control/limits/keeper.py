"""Keeps days and months over a restart, in a store that one gateway has for itself: writes them, brings them back.

Written every second, what changed together; and once more at the end. So a clean stop loses nothing,
and a gateway that is killed loses the last second's counts at the most. While so many keys are in use
that writing takes long, it is done less often, every `LONGEST_PAUSE_S` at the least. Windows, buckets and bans are
not kept: they are of this run.

The store gets *pages*, blobs named ``limits:page:<part of the table>``, each with every day and month of
its part: a thousand calls of a thousand keys cost a few writes. A count has no name in it but the keyed
hash under which the table has it, so a page tells nobody whose it is. A key's place differs from run to
run; so what was read at a start is written anew before anything is counted. Gateways that share a store
keep their counts another way: see `sharing`.
"""

import logging
import secrets
from typing import Final

import msgspec
import trio

from oto_trio.control.installation_key import MARK_KIND
from oto_trio.control.limits.table import LimitsTable
from oto_trio.control.store.base import Blob, Store
from oto_trio.model.errors import ConflictError, StoreError

__all__ = ["FLUSH_S", "LimitsKeeper", "load_seed"]

logger = logging.getLogger(__name__)

FLUSH_S: Final = 1.0
"""Seconds between two writes, while they are short."""

LONGEST_PAUSE_S: Final = 5.0
"""Seconds between two writes at the most."""

SHARE: Final = 0.01
"""Which part of the time writing may take before it is done less often."""

LAST_FLUSH_S: Final = 5.0
"""How long the write at the end may take."""

TOGETHER: Final = 256
"""Pages written together, so that an admin write need not wait for long behind them."""

LIFE_S: Final = 64 * 86_400.0
"""How long a page counts that nothing changes: longer than any month in any time zone."""

_PAGE: Final = "limits:page:"
_SEED: Final = "limits:seed"


async def load_seed(store: Store) -> tuple[int, int]:
    """Return the secret of the table's keys; made and kept the first time.

    Gateways that share a store must have the same one, also those that start on an empty store at the same
    moment: there it is a document, which only one of them can make.

    Raises:
        StoreError: The store cannot be read or written.
    """
    kept = await store.load_blobs(_SEED)
    seed = kept[0].value if kept else b""
    if len(seed) != 16:
        seed = secrets.token_bytes(16)
        if not store.is_shared:
            await store.save_blobs([Blob(_SEED, seed)])
    if store.is_shared:
        record = await store.get(MARK_KIND, _SEED)
        if record is None:
            try:
                await store.put(
                    MARK_KIND, _SEED, msgspec.json.encode({"seed": seed.hex()}), expect="absent"
                )
            except ConflictError:
                record = await store.get(MARK_KIND, _SEED)
        if record is not None:
            seed = bytes.fromhex(msgspec.json.decode(record.document)["seed"])
    return int.from_bytes(seed[:8], "big"), int.from_bytes(seed[8:], "big")


class LimitsKeeper:
    """Writes what the table counted, and brings it back.

    Args:
        store: Where it is kept.
        table: What counts.
    """

    def __init__(self, store: Store, table: LimitsTable) -> None:
        self._store = store
        self._table = table
        self._unsaved: dict[str, Blob] = {}
        self._is_failing = False

    async def load(self) -> int:
        """Bring back what was kept; before any worker counts.

        Returns:
            How many keys' counts were brought back.

        Raises:
            StoreError: The store cannot be read or written.
        """
        count = 0
        pages = await self._store.load_blobs(_PAGE)
        now, unix_time = self._table.now()
        for page in pages:
            try:
                count += self._table.limits.restore(page.value, now, unix_time)
            except ValueError as error:
                logger.error("the quota counters %s are lost: %s", page.name, error)
        if pages:
            # All at once: a count that were in an old page and in a new one would count twice.
            over = {page.name: Blob(page.name, b"", expires_at=0.0) for page in pages}
            await self._store.save_blobs(list((over | self._take_changed()).values()))
        return count

    async def run(self) -> None:
        """Write what changed, again and again.

        Cancellation: writes once more, for a bounded time.
        """
        pause_s = FLUSH_S
        try:
            while True:
                await trio.sleep(pause_s)
                began = trio.current_time()
                await self.flush()
                took_s = trio.current_time() - began
                pause_s = min(max(FLUSH_S, took_s / SHARE), LONGEST_PAUSE_S)
                self._table.tidy()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_FLUSH_S):
                await self.flush()
            if self._unsaved:
                logger.error("%d pages of quota counters could not be kept", len(self._unsaved))

    async def flush(self) -> None:
        """Write what changed since the last time; what cannot be written is tried again later."""
        self._unsaved |= self._take_changed()
        while self._unsaved:
            names = list(self._unsaved)[:TOGETHER]
            batch = [self._unsaved[name] for name in names]
            try:
                await self._store.save_blobs(batch)
            except StoreError as error:
                if not self._is_failing:
                    logger.error("quota counters wait to be kept: %s", error)
                self._is_failing = True
                return
            self._is_failing = False
            for name, blob in zip(names, batch, strict=True):
                if self._unsaved.get(name) is blob:
                    del self._unsaved[name]

    def _take_changed(self) -> dict[str, Blob]:
        """Return the pages that changed, by name."""
        _, unix_time = self._table.now()
        return {
            (name := f"{_PAGE}{number}"): Blob(name, page, unix_time + LIFE_S)
            for number, page in self._table.limits.take_changed()
        }
