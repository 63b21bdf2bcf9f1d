"""What a store remembers of its revisions: who made them, and what each document was before.

A store keeps, with each transaction and in it, one `Revision` and each document as it was *before*. That
is enough for everything: what a document was at an older revision is what the first change after it found;
when nothing changed it since, it is what is there now. So each version is kept once, new documents cost a
few bytes, and forgetting the oldest revisions never touches newer ones.

The memory of a store is bounded by `HistoryBounds`; what goes beyond is forgotten from the oldest revision
on, in the transaction that would exceed it. Kept revisions are those of an unbroken row that ends with the
latest: when a version of oto-trio that keeps no history wrote to the store, the row begins anew after it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.model.errors import RevisionUnknownError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

__all__ = [
    "CHANGE_BYTES",
    "DEFAULT_BOUNDS",
    "FORGOTTEN_AT_ONCE",
    "REVISIONS_PAGE",
    "Changed",
    "Difference",
    "HistoryBounds",
    "MemoryHistory",
    "OldRevision",
    "Origin",
    "Remembered",
    "Revision",
    "Sought",
    "acting",
    "check_span",
    "current_origin",
    "forgotten_up_to",
]

REVISIONS_PAGE: Final = 100
"""Revisions that `Store.revisions` gives at most, unless told otherwise."""

CHANGE_BYTES: Final = 100
"""What a changed document counts in the size of a revision, beside its older text."""

FORGOTTEN_AT_ONCE: Final = 64
"""Revisions forgotten by one transaction at most, beside one for each that is new."""

LONGEST_WORD: Final = 500
"""Characters kept of an actor and of a request id."""

LONGEST_MESSAGE: Final = 2000
"""Characters kept of a message."""


class Origin(msgspec.Struct, frozen=True):
    """Where a change comes from."""

    actor: str = ""
    """Who made it: a client id, a user, or a part of the gateway; empty = the gateway itself."""
    request_id: str = ""
    message: str = ""
    """Why, in the words of who made it."""

    def cut(self) -> Origin:
        """Return it with texts of bounded length that every store can hold."""
        return Origin(
            _storable(self.actor, LONGEST_WORD),
            _storable(self.request_id, LONGEST_WORD),
            _storable(self.message, LONGEST_MESSAGE),
        )


def _storable(text: str, most: int) -> str:
    """Cut a text, and replace what a database cannot hold."""
    return text[:most].encode("utf-8", "replace").decode().replace("\0", " ")


class Revision(msgspec.Struct, frozen=True):
    """One transaction that changed something."""

    revision: int
    at: float
    """Unix time, by the clock of the gateway that made it."""
    origin: Origin
    changes: int
    """Documents it wrote or removed."""
    size: int
    """Bytes that remembering it takes: the older documents, and `CHANGE_BYTES` for each."""


class Sought(msgspec.Struct, frozen=True):
    """Which revisions are looked for: those that have all of this."""

    kind: str | None = None
    """They wrote or removed a document of this kind."""
    id: str | None = None
    """And of this id; only with a kind."""
    actor: str | None = None
    """Exactly this one made them."""
    since: float | None = None
    """Made at this Unix time or later."""
    until: float | None = None
    """Made before this Unix time."""

    def has_origin(self, revision: Revision) -> bool:
        """Tell whether a revision was made by whom and when it must be."""
        return (
            self.actor in (None, revision.origin.actor)
            and (self.since is None or revision.at >= self.since)
            and (self.until is None or revision.at < self.until)
        )

    def has_document(self, kind: str, entity_id: str) -> bool:
        """Tell whether a document is the one that must be among the changes, or may be any."""
        return self.kind is None or (self.kind == kind and self.id in (None, entity_id))


class Changed(msgspec.Struct, frozen=True):
    """A document that was written between two revisions."""

    kind: str
    id: str
    before: bytes | None
    """JSON text at the older revision; None when it was not there."""
    after: bytes | None
    """JSON text at the newer revision."""
    revision: int
    """The last revision of the span that wrote or removed it."""


class Difference(msgspec.Struct, frozen=True):
    """All documents that were written after one revision, up to another."""

    since: int
    until: int
    changed: tuple[Changed, ...]
    """Sorted by kind and id; one that was written back to what it was is among them."""


class HistoryBounds(msgspec.Struct, frozen=True):
    """How much a store remembers. The latest revision is always remembered."""

    revisions: int = 10_000
    """Revisions at most; at least 1."""
    age_s: float | None = None
    """Seconds after which a revision is forgotten, when something else is written; None = never."""
    size: int = 256 * 1024 * 1024
    """Bytes of all revisions together, counted as `Revision.size`."""


DEFAULT_BOUNDS: Final = HistoryBounds()
"""How much a store remembers unless it is told otherwise."""


class OldRevision(msgspec.Struct, frozen=True):
    """What `forgotten_up_to` looks at."""

    revision: int
    at: float
    total: int
    """Bytes of this revision and all that ever were before it."""
    size: int


def forgotten_up_to(
    oldest: Iterable[OldRevision], latest: OldRevision, bounds: HistoryBounds
) -> int | None:
    """Say up to which revision a store has to forget.

    Args:
        oldest: The oldest revisions, in order.
        latest: The one being written; it is kept.
        bounds: What is kept.

    Returns:
        The last revision to forget; None when all may be kept.
    """
    last: int | None = None
    for old in oldest:
        is_over = (
            latest.revision - old.revision >= bounds.revisions
            or (bounds.age_s is not None and old.at < latest.at - bounds.age_s)
            or latest.total - (old.total - old.size) > bounds.size
        )
        if not is_over or old.revision >= latest.revision:
            break
        last = old.revision
    return last


def check_span(since: int, until: int | None, floor: int, latest: int) -> int:
    """Check that a span of revisions is remembered.

    Args:
        since: The older revision.
        until: The newer one; None = the latest.
        floor: The oldest revision whose state is still known.
        latest: The latest revision.

    Returns:
        The newer revision, as a number.

    Raises:
        RevisionUnknownError: It is not.
    """
    newer = latest if until is None else until
    for revision in (since, newer):
        if not floor <= revision <= latest:
            raise RevisionUnknownError(revision, floor, latest)
    if since > newer:
        raise ValueError(f"revision {since} is not before {newer}")
    return newer


_NOBODY: Final = Origin()
_origin: ContextVar[Origin] = ContextVar("origin of changes", default=_NOBODY)


@contextmanager
def acting(origin: Origin) -> Generator[None]:
    """Say where the changes made in a block, and in tasks started in it, come from."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def current_origin() -> Origin:
    """Return where a change made now comes from, ready to be stored."""
    return _origin.get().cut()


