"""The command: as a process of its own, as users run it, and in this process, where it starts in no time.

Commands that tell or take back all there is need a gateway whose first certificates are made: it makes them some time
after it is ready, at once where it is started with `HTTPS`, and each of them is a change.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from oto_trio.cli import program
from oto_trio.pki.first_certificates import FIRST_CERTIFICATES

if TYPE_CHECKING:
    from oto_trio.testing.gateway_process import GatewayProcess

__all__ = ["certified", "invoked", "oto", "refused", "said"]


def oto(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process that has these environment variables, and nothing to read."""
    return subprocess.run(
        [sys.executable, "-m", "oto_trio", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environ},
        stdin=subprocess.DEVNULL,
    )


def invoked(*arguments: str, answer: str | None = None, **environ: str) -> Result:
    """Run it in this process; `answer` is what it can read."""
    runner = CliRunner()
    return runner.invoke(program, arguments, input=answer, prog_name="oto-trio", env=environ)


def said(*arguments: str) -> str:
    """Run it in this process, where it has to succeed; returns what it wrote."""
    done = invoked(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str) -> str:
    """Run it in this process, where it has to fail and write nothing; returns the reasons."""
    done = invoked(*arguments)
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    return done.stderr


async def certified(gateway: GatewayProcess) -> None:
    """Wait until the first certificates of a gateway with a port for HTTPS are made."""
    for first in FIRST_CERTIFICATES:
        await gateway.wait_for_log(f"certificate {first.id} made")
