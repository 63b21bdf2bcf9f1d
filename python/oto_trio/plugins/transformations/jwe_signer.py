"""Send the backend an encrypted token.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.JweSigner``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Answer, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.encrypted_tokens import JweConfig
from oto_trio.plugin_api.undecided import settle

__all__ = ["JweSigner"]


class JweSigner(Plugin[JweConfig]):
    """Writes a JWE to ``source``, made for the RSA key of a certificate.

    Its claims are ``iss`` and ``sub`` (Otoroshi), ``aud`` (the route's name), ``exp`` (in 30 s), ``nbf``,
    ``jti`` and the config's ``payload``, whose texts may hold expressions. A header's value is
    ``Bearer …``. Without such a certificate a request is answered with 400. Not as Otoroshi: the query
    cannot be written, so ``InQueryParam`` is refused.
    """

    id = "cp:otoroshi.next.plugins.JweSigner"
    name = "JWE signer"
    description = "Creates a JWE for the backend."
    categories = ("Transformations",)

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("jwe_signer", Phase.TRANSFORM_REQUEST, self.config),)
