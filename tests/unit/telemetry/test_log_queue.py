"""The queue of a log, and what becomes of lines that nobody takes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from oto_trio.telemetry import log_queue
from oto_trio.telemetry.log_queue import QueuedHandler, writer_to

if TYPE_CHECKING:
    from collections.abc import Callable

GUARD_S = 60.0


@pytest.fixture(autouse=True)
def patient_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a flush wait for the thread that writes, however long the machine keeps it."""
    monkeypatch.setattr(log_queue, "FLUSH_S", GUARD_S)


class Reader:
    """Takes what is written, while it is let."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.error: Exception | None = None
        self.may_take = threading.Event()
        self.is_asked = threading.Event()
        self.may_take.set()

    def write(self, data: bytes) -> None:
        self.is_asked.set()
        assert self.may_take.wait(GUARD_S)
        if self.error is not None:
            raise self.error
        self.pieces.append(data)

    @property
    def lines(self) -> list[str]:
        return b"".join(self.pieces).decode().splitlines()

    def stop(self, handler: QueuedHandler) -> None:
        """Take nothing any more; a line that it was asked to take is held."""
        self.may_take.clear()
        self.is_asked.clear()
        handler.say("held", is_urgent=False)
        assert self.is_asked.wait(GUARD_S)

    def go_on(self, handler: QueuedHandler) -> None:
        self.may_take.set()
        handler.flush()


def lost(count: int) -> str:
    return f"{count} lines of the log are lost: they came faster than they were read"


def numbered(handler: QueuedHandler, *numbers: int, is_urgent: bool = False) -> None:
    for number in numbers:
        handler.say(f"{number:09}", is_urgent=is_urgent)


def test_lines_are_written_in_their_order_and_several_at_once_up_to_what_a_pipe_takes_whole() -> (
    None
):
    reader = Reader()
    with closing(QueuedHandler(reader.write)) as handler:
        reader.stop(handler)
        numbered(handler, *range(1000))
        handler.say("x" * 5000, is_urgent=False)
        reader.go_on(handler)
        assert reader.lines == ["held", *(f"{it:09}" for it in range(1000)), "x" * 5000]
        assert [len(it) for it in reader.pieces] == [5, 4090, 4090, 1820, 5001]
        assert handler.lost == 0


def test_new_lines_are_lost_while_the_queue_is_full_and_the_gap_is_told() -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write, 100)) as handler:
        reader.stop(handler)
        numbered(handler, *range(10))
        assert handler.lost == 3, (
            "the held one has 5 bytes, and of the 75 for such lines 70 are left"
        )
        reader.go_on(handler)
        assert reader.lines[1:] == [*(f"{it:09}" for it in range(7)), lost(3)]
        numbered(handler, 10)
        handler.flush()
        assert reader.lines[-1] == f"{10:09}"
        assert handler.lost == 3


def test_warnings_have_room_when_others_have_none() -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write, 100)) as handler:
        reader.stop(handler)
        numbered(handler, *range(8))
        numbered(handler, 100, 101, 102, is_urgent=True)
        reader.go_on(handler)
        assert [int(it) for it in reader.lines[1:-1]] == [*range(7), 100, 101]
        assert reader.lines[-1] == lost(2)


def test_lines_are_taken_again_when_half_of_the_queue_is_free_not_one_by_one() -> None:
    reader = Reader()
    asked, may_go = threading.Semaphore(0), threading.Semaphore(0)

    def write(data: bytes) -> None:
        asked.release()
        assert may_go.acquire(timeout=GUARD_S)
        reader.write(data)

    def next_write() -> None:
        assert asked.acquire(timeout=GUARD_S)

    # Each line is longer than what is written at once.
    with closing(QueuedHandler(write, 40_000)) as handler:
        for letter in "abcde":
            handler.say(letter * 6_999, is_urgent=False)
        assert handler.lost == 1
        next_write()
        may_go.release()
        next_write()  # 21,000 bytes are left
        handler.say("too early", is_urgent=False)
        assert handler.lost == 2
        may_go.release()
        next_write()
        handler.say("later", is_urgent=False)
        may_go.release(10)
        handler.flush()
    assert [it[0] for it in reader.lines[:4]] == list("abcd")
    assert reader.lines[4:] == [lost(2), "later"]


def test_a_line_that_is_longer_than_the_queue_waits_alone() -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write, 100)) as handler:
        handler.say("x" * 1000, is_urgent=False)
        handler.flush()
        assert reader.lines == ["x" * 1000]
        reader.stop(handler)
        handler.say("x" * 1000, is_urgent=True)
        reader.go_on(handler)
        assert reader.lines[1:] == ["held", lost(1)]


@pytest.mark.parametrize("error", [OSError("no space"), ValueError("closed")])
def test_lines_that_cannot_be_written_are_lost_and_told_once_some_can(error: Exception) -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write)) as handler:
        reader.error = error
        numbered(handler, 1)
        handler.flush()
        numbered(handler, 2)
        handler.flush()
        assert handler.lost == 2
        assert reader.lines == []
        reader.error = None
        numbered(handler, 3)
        handler.flush()
        assert reader.lines == [lost(2), f"{3:09}"]
        assert handler.lost == 2


def test_flushing_and_closing_wait_no_longer_than_they_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_S", 0.01)
    reader = Reader()
    handler = QueuedHandler(reader.write)
    reader.stop(handler)
    numbered(handler, 1)
    handler.flush()
    handler.close()
    numbered(handler, 2)
    assert handler.lost == 1
    # What it took it still writes, and then its thread ends.
    thread = thread_of(handler)
    reader.may_take.set()
    thread.join(GUARD_S)
    assert reader.lines == ["held", f"{1:09}", lost(1)]


def test_a_closed_queue_that_lost_a_line_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_S", 3600.0)
    reader = Reader()
    handler = QueuedHandler(reader.write)
    thread = thread_of(handler)
    handler.close()
    thread.join(GUARD_S)
    numbered(handler, 1)
    ends(handler.flush)
    assert handler.lost == 1
    assert reader.lines == []


def test_last_words_and_the_end_of_the_log_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_queue, "FLUSH_S", 0.01)
    reader = Reader()
    with closing(QueuedHandler(reader.write)) as handler:
        reader.stop(handler)
        handler.flush_last()
        monkeypatch.setattr(log_queue, "FLUSH_S", 3600.0)
        ends(handler.flush_last)
        ends(handler.flush)
        reader.may_take.set()


def ends(call: Callable[[], None]) -> None:
    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    calling.join(GUARD_S)
    assert not calling.is_alive()


def test_what_a_finalizer_logs_while_lines_are_counted_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write, 100)) as handler:
        finalized = list[str]()

        def counted(items: Any) -> int:
            found = int(sum(items))
            if not finalized and threading.current_thread().name == "log":
                finalized.append("x" * 60)
                handler.say(finalized[0], is_urgent=False)
            return found

        monkeypatch.setattr(log_queue, "sum", counted, raising=False)
        handler.say("first", is_urgent=False)
        handler.flush()
        assert reader.lines == ["first", *finalized]
        reader.stop(handler)
        numbered(handler, *range(10))
        assert handler.lost == 3, "as many fit as if nothing had been written before"
        reader.go_on(handler)


FINALIZER = """
import logging, threading
from oto_trio.telemetry import log_queue

