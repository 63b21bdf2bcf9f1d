"""memory-100k: what routes take in a worker."""

import time
from typing import ClassVar, Final

from typing_extensions import override

from benches import procfs
from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.routes import BASELINE, Routes10, Routes100k
from benches.scenarios.scenario import Conditions, Scenario, memory_facts
from benches.traffic import LoadCore

SETTLE_S: Final = 0.5


class Memory100k(Scenario):
    """The table of `routes100k` and that of `routes10`, loaded and left alone: the difference is the routes'.

    CPU is what the start cost.
    """

    name: ClassVar[str] = "memory-100k"
    summary: ClassVar[str] = "memory after a start with 100,000 routes, beside one with 10"
    unit: ClassVar[str] = "start"
    fresh: ClassVar[bool] = True
    alone: ClassVar[bool] = True

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        return Routes100k().job(upstream_port, conditions)

    @override
    def baseline(self, upstream_port: int, conditions: Conditions) -> tuple[str, Job] | None:
        return BASELINE, Routes10().job(upstream_port, conditions)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        time.sleep(SETTLE_S)
        used = procfs.read_cpu(contestant.pids())
        return Sample(
            requests=1,
            seconds=contestant.ready_after_s,
            cpu_ns=used.ticks_ns,
            cpu_source="stat",
            p50_ms=None,
            p99_ms=None,
            resident_bytes=sum(contestant.resident().values()),
            extras={"ready_ms": contestant.ready_after_s * 1e3} | memory_facts(contestant),
        )
