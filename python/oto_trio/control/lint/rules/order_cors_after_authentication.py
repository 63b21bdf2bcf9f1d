"""Preflight requests that are refused before CORS answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.plugins import authenticates
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, _ in ground.routes:
        before: str | None = None
        for each in ground.in_order(ground.chain(item), Phase.PRE_ROUTE):
            if each.name == "Cors" and before is not None:
                yield Hit(
                    each.item,
                    each.path,
                    f"{before} asks for credentials before it, and a browser's preflight has none: "
                    "pages of other origins cannot call",
                    f"put Cors before {before}",
                )
            elif authenticates(ground, each):
                before = each.name


RULE = Rule(
    "order-cors-after-authentication",
    "warning",
    "CORS comes after a plugin that refuses requests without credentials.",
    _find,
)
