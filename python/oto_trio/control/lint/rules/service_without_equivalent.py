"""What service descriptors ask for that this gateway does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.gateway.compile import Surroundings, convert_service, service_path, unjudged
from oto_trio.model.service_descriptor import ServiceDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    surroundings = Surroundings(ground.registry.__contains__, unjudged)
    for item, service in ground.of(ServiceDescriptor):
        converted = convert_service(service, surroundings)
        for problem in converted.problems:
            yield Hit(item, problem.path, problem.message, problem.fix, problem.severity)
        for position, slot in enumerate(converted.route.plugins):
            if slot.plugin not in ground.registry:
                yield Hit(
                    item,
                    service_path(converted, f"$.plugins[{position}]"),
                    f"there is no plugin {slot.plugin}: the service answers 503",
                    "use a route with the plugins you need, or empty this key",
                )


RULE = Rule(
    "service-without-equivalent",
    "error",
    "A service descriptor asks for what this gateway lacks; where that would let callers in, it answers 503.",
    _find,
)
