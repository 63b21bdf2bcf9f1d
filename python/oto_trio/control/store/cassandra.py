"""The store for several gateways in an Apache Cassandra cluster. Threads: at most six, of one limiter.

Cassandra writes rows of one partition together, and on a condition, but knows no transaction over several.
So this store is a log. A transaction is one conditional batch in the partition of the revisions, which moves
the revision by one and says where the changed documents are (`cassandra_log`). Every gateway holds all
documents in memory, and puts what others commit on top (`cassandra_state`); the table of documents follows
a second later, and is what a gateway reads when it starts (`cassandra_whole`).

Reading
-------
Before it answers, a read asks a quorum for the latest revision: what any gateway acknowledged is seen. Reads
that come together share one question. While no quorum answers, reads are refused.

Durability
----------
A commit is acknowledged when a quorum of the replicas has it. What a server that is killed still has depends
on its ``commitlog_sync``: ``batch`` or ``group`` keep all it acknowledged; with ``periodic``, the default, it
may lose the last 0.1 s, and with the machine's power the last 10 s. So with ``periodic`` what was acknowledged
is kept as long as fewer servers than a quorum fail at once.

How gateways see each other
---------------------------
Cassandra tells nobody of a write. Each gateway asks for the latest revision every `POLL_S` seconds.
"""

from __future__ import annotations

import logging
import secrets
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, Self

import trio
from typing_extensions import override

