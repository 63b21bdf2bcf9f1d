"""Tells whether a text is a filter, when a config is read and nothing can be waited for.

libjq works out constants when it compiles: ``"a" * 1000000000`` takes a gigabyte there. So filters are compiled in a process of
their own, too. It is one for all checks of this process, started with the first and kept to the end; each check blocks
for a millisecond or two, the first for some hundredths of a second, none for longer than `CHECK_S`. Whoever checks a whole
document does so within `one_document`: its filters are counted, and what they take together is bounded. What took too long
or too much is remembered for `REMEMBER_S`, so that saving it again and again does not block as often.

The control plane has others to serve meanwhile. Its checks go through `judge_aside`: a check that meets filters takes them for
good at first, a thread has them compiled, and then the check is made anew and knows what is wrong with each.

A worker checks nothing when it reads a config: traffic would wait meanwhile. What it is told of was checked when it was
saved, and a text that is no filter fails when it is to be run.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import subprocess
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import trio

from oto_trio.jq import child
from oto_trio.jq.bounds import JqBounds
from oto_trio.jq.errors import JqBoundError, JqError
from oto_trio.jq.filters import filter_bytes, is_serving
from oto_trio.jq.process import NOT_STARTED, START_S, command, why_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    _Key: TypeAlias = tuple[str, tuple[str, ...]]

__all__ = [
    "CHECK_S",
    "DOCUMENT_FILTERS",
    "DOCUMENT_S",
    "REMEMBER_S",
    "check",
    "judge_aside",
    "one_document",
]

T = TypeVar("T")

CHECK_S: Final = 1.0
"""How long compiling one filter may take; it writes nothing before its end."""

DOCUMENT_FILTERS: Final = 64
"""Different filters that one document may have."""

DOCUMENT_S: Final = 2.0
"""No check begins when those of a document took so long already."""

REMEMBER_S: Final = 60.0
"""How long a filter is refused unseen that took too long, or too much, to compile."""

_MOST_REMEMBERED: Final = 256
"""How many such filters; the oldest goes first."""


def _now() -> float:
    """Return the seconds of a clock for checks; they run outside Trio too, and block whatever runs there."""
    return time.monotonic()  # noqa: TID251


class _Budget:
    """What the filters of one document may still take."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._seen: set[_Key] = set()

    def fault(self, key: _Key) -> str | None:
        """Count a filter; says why it cannot be checked."""
        self._seen.add(key)
        if len(self._seen) > DOCUMENT_FILTERS:
            return f"not checked: a document may have {DOCUMENT_FILTERS} filters"
        if self.spent_s >= DOCUMENT_S:
            return f"not checked: those before it took {DOCUMENT_S:g} s to compile; use fewer or simpler ones"
        return None


_BUDGET: ContextVar[_Budget | None] = ContextVar("oto_trio.jq.checking", default=None)


@contextmanager
def one_document() -> Generator[None]:
    """Take all filters that are checked meanwhile for those of one document; within another such block, of that one's."""
    if _BUDGET.get() is not None:
        yield
        return
    token = _BUDGET.set(_Budget())
    try:
        yield
    finally:
        _BUDGET.reset(token)


def check(filter_text: str, *names: str) -> str | None:
    """Tell what is wrong with a filter.

    Args:
        filter_text: The filter.
        names: What it knows as ``$name``.

    Returns:
        What is wrong, in one line; None when nothing is, or when it is not for this task to say (a worker).
    """
    if is_serving():
        return None
    key = (filter_text, names)
    aside = _ASIDE.get()
    if aside is not None:
        return aside.fault(key)
    return _checked(key, _BUDGET.get() or _Budget())


def _checked(key: _Key, budget: _Budget) -> str | None:
    """Return what is wrong with a filter, within what its document has left; blocks."""
    fault = budget.fault(key) or _OVER.get(key)
    if fault is not None:
        return fault
    began = _now()
    try:
        return _fault(*key)
    except JqBoundError as error:
        _OVER.put(key, error.message)
        return error.message
    except JqError as error:
        return error.message
    finally:
        budget.spent_s += _now() - began


class _Aside:
    """The filters of one document, which a thread has compiled."""

    def __init__(self) -> None:
        self.is_left = False
        """Whether nobody waits for it any more."""
        self.wanted: dict[_Key, None] = {}
        """Those that were met and are not known yet."""
        self._known: dict[_Key, str | None] = {}
        self._budget = _Budget()

    def fault(self, key: _Key) -> str | None:
        """Return what is wrong with a filter; nothing while that is not known."""
        if key not in self._known:
            self.wanted[key] = None
        return self._known.get(key)

    def compile(self) -> None:
        """Find out about those that are wanted; blocks."""
        for key in self.wanted:
            if self.is_left:
                return
            self._known[key] = _checked(key, self._budget)
        self.wanted = {}


_ASIDE: ContextVar[_Aside | None] = ContextVar("oto_trio.jq.aside", default=None)
_TURNS: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("turns at the compiler of filters")


