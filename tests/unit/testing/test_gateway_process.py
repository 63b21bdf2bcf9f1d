"""What the kit knows of a gateway's processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from oto_trio.testing.gateway_process import GatewayProcess

if TYPE_CHECKING:
    import pytest


def test_workers_are_found_while_a_thread_of_the_supervisor_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = cast("Any", SimpleNamespace(pid=os.getpid()))
    threads = Path(f"/proc/{supervisor.pid}/task")
    found = [threads / "0" / "children", *threads.glob("*/children")]  # no thread is number 0

    def glob(_folder: Path, _pattern: str) -> list[Path]:
        return found

    monkeypatch.setattr(Path, "glob", glob)
    command = [sys.executable, "-c", "print(flush=True); input()", "oto_trio.gateway.worker"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere) as worker:
        # The kernel shows the command line of a process a moment after `Popen` has started it.
        assert worker.stdout is not None
        worker.stdout.readline()
        assert worker.pid in GatewayProcess(supervisor).workers()
