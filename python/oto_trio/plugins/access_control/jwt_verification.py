"""Check the token of a request with JWT verifiers, and give the backend its own.

Phases: access, transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.JwtVerification``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.custom_response import CustomResponseConfig
from oto_trio.plugin_api.undecided import decide_with_key_sets, settle

__all__ = ["JwtVerification", "JwtVerificationConfig"]


class JwtVerificationConfig(CustomResponseConfig, frozen=True, kw_only=True):
    """Which verifiers, and what is answered when none accepts."""

    verifiers: Annotated[
        tuple[str, ...], Meta(description="Ids of JWT verifiers; the first that accepts decides.")
    ] = ()


class JwtVerification(Plugin[JwtVerificationConfig]):
    """Lets a request through when one of the verifiers accepts its token, tried in order.

    The backend gets what the strategy of that verifier makes of the token: nothing new, the same claims
    under another signature, other claims, or a token where there was none. A token in the query is
    never rewritten. Refused with Otoroshi's messages (``error.bad.token``…), those of the last
    verifier, or with the response of the config.

    Stricter than Otoroshi: ``ContainsNot(x)`` finds all of ``x``; results are not cached, so a token that
    expires is refused at once.
    """

    id = "cp:otoroshi.next.plugins.JwtVerification"
    name = "Jwt verifiers"
    description = "Verifies/re-signs/transforms the request JWT with one or more verifier entities."
    categories = ("AccessControl", "Classic")

    @override
    async def access(self, exchange: Exchange) -> Answer:
        return await decide_with_key_sets(exchange)

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("jwt_verification", Phase.ACCESS, self.config, undecided=True),
            steps.Native("jwt_verification", Phase.TRANSFORM_REQUEST, self.config),
        )
