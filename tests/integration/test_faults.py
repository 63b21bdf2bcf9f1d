"""Crashes and signals under load that goes on for longer than the fault.

`test_supervisor_signals.py` shows each signal by itself. Here clients keep their connections, and the
question is what they notice.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.http1.upstream import Upstream as PlayedUpstream
from tests.integration.clients import (
    GUARD_S,
    STAMP,
    Connection,
    Load,
    LostError,
    ask,
    eventually,
    on_every_worker,
    route,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

HOST = "a.test"
PATIENT: dict[str, Any] = {"drain_timeout_s": 3600}
"""Settings of a gateway that would drain for longer than any test takes."""
KEPT: dict[str, Any] = {
    **PATIENT,
    "engine": {"head_timeout_s": 3600, "keep_alive_idle_s": 3600},
}
"""Those of one that closes no connection in that time but for its drain."""
ASKED_LATE: dict[str, Any] = {"engine": {"drain_idle_s": 60}}
"""Settings of one that takes a client which a busy machine has wait for no client that asks no more."""


class Files:
    """A data folder with the stamp, and a configuration file that a test can write again."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.config = folder / "gateway.json"
        (self.data / "plugins").mkdir(parents=True)
        (self.data / "plugins" / "stamp.py").write_text(STAMP)

    def declare(self, *routes: dict[str, Any], **settings: Any) -> tuple[str, ...]:
        """Write the configuration; return the arguments that name it."""
        self.config.write_text(json.dumps({"settings": settings, "routes": routes}))
        return ("--workers", "2", "--config", str(self.config))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Callers:
    """Clients that make a new connection for each request, and note when each began."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: list[tuple[float, int]] = []
        """When a request began, and which worker answered it."""
        self.lost: list[tuple[float, str]] = []
        """When a request began that was not answered, and why."""

    async def keep_calling(self) -> None:
        """Be one client, until cancelled."""
        while True:
            began = trio.current_time()
            try:
                answer = await ask(self._port, HOST)
                assert answer.status == 200, answer
            except (OSError, LostError, AssertionError) as error:
                self.lost.append((began, str(error)))
            else:
                self.answers.append((began, answer.worker))

    async def first_answer_of_another(self, known: set[int]) -> tuple[int, float]:
        """Wait until a worker that is not known answers; return it and the time."""

        async def has_answered() -> bool:
            return any(worker not in known for _, worker in self.answers)

        await eventually(has_answered)
        return next(w for _, w in self.answers if w not in known), trio.current_time()


async def test_after_a_kill_every_new_connection_is_answered_and_a_successor_serves_at_once(
    upstream: Upstream, files: Files, record_testsuite_property: Callable[[str, object], None]
) -> None:
    arguments = files.declare(route("a", upstream.url, version="1"))
    times: list[float] = []
    async with (
        gateway_process(*arguments, data=files.data) as gateway,
        trio.open_nursery() as nursery,
    ):
        callers = Callers(gateway.port)
        for _ in range(4):
            nursery.start_soon(callers.keep_calling)
        kills: list[float] = []
        known = set(gateway.workers())
        for victim in gateway.workers():  # one of each slot, so that none waits for its back-off
            began = trio.current_time()
            await kill(victim)
            kills.append(trio.current_time())
            successor, at = await callers.first_answer_of_another(known)
            known.add(successor)
            times.append(at - began)
        enough = len(callers.answers) + 100
        await eventually(partial(has_answers, callers, enough))
        nursery.cancel_scope.cancel()
    record_testsuite_property("seconds from kill to the successor's first answer", times)
    # A client whose request the dead worker held is told by a reset. Nobody else notices.
    for began, reason in callers.lost:
        assert any(began < killed for killed in kills), reason
        assert "reset" in reason or "closed" in reason, reason
    assert len(callers.lost) <= 4 * len(kills)
    assert not any("before its next worker" in line["message"] for line in gateway.log)


async def kill(worker: int) -> None:
    """Kill a process, and wait until it has ended: before that, it may still take a connection."""
    descriptor = os.pidfd_open(worker)
    try:
        os.kill(worker, signal.SIGKILL)
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def has_answers(callers: Callers, count: int) -> bool:
    return len(callers.answers) >= count


async def test_a_slot_that_dies_again_and_again_leaves_no_connection_waiting(
    upstream: Upstream, files: Files
) -> None:
    arguments = files.declare(route("a", upstream.url, version="1"))
    async with gateway_process(*arguments, data=files.data) as gateway:
        steady, victim = gateway.workers()

        def has_paused() -> bool:
            return any(" s before its next worker" in line["message"] for line in gateway.log)

        deaths = 0
        with trio.fail_after(10 * GUARD_S):
            # The first is followed at once, the others later; all of them at once where each lives long.
            while deaths < 3 or not has_paused():
                deaths += 1
                await kill(victim)
                # Twenty connections, of which the kernel gives about half to the slot without a worker.
                answered = [await ask(gateway.port, HOST) for _ in range(20)]
                assert {answer.status for answer in answered} == {200}
                workers = await gateway.wait_for_workers(2, without=victim)
                victim = next(pid for pid in workers if pid != steady)
                async with on_every_worker(gateway.port, HOST, {steady, victim}):
                    pass
        assert gateway.workers() == sorted([steady, victim])


async def test_new_workers_take_over_from_clients_that_keep_their_connections(
    upstream: Upstream, files: Files
) -> None:
    arguments = files.declare(route("a", upstream.url, version="1"), **ASKED_LATE)
    async with (
        gateway_process(*arguments, data=files.data) as gateway,
        trio.open_nursery() as nursery,
    ):
        clients = [Load(gateway.port) for _ in range(8)]
        for client in clients:
            nursery.start_soon(client.keep_asking, HOST)
        before = set(gateway.workers())
        for turn in range(1, 4):
            for client in clients:
                # The first answer may be the last one of a worker that leaves.
                await client.until_answered(2)
            gateway.signal(signal.SIGUSR2)
            await gateway.wait_for_log("workers replaced", turn)
            # Each old worker asks its clients to leave.
            await eventually(partial(have_left, clients, turn))
        after = set(await gateway.wait_for_workers(2))
        with trio.fail_after(GUARD_S):
            # The kernel spreads connections by chance: now and then all of eight go to one worker.
            while not after <= {worker for client in clients for worker in client.answered}:
                clients.append(Load(gateway.port))
                nursery.start_soon(clients[-1].keep_asking, HOST)
                await clients[-1].until_answered(1)
        nursery.cancel_scope.cancel()
    assert not before & after
    assert [failure for client in clients for failure in client.failures] == []


async def have_left(clients: list[Load], times: int) -> bool:
    return all(client.closed >= times for client in clients)


async def test_a_reload_under_load_fails_nothing_and_closes_nothing(
    upstream: Upstream, files: Files
) -> None:
    arguments = files.declare(route("a", upstream.url, version="1"))
    async with (
        gateway_process(*arguments, data=files.data) as gateway,
        trio.open_nursery() as nursery,
    ):
        load = Load(gateway.port)
        for _ in range(8):
            nursery.start_soon(load.keep_asking, HOST)
        await load.until_answered(100)
        workers = gateway.workers()
        for turn in range(2, 12):
            version = str(turn)
            files.declare(
                route("a", upstream.url, version=version), route(f"b{turn}", upstream.url)
            )
            gateway.signal(signal.SIGHUP)
            await gateway.wait_for_log("reloaded: ", turn - 1)
            # Each worker takes a change by itself, a moment before or after the other.
            await eventually(partial(says, gateway, version))
            await eventually(partial(serves, gateway, f"b{turn}.test"))
        files.config.write_text('{"routes": [{"id": "a"')
        gateway.signal(signal.SIGHUP)
        await gateway.wait_for_log("reload refused, nothing was changed")
        await load.until_answered(100)
        nursery.cancel_scope.cancel()
        assert gateway.workers() == workers
        await eventually(partial(says, gateway, "11"))
    assert load.failures == []
    assert load.closed == 0


async def serves(gateway: GatewayProcess, host: str) -> bool:
    return (await ask(gateway.port, host)).status == 200


async def says(gateway: GatewayProcess, version: str) -> bool:
    return (await ask(gateway.port, HOST)).version == version


async def test_a_drain_waits_for_each_kind_of_work_and_names_it(files: Files) -> None:
    backend = await PlayedUpstream.open()
    arguments = files.declare(route("a", f"http://127.0.0.1:{backend.port}"), **KEPT)
    async with gateway_process(*arguments, data=files.data) as gateway:
        with trio.fail_after(4 * GUARD_S):
            upload, tunnel = [await Connection.open(gateway.port) for _ in range(2)]
            await upload.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 8\r\n\r\nhalf")
            upload_wire = await backend.accept()
            await upload_wire.read_until(b"half")
            await tunnel.send(
                b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n"
            )
            tunnel_wire = await backend.accept()
            await tunnel_wire.read_until(b"\r\n\r\n")
            await tunnel_wire.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n"
            )
            assert (await tunnel.answer()).status == 101
            idle = await Connection.open(gateway.port)
            assert (await idle.ask("nowhere.test")).status == 404

            gateway.signal(signal.SIGTERM)
            assert await idle.is_closed()
            await eventually(partial(refuses, gateway.port))

            await upload.send(b"done")
            assert await upload_wire.read_exactly(4) == b"done"
            await upload_wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = await upload.answer()
            assert (answer.status, answer.body, answer.is_last) == (200, b"ok", True)
            assert await upload.is_closed()
            await tunnel.send(b"bye")
            assert await tunnel_wire.read_exactly(3) == b"bye"
            await tunnel_wire.close()
            assert await tunnel.is_closed()
            await tunnel.aclose()
            assert await gateway.wait() == 0
            await upload_wire.close()
            for client in (upload, idle):
                await client.aclose()
            await backend.close()
    (line,) = [entry for entry in gateway.log if "drained in" in entry["message"]]
    assert line["level"] == "info"
    waited = line["message"].partition("waited for ")[2].split(", ")
    assert set(waited) >= {"1 exchange", "1 tunnel"}, waited


async def refuses(port: int) -> bool:
    """Whether nobody listens any more."""
    try:
        connection = await Connection.open(port)
    except OSError:
        return True
    await connection.aclose()
    return False


async def test_a_drain_lets_clients_that_keep_asking_go_without_a_failed_request(
    upstream: Upstream, files: Files
) -> None:
    arguments = files.declare(route("a", upstream.url, version="1"), **ASKED_LATE, **PATIENT)
    outcomes = Counter[str]()
    asking: set[int] = set()
    async with gateway_process(*arguments, data=files.data) as gateway:

        async def ask_until_told(client: int) -> None:
            async with await Connection.open(gateway.port) as connection:
                try:
                    while not (await connection.ask(HOST)).is_last:
                        outcomes["answered"] += 1
                        asking.add(client)
                    outcomes["told"] += 1
                except LostError as error:
                    outcomes[str(error)] += 1

        async def is_busy() -> bool:
            return outcomes["answered"] > 100 and len(asking) == 8

        async with trio.open_nursery() as nursery:
            for client in range(8):
                nursery.start_soon(ask_until_told, client)
            await eventually(is_busy)
            gateway.signal(signal.SIGTERM)
        assert await gateway.wait() == 0
    assert outcomes["told"] == 8, outcomes


async def test_a_drain_does_not_wait_for_a_client_that_never_asked(files: Files) -> None:
    arguments = files.declare(**KEPT)
    async with (
        gateway_process(*arguments, data=files.data) as gateway,
        await Connection.open(gateway.port) as silent,
        await Connection.open(gateway.port) as idle,
    ):
        assert (await idle.ask("nowhere.test")).status == 404
        gateway.signal(signal.SIGTERM)
        with trio.fail_after(4 * GUARD_S):
            assert await idle.is_closed()
            assert await silent.is_closed()
        assert await gateway.wait() == 0


async def test_a_drain_does_not_wait_for_a_client_whose_last_response_has_ended(
    files: Files,
) -> None:
    backend = await PlayedUpstream.open()
    url = f"http://127.0.0.1:{backend.port}"
    arguments = files.declare(route("a", url), **KEPT)
    async with (
        gateway_process(*arguments, data=files.data) as gateway,
        await Connection.open(gateway.port) as client,
        AsyncExitStack() as stack,
    ):
        stack.push_async_callback(backend.close)
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        wire = await backend.accept()
        stack.push_async_callback(wire.close)
        await wire.read_until(b"\r\n\r\n")
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        # Its head does not say `close`: the drain had not begun.
        assert "connection" not in (await client.read_head())[1]
        gateway.signal(signal.SIGTERM)
        await eventually(partial(refuses, gateway.port))
        await wire.send(b"done")
        assert await client.read(8) == b"halfdone"
        with trio.fail_after(4 * GUARD_S):
            assert await client.is_closed()
        assert await gateway.wait() == 0
