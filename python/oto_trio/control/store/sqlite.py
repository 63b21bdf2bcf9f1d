"""The embedded store: one SQLite file. Thread: SQLite runs in one worker thread at a time.

Durability
----------
Write-ahead log, ``synchronous=FULL``: `SqliteStore.transact` returns after SQLite's COMMIT, which returns
after the log was synced to disk. An acknowledged change survives ``kill -9`` of the process, and a power
cut as far as the disk keeps what it synced.

Transactions that wait are committed together, with one sync: see `groups`.
"""

from __future__ import annotations

import math
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

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
from oto_trio.control.store.groups import CommitQueue, Transaction
from oto_trio.control.store.history import DEFAULT_BOUNDS, REVISIONS_PAGE, HistoryBounds
from oto_trio.control.store.sqlite_file import FileLock, open_database, store_errors
from oto_trio.control.store.sqlite_history import (
    note_revision,
    read_difference,
    read_revisions,
    remember_documents,
)
from oto_trio.control.store.sqlite_whole import read_whole, write_whole
from oto_trio.control.store.tallies import MemoryTallies
from oto_trio.control.store.whole import CopiedStore, Whole
from oto_trio.model.errors import ConflictError, StoreClosedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.tallies import Tally

__all__ = ["SqliteStore"]

P = ParamSpec("P")
T = TypeVar("T")

CLOSE_WAIT_S: Final = 10.0
"""How long closing waits for the commit under way."""


