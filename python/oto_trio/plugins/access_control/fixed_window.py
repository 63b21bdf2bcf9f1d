"""Limit calls by a fixed window.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.FixedWindow``.
"""

from typing import Annotated, Literal

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, Template, steps
from oto_trio.plugin_api.strategy import Quota, judge_by_strategy

__all__ = ["FixedWindow", "FixedWindowConfig"]


class FixedWindowConfig(Config, frozen=True, rename="camel"):
    """The window, and the calls in it, in a day and in a month."""

    id: Annotated[
        Literal["FixedWindowStrategyConfig"], Meta(description="The strategy's name.")
    ] = "FixedWindowStrategyConfig"
    quota: Annotated[
        Quota, Meta(description="Calls in the window, a day and a month; 10000000 is no limit.")
    ] = Quota()
    window_duration_ms: Annotated[
        int, Meta(ge=1, le=2000000000, description="The window in milliseconds.")
    ] = 10000
    bucket_key: Annotated[
        str | None,
        Meta(
            description="What is counted together, an expression; without one all with this plugin."
        ),
    ] = None


class FixedWindow(Plugin[FixedWindowConfig]):
    """Refuses with 429 what is above the quota. A window begins with its first call.

    The window is shared by all workers of the machine; day and month are counted too when they have a
    limit. Quirk not taken over: in Otoroshi the call that begins a window is judged by the one before.
    """

    id = "cp:otoroshi.next.plugins.FixedWindow"
    name = "Fixed Window"
    description = "Limits calls by a fixed window."
    categories = ("AccessControl",)

    def __init__(self, config: FixedWindowConfig) -> None:
        super().__init__(config)
        self._key = Template(config.bucket_key or "")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        return judge_by_strategy(exchange, self._key.render_counted(exchange), self.config)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("rate_limit", Phase.ACCESS, self.config),)
