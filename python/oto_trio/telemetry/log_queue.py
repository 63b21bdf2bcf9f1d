"""The queue through which the log of a process goes to standard error.

Whoever reads standard error may stop reading: a stopped terminal, a log collector that hangs. A write would wait then, and
with it whatever logged, which may be the loop that serves everybody. So lines wait in a queue that is bounded, and a thread
of its own writes them. While it is full new lines are lost, and once it moves again a line says how many: those that are kept
are the ones that tell how the trouble began.

A collection of garbage may begin anywhere in here, in the log's own thread too, and run a finalizer that logs. So there is one
lock, the handler's, which the thread that has it may take again; and sums are made before the number that they change is read.
"""

import logging
import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from typing import Final, TextIO
from weakref import WeakSet

from typing_extensions import override

__all__ = ["FLUSH_S", "MOST_BYTES", "QueuedHandler", "write_descriptor", "writer_to"]

MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of lines that wait at most: more than an access log makes between two looks."""
FLUSH_S: Final = 0.8
"""How long a process that ends waits for its last lines to be read; a worker has a second and more from the end of its link."""


class QueuedHandler(logging.Handler):
    """Writes lines in a thread of its own, as far as they are taken; logging never waits for it.

    The last quarter of the queue is for warnings and errors, so that a busy access log does not push them out.

    Args:
        write: Writes some whole lines; may block, and raise `OSError` or `ValueError`, which loses them.
        most_bytes: What may wait.

    `logging` itself flushes and closes it when the process ends.

    A process that is forked has no such thread, and may end without a flush: there a line is written by who logs it, who waits
    for room. What waited at the fork the parent writes.
    """

    def __init__(self, write: Callable[[bytes], None], most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self.lost = 0
        """Lines that were lost so far."""
        self._write = write
        self._most_bytes = most_bytes
        self._waiting: deque[bytes | int] = deque()  # lines; between them how many were lost there
        self._size = 0  # of the lines that wait or are being written
        self._untold = 0
        self._is_full = self._is_failing = self._is_writing = self._is_closed = False
        self._is_ended = self._is_forked = False
        self._last_flush_ends = math.inf  # by the monotonic clock
        # The lock that `logging` takes around a line: with a second one two threads could take them in different order.
        self._changed = threading.Condition(self.lock)
        _handlers.add(self)
        # A daemon: a process must be able to end while its log is stuck.
        threading.Thread(target=self._run, name="log", daemon=True).start()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written. Never blocks, but in a process that was forked."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 (a call with the wrong arguments, in a plugin, raises anything)
            why = type(error).__name__
            text = self.format(_record("a line of %s cannot be formatted: %s", record.name, why))
        self.say(text, is_urgent=record.levelno >= logging.WARNING)

    def say(self, text: str, *, is_urgent: bool) -> None:
        """Have a text written as it is, a line or several. Never blocks, but in a process that was forked.

        Args:
            text: Without the last line end.
            is_urgent: Whether it may have the part of the queue that is kept for such.
        """
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        size = len(line)
        with self._changed:
            if self._is_forked:
                self._say_here(line)
                return
            if self._size <= self._most_bytes // 2:
                self._is_full = False
            most = self._most_bytes if is_urgent else self._most_bytes * 3 // 4
            # A line that is longer than all of the queue may wait alone.
            is_over = bool(self._size) and self._size + size > most
            if self._is_closed or is_over or (self._is_full and not is_urgent):
                self._is_full = True
                self.lost += 1
                self._untold += 1
                return
            if not self._is_full:
                self._mark()
            self._waiting.append(line)
            self._size += size
            self._changed.notify_all()

    @override
    def flush(self) -> None:
        """Wait until all that waits was written, for `FLUSH_S` at most, and no longer than `flush_last` has left."""
        with self._changed:
            # The thread may have missed a finalizer's line, if that came while it was about to wait.
            self._changed.notify_all()
            left_s = self._last_flush_ends - _now_s()
            self._changed.wait_for(self._is_idle, max(0.0, min(FLUSH_S, left_s)))

    def flush_last(self) -> None:
        """Flush as the process ends; what `logging` itself flushes later waits within the same `FLUSH_S`."""
        with self._changed:
            self._last_flush_ends = min(self._last_flush_ends, _now_s() + FLUSH_S)
            self.flush()

    @override
    def close(self) -> None:
        """Take no more lines; the thread ends once those that wait are written."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        super().close()

    def forked(self) -> None:
        """Go on in a process that was just forked, whose one thread this is."""
        # Others may have waited at the old one. Its lock `logging` has made anew.
        self._changed = threading.Condition(self.lock)
        self._waiting.clear()
        self.lost = self._size = self._untold = 0
        self._is_full = self._is_failing = self._is_writing = False
        self._is_ended = self._is_forked = True

    def _say_here(self, line: bytes) -> None:
        """Write a line in this thread."""
        if not self._is_closed:
            with suppress(OSError, ValueError):
                self._write(line)
                return
        self.lost += 1

    def _is_idle(self) -> bool:
        """Whether there is nothing left to write, or to tell where that can be."""
        is_told = self._is_failing or self._is_ended or not self._untold
        return is_told and not (self._waiting or self._is_writing)

    def _mark(self) -> None:
        """Note behind the last line how many are missing there."""
        untold, self._untold = self._untold, 0
        if untold:
            self._waiting.append(untold)

    def _run(self) -> None:
        """Write until closed."""
        while (taken := self._take()) is not None:
            told = b"".join(self._told(it) if isinstance(it, int) else it for it in taken)
            try:
                self._write(told)
            except (OSError, ValueError):  # ValueError: it is closed
                self._is_failing = True
            else:
                self._is_failing = False
            sizes = [len(it) for it in taken if not isinstance(it, int)]
            size, lost = sum(sizes), len(sizes)
            untold = lost + sum(it for it in taken if isinstance(it, int))
            with self._changed:
                if self._is_failing:
                    self.lost += lost
                    self._untold += untold
                self._size -= size
                self._is_writing = False
                self._changed.notify_all()

    def _take(self) -> list[bytes | int] | None:
        """Wait for lines and take some: one, or as many as a pipe takes in one piece, so that no other process's come between.

        Returns:
            None once it is closed, and nothing is left.
        """
        with self._changed:
            while not self._waiting:
                if self._untold and not self._is_failing:
                    self._mark()
                elif self._is_closed:
                    self._is_ended = True
                    self._changed.notify_all()
                    return None
                else:
                    self._changed.wait()
            self._is_writing = True
            taken = [self._waiting.popleft()]
            size = _size(taken[0])
            while self._waiting and size + _size(self._waiting[0]) <= select.PIPE_BUF:
                taken.append(self._waiting.popleft())
                size += _size(taken[-1])
            return taken

    def _told(self, lost: int) -> bytes:
        """Return the line that tells how many lines are missing."""
        record = _record("%d lines of the log are lost: they came faster than they were read", lost)
        return self.format(record).encode() + b"\n"


