"""Writes the access log of the HTTP listeners that have one into the worker's own log.

The engine makes the lines. They are made ready in a thread, in batches, so that no request waits while they are; lines that come
faster than that are lost, and the log says how many. So are those that the log has no room for (`telemetry.log_queue`).
"""

import logging
from typing import Final, Protocol

import trio

__all__ = ["ACCESS_LOGGER", "AccessEngine", "write_access_log"]

ACCESS_LOGGER: Final = "oto_trio.access"
"""The logger that has the lines, at INFO."""

INTERVAL_S: Final = 0.2
"""Seconds between two looks."""

logger = logging.getLogger(ACCESS_LOGGER)


class AccessEngine(Protocol):
    """What is needed of an engine."""

    def take_access_lines(self) -> tuple[bytes, int]:
        """See `Engine.take_access_lines`."""
        ...


async def write_access_log(engine: AccessEngine) -> None:
    """Write the lines again and again until cancelled, and what there is then.

    Args:
        engine: Makes them.

    Cancellation: writes what is left.
    """
    try:
        while True:
            await trio.sleep(INTERVAL_S)
            lines, lost = engine.take_access_lines()
            if lines or lost:
                # A thread that has begun writes all of it; the lines are not the engine's any more.
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(_write, lines, lost)
    finally:
        _write(*engine.take_access_lines())


def _write(lines: bytes, lost: int) -> None:
    for line in lines.decode("ascii", "replace").splitlines():
        logger.info("%s", line)
    if lost:
        logger.warning("%d lines of the access log are lost: they came too fast", lost)
