"""Bound the calls of a route, whoever makes them.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgServiceQuotas``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["NgServiceQuotas", "NgServiceQuotasConfig"]


class NgServiceQuotasConfig(Config, frozen=True):
    """How many calls; 10000000 is no limit."""

    throttling_quota: Annotated[
        int, Meta(ge=0, description="Calls in a throttling window (10 seconds).")
    ] = 10000000
    daily_quota: Annotated[int, Meta(ge=0, description="Calls in a day.")] = 10000000
    monthly_quota: Annotated[int, Meta(ge=0, description="Calls in a month.")] = 10000000


class NgServiceQuotas(Plugin[NgServiceQuotasConfig]):
    """Refuses with 403, as Otoroshi does and not with 429, what is above the route's quotas.

    Refused calls are counted too.
    """

    id = "cp:otoroshi.next.plugins.NgServiceQuotas"
    name = "Public quotas"
    description = "Enforces quotas per route."
    categories = ("Other",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        config = self.config
        usage = exchange.limits.quotas(
            f"route:{exchange.route_id}",
            window=config.throttling_quota,
            daily=config.daily_quota,
            monthly=config.monthly_quota,
        )
        exchange.limits.tell(usage)
        if usage.retry_after_s is None:
            return None
        exchange.limits.retry_after(usage.retry_after_s)
        return Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("route_quotas", Phase.ACCESS, self.config),)