def writer_to(stream: TextIO | None) -> Callable[[bytes], None]:
    """Return what writes bytes to where a text stream goes.

    Args:
        stream: Such as standard error; None, as it is in a process without one, loses everything.
    """
    if stream is None:
        return _refuse
    try:
        descriptor = stream.fileno()
    except (UnsupportedOperation, ValueError):
        return lambda data: _write_text(stream, data)
    return lambda data: write_descriptor(descriptor, data)


def _refuse(data: bytes) -> None:
    raise OSError(f"there is no such stream for {len(data)} bytes")


def _write_text(stream: TextIO, data: bytes) -> None:
    stream.write(data.decode())
    stream.flush()


def write_descriptor(descriptor: int, data: bytes) -> None:
    """Write everything, and wait for room also where the other owners of a pipe have it not block.

    Raises:
        OSError: It cannot be written.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            room = select.poll()
            room.register(descriptor, select.POLLOUT)
            room.poll()


def _record(message: str, *values: object) -> logging.LogRecord:
    """Return a warning of our own."""
    return logging.LogRecord(__name__, logging.WARNING, "", 0, message, values, None)


def _now_s() -> float:
    return time.monotonic()  # noqa: TID251 (the end of a process is outside of any Trio run)


def _size(item: bytes | int) -> int:
    """Return the bytes that an item takes, about so many where it is a number."""
    return 256 if isinstance(item, int) else len(item)


_handlers: Final[WeakSet[QueuedHandler]] = WeakSet()


def _after_fork() -> None:
    for handler in _handlers:
        handler.forked()


# Behind what `logging` does then, as that was imported before.
os.register_at_fork(after_in_child=_after_fork)
