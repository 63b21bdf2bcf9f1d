"""What a scenario is: a job for the proxies, and a way to load one of them once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from typing_extensions import override

from benches.contestant import Contestant, Window
from benches.job import Job
from benches.measurement import MB, Sample
from benches.traffic import LoadCore


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for every run of a bench.

    Attributes:
        duration_s: Length of a closed-loop or constant-rate run in whole seconds.
        domains: Over how many domains the many-route scenarios spread their routes.
        niceness: Niceness of everything that is started.
    """

    duration_s: int
    domains: int
    niceness: int = 0


Run: TypeAlias = tuple[Mapping[str, float], Window]
"""What the load counted, and what the proxy used meanwhile."""


class Scenario(ABC):
    """One kind of traffic."""

    name: ClassVar[str]
    """Name on the command line, in results and of its file."""

    summary: ClassVar[str]
    """One line that says what is measured."""

    unit: ClassVar[str] = "request"
    """What CPU time is divided by."""

    fresh: ClassVar[bool] = False
    """Whether each run gets a newly started proxy: where memory growth or the start is measured."""

    refused: ClassVar[bool] = False
    """Whether every request is one too many, so that only those take part who limit rates."""

    alone: ClassVar[bool] = False
    """Whether only oto-trio has what is measured, so that no peer takes part."""

    upstream: ClassVar[str] = "upstream"
    """The verb of `oto-load` that stands behind the proxies."""

    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        """Return what the proxies are configured for; one route unless a scenario says more."""
        del conditions
        return Job(upstream_port)

    def baseline(self, upstream_port: int, conditions: Conditions) -> tuple[str, Job] | None:
        """Return a second job for oto-trio with a name, to compare it with itself; none by default.

        It takes part in the same rounds, which takes the machine's mood out of the comparison.
        """
        del upstream_port, conditions
        return None

    @abstractmethod
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Load one proxy once.

        Raises:
            InvalidRunError: anything went wrong in the run.
        """

    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Bring a newly started proxy to its working state, unmeasured; nothing by default."""
        del contestant, load, conditions


class Timed(Scenario):
    """A scenario whose load goes on for as long as it is told to."""

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Load one proxy once."""
        numbers, window = contestant.watch(
            lambda: self.run(contestant, load, conditions.duration_s)
        )
        return sample(contestant, numbers, window)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Fill pools and caches for a second."""
        del conditions
        self.run(contestant, load, 1)

    @abstractmethod
    def run(self, contestant: Contestant, load: LoadCore, duration_s: int) -> dict[str, float]:
        """Load one proxy for so many seconds; return the load's `requests`, `seconds`, `p50_ms`, `p99_ms`."""


class ClosedLoop(Timed):
    """A scenario of keep-alive (or not) connections, each of them always busy."""

    connections: ClassVar[int] = 64
    body_bytes: ClassVar[int] = 1024
    fields: ClassVar[tuple[str, ...]] = ()

    @override
    def run(self, contestant: Contestant, load: LoadCore, duration_s: int) -> dict[str, float]:
        guard = contestant.job.guard
        return load.closed_loop(
            contestant.port,
            contestant.job,
            connections=self.connections,
            duration_s=duration_s,
            body_bytes=self.body_bytes,
            fields=self.fields,
            # The same traffic may run beside itself as a baseline that is served.
            refused=self.refused and guard is not None and guard.rate == 0,
        )


def sample(
    contestant: Contestant, numbers: Mapping[str, float], window: Window, **extras: float
) -> Sample:
    """Return what a run of one proxy gave.

    Args:
        contestant: The proxy, which still runs.
        numbers: What the load counted: `requests`, `seconds` and, where it waited for answers, `p50_ms` and `p99_ms`.
        window: What the proxy used meanwhile.
        extras: The scenario's own numbers, by name with unit.
    """
    return Sample(
        requests=int(numbers["requests"]),
        seconds=numbers["seconds"],
        cpu_ns=window.cpu_ns,
        cpu_source=window.cpu_source,
        p50_ms=numbers.get("p50_ms"),
        p99_ms=numbers.get("p99_ms"),
        resident_bytes=sum(contestant.resident().values()),
        extras=extras | load_facts(window) | memory_facts(contestant),
    )


def moved(contestant: Contestant, megabytes: float, up: Run, down: Run) -> Sample:
    """Return what it took to move so many MB up, and as many down; CPU time is for each MB of either.

    Args:
        contestant: The proxy, which still runs.
        megabytes: Moved each way.
        up: The run up.
        down: The run down, whose latencies and load count.
    """
    numbers = {
        **down[0],
        "requests": round(2 * megabytes),
        "seconds": up[0]["seconds"] + down[0]["seconds"],
    }
    window = replace(down[1], cpu_ns=up[1].cpu_ns + down[1].cpu_ns)
    return sample(
        contestant,
        numbers,
        window,
        up_cpu_us=up[1].cpu_ns / 1e3 / megabytes,
        down_cpu_us=down[1].cpu_ns / 1e3 / megabytes,
        up_mb_s=megabytes / up[0]["seconds"],
        down_mb_s=megabytes / down[0]["seconds"],
    )


def load_facts(window: Window) -> dict[str, float]:
    """Return what says how far a run can be trusted."""
    return {
        "proxy_share": window.proxy_share,
        "load_core_share": window.load_core_share,
        "foreign_share": window.foreign_share,
    }


def memory_facts(contestant: Contestant) -> dict[str, float]:
    """Return the proxy's memory by part, for a proxy with parts."""
    parts = contestant.proxy.memory_parts(contestant.leader, contestant.resident())
    return {f"rss_{name}_mb": size / MB for name, size in parts.items()}
