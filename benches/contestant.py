"""A proxy in a contest: started, known to work, and watched."""

import http.client
import itertools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from typing_extensions import override

from benches import procfs
from benches.errors import BenchError, InvalidRunError
from benches.job import Job, Route
from benches.launch import Launched, free_port, tail
from benches.peers.proxy import Proxy

READY_S: Final = 120.0
"""How long a proxy may take to answer; a table of 100,000 routes takes some of them a while."""

SETTLE_S: Final = 60.0
"""How long a proxy may go on with what its start left for later, such as making keys."""

_numbers = itertools.count()

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Window:
    """CPU use between two moments.

    Attributes:
        seconds: Time between them.
        cpu_ns: Used by the proxy.
        cpu_source: File that `cpu_ns` is from.
        proxy_share: Part of its core that the proxy used, 0 to 1.
        foreign_share: Part of that core that went to others: noise.
        load_core_share: Part of the load core that was busy, 0 to 1; near 1 the load was the limit.
    """

    seconds: float
    cpu_ns: int
    cpu_source: str
    proxy_share: float
    foreign_share: float
    load_core_share: float


class _ByName(http.client.HTTPSConnection):
    """A connection to this machine that asks for another name."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port, timeout=30)
        self._name = name
        self._tls = context

    @override
    def connect(self) -> None:
        """Connect, and shake hands under the name."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


