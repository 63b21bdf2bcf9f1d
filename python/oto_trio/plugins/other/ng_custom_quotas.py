"""Bound the calls of a day and a month by an expression.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgCustomQuotas``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Phase,
    Plugin,
    Refusal,
    Step,
    Template,
    steps,
)

__all__ = ["NgCustomQuotas", "NgCustomQuotasConfig"]


class NgCustomQuotasConfig(Config, frozen=True):
    """Whose calls, and how many; 10000000 is no limit."""

    per_route: Annotated[
        bool,
        Meta(description="Count each route by itself; otherwise all with this plugin together."),
    ] = True
    global_: Annotated[bool, Meta(description="Kept from Otoroshi, where nothing reads it.")] = (
        msgspec.field(default=False, name="global")
    )
    group: Annotated[
        str | None, Meta(description="Count what has the same group together; an expression.")
    ] = None
    expression: Annotated[
        str, Meta(description="Whose calls are counted together; an expression.")
    ] = "${req.ip}"
    daily_quota: Annotated[int, Meta(ge=0, description="Calls in a day.")] = 10000000
    monthly_quota: Annotated[int, Meta(ge=0, description="Calls in a month.")] = 10000000


class NgCustomQuotas(Plugin[NgCustomQuotasConfig]):
    """Refuses with 403 what is above the quotas. Refused calls are counted too.

    Quirk not taken over: in Otoroshi the daily count ends with the throttling window; here with the day.
    """

    id = "cp:otoroshi.next.plugins.NgCustomQuotas"
    name = "Custom quotas"
    description = "Enforces daily and monthly quotas on any expression."
    categories = ("Other",)

    def __init__(self, config: NgCustomQuotasConfig) -> None:
        super().__init__(config)
        group = config.group or ("${route.id}" if config.per_route else "global")
        self._group, self._caller = Template(group), Template(config.expression)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        config = self.config
        usage = exchange.limits.quotas(
            f"custom-quotas:{self._group.render_counted(exchange)}:{self._caller.render_counted(exchange)}",
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
        return (steps.Native("custom_quotas", Phase.ACCESS, self.config),)
