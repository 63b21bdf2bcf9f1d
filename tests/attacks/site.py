"""A whole gateway to attack, and what an attack on it costs.

The gateway is a process with one worker. What an attack costs is never told in seconds of a clock on the
wall, which another process on the machine may stretch. It is told in *honest requests*: the CPU time that the worker
takes for one small request over a connection that is kept, measured on the same gateway in the same run.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from tests.attacks.backends import Backend, Http2Backend
from tests.attacks.honest import cpu_s
from tests.conformance.tls.secure import authority
from tests.halted_processes import HALTS_NOT
from tests.integration.backends import serving
from tests.integration.clients import Connection, admin
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown, trusted
from tests.integration.ports import free_port
from tests.integration.protocols.http3_backend import http3_backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.protocols.http3_backend import Http3Backend

__all__ = ["COUNTED", "Cost", "Site", "attacked_site"]

WARM_UP: Final = 100
MEASURED: Final = 400
"""Honest requests whose CPU time is taken for the unit."""
QUIET_S: Final = 1.0
"""How long the worker is left alone, and then has the honest client alone, to see what it takes without an attack."""
MEASURED_AGAIN: Final = 25
"""The same, four times over, around each attack."""
DEARER: Final = 3
"""How much dearer an honest request may get in the course of the tests before that is the gateway's own doing."""
GUARD_S: Final = 240.0
START_S: Final = 240.0
"""How long the gateway and all beside it may take to start."""
COUNTED: Final = "/counted"
"""What `Site.until_counted` asks for."""
NG: Final = "cp:otoroshi.next.plugins."
SERVICES: Final = "/apis/proxy.otoroshi.io/v1/tcp-services"
APPLIED: Final = {"wait": "applied"}


@dataclass
class Cost:
    """What an attack took of the gateway. Complete behind its block."""

    requests: float = 0.0
    """CPU time of the worker, in honest requests; what it takes by itself and for the honest client is taken off."""
    grown_bytes: int = 0
    """The largest memory (RSS) that the worker had meanwhile, beyond what it had before."""
    answers: int = 0
    """What an honest client got answered meanwhile."""
    longest_wait: float = 0.0
    """The most that the worker did, in honest requests, between an honest request and its answer."""
    reached: Counter[str] = field(default_factory=Counter[str])
    """Paths that the backends were asked for, the honest client's left out."""