log_queue.FLUSH_S = 60.0
handler = log_queue.QueuedHandler(lambda data: print(data.decode(), end="", flush=True))
log = logging.getLogger()
log.addHandler(handler)
is_formatting, is_in_thread, size = threading.Event(), threading.Event(), log_queue._size


class Formatter(logging.Formatter):
    def format(self, record):
        if record.msg == "other":
            is_formatting.set()
        return super().format(record)


def collecting(item):
    # In the log's thread, which has its lock.
    if not is_in_thread.is_set():
        is_in_thread.set()
        # Where there are two locks the other one is taken now; where there is one this wait is over by itself.
        is_formatting.wait(0.2)
        log.warning("finalized")
    return size(item)


handler.setFormatter(Formatter())
log_queue._size = collecting
log.warning("first")
is_in_thread.wait()
log.warning("other")
"""

FORKING = """
import logging, os
from oto_trio.telemetry import log_queue
from oto_trio.telemetry.log_queue import QueuedHandler
from tests.unit.telemetry.test_log_queue import Reader

log_queue.FLUSH_S = 60.0
reader = Reader()
parent = os.getpid()
# The child's lines go to standard error, the parent's to the reader.
handler = QueuedHandler(lambda data: reader.write(data) if os.getpid() == parent else os.write(2, data))
log = logging.getLogger()
log.addHandler(handler)
reader.stop(handler)
log.warning("waits")
pid = os.fork()
if not pid:
    log.warning("child")
    handler.flush()
    os._exit(handler.lost)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
reader.go_on(handler)
print("parent:", *reader.lines)
"""


def test_a_finalizer_that_logs_in_the_thread_of_the_log_stops_nobody() -> None:
    said = run(FINALIZER).stdout.splitlines()
    assert sorted(said) == ["finalized", "first", "other"]
    assert said[0] == "first"


def test_a_process_that_was_forked_writes_its_own_lines_and_no_others() -> None:
    ran = run(FORKING)
    assert ran.stdout.split() == ["parent:", "held", "waits"]
    assert ran.stderr.split() == ["child"]


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, which can be ended if it is stuck."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=2 * GUARD_S)


def thread_of(handler: QueuedHandler) -> threading.Thread:
    # Those of other tests may be about to end, and have no target any more.
    targets = {it: getattr(it, "_target", None) for it in threading.enumerate()}
    (found,) = [it for it, of in targets.items() if getattr(of, "__self__", None) is handler]
    return found


def test_a_call_with_the_wrong_arguments_is_told_of_and_raises_nothing() -> None:
    reader = Reader()
    with closing(QueuedHandler(reader.write)) as handler:
        handler.handle(logging.LogRecord("plugin", logging.INFO, "", 0, "%d", ("x",), None))
        handler.handle(logging.LogRecord("plugin", logging.INFO, "", 0, "\ud800", (), None))
        handler.flush()
    assert reader.lines == ["a line of plugin cannot be formatted: TypeError", "\\ud800"]


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    data = b"0123456789abcdef" * 20_000
    with os.fdopen(writes, "w") as stream:
        write: Callable[[bytes], None] = writer_to(stream)
        writing = threading.Thread(target=write, args=(data,))
        writing.start()
        with os.fdopen(reads, "rb") as reader:
            assert reader.read(len(data)) == data
        writing.join(GUARD_S)


def test_without_standard_error_everything_is_lost() -> None:
    with closing(QueuedHandler(writer_to(None))) as handler:
        handler.say("x", is_urgent=True)
        handler.flush()
        assert handler.lost == 1
