"""The latest audit events and alerts, kept in memory for whoever asks the admin API."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.telemetry.events.identity import Event

__all__ = ["MOST_BYTES", "MOST_EVENTS", "RecentEvents"]

MOST_EVENTS: Final = 1000
"""Events kept in each list."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of JSON kept in each list."""


class RecentEvents:
    """A list of the latest events, newest first. The oldest go when there is no room.

    Args:
        most_events: How many are kept.
        most_bytes: How much JSON they may be together; an event larger than that is not kept.
    """

    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._texts: deque[bytes] = deque()
        self._bytes = 0

    def note(self, event: Event) -> None:
        """Keep an event as it is now; never blocks."""
        text = msgspec.json.encode(event)
        if len(text) > self._most_bytes:
            return
        self._texts.appendleft(text)
        self._bytes += len(text)
        while len(self._texts) > self._most_events or self._bytes > self._most_bytes:
            self._bytes -= len(self._texts.pop())

    def __len__(self) -> int:
        """Tell how many there are."""
        return len(self._texts)

    def __iter__(self) -> Iterator[Event]:
        """Give the events, newest first; those that come meanwhile are not among them."""
        for text in tuple(self._texts):
            event: Event = msgspec.json.decode(text)
            yield event
