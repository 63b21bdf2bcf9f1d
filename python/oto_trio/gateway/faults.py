"""What is a hook's fault, and how it is logged.

A plugin is foreign code: it may raise anything, call `sys.exit`, or fail ten thousand times a second.
None of it may end the worker or fill the disk.
"""

import logging
import math
from typing import Final, cast

import trio

from oto_trio.gateway.engine import Clock

__all__ = ["LOG_INTERVAL_S", "FaultLog", "split_fault"]

logger = logging.getLogger(__name__)

LOG_INTERVAL_S: Final = 1.0
"""A hook that keeps failing is logged once per interval, with the number of failures between."""


def split_fault(
    error: BaseException,
) -> tuple[BaseException | None, BaseException | None]:
    """Split an error into what must pass on to Trio or the interpreter, and what is a fault.

    Cancellation and interrupts pass, also out of a group; everything else is a fault, even
    `SystemExit` and the `BaseException` that a panic of the engine arrives as.

    Returns:
        Either part, or None where there is none.
    """
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(_is_passing)
    return (error, None) if _is_passing(error) else (None, error)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, (trio.Cancelled, KeyboardInterrupt))


class FaultLog:
    """Logs the failures of hooks with their tracebacks, each hook once per `LOG_INTERVAL_S`.

    Args:
        clock: Reads the Trio clock.
    """

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        """Failures since the start, logged or not."""
        self._clock = clock
        self._hooks: dict[tuple[str, str], _Hook] = {}

    def log(self, plugin: str, phase: str, error: BaseException) -> None:
        """Log and count one failure.

        Args:
            plugin: Id of the plugin.
            phase: The hook that failed.
            error: What it raised.
        """
        self.count += 1
        hook = self._hooks.setdefault((plugin, phase), _Hook())
        now = self._clock()
        if now < hook.silent_until:
            hook.unlogged += 1
            return
        logger.error(
            "plugin %s failed in %s%s",
            plugin,
            phase,
            f" (and {hook.unlogged} times since it was last logged)" if hook.unlogged else "",
            exc_info=error,
        )
        hook.silent_until, hook.unlogged = now + LOG_INTERVAL_S, 0


class _Hook:
    """How one hook fails."""

    __slots__ = ("silent_until", "unlogged")

    def __init__(self) -> None:
        self.silent_until = -math.inf
        self.unlogged = 0
