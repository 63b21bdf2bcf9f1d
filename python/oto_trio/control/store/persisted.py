"""A store in memory whose state is kept somewhere: loaded at the start, saved from time to time and at the end.

Durability
----------
What Otoroshi's memory stores promise, and no more: a write is acknowledged once it is in memory, and survives a crash
once the next save is done, `StatePlace.every_s` seconds later at most. A save that fails is tried again at the next
turn, and logged once. For more, use a store on disk or in a server.

One gateway at a time: whoever saves last wins.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

import trio
from typing_extensions import override

from oto_trio.control.store.history import DEFAULT_BOUNDS
from oto_trio.control.store.memory import MemoryStore
from oto_trio.control.store.state_lines import State, read_state, write_state
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from oto_trio.control.store.base import Blob
    from oto_trio.control.store.history import HistoryBounds
    from oto_trio.control.store.state_places import StatePlace
    from oto_trio.control.store.whole import Whole

__all__ = ["PersistedStore"]

logger = logging.getLogger(__name__)

LAST_SAVE_S: Final = 30.0
"""How long the save at the end may take, also when the gateway is told to hurry."""


class PersistedStore(MemoryStore):
    """A store in memory with a place for its state. Make one with ``await PersistedStore.open(place)``.

    It saves by itself for as long as its ``async with`` block lasts.
    """

    def __init__(self, place: StatePlace, state: State, history: HistoryBounds) -> None:
        super().__init__(state.revision, history=history)
        self._place = place
        self._root = state.root
        self._others = state.others
        self._fill(state.records, state.blobs)
        if state.history and state.history[-1][0].revision == state.revision:
            self._history.fill(state.history)
        self._saves_of_blobs = 0
        self._saved: tuple[int, int] | None = self._marks()
        self._saving = trio.Lock()
        self._is_failing = False
        self._background: AbstractAsyncContextManager[None] | None = None

    @classmethod
    async def open(
        cls, place: StatePlace, *, history: HistoryBounds = DEFAULT_BOUNDS
    ) -> PersistedStore:
        """Load the state.

        Args:
            place: Where it is kept; closed with the store.
            history: How much is remembered of its revisions, and saved with the rest.

        Raises:
            StoreError: It cannot be read; the message says why and what to do.
        """
        try:
            text = await place.load()
            state = State()
            if text is not None:
                state = await trio.to_thread.run_sync(read_state, text, place.shown)
        except BaseException:
            with trio.CancelScope(shield=True):
                await place.aclose()
            raise
        logger.info(
            "%s: %s",
            place.shown,
            "there is no state yet" if text is None else f"{len(state.records)} documents loaded",
        )
        return cls(place, state, history)

    @property
    @override
    def name(self) -> str:
        return f"memory, kept in {self._place.shown}"

    def _marks(self) -> tuple[int, int]:
        """Return what changes with every change."""
        return self.revision, self._saves_of_blobs

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        await super().save_blobs(blobs)
        self._saves_of_blobs += 1

    @override
    async def become(self, whole: Whole) -> None:
        await super().become(whole)
        self._others = []
        self._saves_of_blobs += 1
        await self.save()

    async def save(self) -> None:
        """Save the state, if it changed since it was saved.

        Raises:
            StoreError: It could not be saved.
        """
        async with self._saving:
            marks = self._marks()
            if marks == self._saved:
                return
            # Records do not change, so lists of them are all that must be copied here.
            records, blobs = self._content()
            past = self._history.entries()
            state = State(marks[0], records, blobs, list(self._others), self._root, past)
            now_ms = int(datetime.now(UTC).timestamp() * 1000)
            await self._place.save(write_state(state, now_ms))
            self._saved = marks

    async def _save_again_and_again(self) -> None:
        while True:
            await trio.sleep(self._place.every_s)
            try:
                await self.save()
            except StoreError as error:
                if not self._is_failing:
                    logger.error("changes are in memory only: %s", error)
                self._is_failing = True
            else:
                if self._is_failing:
                    logger.info("%s is saved again", self._place.shown)
                self._is_failing = False

    @asynccontextmanager
    async def _saved_meanwhile(self) -> AsyncGenerator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_again_and_again)
            yield
            nursery.cancel_scope.cancel()

    @override
    async def __aenter__(self) -> Self:
        self._background = self._saved_meanwhile()
        await self._background.__aenter__()
        return self

    @override
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store.

        Raises:
            StoreError: The last save failed.
        """
        assert self._background is not None, "it was entered"
        # First the task, so that the last save is alone; an error of the block goes its own way.
        await self._background.__aexit__(None, None, None)
        await self.aclose()

    @override
    async def aclose(self) -> None:
        if self._closed:
            await super().aclose()
            return
        # No write comes after the last save.
        await super().aclose()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SAVE_S) as scope:
            try:
                await self.save()
            except StoreError as error:
                logger.error("what changed since the last save is lost: %s", error)
                raise
            finally:
                await self._place.aclose()
        if scope.cancelled_caught:
            message = f"{self._place.shown}: the last save took more than {LAST_SAVE_S:g} s"
            logger.error("what changed since the last save is lost: %s", message)
            raise StoreError(f"{message}; look why it is so slow")
