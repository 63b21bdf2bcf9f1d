"""h2: what forwarding costs when clients speak HTTP/2, many requests on few connections."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.scenarios.scenario import Conditions, Timed
from benches.traffic import LoadCore, StreamsLoop


class H2(Timed):
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
    def run(self, contestant: Contestant, load: LoadCore, duration_s: int) -> dict[str, float]:
        return self.ask(contestant, load, self.loop(duration_s))

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
