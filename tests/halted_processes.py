"""A pytest plug-in: the processes of the tests are halted for moments that are drawn, as a busy machine does.

A test that counts on what another process has done by now, or on how soon it goes on itself, passes for months where nothing
else runs. ``--halt-processes`` starts one more process, which halts the tests' own one or one of its descendants again and
again (SIGSTOP, SIGCONT) until the tests are over. One process is halted at a time, for ``LONGEST_S`` at most. One that only
measures what others take is started with ``HALTS_NOT`` in its environment, and left out.

A test marked ``halts_not`` is left alone: one that halts processes itself, which would go on here before it says so.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

OPTION = "--halt-processes"
HALTS_NOT = "HALTS_NOT"
"""A variable: the process that was started with it is never halted."""
MARK = f"{HALTS_NOT}=".encode()
LONGEST_S = 0.4
"""Longest time that one process is halted."""
BETWEEN_S = 0.03
"""Longest time that all processes go on before the next one is halted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option."""
    parser.addoption(OPTION, action="store_true", help="halt processes for moments that are drawn")


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark."""
    config.addinivalue_line("markers", f"halts_not: halts processes itself; `{OPTION}` halts none")


class Halting:
    """The process that halts others."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Have processes halted from now on."""
        self._process = subprocess.Popen([sys.executable, __file__, str(os.getpid())])

    def stop(self) -> None:
        """Have none halted any more; returns when none is."""
        assert self._process is not None, "it was started"
        self._process.terminate()
        # One that failed has halted none since: the tests would prove nothing. One may end before it takes the signal.
        assert self._process.wait() in {0, -signal.SIGTERM}, "what halts processes failed"


@pytest.fixture(scope="session")
def halting(request: pytest.FixtureRequest) -> Generator[Halting | None]:
    """Have processes halted while tests run, where that is wanted."""
    if not request.config.getoption(OPTION):
        yield None
        return
    processes = Halting()
    processes.start()
    yield processes
    processes.stop()


@pytest.fixture(autouse=True)
def _left_alone(request: pytest.FixtureRequest, halting: Halting | None) -> Generator[None]:
    """Have none halted in tests that are marked so."""
    if halting is None or request.node.get_closest_marker("halts_not") is None:
        yield
        return
    halting.stop()
    yield
    halting.start()


def descendants(root: int) -> list[int]:
    """The processes below one, itself included, that run or wait; one that a test halted itself is left out, and ``HALTS_NOT``."""
    children: dict[int, list[int]] = {}
    halted: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # A process may have any octets for its name.
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(stat.parent.name))
            if state in b"TZ":
                halted.add(int(stat.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return [it for it in found if it not in halted and it != os.getpid() and not is_marked(it)]


def is_marked(process: int) -> bool:
    """Whether a process was started with ``HALTS_NOT``."""
    try:
        return MARK in Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return True  # it is gone


def halt(root: int) -> None:
    """Halt one process after another, until told to end or the tests' process is gone."""
    drawn = random.Random()
    told: list[int] = []
    # An exception of the handler would be lost where Python ignores some, such as when an iterator is thrown away.
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to all; the tests end this one
    while not told and os.getppid() == root:
        time.sleep(drawn.uniform(0, BETWEEN_S))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            process = drawn.choice(descendants(root))
            os.kill(process, signal.SIGSTOP)
            try:
                time.sleep(LONGEST_S * drawn.random() ** 3)  # mostly short, now and then long
            finally:
                os.kill(process, signal.SIGCONT)


if __name__ == "__main__":
    halt(int(sys.argv[1]))
