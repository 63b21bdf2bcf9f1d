"""How long a slot waits before it has another worker, so that one that fails at once is not started without end."""

from typing import Final

__all__ = ["MAX_DELAY_S", "STABLE_S", "Backoff"]

STABLE_S: Final = 10.0
"""A worker that lived so long did not fail at start; its successor is not made to wait."""

FIRST_DELAY_S: Final = 0.25
MAX_DELAY_S: Final = 15.0


class Backoff:
    """How long a slot waits before its next worker."""

    def __init__(self) -> None:
        self._failures = 0

    def next_delay_s(self, lived_s: float) -> float:
        """Return the delay after a worker that lived for `lived_s` seconds and ended unasked."""
        if lived_s >= STABLE_S:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** (self._failures - 2))
