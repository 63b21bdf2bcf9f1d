"""What a store of entities must do.

A store keeps JSON documents under (kind, id), for example ``("routes", "route_1")``. It does not look
into them. Every transaction that changes something gets the next revision, a whole number shared by all
of its changes. Revisions never repeat and never go back, also over restarts of a durable store.

The promises that every driver keeps, and `oto_trio.testing.check_store` proves:

* a transaction is kept whole or not at all, and `Store.transact` returns only when it will survive what
  the driver says it survives;
* what was acknowledged is what every later read, of any task, sees;
* a feed tells every change, in order of revisions, the latest state of each document at the least;
* each transaction is remembered together with what it changed, as far as `history` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from oto_trio.control.store.history import REVISIONS_PAGE
from oto_trio.model.errors import ConflictError, StoreMovedError
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from types import TracebackType

    from oto_trio.control.store.feed import Feed, FeedHub
    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.tallies import Tally

__all__ = [
    "LIST_PAGE",
    "Batch",
    "Blob",
    "Change",
    "Delete",
    "Expectation",
    "Put",
    "Record",
    "Seen",
    "Snapshot",
    "Store",
    "Walk",
    "Write",
    "check_expectation",
    "check_revision",
    "check_writes",
]

LIST_PAGE = 1000
"""Records that `Store.list` gives at most, unless told otherwise."""

Expectation = int | Literal["absent", "present"] | None
"""What a write expects to find: a revision, nothing, anything; None = do not care."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A document as it is stored."""

    kind: str
    id: str
    revision: int
    """Revision of the transaction that last wrote it."""
    document: bytes
    """JSON text."""


class Put(msgspec.Struct, frozen=True):
    """Write a document, new or over an older one."""

    kind: str
    id: str
    document: bytes
    """JSON text."""
    expect: Expectation = None


class Delete(msgspec.Struct, frozen=True):
    """Remove a document; without expectation, removing what is not there is no change."""

    kind: str
    id: str
    expect: Expectation = None


Write = Put | Delete


class Seen(msgspec.Struct, frozen=True):
    """A document that a transaction leaves alone, and that must be as it was seen."""

    kind: str
    id: str
    expect: Expectation
    """Its revision, or ``"absent"``."""


class Change(msgspec.Struct, frozen=True):
    """What became of one document."""

    revision: int
    kind: str
    id: str
    document: bytes | None
    """JSON text, or None when it was removed."""


class Blob(msgspec.Struct, frozen=True):
    """Bytes that are kept beside the documents: no revision, no feed, and an end of their own."""

    name: str
    value: bytes
    """Of a few KiB; they are written whole."""
    expires_at: float | None = None
    """Unix time from which on it is forgotten; None keeps it."""


class Batch(msgspec.Struct, frozen=True):
    """Changes taken from a feed together."""

    revision: int
    """Everything up to this revision has been told once this batch is applied."""
    changes: tuple[Change, ...]
    """At most one for a document, in order of revisions."""


class Snapshot(msgspec.Struct, frozen=True):
    """All documents of some kinds, as they were at one revision."""

    revision: int
    records: tuple[Record, ...]
    """Sorted by kind and id."""


