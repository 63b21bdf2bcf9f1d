"""denied: what a request costs that the rate limit refuses."""

from typing import ClassVar

from typing_extensions import override

from benches.job import Guard, Job
from benches.scenarios.chain import Chain
from benches.scenarios.scenario import Conditions

SERVED = "oto-trio-served"
"""Name under which oto-trio serves the same requests beside itself."""


class Denied(Chain):
    """The chain of which the rate limit lets nothing through."""

    name: ClassVar[str] = "denied"
    summary: ClassVar[str] = "chain whose rate limit refuses every request with 429"
    refused: ClassVar[bool] = True

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, guard=Guard(token=self.token, rate=0))

    @override
    def baseline(self, upstream_port: int, conditions: Conditions) -> tuple[str, Job] | None:
        return SERVED, Chain().job(upstream_port, conditions)
