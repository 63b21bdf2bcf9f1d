"""h2spec, strict: a conformance suite for HTTP/2 and HPACK that others wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import trio

from tests.integration.gateways import HTTPS
from tests.integration.protocols.fronted import fronted

if TYPE_CHECKING:
    from tests.integration.conftest import Upstream

CASES = 146
TRIES = 5
PATIENCE_S = 20  # no case that passes waits for it: a busy machine is no failure
TOOLS = Path(os.environ.get("OTO_TRIO_GO_TOOLS", ".make/tools/bin"))


def h2spec() -> str | None:
    """Where h2spec is, if it is: `make .make/tools/bin/h2spec` builds it."""
    return shutil.which("h2spec", path=f"{TOOLS}:{os.environ['PATH']}")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(h2spec() is None, reason="h2spec is not installed"),
]


Case = tuple[str, str]
"""A section and the name of a case in it."""
Failed = dict[Case, str]
"""What h2spec said of cases."""


async def failed(report: Path, *options: str) -> tuple[list[Case], Failed]:
    """Run h2spec; returns the cases that it ran, and those that did not pass.

    Args:
        report: For what it writes.
        options: Of the command; last the sections to run, or none for all of them.
    """
    command = [
        *(str(h2spec()), "--strict", "-h", "localhost", "-o", str(PATIENCE_S), "-j", str(report)),
        *options,
    ]
    done = await trio.run_process(
        command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    told = done.stdout.decode(errors="replace")
    assert report.exists(), told
    cases = [
        ((case.get("package", ""), case.get("classname", "")), len(case) == 0)
        for case in ET.parse(report).iter("testcase")
    ]
    report.unlink()
    return [case for case, _ in cases], {case: told for case, passed in cases if not passed}


async def verdict(report: Path, *options: str, but: str = "") -> Failed:
    """Run all cases; returns those that fail whenever they are tried, but one that may.

    Many of them send what is right, and then what is wrong: where h2spec stands still between the two, it sees the answer
    to what was right. A case for which that may be so is tried again; what the gateway does wrong it does each time.
    """
    ran, left = await failed(report, *options)
    assert len(ran) == CASES, left
    for _ in range(TRIES):
        left = {case: told for case, told in left.items() if case[1] != but}
        if not left:
            break
        ran, again = await failed(report, *options, *sorted({section for section, _ in left}))
        assert left.keys() <= set(ran), ran
        left = {case: told for case, told in again.items() if case in left}
    return left


async def test_every_case_passes(upstream: Upstream, tmp_path: Path) -> None:
    report = tmp_path / "h2spec.xml"
    async with fronted(upstream, tmp_path, *HTTPS) as gateway:
        left = await verdict(report, "-t", "-k", "-p", str(gateway.https_port))
        assert not left, left
        # Without TLS the port speaks HTTP/1.1 too: what begins as neither is answered as that, with 400,
        # where h2spec waits for an end without an answer. All other cases are the same.
        left = await verdict(
            report, "-p", str(gateway.port), but="Sends invalid connection preface"
        )
        assert not left, left
