"""Slots that are switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, path, slot in ground.slots():
        if not slot.enabled and slot.plugin in ground.registry:
            yield Hit(
                item,
                f"{path}.enabled",
                f"{slot.plugin.rpartition('.')[2]} is disabled and does nothing",
                "enable it, or remove the slot",
            )


RULE = Rule("plugin-disabled", "info", "A slot is there and switched off.", _find)
