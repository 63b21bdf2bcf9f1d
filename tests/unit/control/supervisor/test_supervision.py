"""The supervision of workers, with workers that do what a test says."""

import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.control.store import Delete, MemoryStore, Put
from oto_trio.control.supervisor.launch import Running
from oto_trio.control.supervisor.listening import Listener
from oto_trio.control.supervisor.supervision import (
    MAX_DELAY_S,
    STABLE_S,
    START_ATTEMPTS,
    Backoff,
    DrainOutcome,
    Supervisor,
    WorkersFailedError,
)
from oto_trio.control.supervisor.worker import SILENCE_S, WorkerSettings
from oto_trio.gateway.frames import (
    PROTOCOL,
    AdoptSlot,
    Applied,
    AskMetrics,
    AskMetricsPage,
    Change,
    ControlHealth,
    DownFrame,
    Drain,
    Draining,
    EntityKey,
    Health,
    Hello,
    Metrics,
    MetricsPage,
    ProblemReport,
    Ready,
    Records,
    ReloadPlugins,
    SnapshotFull,
    Start,
    UpFrame,
)
from oto_trio.gateway.link import Link, supervisor_end, worker_end
from oto_trio.model.errors import StoreError


class Puppet:
    """The other end of one worker's link."""

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        self.pid = 1000 + number
        self.link: Link[UpFrame, DownFrame] = supervisor_end(ours)
        self.worker: Link[DownFrame, UpFrame] = worker_end(theirs)
        self.descriptors = [sock.fileno() for sock in sockets]
        self.heard: list[DownFrame] = []
        self.news = trio.Event()
        self.killed = trio.Event()
        self.how = "with status 0"

    async def wait(self) -> str:
        return self.how

    def kill(self) -> None:
        self.killed.set()
        self.how = "by SIGKILL"

    # -- what a test lets it do

    async def say(self, *frames: UpFrame) -> None:
        for frame in frames:
            await self.worker.send(frame)
        await trio.testing.wait_all_tasks_blocked()

    async def get_ready(self, revision: int = 0) -> None:
        await self.say(Hello(PROTOCOL, self.pid), Applied(revision, 0), Ready())

    async def end(self, how: str = "with status 1") -> None:
        self.how = how
        await self.worker.aclose()
        await trio.testing.wait_all_tasks_blocked()

    async def drained(self) -> None:
        await self.say(Draining({}, finished=True, dropped=False))
        await self.end("with status 0")

    @property
    def start(self) -> Start:
        assert isinstance(self.heard[0], Start)
        return self.heard[0]

    def heard_of(self, kind: type) -> list[Any]:
        return [frame for frame in self.heard if isinstance(frame, kind)]


class Puppets:
    """Launches puppets instead of workers."""

    def __init__(self) -> None:
        self.launched: list[Puppet] = []
        self.refuse: OSError | None = None
        self.on_launch: Callable[[Puppet], object] = lambda _: None
        self.news = trio.Event()

    @asynccontextmanager
    async def launch(self, sockets: Sequence[socket.socket]) -> AsyncGenerator[Running]:
        if self.refuse is not None:
            raise self.refuse
        puppet = Puppet(len(self.launched), sockets)
        self.launched.append(puppet)
        self.news.set()
        self.news = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, puppet)
            nursery.start_soon(self._hang_up, puppet)
            self.on_launch(puppet)
            try:
                yield puppet
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await puppet.link.aclose()

    async def _listen(self, puppet: Puppet) -> None:
        try:
            while True:
                puppet.heard.append(await puppet.worker.receive())
        except Exception:  # noqa: BLE001 (either end was closed)
            return

    async def _hang_up(self, puppet: Puppet) -> None:
        await puppet.killed.wait()
        await puppet.worker.aclose()


