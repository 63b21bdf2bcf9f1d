"""How a store tells others what changed.

Theory of operation
-------------------
A feed must not lose a change, must not slow a writer down, and must not grow without bound. So it keeps
only the latest change of each document that its reader has not taken yet: a reader that is behind gets
fewer, larger batches, and what waits for it never exceeds one entry per document. Transactions are told
whole: a batch holds all of a transaction's changes or none (less what a later one overwrote).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from oto_trio.control.store.base import Batch, Change

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = ["Feed", "FeedHub"]


class Feed:
    """Changes of a store for one reader. Iterate over it with ``async for`` to get batches.

    The iteration ends when the store closes, after everything was given out.
    """

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._waiting: dict[tuple[str, str], Change] = {}
        self._closed = False
        self._news = trio.Event()

    def __aiter__(self) -> Feed:
        """Give the feed itself."""
        return self

    async def __anext__(self) -> Batch:
        """Wait for changes and take all there are.

        Cancellation: a checkpoint; nothing is taken when cancelled.
        """
        if not self._waiting and not self._closed:
            await self._news.wait()
        else:
            await trio.lowlevel.checkpoint()
        if not self._waiting:
            raise StopAsyncIteration
        changes, self._waiting = self._waiting, {}
        if not self._closed:
            self._news = trio.Event()
        return Batch(self._revision, tuple(changes.values()))

    @property
    def behind(self) -> int:
        """How many documents changed that were not taken yet."""
        return len(self._waiting)

    def tell_nowait(self, revision: int, changes: Iterable[Change]) -> None:
        """Add the changes of one transaction. For the store only."""
        self._revision = revision
        for change in changes:
            key = (change.kind, change.id)
            self._waiting.pop(key, None)  # so that the order stays that of revisions
            self._waiting[key] = change
        self._news.set()

    def close_nowait(self) -> None:
        """End the feed once everything was given out. For the store only."""
        self._closed = True
        self._news.set()


class FeedHub:
    """The feeds of one store."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        """The latest revision that was told."""
        self._feeds: set[Feed] = set()
        self._closed = False

    @contextmanager
    def subscribe(self) -> Generator[Feed]:
        """Open a feed of every change from now on; it ends with the block."""
        feed = Feed(self.revision)
        if self._closed:
            feed.close_nowait()
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)
            feed.close_nowait()

    def tell_nowait(self, revision: int, changes: tuple[Change, ...]) -> None:
        """Tell every feed the changes of one transaction, in order of revisions."""
        assert revision > self.revision, "revisions are told in order"
        self.revision = revision
        for feed in self._feeds:
            feed.tell_nowait(revision, changes)

    def close_nowait(self) -> None:
        """End every feed."""
        self._closed = True
        for feed in self._feeds:
            feed.close_nowait()
