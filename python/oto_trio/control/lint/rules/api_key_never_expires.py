"""API keys that live for ever with one secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.model.api_key import ApiKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, key in ground.of(ApiKey):
        if key.enabled and key.valid_until is None and not key.rotation.enabled:
            yield Hit(
                item,
                "$.validUntil",
                "the key has no end and its secret is never replaced: one that leaked works for ever",
                "set validUntil, or enable rotation",
            )


RULE = Rule("api-key-never-expires", "info", "An API key has neither an end nor a rotation.", _find)
