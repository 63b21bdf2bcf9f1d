"""The pipeline of an exporter: groups, filters, projections, drops, retries, and the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from typing_extensions import override

from oto_trio import jq
from oto_trio.model.data_exporter import read_data_exporter
from oto_trio.model.errors import EntityError
from oto_trio.telemetry.events.identity import Instance
from oto_trio.telemetry.exporters import (
    Exporter,
    ExporterConfig,
    ExportError,
    Pipeline,
    check_exporter,
    exporter_types,
    make_exporter,
)
from oto_trio.telemetry.exporters.pipeline import ATTEMPTS
from tests.unit.jq.patience import patient

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sink(Exporter[ExporterConfig]):
    """Keeps what it is sent; fails as often as it is told."""

    def __init__(self) -> None:
        super().__init__(ExporterConfig())
        self.batches: list[list[dict[str, Any]]] = []
        self.failures = 0
        self.tries = 0
        self.gate: trio.Event | None = None
        self.is_closed = False

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        self.tries += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ExportError("the sink is full")
        self.batches.append([json.loads(event) for event in events])
        await trio.lowlevel.checkpoint()

    @override
    async def aclose(self) -> None:
        self.is_closed = True
        await trio.lowlevel.checkpoint()


def make(sink: Sink, filters: jq.Filters | None = None, **changes: Any) -> Pipeline:
    entity = {"id": "e", "name": "e", "type": "console", "enabled": True, **changes}
    return Pipeline(read_data_exporter(entity), sink, Instance(), filters)


def numbers(sink: Sink) -> list[list[int]]:
    return [[event["n"] for event in batch] for batch in sink.batches]


async def test_events_are_sent_in_groups(autojump_clock: trio.testing.MockClock) -> None:
    sink = Sink()
    pipeline = make(sink, groupSize=3, groupDuration=2000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.run)
        for n in range(7):
            pipeline.offer({"n": n})
        await trio.testing.wait_all_tasks_blocked()
        assert numbers(sink) == [[0, 1, 2], [3, 4, 5]]
        await trio.sleep(1.9)
        assert len(sink.batches) == 2
        await trio.sleep(0.2)
        assert len(sink.batches) == 3
        pipeline.close()
    assert numbers(sink)[2] == [6]
    assert sink.batches[0][0]["instance-name"] == "otoroshi"
    assert (pipeline.sent, pipeline.lost, pipeline.dropped) == (7, 0, 0)
    assert sink.is_closed


async def test_a_full_queue_drops_the_oldest_and_counts_them(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sink = Sink()
    pipeline = make(sink, bufferSize=5, groupSize=100)
    for n in range(12):
        pipeline.offer({"n": n})
    assert (pipeline.dropped, pipeline.waiting) == (7, 5)
    pipeline.close()
    pipeline.offer({"n": 99})
    assert pipeline.dropped == 8
    await pipeline.run()
    assert numbers(sink) == [[7, 8, 9, 10, 11]]


async def test_filters_choose_and_projections_shape(autojump_clock: trio.testing.MockClock) -> None:
    sink = Sink()
    pipeline = make(
        sink,
        filtering={"include": [{"n": {"$gte": 2}}, {"n": 0}], "exclude": [{"n": {"$gt": 3}}]},
        projection={"n": True, "where": {"$at": "instance-zone"}},
    )
    original = {"n": 2}
    for event in ({"n": 0}, {"n": 1}, original, {"n": 3}, {"n": 4}):
        pipeline.offer(event)
    pipeline.close()
    await pipeline.run()
    assert sink.batches == [[{"n": n, "where": "local"} for n in (0, 2, 3)]]
    assert original == {"n": 2}


async def test_projections_have_jq_filters_and_one_that_fails_gives_null(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = Sink()
    async with jq.serving(patient(output_bytes=1024)) as filters:
        pipeline = make(
            sink,
            filters,
            groupSize=2,
            projection={
                "n": True,
                "twice": {"$jq": ".n * 2"},
                "first": {"$jq": ".n, 7"},
                "none": {"$jq": "empty"},
                "odd": {"$jqIf": {"filter": ".n", "predicate": {"path": "odd", "value": True}}},
                "failed": {"$jq": 'if .odd then error("a secret") else range(1e12) end'},
                "env": {"$compose": {"in": {"$jq": "env"}}},
            },
        )
        for n in range(3):
            pipeline.offer({"n": n, "odd": n == 1})
        pipeline.close()
        await pipeline.run()
    assert [event for batch in sink.batches for event in batch] == [
        {"n": n, "twice": 2 * n, "first": n, "none": None, "failed": None, "env": {"in": {}}}
        | ({"odd": 1} if n == 1 else {})
        for n in range(3)
    ]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "a filter in the projection of exporter e gives null: the filter makes more than 1024 bytes"
    ]


async def test_an_event_that_cannot_be_prepared_is_lost_and_the_exporter_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(source: dict[str, Any], blueprint: object) -> object:
        del blueprint
        return {"n": source["n"], "one": 1 // (source["n"] % 2)}

    monkeypatch.setattr("oto_trio.telemetry.exporters.pipeline.project", broken)
    sink = Sink()
    pipeline = make(sink, groupSize=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.run)
        for n in range(6):
            pipeline.offer({"n": n})
        pipeline.close()
    assert numbers(sink) == [[1], [3], [5]]
    assert (pipeline.sent, pipeline.lost) == (3, 3)
    told = [record for record in caplog.records if "cannot prepare an event" in record.message]
    assert len(told) == 1
    assert told[0].exc_info is not None


async def test_events_whose_filters_still_run_at_the_end_are_lost_and_counted(
    mock_clock: trio.testing.MockClock,
) -> None:
    sink = Sink()
    async with jq.serving(jq.JqBounds(timeout_s=60)) as filters:
        pipeline = make(sink, filters, groupSize=2, projection={"x": {"$jq": "def f: f; f"}})
        for n in range(3):
            pipeline.offer({"n": n})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipeline.run)
            await trio.testing.wait_all_tasks_blocked()
            while filters.idle or pipeline.waiting != 1:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert filters.idle == []
    assert (pipeline.sent, pipeline.lost, pipeline.waiting) == (0, 3, 0)
    assert sink.is_closed


async def test_a_batch_is_tried_again_and_then_lost(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink()
    sink.failures = 2
    pipeline = make(sink, groupSize=1)
    pipeline.offer({"n": 1})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pipeline.run)
        await trio.sleep(10)
        assert numbers(sink) == [[1]]
        assert sum("cannot send" in line.message for line in caplog.records) == 1
        sink.failures = sink.tries = 0
        sink.failures = 99
        pipeline.offer({"n": 2})
        await trio.sleep(60)
        assert sink.tries == ATTEMPTS
        assert pipeline.lost == 1
        sink.failures = 0
        pipeline.offer({"n": 3})
        pipeline.close()
    assert numbers(sink) == [[1], [3]]


async def test_a_sink_that_hangs_is_given_up_at_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sink = Sink()
    sink.gate = trio.Event()
    pipeline = make(sink, groupSize=2)
    for n in range(5):
        pipeline.offer({"n": n})
    with trio.move_on_after(5) as scope:
        pipeline.close()
        await pipeline.run()
    assert scope.cancelled_caught
    assert pipeline.sent == 0
    assert pipeline.lost == 5
    assert sink.is_closed


def test_types_are_found_by_the_walker() -> None:
    assert set(exporter_types()) == {"console", "file", "tcp", "udp"}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"type": "kafka"}, "$.type"),
        ({"type": "nonsense"}, "$.type"),
        ({"config": {}}, "$.config.path"),
        ({"config": {"path": "x", "maxFileSize": 1}}, "$.config.maxFileSize"),
        ({"type": "tcp", "config": {"tls": {"enabled": True}}}, "$.config.tls.enabled"),
        ({"customFilter": {"ref": "x"}}, "$.customFilter"),
    ],
)
def test_what_cannot_run_is_refused_with_its_place(changes: dict[str, Any], path: str) -> None:
    document = {"id": "e", "name": "e", "type": "file", "enabled": True, "config": {"path": "x"}}
    entity = read_data_exporter(document | changes)
    assert path in [
        problem.path for problem in check_exporter(entity) if problem.severity == "error"
    ]
    with pytest.raises(EntityError):
        make_exporter(entity)


def test_filters_are_checked_when_an_exporter_is_saved_not_when_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = {"id": "e", "name": "e", "type": "console", "enabled": True}
    entity = read_data_exporter(document | {"projection": {"a": {"$jq": "("}}})
    assert [problem.path for problem in check_exporter(entity)] == ["$.projection.a.$jq"]

    def at_fault(filter_text: str, *names: str) -> str:
        raise AssertionError(filter_text, names)

    monkeypatch.setattr(jq, "check", at_fault)
    assert make_exporter(entity).type == "console"


def test_an_exporter_of_a_type_to_come_may_rest() -> None:
    entity = read_data_exporter({"id": "e", "name": "e", "type": "kafka", "config": {}})
    assert [problem.severity for problem in check_exporter(entity)] == ["warning"]