async def judge_aside(judge: Callable[[], T]) -> T:
    """Call what reads or checks one document, while the filters that it meets are compiled in a thread.

    Documents with filters take turns, each with the bounds of `one_document`.

    Args:
        judge: Called again once its filters are known, so it must change nothing.

    Returns:
        What `judge` returns. What it raises is raised.

    Cancellation: a filter that is being compiled holds up the next document until that is over; those behind it are not begun.
        Without a filter this is no checkpoint.
    """
    aside = _Aside()
    try:
        while True:
            token = _ASIDE.set(aside)
            try:
                found = judge()
            finally:
                _ASIDE.reset(token)
            if not aside.wanted:
                return found
            await trio.to_thread.run_sync(aside.compile, abandon_on_cancel=True, limiter=_turns())
    finally:
        aside.is_left = True


def _turns() -> trio.CapacityLimiter:
    """Return the turns of the documents of this Trio run: all wait for the one process."""
    try:
        return _TURNS.get()
    except LookupError:
        turns = trio.CapacityLimiter(1)
        _TURNS.set(turns)
        return turns


class _Over:
    """Filters that took too long, or too much, a short while ago; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, tuple[float, str]] = OrderedDict()

    def get(self, key: _Key) -> str | None:
        """Return what was wrong with a filter, if it is known."""
        with self._lock:
            until, message = self._known.get(key, (0.0, ""))
            return message if _now() < until else None

    def put(self, key: _Key, message: str) -> None:
        """Remember what is wrong with a filter."""
        with self._lock:
            self._known[key] = _now() + REMEMBER_S, message
            self._known.move_to_end(key)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._known.clear()


_OVER: Final = _Over()


@lru_cache(maxsize=1024)
def _fault(filter_text: str, names: tuple[str, ...]) -> str | None:
    """Return what is wrong; raises `JqError` for what may be otherwise the next time."""
    return _CHECKER.ask(filter_bytes(filter_text), ",".join(names).encode())


class _Checker:
    """The process that compiles for checks; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, text: bytes, names: bytes) -> str | None:
        """Compile a filter; returns what is wrong with it. The process ends when it is interrupted."""
        head = child.REQUEST.pack(child.CHECK, len(text), len(names), 0, 0, 0, CHECK_S + 1)
        with self._lock:
            try:
                process = self._running()
                # It fits into the pipe, so that this does not wait.
                _write(process, head + text + names)
                came, size = child.ANSWER.unpack(_read(process, child.ANSWER.size, CHECK_S))
                if size > child.most_bytes(0):
                    raise EOFError
                said = _read(process, size, CHECK_S)
            except TimeoutError:
                self._end()
                raise JqBoundError(
                    f"the filter takes longer than {CHECK_S:g} s to compile"
                ) from None
            except (EOFError, BrokenPipeError):
                status = self._end(may_finish=True)
                # Who kills it from outside says nothing about the filter.
                kind = JqError if status in (None, -signal.SIGKILL) else JqBoundError
                raise kind(why_it_ended(status)) from None
            except BaseException:
                # Interrupted, it may be: the answer to this question must not be taken for that to the next one.
                self._end()
                raise
            if came & child.LAST:
                self._end(may_finish=True)
        return said.decode(errors="replace") if came & ~child.LAST == child.FAILED else None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        try:
            process = subprocess.Popen(  # noqa: S603 (a command of our own)
                command(JqBounds().memory_bytes),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
            )
        except OSError as error:
            raise JqError(NOT_STARTED) from error
        self._process = process
        try:
            _read(process, len(child.READY), START_S)
        except (EOFError, TimeoutError):
            self._end()
            raise JqError(NOT_STARTED) from None
        return process

    def _end(self, *, may_finish: bool = False) -> int | None:
        """Kill the process, if there is one, and wait for its end; returns its exit status."""
        process, self._process = self._process, None
        if process is None:
            return None
        if may_finish:
            with suppress(subprocess.TimeoutExpired):
                process.wait(CHECK_S)
        process.kill()
        status = process.wait()
        assert process.stdin is not None, "it was started with pipes"
        assert process.stdout is not None, "it was started with pipes"
        process.stdin.close()
        process.stdout.close()
        return status


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None, "it was started with pipes"
    os.write(process.stdin.fileno(), data)


def _read(process: subprocess.Popen[bytes], size: int, patience_s: float) -> bytes:
    """Read so many bytes; raises `EOFError` when the process ended, `TimeoutError` when none come for so long."""
    assert process.stdout is not None, "it was started with pipes"
    descriptor = process.stdout.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    found = bytearray()
    while len(found) < size:
        if not poll.poll(patience_s * 1000):
            raise TimeoutError
        part = os.read(descriptor, size - len(found))
        if not part:
            raise EOFError
        found += part
    return bytes(found)


_CHECKER: Final = _Checker()
atexit.register(_CHECKER.close)
