"""RFC 9218: which response goes first.

A stream has an urgency from 0 to 7 (3 when nothing is said) and may be *incremental*: useful in parts, so
that it shares the connection with its equals. A client that says nothing at all is served as if all its
streams were incremental: it may be an older one, and would be surprised by one download that waits for
the other.
"""

from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

__all__ = ["DEFAULT_URGENCY", "Prioritised", "choose", "parse_priority"]

DEFAULT_URGENCY: Final = 3
LONGEST_FIELD: Final = 256
"""Octets of a priority that are looked at; more is nonsense and says nothing."""


class Prioritised(Protocol):
    """What `choose` looks at."""

    id: int
    urgency: int
    incremental: bool
    turn: int


T = TypeVar("T", bound=Prioritised)


def parse_priority(value: bytes | None) -> tuple[int, bool] | None:
    """Read a `priority` field, a dictionary of RFC 8941 of which only `u` and `i` mean something.

    Returns:
        Urgency and whether the stream is incremental; None when nothing is said. What cannot be read
        is left out, as RFC 9218 section 4 wants it.
    """
    if value is None or len(value) > LONGEST_FIELD:
        return None
    urgency, incremental = DEFAULT_URGENCY, False
    for member in value.split(b","):
        item = member.partition(b";")[0].strip(b" \t")
        if item in {b"i", b"i=?1"}:
            incremental = True
        elif item == b"i=?0":
            incremental = False
        elif item[:2] == b"u=" and len(item) == 3 and b"0" <= item[2:] <= b"7":
            urgency = item[2] - 0x30
    return urgency, incremental


def choose(streams: Iterable[T]) -> T | None:
    """Return whose turn it is.

    The most urgent go first; among equals those that want the line for themselves, the oldest first;
    then those that share, the one that waited longest first.
    """
    return min(
        streams,
        key=lambda stream: (
            stream.urgency,
            stream.incremental,
            stream.turn if stream.incremental else stream.id,
        ),
        default=None,
    )
