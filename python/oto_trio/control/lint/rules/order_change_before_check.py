"""Requests that are changed before they are inspected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.plugins import CHANGING, INSPECTING
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, _ in ground.routes:
        changed: str | None = None
        for each in ground.in_order(ground.chain(item), Phase.TRANSFORM_REQUEST):
            if each.name in INSPECTING and changed is not None:
                yield Hit(
                    each.item,
                    each.path,
                    f"{changed} changes the request before it: what is inspected is not what was sent",
                    f"put {each.name} before {changed}",
                )
            elif each.name in CHANGING:
                changed = each.name


RULE = Rule(
    "order-change-before-check",
    "warning",
    "A plugin changes the request before another one inspects it.",
    _find,
)
