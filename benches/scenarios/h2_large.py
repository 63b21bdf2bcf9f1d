"""h2-large: what octets cost over HTTP/2."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import MB, Sample
from benches.scenarios.scenario import Conditions, Scenario, moved
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
        down = contestant.watch(lambda: self._down(contestant, load, self.count))
        up = contestant.watch(lambda: self._up(contestant, load, self.count))
        return moved(contestant, self.count * BODY_BYTES / MB, up, down)

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
