"""What a gateway knows of a Cassandra store: everything, as it is at one revision, in memory.

Only Trio's thread changes it, and never halfway: a transaction is put in whole between two checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.base import Change, Put, Record, check_expectation, check_revision
from oto_trio.control.store.history import (
    CHANGE_BYTES,
    OldRevision,
    Origin,
    Revision,
    forgotten_up_to,
)
from oto_trio.control.store.memory import Shelf
from oto_trio.model.errors import ConflictError, StoreTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oto_trio.control.store.base import Seen, Write
    from oto_trio.control.store.groups import Transaction
    from oto_trio.control.store.history import HistoryBounds

__all__ = [
    "MOST_BYTES",
    "MOST_DOCUMENT",
    "Altered",
    "LogRow",
    "Plan",
    "Replica",
    "loose_size",
    "pieces_of",
]

MOST_DOCUMENT: Final = 4 * 1024 * 1024
"""Bytes of one document at most: a row has to go through the commit log of a server in one piece."""

MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes of the documents of one transaction at most, those before it included."""


GROUP_BYTES: Final = 8 * 1024 * 1024
"""Bytes of documents committed together at most, unless one transaction has more."""


class Altered(msgspec.Struct, frozen=True, array_like=True):
    """A document that a transaction changed, as it is kept in a body."""

    kind: str
    id: str
    before: bytes | None
    after: bytes | None


class LogRow(msgspec.Struct, frozen=True):
    """A revision, as its row in ``oto_revisions`` has it."""

    revision: int
    base: int
    """The first revision that was committed together with it; the body is kept under it."""
    place: int
    """Its place in that body."""
    parts: int
    """Parts of that body."""
    attempt: str
    """What tells the writer of that body from others who tried to write the same revision."""
    at: float
    actor: str
    request_id: str
    message: str
    changes: int
    size: int
    total: int

    @property
    def told(self) -> Revision:
        """The revision as `Store.revisions` gives it."""
        origin = Origin(self.actor, self.request_id, self.message)
        return Revision(self.revision, self.at, origin, self.changes, self.size)


class Plan(msgspec.Struct):
    """Transactions that are to be committed together, on top of one revision."""

    known: int
    floor: int
    """The oldest revision that is remembered once they are made."""
    attempt: str
    rows: list[LogRow] = msgspec.field(default_factory=list[LogRow])
    """But for the number of parts."""
    entries: list[list[Altered]] = msgspec.field(default_factory=list[list[Altered]])
    """What each of the rows changed."""


