"""Routes and slots that are bound to listeners which are nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.http_listener import HttpListener

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]

STANDARD: Final = frozenset({"standard-listener", "experimental-listener"})
"""What the ports of the settings are called."""


def _find(ground: Ground) -> Iterator[Hit]:
    there = STANDARD | {
        listener.id for _, listener in ground.of(HttpListener) if listener.config.enabled
    }
    for item, route in ground.routes:
        bound = [("$.bound_listeners", "the route is served", route.bound_listeners)]
        bound += [
            (f"$.plugins[{index}].bound_listeners", "the plugin runs", slot.bound_listeners)
            for index, slot in enumerate(route.plugins)
        ]
        for path, what, listeners in bound:
            if listeners and there.isdisjoint(listeners):
                yield Hit(
                    item,
                    path,
                    f"{what} on no listener: {', '.join(listeners)} is neither stored nor enabled",
                    "bind it to a listener that is enabled; one of the setting http_listeners is not seen here",
                )


RULE = Rule(
    "listener-missing",
    "info",
    "A route or a slot is bound to HTTP listeners of which none is stored and enabled.",
    _find,
)
