"""A whole gateway under a service manager: sockets that it hands over, and what it is told."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import READY_S, gateway_process, handed_over
from tests.integration.command_line.test_supervisor_signals import Load, ask, routed
from tests.integration.ports import free_port

if TYPE_CHECKING:
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

UNITS = Path(__file__).parents[3] / "examples" / "systemd"


class Manager:
    """The socket on which a service manager is told how its service is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told: list[bytes] = []
        self._news = trio.Event()

    async def read(self) -> None:
        """Read all the time: the kernel keeps ten messages, and who finds no room gives up after a while."""
        while True:
            self._told.append(await self.socket.recv(4096))
            self._news.set()

    async def wait_for(self, word: bytes) -> bytes:
        """Wait for a message that begins with a word, past signs of life and others."""
        with trio.fail_after(READY_S):
            while True:
                while self._told:
                    message = self._told.pop(0)
                    if message.startswith(word):
                        return message
                self._news = trio.Event()
                await self._news.wait()


async def test_a_restart_with_sockets_of_the_manager_refuses_nobody(
    upstream: Upstream, tmp_path: Path
) -> None:
    manager = Manager(tmp_path / "notify")
    await manager.socket.bind(str(manager.path))
    inside = tmp_path / "admin.sock"
    with ExitStack() as stack:
        http = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        admin = stack.enter_context(socket.socket(socket.AF_UNIX))
        admin.bind(str(inside))
        admin.listen()
        port = http.getsockname()[1]
        start = partial(
            gateway_process,
            *("--dev", "--workers", "2", *routed(upstream)),
            data=tmp_path / "data",
            environ={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"},
            **handed_over({"admin": admin, "http": http}),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.read)
            load = Load(port)
            async with start() as gateway:
                told = gateway.announcement
                assert (told["http"], told["admin"]) == (
                    f"http://127.0.0.1:{port}",
                    f"unix:{inside}",
                )
                assert b"STATUS=takes requests" in await manager.wait_for(b"READY=1")
                await manager.wait_for(b"WATCHDOG=1")
                # What was for the supervisor is not for its workers.
                environment = Path(f"/proc/{gateway.workers()[0]}/environ").read_bytes()
                for name in (b"LISTEN_", b"NOTIFY_SOCKET", b"WATCHDOG_"):
                    assert name not in environment
                transport = httpx.AsyncHTTPTransport(uds=str(inside))
                async with httpx.AsyncClient(transport=transport) as api:
                    assert (await api.get("http://localhost/health")).status_code == 200
                gateway.signal(signal.SIGHUP)
                await manager.wait_for(b"RELOADING=1")
                await manager.wait_for(b"READY=1")
                for _ in range(4):
                    nursery.start_soon(load.run)
                await load.until_answered(20)
                gateway.signal(signal.SIGTERM)
                await manager.wait_for(b"STOPPING=1")
                assert await gateway.wait() == 0
            # Nobody accepts now; the manager's socket keeps these in its queue.
            answered = load.answered
            async with start():
                await load.until_answered(20)
                nursery.cancel_scope.cancel()
        assert load.answered > answered
        assert (load.refused, load.broken) == (0, 0)
        assert load.statuses == {200}
        assert inside.exists(), "it is the manager's"
    manager.socket.close()


async def test_systemds_own_launcher_hands_its_socket_over(
    upstream: Upstream, tmp_path: Path
) -> None:
    launcher = shutil.which("systemd-socket-activate")
    if launcher is None:
        pytest.skip("systemd-socket-activate is not installed (package systemd)")
    port = free_port()
    prefix = (launcher, f"--listen=127.0.0.1:{port}", "--fdname=http")
    statuses: list[int] = []
    is_answered = trio.Event()

    async def first_client() -> None:
        # The launcher starts the gateway when somebody calls.
        with trio.fail_after(2 * READY_S):
            while not statuses:
                try:
                    statuses.append((await ask(port))[0])
                except OSError:
                    await trio.sleep(0.01)
        is_answered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first_client)
        async with gateway_process(
            *("--dev", "--workers", "1", *routed(upstream)), data=tmp_path, prefix=prefix
        ) as gateway:
            assert gateway.port == port
            await is_answered.wait()
    assert statuses == [200]


def test_the_units_are_ones_that_systemd_reads(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (package systemd)")
    units = sorted(UNITS.iterdir())
    assert {unit.name for unit in units} == {
        *("oto-trio.service", "oto-trio-http.socket"),
        *("oto-trio-https.socket", "oto-trio-admin.socket"),
    }
    for unit in units:
        # The program of the example is not on this machine; anything else that is odd is told.
        text = unit.read_text(encoding="utf-8").replace("/opt/oto-trio/bin/oto-trio", "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *(tmp_path / unit.name for unit in units)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    told = [line for line in done.stderr.splitlines() if "oto-trio" in line]
    assert told == []
