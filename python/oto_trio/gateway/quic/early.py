"""Tickets with which a client may send requests in its first packets: each of them once.

What is sent so can be played again by whoever saw it pass. Therefore a ticket is good for that at the worker that gave it
only, which keeps the names of those that were not used yet. What it forgets, after a crash or because there are too many, is
refused: it takes a full handshake, and nothing is lost but the time.
"""

import os
from typing import Final

__all__ = ["EarlyTickets"]

NAME_BYTES: Final = 16
MOST: Final = 10_000
"""Unused tickets that are kept; the oldest go first."""


class EarlyTickets:
    """The unused tickets of one worker.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._unused: dict[bytes, None] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._unused)

    def issue(self) -> bytes:
        """Return the name of a new ticket."""
        while len(self._unused) >= self._most:
            del self._unused[next(iter(self._unused))]
        name = os.urandom(NAME_BYTES)
        self._unused[name] = None
        return name

    def take(self, name: bytes) -> bool:
        """Use a ticket up; false when it was used before, or is none of this worker's."""
        if name in self._unused:
            del self._unused[name]
            return True
        return False
