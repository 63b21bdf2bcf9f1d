"""What one worker is told, and what its words become."""

import socket
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.control.store import Delete, MemoryStore, Put
from oto_trio.control.supervisor.counting import RetiredCounts
from oto_trio.gateway.frames import (
    Applied,
    AskMetrics,
    AskMetricsPage,
    AskRouteCounts,
    Change,
    ControlHealth,
    EntityKey,
    Metrics,
    MetricsPage,
    ProblemReport,
    Records,
    ReloadPlugins,
    RouteCount,
    RouteCounts,
    SnapshotFull,
)
from oto_trio.model.errors import StoreError
from tests.unit.control.supervisor.puppets import Puppet, supervised

# ----------------------------------------------------------------------------- entities


async def test_a_worker_gets_a_snapshot_and_then_every_change(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets[:1]) as stage:
        store, puppet = stage.store, stage.launched[0]
        assert puppet.heard_of(SnapshotFull) == [SnapshotFull(0, 0, True, [])]
        one = await store.put("routes", "a", b"{}")
        await stage.settled()
        two = await store.transact(
            [Put("backends", "k", b"[]"), Delete("routes", "a"), Put("others", "x", b"1")]
        )
        three = await store.put("others", "x", b"2")
        await stage.settled()
        changes = puppet.heard_of(Change)
        assert changes[0].revision == one
        assert [(e.kind, e.id, e.body) for e in changes[0].upserts] == [("routes", "a", b"{}")]
        later = changes[1:]
        assert [(e.kind, e.id) for c in later for e in c.upserts] == [("backends", "k")]
        assert [key for c in later for key in c.removed] == [EntityKey("routes", "a")]
        # A revision without anything for gateways is told too, so that it can be waited for.
        assert later[-1].revision == three
        assert three > two


async def test_a_worker_that_comes_later_gets_what_there_is(sockets: list[socket.socket]) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        await stage.store.put("routes", "a", b"{}")
        await stage.store.put("backends", "k", b"[]")
        await stage.store.put("global-config", "global", b"3")
        await stage.launched[0].end()
        (snapshot,) = stage.launched[1].heard_of(SnapshotFull)
        assert snapshot.revision == stage.store.revision
        kinds = [entity.kind for entity in snapshot.entities]
        assert kinds == ["global-config", "backends", "routes"]


async def test_a_store_that_fails_is_asked_again(
    sockets: list[socket.socket],
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original = MemoryStore.snapshot
    failures = [StoreError("the disk is gone")]

    async def snapshot(self: MemoryStore, kinds: Sequence[str]) -> object:
        if failures and "routes" in kinds:
            raise failures.pop()
        return await original(self, kinds)

    monkeypatch.setattr(MemoryStore, "snapshot", snapshot)
    async with supervised(sockets[:1]) as stage:
        await trio.sleep(2)
        assert len(stage.launched[0].heard_of(SnapshotFull)) == 1
    assert "gets no routes yet: the disk is gone" in caplog.text


async def test_a_revision_is_applied_when_every_serving_worker_says_so(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets) as stage:
        first, second = stage.launched
        applied: list[int] = []

        async def wait(revision: int) -> None:
            await stage.supervisor.wait_applied(revision)
            applied.append(revision)

        stage.begin(wait, 5)
        await stage.settled()
        await stage.store_up_to(5)
        await first.get_ready(5)
        # The other one was sent revision 0, and would serve that when it gets ready now.
        assert applied == []
        await second.get_ready(0)
        assert applied == []
        await second.say(Applied(5, 0))
        assert applied == [5]
        await stage.store_up_to(6)
        stage.begin(wait, 6)
        await first.say(Applied(6, 1))
        assert applied == [5]
        await second.say(Applied(7, 1))
        assert applied == [5, 6]


async def test_a_worker_that_dies_is_not_waited_for(sockets: list[socket.socket]) -> None:
    async with supervised(sockets) as stage:
        first, second = stage.launched
        await first.get_ready(1)
        await second.get_ready(1)
        applied = trio.Event()

        async def wait() -> None:
            await stage.supervisor.wait_applied(2)
            applied.set()

        await stage.store_up_to(2)
        stage.begin(wait)
        await first.say(Applied(2, 0))
        assert not applied.is_set()
        await second.end()
        assert applied.is_set()


# ----------------------------------------------------------------------------- reports


async def test_what_workers_report_reaches_its_taker(sockets: list[socket.socket]) -> None:
    async with supervised(sockets, is_recording=True) as stage:
        report = ProblemReport("route", "a", "is broken")
        await stage.launched[0].say(report, Records(b"\x91\x01", 9.0))
        assert stage.problems == [report]
        assert stage.records == [(9.0, b"\x91\x01")]
        assert stage.launched[0].start.forward_records


async def test_without_takers_reports_are_dropped(sockets: list[socket.socket]) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].say(Records(b"\x91\x01", 9.0))
        assert stage.records == []


def counters(**values: object) -> bytes:
    return msgspec.json.encode(values)


async def test_metrics_are_asked_from_every_worker_and_added_up(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets) as stage:
        for puppet in stage.launched:
            await puppet.get_ready()
        merged: list[dict[str, Any]] = []

        async def ask() -> None:
            merged.append(await stage.supervisor.metrics())

        stage.begin(ask)
        await stage.settled()
        for number, puppet in enumerate(stage.launched, 1):
            (question,) = puppet.heard_of(AskMetrics)
            await puppet.say(Metrics(question.token, counters(requests=number, connections=1)))
        assert merged == [
            {
                "requests": 3,
                "connections": 2,
                "workers": 2,
                "worker_restarts": 0,
                "listeners_failed": 0,
            }
        ]


