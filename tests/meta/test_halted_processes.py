"""Which processes `--halt-processes` halts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.halted_processes import HALTS_NOT, descendants


@pytest.mark.halts_not
def test_processes_of_the_tests_are_halted_but_those_that_only_measure() -> None:
    waits = [sys.executable, "-c", "input()"]
    marked = {**os.environ, HALTS_NOT: "1"}
    with (
        subprocess.Popen(waits, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as one,
        subprocess.Popen(
            waits, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=marked
        ) as measures,
    ):
        found = descendants(os.getpid())
    assert one.pid in found
    assert measures.pid not in found
