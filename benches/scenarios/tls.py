"""tls: what forwarding costs when clients speak TLS 1.3 on kept connections."""

from typing import ClassVar

from typing_extensions import override

from benches.job import Job
from benches.scenarios.scenario import ClosedLoop, Conditions


class Tls(ClosedLoop):
    """The plain traffic under TLS 1.3."""

    name: ClassVar[str] = "tls"
    summary: ClassVar[str] = "plain over TLS 1.3, ECDSA P-256 certificate"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True)
