"""Bound the calls of each address by the global configuration.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.GlobalPerIpAddressThrottling``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["GlobalPerIpAddressThrottling"]


class GlobalPerIpAddressThrottling(Plugin):
    """Refuses with 429 the calls of an address above ``perIpThrottlingQuota`` in a throttling window.

    The legacy checks do the same after every route's access plugins; this one is for routes that switch
    them off. A call is counted once, whoever asks first.
    """

    id = "cp:otoroshi.next.plugins.GlobalPerIpAddressThrottling"
    name = "Global per ip address throttling "
    description = "Enforces the global per-IP quota."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        usage = exchange.limits.address()
        if usage is None:
            return None
        exchange.limits.tell(usage, "address")
        if usage.retry_after_s is None:
            return None
        exchange.limits.retry_after(usage.retry_after_s)
        return Refusal(429, "[IP] You performed too much requests", "errors.too.much.requests")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("throttle_address", Phase.ACCESS),)
