"""Group commit: transactions that arrive while one is being committed are committed together.

A commit costs milliseconds, whatever it covers. Transactions that arrive while one is under way wait in a
queue; whoever gets the commit lock next commits all of them at once, and the others find their outcome
when they get the lock. No background task is needed, so none can outlive its owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from oto_trio.control.store.history import current_origin
from oto_trio.model.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oto_trio.control.store.base import Change, Seen, Write

__all__ = ["LARGEST_GROUP", "CommitQueue", "Transaction"]

LARGEST_GROUP: Final = 512
"""Transactions committed together at most, so that the first of them need not wait for long."""


class Transaction:
    """Some writes on their way to the disk, what they expect, and what became of them."""

    def __init__(self, writes: Sequence[Write], at: int | None, seen: Sequence[Seen]) -> None:
        self.writes = writes
        self.at = at
        self.seen = seen
        self.origin = (
            current_origin()
        )  # of the task that asks, which is not always the one that commits
        self.revision: int | None = None
        self.changes: tuple[Change, ...] = ()
        self.error: GatewayError | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known."""
        return self.revision is not None or self.error is not None

    def reset(self) -> None:
        """Forget the outcome, before another attempt."""
        self.revision, self.changes, self.error = None, (), None


class CommitQueue:
    """The transactions of one store that wait to be committed.

    Args:
        commit: Commits a group and settles each transaction in it, or raises the error that all of
            them get. It may be cancelled only before it did anything.
    """

    def __init__(self, commit: Callable[[Sequence[Transaction]], Awaitable[None]]) -> None:
        self._commit = commit
        self._waiting: list[Transaction] = []
        self.lock = trio.Lock()
        """Held while a group is committed."""

    async def transact(
        self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
    ) -> int:
        """Commit writes, together with others that wait; see `Store.transact`.

        Cancellation: a checkpoint. When cancelled, the writes may or may not have been made.
        """
        transaction = Transaction(tuple(writes), at, tuple(seen))
        self._waiting.append(transaction)
        try:
            while not transaction.is_settled:
                async with self.lock:
                    if not transaction.is_settled:
                        await self._commit_group()
        finally:
            if transaction in self._waiting:  # cancelled before anyone took it up
                self._waiting.remove(transaction)
        if transaction.error is not None:
            raise transaction.error
        assert transaction.revision is not None, "a settled transaction has an outcome"
        return transaction.revision

    async def _commit_group(self) -> None:
        """Commit what waits, as one. The caller holds the lock."""
        await trio.lowlevel.checkpoint_if_cancelled()
        group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
        try:
            await self._commit(group)
        except trio.Cancelled:
            # Cancelled before the commit began: the others' transactions must not be lost with ours.
            self._waiting = group + self._waiting
            raise
        except GatewayError as error:
            for transaction in group:
                transaction.error = error
