"""Slots whose plugin is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.service_descriptor import ServiceDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, path, slot in ground.slots():
        source = ground.source(item)
        if source is not None and isinstance(source.owner.entity, ServiceDescriptor):
            continue  # `service-without-equivalent` says it in the words of the service
        if slot.plugin not in ground.registry:
            yield Hit(
                item,
                f"{path}.plugin",
                f"there is no plugin {slot.plugin}: "
                + ("the route answers 503" if slot.enabled else "it is disabled and does nothing"),
                ground.registry.hint(slot.plugin),
                None if slot.enabled else "info",
            )


RULE = Rule("plugin-unknown", "error", "A slot names a plugin that this gateway lacks.", _find)
