"""The process that filters run in: reads a filter and a document, writes what the filter makes of it, again and again.

Run as a program, by its path and without the package around it, so that it starts in a few hundredths of a second.
Others import this module for its frames only.

What a filter cannot do here
    Read a file: a definition stands before each filter, so that ``import``, ``include`` and ``module``, which stand first
    or not at all, are no jq any more; and the process may open no descriptor. See the environment: it is empty. Outlive
    the gateway: a timer of the kernel ends a run that nobody waits for. Write a core file, or to the gateway's log: its
    standard error is nowhere.

Source: https://jqlang.org/manual/ (1.8); the definitions of ``src/builtin.c`` that reach outside.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import re
import resource
import signal
import sys
import time
from collections import OrderedDict
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ANSWER",
    "CHECK",
    "FAILED",
    "LAST",
    "MAX_FILTER_BYTES",
    "NO_MEMORY",
    "OUTPUTS",
    "READY",
    "REQUEST",
    "RUN",
    "TOO_MUCH",
    "most_bytes",
]

REQUEST: Final = Struct("!BIIIIId")
"""What is wanted (`RUN`, `CHECK`); the bytes of the filter, of the names (by commas), of the document and of the names' values
(a JSON object), in this order behind it; the most bytes of outputs; after how many seconds the process ends itself."""
RUN: Final = 0
CHECK: Final = 1
"""Compile only."""

ANSWER: Final = Struct("!BI")
"""What came of it, and the bytes behind it."""
OUTPUTS: Final = 0
"""JSON texts with a line feed between two."""
FAILED: Final = 1
"""What the filter failed with."""
TOO_MUCH: Final = 2
"""The outputs are more than was allowed."""
LAST: Final = 0x80
"""Added to one of them: the process ends behind this answer, as it has kept too much memory."""


def most_bytes(most: int) -> int:
    """Return the most bytes behind an answer, when outputs may have so many."""
    return max(most, 4 * _MAX_MESSAGE)


READY: Final = b"\1"
"""Written once, when the process can take requests."""

NO_MEMORY: Final = 70
"""The exit status of a process whose interpreter got no more memory."""

MAX_FILTER_BYTES: Final = 16 * 1024
"""The longest filter."""

_PROGRAMS: Final = 64
"""Compiled filters that are remembered."""

_SOURCE_BYTES: Final = 256 * 1024
"""How long they may be together."""

_MAX_MESSAGE: Final = 2000
"""Characters of what a filter failed with; an ``error(…)`` may be as long as the document."""

_FIRST: Final = (
    'def modulemeta: error("modulemeta is not available here");'
    ' def input: error("No more inputs"); def halt_error: error; def halt_error($code): error;'
)
"""Stands before each filter. That it is there at all keeps ``import`` out."""

_SKIPPED: Final = "<skipped: too deep>"
"""What jq writes in the place of what is nested more than 10,000 deep; that is no JSON."""

_TOO_DEEP: Final = b"what the filter made is nested too deeply"

_STRINGS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')

_NOT_ONE: Final = "the document is not one JSON value"

_PLACE: Final = re.compile(r"at <top-level>, line (\d+), column (\d+):?$")


# ------------------------------------------------------------------------- filters


class _Programs:
    """Compiled filters, the one used last behind the others.

    Args:
        compile_filter: ``jq.compile``.
    """

    def __init__(self, compile_filter: Any) -> None:
        self._compile = compile_filter
        self._known: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._size = 0

    def get(self, text: str, names: str) -> Any:
        """Return a filter's program.

        Raises:
            ValueError: It is no filter.
        """
        key = (text, names)
        program = self._known.get(key)
        if program is not None:
            self._known.move_to_end(key)
            return program
        program = self.compile(text, names)
        self._known[key] = program
        self._size += len(text)
        while self._size > _SOURCE_BYTES or len(self._known) > _PROGRAMS:
            (gone, _), _ = self._known.popitem(last=False)
            self._size -= len(gone)
        return program

    def forget(self, text: str, names: str) -> None:
        """Let a filter's program go, with what it still holds of a run that did not come to its end."""
        if self._known.pop((text, names), None) is not None:
            self._size -= len(text)

    def compile(self, text: str, names: str) -> Any:
        """Compile a filter; likewise."""
        given = names.split(",") if names else []
        # Once as it is: between parentheses some texts would be filters that are none.
        self._compile(f"{_FIRST}{''.join(f' null as ${name} |' for name in given)}\n{text}")
        bound = "".join(f" .[1].{name} as ${name} |" for name in given)
        count = f'if length == 2 then . else error("{_NOT_ONE}") end |'
        # A backslash may carry a comment on to the next line, so there is one more. Numbers keep their digits in
        # jq's own writing.
        return self._compile(f"{_FIRST} {count}{bound} .[0] | ({text}\n\n) | tojson")


