"""h2: what forwarding costs when clients speak HTTP/2, many requests on few connections."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore, StreamsLoop


class H2(Scenario):
    """10 connections of TLS 1.3 with 32 streams each; backends are asked by HTTP/1.1."""

    name: ClassVar[str] = "h2"
    summary: ClassVar[str] = "10 HTTP/2 connections x 32 streams, 1 KB answers"
    connections: ClassVar[int] = 10
    streams: ClassVar[int] = 32
    body_bytes: ClassVar[int] = 1024

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, http2=True)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Fill pools and caches for a second."""
        del conditions
        self._loop(contestant, load, 1)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Load one proxy once."""
        return self._loop(contestant, load, conditions.duration_s)

    def _loop(self, contestant: Contestant, load: LoadCore, duration_s: int) -> Sample:
        numbers, window = contestant.watch(
            lambda: self.ask(contestant, load, self.loop(duration_s))
        )
        return Sample(
            requests=int(numbers["requests"]),
            seconds=numbers["seconds"],
            cpu_ns=window.cpu_ns,
            cpu_source=window.cpu_source,
            p50_ms=numbers["p50_ms"],
            p99_ms=numbers["p99_ms"],
            resident_bytes=sum(contestant.resident().values()),
            extras=load_facts(window) | memory_facts(contestant),
        )

    def loop(self, duration_s: int) -> StreamsLoop:
        """Return what is asked, for so many seconds."""
        return StreamsLoop(
            connections=self.connections,
            streams=self.streams,
            duration_s=duration_s,
            answer_bytes=self.body_bytes,
        )

    def ask(self, contestant: Contestant, load: LoadCore, loop: StreamsLoop) -> dict[str, float]:
        """Send requests in the protocol that the scenario is about."""
        return load.http2(contestant.port, contestant.job, loop)
