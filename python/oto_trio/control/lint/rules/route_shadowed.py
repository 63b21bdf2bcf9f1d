"""Domains of a route that are hidden, while others of it are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, route in ground.routes:
        lost = ground.lost.get(item.id, [])
        if len(lost) == len(route.frontend.domains):
            continue
        for each in lost:
            yield Hit(
                item,
                f"$.frontend.domains[{each.place}]",
                f"no request comes in by {each.domain}: what it stands for {each.told}",
                "remove this declaration, or the one that hides it",
            )


RULE = Rule(
    "route-shadowed",
    "warning",
    "One domain of a route never wins a request; another one of it does.",
    _find,
)
