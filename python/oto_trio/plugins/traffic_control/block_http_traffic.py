"""Refuse plain http, and take API keys out of use that were sent over it.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.BlockHttpTraffic``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Native, Phase, Plugin, Response, Step

__all__ = ["BlockHttpTraffic", "BlockHttpTrafficConfig"]

_MESSAGE = "All connections to this resource MUST use HTTPS and TLS"


class BlockHttpTrafficConfig(Config, frozen=True):
    """What becomes of credentials, and what the client is told."""

    revoke_apikeys: Annotated[
        bool, Meta(description="Disable the API key that was sent in the clear.")
    ] = True
    revoke_user_session: Annotated[
        bool, Meta(description="Kept from Otoroshi: there are no sessions to end yet.")
    ] = False
    message: Annotated[str | None, Meta(description="What the client is told.")] = None


class BlockHttpTraffic(Plugin[BlockHttpTrafficConfig]):
    """Answers plain http with 426; goes behind the plugin that finds the API key.

    The key is disabled in the store by the control plane, a moment later and for good: whoever listened
    has its secret. The engine asks for that, so the hook below, which is what a test plays, does not.
    """

    id = "cp:otoroshi.next.plugins.BlockHttpTraffic"
    name = "Block non HTTPS traffic"
    description = "Refuses plain http requests and disables API keys that came with them."
    categories = ("TrafficControl",)

    @override
    def access(self, exchange: Exchange) -> Response | None:
        if exchange.secured:
            return None
        message = _MESSAGE if self.config.message is None else self.config.message
        body = msgspec.json.encode({"message": message})
        return Response(426, (("Content-Type", "application/json"),), body)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("block_http", Phase.ACCESS, self.config),)
