"""Count a call of the API key that another plugin found.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ApikeyQuotas``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Native, Phase, Plugin, Step

__all__ = ["ApikeyQuotas"]


class ApikeyQuotas(Plugin):
    """Counts, and never refuses.

    For keys that stand for a certificate or a token: ``ApikeyCalls`` counts only the keys it finds.
    """

    id = "cp:otoroshi.next.plugins.ApikeyQuotas"
    name = "Apikey quotas"
    description = "Counts the calls of the API key that another plugin found."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> None:
        if exchange.apikey is not None:
            exchange.apikey.count_call(exchange.native())

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("apikey_quotas", Phase.ACCESS),)
