"""Calls that are counted by a caller who is not known yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.plugins import COUNTING, IDENTIFYING
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground, Placed

__all__ = ["RULE"]

CALLER: Final = re.compile(r"\$\{(apikey|consumer|user|token)\b")


def _find(ground: Ground) -> Iterator[Hit]:
    for item, _ in ground.routes:
        acting = ground.in_order(ground.chain(item), Phase.ACCESS)
        for place, each in enumerate(acting):
            later = [other.name for other in acting[place + 1 :] if other.name in IDENTIFYING]
            if later and each.name in COUNTING and _counts_caller(each):
                yield Hit(
                    each.item,
                    each.path,
                    f"it counts by the caller, whom {later[0]} finds out only afterwards: "
                    "all calls are counted as one, or none is",
                    f"put {each.name} behind {later[0]}",
                )


def _counts_caller(placed: Placed) -> bool:
    """Tell whether a plugin counts by who calls."""
    texts = [str(value) for value in placed.config.values()]
    return placed.name == "ApikeyQuotas" or any(CALLER.search(text) for text in texts)


RULE = Rule(
    "order-limit-before-caller",
    "warning",
    "A limit counts by a caller whom a later plugin finds out.",
    _find,
)
