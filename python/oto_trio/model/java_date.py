"""Dates in the patterns of Java's Joda-Time, which Otoroshi's users write."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_PATTERN", "DatePatternError", "format_date"]

DEFAULT_PATTERN: Final = "yyyy-MM-dd'T'HH:mm:ss.SSSZ"
"""Otoroshi's own."""

_PARTS: Final = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+|'")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DatePatternError(ValueError):
    """A pattern has a letter that cannot be written here."""


def _text(short: str, long: str) -> Callable[[datetime, int], str]:
    return lambda moment, count: moment.strftime(long if count >= 4 else short)


def _number(read: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    return lambda moment, count: str(read(moment)).zfill(count)


def _month(moment: datetime, count: int) -> str:
    if count <= 2:
        return str(moment.month).zfill(count)
    return moment.strftime("%b" if count == 3 else "%B")


def _year(moment: datetime, count: int) -> str:
    year = str(moment.year)
    return year[-2:].zfill(2) if count == 2 else year.zfill(count)


_LETTERS: Final[dict[str, Callable[[datetime, int], str]]] = {
    "y": _year,
    "Y": _year,
    "M": _month,
    "d": _number(lambda moment: moment.day),
    "D": _number(lambda moment: moment.timetuple().tm_yday),
    "H": _number(lambda moment: moment.hour),
    "k": _number(lambda moment: moment.hour or 24),
    "h": _number(lambda moment: moment.hour % 12 or 12),
    "K": _number(lambda moment: moment.hour % 12),
    "m": _number(lambda moment: moment.minute),
    "s": _number(lambda moment: moment.second),
    "S": lambda moment, count: f"{moment.microsecond:06d}"[:count].ljust(count, "0"),
    "a": lambda moment, _count: "AM" if moment.hour < 12 else "PM",
    "E": _text("%a", "%A"),
    "e": _number(lambda moment: moment.isoweekday()),
    "Z": lambda _moment, count: {1: "+0000", 2: "+00:00"}.get(count, "UTC"),
    "z": lambda _moment, _count: "UTC",
}


def format_date(millis: float, pattern: str) -> str:
    """Write a moment, in UTC.

    Args:
        millis: Milliseconds since 1970.
        pattern: Letters of Joda-Time's `DateTimeFormat`; text in single quotes stands for itself.

    Raises:
        DatePatternError: The pattern has a letter that means nothing here.
        OverflowError: The moment is outside the years 1 to 9999.
    """
    moment = _EPOCH + timedelta(milliseconds=millis)
    out: list[str] = []
    for part in _PARTS.finditer(pattern):
        text = part.group()
        letter = part.group(1)
        if letter is not None:
            write = _LETTERS.get(letter)
            if write is None:
                raise DatePatternError(
                    f"{letter!r} is no letter of a date; use {''.join(_LETTERS)}, or quote it"
                )
            out.append(write(moment, len(text)))
        elif text.startswith("'"):
            out.append("'" if text in ("''", "'") else text[1:-1].replace("''", "'"))
        else:
            out.append(text)
    return "".join(out)
