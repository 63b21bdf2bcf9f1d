"""Makes events of the workers' records and gives them to the exporters that the store names.

    workers ── records without secrets ── events ── one pipeline for each enabled exporter

Workers are told to keep what events need only while an exporter is enabled. An exporter that changes is ended, with
what it holds sent, and begun anew.
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import trio

from oto_trio import _core
from oto_trio.jq import Filters
from oto_trio.model.data_exporter import DATA_EXPORTERS, DataExporter, read_data_exporter
from oto_trio.model.errors import EntityError, StoreError
from oto_trio.telemetry.events.alert_log import AlertLog
from oto_trio.telemetry.events.audit import Audit
from oto_trio.telemetry.events.gateway_event import alert_events, gateway_event
from oto_trio.telemetry.events.identity import Instance, Snowflakes
from oto_trio.telemetry.events.recent import RecentEvents
from oto_trio.telemetry.events.records import read_records
from oto_trio.telemetry.events.tcp_event import read_tcp_records, tcp_event
from oto_trio.telemetry.events.websocket_event import read_websocket_records, websocket_event
from oto_trio.telemetry.exporters import Pipeline, make_pipeline

if TYPE_CHECKING:
    from oto_trio.control.store.base import Snapshot, Store
    from oto_trio.jq import JqBounds
    from oto_trio.telemetry.events.identity import Event

__all__ = ["FLUSH_S", "WAITING_BATCHES", "Exporting"]

logger = logging.getLogger(__name__)

WAITING_BATCHES: Final = 64
"""Batches of records that wait for events to be made of them, each of 128 records at most."""

FLUSH_S: Final = 5.0
"""How long exporters may take to send what they hold, at the end and when one is replaced."""

STORE_RETRY_S: Final = 0.5
"""Pause after the store could not be read."""


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class _Batch(msgspec.Struct, frozen=True):
    """Records that wait for events to be made of them."""

    unix_offset_s: float
    records: bytes
    has_events: bool = True
    is_tcp: bool = False
    is_websocket: bool = False


class Capture(Protocol):
    """Tells the workers what to keep."""

    async def __call__(self, *, events: bool, redaction: bytes) -> None:
        """Say whether events are wanted, and what of exchanges they may tell."""
        ...


class Exporting:
    """The exporters of a gateway.

    Args:
        store: Holds the exporters.
        capture: Told whether events are wanted, and what of exchanges they may tell.
        redaction: What is done with headers, query parameters and JSON members, by name; see `docs/events.md`.
        instance: Where this gateway stands.
        jq: What the filters of projections may use.

    Raises:
        ValueError: A rule of `redaction` is wrong.
    """

    def __init__(
        self,
        store: Store,
        capture: Capture,
        *,
        redaction: dict[str, Any] | None = None,
        instance: Instance | None = None,
        jq: JqBounds | None = None,
    ) -> None:
        self.instance = Instance() if instance is None else instance
        """Where this gateway stands."""
        self._filters = Filters(jq)
        self._store = store
        self._capture = capture
        # Without a key of its own, hashes must not be the same everywhere: names would be guessed.
        given = {"hash_key": secrets.token_hex(16), **(redaction or {})}
        self._redaction = msgspec.json.encode(given)
        self.redaction = _core.Redaction(self._redaction)
        """What events may tell, by the same rules as in the workers."""
        self._ids = Snowflakes(_unix_ms)
        self.audit = Audit(self.instance, self._ids, _unix_ms)
        """Makes the control plane's own events; give them to `offer`."""
        self.audits = RecentEvents()
        """The latest audit events."""
        self.alerts = RecentEvents()
        """The latest alerts."""
        self._alert_log = AlertLog()
        self._put, self._take = trio.open_memory_channel[_Batch](WAITING_BATCHES)
        self._pipelines: dict[str, Pipeline] = {}
        self._scopes: dict[Pipeline, trio.CancelScope] = {}
        self._ended: dict[str, int] = {"events_dropped": 0, "events_lost": 0, "events_sent": 0}
        self._taken = 0
        self._batches_dropped = 0

    # ------------------------------------------------------------------------- what comes in

    def take(self, unix_offset_s: float, batch: bytes) -> None:
        """Take a batch of records; never blocks.

        Args:
            unix_offset_s: What to add to the records' times to get Unix time.
            batch: A msgpack array of records.
        """
        try:
            self._put.send_nowait(_Batch(unix_offset_s, batch))
        except trio.WouldBlock:
            self._batches_dropped += 1

    def take_alerts(self, unix_offset_s: float, batch: bytes) -> None:
        """Take records of exchanges of which only the alerts are wanted, as no exporter runs; likewise."""
        try:
            self._put.send_nowait(_Batch(unix_offset_s, batch, has_events=False))
        except trio.WouldBlock:
            self._batches_dropped += 1

    def take_tcp(self, unix_offset_s: float, batch: bytes) -> None:
        """Take records of connections of TCP services; likewise."""
        try:
            self._put.send_nowait(_Batch(unix_offset_s, batch, is_tcp=True))
        except trio.WouldBlock:
            self._batches_dropped += 1

    def take_websocket(self, unix_offset_s: float, batch: bytes) -> None:
        """Take messages of WebSockets that plugins refused; likewise."""
        try:
            self._put.send_nowait(_Batch(unix_offset_s, batch, is_websocket=True))
        except trio.WouldBlock:
            self._batches_dropped += 1

    def offer(self, event: Event) -> None:
        """Give an event to every exporter, and keep audit events and alerts a while; never blocks."""
        kind = event["@type"]
        if kind == "AuditEvent":
            self.audits.note(event)
        elif kind == "AlertEvent":
            self.alerts.note(event)
        if self._pipelines:
            self._taken += 1
        for pipeline in self._pipelines.values():
            pipeline.offer(event)

    def metrics(self) -> dict[str, int]:
        """Return the counters, those of exporters that are gone included."""
        pipelines = self._pipelines.values()
        return {
            "events_taken": self._taken,
            "event_batches_dropped": self._batches_dropped,
            "events_dropped": self._ended["events_dropped"] + sum(p.dropped for p in pipelines),
            "events_lost": self._ended["events_lost"] + sum(p.lost for p in pipelines),
            "events_sent": self._ended["events_sent"] + sum(p.sent for p in pipelines),
            "events_waiting": sum(p.waiting for p in pipelines),
            "exporters": len(self._pipelines),
            **self._filters.metrics(),
        }

    # ------------------------------------------------------------------------- tasks

    async def run(self) -> None:
        """Follow the store and export until cancelled; then send what there is within `FLUSH_S`."""
        async with aclosing(self._filters), trio.open_nursery() as pipelines:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._make_events)
                    nursery.start_soon(self._follow, pipelines)
            finally:
                self._flush_records()
                deadline = trio.current_time() + FLUSH_S
                for pipeline, scope in self._scopes.items():
                    pipeline.close()
                    scope.deadline = min(scope.deadline, deadline)

    async def _make_events(self) -> None:
        async for batch in self._take:
            self._events_of(batch)
            await trio.lowlevel.checkpoint()

    def _flush_records(self) -> None:
        while True:
            try:
                batch = self._take.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                return
            self._events_of(batch)

    def _tcp_events_of(self, batch: _Batch) -> None:
        try:
            records = read_tcp_records(batch.records)
        except msgspec.DecodeError as error:
            logger.error("a batch of records of TCP services cannot be read: %s", error)
            return
        for record in records:
            self.offer(tcp_event(record, batch.unix_offset_s, self.instance, self._ids))

    def _websocket_events_of(self, batch: _Batch) -> None:
        try:
            records = read_websocket_records(batch.records)
        except msgspec.DecodeError as error:
            logger.error("a batch of messages of WebSockets cannot be read: %s", error)
            return
        for record in records:
            self.offer(websocket_event(record, batch.unix_offset_s, self.instance, self._ids))

    def _events_of(self, batch: _Batch) -> None:
        if batch.is_websocket:
            self._websocket_events_of(batch)
            return
        if batch.is_tcp:
            self._tcp_events_of(batch)
            return
        try:
            records = read_records(batch.records)
        except msgspec.DecodeError as error:
            logger.error("a batch of records cannot be read: %s", error)
            return
        for record in records:
            for alert in alert_events(record, batch.unix_offset_s, self.instance, self._ids):
                self.offer(alert)
                if not self._pipelines and alert["@type"] == "AlertEvent":
                    self._alert_log.note(alert)
            if not batch.has_events:
                continue
            event = gateway_event(record, batch.unix_offset_s, self.instance, self._ids)
            if event is not None:
                self.offer(event)

    async def _follow(self, pipelines: trio.Nursery) -> None:
        """Keep the pipelines in step with the store."""
        with self._store.watch() as changes:
            snapshot = await self._snapshot()
            for record in snapshot.records:
                self._note(record.id, record.document, pipelines)
            await self._tell()
            async for batch in changes:
                for change in batch.changes:
                    if change.kind == DATA_EXPORTERS and batch.revision > snapshot.revision:
                        self._note(change.id, change.document, pipelines)
                await self._tell()

    async def _snapshot(self) -> Snapshot:
        """Read the exporters from the store, again and again until it works."""
        while True:
            try:
                return await self._store.snapshot((DATA_EXPORTERS,))
            except StoreError as error:
                logger.error("exporters cannot be read yet: %s", error)
                await trio.sleep(STORE_RETRY_S)

    async def _tell(self) -> None:
        await self._capture(events=bool(self._pipelines), redaction=self._redaction)

    def _note(self, exporter_id: str, document: bytes | None, pipelines: trio.Nursery) -> None:
        """Begin, replace or end one exporter."""
        entity = None if document is None else _read(exporter_id, document)
        current = self._pipelines.get(exporter_id)
        if current is not None and current.entity == entity:
            return
        old = self._pipelines.pop(exporter_id, None)
        if old is not None:
            old.close()
            self._scopes[old].deadline = trio.current_time() + FLUSH_S
        if entity is None or not entity.enabled:
            return
        try:
            pipeline = make_pipeline(entity, self.instance, self._filters)
        except EntityError as error:
            logger.error("exporter %s does not run: %s", exporter_id, error)
            return
        self._pipelines[exporter_id] = pipeline
        # What it holds is sent although the gateway ends: `run` gives it a deadline then.
        self._scopes[pipeline] = trio.CancelScope(shield=True)
        pipelines.start_soon(self._run_pipeline, pipeline, old)

    async def _run_pipeline(self, pipeline: Pipeline, old: Pipeline | None) -> None:
        """Run one pipeline; its predecessor, which may have the same file open, ends first."""
        try:
            with self._scopes[pipeline]:
                if old is not None:
                    await old.ended.wait()
                await pipeline.run()
        finally:
            pipeline.ended.set()
            del self._scopes[pipeline]
            if self._pipelines.get(pipeline.entity.id) is not pipeline:
                self._ended["events_dropped"] += pipeline.dropped
                self._ended["events_lost"] += pipeline.lost
                self._ended["events_sent"] += pipeline.sent


def _read(exporter_id: str, document: bytes) -> DataExporter | None:
    try:
        return read_data_exporter(msgspec.json.decode(document))
    except (EntityError, msgspec.DecodeError) as error:
        logger.error("exporter %s cannot be read: %s", exporter_id, error)
        return None
