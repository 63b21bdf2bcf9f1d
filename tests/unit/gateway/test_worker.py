"""A whole worker on a link in memory, with a scripted engine."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

import msgspec
import pytest
import trio
import trio.testing

from oto_trio import _core
from oto_trio.gateway.adopting import Adopting
from oto_trio.gateway.engine import RUN
from oto_trio.gateway.frames import (
    PROTOCOL,
    AdoptSlot,
    Applied,
    AskMetrics,
    AskMetricsPage,
    AskRouteCounts,
    Capture,
    Change,
    ControlHealth,
    DownFrame,
    Drain,
    Draining,
    Entity,
    EntityKey,
    Health,
    Hello,
    InheritedListener,
    ListenerWays,
    Metrics,
    MetricsPage,
    ProblemReport,
    Ready,
    Records,
    ReloadPlugins,
    RouteCount,
    RouteCounts,
    SnapshotFull,
    Start,
    UpFrame,
)
from oto_trio.gateway.installer import ROUTES
from oto_trio.gateway.link import Link, LinkProtocolError, supervisor_end, worker_end
from oto_trio.gateway.listener_frames import (
    Listen,
    Released,
    Retune,
    Retuned,
    SocketsClosed,
    Unlisten,
)
from oto_trio.gateway.route_counts import COUNTS_PER_FRAME
from oto_trio.gateway.snapshots import SnapshotLike
from oto_trio.gateway.worker import ORPHAN_DRAIN_S, WorkerEngine, run_worker
from oto_trio.testing import FakeRequest
from oto_trio.testing.scripted_engine import ScriptedEngine, Suspended

Frame = TypeVar("Frame")
EMPTY = SnapshotFull(0, 0, True, [])


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Descriptors that stand for two inherited listening sockets."""
    ends = socket.socketpair()
    numbers = [os.dup(end.fileno()) for end in ends]
    for end in ends:
        end.close()
    yield numbers
    for number in numbers:
        if is_open(number):
            os.close(number)


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").exists()


class Stage:
    """The supervisor's side of a worker."""

    def __init__(self, link: Link[UpFrame, DownFrame], engine: ScriptedEngine) -> None:
        self.link = link
        self.engine = engine
        self.settings: bytes | None = None
        self.drain_asked = trio.Event()
        self.ended = trio.Event()

    async def send(self, *frames: DownFrame) -> None:
        for frame in frames:
            await self.link.send(frame)

    async def expect(
        self, kind: type[Frame], where: Callable[[Frame], bool] | None = None
    ) -> Frame:
        """Wait for a frame of a kind, past any others."""
        with trio.fail_after(20):
            while True:
                frame = await self.link.receive()
                if isinstance(frame, kind) and (where is None or where(frame)):
                    return frame


@asynccontextmanager
async def worked(
    engine: ScriptedEngine, descriptors: list[int], **start: object
) -> AsyncGenerator[Stage]:
    """Run a worker that has been told its first frame."""
    ours, theirs = trio.testing.memory_stream_pair()
    stage = Stage(supervisor_end(ours), engine)

    def make_engine(settings: bytes) -> tuple[WorkerEngine, SnapshotLike]:
        stage.settings = settings
        return cast("WorkerEngine", engine), cast("SnapshotLike", _core.Snapshot())

    async def run() -> None:
        await run_worker(worker_end(theirs), make_engine=make_engine, drain_asked=stage.drain_asked)
        stage.ended.set()

    listeners = [
        InheritedListener(descriptor, "standard-listener", ListenerWays(), slot)
        for slot, descriptor in enumerate(descriptors)
    ]
    first = msgspec.convert({"protocol": PROTOCOL, "slot": 0, "listeners": [], **start}, Start)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await stage.send(msgspec.structs.replace(first, listeners=listeners))
        await stage.expect(Hello)
        yield stage
        nursery.cancel_scope.cancel()


def route(name: str) -> Entity:
    document = {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {"targets": [{"hostname": "192.0.2.1", "port": 80}]},
    }
    return Entity(ROUTES, name, json.dumps(document).encode())


