"""How often somebody may try to log in.

Whoever has many addresses can fail often for a name. So that this keeps nobody away from his own account, the
bound of a name does not hold for the addresses from which it logged in lately; those of the pair and of the
address do. Addresses of IPv6 count by their /64, for that is the least that somebody is given.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KNOWN_S", "MOST_KNOWN_NAMES", "MOST_KNOWN_OF_NAME", "WINDOW_S", "Attempts"]

WINDOW_S: Final = 900.0
"""How long a failure counts, from the first of its row."""

MOST_OF_PAIR: Final = 5
"""Failures for one name from one address."""

MOST_OF_ADDRESS: Final = 20
"""Failures from one address, for any names."""

MOST_OF_NAME: Final = 50
"""Failures for one name, from any addresses: so many that nobody is locked out by a stranger's typing."""

KNOWN_S: Final = 30 * 86_400.0
"""How long an address is known as one from which a name logged in, from the last time."""

MOST_KNOWN_OF_NAME: Final = 8
"""Addresses that are known of one name; beyond it the oldest is forgotten."""

MOST_KNOWN_NAMES: Final = 1_000
"""Names of which addresses are known; beyond it the one that logged in longest ago is forgotten."""

MOST_KEPT: Final = 10_000
"""Rows that are counted; beyond it the one that failed longest ago is forgotten."""

_Key = tuple[str, str]


class _Row(msgspec.Struct):
    since: float
    count: int = 0


class Attempts:
    """Counts logins that failed, and says when the next one may be tried. Kept in memory, of this node.

    Args:
        now: Tells the time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._rows: OrderedDict[_Key, _Row] = OrderedDict()
        self._known: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    def wait_s(self, name: str, address: str) -> float:
        """Return for how long nobody may try this name from this address; 0 when it may be tried now."""
        place = _place(address)
        keys = _keys(name, place)
        if self._is_known(name, place):
            del keys[name, ""]
        waits = [
            row.since + WINDOW_S - self._now()
            for key, most in keys.items()
            if (row := self._rows.get(key)) is not None and row.count >= most
        ]
        return max([0.0, *waits])

    def note_failure(self, name: str, address: str) -> None:
        """Count a login that failed."""
        now = self._now()
        for key in _keys(name, _place(address)):
            row = self._rows.pop(key, None)
            if row is None or row.since + WINDOW_S <= now:
                row = _Row(now)
            row.count += 1
            self._rows[key] = row
        while len(self._rows) > MOST_KEPT:
            self._rows.popitem(last=False)

    def note_success(self, name: str, address: str) -> None:
        """Forget what failed for a name from an address, and remember that it is one of the name's own."""
        place = _place(address)
        self._rows.pop((name, place), None)
        if not place:
            return
        places = self._known.pop(name, None) or OrderedDict()
        places.pop(place, None)
        places[place] = self._now()
        if len(places) > MOST_KNOWN_OF_NAME:
            places.popitem(last=False)
        self._known[name] = places
        if len(self._known) > MOST_KNOWN_NAMES:
            self._known.popitem(last=False)

    def _is_known(self, name: str, place: str) -> bool:
        """Tell whether a name logged in from a place lately."""
        places = self._known.get(name)
        since = None if places is None else places.get(place)
        return since is not None and self._now() < since + KNOWN_S


def _place(address: str) -> str:
    """Return what an address counts as: one of IPv6 as its /64, what is no address as it is written."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"


def _keys(name: str, place: str) -> dict[_Key, int]:
    """Return what is counted, with the most of each. Names are no secret, and bounded by who calls."""
    return {
        (name, place): MOST_OF_PAIR,
        ("", place): MOST_OF_ADDRESS,
        (name, ""): MOST_OF_NAME,
    }