class Stage:
    def __init__(self, supervisor: Supervisor, puppets: Puppets, store: MemoryStore) -> None:
        self.supervisor = supervisor
        self.puppets = puppets
        self.store = store
        self.problems: list[ProblemReport] = []
        self.records: list[bytes] = []
        self.started = trio.Event()
        self.nursery: trio.Nursery | None = None

    @property
    def launched(self) -> list[Puppet]:
        return self.puppets.launched

    async def settled(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    async def until_launched(self, count: int) -> None:
        while len(self.launched) < count:
            await self.puppets.news.wait()

    def begin(self, function: Callable[..., Any], *args: object) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(function, *args)


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    opened = [socket.socket() for _ in range(2)]
    yield opened
    for sock in opened:
        sock.close()


@asynccontextmanager
async def supervised(
    sockets: list[socket.socket],
    *,
    is_recording: bool = False,
    settings: WorkerSettings | None = None,
) -> AsyncGenerator[Stage]:
    """A supervisor whose workers, one a socket, were launched and wait for what the test says."""
    puppets = Puppets()
    records: list[bytes] = []
    problems: list[ProblemReport] = []
    listener = Listener("standard-listener", False, tuple(sockets))
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        supervisor = Supervisor(
            store,
            puppets,
            [listener],
            settings or WorkerSettings(),
            on_records=records.append if is_recording else None,
            on_problem=problems.append,
        )
        stage = Stage(supervisor, puppets, store)
        stage.records, stage.problems, stage.nursery = records, problems, nursery

        async def run() -> None:
            await nursery.start(supervisor.run)
            stage.started.set()

        nursery.start_soon(run)
        await stage.settled()
        yield stage
        nursery.cancel_scope.cancel()


# ----------------------------------------------------------------------------- start


async def test_every_slot_gets_a_worker_that_is_told_everything(
    sockets: list[socket.socket],
) -> None:
    settings = WorkerSettings(engine=b'{"a":1}', plugin_folder="here", log_format="json")
    async with supervised(sockets, settings=settings) as stage:
        starts = [puppet.start for puppet in stage.launched]
        assert sorted(start.slot for start in starts) == [0, 1]
        for start in starts:
            assert start.engine_settings == b'{"a":1}'
            assert start.plugin_folder == "here"
            assert not start.forward_records
            assert [(item.fd, item.slot) for item in start.listeners] == [
                (sock.fileno(), slot) for slot, sock in enumerate(sockets)
            ]


async def test_started_means_that_every_worker_is_ready(sockets: list[socket.socket]) -> None:
    async with supervised(sockets) as stage:
        await stage.launched[0].get_ready()
        assert not stage.started.is_set()
        assert stage.supervisor.pids == [stage.launched[0].pid]
        await stage.launched[1].get_ready()
        assert stage.started.is_set()
        assert stage.supervisor.slots == 2
        assert len(stage.supervisor.serving) == 2


async def test_workers_that_never_get_ready_end_the_start(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    puppets = Puppets()
    listener = Listener("standard-listener", False, tuple(sockets[:1]))
    puppets.on_launch = lambda puppet: puppet.kill()
    async with MemoryStore() as store:
        supervisor = Supervisor(store, puppets, [listener], WorkerSettings())
        with pytest.RaisesGroup(WorkersFailedError):
            await supervisor.run()
    assert len(puppets.launched) == START_ATTEMPTS


async def test_a_worker_that_cannot_be_launched_counts_as_one_that_ended(
    sockets: list[socket.socket],
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    puppets = Puppets()
    puppets.refuse = OSError("no such program")
    listener = Listener("standard-listener", False, tuple(sockets[:1]))
    async with MemoryStore() as store:
        supervisor = Supervisor(store, puppets, [listener], WorkerSettings())
        with pytest.RaisesGroup(WorkersFailedError):
            await supervisor.run()
    assert "could not be started: no such program" in caplog.text


# ----------------------------------------------------------------------------- replacing


async def test_a_worker_that_dies_is_replaced_at_once(sockets: list[socket.socket]) -> None:
    async with supervised(sockets) as stage:
        for puppet in list(stage.launched):
            await puppet.get_ready()
        dead = stage.launched[0]
        await dead.end("by SIGKILL")
        assert len(stage.launched) == 3
        assert stage.launched[2].start.slot == dead.start.slot
        await stage.launched[2].get_ready()
        assert stage.launched[2].pid in stage.supervisor.pids
        assert dead.pid not in stage.supervisor.pids
        assert stage.supervisor.restarts == 1


def test_the_back_off_grows_to_a_bound_and_forgets_a_worker_that_lived() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay_s(0.1) for _ in range(12)]
    assert delays[:5] == [0.0, 0.25, 0.5, 1.0, 2.0]
    assert delays[-1] == MAX_DELAY_S
    assert backoff.next_delay_s(STABLE_S) == 0.0
    assert backoff.next_delay_s(0.1) == 0.25


async def test_a_crash_loop_is_slowed_down_and_others_take_its_connections(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets) as stage:
        first, second = stage.launched
        await first.get_ready()
        await second.get_ready()
        slot = first.start.slot
        times: list[float] = []
        for _ in range(4):
            crashing = stage.launched[-1] if times else first
            await crashing.get_ready() if times else None
            launched = len(stage.launched)
            began = trio.current_time()
            await crashing.end()
            with trio.fail_after(60):
                await stage.until_launched(launched + 1)
            await stage.settled()
            times.append(trio.current_time() - began)
        assert times == [pytest.approx(delay) for delay in (0.0, 0.25, 0.5, 1.0)]
        assert set(second.heard_of(AdoptSlot)) == {AdoptSlot(slot)}


async def test_a_worker_that_drains_unasked_is_replaced_before_it_has_ended(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets) as stage:
        for puppet in list(stage.launched):
            await puppet.get_ready()
        await stage.launched[0].say(Draining({"tunnels": 1}, finished=False, dropped=False))
        assert len(stage.launched) == 3
        await stage.launched[2].get_ready()
        assert len(stage.supervisor.serving) == 2
        await stage.launched[0].drained()
        assert len(stage.launched) == 3


async def test_a_silent_worker_is_ended_and_replaced(
    sockets: list[socket.socket],
    mock_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        mock_clock.jump(SILENCE_S - 1)
        await stage.launched[0].say(Health(1, 0.0))
        mock_clock.jump(SILENCE_S - 1)
        await stage.settled()
        assert len(stage.launched) == 1
        mock_clock.jump(2)
        await stage.settled()
        assert stage.launched[0].killed.is_set()
        assert len(stage.launched) == 2
    assert "said nothing for 31 s" in caplog.text


async def test_a_worker_that_speaks_another_protocol_is_ended(
    sockets: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].say(Hello(PROTOCOL + 1, 1))
        assert len(stage.launched) == 2
    assert f"Hello of protocol {PROTOCOL + 1}" in caplog.text


async def test_all_workers_are_replaced_one_by_one_each_new_one_ready_first(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets) as stage:
        old = list(stage.launched)
        for puppet in old:
            await puppet.get_ready()
        outcome: list[bool] = []

        async def replace() -> None:
            outcome.append(await stage.supervisor.replace_all())

        stage.begin(replace)
        for slot in range(2):
            await stage.settled()
            assert len(stage.launched) == 3 + slot
            new = stage.launched[-1]
            assert new.start.slot == slot
            leaving = next(puppet for puppet in old if puppet.start.slot == slot)
            assert leaving.heard_of(Drain) == []
            await new.get_ready()
            assert len(leaving.heard_of(Drain)) == 1
            await leaving.drained()
        await stage.settled()
        assert outcome == [True]
        assert stage.supervisor.pids == [puppet.pid for puppet in stage.launched[2:]]
        assert stage.supervisor.restarts == 0


async def test_a_replacement_that_does_not_get_ready_leaves_the_old_worker(
    sockets: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        outcome: list[bool] = []

        async def replace() -> None:
            outcome.append(await stage.supervisor.replace_all())

        stage.begin(replace)
        await stage.settled()
        await stage.launched[1].end()
        assert outcome == [False]
        assert stage.launched[0].heard_of(Drain) == []
        assert stage.supervisor.pids == [stage.launched[0].pid]
        assert len(stage.launched) == 2
    assert "keeps its worker" in caplog.text


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
        if failures:
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
        await first.get_ready(5)
        # The other one is starting: it will not accept a connection before it knows revision 5.
        assert applied == [5]
        await second.get_ready(5)
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

        stage.begin(wait)
        await first.say(Applied(2, 0))
        assert not applied.is_set()
        await second.end()
        assert applied.is_set()


# ----------------------------------------------------------------------------- reports


async def test_what_workers_report_reaches_its_taker(sockets: list[socket.socket]) -> None:
    async with supervised(sockets, is_recording=True) as stage:
        report = ProblemReport("route", "a", "is broken")
        await stage.launched[0].say(report, Records(b"\x91\x01"))
        assert stage.problems == [report]
        assert stage.records == [b"\x91\x01"]
        assert stage.launched[0].start.forward_records


async def test_without_takers_reports_are_dropped(sockets: list[socket.socket]) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].say(Records(b"\x91\x01"))
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
        assert merged == [{"requests": 3, "connections": 2, "workers": 2, "worker_restarts": 0}]


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


# ----------------------------------------------------------------------------- the end


async def test_a_drain_closes_the_sockets_tells_the_workers_and_waits(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets) as stage:
        for puppet in stage.launched:
            await puppet.get_ready()
        outcomes: list[DrainOutcome] = []

        async def drain() -> None:
            outcomes.append(await stage.supervisor.drain(10))

        stage.begin(drain)
        await stage.settled()
        # Open still: the workers accept what is queued before they drain.
        assert all(sock.fileno() != -1 for sock in sockets)
        assert [puppet.heard_of(Drain) for puppet in stage.launched] == [[Drain(10)], [Drain(10)]]
        await stage.launched[0].say(Draining({"exchanges": 2}, finished=False, dropped=False))
        await stage.launched[1].say(Draining({"exchanges": 1}, finished=False, dropped=False))
        assert all(sock.fileno() == -1 for sock in sockets)
        await stage.launched[0].drained()
        assert outcomes == []
        await stage.launched[1].drained()
        assert outcomes[0].waited_for == {"exchanges": 3}
        assert outcomes[0].dropped == {}
        assert len(stage.launched) == 2
        assert "waited for 3 exchanges" in str(outcomes[0])


async def test_what_the_deadline_cuts_off_is_named(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets) as stage:
        first, second = stage.launched
        for puppet in stage.launched:
            await puppet.get_ready()
        outcomes: list[DrainOutcome] = []

        async def drain() -> None:
            outcomes.append(await stage.supervisor.drain(3))

        stage.begin(drain)
        await stage.settled()
        await first.say(Draining({"tunnels": 1}, finished=False, dropped=False))
        await first.say(Draining({"tunnels": 1}, finished=True, dropped=True))
        await first.end("with status 0")
        await trio.sleep(10)
        # The second one did not even say that it drains.
        assert second.killed.is_set()
        assert outcomes[0].dropped == {"tunnels": 1, "workers": 1}
        assert str(outcomes[0]).startswith("drain deadline over after 5.0 s")
        assert "dropped 1 tunnel, 1 worker" in str(outcomes[0])


async def test_a_drain_ends_a_slot_that_is_in_back_off(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        await stage.launched[0].end()
        await stage.launched[1].get_ready()
        await stage.launched[1].end()
        outcome = await stage.supervisor.drain(3)
        assert outcome.dropped == {}
        await trio.sleep(60)
        assert len(stage.launched) == 2


async def test_a_drain_before_the_start_is_over_ends_it(sockets: list[socket.socket]) -> None:
    async with supervised(sockets[:1]) as stage:
        stage.begin(stage.supervisor.drain, 3)
        await stage.settled()
        await stage.launched[0].drained()
        assert stage.started.is_set()
        assert stage.supervisor.serving == []


async def test_a_kill_ends_everything_at_once(sockets: list[socket.socket]) -> None:
    async with supervised(sockets) as stage:
        for puppet in stage.launched:
            await puppet.get_ready()
        stage.supervisor.kill()
        await stage.settled()
        assert all(puppet.killed.is_set() for puppet in stage.launched)
        assert len(stage.launched) == 2
