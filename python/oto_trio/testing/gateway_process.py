"""A whole gateway as a process of its own, for tests that signals and crashes must be part of.

::

    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        ...  # gateway.http and gateway.admin are its URLs
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")

Every wait has a deadline, and every process that was started has ended when the block has.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

__all__ = ["GatewayEndedError", "GatewayProcess", "command_of", "gateway_process", "handed_over"]

READY_S: Final = 120.0
"""How long a gateway may take to get ready; a machine that also compiles is slow."""

LEFT_S: Final = 10.0
"""How long the end of the log of a gateway that ended is waited for."""

WAIT_S: Final = 60.0
"""How long anything else is waited for."""

_WORKER: Final = b"oto_trio.gateway.worker"
"""What the command line of a worker names."""


class GatewayEndedError(Exception):
    """The gateway ended before it was ready.

    Args:
        status: Its exit status.
        output: What it wrote to standard error.
    """

    def __init__(self, status: int, output: str) -> None:
        super().__init__(f"the gateway ended with status {status}:\n{output}")
        self.status = status
        self.output = output


class GatewayProcess:
    """A gateway that runs. Made by `gateway_process`.

    Args:
        process: Its supervisor.
    """

    def __init__(self, process: trio.Process) -> None:
        self.announcement: dict[str, Any] = {}
        """What it told when it was ready."""
        self.log: list[dict[str, Any]] = []
        """The lines of its log so far; a line that is no JSON has only a `message`."""
        self._process = process
        self._news = trio.Event()
        self._is_read = trio.Event()
        """Set when all of the log was read."""

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        return self._process.pid

    @property
    def http(self) -> str:
        """The URL of the gateway, on loopback."""
        url: str = self.announcement["http"]
        return url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 (an address that is shown)

    @property
    def port(self) -> int:
        """The port of the gateway."""
        return int(self.http.rpartition(":")[2])

    @property
    def https_port(self) -> int:
        """Its port for HTTPS, of a gateway that was given one."""
        return self._port_of("https")

    @property
    def http3_port(self) -> int:
        """Its port for HTTP/3, of a gateway that was given one."""
        return self._port_of("http3")

    @property
    def admin(self) -> str:
        """The URL of the admin API."""
        url: str = self.announcement["admin"]
        return url

    @property
    def auth(self) -> tuple[str, str]:
        """The admin API's key, as (id, secret)."""
        return self.announcement["client_id"], self.announcement["client_secret"]

    def _port_of(self, name: str) -> int:
        url: str = self.announcement[name]
        return int(url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """Return the worker processes that live now, oldest first."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        pids = {int(pid) for file in children for pid in _told(file).split()}
        # A process that is only just being started still has the supervisor's own command line, `--workers` in it.
        return sorted(pid for pid in pids if _WORKER in command_of(pid))

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until the supervisor has ended, and return its exit status."""
        with trio.fail_after(WAIT_S):
            return await self._process.wait()

    async def wait_for_log(self, text: str, count: int = 1) -> dict[str, Any]:
        """Wait until so many lines of the log contain a text, and return the last of them."""
        with trio.fail_after(WAIT_S):
            while True:
                found = [line for line in self.log if text in line["message"]]
                if len(found) >= count:
                    return found[-1]
                await self._news.wait()

    async def wait_for_workers(self, count: int, *, without: int | None = None) -> list[int]:
        """Wait until so many workers live, none of them the process `without`."""
        with trio.fail_after(WAIT_S):
            while True:
                workers = self.workers()
                if len(workers) == count and without not in workers:
                    return workers
                # The kernel announces the children of another process to nobody.
                await trio.sleep(0.01)

    async def read_log(self) -> None:
        """Collect the log until the process ends. Run by `gateway_process`."""
        assert self._process.stderr is not None, "it was opened with a pipe"
        buffered = b""
        async for data in self._process.stderr:
            *lines, buffered = (buffered + data).split(b"\n")
            self.log += [_parsed(line) for line in lines if line]
            self._news.set()
            self._news = trio.Event()
        self._is_read.set()

    async def read_announcement(self) -> None:
        """Wait until the gateway is ready. Run by `gateway_process`.

        Raises:
            GatewayEndedError: It ended instead.
        """
        assert self._process.stdout is not None, "it was opened with a pipe"
        told = b""
        with trio.fail_after(READY_S):
            while not told.endswith(b"\n"):
                data = await self._process.stdout.receive_some()
                if not data:
                    status = await self._process.wait()
                    # What it left behind may keep the log open, and says nothing of why it ended.
                    with trio.move_on_after(LEFT_S if self._process.stderr else 0):
                        await self._is_read.wait()
                    output = "\n".join(str(line["message"]) for line in self.log)
                    raise GatewayEndedError(status, output)
                told += data
        self.announcement = json.loads(told)


@asynccontextmanager
async def gateway_process(
    *arguments: str,
    data: Path,
    environ: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    pass_fds: Sequence[int] = (),
    log: int = subprocess.PIPE,
) -> AsyncGenerator[GatewayProcess]:
    """Run `oto-trio serve` on free ports for the length of a block.

    Args:
        arguments: More arguments of `serve`.
        data: Its data folder.
        environ: More environment variables.
        prefix: A program, with arguments, that runs the command behind it in its own process.
        pass_fds: Descriptors that this program gets; see `handed_over`.
        log: The descriptor that is its standard error, which the caller reads; nothing is in the gateway's `log` then.

    Raises:
        GatewayEndedError: It ended before it was ready.
        TooSlowError: It was not ready in time.
    """
    command = [
        *prefix,
        *(sys.executable, "-m", "oto_trio", "serve"),
        *("--data", str(data), "--http-port", "0", "--admin-port", "0"),
        *("--log-format", "json", "--bind", "127.0.0.1"),
        *arguments,
    ]
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, **(environ or {})},
        pass_fds=pass_fds,
        # Its own group, so that a Ctrl-C for the tests is theirs alone.
        process_group=0,
    )
    gateway = GatewayProcess(process)
    async with trio.open_nursery() as nursery:
        if log == subprocess.PIPE:
            nursery.start_soon(gateway.read_log)
        try:
            await gateway.read_announcement()
            yield gateway
        finally:
            with trio.CancelScope(shield=True):
                await _end(gateway, process)


