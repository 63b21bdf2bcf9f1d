"""The store for several gateways: a PostgreSQL database. Threads: one for each of three connections.

Durability
----------
`PostgresStore.transact` returns after the server's COMMIT with ``synchronous_commit`` on: an acknowledged
change survives ``kill -9`` of the server and a power cut, as far as the server runs with ``fsync`` and its
disk keeps what it synced. When the connection breaks while a COMMIT is under way, the server is asked later
what became of that transaction, so that its outcome is known, not guessed.

One sequence of revisions
-------------------------
A transaction first locks the row that holds the revision. So writers of all gateways stand in one line,
each sees everything that was written before, and revisions neither repeat nor leave gaps. Transactions of
one gateway that wait are committed together (`groups`), which is what makes the line short.

How gateways see each other
---------------------------
Each commit sends a NOTIFY; every gateway listens on a connection of its own and, woken by Trio's own loop
and not by a blocked thread, asks for what is newer than what it has told. A NOTIFY carries nothing: losing
one costs at most `HEARTBEAT_S`. After a break of the connection the same question closes the gap.
"""

from __future__ import annotations

import logging
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg
import trio
from typing_extensions import override

from oto_trio.control.store.base import (
    LIST_PAGE,
    Blob,
    Change,
    Record,
    Seen,
    Snapshot,
    Write,
    check_revision,
    check_writes,
)
from oto_trio.control.store.feed import FeedHub
from oto_trio.control.store.groups import CommitQueue, Transaction
from oto_trio.control.store.history import (
    DEFAULT_BOUNDS,
    REVISIONS_PAGE,
    HistoryBounds,
    Sought,
)
from oto_trio.control.store.postgres_history import (
    note_revision,
    read_difference,
    read_revisions,
)
from oto_trio.control.store.postgres_link import Connection, Link, Target, target_of
from oto_trio.control.store.postgres_schema import (
    CHANNEL,
    News,
    prepare,
    read_news,
)
from oto_trio.control.store.postgres_tallies import tally
from oto_trio.control.store.postgres_whole import read_whole, write_whole
from oto_trio.control.store.postgres_writes import CHUNK, apply, forget_marks
from oto_trio.control.store.tallies import check_tallies
from oto_trio.control.store.whole import CopiedStore, Whole
from oto_trio.model.errors import (
    ConflictError,
    StoreClosedError,
    StoreError,
    StoreOutcomeUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from oto_trio.control.store.history import Difference, Revision
    from oto_trio.control.store.tallies import Tally

__all__ = ["PostgresStore"]

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 5.0
"""How often the store is asked for news although nobody sent a NOTIFY; it also finds a dead server."""

LOOK_S: Final = 5.0
"""How often connections are looked at; a server that freezes is given up after 45 to 50 seconds."""

RECONNECT_S: Final = (0.1, 2.0)
"""The first and the longest pause before the listening connection is made anew."""

OUTCOME_ATTEMPTS: Final = 12
"""How often the server is asked for the outcome of a COMMIT that the connection did not survive."""

OUTCOME_PAUSE_S: Final = 0.5
"""The pause between these attempts: a server that restarts is waited for about six seconds."""

CLOSE_WAIT_S: Final = 10.0
"""How long closing waits for what is under way, and once more after breaking that off."""


class _AbortedError(psycopg.OperationalError):
    """The connection broke at a COMMIT, and nothing was kept: it may be tried again."""


class PostgresStore(CopiedStore):
    """A store in a PostgreSQL database. Make one with ``await PostgresStore.open(url)``.

    It follows what other gateways write for as long as its ``async with`` block lasts.
    """

    is_shared = True

    def __init__(
        self,
        target: Target,
        writer: Link,
        revision: int,
        keys: set[tuple[str, str]],
        history: HistoryBounds,
    ) -> None:
        super().__init__(FeedHub(revision))
        self._history = history
        self._target = target
        self._writer = writer
        self._reader = Link(target, "reader")
        self._heard = False
        self._listener = Link(target, "listener", self._listen)
        self._links = (self._writer, self._reader, self._listener)
        self._keys = keys
        self._closed = False
        self._queue = CommitQueue(self._commit_group)
        self._following = trio.CancelScope()
        self._ended_following: trio.Event | None = None
        self._background: AbstractAsyncContextManager[None] | None = None
        self._give_up = threading.Event()
        self.groups = 0
        """Commits made so far; with many writers fewer than transactions."""

    @classmethod
    async def open(cls, url: str, *, history: HistoryBounds = DEFAULT_BOUNDS) -> PostgresStore:
        """Connect, and make the tables when they are missing.

        Args:
            url: A url of libpq: ``postgresql://user:password@host:5432/database?sslmode=verify-full``.
                What it leaves out comes from libpq's environment, such as ``PGPASSWORD``.
            history: How much is remembered of its revisions.

        Raises:
            StoreError: The server cannot be used, or its store is too new; the message names the url
                without its password, and says what to do.
        """
        target = target_of(url)
        writer = Link(target, "writer")
        try:
            revision, keys = await writer.run(lambda link: prepare(link, target.shown))
        except BaseException:
            with trio.CancelScope(shield=True):
                await writer.aclose()
            raise
        return cls(target, writer, revision, keys, history)

    @property
    @override
    def name(self) -> str:
        return self._target.shown

    # --------------------------------------------------------------------------- reading

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        if not (_can_be_stored(kind) and _can_be_stored(entity_id)):
            entity_id = kind = ""  # asked all the same: a closed store must say so
        rows = await self._select("WHERE kind = %s AND id = %s", (kind, entity_id))
        return rows[0] if rows else None

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        kind = kind if _can_be_stored(kind) else ""
        # No stored id holds a NUL, so those behind "a\0b" are those behind "a".
        after = after.partition("\0")[0]
        return await self._select(
            "WHERE kind = %s AND id > %s ORDER BY id LIMIT %s", (kind, after, limit)
        )

    @override
    async def count(self, kind: str) -> int:
        kind = kind if _can_be_stored(kind) else ""

        def work(connection: Connection) -> int:
            row = connection.execute(
                "SELECT count(*) FROM oto_trio.documents WHERE kind = %s", [kind]
            ).fetchone()
            assert row is not None, "a count is one row"
            return int(row[0])

        return await self._reader.run(work)

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        def work(connection: Connection) -> Snapshot:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            revision, _ = _facts(connection)
            rows = connection.execute(
                "SELECT kind, id, revision, document FROM oto_trio.documents "
                "WHERE kind = ANY(%s) ORDER BY kind, id",
                [sorted(set(kinds))],
                binary=True,
            )
            records = tuple(Record(*row) for row in rows)
            connection.execute("COMMIT")
            return Snapshot(revision, records)

        return await self._reader.run(work)

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self.find_revisions(Sought(), before=before, limit=limit)

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        def work(connection: Connection) -> Sequence[Revision]:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            revisions = read_revisions(connection, before, limit, sought)
            connection.execute("COMMIT")
            return revisions

        return await self._reader.run(work)

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        def work(connection: Connection) -> Difference:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            difference = read_difference(connection, since, until)
            connection.execute("COMMIT")
            return difference

        return await self._reader.run(work)

    async def _select(self, where: str, values: tuple[object, ...]) -> Sequence[Record]:
        """Read records; ``where`` is one of the fixed texts above, never made of input."""
        question = f"SELECT kind, id, revision, document FROM oto_trio.documents {where}"  # noqa: S608

        def work(connection: Connection) -> Sequence[Record]:
            rows = connection.execute(question.encode(), values, binary=True)
            return [Record(*row) for row in rows]

        return await self._reader.run(work)

    # --------------------------------------------------------------------------- writing

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        check_writes(writes, seen)
        return await self._queue.transact(writes, at=at, seen=seen)

    async def _commit_group(self, group: Sequence[Transaction]) -> None:
        """Commit a group and tell what came of it, and what others wrote before it."""
        since = self._hub.revision

        def work(connection: Connection) -> News:
            for transaction in group:
                transaction.reset()
            return self._commit(connection, group, since)

        news = await self._writer.run(work)
        self.groups += 1
        self._tell(news)
        for transaction in group:
            if transaction.changes:
                assert transaction.revision is not None, "what changed has a revision"
                self._tell(News(transaction.revision, transaction.changes, None))

    def _commit(self, connection: Connection, group: Sequence[Transaction], since: int) -> News:
        """Write a group of transactions with one COMMIT. Runs in the thread."""
        connection.execute("BEGIN")
        # Everybody who writes waits here; whoever goes on sees all that was written before.
        row = connection.execute(
            "SELECT value, pg_current_xact_id()::text FROM oto_trio.facts WHERE name = 'revision' "
            "FOR UPDATE"
        ).fetchone()
        if row is None:
            raise StoreError(f"{self.name}: the row of the revision is gone; restore a backup")
        xact: str = row[1]
        facts = _facts(connection)
        news = read_news(connection, since, facts, self.name)
        revision = facts[0]
        removes = False
        for transaction in group:
            try:
                check_revision(transaction.at, revision)
                changes = apply(connection, transaction.writes, transaction.seen, revision + 1)
            except ConflictError as error:
                transaction.error = error
                continue
            if changes:
                revision += 1
                note_revision(connection, revision, transaction.origin, self._history)
            transaction.changes = changes
            transaction.revision = revision
            removes = removes or any(change.document is None for change in changes)
        if revision == facts[0]:
            connection.execute("ROLLBACK")  # nothing was written
            return news
        connection.execute(
            "UPDATE oto_trio.facts SET value = %s WHERE name = 'revision'", [revision]
        )
        if removes:
            forget_marks(connection)
        connection.execute(f"NOTIFY {CHANNEL}".encode())
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            self._settle(xact, error)
        return news

    def _settle(self, xact: str, cause: psycopg.OperationalError) -> None:
        """Find out what became of a COMMIT that the connection did not survive. Runs in the thread.

        Raises:
            psycopg.OperationalError: It was not made.
            StoreOutcomeUnknownError: The server does not come back, or does not know any more.
        """
        self._writer.drop()
        for _ in range(OUTCOME_ATTEMPTS):
            try:
                row = (
                    self._writer.connect()
                    .execute("SELECT pg_xact_status(%s::xid8)", [xact])
                    .fetchone()
                )
            except (psycopg.Error, StoreClosedError):
                self._writer.drop()
                row = ("in progress",)
            status = None if row is None else row[0]
            if status == "committed":
                return
            if status == "aborted":
                self._writer.drop()
                raise _AbortedError(str(cause)) from cause
            if status is None or self._give_up.wait(OUTCOME_PAUSE_S):
                break
        raise StoreOutcomeUnknownError(
            f"{self.name} went away while a change was committed, and cannot tell whether it was kept; "
            "read it again before you repeat it"
        ) from cause

    # --------------------------------------------------------------------------- telling

    def _tell(self, news: News) -> None:
        """Tell feeds what they do not know yet. Everything up to the hub's revision was told."""
        known = self._hub.revision
        if news.revision <= known:
            return
        changes = [change for change in news.changes if change.revision > known]
        if news.there is not None:
            told = {(change.kind, change.id) for change in changes}
            changes += [
                Change(news.revision, kind, entity_id, None)
                for kind, entity_id in sorted(self._keys - news.there - told)
            ]
        for change in changes:
            if change.document is None:
                self._keys.discard((change.kind, change.id))
            else:
                self._keys.add((change.kind, change.id))
        self._hub.tell_nowait(news.revision, tuple(changes))

    def _listen(self, connection: Connection) -> None:
        """Listen on a new connection. Runs in the thread."""

        def heard(_: psycopg.Notify) -> None:
            self._heard = True

        connection.add_notify_handler(heard)
        connection.execute(f"LISTEN {CHANNEL}".encode())

    async def _look(self) -> None:
        """Ask what others wrote, until nothing more was heard meanwhile, and tell it."""

        def work(connection: Connection) -> News:
            self._heard = False
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            news = read_news(connection, since, _facts(connection), self.name)
            connection.execute("COMMIT")
            return news

        while True:
            since = self._hub.revision
            self._tell(await self._listener.run(work))
            if not self._heard:
                return

    async def _follow(self) -> None:
        """Tell what others write, as soon as they wrote it, until the store closes."""
        pause_s, is_away = RECONNECT_S[0], False
        with self._following:
            while True:
                try:
                    await self._look()
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
                descriptor = self._listener.descriptor
                if descriptor is not None:
                    with trio.move_on_after(HEARTBEAT_S):
                        await trio.lowlevel.wait_readable(descriptor)

    @asynccontextmanager
    async def _followed(self) -> AsyncGenerator[None]:
        ended = self._ended_following = trio.Event()

        async def follow() -> None:
            try:
                await self._follow()
            finally:
                ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            nursery.start_soon(self._watch)
            yield
            nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        """Break connections off on which the server has been silent for too long."""
        while True:
            await trio.sleep(LOOK_S)
            for link in self._links:
                link.look()

    # --------------------------------------------------------------------------- blobs

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        def work(connection: Connection) -> Sequence[Blob]:
            rows = connection.execute(
                "SELECT name, value, expires_at FROM oto_trio.blobs WHERE starts_with(name, %s) "
                "AND (expires_at IS NULL OR expires_at > %s) ORDER BY name",
                (prefix, datetime.now(UTC).timestamp()),
                binary=True,
            )
            return [Blob(*row) for row in rows]

        return await self._reader.run(work)

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        # In order of names, so that two gateways never wait for each other.
        latest = sorted({blob.name: blob for blob in blobs}.values(), key=lambda blob: blob.name)

        def work(connection: Connection) -> None:
            connection.execute("BEGIN")
            for start in range(0, len(latest), CHUNK):
                some = latest[start : start + CHUNK]
                connection.execute(
                    "INSERT INTO oto_trio.blobs SELECT * FROM "
                    "unnest(%s::text[], %b::bytea[], %s::float8[]) "
                    "ON CONFLICT (name) DO UPDATE "
                    "SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at",
                    (
                        [blob.name for blob in some],
                        [blob.value for blob in some],
                        [blob.expires_at for blob in some],
                    ),
                )
            connection.execute(
                "DELETE FROM oto_trio.blobs WHERE name IN (SELECT name FROM oto_trio.blobs "
                "WHERE expires_at <= %s LIMIT 1000 FOR UPDATE SKIP LOCKED)",
                [datetime.now(UTC).timestamp()],
            )
            connection.execute("COMMIT")

        # Writing them twice is writing them once, so a broken connection at the end is no question.
        await self._writer.run(work)

    # --------------------------------------------------------------------------- the end

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
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        counters = check_tallies(told, asked)
        # Telling twice is telling once, so a broken connection at the end is no question.
        return await self._writer.run(lambda connection: tally(connection, told, counters, now))

    @override
    async def read_whole(self) -> Whole:
        return await self._reader.run(read_whole)

    @override
    async def become(self, whole: Whole) -> None:
        def work(connection: Connection) -> None:
            write_whole(connection, whole)

        # Nobody follows what becomes another store, and it must not look as if it went back.
        self._following.cancel()
        async with self._queue.lock:
            await self._writer.run(work, again=False)
            self._hub.revision = whole.revision
            self._keys = {(record.kind, record.id) for record in whole.records}

    @override
    async def aclose(self) -> None:
        self._following.cancel()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(CLOSE_WAIT_S):
                await self._close()
            if not self._closed:
                self._give_up.set()
                for link in self._links:
                    link.break_off(for_good=True)
                with trio.move_on_after(CLOSE_WAIT_S):
                    await self._close()
        self._hub.close_nowait()

    async def _close(self) -> None:
        """Close the connections, each after what is under way on it."""
        if self._ended_following is not None:
            # A socket must not be closed while a task waits on it.
            await self._ended_following.wait()
        async with self._queue.lock:
            async with trio.open_nursery() as nursery:
                for link in self._links:
                    nursery.start_soon(link.aclose)
            self._closed = True


def _can_be_stored(text: str) -> bool:
    """Tell whether PostgreSQL can hold a text; what it cannot hold is not there."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _facts(connection: Connection) -> tuple[int, int]:
    """Read the latest revision and the horizon. Runs in the thread."""
    rows = connection.execute("SELECT name, value FROM oto_trio.facts")
    facts: dict[str, Any] = dict(rows.fetchall())
    return facts["revision"], facts["horizon"]