async def test_a_worker_that_does_not_answer_is_shown_as_it_was_last(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        await stage.launched[0].say(Metrics(0, counters(requests=4)))
        assert (await stage.supervisor.metrics())["requests"] == 4


async def test_what_an_ended_worker_counted_is_not_lost_but_what_it_had_open_is(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        await stage.launched[0].say(Metrics(0, counters(requests=4, connections=9)))
        await stage.launched[0].end()
        await stage.launched[1].get_ready()
        await stage.launched[1].say(Metrics(0, counters(requests=1, connections=1)))
        merged = await stage.supervisor.metrics()
        assert merged["requests"] == 5
        assert merged["connections"] == 1
        assert merged["worker_restarts"] == 1


async def test_a_worker_that_ends_while_it_is_asked_is_counted_once(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets) as stage:
        for puppet in stage.launched:
            await puppet.get_ready()
            await puppet.say(Metrics(0, counters(requests=4, connections=1)))
        merged: list[dict[str, Any]] = []

        async def ask() -> None:
            merged.append(await stage.supervisor.metrics())

        stage.begin(ask)
        await stage.settled()
        await stage.launched[0].end()
        await trio.sleep(2)
        (told,) = merged
        assert (told["requests"], told["connections"]) == (8, 1)


async def test_a_worker_gets_the_metrics_page_it_asks_for(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        puppet = stage.launched[0]
        await puppet.get_ready()
        await puppet.say(Metrics(0, counters(requests=4)))
        await puppet.say(AskMetricsPage(17, "format=prom&filter=*requests_total", ""))
        await trio.sleep(2)
        (page,) = puppet.heard_of(MetricsPage)
        assert (page.token, page.status) == (17, 200)
        assert b"otoroshi_requests_total 4" in page.body


async def test_the_health_of_the_control_plane_is_told_once_to_all_also_to_new_ones(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets[:1]) as stage:
        told = ControlHealth(store_is_healthy=False, is_started=True)
        for _ in range(3):
            await stage.supervisor.tell_health(store_is_healthy=False, is_started=True)
        await stage.settled()
        assert stage.launched[0].heard_of(ControlHealth)[1:] == [told]
        await stage.launched[0].end()
        assert stage.launched[1].heard_of(ControlHealth) == [told]


async def test_plugins_are_reloaded_in_every_worker(sockets: list[socket.socket]) -> None:
    async with supervised(sockets) as stage:
        await stage.supervisor.reload_plugins()
        await stage.settled()
        assert [len(puppet.heard_of(ReloadPlugins)) for puppet in stage.launched] == [1, 1]


async def test_what_routes_count_is_asked_from_every_worker_and_kept_when_one_ends(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    entity = EntityKey("route-compositions", "c")
    async with supervised(sockets) as stage:
        first, second = stage.launched
        for puppet in stage.launched:
            await puppet.get_ready()
        counted: list[dict[str, Any]] = []

        async def ask() -> None:
            counted.append(await stage.supervisor.route_counts(entity))

        async def answer(puppet: Puppet, *counts: RouteCount) -> None:
            question = puppet.heard_of(AskRouteCounts)[-1]
            assert question.entity == entity
            await puppet.say(RouteCounts(question.token, ["c-0", "c-1"], list(counts)))

        stage.begin(ask)
        await stage.settled()
        await answer(first, RouteCount("c-0", 2, 10, 100, 0.5, 0.1, 1))
        await answer(second, RouteCount("c-1", 1, 1, 1, 0.25, 0.0, 0))
        assert counted == [
            {
                "requests": 3,
                "bytes_in": 11,
                "bytes_out": 101,
                "latency_sum_s": 0.75,
                "overhead_sum_s": 0.1,
                "exchanges": 1,
            }
        ]

        # One that ends says all; what it answered meanwhile is not counted again.
        stage.begin(ask)
        await stage.settled()
        counts = RouteCount("c-0", 2, 10, 100, 0.5, 0.1, 1)
        await answer(first, counts)
        other = RouteCount("other", 9, 9, 9, 9.0, 9.0, 0)
        await first.say(RouteCounts(0, [], [counts, other]))
        await first.end()
        await answer(second)
        assert (counted[1]["requests"], counted[1]["exchanges"]) == (2, 0)

        # One that does not answer is not waited for.
        before = trio.current_time()
        await ask()
        assert counted[2]["requests"] == 0
        assert trio.current_time() - before <= 1.1


def test_counts_of_more_routes_than_there_is_room_for_are_dropped() -> None:
    kept = RetiredCounts(most=1)
    kept.take([RouteCount("a", 1, 0, 0, 0.0, 0.0, 0), RouteCount("b", 1, 0, 0, 0.0, 0.0, 0)])
    kept.take([RouteCount("a", 1, 0, 0, 0.0, 0.0, 0)])
    assert [(count.id, count.calls) for count in kept.of(["a", "b"])] == [("a", 2)]


# ----------------------------------------------------------------------------- its end


async def test_a_worker_that_takes_long_to_end_is_told_of_by_how_it_ended(
    sockets: list[socket.socket],
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    del autojump_clock
    async with supervised(sockets[:1]) as stage:
        puppet = stage.launched[0]
        await puppet.get_ready()
        has_ended = trio.Event()

        async def wait() -> str:
            await has_ended.wait()
            return puppet.how

        puppet.wait = wait  # type: ignore[method-assign]
        hung_up = puppet.link.aclose

        async def hang_up() -> None:
            await hung_up()
            puppet.how = "by SIGKILL"
            has_ended.set()

        puppet.link.aclose = hang_up  # type: ignore[method-assign]
        await puppet.end()
        await stage.until_launched(2)
    assert "ended by SIGKILL after 1.0 s" in caplog.text