class SqliteStore(CopiedStore):
    """A store in one SQLite file. Make one with ``await SqliteStore.open(path)``."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: FileLock,
        revision: int,
        history: HistoryBounds,
    ) -> None:
        super().__init__(FeedHub(revision))
        self._history = history
        self._path = path
        self._connection = connection
        self._file_lock = lock
        self._committed = revision  # the thread's own count; the hub's follows when it is told
        self._closed = False
        self._tallies = MemoryTallies()
        self._queue = CommitQueue(self._commit_group)
        self._sqlite_thread = trio.CapacityLimiter(1)
        self.groups = 0
        """Commits made so far, each with one sync; with many writers fewer than transactions."""

    @classmethod
    async def open(cls, path: Path, *, history: HistoryBounds = DEFAULT_BOUNDS) -> SqliteStore:
        """Open the file, or create it (mode 0600) and its folder (mode 0700).

        Args:
            path: The file.
            history: How much is remembered of its revisions.

        Raises:
            StoreError: The file is locked, damaged, foreign, too new or not accessible; the message
                names it and says what to do.
        """
        return await trio.to_thread.run_sync(_open, path, history, thread_name="oto-trio sqlite")

    @property
    @override
    def name(self) -> str:
        return f"sqlite {self._path}"

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something with the connection, alone, in a worker thread.

        Cancellation: checked before the thread starts; what it does is always finished.
        """

        def run() -> T:
            if self._closed:
                raise StoreClosedError(f"the store {self._path} is closed")
            with store_errors(self._path):
                return work(*args, **kwargs)

        return await trio.to_thread.run_sync(
            run, limiter=self._sqlite_thread, thread_name="oto-trio sqlite"
        )

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        rows = await self._in_thread(self._select, "WHERE kind = ? AND id = ?", (kind, entity_id))
        return rows[0] if rows else None

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        return await self._in_thread(
            self._select,
            "WHERE kind = ? AND id > ? ORDER BY id LIMIT ?",
            (kind, after, limit),
        )

    @override
    async def count(self, kind: str) -> int:
        def work() -> int:
            row: tuple[int] = self._connection.execute(
                "SELECT count(*) FROM documents WHERE kind = ?", (kind,)
            ).fetchone()
            return row[0]

        return await self._in_thread(work)

    @override
    async def id_at(self, kind: str, place: int) -> str | None:
        def work() -> str | None:
            # The index of the primary key has all of it, so no document is read.
            row: tuple[str] | None = self._connection.execute(
                "SELECT id FROM documents WHERE kind = ? ORDER BY id LIMIT 1 OFFSET ?",
                (kind, place),
            ).fetchone()
            return None if row is None else row[0]

        return await self._in_thread(work)

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        def work() -> Snapshot:
            records: list[Record] = []
            for kind in sorted(set(kinds)):
                records += self._select("WHERE kind = ? ORDER BY id", (kind,))
            return Snapshot(self._committed, tuple(records))

        return await self._in_thread(work)

    def _select(self, where: str, values: tuple[object, ...]) -> Sequence[Record]:
        """Read records; ``where`` is one of the fixed texts above, never made of input."""
        rows = self._connection.execute(
            f"SELECT kind, id, revision, document FROM documents {where}",  # noqa: S608 (see the docstring)
            values,
        )
        return [Record(*row) for row in rows]

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        check_writes(writes, seen)
        return await self._queue.transact(writes, at=at, seen=seen)

    async def _commit_group(self, group: Sequence[Transaction]) -> None:
        """Commit a group, and tell what it changed."""
        await self._in_thread(self._commit, group)
        self.groups += 1
        for transaction in group:
            if transaction.changes:
                assert transaction.revision is not None, "what changed has a revision"
                self._hub.tell_nowait(transaction.revision, transaction.changes)

    def _commit(self, group: Sequence[Transaction]) -> None:
        """Write a group of transactions with one COMMIT. Runs in the thread."""
        connection = self._connection
        revision = self._committed
        connection.execute("BEGIN IMMEDIATE")
        try:
            for transaction in group:
                try:
                    check_revision(transaction.at, revision)
                    changes = self._apply(transaction, revision + 1)
                except ConflictError as error:
                    transaction.error = error
                    continue
                if changes:
                    revision += 1
                    note_revision(connection, revision, transaction.origin, self._history)
                transaction.changes = changes
                transaction.revision = revision
            connection.execute("UPDATE facts SET value = ? WHERE name = 'revision'", (revision,))
            connection.execute("COMMIT")
        except Exception as error:
            for transaction in group:
                transaction.changes, transaction.revision = (), None
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise
            # Nobody may wait for an outcome that never comes, whatever went wrong.
            raise StoreError(f"{self._path}: writing failed: {error!r}") from error
        self._committed = revision

    def _apply(self, transaction: Transaction, revision: int) -> tuple[Change, ...]:
        """Check what the writes expect, then make them. Runs in the thread, inside a transaction."""
        execute, writes = self._connection.execute, transaction.writes
        for write in (*writes, *transaction.seen):
            if write.expect is not None:
                row: tuple[int] | None = execute(
                    "SELECT revision FROM documents WHERE kind = ? AND id = ?",
                    (write.kind, write.id),
                ).fetchone()
                check_expectation(write, None if row is None else row[0])
        remember_documents(self._connection, writes, revision)
        changes: list[Change] = []
        for write in writes:
            if isinstance(write, Put):
                execute(
                    "INSERT INTO documents VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE "
                    "SET revision = ?3, document = ?4",
                    (write.kind, write.id, revision, write.document),
                )
                changes.append(Change(revision, write.kind, write.id, write.document))
            elif execute(
                "DELETE FROM documents WHERE kind = ? AND id = ?", (write.kind, write.id)
            ).rowcount:
                changes.append(Change(revision, write.kind, write.id, None))
        return tuple(changes)

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._in_thread(
            lambda: read_revisions(self._connection, self._committed, before, limit)
        )

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._in_thread(
            lambda: read_revisions(self._connection, self._committed, before, limit, sought)
        )

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        return await self._in_thread(
            lambda: read_difference(self._connection, self._committed, since, until)
        )

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        def work() -> Sequence[Blob]:
            rows = self._connection.execute(
                "SELECT name, value, expires_at FROM blobs "
                "WHERE substr(name, 1, ?) = ? AND coalesce(expires_at, ?) > ? ORDER BY name",
                (len(prefix), prefix, math.inf, datetime.now(UTC).timestamp()),
            )
            return [Blob(*row) for row in rows]

        return await self._in_thread(work)

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        await self._in_thread(self._save_blobs, blobs)

    def _save_blobs(self, blobs: Sequence[Blob]) -> None:
        """Write blobs with one COMMIT, and drop some that expired. Runs in the thread."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT INTO blobs VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE "
                "SET value = ?2, expires_at = ?3",
                [(blob.name, blob.value, blob.expires_at) for blob in blobs],
            )
            connection.execute(
                "DELETE FROM blobs WHERE name IN (SELECT name FROM blobs "
                "WHERE expires_at <= ? LIMIT 1000)",
                (datetime.now(UTC).timestamp(),),
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosedError(f"the store {self._path} is closed")
        return self._tallies.tally(told, asked, now)

    @override
    async def read_whole(self) -> Whole:
        return await self._in_thread(lambda: read_whole(self._connection, self._committed))

    @override
    async def become(self, whole: Whole) -> None:
        async with self._queue.lock:
            await self._in_thread(write_whole, self._connection, whole)
            self._committed = self._hub.revision = whole.revision

    @override
    async def aclose(self) -> None:
        # The file must be closed although we are cancelled, else the log is not folded into it.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_WAIT_S):
            async with self._queue.lock:
                if self._closed:
                    return
                await self._in_thread(self._close)
        self._hub.close_nowait()

    def _close(self) -> None:
        """Close the file; SQLite folds its log into it. Runs in the thread."""
        self._closed = True
        try:
            self._connection.close()
        finally:
            self._file_lock.release()


def _open(path: Path, history: HistoryBounds) -> SqliteStore:
    """Take the lock and open the database. Runs in a thread."""
    lock = FileLock(path)
    try:
        connection = open_database(path)
        with store_errors(path):
            row: tuple[int] | None = connection.execute(
                "SELECT value FROM facts WHERE name = 'revision'"
            ).fetchone()
        return SqliteStore(path, connection, lock, 0 if row is None else row[0], history)
    except BaseException:
        lock.release()
        raise