class Replica:
    """All documents of a store, and what is remembered of its revisions.

    Attributes:
        revision: What is known.
        floor: The oldest revision that is remembered.
        rows: The rows of revisions by number, also of some that are forgotten but not yet removed.
        pending: The last revision of each document that may not be in ``oto_documents`` yet.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.floor = 1
        self.rows: dict[int, LogRow] = {}
        self.pending: dict[tuple[str, str], int] = {}
        self._shelves: dict[str, Shelf] = {}

    def fill(self, records: Iterable[Record]) -> None:
        """Put documents into an empty replica."""
        for record in sorted(records, key=lambda it: it.id):  # in order, which is quicker
            self._shelves.setdefault(record.kind, Shelf()).put(record)

    def shelf(self, kind: str) -> Shelf:
        """Give the documents of a kind; for an unknown kind, an empty shelf that is not kept."""
        return self._shelves.get(kind) or Shelf()

    def find(self, kind: str, entity_id: str) -> Record | None:
        """Give one document."""
        shelf = self._shelves.get(kind)
        return None if shelf is None else shelf.records.get(entity_id)

    def records(self, kinds: Iterable[str] | None = None) -> Iterator[Record]:
        """Give all documents of some kinds, or of all, sorted by kind and id."""
        for kind in sorted(self._shelves if kinds is None else set(kinds)):
            shelf = self.shelf(kind)
            for entity_id in shelf.ids:
                yield shelf.records[entity_id]

    def apply(self, row: LogRow, altered: Sequence[Altered]) -> tuple[Change, ...]:
        """Put the next revision in.

        Returns:
            What it changed, for feeds.
        """
        assert row.revision == self.revision + 1, "revisions come in order"
        changes: list[Change] = []
        for one in altered:
            shelf = self._shelves.setdefault(one.kind, Shelf())
            if one.after is None:
                shelf.remove(one.id)
            else:
                shelf.put(Record(one.kind, one.id, row.revision, one.after))
            self.pending[one.kind, one.id] = row.revision
            changes.append(Change(row.revision, one.kind, one.id, one.after))
        self.rows[row.revision] = row
        self.revision = row.revision
        return tuple(changes)

    def replaced(self, newer: Replica) -> tuple[Change, ...]:
        """Say what changed up to a newer replica that was read as a whole."""
        changes = [
            Change(record.revision, record.kind, record.id, record.document)
            for record in newer.records()
            if record.revision > self.revision
        ]
        changes += [
            Change(newer.revision, record.kind, record.id, None)
            for record in self.records()
            if newer.find(record.kind, record.id) is None
        ]
        return tuple(sorted(changes, key=lambda change: change.revision))

    def remembered(self) -> list[LogRow]:
        """Give the rows of all revisions that are remembered, in order."""
        return [self.rows[n] for n in range(self.floor, self.revision + 1)]

    def forget_rows(self, before: int) -> None:
        """Drop the rows of revisions smaller than one, which nobody needs any more."""
        for number in sorted(n for n in self.rows if n < before):
            del self.rows[number]

    # ------------------------------------------------------------------------------ planning

    def plan(
        self, group: Sequence[Transaction], attempt: str, at: float, bounds: HistoryBounds
    ) -> Plan:
        """Make revisions of transactions, on top of what is known.

        Conflicts and what changes nothing are settled in the transactions at once, which holds only if
        the plan is committed, or nothing newer is there.
        """
        plan = Plan(self.revision, self.floor, attempt)
        overlay: dict[tuple[str, str], tuple[int, bytes | None]] = {}
        for transaction in group:
            transaction.reset()
            revision = self.revision + len(plan.rows) + 1
            try:
                entry = self._entry(transaction, revision - 1, overlay)
            except (ConflictError, StoreTooLargeError) as error:
                transaction.error = error
                continue
            if not entry:
                transaction.revision = revision - 1
                continue
            overlay.update({(one.kind, one.id): (revision, one.after) for one in entry})
            self._add(plan, transaction, entry, at, bounds)
            transaction.revision = revision
        return plan

    def _found(
        self, wanted: Write | Seen, overlay: dict[tuple[str, str], tuple[int, bytes | None]]
    ) -> tuple[int, bytes | None]:
        """Return the revision and the text of a document; None = it is not there."""
        record = self.find(wanted.kind, wanted.id)
        stored = (0, None) if record is None else (record.revision, record.document)
        return overlay.get((wanted.kind, wanted.id), stored)

    def _entry(
        self,
        transaction: Transaction,
        latest: int,
        overlay: dict[tuple[str, str], tuple[int, bytes | None]],
    ) -> list[Altered]:
        """Check what a transaction expects, and say what it changes."""
        check_revision(transaction.at, latest)
        entry: list[Altered] = []
        for write in transaction.writes:
            revision, before = self._found(write, overlay)
            check_expectation(write, None if before is None else revision)
            if isinstance(write, Put):
                if len(write.document) > MOST_DOCUMENT:
                    raise StoreTooLargeError(
                        f"{write.kind} {write.id!r} has {len(write.document)} bytes; a store in "
                        f"Cassandra takes documents of up to {MOST_DOCUMENT} bytes"
                    )
                entry.append(Altered(write.kind, write.id, before, write.document))
            elif before is not None:
                entry.append(Altered(write.kind, write.id, before, None))
        for seen in transaction.seen:
            revision, before = self._found(seen, overlay)
            check_expectation(seen, None if before is None else revision)
        size = loose_size(entry)
        if size > MOST_BYTES:
            raise StoreTooLargeError(
                f"the transaction has {size} bytes; a store in Cassandra takes up to {MOST_BYTES} "
                "together, so make several of it"
            )
        return entry

    def _add(
        self,
        plan: Plan,
        transaction: Transaction,
        entry: list[Altered],
        at: float,
        bounds: HistoryBounds,
    ) -> None:
        """Add a revision to a plan, and forget what goes beyond the bounds."""
        last = plan.rows[-1] if plan.rows else self.rows.get(self.revision)
        size = sum(CHANGE_BYTES + len(one.before or b"") for one in entry)
        row = LogRow(
            revision=self.revision + len(plan.rows) + 1,
            base=self.revision + 1,
            place=len(plan.rows),
            parts=0,
            attempt=plan.attempt,
            at=at,
            actor=transaction.origin.actor,
            request_id=transaction.origin.request_id,
            message=transaction.origin.message,
            changes=len(entry),
            size=size,
            total=(0 if last is None else last.total) + size,
        )
        plan.rows.append(row)
        plan.entries.append(entry)
        oldest = (
            OldRevision(old.revision, old.at, old.total, old.size) for old in self._row_by_row(plan)
        )
        forgotten = forgotten_up_to(oldest, OldRevision(row.revision, at, row.total, size), bounds)
        if forgotten is not None:
            plan.floor = forgotten + 1

    def _row_by_row(self, plan: Plan) -> Iterator[LogRow]:
        """Give the rows that are remembered, those of a plan after those that are there."""
        for number in range(plan.floor, self.revision + 1):
            yield self.rows[number]
        yield from plan.rows[max(plan.floor - self.revision - 1, 0) :]


def loose_size(entry: Iterable[Altered]) -> int:
    """Return the bytes of the documents of a transaction, before and after it."""
    return sum(len(one.before or b"") + len(one.after or b"") for one in entry)


def pieces_of(group: Sequence[Transaction]) -> Iterator[list[Transaction]]:
    """Cut a group where it is too large to be committed together."""
    piece: list[Transaction] = []
    size = 0
    for transaction in group:
        own = sum(len(getattr(write, "document", b"")) for write in transaction.writes)
        if piece and size + own > GROUP_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(transaction)
        size += own
    if piece:
        yield piece
