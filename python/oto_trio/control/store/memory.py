"""A store that keeps everything in memory, and survives nothing. Native: no thread.

For tests, and as the twin that other drivers are compared with.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio
from typing_extensions import override

from oto_trio.control.store.base import (
    LIST_PAGE,
    Blob,
    Change,
    Put,
    Record,
    Seen,
    Snapshot,
    Write,
    check_expectation,
    check_revision,
    check_writes,
)
from oto_trio.control.store.feed import FeedHub
from oto_trio.control.store.history import (
    DEFAULT_BOUNDS,
    REVISIONS_PAGE,
    HistoryBounds,
    MemoryHistory,
    current_origin,
)
from oto_trio.control.store.tallies import MemoryTallies
from oto_trio.control.store.whole import CopiedStore, Whole
from oto_trio.model.errors import StoreClosedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.tallies import Tally

__all__ = ["MemoryStore", "Shelf"]


class Shelf:
    """The documents of one kind, with their ids in order."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.ids: list[str] = []

    def put(self, record: Record) -> None:
        """Put a document, new or over an older one."""
        if record.id not in self.records:
            insort(self.ids, record.id)
        self.records[record.id] = record

    def page(self, after: str, limit: int) -> list[Record]:
        """Return some documents, those with greater ids than one."""
        start = bisect_right(self.ids, after)
        return [self.records[i] for i in self.ids[start : start + limit]]

    def remove(self, entity_id: str) -> bool:
        """Remove a document; tell whether it was there."""
        if self.records.pop(entity_id, None) is None:
            return False
        del self.ids[bisect_right(self.ids, entity_id) - 1]
        return True


class MemoryStore(CopiedStore):
    """A store in memory. Make one with ``MemoryStore()``.

    Args:
        revision: Where revisions go on.
        history: How much it remembers of its revisions.
    """

    def __init__(self, revision: int = 0, *, history: HistoryBounds = DEFAULT_BOUNDS) -> None:
        super().__init__(FeedHub(revision))
        self._bounds = history
        self._history = MemoryHistory(history)
        self._shelves: dict[str, Shelf] = {}
        self._blobs: dict[str, Blob] = {}
        self._tallies = MemoryTallies()
        self._closed = False

    @property
    @override
    def name(self) -> str:
        return "memory"

    def _fill(self, records: Iterable[Record], blobs: Iterable[Blob]) -> None:
        """Put what was there before into an empty store; nobody is told."""
        for record in sorted(records, key=lambda it: it.id):  # in order, which is quicker
            self._shelves.setdefault(record.kind, Shelf()).put(record)
        self._blobs.update((blob.name, blob) for blob in blobs)

    def _content(self) -> tuple[list[Record], list[Blob]]:
        """Return all there is, also of a closed store, sorted by kind and id."""
        kinds = (self._shelves[kind] for kind in sorted(self._shelves))
        records = [shelf.records[entity_id] for shelf in kinds for entity_id in shelf.ids]
        return records, [self._blobs[name] for name in sorted(self._blobs)]

    def _shelf(self, kind: str) -> Shelf:
        """Give the documents of a kind; for an unknown kind, an empty shelf that is not kept."""
        if self._closed:
            raise StoreClosedError("the store is closed")
        return self._shelves.get(kind) or Shelf()

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        await trio.lowlevel.checkpoint()
        return self._shelf(kind).records.get(entity_id)

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        await trio.lowlevel.checkpoint()
        return self._shelf(kind).page(after, limit)

    @override
    async def count(self, kind: str) -> int:
        await trio.lowlevel.checkpoint()
        return len(self._shelf(kind).ids)

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        await trio.lowlevel.checkpoint()
        shelves = [self._shelf(kind) for kind in sorted(set(kinds))]
        records = tuple(shelf.records[i] for shelf in shelves for i in shelf.ids)
        return Snapshot(self.revision, records)

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        check_writes(writes, seen)
        await trio.lowlevel.checkpoint()
        check_revision(at, self.revision)
        for write in (*writes, *seen):
            found = self._shelf(write.kind).records.get(write.id)
            check_expectation(write, None if found is None else found.revision)
        revision = self.revision + 1
        changes: list[Change] = []
        before: dict[tuple[str, str], bytes | None] = {}
        for write in writes:
            shelf = self._shelves.setdefault(write.kind, Shelf())
            found = shelf.records.get(write.id)
            if isinstance(write, Put) or found is not None:
                before[write.kind, write.id] = None if found is None else found.document
            if isinstance(write, Put):
                shelf.put(Record(write.kind, write.id, revision, write.document))
                changes.append(Change(revision, write.kind, write.id, write.document))
            elif shelf.remove(write.id):
                changes.append(Change(revision, write.kind, write.id, None))
        if changes:
            now = datetime.now(UTC).timestamp()
            self._history.note(revision, now, current_origin(), before)
            self._hub.tell_nowait(revision, tuple(changes))
        elif self._closed:
            raise StoreClosedError("the store is closed")
        return self.revision

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        return self._history.revisions(before, limit)

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        return self._history.find(sought, before, limit)

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        now = {
            (kind, entity_id): record.document
            for kind, shelf in self._shelves.items()
            for entity_id, record in shelf.records.items()
        }
        return self._history.difference(since, until, self.revision, now)

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        now = datetime.now(UTC).timestamp()
        self._blobs = {
            name: blob
            for name, blob in self._blobs.items()
            if blob.expires_at is None or blob.expires_at > now
        }
        return [self._blobs[n] for n in sorted(self._blobs) if n.startswith(prefix)]

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        self._blobs.update((blob.name, blob) for blob in blobs)

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        return self._tallies.tally(told, asked, now)

    @override
    async def read_whole(self) -> Whole:
        await self.load_blobs("")  # forgets what has expired
        return Whole(self.revision, *self._content(), self._history.entries())

    @override
    async def become(self, whole: Whole) -> None:
        await trio.lowlevel.checkpoint()
        self._shelf("")  # raises when closed
        self._shelves, self._blobs = {}, {}
        self._fill(whole.records, whole.blobs)
        self._history = MemoryHistory(self._bounds)
        self._history.fill(whole.history)
        self._hub.revision = whole.revision

    @override
    async def aclose(self) -> None:
        self._closed = True
        self._hub.close_nowait()
        await trio.lowlevel.checkpoint()
