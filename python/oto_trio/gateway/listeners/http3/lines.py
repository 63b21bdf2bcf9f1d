"""How many fields an encoded head has, without decoding it.

One octet may stand for a field of the static table, so a head of 64 KiB would be tens of thousands of fields before anybody
could count them. Their lines are told from each other by their first bits and their lengths (RFC 9204 section 4.5).
"""

from typing import Final

__all__ = ["count_lines"]

INDEXED, NAMED, LITERAL = 0x80, 0x40, 0x20
POST_BASE: Final = 0x10
LENGTH_MASK: Final = 0x7F
"""Of the first octet of a value: the bits of its length."""


def count_lines(data: bytes, most: int) -> int:
    """Count the field lines of an encoded field section.

    Args:
        data: The section, its prefix too.
        most: Where counting stops.

    Returns:
        How many there are, `most` when there are more; those in front of the first one that is cut off.
    """
    at = _skip_number(data, _skip_number(data, 0, 0xFF), LENGTH_MASK)
    count = 0
    while at < len(data) and count < most:
        first = data[at]
        count += 1
        if first & INDEXED:
            at = _skip_number(data, at, 0x3F)
        elif first & NAMED:
            at = _skip_text(data, _skip_number(data, at, 0x0F), LENGTH_MASK)
        elif first & LITERAL:
            at = _skip_text(data, _skip_text(data, at, 0x07), LENGTH_MASK)
        elif first & POST_BASE:
            at = _skip_number(data, at, 0x0F)
        else:
            at = _skip_text(data, _skip_number(data, at, 0x07), LENGTH_MASK)
    return count


def _read_number(data: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read an integer with a prefix (RFC 7541 section 5.1); returns it and the place behind it."""
    if at >= len(data):
        return 0, at
    value = data[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while at < len(data) and shift < 63:
        value += (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
    return value, at


def _skip_number(data: bytes, at: int, mask: int) -> int:
    return _read_number(data, at, mask)[1]


def _skip_text(data: bytes, at: int, mask: int) -> int:
    length, at = _read_number(data, at, mask)
    return at + length
