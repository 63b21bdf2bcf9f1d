"""The command: as a process of its own, as users run it, and in this process, where it starts in no time."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner, Result

from oto_trio.cli import program

__all__ = ["invoked", "oto", "refused", "said"]


def oto(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it as a process that has these environment variables, and nothing to read."""
    return subprocess.run(
        [sys.executable, "-m", "oto_trio", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
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
