"""handshake, resume: what a TLS connection costs that serves one request."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.scenarios.scenario import Conditions, Timed
from benches.traffic import LoadCore

CLIENTS = 8


class Handshake(Timed):
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
    def run(self, contestant: Contestant, load: LoadCore, duration_s: int) -> dict[str, float]:
        numbers: dict[str, float] = load.run(
            "handshakes",
            contestant.port,
            contestant.job.routes[0],
            path="bytes/64",
            connections=CLIENTS,
            seconds=duration_s,
            resume="yes" if self.resumes else "no",
        )
        return numbers


class Resume(Handshake):
    """The same with sessions that are resumed by ticket."""

    name: ClassVar[str] = "resume"
    summary: ClassVar[str] = "a resumed TLS 1.3 session for each request, 8 clients"
    resumes: ClassVar[bool] = True