from oto_trio.control.store.base import (
    LIST_PAGE,
    Blob,
    Record,
    Seen,
    Snapshot,
    Write,
    check_writes,
)
from oto_trio.control.store.cassandra_link import CassandraLink, Talk
from oto_trio.control.store.cassandra_log import GoneError, News, commit, read_news
from oto_trio.control.store.cassandra_schema import find_generation
from oto_trio.control.store.cassandra_state import Altered, LogRow, Plan, Replica, pieces_of
from oto_trio.control.store.cassandra_tallies import tally
from oto_trio.control.store.cassandra_url import CassandraUrlError, read_cassandra_url
from oto_trio.control.store.cassandra_whole import (
    blob_questions,
    load,
    mark_settled,
    read_blobs,
    read_past,
    read_settled,
    remove_bodies,
    settle,
    write_whole,
)
from oto_trio.control.store.feed import FeedHub
from oto_trio.control.store.groups import CommitQueue, Transaction
from oto_trio.control.store.history import (
    DEFAULT_BOUNDS,
    REVISIONS_PAGE,
    Changed,
    Difference,
    HistoryBounds,
    check_span,
)
from oto_trio.control.store.tallies import check_tallies
from oto_trio.control.store.whole import CopiedStore, Whole
from oto_trio.model.errors import (
    StoreClosedError,
    StoreError,
    StoreFileError,
    StoreTooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from oto_trio.control.store.history import Remembered, Revision, Sought
    from oto_trio.control.store.tallies import Tally

__all__ = ["CassandraStore"]

logger = logging.getLogger(__name__)

POLL_S: Final = 0.3
"""How often the latest revision is asked for."""

RECONNECT_S: Final = (0.3, 2.0)
"""The first and the longest pause before servers that are away are asked again."""

SETTLE_S: Final = 1.0
"""How long after a commit the table of documents is brought up to date."""

SETTLED_AT_ONCE: Final = 1000
"""Documents brought up to date before something else may be done."""

COMMIT_ATTEMPTS: Final = 100
"""How often a commit is tried again because another gateway was quicker."""

COMMIT_PAUSE_S: Final = 0.05
"""The longest pause before it is, once it happened several times."""

KEPT_ROWS: Final = 512
"""Revisions that a gateway which was cut off can catch up with one by one; else it reads everything."""

TRIMMED_AT_ONCE: Final = 128
"""Revisions that are removed together once they are forgotten."""

BODIES_AT_ONCE: Final = 64
"""Revisions whose changed documents are read together."""

MOST_BLOB_BYTES: Final = 12 * 1024 * 1024
"""Bytes of blobs saved together: they are one row of a server's commit log."""

CLOSE_WAIT_S: Final = 10.0
"""How long closing waits for what is under way, before it is broken off."""


class CassandraStore(CopiedStore):
    """A store in a Cassandra keyspace. Make one with ``await CassandraStore.open(url)``.

    It follows what other gateways write for as long as its ``async with`` block lasts.
    """

    is_shared = True

    def __init__(
        self, link: CassandraLink, store: str, replica: Replica, history: HistoryBounds
    ) -> None:
        super().__init__(FeedHub(replica.revision))
        self._link = link
        self._store = store
        self._replica = replica
        self._bounds = history
        self._node = secrets.token_hex(8)
        self._attempts = count()
        self._queue = CommitQueue(self._commit_group)
        self._looking = trio.Lock()
        self._looks = 0
        self._looked = 0
        self._unsettled = trio.Event()
        if replica.pending:
            self._unsettled.set()
        self._trimmed = min(replica.rows, default=replica.revision + 1)
        self._to_trim: int | None = None
        self._scope = trio.CancelScope()
        self._background: AbstractAsyncContextManager[None] | None = None
        self._give_up = threading.Event()
        self._closed = False
        self.groups = 0
        """Commits made so far; with many writers fewer than transactions."""

    @classmethod
    async def open(cls, url: str, *, history: HistoryBounds = DEFAULT_BOUNDS) -> CassandraStore:
        """Connect, make keyspace and tables when they are missing, and read everything.

        Args:
            url: ``cassandra://user:password@host:9042,other/keyspace?datacenter=dc1``; see
                `cassandra_url`.
            history: How much is remembered of its revisions.

        Raises:
            StoreError: The servers cannot be used, or their store is too new; the message names the
                url without its password, and says what to do.
        """
        try:
            read = read_cassandra_url(url)
        except CassandraUrlError as error:
            raise StoreFileError(f"the URL of `store`: {error}") from None
        link = CassandraLink(read)

        def begin(talk: Talk) -> tuple[str, Replica]:
            store = find_generation(talk, read.keyspace, read.store, read.shown)
            return store, load(talk, store, read.shown)

        try:
            store, replica = await link.run(begin)
        except BaseException:
            with trio.CancelScope(shield=True):
                await link.aclose()
            raise
        return cls(link, store, replica, history)

    @property
    @override
    def name(self) -> str:
        return self._link.url.shown

    # --------------------------------------------------------------------------- reading

    async def _refresh(self) -> None:
        """Know everything that was acknowledged before this was called."""
        asked = self._looks
        async with self._looking:
            self._check_open()
            if self._looked > asked:
                return  # begun, and ended well, by another reader since
            self._looks = number = self._looks + 1
            await self._look()
            self._looked = number

    async def _look(self) -> None:
        """Ask for what is newer, and tell it."""
        known = self._replica.revision

        def work(talk: Talk) -> News | Replica:
            try:
                return read_news(talk, self._store, known, self.name)
            except GoneError:
                return load(talk, self._store, self.name)

        news = await self._link.run(work)
        if isinstance(news, Replica):
            self._replace(news)
            return
        for row, altered in zip(news.rows, news.entries, strict=True):
            self._apply(row, altered)
        self._forget(news.floor)

    def _apply(self, row: LogRow, altered: Sequence[Altered]) -> None:
        """Put the next revision in and tell it, unless it was there before."""
        if row.revision == self._replica.revision + 1:
            self._hub.tell_nowait(row.revision, self._replica.apply(row, altered))

    def _replace(self, newer: Replica) -> None:
        """Go on with what was read as a whole, and tell the difference."""
        if newer.revision <= self._replica.revision:
            return
        changes = self._replica.replaced(newer)
        self._replica = newer
        self._trimmed = min(newer.rows, default=newer.revision + 1)
        self._hub.tell_nowait(newer.revision, changes)

    def _forget(self, floor: int) -> None:
        """Forget revisions smaller than one."""
        self._replica.floor = floor = max(self._replica.floor, floor)
        if floor - self._trimmed > 2 * KEPT_ROWS:
            self._unsettled.set()  # nobody commits here: else their rows would be kept for ever

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        await self._refresh()
        return self._replica.find(kind, entity_id)

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        await self._refresh()
        return self._replica.shelf(kind).page(after, limit)

    @override
    async def count(self, kind: str) -> int:
        await self._refresh()
        return len(self._replica.shelf(kind).ids)

    @override
    async def id_at(self, kind: str, place: int) -> str | None:
        await self._refresh()
        ids = self._replica.shelf(kind).ids
        return ids[place] if place < len(ids) else None

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        await self._refresh()
        return Snapshot(self._replica.revision, tuple(self._replica.records(kinds)))

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        await self._refresh()
        replica = self._replica
        newest = replica.revision if before is None else min(replica.revision, before - 1)
        oldest = max(replica.floor, newest - limit + 1)
        return [replica.rows[number].told for number in range(newest, oldest - 1, -1)]

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        await self._refresh()
        rows = [
            row
            for row in reversed(self._replica.remembered())
            if (before is None or row.revision < before) and sought.has_origin(row.told)
        ]
        if sought.kind is None:
            return [row.told for row in rows[:limit]]
        found: list[Revision] = []
        for start in range(0, len(rows), BODIES_AT_ONCE):
            if len(found) >= limit:
                break
            some = rows[start : start + BODIES_AT_ONCE]
            for row, altered in zip(some, await self._past(some), strict=True):
                if any(sought.has_document(one.kind, one.id) for one in altered):
                    found.append(row.told)
        return found[:limit]

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        await self._refresh()
        replica = self._replica
        newer = check_span(since, until, replica.floor - 1, replica.revision)
        rows = [replica.rows[number] for number in range(since + 1, newer + 1)]
        found: dict[tuple[str, str], Changed] = {}
        for start in range(0, len(rows), BODIES_AT_ONCE):
            some = rows[start : start + BODIES_AT_ONCE]
            for row, altered in zip(some, await self._past(some), strict=True):
                for one in altered:
                    key = (one.kind, one.id)
                    before = found[key].before if key in found else one.before
                    found[key] = Changed(*key, before, one.after, row.revision)
        return Difference(since, newer, tuple(found[key] for key in sorted(found)))

    async def _past(self, rows: Sequence[LogRow]) -> Sequence[Sequence[Altered]]:
        """Read what some revisions changed."""
        try:
            return await self._link.run(lambda talk: read_past(talk, self._store, rows))
        except GoneError:
            await self._refresh()
            oldest = min(row.revision for row in rows)
            # Forgotten while they were read, by another gateway.
            check_span(oldest - 1, None, self._replica.floor - 1, self._replica.revision)
            raise StoreError(
                f"{self.name}: what revisions from {oldest} on changed is gone; a backup was restored in "
                "part, or rows were deleted by hand"
            ) from None

    # --------------------------------------------------------------------------- writing

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        check_writes(writes, seen)
        return await self._queue.transact(writes, at=at, seen=seen)

    async def _commit_group(self, group: Sequence[Transaction]) -> None:
        """Commit a group, in as many pieces as its size asks for."""
        self._check_open()
        with trio.CancelScope(shield=True):
            for piece in pieces_of(group):
                try:
                    await self._commit_piece(piece)
                except StoreError as error:
                    for transaction in piece:
                        transaction.reset()
                        transaction.error = error

    async def _commit_piece(self, piece: Sequence[Transaction]) -> None:
        """Commit some transactions together, on top of whatever others commit meanwhile."""
        for attempt in range(COMMIT_ATTEMPTS):
            if attempt > 2:
                # Gateways that are in each other's way: one has to step back.
                await trio.sleep(secrets.randbelow(1000) / 1000 * COMMIT_PAUSE_S)
            now = datetime.now(UTC).timestamp()
            name = f"{self._node}-{next(self._attempts)}"
            plan = self._replica.plan(piece, name, now, self._bounds)
            if not plan.rows:
                # What was found is the answer, if nothing is newer.
                await self._refresh()
                if self._replica.revision == plan.known:
                    return
                continue
            trim = self._to_trim
            work = partial(self._commit_plan, plan, trim)
            if await self._link.run(work):
                self.groups += 1
                for row, altered in zip(plan.rows, plan.entries, strict=True):
                    self._apply(row, altered)
                self._forget(plan.floor)
                self._note_trimmed(trim)
                self._unsettled.set()
                return
            await self._refresh()
        raise StoreError(
            f"{self.name}: other gateways were quicker {COMMIT_ATTEMPTS} times; the servers are too slow "
            "for so many writers"
        )

    def _commit_plan(self, plan: Plan, trim: int | None, _: Talk) -> bool:
        """Commit a plan. Runs in a thread."""
        return commit(self._link, self._store, plan, trim, self._give_up)

    # ------------------------------------------------------------------- behind the commits

    async def _settle(self) -> None:
        """Bring the table of documents up to date, and remove what is forgotten."""
        replica, store = self._replica, self._store
        target = replica.revision
        settled = await self._link.run(lambda talk: read_settled(talk, store))
        waiting = [(*key, n) for key, n in replica.pending.items() if n > settled]
        for start in range(0, len(waiting), SETTLED_AT_ONCE):
            documents: list[tuple[str, str, int, bytes | None]] = []
            for kind, entity_id, revision in waiting[start : start + SETTLED_AT_ONCE]:
                record = replica.find(kind, entity_id)
                if record is None:
                    gone = max(revision, replica.pending.get((kind, entity_id), 0))
                    documents.append((kind, entity_id, gone, None))
                else:
                    documents.append((kind, entity_id, record.revision, record.document))
            await self._link.run(partial(settle, store=store, documents=documents))
        await self._link.run(lambda talk: mark_settled(talk, store, target))
        replica.pending = {key: n for key, n in replica.pending.items() if n > target}
        end = min(replica.floor, target + 1, replica.revision - KEPT_ROWS)
        if end - self._trimmed < TRIMMED_AT_ONCE:
            return
        bases = sorted(
            {row.base for n, row in replica.rows.items() if n < end}
            - {row.base for n, row in replica.rows.items() if n >= end}
        )
        await self._link.run(partial(remove_bodies, store=store, bases=bases))
        replica.forget_rows(end)
        self._trimmed = self._to_trim = end  # the next commit, here or elsewhere, removes the rows

    def _note_trimmed(self, trim: int | None) -> None:
        """Note that a commit removed rows."""
        if trim == self._to_trim:
            self._to_trim = None

    async def _keep_settled(self) -> None:
        """Settle after commits, until the store closes."""
        while True:
            await self._unsettled.wait()
            self._unsettled = trio.Event()
            await trio.sleep(SETTLE_S)
            try:
                await self._settle()
            except StoreClosedError:
                return
            except StoreError as error:
                # Nothing is lost: the log has it, and the next commit, or start, brings it up to date.
                logger.warning("the table of documents is behind: %s", error)
                await trio.sleep(RECONNECT_S[1])
                self._unsettled.set()

    async def _follow(self) -> None:
        """Tell what others write, until the store closes."""
        pause_s, is_away = RECONNECT_S[0], False
        while True:
            try:
                await self._refresh()
            except StoreClosedError:
                return
            except StoreError as error:
                if not is_away:
                    logger.error("changes of other gateways wait: %s", error)
                is_away = True
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, RECONNECT_S[1])
                continue
            if is_away:
                logger.info("%s is back", self.name)
            pause_s, is_away = RECONNECT_S[0], False
            await trio.sleep(POLL_S)

    @asynccontextmanager
    async def _followed(self) -> AsyncGenerator[None]:
        async def run() -> None:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow)
                    nursery.start_soon(self._keep_settled)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield
            nursery.cancel_scope.cancel()

    # --------------------------------------------------------------------------- blobs

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        self._check_open()
        return await self._link.run(lambda talk: read_blobs(talk, self._store, prefix))

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        self._check_open()
        latest = {blob.name: blob for blob in blobs}
        size = sum(len(blob.value) + 100 for blob in latest.values())
        if size > MOST_BLOB_BYTES:
            raise StoreTooLargeError(
                f"{len(latest)} blobs have {size} bytes; a store in Cassandra saves up to "
                f"{MOST_BLOB_BYTES} together, so save some of them"
            )
        questions = blob_questions(self._store, latest.values())
        if questions:
            await self._link.run(lambda talk: talk.write_together(questions))
        else:
            await trio.lowlevel.checkpoint()

    # --------------------------------------------------------------------------- the whole

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        counters = check_tallies(told, asked)
        self._check_open()
        return await self._link.run(lambda talk: tally(talk, self._store, told, counters, now))

    @override
    async def read_whole(self) -> Whole:
        await self._refresh()
        replica, store = self._replica, self._store
        rows = replica.remembered()

        def work(talk: Talk) -> Whole:
            past = [
                altered
                for start in range(0, len(rows), BODIES_AT_ONCE)
                for altered in read_past(talk, store, rows[start : start + BODIES_AT_ONCE])
            ]
            history: list[Remembered] = [
                (row.told, {(one.kind, one.id): one.before for one in altered})
                for row, altered in zip(rows, past, strict=True)
            ]
            blobs = read_blobs(talk, store, "")
            return Whole(replica.revision, records, blobs, history)

        records = [*replica.records()]
        try:
            return await self._link.run(work)
        except GoneError:
            raise StoreError(
                f"{self.name} was written to while it was read; stop every gateway that uses it"
            ) from None

    @override
    async def become(self, whole: Whole) -> None:
        # Nobody follows what becomes another store.
        self._scope.cancel()
        url, old = self._link.url, self._store

        def work(talk: Talk) -> tuple[str, Replica]:
            attempt = f"{self._node}-{next(self._attempts)}"
            store = write_whole(talk, url.store, old, whole, attempt)
            return store, load(talk, store, url.shown)

        async with self._queue.lock, self._looking:
            self._check_open()
            self._store, self._replica = await self._link.run(work)
            self._hub.revision = whole.revision
            self._trimmed = min(self._replica.rows, default=whole.revision + 1)

    # --------------------------------------------------------------------------- the end

    def _check_open(self) -> None:
        """Raise `StoreClosedError` when the store was closed."""
        if self._closed:
            raise StoreClosedError(f"the store {self.name} is closed")

    @override
    async def __aenter__(self) -> Self:
        """Begin to follow other gateways; give the store itself."""
        background = self._followed()
        await background.__aenter__()
        self._background = background
        return self

    @override
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store, and end following."""
        try:
            await self.aclose()
        finally:
            background, self._background = self._background, None
            if background is not None:
                # An error of the block goes on as it is, not in a group of the nursery's making.
                await background.__aexit__(None, None, None)

    @override
    async def aclose(self) -> None:
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(CLOSE_WAIT_S):
                async with self._queue.lock:
                    self._closed = True
            self._closed = True
            self._give_up.set()
            await self._link.aclose()
        self._hub.close_nowait()
