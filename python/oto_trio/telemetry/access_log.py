"""The access log: one JSON object a line for each exchange, in a file or on standard output.

Workers send access records in batches; this turns them into lines. Writing happens in a thread, one batch at
a time, so that a slow disk delays nobody; batches that come faster than the disk takes them are dropped and
counted.
"""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import trio

from oto_trio._core import access_lines

__all__ = ["STANDARD_OUTPUT", "AccessLog"]

logger = logging.getLogger(__name__)

STANDARD_OUTPUT: Final = "-"
"""The name of a log that goes to standard output."""

WAITING_BATCHES: Final = 64
"""Batches that wait for the disk, each of 2,048 records at most."""


class AccessLog:
    """Writes access records as they come.

    Args:
        name: The file, which is appended to; `STANDARD_OUTPUT` for standard output.
    """

    def __init__(self, name: str) -> None:
        self.dropped = 0
        """Batches lost because they came faster than they could be written."""
        self._name = name
        self._file = _open(name)
        self._is_failing = False
        self._put, self._take = trio.open_memory_channel[tuple[float, bytes] | None](
            WAITING_BATCHES
        )

    def take(self, unix_offset_s: float, batch: bytes) -> None:
        """Take a batch of records; never blocks.

        Args:
            unix_offset_s: What to add to the records' times to get Unix time.
            batch: A msgpack array of records.
        """
        try:
            self._put.send_nowait((unix_offset_s, batch))
        except trio.WouldBlock:
            self.dropped += 1

    def metrics(self) -> dict[str, int]:
        """Return the counters, for the page of metrics."""
        return {"access_log_batches_dropped": self.dropped}

    async def reopen(self) -> None:
        """Write to a fresh file of the same name from here on, for who rotates the old one away."""
        await self._put.send(None)

    async def run(self) -> None:
        """Write until cancelled, and then what has come so far."""
        try:
            async for item in self._take:
                try:
                    await trio.to_thread.run_sync(self._write, item)
                except trio.Cancelled:
                    # It is raised before the thread begins: what was taken is still to be written.
                    self._write(item)
                    raise
        finally:
            self._flush()

    def _flush(self) -> None:
        """Write what waits, and close the file."""
        while True:
            try:
                item = self._take.receive_nowait()
            except trio.WouldBlock:
                break
            self._write(item)
        self._close()

    def _close(self) -> None:
        """Close the file; what a full disk did not take is lost, and was logged."""
        if self._name != STANDARD_OUTPUT:
            with suppress(OSError):
                self._file.close()

    def _write(self, item: tuple[float, bytes] | None) -> None:
        """Write one batch, or open the file again; a full disk loses batches, and is logged once."""
        try:
            if item is None:
                fresh = _open(self._name)
                self._close()
                self._file = fresh
                return
            offset_s, batch = item
            self._file.write(access_lines(batch, offset_s))
            self._file.flush()
        except (OSError, ValueError) as error:
            # Standard output that was closed, or a worker that sends what is no record: neither ends the gateway.
            self.dropped += item is not None
            if not self._is_failing:
                logger.error("the access log %s cannot be written: %s", self._name, error)
            self._is_failing = True
        else:
            self._is_failing = False


def _open(name: str) -> BinaryIO:
    """Open the log for appending; readable by its owner only, as it tells who asked for what.

    Raises:
        OSError: It cannot be opened.
    """
    if name == STANDARD_OUTPUT:
        return sys.stdout.buffer
    path = Path(name)
    path.touch(mode=0o600)
    return path.open("ab")
