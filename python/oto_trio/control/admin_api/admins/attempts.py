"""How often somebody may try to log in."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WINDOW_S", "Attempts"]

WINDOW_S: Final = 900.0
"""How long a failure counts, from the first of its row."""

MOST_OF_PAIR: Final = 5
"""Failures for one name from one address."""

MOST_OF_ADDRESS: Final = 20
"""Failures from one address, for any names."""

MOST_OF_NAME: Final = 50
"""Failures for one name, from any addresses: so many that nobody is locked out by a stranger's typing."""

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

    def wait_s(self, name: str, address: str) -> float:
        """Return for how long nobody may try this name from this address; 0 when it may be tried now."""
        waits = [
            row.since + WINDOW_S - self._now()
            for key, most in _keys(name, address).items()
            if (row := self._rows.get(key)) is not None and row.count >= most
        ]
        return max([0.0, *waits])

    def note_failure(self, name: str, address: str) -> None:
        """Count a login that failed."""
        now = self._now()
        for key in _keys(name, address):
            row = self._rows.pop(key, None)
            if row is None or row.since + WINDOW_S <= now:
                row = _Row(now)
            row.count += 1
            self._rows[key] = row
        while len(self._rows) > MOST_KEPT:
            self._rows.popitem(last=False)

    def note_success(self, name: str, address: str) -> None:
        """Forget what failed for a name from an address."""
        self._rows.pop((name, address), None)


def _keys(name: str, address: str) -> dict[_Key, int]:
    """Return what is counted, with the most of each. Names are no secret, and bounded by who calls."""
    return {
        (name, address): MOST_OF_PAIR,
        ("", address): MOST_OF_ADDRESS,
        (name, ""): MOST_OF_NAME,
    }
