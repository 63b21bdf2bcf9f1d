"""Alerts in the log of the process, for gateways that export none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec
import trio

if TYPE_CHECKING:
    from oto_trio.telemetry.events.identity import Event

__all__ = ["PAUSE_S", "AlertLog"]

logger = logging.getLogger(__name__)

PAUSE_S: Final = 10.0
"""Seconds between two lines of one alert: refused requests must not fill a disk."""

_MOST_NAMES: Final = 64
"""Alerts that are told apart; plugins may make up names."""

_LARGEST_LINE: Final = 2048
"""Characters of an alert's facts that are told."""


class AlertLog:
    """Logs alerts, each name once in `PAUSE_S`; a line says how many went before it untold."""

    def __init__(self) -> None:
        self._untold: dict[str, int] = {}
        self._next_s: dict[str, float] = {}

    def note(self, alert: Event) -> None:
        """Log an alert, or count it until the next line of its name is due.

        Args:
            alert: The event; its facts are told as JSON, without what all events have.
        """
        name = str(alert["alert"])
        if name not in self._next_s and len(self._next_s) >= _MOST_NAMES:
            name = "others"
        now_s = trio.current_time()
        if now_s < self._next_s.get(name, now_s):
            self._untold[name] = self._untold.get(name, 0) + 1
            return
        self._next_s[name] = now_s + PAUSE_S
        facts = {key: value for key, value in alert.items() if key == "@serviceId" or key[0] != "@"}
        untold = self._untold.pop(name, 0)
        logger.warning(
            "%s: %s%s",
            alert["alert"],
            msgspec.json.encode(facts).decode()[:_LARGEST_LINE],
            f" ({untold} more since the line before)" if untold else "",
        )
