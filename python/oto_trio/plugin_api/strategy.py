"""Limits by a strategy: what the plugins that have one share."""

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.plugin_api.answers import Refusal
from oto_trio.plugin_api.exchange import Exchange

__all__ = ["Quota", "judge_by_strategy"]


class Quota(msgspec.Struct, frozen=True):
    """How many calls; 10000000 is no limit."""

    window: Annotated[int, Meta(ge=0, description="Calls in the window.")] = 10000000
    daily: Annotated[int, Meta(ge=0, description="Calls in a day.")] = 10000000
    monthly: Annotated[int, Meta(ge=0, description="Calls in a month.")] = 10000000


def judge_by_strategy(exchange: Exchange, key: str, strategy: msgspec.Struct) -> Refusal | None:
    """Count a call by a strategy and refuse it with 429 when it is above a limit.

    Args:
        exchange: The call.
        key: What is counted together.
        strategy: Its config in Otoroshi's shape, with its ``id``.
    """
    usage = exchange.limits.strategy(key, msgspec.json.encode(strategy))
    exchange.limits.tell(usage)
    if usage.retry_after_s is None:
        return None
    exchange.limits.retry_after(usage.retry_after_s)
    return Refusal(429, "Too much requests")
