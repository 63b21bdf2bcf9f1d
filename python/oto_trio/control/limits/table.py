"""The table of counters that all workers of this machine share.

It lives in memory without a name (memfd), or in a file of the data folder that is unlinked at once where
the system has none. Workers inherit its descriptor as they inherit their listening sockets, so a worker
that is replaced finds every count as it was. It ends with the last process that has it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import trio

from oto_trio import _core
from oto_trio.gateway.clocks import machine_clock_offset_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from oto_trio.control.limits.sharing import LimitsSharer

__all__ = ["SLOTS", "LimitsTable", "utc_offset_s"]

SLOTS: Final = 1 << 18
"""Counters there is room for: 19 MB at the most, and only what is used takes memory."""

SWEEP_PARTS: Final = 64
"""The table is cleared of what is over a part at a time: all of it within a minute, or five."""

SEAL_FLAGS: Final = getattr(fcntl, "F_SEAL_SHRINK", 2) | getattr(fcntl, "F_SEAL_GROW", 4)
ADD_SEALS: Final = getattr(fcntl, "F_ADD_SEALS", 1033)


def _unix_time() -> float:
    return datetime.now(UTC).timestamp()


def utc_offset_s(unix_time: float) -> int:
    """Return how far the server's time zone is east of UTC at a moment, in seconds."""
    offset = datetime.fromtimestamp(unix_time, UTC).astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


class LimitsTable:
    """The table, its descriptor, and who counts calls at once under which number.

    Args:
        folder: Where the file is made on systems without memfd.
        seed: The secret of its keys.
        window_s: The throttling window, 0.001 to 2,000,000 seconds.
        among_processes: Whether workers are processes, whose Trio clocks begin anywhere; otherwise all
            share this run's clock.
        slots: Counters there is room for.
        unix_clock: Reads Unix time; None reads the system's.

    Raises:
        OSError: There is no memory.
    """

    def __init__(
        self,
        folder: Path,
        seed: tuple[int, int],
        *,
        window_s: float = 10.0,
        among_processes: bool = True,
        slots: int = SLOTS,
        unix_clock: Callable[[], float] | None = None,
    ) -> None:
        self.among_processes = among_processes
        self._unix_clock = _unix_time if unix_clock is None else unix_clock
        self._fd = _memory(folder)
        try:
            self.limits = _core.Limits(
                slots=slots,
                seed=seed,
                window_ms=round(window_s * 1000),
                utc_offset_s=utc_offset_s(self._unix_clock()),
                fd=self._fd,
            )
            _seal(self._fd)
        except BaseException:
            os.close(self._fd)
            raise
        if among_processes:
            self.limits.set_clock_offset(machine_clock_offset_s())
        self._gauges: set[int] = set()
        self._part = 0
        self.sharing: LimitsSharer | None = None
        """How it counts together with those of other gateways; None when it counts alone."""

    def fileno(self) -> int:
        """Return the descriptor that workers inherit."""
        return self._fd

    def now(self) -> tuple[float, float]:
        """Return the Trio clock and Unix time, as the counters take them."""
        return trio.current_time(), self._unix_clock()

    def tidy(self) -> None:
        """Free what is over in a part of the table, and follow the time zone; about once a second."""
        now, unix_time = self.now()
        self.limits.sweep(self._part, SWEEP_PARTS, now, unix_time)
        self._part = (self._part + 1) % SWEEP_PARTS
        self.follow_time_zone()

    def follow_time_zone(self) -> None:
        """Tell all workers the time zone's present distance to UTC."""
        self.limits.set_utc_offset(utc_offset_s(self._unix_clock()))

    def take_gauge(self) -> int:
        """Return a number for a new worker.

        Raises:
            ValueError: There are as many workers as the table can count for.
        """
        number = next((n for n in range(1, self.limits.gauges) if n not in self._gauges), None)
        if number is None:
            raise ValueError(f"no more than {self.limits.gauges - 1} workers can share one table")
        self._gauges.add(number)
        return number

    def give_back(self, pid: int | None, gauge: int) -> None:
        """Note that a worker has ended, whatever it was doing.

        Args:
            pid: Its process; None when it never began.
            gauge: Its number.
        """
        self.limits.release(0 if pid is None or pid == os.getpid() else pid, gauge)
        self._gauges.discard(gauge)

    def close(self) -> None:
        """Close the descriptor; this process's own view stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Give the table."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the descriptor."""
        self.close()


def _memory(folder: Path) -> int:
    """Return the descriptor of an empty file without a name."""
    if hasattr(os, "memfd_create"):
        try:
            return os.memfd_create("oto-trio limits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
    descriptor, path = tempfile.mkstemp(prefix="limits-", dir=folder)
    Path(path).unlink()
    return descriptor


def _seal(descriptor: int) -> None:
    """Keep everybody from cutting the file shorter, which would end whoever touches it."""
    try:
        fcntl.fcntl(descriptor, ADD_SEALS, SEAL_FLAGS)
    except OSError:
        return  # no memfd; the file has no name, and nobody but us has it