class Store(ABC):
    """A store of documents. Open it with ``async with``; every driver says how it is made.

    Any number of tasks of one Trio run may use a store at once. After it is closed, every method raises
    `StoreClosedError`.
    """

    is_shared: bool = False
    """Whether several gateways can use it at once; its counters are kept then as its blobs are."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub

    @property
    @abstractmethod
    def name(self) -> str:
        """What kind of store it is and where, for logs and ``/api/infos``."""

    @property
    def revision(self) -> int:
        """The latest revision that feeds have been told."""
        return self._hub.revision

    @abstractmethod
    async def get(self, kind: str, entity_id: str) -> Record | None:
        """Read one document.

        Raises:
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        """Read some documents of a kind, sorted by id in code point order.

        Args:
            kind: Kind of the documents.
            after: Only ids greater than this one.
            limit: Records given at most.

        Raises:
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def count(self, kind: str) -> int:
        """Count the documents of a kind.

        Raises:
            StoreError: The store cannot be read.
        """

    async def id_at(self, kind: str, place: int) -> str | None:
        """Give the id of a document by its place among those of its kind, in the order of ids.

        Args:
            kind: Kind of the documents.
            place: Its place, from 0.

        Returns:
            The id; None when there are fewer documents.

        Raises:
            StoreError: The store cannot be read.

        Cost: reads what comes before, unless the driver knows better.
        """
        after = ""
        while True:
            records = await self.list(kind, after=after, limit=min(place + 1, LIST_PAGE))
            if len(records) > place:
                return records[place].id
            if len(records) < LIST_PAGE:
                return None
            place, after = place - len(records), records[-1].id

    @abstractmethod
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        """Read all documents of some kinds at one revision.

        To follow a store without a gap, open a feed first, then take a snapshot, then apply what the
        feed gives; changes that are in both are the same.

        Raises:
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        """Make some writes, all or none. Expectations are checked against the state before.

        The revision is remembered, with the origin that `acting` says, and with what the documents
        were before.

        Args:
            writes: At most one for a document.
            at: The latest revision that the store must have, for writes that were made from all of it;
                None = any. Whatever else is written meanwhile refuses them.
            seen: Documents that must be as they were read, though they are not written.

        Returns:
            The revision from which on the writes are seen. It is a new one if anything changed.

        Raises:
            ConflictError: An expectation does not hold; nothing was kept.
            StoreMovedError: The store is not at the revision `at`; nothing was kept.
            StoreError: The store could not keep them; nothing was kept.
            StoreOutcomeUnknownError: The store went away meanwhile; all or nothing was kept.

        Cancellation: a checkpoint. When cancelled, the writes may or may not have been made.
        """

    @abstractmethod
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        """Read some of the revisions that are remembered, the newest first.

        Args:
            before: Only revisions smaller than this one.
            limit: Revisions given at most.

        Raises:
            StoreError: The store cannot be read.
        """

    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        """Read some of the revisions that are looked for, the newest first.

        Args:
            sought: What they must have.
            before: Only revisions smaller than this one.
            limit: Revisions given at most.

        Raises:
            StoreError: The store cannot be read.

        Cost: looks at every revision that is remembered, until enough are found; and into the documents
        of each, unless the driver knows better.
        """
        found: list[Revision] = []
        while len(found) < limit:
            page = await self.revisions(before=before)
            for revision in page:
                number = revision.revision
                if not sought.has_origin(revision):
                    continue
                if sought.kind is not None:
                    changed = (await self.difference(number - 1, number)).changed
                    if not any(sought.has_document(one.kind, one.id) for one in changed):
                        continue
                found.append(revision)
            if not page:
                break
            before = page[-1].revision
        return found[:limit]

    @abstractmethod
    async def difference(self, since: int, until: int | None = None) -> Difference:
        """Read what was changed after a revision, up to another one.

        The state at the revision before the oldest that is remembered is known too.

        Args:
            since: The older revision.
            until: The newer one, not smaller; None = the latest.

        Raises:
            RevisionUnknownError: One of them is not remembered, or was not made yet.
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        """Read the blobs whose names begin with a text, sorted by name; none that has expired.

        Raises:
            StoreError: The store cannot be read.
        """

    @abstractmethod
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        """Keep blobs, all or none, new or in the place of those of the same name.

        They survive what documents survive. Expired ones may be dropped meanwhile.

        Raises:
            StoreError: The store could not keep them; nothing was kept.

        Cancellation: a checkpoint. When cancelled, they may or may not have been kept.
        """

    @abstractmethod
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        """Tell how far parts of counters have come, each in the place of what it told before.

        In a shared store they survive what blobs survive, until they end; else they live as long as
        the store is open.

        Args:
            told: Each part at most once, `MOST_TALLIES` at most.
            asked: Counters to read beside those that are told.
            now: Unix time, by which parts end.

        Returns:
            For each counter that was told or asked for its parts that have not ended, and what each
            counts. A part that ends this very moment has ended.

        Raises:
            ValueError: It is too much at once, a part is told twice, or one cannot be.
            StoreError: The store did not answer. Some may have been told; telling all again is right.

        Cancellation: a checkpoint. When cancelled, they may or may not have been told.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Finish what is under way and close. Feeds end; closing again does nothing."""

    async def put(
        self, kind: str, entity_id: str, document: bytes, *, expect: Expectation = None
    ) -> int:
        """Write one document; see `transact`."""
        return await self.transact([Put(kind, entity_id, document, expect)])

    async def delete(self, kind: str, entity_id: str, *, expect: Expectation = None) -> int:
        """Remove one document; see `transact`."""
        return await self.transact([Delete(kind, entity_id, expect)])

    def walk(self, kind: str, *, page: int = LIST_PAGE, after: str = "") -> Walk:
        """Go through all documents of a kind in order of ids, with ``async for``, a page at a time.

        Args:
            kind: Kind of the documents.
            page: Documents read at once.
            after: Only ids greater than this one.

        Documents written or removed meanwhile may or may not be seen. The loop may be left early.

        Raises:
            StoreError: The store cannot be read.
        """
        return Walk(self, kind, page, after)

    @contextmanager
    def watch(self) -> Generator[Feed]:
        """Open a feed of every change from now on; it ends with the block."""
        with self._hub.subscribe() as feed:
            yield feed

    async def __aenter__(self) -> Self:
        """Give the store itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        await self.aclose()


