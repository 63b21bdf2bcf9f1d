"""Publish the public keys of certificates as a key set.

Phases: call_backend. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OtoroshiJWKSEndpoint``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Answer, Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.undecided import settle

__all__ = ["OtoroshiJWKSEndpoint", "OtoroshiJWKSEndpointConfig"]


class OtoroshiJWKSEndpointConfig(Config, frozen=True):
    """Which keys, and whether their algorithms are named."""

    cert_ids: Annotated[
        tuple[str, ...], Meta(description="Only these certificates; empty = all exposed ones.")
    ] = ()
    include_algorithms: Annotated[
        bool, Meta(description="List each key once for every algorithm, with alg.")
    ] = False
    rsa_algorithms: Annotated[
        tuple[str, ...], Meta(description="For RSA keys; empty = RS256, RS384, RS512.")
    ] = ()
    es_algorithms: Annotated[
        tuple[str, ...], Meta(description="For EC keys; empty = ES256, ES384, ES512.")
    ] = ()


class OtoroshiJWKSEndpoint(Plugin[OtoroshiJWKSEndpointConfig]):
    """Answers ``GET`` with ``{"keys": […]}``, other methods with 404; ``kid`` is the certificate's id.

    Keys that an API key names in its metadata ``jwt-sign-keypair`` are added to both, exposed or not.
    Certificates without private key and revoked ones are left out.
    """

    id = "cp:otoroshi.next.plugins.OtoroshiJWKSEndpoint"
    name = "Otoroshi JWKS endpoint"
    description = "Backend serving the JWKS."
    categories = ("Otoroshi internals",)

    @override
    def call_backend(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("jwks_endpoint", Phase.CALL_BACKEND, self.config),)
