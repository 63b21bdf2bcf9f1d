"""h2-large: what octets cost over HTTP/2."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import MB, Sample
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore, StreamsLoop

BODY_BYTES = 1_000_000
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
    count: ClassVar[int] = 500

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
        down, down_window = contestant.watch(lambda: self._down(contestant, load, self.count))
        up, up_window = contestant.watch(lambda: self._up(contestant, load, self.count))
        megabytes = self.count * BODY_BYTES / MB
        return Sample(
            requests=round(2 * megabytes),
            seconds=down["seconds"] + up["seconds"],
            cpu_ns=down_window.cpu_ns + up_window.cpu_ns,
            cpu_source=down_window.cpu_source,
            p50_ms=down["p50_ms"],
            p99_ms=down["p99_ms"],
            resident_bytes=sum(contestant.resident().values()),
            extras={
                "down_cpu_us": down_window.cpu_ns / 1e3 / megabytes,
                "up_cpu_us": up_window.cpu_ns / 1e3 / megabytes,
                "down_mb_s": megabytes / down["seconds"],
                "up_mb_s": megabytes / up["seconds"],
            }
            | load_facts(down_window)
            | memory_facts(contestant),
        )

    def _down(self, contestant: Contestant, load: LoadCore, count: int) -> dict[str, float]:
        loop = StreamsLoop(
            connections=self.connections,
            streams=self.streams,
            requests=count,
            answer_bytes=BODY_BYTES,
        )
        return self.ask(contestant, load, loop)

    def _up(self, contestant: Contestant, load: LoadCore, count: int) -> dict[str, float]:
        loop = StreamsLoop(
            connections=self.connections,
            streams=self.streams,
            requests=count,
            target="sink",
            body=b"x" * BODY_BYTES,
            # The upstream says how much it got. h2load reads none of it, but counts.
            answer_bytes=len(f'{{"received":{BODY_BYTES}}}\n'),
        )
        return self.ask(contestant, load, loop)

    def ask(self, contestant: Contestant, load: LoadCore, loop: StreamsLoop) -> dict[str, float]:
        """Send requests in the protocol that the scenario is about."""
        return load.http2(contestant.port, contestant.job, loop)
