"""The shared store: a Redis server, for any number of oto-trio nodes. Native: no thread.

Durability
----------
A write is acknowledged when Redis has answered it. What that survives is the server's setting: with
``appendonly yes`` and ``appendfsync always`` a crash of the server and a power cut, as far as its disk keeps
what it synced. Anything less is warned about when the store is opened.

How nodes see each other
------------------------
Every write rings a stream that each node waits on (``XREAD BLOCK``); whoever is woken reads what changed
since the revision it knows. Nothing is lost while a node is cut off: what changed is found by revision, not
by having listened. A node that cannot listen asks every `POLL_S` seconds instead.

After a broken connection
-------------------------
Each write carries a mark. When the connection breaks before the answer came, the same write is sent again
with the same mark for up to `RETRY_S` seconds; the server finds the mark among the latest writes and answers
as it did before, so that nothing is written twice.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from coredis.exceptions import NoScriptError
from typing_extensions import override

from oto_trio.control.store import redis_scripts as scripts
from oto_trio.control.store.base import (
    LIST_PAGE,
    Blob,
    Change,
    Record,
    Seen,
    Snapshot,
    Write,
    check_writes,
)
from oto_trio.control.store.feed import FeedHub
from oto_trio.control.store.history import (
    DEFAULT_BOUNDS,
    REVISIONS_PAGE,
    HistoryBounds,
    current_origin,
)
from oto_trio.control.store.redis_history import RedisHistory, history_word
from oto_trio.control.store.redis_line import Line, StoreUnreachableError
from oto_trio.control.store.redis_tallies import tally
from oto_trio.control.store.redis_url import RedisUrlError, read_redis_url
from oto_trio.control.store.redis_whole import keys_below, read_past, write_whole
from oto_trio.control.store.redis_words import (
    blobs_of,
    change_of,
    check_server,
    conflict_of,
    info_of,
    loss_of,
    record_of,
    words_of,
    words_of_blobs,
)
from oto_trio.control.store.whole import CopiedStore, Whole
from oto_trio.model.errors import (
    StoreClosedError,
    StoreError,
    StoreFileError,
    StoreOutcomeUnknownError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

    from oto_trio.control.store.history import Difference, Revision, Sought
    from oto_trio.control.store.redis_url import RedisUrl
    from oto_trio.control.store.tallies import Tally

__all__ = ["RedisStore"]

logger = logging.getLogger(__name__)

PAGE_BYTES: Final = 8 * 1024 * 1024
"""From so many bytes on an answer ends, and the rest is asked for; one document is always given."""

CHANGES_AT_ONCE: Final = 5000
"""Changed documents read at once, unless one transaction changed more."""

NEWS_KEPT: Final = 4096
"""Revisions by which a writer whose connection broke can find out what became of its write."""

REMOVALS_KEPT: Final = 100_000
"""Removed documents that are remembered for nodes that were cut off; the oldest are forgotten."""

RETRY_S: Final = 2.0
"""How long a request is tried again while the server cannot be reached, as when it restarts."""

RETRY_DELAY_S: Final = 0.02
"""Pause before the first such try; it doubles up to `POLL_S`."""

WAIT_FOR_NEWS_S: Final = 5.0
"""How long a node waits for news before it looks by itself."""

POLL_S: Final = 0.5
"""Pause between looks of a node that cannot wait for news."""

OWN_NEWS_S: Final = 0.05
"""How long the news of a node's own write waits for the writer to tell it."""

LONG_ANSWER_S: Final = 60.0
"""How long the server may take for a transaction, or for what changed: either may be large."""

CLOSE_WAIT_S: Final = 5.0
"""How long closing waits for requests under way."""


