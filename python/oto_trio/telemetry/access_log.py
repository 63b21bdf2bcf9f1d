"""The access log: one JSON object a line for each exchange and each connection of a TCP service, in a file or on standard output.

Workers send records in batches; this turns them into lines. Writing happens in a thread, one batch at
a time, so that a slow disk, or a standard output that nobody reads, delays nobody; batches that come faster than they are
taken are dropped and counted, and the log says how many once there is room again.
"""

import logging
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from oto_trio._core import access_lines
from oto_trio.telemetry.events.tcp_event import tcp_lines
from oto_trio.telemetry.log_queue import write_descriptor, writer_to
from oto_trio.telemetry.writing import Writing, turns_at_standard_output

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FLUSH_S", "STANDARD_OUTPUT", "AccessLog"]

logger = logging.getLogger(__name__)

STANDARD_OUTPUT: Final = "-"
"""The name of a log that goes to standard output."""

WAITING_BATCHES: Final = 64
"""Batches that wait for the disk, each of 2,048 records at most."""

FLUSH_S: Final = 5.0
"""How long a gateway that ends waits for the last batches to be taken."""

_Item: TypeAlias = "tuple[Callable[[bytes, float], bytes], float, bytes] | None"
"""What makes lines of a batch, its offset, and the batch; None for a fresh file."""


class AccessLog:
    """Writes access records as they come.

    Args:
        name: The file, which is appended to; `STANDARD_OUTPUT` for standard output.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self.dropped = 0
        """Batches lost because they came faster than they could be written."""
        self._told = 0  # of these
        self._name = name
        self._place = _Place(name)
        self._is_failing = False
        self._put, self._take = trio.open_memory_channel[_Item](WAITING_BATCHES)

    def take(self, unix_offset_s: float, batch: bytes) -> None:
        """Take a batch of records; never blocks.

        Args:
            unix_offset_s: What to add to the records' times to get Unix time.
            batch: A msgpack array of records.
        """
        self._wait((access_lines, unix_offset_s, batch))

    def take_tcp(self, unix_offset_s: float, batch: bytes) -> None:
        """Take a batch of records of connections of TCP services, as `take` does those of exchanges."""
        self._wait((tcp_lines, unix_offset_s, batch))

    def _wait(self, item: _Item) -> None:
        try:
            self._put.send_nowait(item)
        except trio.WouldBlock:
            self.dropped += 1

    def metrics(self) -> dict[str, int]:
        """Return the counters, for the page of metrics."""
        return {"access_log_batches_dropped": self.dropped}

    async def reopen(self) -> None:
        """Write to a fresh file of the same name from here on, for who rotates the old one away."""
        if self._name != STANDARD_OUTPUT:
            await self._put.send(None)

    async def run(self) -> None:
        """Write until cancelled, and then what has come so far, within `FLUSH_S`; what is left is lost."""
        turns = self._place.turns()
        # The one under way, and at the end what waits.
        left: deque[tuple[Writing, _Item]] = deque()
        try:
            async for item in self._take:
                left.append(self._writing(item))
                await self._write_first(left, turns)
                if self._take.statistics().current_buffer_used <= WAITING_BATCHES // 2:
                    self._tell()
        finally:
            with suppress(trio.WouldBlock):
                while True:
                    left.append(self._writing(self._take.receive_nowait()))
            with trio.move_on_after(FLUSH_S, shield=True):
                while left:
                    await self._write_first(left, turns)
                await Writing(self._place.close).made(turns)
            self.dropped += sum(item is not None for _, item in left)
            self._tell()

    def _writing(self, item: _Item) -> tuple[Writing, _Item]:
        return Writing(partial(self._place.write, item)), item

    def _tell(self) -> None:
        untold, self._told = self.dropped - self._told, self.dropped
        if untold:
            logger.warning(
                "%d batches of the access log %s are lost: they could not be written in time",
                *(untold, self._name),
            )

    async def _write_first(
        self, left: deque[tuple[Writing, _Item]], turns: trio.CapacityLimiter
    ) -> None:
        """Write the first batch, or open the file again; a full disk loses batches, and is logged once.

        Cancellation: it stays the first; if a thread has begun with it, that one goes on.
        """
        writing, item = left[0]
        try:
            await writing.made(turns)
        except (OSError, ValueError) as error:
            # Standard output that was closed, or a worker that sends what is no record: neither ends the gateway.
            self.dropped += item is not None
            if not self._is_failing:
                logger.error("the access log %s cannot be written: %s", self._name, error)
            self._is_failing = True
        else:
            self._is_failing = False
        left.popleft()


class _Place:
    """Where a log goes; used in one thread at a time, but for `turns`.

    Args:
        name: See `AccessLog`.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self._path = None if name == STANDARD_OUTPUT else Path(name)
        self._close: Callable[[], object]
        self._write: Callable[[bytes], object]
        self._open()

    def turns(self) -> trio.CapacityLimiter:
        """Return whose turn it is to write there."""
        return turns_at_standard_output() if self._path is None else trio.CapacityLimiter(1)

    def write(self, item: _Item) -> None:
        """Write a batch, or begin a fresh file.

        Raises:
            OSError: It cannot be written.
            ValueError: It is no batch.
        """
        if item is None:
            close = self._close
            self._open()
            with suppress(OSError):  # see `close`
                close()
            return
        make_lines, offset_s, batch = item
        self._write(make_lines(batch, offset_s))

    def close(self) -> None:
        """Close the file; that some disks tell only then what they did not take changes nothing."""
        with suppress(OSError):
            self._close()

    def _open(self) -> None:
        """Open the log for appending; readable by its owner only, as it tells who asked for what."""
        if self._path is None:
            self._write, self._close = writer_to(sys.stdout), lambda: None
            return
        self._path.touch(mode=0o600)
        file = self._path.open("ab", buffering=0)
        self._write, self._close = partial(write_descriptor, file.fileno()), file.close
