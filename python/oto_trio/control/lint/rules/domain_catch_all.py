"""Domains that take every host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.reach import split_domain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, route in ground.routes:
        for index, domain in enumerate(route.frontend.domains):
            if route.enabled and not split_domain(domain)[0].strip("*."):
                yield Hit(
                    item,
                    f"$.frontend.domains[{index}]",
                    f"{domain} takes every host that no other route is declared for, mistyped ones too",
                    "declare the hosts that are meant, unless this is meant for the rest",
                )


RULE = Rule(
    "domain-catch-all", "info", "A domain that is nothing but a wildcard takes every host.", _find
)
