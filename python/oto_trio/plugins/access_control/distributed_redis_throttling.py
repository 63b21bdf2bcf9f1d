"""Limit calls in a window, a day and a month.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.DistributedRedisThrottling``.
"""

from typing import Annotated, Literal

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, Template, steps
from oto_trio.plugin_api.strategy import Quota, judge_by_strategy

__all__ = ["DistributedRedisThrottling", "DistributedRedisThrottlingConfig"]


class DistributedRedisThrottlingConfig(Config, frozen=True, rename="camel"):
    """The calls in a window, a day and a month."""

    id: Annotated[
        Literal["DistributedRedisThrottlingStrategyConfig"],
        Meta(description="The strategy's name."),
    ] = "DistributedRedisThrottlingStrategyConfig"
    quota: Annotated[
        Quota, Meta(description="Calls in the throttling window, a day and a month.")
    ] = Quota()
    bucket_key: Annotated[
        str | None,
        Meta(
            description="What is counted together, an expression; without one all with this plugin."
        ),
    ] = None


class DistributedRedisThrottling(Plugin[DistributedRedisThrottlingConfig]):
    """Refuses with 429 what is above the quotas. Refused calls are counted too.

    The counts are exact among the workers of this machine. Gateways that share a store, of whatever kind, count
    together, but for what each lets through between two rounds of telling; none opens a connection of its own.
    """

    id = "cp:otoroshi.next.plugins.DistributedRedisThrottling"
    name = "Distributed Redis Throttling"
    description = "Limits calls in a window, a day and a month."
    categories = ("AccessControl",)

    def __init__(self, config: DistributedRedisThrottlingConfig) -> None:
        super().__init__(config)
        self._key = Template(config.bucket_key or "")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        return judge_by_strategy(exchange, self._key.render_counted(exchange), self.config)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("rate_limit", Phase.ACCESS, self.config),)
