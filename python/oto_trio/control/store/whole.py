"""Everything that a store holds, taken out of one and put into another: what `oto-trio store copy` needs.

It is for stores that no gateway uses meanwhile. Revisions keep their numbers, and what is remembered of them its times
and its authors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from oto_trio.control.store.base import Blob, Record, Store
from oto_trio.control.store.history import Remembered, Revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["CopiedStore", "CopyError", "Whole", "copy_store", "past_of", "totals_of"]


class CopyError(Exception):
    """A store was not copied; the message says why and what to do."""


class Whole(msgspec.Struct):
    """Everything that a store holds, at one revision."""

    revision: int = 0
    records: list[Record] = msgspec.field(default_factory=list[Record])
    """Sorted by kind and id."""
    blobs: list[Blob] = msgspec.field(default_factory=list[Blob])
    """Sorted by name; none that has expired."""
    history: list[Remembered] = msgspec.field(default_factory=list[Remembered])
    """What is remembered, from the oldest revision on, without a gap up to `revision`."""

    @property
    def counts(self) -> dict[str, int]:
        """How many documents of each kind, blobs and revisions there are."""
        kinds = Counter(record.kind for record in self.records)
        counts = {kind: kinds[kind] for kind in sorted(kinds)}
        return {**counts, "(blobs)": len(self.blobs), "(revisions)": len(self.history)}


class CopiedStore(Store):
    """A store that can be taken out whole, and be put another one's content in."""

    @abstractmethod
    async def read_whole(self) -> Whole:
        """Read everything at one revision.

        Cost: all of it in memory.

        Raises:
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def become(self, whole: Whole) -> None:
        """Hold what another store held, in the place of everything there is; all of it or nothing.

        For a store that nobody else uses and whose feeds nobody reads: they are told nothing.

        Raises:
            StoreError: It could not be written; the store holds what it held before.
        """


async def copy_store(
    source: CopiedStore,
    target: CopiedStore,
    *,
    replace: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Whole:
    """Copy everything from one store to another, and read it back to compare.

    Args:
        source: Is only read.
        target: Gets it; holds nothing else afterwards.
        replace: Whether what the target holds may be removed.
        progress: Told what is being done.

    Returns:
        What was copied.

    Raises:
        CopyError: The target holds something, or what was read back is not the same.
        StoreError: One of them cannot be read or written.
    """
    if not replace and (target.revision or await target.load_blobs("")):
        raise CopyError(
            f"{target.name} is at revision {target.revision}, not empty; give --replace to remove what "
            "it holds, or name another target"
        )
    progress(f"reading {source.name}")
    whole = await source.read_whole()
    progress(f"writing {_counted(whole)} to {target.name}")
    await target.become(whole)
    progress("reading them back to compare")
    found = await target.read_whole()
    if found.counts != whole.counts or found != whole:
        raise CopyError(
            f"{target.name} does not hold what was written: {_counted(found)} in the place of "
            f"{_counted(whole)}; copy again, while no gateway uses either store"
        )
    return whole


def _counted(whole: Whole) -> str:
    """Say how much it is."""
    parts = (len(whole.records), len(whole.blobs), len(whole.history))
    return "{} documents, {} blobs and {} revisions".format(*parts)


def totals_of(history: Iterable[Remembered]) -> Iterator[tuple[Revision, int]]:
    """Give each revision with the bytes of it and all before it, as drivers store them."""
    total = 0
    for revision, _ in history:
        total += revision.size
        yield revision, total


def past_of(
    revisions: Iterable[Revision], rows: Iterable[tuple[int, str, str, bytes | None]]
) -> list[Remembered]:
    """Put revisions and rows of what documents were before them together."""
    past: dict[int, dict[tuple[str, str], bytes | None]] = {}
    for number, kind, entity_id, document in rows:
        past.setdefault(number, {})[kind, entity_id] = document
    none: Mapping[tuple[str, str], bytes | None] = {}
    return [(revision, past.get(revision.revision, none)) for revision in revisions]
