"""Check the token of a request with one JWT verifier.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.JwtVerificationOnly``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.custom_response import CustomResponseConfig
from oto_trio.plugin_api.undecided import decide_with_key_sets

__all__ = ["JwtVerificationOnly", "JwtVerificationOnlyConfig"]


class JwtVerificationOnlyConfig(CustomResponseConfig, frozen=True, kw_only=True):
    """Which verifier, and what is answered when it does not accept."""

    verifier: Annotated[str | None, Meta(description="Id of a JWT verifier.")] = None
    fail_if_absent: Annotated[
        bool, Meta(description="Ask the verifier also when there is no token.")
    ] = True


class JwtVerificationOnly(Plugin[JwtVerificationOnlyConfig]):
    """Lets a request through when the verifier accepts its token; the request is not changed.

    What the verifier's strategy makes of the token is kept for a ``JwtVerification`` on the same route.
    """

    id = "cp:otoroshi.next.plugins.JwtVerificationOnly"
    name = "Jwt verification only"
    description = "Verifies a JWT with one verifier, no request change."
    categories = ("AccessControl", "Classic")

    @override
    async def access(self, exchange: Exchange) -> Answer:
        return await decide_with_key_sets(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("jwt_verification_only", Phase.ACCESS, self.config, undecided=True),)