def _said(error: ValueError) -> str:
    """Return what is wrong with a filter in one line, with the places in the filter as it was written."""
    found: list[str] = []
    for line in str(error).splitlines():
        if not line.startswith("jq: error: "):
            continue
        fault = line.removeprefix("jq: error: ").strip()
        if re.search(r"unexpected (import|include|module)\b", fault):
            return "import, include and module are not available here"
        found.append(
            _PLACE.sub(lambda at: f"at line {int(at[1]) - 1}, column {at[2]}", fault).rstrip(":")
        )
    return "; ".join(found[:3])[:_MAX_MESSAGE] or str(error)[:_MAX_MESSAGE]


def _run(program: Any, documents: str, most: int) -> tuple[int, bytes]:
    """Run a filter; returns what came of it."""
    outputs: list[bytes] = []
    size = 0
    try:
        for output in program.input_text(documents, slurp=True):
            if _SKIPPED in output and _SKIPPED in _STRINGS.sub("", output):
                return FAILED, _TOO_DEEP
            outputs.append(output.encode())
            size += len(outputs[-1]) + 1
            if size > most + 1:
                return TOO_MUCH, b""
    except ValueError as error:
        return FAILED, str(error)[:_MAX_MESSAGE].encode()
    return OUTPUTS, b"\n".join(outputs)


# ------------------------------------------------------------------------- the process


def _read(size: int) -> bytes:
    """Read so many bytes; ends the process when there are no more."""
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(*parts: bytes) -> None:
    data = memoryview(b"".join(parts))
    while data:
        data = data[os.write(1, data) :]


def _used_bytes() -> int:
    """Return how many bytes of addresses this process has."""
    with open("/proc/self/statm", "rb") as about:  # noqa: PTH123 (pathlib takes a while to load)
        return int(about.read().split()[0]) * mmap.PAGESIZE


def _is_within(memory_bytes: int) -> bool:
    """Tell whether so many bytes of addresses can still be had. No file can be opened any more that would tell."""
    try:
        mmap.mmap(-1, memory_bytes, flags=mmap.MAP_PRIVATE, prot=0).close()
    except OSError:
        return False
    return True


def _confine(memory_bytes: int) -> None:
    """Give up what a filter could misuse."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", 0) as score:  # noqa: PTH123
        score.write(b"1000")  # when the machine has no memory left, this goes before the gateway
    os.environ.clear()
    os.chdir("/")
    time.localtime()  # the zone is read now; later nothing can be opened
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    # What is sent to all processes of a service is for the gateway to act on; this one ends with it.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _serve(programs: _Programs, spare_bytes: int) -> None:
    """Answer requests until there are no more, or until so much memory is not to be had any more."""
    while True:
        kind, filter_size, names_size, size, values_size, most, limit_s = REQUEST.unpack(
            _read(REQUEST.size)
        )
        text = _read(filter_size).decode()
        names = _read(names_size).decode()
        documents = _read(size) + b"\n" + _read(values_size)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            if kind == CHECK:
                programs.compile(text, names)
                came, body = OUTPUTS, b""
            else:
                # jq would put something else in the place of what is no UTF-8.
                came, body = _run(programs.get(text, names), documents.decode(), most)
        except UnicodeDecodeError:
            came, body = FAILED, _NOT_ONE.encode()
        except ValueError as error:
            came, body = FAILED, _said(error).encode()
        if came == TOO_MUCH:
            programs.forget(text, names)
        del documents
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not _is_within(spare_bytes):
            _write(ANSWER.pack(came | LAST, len(body)), body)
            return
        _write(ANSWER.pack(came, len(body)), body)


def main(arguments: Sequence[str]) -> None:
    """Be such a process: the folder of the library and the bytes of memory are its arguments."""
    folder, memory_bytes = arguments
    sys.path.append(folder)
    # It is loaded in these processes only, and has no types.
    compile_filter = importlib.import_module("jq").compile
    compile_filter(".")
    most = int(memory_bytes)
    # What it has now, and a quarter of what it may have, is its own; the rest is for runs.
    spare = most - most // 4 - _used_bytes()
    _confine(most)
    _write(READY)
    with contextlib.suppress(BrokenPipeError):
        try:
            _serve(_Programs(compile_filter), max(spare, 1))
        except MemoryError:
            os._exit(NO_MEMORY)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
