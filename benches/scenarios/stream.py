"""stream: one gigabyte up and one down, and the memory it takes meanwhile."""

from dataclasses import replace
from typing import ClassVar

from typing_extensions import override

from benches import procfs
from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import MB, Sample
from benches.scenarios.scenario import Conditions, Scenario, sample
from benches.traffic import LoadCore

SIZE_BYTES = 1 << 30


class Stream(Scenario):
    """A request body of 1 GiB, then an answer of 1 GiB; CPU is per transfer."""

    name: ClassVar[str] = "stream"
    summary: ClassVar[str] = "1 GiB up, then 1 GiB down; memory growth meanwhile"
    unit: ClassVar[str] = "transfer"
    fresh: ClassVar[bool] = True

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, streams=True)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        route = contestant.job.routes[0]
        before = contestant.resident()
        for pid in before:
            procfs.forget_peak(pid)
        up, up_window = contestant.watch(
            lambda: load.run(
                "up", contestant.port, route, path="sink", bytes=SIZE_BYTES, connections=1
            )
        )
        down, down_window = contestant.watch(
            lambda: load.run(
                "down",
                contestant.port,
                route,
                path=f"bytes/{SIZE_BYTES}",
                bytes=SIZE_BYTES,
                connections=1,
            )
        )
        # Each process's own peak, though they need not have been at the same time.
        peak = sum(procfs.peak_resident_bytes(pid) for pid in before)
        return sample(
            contestant,
            {"requests": 2, "seconds": up["seconds"] + down["seconds"]},
            replace(down_window, cpu_ns=up_window.cpu_ns + down_window.cpu_ns),
            growth_mb=(peak - sum(before.values())) / MB,
            up_mb_s=SIZE_BYTES / MB / up["seconds"],
            down_mb_s=SIZE_BYTES / MB / down["seconds"],
            up_cpu_us=up_window.cpu_ns / 1e3,
            down_cpu_us=down_window.cpu_ns / 1e3,
        )
