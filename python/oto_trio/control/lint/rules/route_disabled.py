"""Routes that are switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, route in ground.routes:
        if not route.enabled:
            yield Hit(
                item,
                "$.enabled",
                "the route is disabled: its requests go to a broader route, or get 404",
                "enable it, or remove it",
            )


RULE = Rule("route-disabled", "info", "A route is there and switched off.", _find)
