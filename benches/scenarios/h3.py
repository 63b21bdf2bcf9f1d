"""h3, h3-large: what forwarding costs when clients speak HTTP/3."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.scenarios.h2 import H2
from benches.scenarios.h2_large import H2Large
from benches.scenarios.scenario import Conditions
from benches.traffic import LoadCore, StreamsLoop


class H3(H2):
    """The traffic of `h2` over QUIC."""

    name: ClassVar[str] = "h3"
    summary: ClassVar[str] = "10 HTTP/3 connections x 32 streams, 1 KB answers"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, http3=True)

    @override
    def ask(self, contestant: Contestant, load: LoadCore, loop: StreamsLoop) -> dict[str, float]:
        return load.http3(contestant.port, contestant.job, loop)


class H3Large(H2Large):
    """The traffic of `h2-large` over QUIC."""

    name: ClassVar[str] = "h3-large"
    summary: ClassVar[str] = (
        "100 answers, then 100 uploads of 1 MB, 4 HTTP/3 connections x 4 streams"
    )
    count: ClassVar[int] = 100

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, http3=True, streams=True)

    @override
    def ask(self, contestant: Contestant, load: LoadCore, loop: StreamsLoop) -> dict[str, float]:
        return load.http3(contestant.port, contestant.job, loop)
