"""Routes that never get a request."""

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
        if lost and len(lost) == len(route.frontend.domains):
            yield Hit(
                item,
                "$.frontend.domains",
                f"no request reaches this route: what {lost[0].domain} stands for {lost[0].told}",
                "declare another domain or path, ask for what the other does not, or remove the route",
            )


RULE = Rule(
    "route-unreachable", "error", "A route none of whose domains ever wins a request.", _find
)
