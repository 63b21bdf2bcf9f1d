"""Processes of a bench: started pinned to a core, in a session of their own, always ended.

A session of its own keeps Ctrl-C on the terminal away from a process, so that the bench decides
the order in which things stop; `Launched` is a context manager and the only owner.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benches import procfs
from benches.errors import BenchError, InvalidRunError

END_S: Final = 3.0
"""How long a process may take to end by itself before it is killed."""


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Pin this thread to `core` for a while; processes started meanwhile stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a loopback TCP port that nothing listens on.

    It is below the range that outgoing connections take theirs from, so that the bench's own
    load cannot take it before the proxy does.
    """
    for _ in range(100):
        port = random.randint(15_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = "found no free port between 15000 and 30000"
    raise BenchError(message)


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented."""
    text = path.read_text(errors="replace") if path.exists() else ""
    last = text.splitlines()[-lines:] or ["(it wrote nothing)"]
    return "\n".join(f"    {line}" for line in last)


class Launched:
    """A running process with everything it starts.

    Args:
        argv: Command line.
        core: Core that it and its children are pinned to.
        log: File for its standard error, and output unless `speaks`.
        environment: Variables added to this process's.
        speaks: Whether its standard input and output are pipes, at `process.stdin`/`stdout`.

    Raises:
        BenchError: the command cannot be executed.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        core: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        speaks: bool = False,
    ) -> None:
        self.log = log
        self.started_s = time.perf_counter()
        with log.open("ab") as sink, on_core(core):
            try:
                self.process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE if speaks else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if speaks else sink,
                    stderr=sink,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                    text=True,
                )
            except OSError as error:
                message = f"cannot start {argv[0]}: {error.strerror}"
                raise BenchError(message) from error
        # A new session is a scheduling group of its own, in which niceness counts among its
        # members only; the group has to have it as well. Source: sched(7), autogroup.
        with contextlib.suppress(OSError):
            group = procfs.PROC / str(self.process.pid) / "autogroup"
            group.write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))

    @property
    def pid(self) -> int:
        """Id of the process itself."""
        return self.process.pid

    def pids(self) -> list[int]:
        """Return the ids of the process and of everything below it."""
        return [stat.pid for stat in procfs.family(self.pid, procfs.snapshot())]

    def end(self) -> None:
        """Ask the process to end; kill what is left of it after `END_S`. Never raises."""
        members = procfs.family(self.pid, procfs.snapshot())
        if self.process.poll() is None:
            self.process.terminate()
        deadline_s = time.perf_counter() + END_S
        left = members
        while left and time.perf_counter() < deadline_s:
            self.process.poll()
            left = still_there(members)
            if left:
                time.sleep(0.01)
        for stat in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stat.pid, signal.SIGKILL)
        self.process.wait(END_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.end()


def still_there(members: Sequence[procfs.ProcessStat]) -> list[procfs.ProcessStat]:
    """Return those of `members` that still run; a new process under an old id is not one."""
    now = procfs.snapshot()
    return [
        stat
        for stat in members
        if (other := now.get(stat.pid))
        and other.started_ticks == stat.started_ticks
        and not other.zombie
    ]


def run_to_end(argv: Sequence[str], *, core: int, log: Path, timeout_s: float) -> str:
    """Run a load tool and return its standard output.

    Raises:
        InvalidRunError: it failed, or took longer than `timeout_s`; with what it said.
        BenchError: it cannot be executed.
    """
    log.unlink(missing_ok=True)
    with Launched(argv, core=core, log=log, speaks=True) as tool:
        try:
            output, _ = tool.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            message = f"{Path(argv[0]).name} did not end within {timeout_s:.0f} s"
            raise InvalidRunError(message) from error
        if tool.process.returncode != 0:
            said = log.read_text(errors="replace").strip() or output.strip()
            message = f"{Path(argv[0]).name} failed: {said}"
            raise InvalidRunError(message)
        return output
