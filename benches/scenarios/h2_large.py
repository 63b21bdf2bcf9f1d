"""h2-large: what octets cost over HTTP/2."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant, Window
from benches.job import Job
from benches.measurement import MB, Sample
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import Http2Loop, LoadCore

BODY_BYTES = 1_000_000
COUNT = 500
WARM_UP_COUNT = 20


class H2Large(Scenario):
    """Answers of 1 MB, then as many request bodies of that size; CPU is per MB."""

    name: ClassVar[str] = "h2-large"
    summary: ClassVar[str] = (
        "500 answers, then 500 uploads of 1 MB, 4 HTTP/2 connections x 4 streams"
    )
    unit: ClassVar[str] = "MB"
    connections: ClassVar[int] = 4
    streams: ClassVar[int] = 4

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, http2=True, streams=True)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Move a few bodies each way."""
        del conditions
        self._down(contestant, load, WARM_UP_COUNT)
        self._up(contestant, load, WARM_UP_COUNT)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Move all of it, one way after the other."""
        down, down_window = contestant.watch(lambda: self._down(contestant, load, COUNT))
        up, up_window = contestant.watch(lambda: self._up(contestant, load, COUNT))
        return Sample(
            requests=round((down["requests"] + up["requests"]) * BODY_BYTES / MB),
            seconds=down["seconds"] + up["seconds"],
            cpu_ns=down_window.cpu_ns + up_window.cpu_ns,
            cpu_source=down_window.cpu_source,
            p50_ms=down["p50_ms"],
            p99_ms=down["p99_ms"],
            resident_bytes=sum(contestant.resident().values()),
            extras={
                "down_cpu_us": per_mb(down_window),
                "up_cpu_us": per_mb(up_window),
                "down_mb_s": COUNT * BODY_BYTES / MB / down["seconds"],
                "up_mb_s": COUNT * BODY_BYTES / MB / up["seconds"],
            }
            | load_facts(down_window)
            | memory_facts(contestant),
        )

    def _down(self, contestant: Contestant, load: LoadCore, count: int) -> dict[str, float]:
        loop = Http2Loop(
            connections=self.connections,
            streams=self.streams,
            requests=count,
            answer_bytes=BODY_BYTES,
        )
        return load.http2(contestant.port, contestant.job, loop)

    def _up(self, contestant: Contestant, load: LoadCore, count: int) -> dict[str, float]:
        loop = Http2Loop(
            connections=self.connections,
            streams=self.streams,
            requests=count,
            target="sink",
            body=b"x" * BODY_BYTES,
            # The upstream says how much it got. h2load reads none of it, but counts.
            answer_bytes=len(f'{{"received":{BODY_BYTES}}}\n'),
        )
        return load.http2(contestant.port, contestant.job, loop)


def per_mb(window: Window) -> float:
    """Return the microseconds of CPU for each MB of one way."""
    return window.cpu_ns / 1e3 / (COUNT * BODY_BYTES / MB)
