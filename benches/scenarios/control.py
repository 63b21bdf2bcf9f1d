"""control-10k: how soon the control plane answers, and a write is live, beside traffic."""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from typing_extensions import override

from benches.admin import AdminApi
from benches.contestant import Contestant
from benches.errors import InvalidRunError
from benches.job import Job, route_table
from benches.launch import Launched, on_core
from benches.measurement import Sample
from benches.scenarios.scenario import Conditions, Scenario, sample
from benches.traffic import LoadCore

ENTITIES: Final = 10_000
WORKERS: Final = 2
RATE: Final = 1_000
CONNECTIONS: Final = 16
PAGE: Final = 100
LEAST_WRITES: Final = 100
"""So many writes at least, or their 99th percentile says nothing."""

PAUSE_S: Final = 0.01
"""Between two requests, as people and their tools leave one."""

KIND: Final = "/apis/proxy.otoroshi.io/v1/routes"


class Control10k(Scenario):
    """10,000 routes, two workers, 1,000 requests a second, and meanwhile pages are listed and routes written.

    Control plane and workers share one core. A write is timed until its answer, which says that it is on
    disk and that both workers serve it (`?wait=applied`).
    """

    name: ClassVar[str] = "control-10k"
    summary: ClassVar[str] = (
        f"{ENTITIES:,} routes, {WORKERS} workers, {RATE:,} requests/s: a page of {PAGE} routes, and a write until"
        " it is durable and in force in each worker"
    )
    alone: ClassVar[bool] = True

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        routes = route_table(ENTITIES, conditions.domains)
        return Job(upstream_port, routes=routes, workers=WORKERS)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Have the start's own work, and what the first requests import and open, done."""
        contestant.settle()
        with AdminApi(contestant.admin_port) as admin:
            for number in range(3):
                list_page(admin, number)
                write_route(admin, number, "warm")

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        pages: list[float] = []
        writes: list[float] = []
        seconds = max(conditions.duration_s, 10)

        def manage() -> dict[str, float]:
            with (
                traffic(contestant, load, seconds) as result,
                on_core(load.core),
                AdminApi(contestant.admin_port) as admin,
            ):
                end_s = time.perf_counter() + seconds
                for number in itertools.count():
                    if time.perf_counter() > end_s:
                        break
                    pages.append(list_page(admin, number))
                    time.sleep(PAUSE_S)
                    writes.append(write_route(admin, number * 37 % ENTITIES, f"write {number}"))
                    time.sleep(PAUSE_S)
            return result

        numbers, window = contestant.watch(manage)
        if len(writes) < LEAST_WRITES:
            raise InvalidRunError(
                f"only {len(writes)} writes in {seconds} s; {LEAST_WRITES} are needed"
            )
        return sample(
            contestant,
            numbers,
            window,
            page_p50_ms=percentile(pages, 50) * 1e3,
            page_p99_ms=percentile(pages, 99) * 1e3,
            write_p50_ms=percentile(writes, 50) * 1e3,
            write_p99_ms=percentile(writes, 99) * 1e3,
            writes=float(len(writes)),
        )


def percentile(values: list[float], part: int) -> float:
    """Return the smallest value that `part` of a hundred values do not exceed.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no value, no percentile")
    return sorted(values)[max(-(-len(values) * part // 100), 1) - 1]


def list_page(admin: AdminApi, number: int) -> float:
    """List one of the pages; return the seconds it took."""
    page = number % (ENTITIES // PAGE) + 1
    answer = admin.ask("GET", f"{KIND}?page={page}&pageSize={PAGE}")
    listed = len(answer.json())
    if listed != PAGE:
        raise InvalidRunError(f"page {page} has {listed} routes instead of {PAGE}")
    return answer.seconds


def write_route(admin: AdminApi, number: int, description: str) -> float:
    """Give a route another description; return the seconds until each worker served it."""
    target = f"{KIND}/route_bench_{number}"
    document = admin.ask("GET", target).json() | {"description": description}
    answer = admin.ask("PUT", f"{target}?wait=applied", json.dumps(document).encode())
    applied = {name.lower(): value for name, value in answer.headers.items()}.get(
        "oto-trio-applied"
    )
    if applied != "true":
        raise InvalidRunError(f"the write of route {number} was answered, but not as applied")
    return answer.seconds


@contextlib.contextmanager
def traffic(contestant: Contestant, load: LoadCore, seconds: int) -> Iterator[dict[str, Any]]:
    """Send a constant rate of requests meanwhile; what the load counted is in the result at the end.

    Raises:
        InvalidRunError: a request failed.
    """
    argv = load.command(
        "constant",
        contestant.port,
        contestant.job.routes[0],
        path="bytes/1024",
        rate=RATE,
        connections=CONNECTIONS,
        seconds=seconds,
    )
    result: dict[str, Any] = {}
    log = load.folder / "beside.log"
    log.unlink(missing_ok=True)
    with Launched(argv, core=load.core, log=log, speaks=True) as clients:
        yield result
        output, _ = clients.process.communicate(timeout=seconds + 30)
        if clients.process.returncode != 0:
            raise InvalidRunError(log.read_text().strip() or "the load failed")
    result.update(json.loads(output))
