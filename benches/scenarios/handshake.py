"""handshake, resume: what a TLS connection costs that serves one request."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore

CLIENTS = 8


class Handshake(Scenario):
    """Eight clients that connect, shake hands in full, ask once and close."""

    name: ClassVar[str] = "handshake"
    summary: ClassVar[str] = "a full TLS 1.3 handshake (ECDSA P-256) for each request, 8 clients"
    unit: ClassVar[str] = "connection"
    resumes: ClassVar[bool] = False

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        numbers, window = contestant.watch(
            lambda: self._run(contestant, load, conditions.duration_s)
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

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        del conditions
        self._run(contestant, load, 1)

    def _run(self, contestant: Contestant, load: LoadCore, seconds: int) -> dict[str, float]:
        numbers: dict[str, float] = load.run(
            "handshakes",
            contestant.port,
            contestant.job.routes[0],
            path="bytes/64",
            connections=CLIENTS,
            seconds=seconds,
            resume="yes" if self.resumes else "no",
        )
        return numbers


class Resume(Handshake):
    """The same with sessions that are resumed by ticket."""

    name: ClassVar[str] = "resume"
    summary: ClassVar[str] = "a resumed TLS 1.3 session for each request, 8 clients"
    resumes: ClassVar[bool] = True
