"""h2spec, strict: a conformance suite for HTTP/2 and HPACK that others wrote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.integration.gateways import HTTPS
from tests.integration.protocols.fronted import fronted

if TYPE_CHECKING:
    from tests.integration.conftest import Upstream

CASES = 146
PATIENCE_S = 20  # no case that passes waits for it: a busy machine is no failure
TOOLS = Path(os.environ.get("OTO_TRIO_GO_TOOLS", ".make/tools/bin"))


def h2spec() -> str | None:
    """Where h2spec is, if it is: `make .make/tools/bin/h2spec` builds it."""
    return shutil.which("h2spec", path=f"{TOOLS}:{os.environ['PATH']}")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(h2spec() is None, reason="h2spec is not installed"),
]


async def verdict(*options: str) -> tuple[dict[str, int], str]:
    """Run h2spec; returns its counts, and all that it said."""
    command = [str(h2spec()), "--strict", "-h", "localhost", "-o", str(PATIENCE_S), *options]
    done = await trio.run_process(
        command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    told = done.stdout.decode(errors="replace")
    counts = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", told)
    assert counts is not None, told
    return dict(
        zip(("all", "passed", "skipped", "failed"), map(int, counts.groups()), strict=True)
    ), told


async def test_every_case_passes(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path, *HTTPS) as gateway:
        counts, told = await verdict("-t", "-k", "-p", str(gateway.https_port))
        assert counts == {"all": CASES, "passed": CASES, "skipped": 0, "failed": 0}, told
        # Without TLS the port speaks HTTP/1.1 too: what begins as neither is answered as that, with 400,
        # where h2spec waits for an end without an answer. All other cases are the same.
        counts, told = await verdict("-p", str(gateway.port))
        failed = re.findall(r"× \d+: (.*)", told.partition("Failures:")[2])
        assert set(failed) <= {"Sends invalid connection preface"}, told.partition("Failures:")[2]
        assert (counts["all"], counts["skipped"]) == (CASES, 0), told
