"""Replaces the secrets of API keys in time.

A key that rotates has two good secrets in its grace period, so that its client can change over: the next
one is made and shown when the period begins, and takes the other's place when it ends.

The job sleeps until the first moment at which something is due to any key. Otoroshi looks whenever a key is used,
on each node by itself; here the one process that writes to the store makes the secrets, so none is made twice. When
a period ends, workers know by themselves (`gateway.rotations`), and the job keeps what came of it.

Otoroshi forgets when a period began five minutes after it should have ended, and begins anew without
rotating; here a secret that is overdue is replaced as soon as somebody looks.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from oto_trio.control.jobs.runner import Job
from oto_trio.control.store import Delete, Put
from oto_trio.model.api_key import (
    HOUR_MS,
    ROTATING,
    ROTATIONS,
    ApiKey,
    RotationPeriod,
    light_api_key,
    new_client_secret,
    read_api_key,
    rotated,
    rotation_end_ms,
    with_secrets,
)
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError, EntityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.store import Record, Store

__all__ = ["RotateApiKeys", "Turn", "due_ms", "turn_of"]

logger = logging.getLogger(__name__)

KEYS: Final = "apikeys"

EVERY_S: Final = 60.0
"""Seconds between two looks at most: how late a period may begin, and how long a step of the clock is missed."""

FIRST_S: Final = 5.0
"""Seconds from the start to the first look."""

AGAIN_MS: Final = 1000
"""Pause before another look at a key that somebody changed at the same time."""

WALK_PAGE: Final = 100


class Turn(NamedTuple):
    """What becomes of a key."""

    key: ApiKey
    start_ms: int
    """When its period began, Unix time."""
    alert: str | None = None
    """Otoroshi's name of what operators are told."""
    fields: dict[str, Any] | None = None
    """The alert's own; no secret is in them."""


def turn_of(key: ApiKey, start_ms: int | None, now_ms: int) -> Turn:
    """Say what becomes of a key that rotates.

    Args:
        key: As it is stored.
        start_ms: When its period began; None when nobody looked at it before.
        now_ms: Unix time in milliseconds.
    """
    rotation = key.rotation
    if start_ms is None:
        return Turn(with_secrets(key, key.client_secret, None), now_ms)
    end_ms = rotation_end_ms(key, start_ms)
    if now_ms >= end_ms:
        new = rotated(key)
        fields: dict[str, Any] = {"oldApikey": light_api_key(key), "apikey": light_api_key(new)}
        return Turn(new, now_ms, "ApiKeySecretHasRotated", fields)
    if now_ms >= end_ms - rotation.grace_period * HOUR_MS and rotation.next_secret is None:
        new = with_secrets(key, key.client_secret, new_client_secret())
        hours = -((now_ms - end_ms) // HOUR_MS)
        fields = {"inHoursOrLess": hours, "apikey": light_api_key(new)}
        return Turn(new, start_ms, "ApiKeySecretWillRotate", fields)
    return Turn(key, start_ms)


def due_ms(key: ApiKey, start_ms: int) -> int:
    """Return when something is due to a key next, as Unix time in milliseconds."""
    rotation = key.rotation
    end_ms = rotation_end_ms(key, start_ms)
    return end_ms if rotation.next_secret is not None else end_ms - rotation.grace_period * HOUR_MS


class RotateApiKeys:
    """The job.

    Args:
        store: Holds the keys.
        now_ms: Tells Unix time in milliseconds.
        on_alert: Told what operators should know: name and fields. Must not block.
    """

    def __init__(
        self,
        store: Store,
        *,
        now_ms: Callable[[], int],
        on_alert: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._store = store
        self._now_ms = now_ms
        self._on_alert = on_alert
        self._due_ms: int | None = None

    def job(self) -> Job:
        """Return when it is done."""
        return Job(
            name="API key rotation",
            run=self.run,
            every_s=EVERY_S,
            first_s=FIRST_S,
            due_in_s=self.due_in_s,
        )

    def due_in_s(self) -> float | None:
        """Return in how many seconds something is due; None when no key rotates, negative when overdue."""
        return None if self._due_ms is None else (self._due_ms - self._now_ms()) / 1000

    async def run(self) -> None:
        """Look at every key that rotates, and forget the periods of those that do no more.

        Raises:
            StoreError: The store cannot be read or written.

        Cancellation: between two keys; a key is changed whole or not at all.
        """
        rotating: set[str] = set()
        self._due_ms = None
        async for record in self._store.walk(KEYS, page=WALK_PAGE):
            if ROTATING in record.document:
                rotating.add(record.id)
                await self._look_at(record)
        over = [p.id async for p in self._store.walk(ROTATIONS, page=WALK_PAGE)]
        gone = [Delete(ROTATIONS, key_id) for key_id in over if key_id not in rotating]
        if gone:
            await self._store.transact(gone)

    async def _look_at(self, record: Record) -> None:
        """Do what is due to one key."""
        try:
            key = read_api_key(msgspec.json.decode(record.document))
        except EntityError as error:
            logger.error("API key %s cannot be read: %s", record.id, error)
            return
        if not key.rotation.enabled:
            return
        period = await self._store.get(ROTATIONS, key.id)
        start_ms = None
        if period is not None:
            start_ms = msgspec.json.decode(period.document, type=RotationPeriod).start
        turn = turn_of(key, start_ms, self._now_ms())
        writes: list[Put | Delete] = []
        # The period first: whoever hears of the two one by one must not take the new secret for one that is over.
        if turn.start_ms != start_ms:
            period_text = msgspec.json.encode(RotationPeriod(turn.start_ms))
            writes.append(Put(ROTATIONS, key.id, period_text))
        if turn.key != key:
            # A change that somebody else made meanwhile wins; the next look does what is due then.
            document = encode_document(turn.key)
            writes.append(Put(KEYS, key.id, document, expect=record.revision))
        if writes:
            try:
                await self._store.transact(writes)
            except ConflictError:
                self._expect(self._now_ms() + AGAIN_MS)
                return
        self._expect(due_ms(turn.key, turn.start_ms))
        if turn.alert is not None:
            logger.info("%s: %s", turn.alert, key.id)
            self._on_alert(turn.alert, turn.fields or {})

    def _expect(self, due: int) -> None:
        """Note when something is due."""
        self._due_ms = due if self._due_ms is None else min(due, self._due_ms)
