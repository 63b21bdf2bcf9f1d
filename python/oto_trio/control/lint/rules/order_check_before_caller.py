"""Checks of a caller who is not known yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.plugins import ASKING_FOR_CALLER, IDENTIFYING
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, _ in ground.routes:
        acting = ground.in_order(ground.chain(item), Phase.ACCESS)
        for place, each in enumerate(acting):
            later = [other.name for other in acting[place + 1 :] if other.name in IDENTIFYING]
            if later and each.name in ASKING_FOR_CALLER:
                yield Hit(
                    each.item,
                    each.path,
                    f"it asks who calls, which {later[0]} finds out only afterwards: it refuses "
                    "callers that are known a moment later",
                    f"put {each.name} behind {later[0]}",
                )


RULE = Rule(
    "order-check-before-caller",
    "warning",
    "A check asks for the caller whom a later plugin finds out.",
    _find,
)
