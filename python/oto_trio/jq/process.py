"""Starting a process that runs filters, and what its end says."""

from __future__ import annotations

import importlib.util
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Final

from oto_trio.jq import child
from oto_trio.jq.errors import JqError

__all__ = ["NOT_STARTED", "START_S", "command", "why_it_ended"]

NOT_STARTED: Final = "no process for filters can be started"
"""What is said then; the system's own words may name places on the machine."""

START_S: Final = 10.0
"""How long a process may take until it is ready; it takes some hundredths of a second where nothing else runs."""


@cache
def _library_folder() -> str:
    """Return the folder that the library is in, found without loading it."""
    found = importlib.util.find_spec("jq")
    if found is None or found.origin is None:
        raise JqError("the Python package jq, which the gateway needs, is not installed")
    origin = Path(found.origin)
    is_package = origin.name.startswith("__init__.")
    return str(origin.parent.parent if is_package else origin.parent)


def command(memory_bytes: int) -> list[str]:
    """Return the command line of a process.

    Args:
        memory_bytes: How many bytes of addresses it may have.

    Raises:
        JqError: The library is missing.
    """
    # Neither the user's nor the site's customisations, nor any variable of the environment.
    return [
        *(sys.executable, "-I", "-S", str(Path(child.__file__))),
        *(_library_folder(), str(memory_bytes)),
    ]


def why_it_ended(status: int | None) -> str:
    """Say why a process ended during a run.

    Args:
        status: Its exit status, minus a signal's number; None while it is unknown.
    """
    # libjq calls abort() when it gets no memory.
    if status in (child.NO_MEMORY, -signal.SIGABRT):
        return "the filter needs more memory than it may have"
    if status == -signal.SIGSEGV:
        return "the filter, or what it made, is nested too deeply"
    return "the process that ran the filter ended"
