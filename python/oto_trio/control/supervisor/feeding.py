"""Tells one worker what is in the store: a snapshot, then each change, with the secrets in place.

    feed
    ├─ changes     the body: what the store tells
    └─ secrets     sends documents again when a secret in them has become another

The one place where documents leave the control plane, so the one where references to vaults are replaced. A
document that is sent again is read anew under the lock that every sender holds, so it is never older than what was
sent before, and none comes back that was removed.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from oto_trio.control.store.base import Batch, Snapshot, Store
from oto_trio.control.store.base import Change as Changed
from oto_trio.control.vaults import Vaults
from oto_trio.control.vaults.secrets import Subscription
from oto_trio.gateway.frames import (
    Change,
    DownFrame,
    Entity,
    EntityKey,
    SnapshotFull,
    batches,
)
from oto_trio.gateway.installer import KINDS
from oto_trio.gateway.link import LinkClosedError
from oto_trio.model.errors import StoreError

__all__ = ["STORE_RETRY_S", "AsServed", "as_stored", "feed"]

logger = logging.getLogger(__name__)

STORE_RETRY_S: Final = 0.5
"""Pause after the store could not be read."""

SLICE_DOCUMENTS: Final = 256
"""Documents with a changed secret that are sent together; changes of the store come in between."""

Put = Callable[[DownFrame], Awaitable[None]]
AsServed = Callable[[str, str, bytes], bytes]
"""Makes a document, given its kind and id, what the workers of this node get."""


def as_stored(_kind: str, _entity_id: str, document: bytes) -> bytes:
    """Give workers a document as it is stored."""
    return document


async def feed(
    store: Store,
    vaults: Vaults,
    put: Put,
    on_read: Callable[[], None],
    slot: int,
    as_served: AsServed = as_stored,
) -> None:
    """Send a snapshot of the store, then every change of it, coalesced while the link is busy.

    Args:
        store: Holds the entities.
        vaults: Give the secrets that they refer to.
        put: Queues a frame for the worker; waits while there is no room.
        on_read: Called when the store is read: what is stored later comes as a change.
        slot: Which worker it is, for the log.
        as_served: Makes each document what the workers of this node get.

    Returns:
        Once the store is closed and everything was sent, or the worker is gone.

    Cancellation: between two frames; the worker keeps what it has.
    """
    with suppress(LinkClosedError), store.watch() as changes, vaults.subscribe() as secrets:
        on_read()
        snapshot = await _snapshot(store, slot)
        feeder = _Feeder(store, secrets, put, as_served, snapshot.revision)
        await feeder.send_snapshot(snapshot)
        # A hundred thousand routes need not stay in memory for as long as the worker lives.
        del snapshot
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feeder.follow_secrets)
            with suppress(LinkClosedError):
                async for change in changes:
                    await feeder.send_change(change)
            nursery.cancel_scope.cancel()


async def _snapshot(store: Store, slot: int) -> Snapshot:
    """Read what a worker needs from the store, again and again until it works."""
    while True:
        try:
            return await store.snapshot(KINDS)
        except StoreError as error:
            logger.error("worker %d gets no routes yet: %s", slot, error)
            await trio.sleep(STORE_RETRY_S)


class _Feeder:
    """What was sent to one worker, and how more is."""

    def __init__(
        self, store: Store, secrets: Subscription, put: Put, as_served: AsServed, revision: int
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._put = put
        self._as_served = as_served
        self._revision = revision
        self._sending = trio.Lock()

    async def send_snapshot(self, snapshot: Snapshot) -> None:
        """Send everything there is."""
        prepared = await self._secrets.prepare((r.kind, r.id, r.document) for r in snapshot.records)
        by_kind = {kind: [r for r in snapshot.records if r.kind == kind] for kind in KINDS}
        entities = (
            Entity(
                r.kind,
                r.id,
                self._as_served(r.kind, r.id, prepared.fill(r.kind, r.id, r.document)),
            )
            for kind in KINDS
            for r in by_kind[kind]
        )
        for chunk, (batch, last) in enumerate(batches(entities)):
            await self._put(SnapshotFull(snapshot.revision, chunk, last, batch))

    async def send_change(self, change: Batch) -> None:
        """Send what changed, unless the snapshot had it."""
        if change.revision <= self._revision:
            return
        async with self._sending:
            self._revision = change.revision
            await self._send(change)

    async def follow_secrets(self) -> None:
        """Send documents again when a secret in them has become another; ends with the link."""
        with suppress(LinkClosedError):
            while True:
                keys = await self._secrets.changed()
                for start in range(0, len(keys), SLICE_DOCUMENTS):
                    async with self._sending:
                        documents = await self._read(keys[start : start + SLICE_DOCUMENTS])
                        await self._send(Batch(self._revision, documents))

    async def _read(self, keys: Sequence[tuple[str, str]]) -> tuple[Changed, ...]:
        """Read documents, those that are there, again and again until it works."""
        while True:
            try:
                records = [await self._store.get(kind, entity_id) for kind, entity_id in keys]
            except StoreError as error:
                logger.error("changed secrets are not in use yet: %s", error)
                await trio.sleep(STORE_RETRY_S)
            else:
                return tuple(
                    Changed(r.revision, r.kind, r.id, r.document) for r in records if r is not None
                )

    async def _send(self, change: Batch) -> None:
        """Send some documents, and which ones are gone."""
        wanted = [document for document in change.changes if document.kind in KINDS]
        prepared = await self._secrets.prepare((d.kind, d.id, d.document) for d in wanted)
        upserts = (
            Entity(
                d.kind,
                d.id,
                self._as_served(d.kind, d.id, prepared.fill(d.kind, d.id, d.document)),
            )
            for d in wanted
            if d.document is not None
        )
        removed = [EntityKey(d.kind, d.id) for d in wanted if d.document is None]
        for batch, last in batches(upserts):
            await self._put(Change(change.revision, last, batch, removed if last else []))
