"""Bound the calls of a throttling window by an expression.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgCustomThrottling``.
"""

from typing import Annotated, Any

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

__all__ = ["NgCustomThrottling", "NgCustomThrottlingConfig"]


class NgCustomThrottlingConfig(Config, frozen=True):
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
    throttling_quota: Annotated[
        int, Meta(ge=0, description="Calls in a throttling window (10 seconds).")
    ] = 100

    @override
    @classmethod
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take ``perRoute``, which is what Otoroshi reads, for ``per_route``, which is what it writes."""
        if "perRoute" in raw:
            raw["per_route"] = raw.pop("perRoute")
        return raw


class NgCustomThrottling(Plugin[NgCustomThrottlingConfig]):
    """Refuses with 403 what is above the quota. Refused calls are counted too."""

    id = "cp:otoroshi.next.plugins.NgCustomThrottling"
    name = "Custom throttling"
    description = "Enforces throttling on any expression."
    categories = ("Other",)

    def __init__(self, config: NgCustomThrottlingConfig) -> None:
        super().__init__(config)
        group = config.group or ("${route.id}" if config.per_route else "global")
        self._group, self._caller = Template(group), Template(config.expression)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        usage = exchange.limits.window(
            f"custom-throttling:{self._group.render_counted(exchange)}:{self._caller.render_counted(exchange)}",
            self.config.throttling_quota,
        )
        exchange.limits.tell(usage)
        if usage.retry_after_s is None:
            return None
        exchange.limits.retry_after(usage.retry_after_s)
        return Refusal(403, "forbidden")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("custom_throttling", Phase.ACCESS, self.config),)