class Honest:
    """The process of the honest client and its backend (`honest`)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.honest"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, HALTS_NOT: "1"},  # its time is the worker's, or so it would count
        )
        self.port = int(self._hear())

    def say(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None, "it was opened with a pipe"
        self._process.stdin.write(line)
        self._process.stdin.flush()

    async def ask(self, line: str) -> str:
        """Write a line, and wait for the one that answers it."""
        self.say(line)
        return await trio.to_thread.run_sync(self._hear)

    def _hear(self) -> str:
        assert self._process.stdout is not None, "it was opened with a pipe"
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@dataclass
class Site:
    """A gateway that runs in another thread, with its backends.

    Attributes:
        gateway: Its processes.
        worker: The process that is measured.
        backend: Speaks HTTP/1.1; the route of `a.test` leads there.
        second: Speaks HTTP/2 with prior knowledge; the route of `h2.test` leads there.
        third: Speaks HTTP/3; the route of `h3.test` leads there.
        honest: A client of `honest.test`, with a backend of its own.
        named: The port of a TCP service that reads the name `tcp.test` and passes TLS on.
        unit_s: CPU seconds of one honest request, at the start.
        idle: What the worker does in a second by itself, in honest requests.
        answer: What an answer to the honest client takes, in honest requests: it pauses, which makes each of them dearer.
    """

    gateway: GatewayProcess
    worker: int
    backend: Backend
    second: Http2Backend
    third: Http3Backend
    honest: Honest
    named: int
    unit_s: float = 0.0
    idle: float = 0.0
    answer: float = 1.0

    @property
    def port(self) -> int:
        """Its port for HTTP."""
        return self.gateway.port

    @property
    def https(self) -> int:
        """Its port for HTTPS."""
        return self.gateway.https_port

    @property
    def http3(self) -> int:
        """Its port for HTTP/3."""
        return self.gateway.http3_port

    @property
    def asked(self) -> Counter[str]:
        """Paths that the backends were asked for, the honest client's left out."""
        third = Counter(path.decode("latin-1") for path in self.third.paths)
        return self.backend.asked + self.second.asked + third

    def cpu_s(self) -> float:
        """CPU time that the worker took so far, in seconds."""
        return cpu_s(self.worker)

    def memory(self, name: str = "VmRSS") -> int:
        """A figure of the worker's memory, in bytes."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        (kib,) = [line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:")]
        return int(kib) * 1024

    async def measure(self, *counts: int) -> list[float]:
        """Find out what an honest request costs.

        Args:
            counts: How many are made; each number of them is measured by itself.

        Returns:
            CPU seconds of one request, for each of the numbers.
        """
        units: list[float] = []
        async with await Connection.open(self.port) as connection:
            for count in counts:
                before = self.cpu_s()
                for _ in range(count):
                    answer = await connection.ask("honest.test", "/honest")
                    assert answer.status == 200
                units.append((self.cpu_s() - before) / count)
        return units

    async def set_out(self) -> None:
        """Find out what honest requests cost, and what the worker takes without an attack."""
        self.unit_s = (await self.measure(WARM_UP, MEASURED))[-1]
        begun, before = trio.current_time(), self.cpu_s()
        await trio.sleep(QUIET_S)
        idle_s = (self.cpu_s() - before) / (trio.current_time() - begun)
        self.idle = idle_s / self.unit_s
        begun, before = trio.current_time(), self.cpu_s()
        self.honest.say("begin\n")
        await trio.sleep(QUIET_S)
        told: dict[str, Any] = json.loads(await self.honest.ask("end\n"))
        spent_s = self.cpu_s() - before - idle_s * (trio.current_time() - begun)
        self.answer = max(spent_s / told["answers"] / self.unit_s, 1.0)

    async def unit_now_s(self) -> float:
        """CPU seconds of one honest request as the machine is now, whose other work makes the same requests dearer.

        Of four measurements the cheapest counts, and no more than `DEARER` times what it was at the start: neither
        the rest of an attack nor what it left behind may make the unit larger.
        """
        return min(DEARER * self.unit_s, *await self.measure(*[MEASURED_AGAIN] * 4))

    @asynccontextmanager
    async def under_attack(self, name: str) -> AsyncGenerator[Cost]:
        """Measure what happens in the block, with an honest client beside it; prints the cost as `name`.

        The unit is what an honest request costs at the start, in front of the block or behind it, whichever is most.
        The block has to leave once the attack is over: what the gateway does behind it is measured too, as
        long as the honest client still lacks answers.
        """
        with trio.fail_after(GUARD_S):
            cost, unit_s = Cost(), max(self.unit_s, await self.unit_now_s())
            await self.until_counted()
            seen = self.asked
            Path(f"/proc/{self.worker}/clear_refs").write_text("5")  # the peak counts from here
            rss, before, begun = self.memory(), self.cpu_s(), trio.current_time()
            self.honest.say("begin\n")
            try:
                yield cost
            finally:
                # An attack that failed leaves no answer for the next one to read.
                with trio.CancelScope(shield=True):
                    told: dict[str, Any] = json.loads(await self.honest.ask("end\n"))
            assert "failure" not in told, told
            spent_s, took_s = self.cpu_s() - before, trio.current_time() - begun
            cost.answers = told["answers"]
            cost.grown_bytes = max(self.memory("VmHWM") - rss, 0)
            unit_s = max(unit_s, await self.unit_now_s())
            await self.until_counted()
            cost.reached = self.asked - seen
            del cost.reached[COUNTED]
            cost.longest_wait = told["longest_s"] / unit_s
            besides = cost.answers * self.answer + took_s * self.idle
            cost.requests = max(spent_s / unit_s - besides, 0.0)
            print(  # noqa: T201 (figures for who asks for them with -rP)
                f"{name}: {cost.requests:.0f} requests, {cost.grown_bytes >> 10} KiB, "
                f"longest wait {cost.longest_wait:.0f} requests, {cost.answers} answers meanwhile, "
                f"{cost.reached.total()} reached a backend"
            )

    async def until_counted(self) -> None:
        """Wait until `backend` has counted all that was sent to it so far, on whatever connections.

        It serves the connections of which it hears at the same time in any order. But what it hears of with the first of
        these requests, or before, is over when it answers the next one; the connections that it only accepted then, when
        it answers the one behind.
        """
        async with await Connection.open(self.port) as connection:
            for _ in range(4):
                assert (await connection.ask("a.test", COUNTED)).status == 200

    async def until_idle(self) -> None:
        """Wait until no exchange is under way at the backends."""
        with trio.fail_after(GUARD_S):
            while self.backend.held or self.second.held:  # noqa: ASYNC110 (they live in another thread)
                await trio.sleep(0.01)


def _document(backend: int, second: int, third: int, honest: int) -> dict[str, Any]:
    target = {"hostname": "127.0.0.1", "port": second, "tls": False, "protocol": "HTTP/2.0"}
    last = {"hostname": "back.test", "ip_address": "127.0.0.1", "port": third, "tls": True}
    names = ("a.test", "h2.test", "h3.test", "ws.test", "tcp.test")
    return {
        "certificates": [shown(*names), trusted()],
        "routes": [
            {"name": "a", "frontend": "a.test", "backend": f"http://127.0.0.1:{backend}"},
            {"name": "h", "frontend": "honest.test", "backend": f"http://127.0.0.1:{honest}"},
            {
                "name": "ws",
                "frontend": {"domains": ["ws.test"]},
                "backend": {"url": f"http://127.0.0.1:{backend}"},
                "plugins": [
                    {"plugin": f"{NG}WebsocketSizeValidator", "config": {}},
                    {"plugin": f"{NG}api.YesWebsocketBackend"},
                ],
            },
            {"name": "b", "frontend": {"domains": ["h2.test"]}, "backend": {"targets": [target]}},
            {
                "name": "third",
                "frontend": {"domains": ["h3.test"]},
                "backend": {"targets": [{**last, "protocol": "HTTP/3.0"}]},
            },
        ],
    }


def _service(port: int, target: int) -> dict[str, Any]:
    return {
        "id": "named",
        "name": "named",
        "description": "",
        "enabled": True,
        "port": port,
        "interface": "127.0.0.1",
        "tls": "PassThrough",
        "sni": {"enabled": True},
        "rules": [{"domain": "tcp.test", "targets": [{"host": "127.0.0.1", "port": target}]}],
    }


async def _run(folder: Path, handed: queue.SimpleQueue[Any]) -> None:
    """Run a site until it is told to stop; hands over the site and how to stop it, or what failed."""
    stop = trio.Event()
    backend, second = Backend(), Http2Backend()
    token = trio.lowlevel.current_trio_token()
    async with (
        http3_backend(authority().issue_cert("back.test")) as third,
        serving(backend.serve) as backend.port,
        serving(second.serve) as second.port,
    ):
        honest = Honest()
        document = _document(backend.port, second.port, third.port, honest.port)
        async with declared_gateway(document, folder, *HTTPS, *HTTP3) as gateway:
            (worker,) = gateway.workers()
            honest.say(f"{gateway.port} {worker}\n")
            named = free_port()
            async with admin(gateway) as api:
                answer = await api.post(
                    SERVICES, params=APPLIED, json=_service(named, backend.port)
                )
                assert answer.status_code == 201, answer.text
            site = Site(gateway, worker, backend, second, third, honest, named)
            await site.set_out()
            print(  # noqa: T201 (as above)
                f"an honest request: {site.unit_s * 1e6:.0f} us of CPU, {site.answer:.1f} requests where there is a pause; "
                f"a second: {site.idle:.0f} requests"
            )
            handed.put((site, partial(trio.from_thread.run_sync, stop.set, trio_token=token)))
            await stop.wait()
        honest.close()


@contextmanager
def attacked_site(folder: Path) -> Generator[Site]:
    """Run a site in a thread of its own for the length of a block, which may hold many Trio runs."""
    handed: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            trio.run(_run, folder, handed)
        except BaseException as error:  # noqa: BLE001 (handed over)
            handed.put(error)

    # Of a site that never starts nothing is waited for at the end.
    thread = threading.Thread(target=run, name="attacked site", daemon=True)
    thread.start()
    told = handed.get(timeout=START_S)
    if isinstance(told, BaseException):
        thread.join()
        raise told
    site, stop = told
    try:
        yield site
    finally:
        stop()
        thread.join()
    if not handed.empty():
        raise handed.get()
