"""What waits for exporters is bounded: what is too much is dropped and counted, and nobody waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import trio

from benches.exporting import BATCH, measure, packed_batch
from oto_trio.control import exporting as exporting_module
from oto_trio.control.exporting import WAITING_BATCHES, Exporting
from oto_trio.control.store import MemoryStore
from oto_trio.model.data_exporter import DATA_EXPORTERS
from oto_trio.telemetry.events.recent import RecentEvents
from oto_trio.telemetry.events.records import Details
from tests.unit.jq.patience import patient

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def capture(*, events: bool, redaction: bytes) -> None:
    del events, redaction
    await trio.lowlevel.checkpoint()


async def test_batches_beyond_the_bound_are_dropped_and_counted() -> None:
    async with MemoryStore() as store:
        exporting = Exporting(store, capture)
        for _ in range(WAITING_BATCHES + 10):
            exporting.take(0.0, packed_batch())
        assert exporting.metrics()["event_batches_dropped"] == 10


async def test_alerts_of_exchanges_are_kept_and_logged_while_nobody_exports(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (record, *_) = msgspec.msgpack.decode(packed_batch())
    details = record[-1]
    details[Details.__struct_fields__.index("alerts")] = [
        ("ErrorRewriteReport", '{"original_response":{"body":"planted"}}'),
        ("QuotasExceeded", '{"reason":"daily"}'),
    ]
    async with MemoryStore() as store:
        exporting = Exporting(store, capture)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(exporting.run)
                exporting.take_alerts(0.0, msgspec.msgpack.encode([record]))
                while not len(exporting.alerts):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
    (alert,) = exporting.alerts
    assert (alert["alert"], alert["reason"]) == ("QuotasExceeded", "daily")
    assert exporting.metrics()["events_taken"] == 0
    assert 'QuotasExceeded: {"reason":"daily"' in caplog.text
    assert "planted" not in caplog.text, "a report is for exporters alone"


async def test_events_beyond_an_exporters_queue_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    document = {
        "id": "e",
        "name": "e",
        "type": "file",
        "enabled": True,
        "bufferSize": 50,
        "config": {"path": str(path)},
    }
    async with MemoryStore() as store:
        await store.put(DATA_EXPORTERS, "e", json.dumps(document).encode())
        exporting = Exporting(store, capture)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(exporting.run)
                while not exporting.metrics()["exporters"]:  # noqa: ASYNC110 (it tells nobody)
                    await trio.sleep(0.01)
                exporting.take(0.0, packed_batch())
                while exporting.metrics()["events_taken"] < BATCH:
                    await trio.lowlevel.checkpoint()
                counters = exporting.metrics()
                assert counters["events_waiting"] <= 50
                assert counters["events_dropped"] == BATCH - 50
                nursery.cancel_scope.cancel()
        assert exporting.metrics()["events_sent"] == 50, "what was held is sent at the end"
        assert len(path.read_text().splitlines()) == 50


async def test_filters_of_projections_run_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting_module, "FLUSH_S", 60.0)  # a process is started meanwhile
    path = tmp_path / "events"
    document = {
        "id": "e",
        "name": "e",
        "type": "file",
        "enabled": True,
        "groupSize": 10,
        "config": {"path": str(path)},
        "projection": {"x": {"$jq": ".n + 1"}, "large": {"$jq": '"a" * 1025'}},
    }
    async with MemoryStore() as store:
        await store.put(DATA_EXPORTERS, "e", json.dumps(document).encode())
        exporting = Exporting(store, capture, jq=patient(output_bytes=1024))
        with trio.fail_after(90):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(exporting.run)
                while not exporting.metrics()["exporters"]:
                    await trio.lowlevel.checkpoint()
                exporting.offer({"@type": "AuditEvent", "n": 1})
                # The batch is not full yet: it is prepared and sent once all is over.
                nursery.cancel_scope.cancel()
    assert json.loads(path.read_text()) == {"x": 2, "large": None}
    assert exporting.metrics()["events_sent"] == 1
    assert exporting.metrics()["filter_runs"] == 2
    assert exporting.metrics()["filters_stopped"] == 1


async def test_the_measurement_loses_nothing(tmp_path: Path) -> None:
    found = await measure(0.2, tmp_path / "events.log")
    assert found["events_per_s"] > 0
    assert found["events_dropped"] == found["events_lost"] == found["event_batches_dropped"] == 0


def test_recent_events_are_bounded_by_number_and_by_bytes() -> None:
    few = RecentEvents(most_events=3)
    for n in range(5):
        few.note({"n": n})
    assert [event["n"] for event in few] == [4, 3, 2]
    small = RecentEvents(most_bytes=100)
    for n in range(5):
        small.note({"n": n, "filler": "x" * 30})
    assert [event["n"] for event in small] == [4, 3]
    small.note({"filler": "x" * 200})
    assert len(small) == 2, "an event that is too large is not kept"
