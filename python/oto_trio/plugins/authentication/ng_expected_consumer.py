"""Let nobody pass who is neither a user nor a client with an API key.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgExpectedConsumer``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Native, Phase, Plugin, Refusal, Step

__all__ = ["NgExpectedConsumer"]


class NgExpectedConsumer(Plugin):
    """Refuses with 401 whoever no plugin before it has found out."""

    id = "cp:otoroshi.next.plugins.NgExpectedConsumer"
    name = "Expected consumer"
    description = "Requires a user or an API key."
    categories = ("Authentication",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if exchange.apikey is not None or exchange.user is not None:
            return None
        return Refusal(401, "You're not authorized here !", "errors.auth.unauthorized")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("expected_consumer", Phase.ACCESS),)
