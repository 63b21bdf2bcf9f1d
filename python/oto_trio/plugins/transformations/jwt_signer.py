"""Give the backend a token that the gateway made.

Phases: access, transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.JwtSigner``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.undecided import settle

__all__ = ["JwtSigner", "JwtSignerConfig"]


class JwtSignerConfig(Config, frozen=True):
    """Whose key and claims, and what happens to a token of the client's own."""

    verifier: Annotated[
        str | None,
        Meta(description="Id of a JWT verifier: its key, its place and its default token."),
    ] = None
    replace_if_present: Annotated[
        bool, Meta(description="Replace a token that the client sent.")
    ] = True
    fail_if_present: Annotated[
        bool, Meta(description="Refuse a request that has a token already.")
    ] = False


class JwtSigner(Plugin[JwtSignerConfig]):
    """Signs ``jti, iat, nbf, exp, iss, sub, aud`` and the claims of the verifier's ``DefaultToken``.

    Not as Otoroshi: ``fail_if_present`` refuses when a token *is* present, as its name says; Otoroshi
    refuses when it is absent.
    """

    id = "cp:otoroshi.next.plugins.JwtSigner"
    name = "Jwt signer"
    description = "Generates a token with a verifier's DefaultToken strategy and injects it."
    categories = ("Transformations",)

    @override
    def access(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("jwt_signer", Phase.ACCESS, self.config),
            steps.Native("jwt_signer", Phase.TRANSFORM_REQUEST, self.config),
        )