Remembered = tuple[Revision, "Mapping[tuple[str, str], bytes | None]"]
"""A revision, and what each document it changed was before."""


class MemoryHistory:
    """The history of a store that keeps its documents in memory.

    Args:
        bounds: How much is remembered.
    """

    def __init__(self, bounds: HistoryBounds) -> None:
        self._bounds = bounds
        self._revisions: dict[int, Revision] = {}
        self._before: dict[int, Mapping[tuple[str, str], bytes | None]] = {}
        self._totals: dict[int, int] = {}

    def note(
        self,
        revision: int,
        at: float,
        origin: Origin,
        before: Mapping[tuple[str, str], bytes | None],
    ) -> None:
        """Remember a revision, and forget what goes beyond the bounds.

        Args:
            revision: Its number, one more than the one before.
            at: Unix time.
            origin: Where it comes from.
            before: What each document it changed was before.
        """
        size = sum(CHANGE_BYTES + len(document or b"") for document in before.values())
        total = self._totals.get(revision - 1, 0) + size
        self._revisions[revision] = Revision(revision, at, origin, len(before), size)
        self._before[revision] = before
        self._totals[revision] = total
        oldest = (
            OldRevision(old.revision, old.at, self._totals[old.revision], old.size)
            for old in self._revisions.values()
        )
        latest = OldRevision(revision, at, total, size)
        last = forgotten_up_to(oldest, latest, self._bounds)
        if last is not None:
            for number in range(next(iter(self._revisions)), last + 1):
                del self._revisions[number], self._before[number], self._totals[number]

    def entries(self) -> list[Remembered]:
        """Return all that is remembered, from the oldest revision on, to be filled in elsewhere."""
        return [(revision, self._before[n]) for n, revision in self._revisions.items()]

    def fill(self, entries: Iterable[Remembered]) -> None:
        """Remember what was remembered before; without gaps, and before anything is noted."""
        total = 0
        for revision, before in entries:
            total += revision.size
            self._revisions[revision.revision] = revision
            self._before[revision.revision] = before
            self._totals[revision.revision] = total

    def revisions(self, before: int | None, limit: int) -> list[Revision]:
        """Give some revisions, the newest first; see `Store.revisions`."""
        newest = max(self._revisions, default=0)
        start = newest if before is None else min(newest, before - 1)
        numbers = range(start, max(start - limit, 0), -1)
        return [self._revisions[number] for number in numbers if number in self._revisions]

    def find(self, sought: Sought, before: int | None, limit: int) -> list[Revision]:
        """Give some of the revisions that are looked for; see `Store.find_revisions`."""
        found = (
            revision
            for number, revision in reversed(self._revisions.items())
            if (before is None or number < before)
            and sought.has_origin(revision)
            and any(sought.has_document(*key) for key in self._before[number])
        )
        return list(islice(found, limit))

    def difference(
        self, since: int, until: int | None, latest: int, now: Mapping[tuple[str, str], bytes]
    ) -> Difference:
        """Give what changed; see `Store.difference`.

        Args:
            since: The older revision.
            until: The newer one.
            latest: The latest revision.
            now: Every document as it is.
        """
        floor = min(self._revisions, default=latest + 1) - 1
        newer = check_span(since, until, floor, latest)
        found: dict[tuple[str, str], tuple[bytes | None, int]] = {}
        for number in range(since + 1, newer + 1):
            for key, document in self._before[number].items():
                found[key] = (found[key][0] if key in found else document, number)
        after: dict[tuple[str, str], bytes | None] = {}
        for number in range(newer + 1, latest + 1):
            for key, document in self._before[number].items():
                after.setdefault(key, document)
        changed = tuple(
            Changed(*key, document, after[key] if key in after else now.get(key), number)
            for key, (document, number) in sorted(found.items())
        )
        return Difference(since, newer, changed)
