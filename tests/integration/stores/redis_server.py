"""A real redis-server on a free port of loopback, started and ended by the test that needs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.integration.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

START_S: Final = 120.0


class RedisServer:
    """A server that can be killed and started again, with the same port and the same data.

    Args:
        folder: For its data and its log.
        options: More of its options, such as ``--requirepass``.
        settings: A file of settings, for a sentinel: it takes no others.
    """

    def __init__(self, folder: Path, *options: str, settings: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._settings = settings
        self._process: trio.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        program = shutil.which("redis-server")
        if program is None:
            wish = "redis-server is not installed: apt-get install redis-server"
            if os.environ.get("CI"):
                pytest.fail(wish)
            pytest.skip(wish)
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        where += ["--logfile", str(self.folder / "redis.log")]
        if self._settings is not None:
            command = [program, str(self._settings), *where, *self._options]
        else:
            kept = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
            command = [program, *where, *kept, *self._options]
        self._process = await trio.lowlevel.open_process(command, stdout=subprocess.DEVNULL)
        with trio.fail_after(START_S):
            while not await self._is_up():
                assert self._process.poll() is None, (self.folder / "redis.log").read_text()
                await trio.sleep(0.02)

    async def _is_up(self) -> bool:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                await stream.send_all(b"PING\r\n")
                answer = bytes(await stream.receive_some())
        except OSError:
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH"))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal, and wait until it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + START_S):
                await process.wait()

    async def command(self, *words: str) -> str:
        """Carry out a command as redis-cli does."""
        done = await trio.run_process(
            ["redis-cli", "-p", str(self.port), *words], capture_stdout=True
        )
        return done.stdout.decode().strip()


@asynccontextmanager
async def redis_server(folder: Path, *options: str) -> AsyncGenerator[RedisServer]:
    """Run a server for as long as the block."""
    server = RedisServer(folder, *options)
    try:
        await server.start()
        yield server
    finally:
        await server.stop(signal.SIGKILL)