async def test_a_worker_listens_once_its_first_snapshot_is_live(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await trio.testing.wait_all_tasks_blocked()
        assert engine.adopted == []
        await stage.send(SnapshotFull(7, 0, False, [route("a")]))
        await trio.testing.wait_all_tasks_blocked()
        assert engine.adopted == []
        await stage.send(SnapshotFull(7, 1, True, [route("b")]))
        assert await stage.expect(Applied) == Applied(7, 2)
        await stage.expect(Ready)
        # Only the listener of its own slot.
        assert engine.adopted == [(descriptors[0], "standard-listener", False)]


async def test_a_worker_says_who_it_is(engine: ScriptedEngine, descriptors: list[int]) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    link = supervisor_end(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_with(engine, theirs))
        await link.send(Start(PROTOCOL, 0, []))
        assert await link.receive() == Hello(PROTOCOL, os.getpid())
        nursery.cancel_scope.cancel()


def run_with(engine: ScriptedEngine, stream: trio.abc.Stream) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await run_worker(
            worker_end(stream),
            make_engine=lambda _: (
                cast("WorkerEngine", engine),
                cast("SnapshotLike", _core.Snapshot()),
            ),
        )

    return run


@pytest.mark.parametrize("first", [Drain(1), Start(PROTOCOL + 1, 0, [])])
async def test_a_supervisor_of_another_protocol_is_refused(
    engine: ScriptedEngine, first: DownFrame
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await supervisor_end(ours).send(first)
    with pytest.raises(LinkProtocolError, match="expected Start of protocol"):
        await run_worker(worker_end(theirs))


async def test_every_revision_is_acknowledged_also_one_that_changes_no_route(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY, Change(1, True, [route("a")], []), Change(2, True, [], []))
        for expected in (Applied(0, 0), Applied(1, 1), Applied(2, 1)):
            assert await stage.expect(Applied) == expected
        assert len(engine.installed) == 3


async def test_a_worker_takes_the_connections_of_another_slot_when_told(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        await stage.send(AdoptSlot(1), AdoptSlot(1), AskMetrics(1))
        await stage.expect(Metrics, lambda metrics: metrics.token == 1)
        assert [fd for fd, _, _ in engine.adopted] == descriptors


async def test_counters_are_those_of_the_engine_and_of_the_worker(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY, AskMetrics(5))
        metrics = await stage.expect(Metrics, lambda metrics: metrics.token == 5)
        values = json.loads(metrics.values)
        assert values["requests"] == 7
        assert values["routes"] == 0
        assert values["hook_failures"] == 0
        assert values["filter_runs"] == 0


async def test_what_routes_count_is_told_when_asked_and_at_the_end(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    engine.counted = {
        name: (name, 1, 2, 3, 0.5, 0.25, running) for name, running in (("a", 1), ("c-1", 0))
    }
    for number in range(COUNTS_PER_FRAME):
        engine.counted[f"x{number}"] = (f"x{number}", 1, 0, 0, 0.0, 0.0, 0)
    parts = [
        {"frontend": {"domains": [domain]}, "backend": {"url": "http://127.0.0.1:1"}}
        for domain in ("c.test", "d.test")
    ]
    composition = {"id": "c", "name": "c", "routes": parts}
    entity = Entity("route-compositions", "c", json.dumps(composition).encode())
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY, Change(1, True, [route("a"), entity], []))
        await stage.expect(Applied, lambda applied: applied.revision == 1)
        for token, key, routes, counted in (
            (1, EntityKey(ROUTES, "a"), ["a"], ["a"]),
            (2, EntityKey("route-compositions", "c"), ["c-0", "c-1"], ["c-1"]),
            (3, EntityKey("route-compositions", "a"), [], []),
            # The route of a composition is no stored one.
            (4, EntityKey(ROUTES, "c-1"), [], []),
        ):
            await stage.send(AskRouteCounts(token, key))
            told = await stage.expect(RouteCounts)
            assert (told.token, told.routes) == (token, routes)
            assert [count.id for count in told.counts] == counted
        stage.drain_asked.set()
        last = [await stage.expect(RouteCounts) for _ in range(2)]
        assert [(part.token, len(part.counts)) for part in last] == [(0, COUNTS_PER_FRAME), (0, 2)]
        assert last[0].counts[0] == RouteCount("a", 1, 2, 3, 0.5, 0.25, 1)


async def test_a_worker_gives_signs_of_life(
    engine: ScriptedEngine, descriptors: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    async with worked(engine, descriptors) as stage:
        began = trio.current_time()
        await stage.expect(Health)
        await stage.expect(Metrics)
        await stage.expect(Health)
        assert trio.current_time() - began <= 2.1


async def test_problems_are_told_once(engine: ScriptedEngine, descriptors: list[int]) -> None:
    async with worked(engine, descriptors) as stage:
        broken = Entity(ROUTES, "a", b"{}")
        await stage.send(EMPTY, Change(1, True, [broken], []), Change(2, True, [broken], []))
        problem = await stage.expect(ProblemReport)
        assert (problem.kind, problem.id) == ("route", "a")
        await stage.send(AskMetrics(1))
        frames: list[UpFrame] = []
        while not isinstance(frame := await stage.link.receive(), Metrics):
            frames.append(frame)
        assert not any(isinstance(frame, ProblemReport) for frame in frames)


async def test_records_are_forwarded_only_when_wanted(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    engine.records.append(b"\x91\x01")
    async with worked(engine, descriptors, forward_records=True) as stage:
        records = await stage.expect(Records)
        assert records.batch == b"\x91\x01"
        now = datetime.now(UTC).timestamp()
        assert records.unix_offset_s + trio.current_time() == pytest.approx(now, abs=5)
        assert json.loads(stage.settings or b"")["records_capacity"] > 0
    async with worked(engine, descriptors, engine_settings=b'{"head_bytes":9}') as stage:
        assert json.loads(stage.settings or b"") == {"instance": 0, "head_bytes": 9}


async def test_events_are_captured_while_they_are_wanted(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(Capture(events=True, redaction=b'{"hash_key":"k"}'))
        await stage.send(EMPTY)
        await stage.expect(Ready)
        wanted = json.loads(engine.captures[-1])
        assert wanted["details"] is True
        assert wanted["records"] > 0
        assert wanted["redaction"] == {"hash_key": "k"}
        engine.records.append(b"\x91\x01")
        assert (await stage.expect(Records)).batch == b"\x91\x01"
        await stage.send(Capture(events=False))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert json.loads(engine.captures[-1])["records"] == 0


async def test_monitoring_pages_show_what_the_supervisor_told(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        prefix = "/.well-known/otoroshi/monitoring/"

        async def ask(page: str) -> None:
            await trio.testing.wait_all_tasks_blocked()
            request = FakeRequest(path=prefix + page)
            engine.turns.append([(RUN, Suspended(-1, request=request))])
            engine.make_ready()
            await trio.testing.wait_all_tasks_blocked(0.01)

        await ask("ready")
        await stage.send(ControlHealth(store_is_healthy=True, is_started=True))
        await ask("ready")
        await ask("metrics")
        question = await stage.expect(AskMetricsPage)
        await stage.send(MetricsPage(question.token, 200, "text/plain", b"all"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        answers = [call for call in engine.calls if call[0] == "respond"]
        assert [(call[2], call[4]) for call in answers] == [
            (503, b'{"ready":false}'),
            (200, b'{"ready":true}'),
            (200, b"all"),
        ]


async def test_a_drain_waits_for_what_is_in_flight(
    engine: ScriptedEngine, descriptors: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        engine.counts.update(connections=3, exchanges=2, tunnels=1, pooled=9)
        await stage.send(Drain(30))
        first = await stage.expect(Draining)
        assert first == Draining({"connections": 3, "exchanges": 2, "tunnels": 1}, False, False)
        assert engine.is_drained
        assert not any(map(is_open, descriptors))
        with trio.move_on_after(5):
            await stage.ended.wait()
        assert not stage.ended.is_set()
        engine.counts.update(connections=0, exchanges=0, tunnels=0)
        assert await stage.expect(Draining) == Draining({}, True, False)
        await stage.ended.wait()
        assert engine.is_closed


async def test_a_drain_has_a_deadline(
    engine: ScriptedEngine, descriptors: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        engine.counts["tunnels"] = 1
        began = trio.current_time()
        await stage.send(Drain(3))
        last = await stage.expect(Draining, lambda frame: frame.finished)
        assert last == Draining({"tunnels": 1}, True, True)
        await stage.ended.wait()
        assert trio.current_time() - began == pytest.approx(3, abs=0.1)


async def test_changes_are_applied_while_draining(
    engine: ScriptedEngine, descriptors: list[int], autojump_clock: trio.testing.MockClock
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        engine.counts["exchanges"] = 1
        await stage.send(Drain(30), Change(1, True, [route("a")], []))
        assert await stage.expect(Applied) == Applied(1, 1)


async def test_a_signal_drains_as_an_order_does(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        stage.drain_asked.set()
        await stage.expect(Draining, lambda frame: frame.finished)
        await stage.ended.wait()


async def test_a_worker_whose_supervisor_is_gone_drains_shortly(
    engine: ScriptedEngine,
    descriptors: list[int],
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        engine.counts["exchanges"] = 1
        began = trio.current_time()
        await stage.link.aclose()
        await stage.ended.wait()
        assert trio.current_time() - began == pytest.approx(ORPHAN_DRAIN_S, abs=0.1)
        assert engine.is_drained
    assert "the supervisor is gone" in caplog.text


async def test_an_order_without_meaning_is_logged(
    engine: ScriptedEngine, descriptors: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with worked(engine, descriptors) as stage:
        await stage.send(Start(PROTOCOL, 0, []), ReloadPlugins(), EMPTY)
        await stage.expect(Ready)
    assert "sent Start where it has no meaning" in caplog.text


async def test_a_cancelled_worker_leaves_nothing_open(
    engine: ScriptedEngine, descriptors: list[int]
) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
    assert engine.is_closed
    assert not any(map(is_open, descriptors))
    assert trio.lowlevel.current_statistics().tasks_living == before


def test_a_worker_loads_what_quic_is_made_of_with_its_first_socket() -> None:
    heavy = ("aioquic", "cryptography", "jq", "jsonschema", "wsproto")
    script = f"import sys, oto_trio.gateway.worker; print(*sys.modules.keys() & {set(heavy)!r})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert loaded.stdout.split() == []


async def test_it_says_when_what_a_listener_speaks_has_changed(descriptors: list[int]) -> None:
    async with worked(ScriptedEngine(), descriptors) as stage:
        await stage.send(EMPTY, Retune(7, ListenerWays()), Retune(8, ListenerWays(secured=True)))
        assert [await stage.expect(Retuned) for _ in range(2)] == [Retuned(7), Retuned(8)]


async def test_it_says_when_a_listener_is_let_go_of_and_its_sockets_are_closed(
    descriptors: list[int],
) -> None:
    async with worked(ScriptedEngine(), descriptors) as stage:
        await stage.send(EMPTY, Unlisten(7))
        assert await stage.expect(SocketsClosed) == SocketsClosed(7)
        assert await stage.expect(Released) == Released(7)


async def test_no_listener_is_taken_whose_code_is_loaded_while_a_drain_begins(
    engine: ScriptedEngine,
    descriptors: list[int],
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, loaded = trio.Event(), trio.Event()
    taken: list[Listen] = []

    async def prepare(_: Adopting, __: Listen) -> None:
        begun.set()
        await loaded.wait()

    def take(_: Adopting, order: Listen) -> None:
        taken.append(order)

    monkeypatch.setattr(Adopting, "prepare", prepare)
    monkeypatch.setattr(Adopting, "take", take)
    async with worked(engine, descriptors) as stage:
        await stage.send(EMPTY)
        await stage.expect(Ready)
        engine.counts["tunnels"] = 1
        await stage.send(
            Listen(1, "l", ListenerWays(), False, 1, is_datagrams=True), Retune(2, ListenerWays())
        )
        await begun.wait()
        stage.drain_asked.set()
        await stage.expect(Draining)
        loaded.set()
        assert await stage.expect(Retuned) == Retuned(2)
        assert taken == []
