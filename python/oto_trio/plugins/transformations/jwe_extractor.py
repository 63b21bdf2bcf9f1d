"""Decrypt an encrypted token and hand its contents to the backend.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.JweExtractor``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Answer, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.encrypted_tokens import JweConfig
from oto_trio.plugin_api.undecided import settle

__all__ = ["JweExtractor"]


class JweExtractor(Plugin[JweConfig]):
    """Writes what the JWE at ``source`` holds to ``forward_location``.

    The key is that of a certificate; without it the request goes on as it is. A request without token
    is answered with 400; one whose token cannot be decrypted with 401 when ``strict``, else it goes on.
    Only the configured algorithms are taken. A leading ``Bearer`` is dropped.
    A request that goes on without decrypted contents has nothing at ``forward_location``, whatever the client put there.
    """

    id = "cp:otoroshi.next.plugins.JweExtractor"
    name = "JWE extractor"
    description = "Decrypts a JWE and forwards its payload."
    categories = ("Transformations",)

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        return settle(exchange)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("jwe_extractor", Phase.TRANSFORM_REQUEST, self.config),)
