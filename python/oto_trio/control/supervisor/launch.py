"""Starting a gateway worker: as a process of its own, or in this Trio run for `--workers 0`.

Either way a worker is known by its end of the link alone: it is told everything as frames, and when
the link closes it drains shortly and ends. A process is executed, never forked from a Trio run, and
inherits exactly the descriptors it needs.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol, TypeAlias

import trio

from oto_trio.gateway.frames import DownFrame, UpFrame
from oto_trio.gateway.link import Link, supervisor_end, worker_end

__all__ = [
    "WORKER_COMMAND",
    "InProcessLauncher",
    "Inherited",
    "Launcher",
    "ProcessLauncher",
    "RunWorker",
    "Running",
]

logger = logging.getLogger(__name__)

WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "oto_trio.gateway.worker")
"""The program of a worker; `--link FD` is appended. With -P no module is taken from the folder that the
gateway happens to be started in, as none is by the supervisor."""

MALLOC_TUNABLES: Final = "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=16777216"
"""A worker's heap on huge pages, grown in steps that hold some.

A table of many routes is read all over: on small pages most of the cost of a rare route is finding
its page. Where the C library is another one, or huge pages are off, this changes nothing.
"""

END_GRACE_S: Final = 1.0
"""How long a process may take to end by itself after its link was closed, before it is killed."""

RunWorker: TypeAlias = Callable[[Link[DownFrame, UpFrame]], Awaitable[None]]
"""Runs a whole worker on its end of a link, until it has drained."""


class Running(Protocol):
    """A worker that was started."""

    @property
    def link(self) -> Link[UpFrame, DownFrame]:
        """The supervisor's end of its link."""
        ...

    @property
    def pid(self) -> int:
        """The process it runs in."""
        ...

    @property
    def descriptors(self) -> Sequence[int]:
        """Under which numbers the worker knows the sockets it was given, in their order.

        The worker owns these descriptors and closes them.
        """
        ...

    async def wait(self) -> str:
        """Wait until it has ended, and say how: `` with status 0``, `` by SIGKILL``."""
        ...

    def kill(self) -> None:
        """End it at once, without a drain. Idempotent."""
        ...


class Inherited(Protocol):
    """Something that a worker inherits: a listening socket, the table of counters."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


class Launcher(Protocol):
    """Starts workers."""

    def launch(self, sockets: Sequence[Inherited]) -> AbstractAsyncContextManager[Running]:
        """Run a worker for the length of a block at most; it has ended when the block has.

        Args:
            sockets: The listening sockets it may use, and what else it inherits. They stay the
                caller's.
        """
        ...


class ProcessLauncher:
    """Starts each worker as a process.

    Args:
        command: The program and its arguments, without the link.
    """

    def __init__(self, command: Sequence[str] = WORKER_COMMAND) -> None:
        self._command = tuple(command)

    @asynccontextmanager
    async def launch(self, sockets: Sequence[Inherited]) -> AsyncGenerator["_Process", None]:
        """See `Launcher.launch`. A process that does not end by itself is killed."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = [sock.fileno() for sock in sockets]
            try:
                process = await trio.lowlevel.open_process(
                    [*self._command, "--link", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(), *descriptors),
                    stdin=subprocess.DEVNULL,
                    env={"GLIBC_TUNABLES": MALLOC_TUNABLES, **os.environ},
                    # Its own group: Ctrl-C in a terminal reaches the supervisor alone, which
                    # then drains the workers in order.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        running = _Process(process, supervisor_end(stream), descriptors)
        try:
            yield running
        finally:
            with trio.CancelScope(shield=True):
                await stream.aclose()
                with trio.move_on_after(END_GRACE_S):
                    await process.wait()
                running.kill()
                await process.wait()


class _Process:
    """A worker that is a process."""

    def __init__(
        self,
        process: trio.Process,
        link: Link[UpFrame, DownFrame],
        descriptors: Sequence[int],
    ) -> None:
        self._process = process
        self.link = link
        self.descriptors = descriptors

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> str:
        status = await self._process.wait()
        if status < 0:
            return f"by {signal.Signals(-status).name}"
        return f"with status {status}"

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class InProcessLauncher:
    """Runs each worker as a task of the Trio run it is launched from.

    Args:
        run_worker: Runs a worker.
    """

    def __init__(self, run_worker: RunWorker) -> None:
        self._run_worker = run_worker

    @asynccontextmanager
    async def launch(self, sockets: Sequence[Inherited]) -> AsyncGenerator["_Task", None]:
        """See `Launcher.launch`."""
        ours, theirs = (
            trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
        )
        # The worker closes what it is given, and the sockets themselves stay the supervisor's.
        running = _Task(supervisor_end(ours), [os.dup(sock.fileno()) for sock in sockets])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.run, self._run_worker, worker_end(theirs))
            try:
                yield running
            finally:
                with trio.CancelScope(shield=True):
                    await ours.aclose()
                running.kill()


class _Task:
    """A worker that is a task."""

    def __init__(self, link: Link[UpFrame, DownFrame], descriptors: Sequence[int]) -> None:
        self.link = link
        self.descriptors = descriptors
        self.pid = os.getpid()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._how = "in this process"

    async def run(self, run_worker: RunWorker, link: Link[DownFrame, UpFrame]) -> None:
        try:
            with self._scope:
                await run_worker(link)
        except Exception:
            self._how = "by an error"
            logger.exception("a gateway worker failed")
        finally:
            self._ended.set()
            with trio.CancelScope(shield=True):
                await link.aclose()

    async def wait(self) -> str:
        await self._ended.wait()
        return self._how

    def kill(self) -> None:
        self._scope.cancel()
