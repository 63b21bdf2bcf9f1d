"""start: from the command to the first proxied answer, and the memory then."""

import time
from typing import ClassVar

from typing_extensions import override

from benches import procfs
from benches.contestant import Contestant
from benches.measurement import Sample
from benches.scenarios.scenario import Conditions, Scenario, memory_facts
from benches.traffic import LoadCore

SETTLE_S = 0.5


class Start(Scenario):
    """A new process on an empty data folder, all of it on one core; files are in the page cache.

    CPU is what the start cost in all, the settling half second included.
    """

    name: ClassVar[str] = "start"
    summary: ClassVar[str] = "start to the first proxied answer (ms), memory then"
    unit: ClassVar[str] = "start"
    fresh: ClassVar[bool] = True

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        # What runs on once the first answer is out (imports, pools) belongs to the memory.
        time.sleep(SETTLE_S)
        used = procfs.read_cpu(contestant.pids())
        nothing = procfs.CpuReading(
            exact_ns=None if used.exact_ns is None else 0, ticks_ns=0, processes=used.processes
        )
        cpu_ns, source = used.since(nothing)
        return Sample(
            requests=1,
            seconds=contestant.ready_after_s,
            cpu_ns=cpu_ns,
            cpu_source=source,
            p50_ms=None,
            p99_ms=None,
            resident_bytes=sum(contestant.resident().values()),
            extras={"ready_ms": contestant.ready_after_s * 1e3} | memory_facts(contestant),
        )
