"""Writes in threads that can be left behind: to standard output, or to a file, whose reader or disk may stand still.

Who waits for such a write can be cancelled, as at the end of the gateway; its thread stays at it, and ends with the process.
Writes to one place take turns, those that were left included, so that no place has more than one such thread, and no
piece comes within another.
"""

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["Writing", "turns_at_standard_output"]

_STANDARD_OUTPUT: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("turns at standard output")


class Writing:
    """One write, which is made once, however often it is waited for.

    Args:
        write: Makes it. Called in a thread; may block for good. It must not write through a buffer of Python's: the process
            could not end while a thread has the lock of one.
    """

    def __init__(self, write: Callable[[], object]) -> None:
        self.is_done = False
        """Whether it was made."""
        self._write = write

    async def made(self, turns: trio.CapacityLimiter) -> None:
        """Wait until it is made.

        Args:
            turns: Of the place that it goes to; with one token.

        Raises:
            Exception: What the write raises. Who waits for it again has it made again.

        Cancellation: the write goes on in its thread if it has begun; who waits for it again waits for that one.
        """
        await trio.to_thread.run_sync(self._make, abandon_on_cancel=True, limiter=turns)

    def _make(self) -> None:
        if not self.is_done:
            self._write()
            self.is_done = True


def turns_at_standard_output() -> trio.CapacityLimiter:
    """Return the turns of all who write to standard output in this Trio run."""
    try:
        return _STANDARD_OUTPUT.get()
    except LookupError:
        turns = trio.CapacityLimiter(1)
        _STANDARD_OUTPUT.set(turns)
        return turns