class Contestant:
    """A running proxy; a context manager that ends it.

    Args:
        label: Its name in this contest.
        proxy: What to run.
        job: What it has to do.
        folder: Parent of its working folder.
        core: Core that it is pinned to.
        load_core: Core of everything else.

    Raises:
        BenchError: it did not get ready; with the tail of its log.
    """

    def __init__(
        self, label: str, proxy: Proxy, job: Job, *, folder: Path, core: int, load_core: int
    ) -> None:
        self.label = label
        self.proxy = proxy
        self.job = job
        self.core = core
        self.load_core = load_core
        self.port = free_port()
        place = folder / f"{proxy.name}-{next(_numbers)}"
        place.mkdir()
        self._command = proxy.configure(job, self.port, place)
        self._log = place / "log.txt"
        self._launched = self._launch()
        try:
            self.ready_after_s = self._wait_until_ready(job.routes[0])
            for route in (job.routes[-1], job.routes[len(job.routes) // 2]):
                self._expect_answer(route)
        except BaseException:
            self._launched.end()
            raise

    def _launch(self) -> Launched:
        command = self._command
        return Launched(
            command.argv, core=self.core, log=self._log, environment=command.environment
        )

    def restart(self, job: Job) -> float:
        """End the proxy and start it again on what it kept; return the seconds until it is ready.

        Args:
            job: What it does by now; it is ready once the last route of it is answered with 200.

        Raises:
            BenchError: it did not get ready; with the tail of its log.
        """
        self._launched.end()
        self._launched = self._launch()
        self.job = job
        return self._wait_until_ready(job.routes[-1])

    @property
    def admin_port(self) -> int:
        """Port of the proxy's admin API.

        Raises:
            BenchError: it has none that a bench uses.
        """
        if self._command.admin_port is None:
            raise BenchError(f"{self.label} has no admin API here")
        return self._command.admin_port

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the proxy and its processes."""
        self._launched.end()

    def fault(self, text: str) -> BenchError:
        """Return the error that says what happened and what the proxy had logged."""
        return BenchError(f"{self.label} {text}; its log ends:\n{tail(self._launched.log)}")

    def _wait_until_ready(self, route: Route) -> float:
        """Return the seconds from its start until it answered a request along `route` with 200."""
        status: int | str = "nothing"
        while time.perf_counter() - self._launched.started_s < READY_S:
            code = self._launched.process.poll()
            if code is not None:
                raise self.fault(f"ended with exit code {code} before it was ready")
            try:
                status = self.ask(route)
            except OSError as error:
                status = str(error)
            else:
                if status in self._ready_statuses():
                    return time.perf_counter() - self._launched.started_s
            time.sleep(0.002)
        raise self.fault(f"was not ready after {READY_S:.0f} s (last answer: {status})")

    def _ready_statuses(self) -> tuple[int, ...]:
        """Return the statuses that tell that it works: a job may be to refuse everything."""
        guard = self.job.guard
        return (200, 429) if guard is not None and guard.rate == 0 else (200,)

    def _expect_answer(self, route: Route) -> None:
        try:
            status = self.ask(route)
        except OSError as error:
            raise self.fault(f"failed on {route.domain}{route.prefix}: {error}") from error
        if status not in self._ready_statuses():
            raise self.fault(f"answered {status} for {route.domain}{route.prefix}")

    def ask(self, route: Route) -> int:
        """Send one small request along a route on a new connection; return the status.

        Raises:
            OSError: no connection, or no answer to speak of.
        """
        connection = self._connection(route)
        try:
            connection.request(
                "GET",
                f"{route.prefix}bytes/64",
                headers={"Host": route.domain, "Connection": "close", **self._credentials()},
            )
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            message = f"{type(error).__name__} {error}"
            raise OSError(message) from error
        finally:
            connection.close()
        if answer.status == 200 and len(body) != 64:
            message = f"a 200 with {len(body)} octets instead of the upstream's 64"
            raise OSError(message)
        return answer.status

    def _connection(self, route: Route) -> http.client.HTTPConnection:
        """Return a connection to be opened, under TLS where the job says so."""
        if not self.job.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        # Its certificate is nobody's but the bench's.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return _ByName(route.domain, self.port, context)

    def _credentials(self) -> dict[str, str]:
        """Return the header fields that the job's guard asks for."""
        if self.job.guard is None:
            return {}
        fields = (field.partition(": ") for field in self.job.guard.fields())
        return {name: value for name, _, value in fields}

    def pids(self) -> list[int]:
        """Return the ids of all its processes."""
        return self._launched.pids()

    @property
    def leader(self) -> int:
        """Id of the process that was started."""
        return self._launched.pid

    def resident(self) -> dict[int, int]:
        """Return the resident bytes of each of its processes."""
        return {pid: procfs.resident_bytes(pid) for pid in self.pids()}

    def settle(self) -> None:
        """Wait until the proxy, asked for nothing, does nothing: what a start leaves for later is done.

        Raises:
            BenchError: it never rests.
        """
        end_s = time.perf_counter() + SETTLE_S
        before = procfs.read_cpu(self.pids())
        while time.perf_counter() < end_s:
            time.sleep(0.5)
            after = procfs.read_cpu(self.pids())
            if after.processes == before.processes and after.since(before)[0] < 0.05 * 0.5e9:
                return
            before = after
        raise self.fault(f"was still busy {SETTLE_S:.0f} s after it was ready")

    def watch(self, load: Callable[[], Result]) -> tuple[Result, Window]:
        """Run `load` and return what it returned, with the CPU use meanwhile.

        Raises:
            InvalidRunError: a process of the proxy ended or began meanwhile (or `load` says so).
        """
        before = procfs.read_cpu(self.pids())
        cores_before = [procfs.core_ticks(core) for core in (self.core, self.load_core)]
        start_s = time.perf_counter()
        result = load()
        seconds = time.perf_counter() - start_s
        cores_after = [procfs.core_ticks(core) for core in (self.core, self.load_core)]
        after = procfs.read_cpu(self.pids())
        if after.processes != before.processes:
            message = (
                f"its processes were {sorted(before.processes)} and are {sorted(after.processes)}"
            )
            raise InvalidRunError(message)
        cpu_ns, source = after.since(before)
        busy = [
            (busy - busy_before) / max(total - total_before, 1)
            for (busy_before, total_before), (busy, total) in zip(
                cores_before, cores_after, strict=True
            )
        ]
        return result, Window(
            seconds=seconds,
            cpu_ns=cpu_ns,
            cpu_source=source,
            proxy_share=cpu_ns / 1e9 / seconds,
            foreign_share=max(0.0, busy[0] - cpu_ns / 1e9 / seconds),
            load_core_share=busy[1],
        )
