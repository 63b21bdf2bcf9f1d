"""Wildcard domains that swallow hosts another route is declared for."""

from __future__ import annotations

from itertools import islice, permutations
from typing import TYPE_CHECKING, Final

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.reach import probes, split_domain
from oto_trio.model.matching import is_wildcard_match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.documents import Item
    from oto_trio.control.lint.ground import Ground
    from oto_trio.model.route import Route

__all__ = ["RULE"]

MOST_PAIRS: Final = 100_000
"""Pairs of wildcard domains that are looked at."""


def _find(ground: Ground) -> Iterator[Hit]:
    declared: dict[str, list[tuple[Item, Route, int]]] = {}
    for item, route in ground.routes:
        if route.enabled and item.id in ground.router:
            for index, domain in enumerate(route.frontend.domains):
                host, _ = split_domain(domain)
                if "*" in host:
                    declared.setdefault(host, []).append((item, route, index))
    for loser, winner in islice(permutations(declared, 2), MOST_PAIRS):
        shared = None if _is_within(winner, loser) else _shared(loser, winner)
        if shared is None:
            continue
        owners = {item.id for item, _, _ in declared[winner]}
        for item, route, index in declared[loser]:
            if item.id in owners:
                continue
            probe = next(probes(route, route.frontend.domains[index], shared), None)
            found = None if probe is None else ground.router.find(*probe)
            if probe is None or (found is not None and found[0] not in owners):
                continue
            where = "no route" if found is None else f"route {found[0]}"
            yield Hit(
                item,
                f"$.frontend.domains[{index}]",
                f"hosts such as {shared} suit {winner} too, which is asked instead: "
                f"their requests go to {where}",
                f"declare {shared} itself where it is meant, or make one of the two domains narrower",
            )


def _is_within(narrow: str, broad: str) -> bool:
    """Tell whether every host of one pattern suits another: an exception to it, and meant to win."""
    return all(is_wildcard_match(broad, narrow.replace("*", filling)) for filling in ("q", "q.z"))


def _shared(one: str, other: str) -> str | None:
    """Return a host that two patterns both match; None when none is found."""
    made = (
        one.replace("*", other.replace("*", "").strip(".")),
        other.replace("*", one.replace("*", "").strip(".")),
    )
    for host in made:
        if is_wildcard_match(one, host) and is_wildcard_match(other, host) and ".." not in host:
            return host
    return None


RULE = Rule(
    "domain-overlap",
    "warning",
    "A wildcard domain takes hosts that suit the wildcard domain of another route as well.",
    _find,
)
