"""Bound all calls by the global configuration.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.GlobalThrottling``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["GlobalThrottling"]


class GlobalThrottling(Plugin):
    """Refuses with 429 the calls above ``throttlingQuota`` in a throttling window.

    The legacy checks do the same after every route's access plugins; this one is for routes that switch
    them off. A call is counted once, whoever asks first, and when it comes: Otoroshi counts it after it
    has ended, so a burst passes there unseen.
    """

    id = "cp:otoroshi.next.plugins.GlobalThrottling"
    name = "Global throttling "
    description = "Enforces the global throttling quota."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        usage = exchange.limits.everybody()
        if usage is None:
            return None
        exchange.limits.tell(usage, "global")
        if usage.retry_after_s is None:
            return None
        exchange.limits.retry_after(usage.retry_after_s)
        return Refusal(429, "[GLOBAL] You performed too much requests", "errors.too.much.requests")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("throttle_all", Phase.ACCESS),)
