"""The supervision of workers, with workers that do what a test says."""

import socket
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.control.store import MemoryStore
from oto_trio.control.store.base import Delete, Put
from oto_trio.control.supervisor.backoff import MAX_DELAY_S, STABLE_S, Backoff
from oto_trio.control.supervisor.listening import Listener
from oto_trio.control.supervisor.supervision import (
    START_ATTEMPTS,
    CertificateVerdict,
    Supervisor,
    WorkersFailedError,
)
from oto_trio.control.supervisor.worker import SILENCE_S
from oto_trio.control.supervisor.worker_settings import WorkerSettings
from oto_trio.gateway.frames import (
    PROTOCOL,
    AdoptSlot,
    Applied,
    AskCertificate,
    CertificateAnswer,
    Drain,
    Draining,
    Health,
    Hello,
    Retune,
)
from oto_trio.gateway.listener_frames import Released, Retuned, SocketsClosed, Unlisten
from oto_trio.model.http_listener import HTTP_LISTENERS
from tests.unit.control.supervisor.puppets import Puppets, supervised

if TYPE_CHECKING:
    from oto_trio.control.supervisor.drain_outcome import DrainOutcome

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


async def test_a_worker_that_dies_while_it_is_being_replaced_leaves_no_third_one(
    sockets: list[socket.socket],
) -> None:
    async with supervised(sockets[:1]) as stage:
        await stage.launched[0].get_ready()
        stage.begin(stage.supervisor.replace_all)
        await stage.settled()
        await stage.launched[0].end()
        # The keeper knows nothing of the replacement, and fills the slot again.
        assert len(stage.launched) == 3
        await stage.launched[2].get_ready()
        await stage.launched[1].get_ready()
        assert len(stage.launched[2].heard_of(Drain)) == 1
        await stage.launched[2].drained()
        assert stage.supervisor.pids == [stage.launched[1].pid]
        assert len(stage.launched) == 3


async def test_a_replacement_in_a_back_off_is_not_replaced_by_the_keeper(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        for number in range(3):
            await stage.launched[number].get_ready()
            await stage.launched[number].end()
            with trio.fail_after(10):
                if number < 2:
                    await stage.until_launched(number + 2)
                    await stage.settled()
        stage.begin(stage.supervisor.replace_all)
        await stage.until_launched(4)
        await stage.settled()
        await stage.launched[3].get_ready()
        await trio.sleep(30)
        assert len(stage.launched) == 4
        assert stage.supervisor.pids == [stage.launched[3].pid]


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


# ----------------------------------------------------------------------------- certificates


async def test_a_certificate_is_asked_for_and_answered_once_it_is_applied(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    async with supervised(sockets[:1]) as stage:
        puppet = stage.launched[0]
        await puppet.get_ready()
        asked: list[str] = []

        async def make(name: str) -> CertificateVerdict:
            asked.append(name)
            if name == "refused":
                return CertificateVerdict(ok=False)
            if name == "nicely":
                return CertificateVerdict(ok=True, certificate=b"{}")
            return CertificateVerdict(ok=True, revision=7)

        await puppet.say(AskCertificate(1, "early"))
        await stage.settled()
        assert puppet.heard_of(CertificateAnswer) == [CertificateAnswer(1, ok=False)]
        stage.supervisor.on_certificate_asked = make
        await puppet.say(
            AskCertificate(2, "refused"), AskCertificate(3, "nicely"), AskCertificate(4, "made")
        )
        await trio.testing.wait_all_tasks_blocked(0.01)
        answers = puppet.heard_of(CertificateAnswer)
        assert sorted(answers[1:], key=lambda answer: answer.token) == [
            CertificateAnswer(2, ok=False),
            CertificateAnswer(3, ok=True, certificate=b"{}"),
        ]
        await puppet.say(Applied(7, 0))
        await stage.settled()
        assert puppet.heard_of(CertificateAnswer)[3:] == [CertificateAnswer(4, ok=True)]
        assert sorted(asked) == ["made", "nicely", "refused"]


async def test_too_many_waiting_handshakes_are_refused_at_once(
    sockets: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.supervisor.supervision.MOST_CERTIFICATE_ASKS", 2)
    async with supervised(sockets[:1]) as stage:
        puppet = stage.launched[0]
        await puppet.get_ready()
        gate = trio.Event()

        async def make(name: str) -> CertificateVerdict:
            await gate.wait()
            return CertificateVerdict(ok=True)

        stage.supervisor.on_certificate_asked = make
        await puppet.say(*(AskCertificate(token, "a.b") for token in (1, 2, 3)))
        await stage.settled()
        # Each is a task of its own, and which one comes last is not fixed.
        (refused,) = puppet.heard_of(CertificateAnswer)
        assert not refused.ok
        gate.set()
        await stage.settled()
        answers = puppet.heard_of(CertificateAnswer)[1:]
        assert all(answer.ok for answer in answers)
        assert sorted(answer.token for answer in [refused, *answers]) == [1, 2, 3]


async def test_what_a_listener_speaks_is_applied_once_its_worker_says_so(
    sockets: list[socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        _, port = free.getsockname()
    async with supervised(sockets[:1]) as stage:
        (puppet,) = stage.launched
        await puppet.get_ready()
        for revision, auth in ((1, "None"), (2, "Need")):
            config = {"enabled": True, "host": "127.0.0.1", "port": port, "clientAuth": auth}
            document = {"id": "l", "name": "l", "description": "", "config": config}
            await stage.store.put(HTTP_LISTENERS, "l", msgspec.json.encode(document))
            await puppet.say(Applied(revision, 0))
            assert stage.supervisor.is_applied(revision) == (revision == 1)
        (order,) = puppet.heard_of(Retune)
        await puppet.say(Retuned(order.token))
        assert stage.supervisor.is_applied(2)
        await stage.supervisor.drain(0)


async def test_a_udp_port_is_open_again_once_the_worker_has_closed_its_own(
    sockets: list[socket.socket], mock_clock: trio.testing.MockClock
) -> None:
    del mock_clock  # no time passes: nothing is tried by the clock
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        _, port = free.getsockname()

    def document(name: str) -> bytes:
        config = {"enabled": True, "host": "127.0.0.1", "port": port, "http3": True}
        config |= {"http1": False, "http2": False}
        return msgspec.json.encode({"id": name, "name": name, "description": "", "config": config})

    async with supervised(sockets[:1]) as stage:

        def open_ports() -> list[Listener]:
            return [it for it in stage.supervisor._listeners.current if it.is_datagrams]

        (puppet,) = stage.launched
        await puppet.get_ready()
        await stage.store.put(HTTP_LISTENERS, "l", document("l"))
        await puppet.say(Applied(1, 0))
        (first,) = open_ports()
        with first.sockets[0].dup():  # the worker's, with a connection on it
            await stage.store.transact(
                [Delete(HTTP_LISTENERS, "l"), Put(HTTP_LISTENERS, "m", document("m"))]
            )
            await stage.settled()
            assert puppet.heard_of(Unlisten) == [Unlisten(first.token)]
            await puppet.say(Applied(2, 0), Released(first.token))
            assert open_ports() == []
        await puppet.say(SocketsClosed(first.token))
        (second,) = open_ports()
        assert (second.name, second.address) == ("m", ("127.0.0.1", port))
        stage.supervisor._listeners.close_all()
