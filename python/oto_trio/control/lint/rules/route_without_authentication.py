"""Routes that let everybody call their backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.plugins import ANSWERING, authenticates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, route in ground.routes:
        chain = ground.chain(item)
        is_closed = any(each.plugin not in ground.registry for each in chain)
        answers = any(each.name in ANSWERING for each in chain)
        if not route.enabled or is_closed or answers:
            continue
        if not any(authenticates(ground, each) for each in chain):
            yield Hit(
                item,
                "$.plugins",
                "everybody may call this route: no enabled plugin asks who calls",
                "add ApikeyCalls, JwtVerification with a strict verifier or another check, or ignore "
                "this rule for a route that is meant for everybody",
            )


RULE = Rule(
    "route-without-authentication",
    "warning",
    "No plugin of the route, or of all routes, refuses a stranger.",
    _find,
)
