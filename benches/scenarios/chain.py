"""chain, chain-rs256, chain-es256: the production chain, and what its parts cost.

TLS, an API key, a token, a rate limit and an access log. Envoy and HAProxy are set up for the same;
nginx and Caddy run TLS alone, so ratios to them say what the whole chain costs over a TLS proxy.
"""

from typing import ClassVar, Literal

from typing_extensions import override

from benches.job import Guard, Job
from benches.scenarios.scenario import ClosedLoop, Conditions


class Chain(ClosedLoop):
    """The chain with a token signed by a shared secret."""

    name: ClassVar[str] = "chain"
    summary: ClassVar[str] = "TLS 1.3, API key, JWT HS256, rate limit, access log"
    token: ClassVar[Literal["HS256", "RS256", "ES256"]] = "HS256"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tls=True, guard=Guard(token=self.token))


class ChainRs256(Chain):
    """The chain with a token signed by an RSA key of 2048 bits."""

    name: ClassVar[str] = "chain-rs256"
    summary: ClassVar[str] = "chain with a token signed RS256"
    token: ClassVar[Literal["HS256", "RS256", "ES256"]] = "RS256"


class ChainEs256(Chain):
    """The chain with a token signed by a P-256 key."""

    name: ClassVar[str] = "chain-es256"
    summary: ClassVar[str] = "chain with a token signed ES256"
    token: ClassVar[Literal["HS256", "RS256", "ES256"]] = "ES256"