class Walk:
    """All documents of a kind, one by one. A plain iterator: leaving the loop leaves nothing behind."""

    def __init__(self, store: Store, kind: str, page: int, after: str) -> None:
        self._store = store
        self._kind = kind
        self._page = page
        self._records: Iterator[Record] = iter(())
        self._after: str | None = after

    def __aiter__(self) -> Self:
        """Give the walk itself."""
        return self

    async def __anext__(self) -> Record:
        """Give the next document.

        Cancellation: a checkpoint only when a page is read.
        """
        record = next(self._records, None)
        while record is None:
            if self._after is None:
                raise StopAsyncIteration
            records = await self._store.list(self._kind, after=self._after, limit=self._page)
            self._after = records[-1].id if len(records) == self._page else None
            self._records = iter(records)
            record = next(self._records, None)
        return record


def check_writes(writes: Sequence[Write], seen: Sequence[Seen] = ()) -> None:
    """Refuse writes that no driver must see, and what cannot be stored among what was seen.

    Raises:
        ValueError: An id is not acceptable, or a document is written twice.
    """
    known: set[tuple[str, str]] = set()
    for write in (*writes, *seen):
        problem = id_problem(write.id) or id_problem(write.kind)
        if problem is not None:
            raise ValueError(f"{write.kind!r} {write.id!r}: {problem[0]}; {problem[1]}")
        if (write.kind, write.id) in known:
            raise ValueError(f"{write.kind} {write.id!r} is written twice in one transaction")
        known.add((write.kind, write.id))


def check_revision(at: int | None, found: int) -> None:
    """Compare the revision at which a transaction expects the store with the one it has.

    Raises:
        StoreMovedError: They differ.
    """
    if at is not None and at != found:
        raise StoreMovedError(at, found)


def check_expectation(write: Write | Seen, found: int | None) -> None:
    """Compare what a write expects with the revision that is stored.

    Raises:
        ConflictError: They differ.
    """
    expect = write.expect
    met = (
        expect is None
        or (expect == "absent" and found is None)
        or (expect == "present" and found is not None)
        or (isinstance(expect, int) and expect == found)
    )
    if not met:
        wanted = f"at revision {expect}" if isinstance(expect, int) else str(expect)
        raise ConflictError(write.kind, write.id, wanted, found)
