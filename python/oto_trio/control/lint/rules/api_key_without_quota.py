"""API keys that may call without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.api_key import UNLIMITED, ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, key in ground.of(ApiKey):
        quotas = (key.throttling_quota, key.daily_quota, key.monthly_quota)
        if key.enabled and key.throttling_strategy is None and min(quotas) >= UNLIMITED:
            yield Hit(
                item,
                "$.throttlingQuota",
                "no quota bounds the calls of this key: one client can take all there is",
                "set throttlingQuota, dailyQuota or monthlyQuota",
            )


RULE = Rule("api-key-without-quota", "info", "An API key has no quota of any kind.", _find)
