"""RFC 9218: which response goes first.

A stream has an urgency from 0 to 7 (3 when nothing is said) and may be *incremental*: useful in parts, so
that it shares the connection with its equals. A client that says nothing at all is served as if all its
streams were incremental: it may be an older one, and would be surprised by one download that waits for
the other.
"""

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

from h2.errors import ErrorCodes
from hyperframe.frame import ExtensionFrame, Frame

__all__ = ["DEFAULT_URGENCY", "Prioritised", "choose", "parse_priority", "read_update"]

PRIORITY_UPDATE: Final = 0x10
DEFAULT_URGENCY: Final = 3
NUMBER_BYTES: Final = 4
LARGEST_STREAM: Final = 2**31 - 1
"""The bit above means nothing and is read over."""
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
        name, _, said = item.partition(b"=")
        # Of members with one name the last counts, though it may not be readable (RFC 8941 section 3.2).
        if name == b"i":
            incremental = item == b"i" or said == b"?1"
        elif name == b"u":
            is_urgency = len(said) == 1 and b"0" <= said <= b"7"
            urgency = int(said) if is_urgency else DEFAULT_URGENCY
    return urgency, incremental


def read_update(frame: Frame) -> tuple[int, tuple[int, bool]] | ErrorCodes | None:
    """Read a PRIORITY_UPDATE frame (RFC 9218 section 7.1).

    Returns:
        The stream that it is about, and what `parse_priority` makes of it; or why the connection ends. None for
        another frame, and one that says nothing.
    """
    if not isinstance(frame, ExtensionFrame) or frame.type != PRIORITY_UPDATE:
        return None
    body = frame.body
    if frame.stream_id:
        return ErrorCodes.PROTOCOL_ERROR
    if len(body) < NUMBER_BYTES:
        return ErrorCodes.FRAME_SIZE_ERROR
    identity = int.from_bytes(body[:NUMBER_BYTES]) & LARGEST_STREAM
    if identity % 2 == 0:
        return ErrorCodes.PROTOCOL_ERROR
    said = parse_priority(body[NUMBER_BYTES:])
    return None if said is None else (identity, said)


def choose(streams: Mapping[int, T]) -> T:
    """Return whose turn it is, of at least one stream.

    The most urgent go first; among equals those that want the line for themselves, the oldest first;
    then those that share, the one that waited longest first.
    """
    if len(streams) == 1:
        return next(iter(streams.values()))
    return min(
        streams.values(),
        key=lambda stream: (
            stream.urgency,
            stream.incremental,
            stream.turn if stream.incremental else stream.id,
        ),
    )