class RedisStore(CopiedStore):
    """A store in a Redis server, version 7 or later. Make one with ``await RedisStore.open(url)``.

    Unlike the embedded store it has tasks, so it can be used only within its ``async with``.

    Args:
        url: Where it is.
        tls: How TLS is spoken; None = not at all.
        history: How much is remembered of its revisions.
    """

    is_shared = True

    def __init__(
        self, url: RedisUrl, tls: ssl.SSLContext | None, history: HistoryBounds = DEFAULT_BOUNDS
    ) -> None:
        super().__init__(FeedHub())
        self._bounds = history
        self._history = RedisHistory(self._run_here)
        self._url = url
        self._line = Line(url, tls)
        self._ear = Line(url, tls)
        self._base = f"{{{url.prefix}}}:"
        self._store_id = b""
        self._node = secrets.token_hex(8)
        self._marks = 0
        self._outcomes: dict[int, tuple[int, tuple[Change, ...]]] = {}
        self._catching_up = trio.Lock()
        self._lost: str | None = None
        self._closed = False
        self._under_way = 0
        self._idle = trio.Event()
        self._tasks: AbstractAsyncContextManager[trio.Nursery] | None = None
        # Not the scope of that nursery, which is around the block of whoever uses the store.
        self._life = trio.CancelScope()
        self._found = trio.Event()
        self._is_open = False

    @classmethod
    async def open(cls, url: str, *, history: HistoryBounds = DEFAULT_BOUNDS) -> RedisStore:
        """Read the URL and what it names; the server is asked when the store is entered.

        Args:
            url: Such as ``rediss://user:password@host:6379/0?prefix=oto-trio``.
            history: How much is remembered of its revisions.

        Raises:
            StoreError: The URL is not right, or a file it names cannot be used.
        """
        try:
            read = read_redis_url(url)
        except RedisUrlError as error:
            raise StoreError(f"the URL of `store`: {error}") from None
        try:
            # It reads some files, once.
            tls = await trio.to_thread.run_sync(read.tls_context, thread_name="oto-trio tls files")
        except OSError as error:
            raise StoreError(
                f"{read.shown}: the files of ca, cert or key cannot be used: {error}; correct their "
                "paths in the URL of `store`"
            ) from error
        return cls(read, tls, history)

    @override
    async def __aenter__(self) -> Self:
        """Connect, and begin to follow what others write.

        Raises:
            StoreError: The server cannot be used; the message says why and what to do.
        """
        tasks = self._tasks = trio.open_nursery()
        nursery = await tasks.__aenter__()
        try:
            await nursery.start(self._live)
            await self._find()
            self._found.set()
        except BaseException:
            self._closed = True
            self._life.cancel()
            await tasks.__aexit__(None, None, None)
            raise
        return self

    async def _live(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Own all tasks of the store until it is closed."""
        with self._life:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._line.run)
                await nursery.start(self._ear.run)
                self._is_open = True
                task_status.started()
                await self._found.wait()
                await self._follow()

    @override
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        assert self._tasks is not None, "it was entered"
        try:
            await self.aclose()
        finally:
            # The tasks never fail, so the error of the block goes its way as it is, in no group.
            await self._tasks.__aexit__(None, None, None)

    @property
    @override
    def name(self) -> str:
        return f"redis {self._url.shown}"

    # ---------------------------------------------------------------------------- asking the server

    @contextmanager
    def _counted(self) -> Generator[None]:
        """Note that a request is under way, which closing waits for.

        Raises:
            StoreError: The store is closed, or must not be used any more.
        """
        if self._closed or not self._is_open:
            raise StoreClosedError(f"the store {self._url.shown} is closed")
        if self._lost is not None:
            raise StoreError(self._lost)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _ask(
        self,
        *words: str | bytes | int,
        again: Sequence[str | bytes | int] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Send a command, again and again for `RETRY_S` while the server cannot be reached.

        Args:
            words: The command.
            again: What is sent at further tries, if something else.
            timeout_s: How long an answer is waited for; None = as for any command.

        Raises:
            StoreError: It cannot be carried out.
            StoreOutcomeUnknownError: It was a write that the server may have got.
        """
        deadline, delay_s = trio.current_time() + RETRY_S, RETRY_DELAY_S
        is_sent = False
        with self._counted():
            while True:
                try:
                    return await self._line.ask(*words, timeout_s=timeout_s)
                except StoreUnreachableError as error:
                    is_sent = is_sent or error.is_sent
                    if trio.current_time() + delay_s > deadline:
                        if again is not None and is_sent:
                            raise StoreOutcomeUnknownError(
                                f"{error}; it may have got a write before, so read that again before "
                                "you repeat it"
                            ) from error
                        raise
                await trio.sleep(delay_s)
                delay_s = min(delay_s * 2, POLL_S)
                words = words if again is None else tuple(again)

    async def _run(
        self,
        script: scripts.Script,
        *words: str | bytes | int,
        again: Sequence[str | bytes | int] | None = None,
    ) -> list[Any]:
        """Run a script in the server; the arguments are as for `_ask`.

        Raises:
            StoreError: It cannot be run, or the server holds another store by now.
        """
        rest = (1, self._base + "facts")
        is_long = script in (scripts.TRANSACT, scripts.CHANGES, scripts.TOUCHED, scripts.STATES)
        timeout_s = LONG_ANSWER_S if is_long else None
        try:
            answer: list[Any] = await self._ask(
                "EVALSHA",
                *(script.sha, *rest, *words),
                again=None if again is None else ("EVALSHA", script.sha, *rest, *again),
                timeout_s=timeout_s,
            )
        except NoScriptError:  # the server is new, or was restarted
            answer = await self._ask(
                "EVAL",
                *(script.text, *rest, *(words if again is None else again)),
                timeout_s=timeout_s,
            )
        if answer[0] in {b"foreign", b"back", b"gap"}:
            self._lost = loss_of(answer, self._url.shown, self.revision, REMOVALS_KEPT)
            logger.error("%s", self._lost)
            raise StoreError(self._lost)
        return answer

    async def _run_here(self, script: scripts.Script, *words: str | bytes | int) -> list[Any]:
        """Run a script that wants the id of the store first."""
        return await self._run(script, self._store_id, *words)

    async def _find(self) -> None:
        """Find the store in the server, or make it, and look whether the server keeps it well.

        Raises:
            StoreError: It cannot be used.
        """
        where = self._url.shown
        info = info_of(await self._ask("INFO", "everything"))
        check_server(info, where)
        facts = await self._run(scripts.OPEN, secrets.token_hex(16), scripts.SCHEMA)
        if int(facts[2]) > scripts.SCHEMA:
            raise StoreFileError(
                f"{where} was written by a newer oto-trio (schema {int(facts[2])}); install that version"
            )
        self._store_id = facts[0]
        self._hub.revision = int(facts[1])
        if info.get("aof_enabled") != "1":
            logger.warning(
                "%s keeps no append-only file, so a crash of it loses writes that were answered; set "
                "appendonly yes and appendfsync always",
                where,
            )

    # ------------------------------------------------------------------------------------- reading

    @override
    async def get(self, kind: str, entity_id: str) -> Record | None:
        value: bytes | None = await self._ask("HGET", f"{self._base}docs:{kind}", entity_id)
        return None if value is None else record_of(kind, entity_id, value)

    @override
    async def list(self, kind: str, *, after: str = "", limit: int = LIST_PAGE) -> Sequence[Record]:
        records: list[Record] = []
        while True:
            wanted = min(limit - len(records), LIST_PAGE)
            found, *page = await self._run(scripts.PAGE, kind, after, wanted, PAGE_BYTES)
            records += [
                record_of(kind, page[n].decode(), page[n + 1]) for n in range(0, len(page), 2)
            ]
            # Fewer than were found: the answer had become large. As many as asked for: there may be more.
            is_last = len(page) // 2 == found and found < wanted
            if is_last or len(records) >= limit:
                return records
            after = records[-1].id

    @override
    async def count(self, kind: str) -> int:
        number: int = await self._ask("HLEN", f"{self._base}docs:{kind}")
        return number

    @override
    async def snapshot(self, kinds: Sequence[str]) -> Snapshot:
        # The pages are read one by one, so that the server goes on with other work between them. What
        # changed meanwhile is laid over them: the result is the state at the revision of the last look.
        facts: list[bytes] = await self._ask("HMGET", f"{self._base}facts", "revision")
        revision = int(facts[0] or 0)
        found: dict[tuple[str, str], Record] = {}
        for kind in sorted(set(kinds)):
            async for record in self.walk(kind):
                found[kind, record.id] = record
        latest = None
        while latest is None or revision < latest:
            revision, latest, changes = await self._changes(revision)
            for change in changes:
                if change.document is None:
                    found.pop((change.kind, change.id), None)
                elif change.kind in kinds:
                    found[change.kind, change.id] = Record(
                        change.kind, change.id, change.revision, change.document
                    )
        return Snapshot(revision, tuple(found[key] for key in sorted(found)))

    @override
    async def revisions(
        self, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._history.revisions(before, limit)

    @override
    async def find_revisions(
        self, sought: Sought, *, before: int | None = None, limit: int = REVISIONS_PAGE
    ) -> Sequence[Revision]:
        return await self._history.find(sought, before, limit)

    @override
    async def difference(self, since: int, until: int | None = None) -> Difference:
        return await self._history.difference(since, until)

    async def _changes(self, since: int) -> tuple[int, int, Sequence[Change]]:
        """Read what changed after a revision: up to which one this tells all, the latest one, and what."""
        _, upto, latest, *rows = await self._run(
            scripts.CHANGES, self._store_id, since, CHANGES_AT_ONCE, PAGE_BYTES
        )
        changes: list[Change] = []
        for n in range(0, len(rows), 3):
            kind, _, entity_id = rows[n].decode().partition("\n")
            document = rows[n + 2].partition(b"\n")[2] if rows[n + 2] else None
            changes.append(Change(int(rows[n + 1]), kind, entity_id, document))
        return upto, latest, changes

    # ------------------------------------------------------------------------------------- writing

    @override
    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        check_writes(writes, seen)
        words = words_of(writes, at, seen)
        self._marks += 1
        first: Sequence[str | bytes | int] = [
            self._store_id,
            self.revision,
            f"{self._node}:{self._marks}",
        ]
        history = history_word(current_origin(), self._bounds)
        rest: Sequence[str | bytes | int] = [NEWS_KEPT, REMOVALS_KEPT, history, *words]
        answer = await self._run(scripts.TRANSACT, *first, "", *rest, again=[*first, "1", *rest])
        match answer:
            case [b"conflict" | b"moved", *numbers]:
                raise conflict_of(cast("list[int]", numbers), writes, at, seen)
            case [b"unsure"]:
                raise StoreOutcomeUnknownError(
                    f"{self._url.shown}: the connection broke, and too much was written since to say "
                    "whether this write was kept; read it again"
                )
            case [b"again", int(revision)]:
                await self._catch_up(revision)
                return revision
            case [b"ok", int(before), int(revision), *numbers]:
                written = cast("list[int]", numbers)
                changes = tuple(change_of(writes[number], revision) for number in written)
                await self._settle(before, revision, changes)
                return revision
            case _:
                raise StoreError(f"{self._url.shown} answers what it should not: {answer[:1]!r}")

    async def _settle(self, before: int, revision: int, changes: tuple[Change, ...]) -> None:
        """Tell the feeds what was written, and before that what others wrote meanwhile."""
        if changes:
            self._outcomes[before] = (revision, changes)
            self._tell_outcomes_nowait()
        if self.revision < revision:
            await self._catch_up(revision)

    def _tell_outcomes_nowait(self) -> None:
        """Tell the feeds own writes that follow on what they know, and forget those they know."""
        while (next_one := self._outcomes.pop(self.revision, None)) is not None:
            self._hub.tell_nowait(*next_one)
        for before in [before for before in self._outcomes if before < self.revision]:
            del self._outcomes[before]

    async def _catch_up(self, revision: int | None = None) -> None:
        """Tell the feeds all that changed, up to a revision at least; None = up to the latest.

        Raises:
            StoreError: The server cannot be asked.
        """
        async with self._catching_up:
            while revision is None or self.revision < revision:
                upto, latest, changes = await self._changes(self.revision)
                known = self.revision  # it may have grown meanwhile
                if upto > known:
                    self._hub.tell_nowait(upto, tuple(c for c in changes if c.revision > known))
                    self._tell_outcomes_nowait()
                if self.revision >= latest:
                    return

    # ---------------------------------------------------------------------------------- following

    async def _follow(self) -> None:
        """Tell the feeds what other nodes write, until cancelled; a failure is tried again."""
        is_deaf = False
        while self._lost is None:
            try:
                is_own = await self._hear()
                is_deaf = False
            except StoreError as error:
                if not is_deaf:
                    logger.warning("what other gateways write is asked for, not told: %s", error)
                is_deaf, is_own = True, False
                await trio.sleep(POLL_S)
            if is_own:
                continue
            try:
                await self._catch_up()
            except StoreError as error:
                logger.debug("the store does not answer: %s", error)
                await trio.sleep(POLL_S)

    async def _hear(self) -> bool:
        """Wait for news, for `WAIT_FOR_NEWS_S` at most.

        Returns:
            Whether the next news is of a write of our own, which its writer has told.

        Raises:
            StoreError: It cannot be waited for.
        """
        key = f"{self._base}news"
        known = self.revision
        answer: Any = await self._ear.ask(
            *("XREAD", "COUNT", 1, "BLOCK", round(WAIT_FOR_NEWS_S * 1000)),
            *("STREAMS", key, f"{known}-0"),
        )
        if not answer:
            return False
        # A map of one stream, with one entry: its id, and the fields and their values.
        ((entry_id, fields),) = answer[key.encode()]
        if not fields[1].startswith(self._node.encode()):
            return False
        revision = int(entry_id.partition(b"-")[0])
        if self.revision < revision:
            await trio.sleep(OWN_NEWS_S)
        return self.revision >= revision

    # -------------------------------------------------------------------------------------- blobs

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        blobs: list[Blob] = []
        is_last, after = 0, ""
        while not is_last:
            is_last, name, *rows = await self._run(
                scripts.BLOBS_LOAD, prefix, after, LIST_PAGE, PAGE_BYTES
            )
            after = name.decode()
            blobs += blobs_of(rows)
        return blobs

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        await self._run_here(scripts.BLOBS_SAVE, *words_of_blobs(blobs))

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        return await tally(self._run_here, told, asked, now)

    @override
    async def read_whole(self) -> Whole:
        start = f"{self._base}docs:"
        kinds = [key.removeprefix(start) for key in await keys_below(self._ask, start)]
        snapshot = await self.snapshot(kinds)
        newest = await self.revisions(before=snapshot.revision + 1, limit=snapshot.revision)
        past = await read_past(self._ask, self._base, reversed(newest))
        blobs = await self.load_blobs("")
        return Whole(snapshot.revision, list(snapshot.records), list(blobs), past)

    @override
    async def become(self, whole: Whole) -> None:
        async with self._catching_up:
            self._store_id = await write_whole(self._ask, self._base, whole)
            self._hub.revision = whole.revision

    @override
    async def aclose(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        # What is under way gets its answer although we are cancelled, else nobody knows what became of it.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_WAIT_S):
            while self._under_way:
                self._idle = trio.Event()
                await self._idle.wait()
        self._life.cancel()
        self._hub.close_nowait()
