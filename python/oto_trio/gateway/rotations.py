"""Joins API keys that rotate with their periods: what becomes of a secret when its time is over.

A worker knows by its own clock when a period has ended, and from that moment on uses the key as it is then
(`Tables::api_key` in the engine), whether or not the control plane has got round to writing it down. The store has a
key and the beginning of its period in two records; a row of the engine's table has the end and the key that follows.
"""

import logging
from typing import Final

import msgspec

from oto_trio.model.api_key import (
    ROTATING,
    ROTATIONS,
    RotationPeriod,
    read_api_key,
    rotated,
    rotation_end_ms,
    write_api_key,
)
from oto_trio.model.errors import EntityError

__all__ = ["Rotations"]

logger: Final = logging.getLogger(__name__)


class Rotations:
    """What a worker knows of keys that rotate.

    Bounds: a copy of the JSON of each of them, and of no other key.
    """

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}
        self._starts_ms: dict[str, int] = {}
        self._changed: set[str] = set()

    def note_key(self, client_id: str, body: bytes | None) -> None:
        """Take a key over as the store has it; None when it is gone.

        Cost: a search in the text, for keys that do not rotate.
        """
        if body is not None and ROTATING in body:
            self._keys[client_id] = body
        elif self._keys.pop(client_id, None) is None:
            return
        self._changed.add(client_id)

    def note_period(self, client_id: str, body: bytes | None) -> None:
        """Take the period of a key over; None when it is gone. One that cannot be read is none."""
        self._changed.add(client_id)
        self._starts_ms.pop(client_id, None)
        if body is not None:
            try:
                self._starts_ms[client_id] = msgspec.json.decode(body, type=RotationPeriod).start
            except msgspec.DecodeError as error:
                logger.error("the period of the API key %s cannot be read: %s", client_id, error)

    def take_rows(self) -> list[tuple[str, str, bytes | None]]:
        """Return the rows that changed since the last time, as (kind, id, JSON); no JSON takes one out."""
        changed = sorted(self._changed)
        self._changed.clear()
        return [(ROTATIONS, client_id, self._row(client_id)) for client_id in changed]

    def _row(self, client_id: str) -> bytes | None:
        """Return the end of a key's period and the key that follows; None when it has no end."""
        body, start_ms = self._keys.get(client_id), self._starts_ms.get(client_id)
        if body is None or start_ms is None:
            return None
        try:
            key = read_api_key(msgspec.json.decode(body))
        except (EntityError, msgspec.DecodeError):
            # The engine gets the key as well, and reports it.
            return None
        row = {"end_ms": rotation_end_ms(key, start_ms), "after": write_api_key(rotated(key))}
        return msgspec.json.encode(row)