def handed_over(sockets: Mapping[str, socket.socket]) -> dict[str, Any]:
    """Return the arguments of `gateway_process` with which it gets sockets as systemd hands them over.

    Args:
        sockets: Listening sockets by their names; they stay the caller's.
    """
    descriptors = [sock.fileno() for sock in sockets.values()]
    shown = ",".join(map(str, descriptors))
    prefix = (sys.executable, "-c", _HAND_OVER, shown, ":".join(sockets))
    return {"prefix": prefix, "pass_fds": descriptors}


_HAND_OVER: Final = """
import fcntl, os, sys
given = [int(text) for text in sys.argv[1].split(",")]
moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3 + len(given)) for fd in given]
for fd in given:
    os.close(fd)
for place, fd in enumerate(moved):
    os.dup2(fd, 3 + place)
names = {"LISTEN_FDNAMES": sys.argv[2]} if sys.argv[2].strip(":") else {}
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), **names)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Puts descriptors where the protocol wants them, and becomes the command."""


async def _end(gateway: GatewayProcess, process: trio.Process) -> None:
    """End a gateway and whatever it leaves behind."""
    workers = gateway.workers() if process.returncode is None else []
    if process.returncode is None:
        process.terminate()
        with trio.move_on_after(WAIT_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
        for pid in workers:
            if _WORKER in command_of(pid):
                os.kill(pid, signal.SIGKILL)


def command_of(pid: int) -> bytes:
    """Return the command line of a process; empty when it has ended."""
    return _told(Path(f"/proc/{pid}/cmdline"))


def _told(file: Path) -> bytes:
    """Return what the kernel tells of a process or a thread; empty when it has ended."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"message": line.decode(errors="replace")}
    return parsed
