"""A whole gateway under signals and crashes."""

import json
import os
import resource
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import (
    READY_S,
    GatewayProcess,
    command_of,
    gateway_process,
)
from tests.integration.clients import GUARD_S, admin, eventually, eventually_is
from tests.integration.ports import is_open
from tests.integration.stores.crash_writers import are_gone

pytestmark = pytest.mark.slow


def routed(upstream: Any) -> tuple[str, str]:
    return ("--route", f"api.localhost={upstream.url}")


async def ask(port: int, path: str = "/", host: str = "api.localhost") -> tuple[int, bytes]:
    """One request on a connection of its own; raises when the connection is refused or reset."""
    with trio.fail_after(READY_S):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b""
            async for data in stream:
                answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer
    return int(head[9:12]), body


class Load:
    """Clients that ask again and again, each time on a new connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered = 0
        self.refused = 0
        self.broken = 0
        self.statuses: set[int] = set()
        self._news = trio.Event()

    async def run(self) -> None:
        while True:
            try:
                status, _ = await ask(self.port)
            except OSError:
                # What open_tcp_stream makes of a refused connect; a reset is BrokenResourceError.
                self.refused += 1
            except (trio.BrokenResourceError, AssertionError):
                self.broken += 1
            else:
                self.statuses.add(status)
                self.answered += 1
            self._news.set()
            self._news = trio.Event()

    async def until_answered(self, more: int) -> None:
        wanted = self.answered + more
        with trio.fail_after(READY_S):
            while self.answered < wanted:
                await self._news.wait()


async def test_a_worker_killed_under_load_is_replaced_and_no_connection_is_refused(
    upstream: Any, tmp_path: Path
) -> None:
    async with (
        gateway_process("--workers", "2", *routed(upstream), data=tmp_path) as gateway,
        trio.open_nursery() as nursery,
    ):
        load = Load(gateway.port)
        for _ in range(4):
            nursery.start_soon(load.run)
        await load.until_answered(20)
        victim = gateway.workers()[0]
        os.kill(victim, signal.SIGKILL)
        await gateway.wait_for_workers(2, without=victim)
        await load.until_answered(50)
        nursery.cancel_scope.cancel()
    assert load.refused == 0
    assert load.statuses == {200}
    # Only what the dead worker held is lost: at most one exchange of each client.
    assert load.broken <= 4
    assert (await_log(gateway, "by SIGKILL"))["level"] == "error"
    assert not any("before its next worker" in line["message"] for line in gateway.log)


def await_log(gateway: GatewayProcess, text: str) -> dict[str, Any]:
    return next(line for line in gateway.log if text in line["message"])


async def test_both_workers_killed_leave_connections_waiting_not_refused(
    upstream: Any, tmp_path: Path
) -> None:
    async with gateway_process("--workers", "2", *routed(upstream), data=tmp_path) as gateway:
        victims = gateway.workers()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        # Until it has ended, one may still take a connection.
        await eventually(partial(are_gone, victims))
        # Nobody accepts now; the supervisor's sockets keep these in their queues.
        statuses: list[int] = []

        async def one() -> None:
            statuses.append((await ask(gateway.port))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        assert statuses == [200] * 20


async def test_workers_are_replaced_one_by_one_without_a_failed_request(
    upstream: Any, tmp_path: Path
) -> None:
    async with (
        gateway_process("--workers", "2", *routed(upstream), data=tmp_path) as gateway,
        trio.open_nursery() as nursery,
    ):
        load = Load(gateway.port)
        for _ in range(4):
            nursery.start_soon(load.run)
        await load.until_answered(20)
        before = set(gateway.workers())
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")
        await load.until_answered(20)
        nursery.cancel_scope.cancel()
        after = set(await gateway.wait_for_workers(2))
    assert not before & after
    assert (load.refused, load.broken, load.statuses) == (0, 0, {200})


@asynccontextmanager
async def held(gateway: GatewayProcess, upstream: Any) -> AsyncGenerator[list[object]]:
    """Have a request wait at the backend from the beginning of the block; what it came to is in the list behind it."""
    upstream.gate = trio.Event()
    came: list[object] = []

    async def slow() -> None:
        try:
            came.append(await ask(gateway.port, "/slow"))
        except (AssertionError, trio.BrokenResourceError):
            came.append("lost")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow)
        with trio.fail_after(GUARD_S):
            await upstream.arrived.wait()
        yield came


async def test_a_drain_finishes_what_is_in_flight_and_says_what_it_waited_for(
    upstream: Any, tmp_path: Path
) -> None:
    arguments = ("--workers", "2", "--drain-timeout", "600", *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        async with held(gateway, upstream) as came:
            gateway.signal(signal.SIGTERM)
            await gateway.wait_for_log("draining for up to 600 s")
            await eventually_is(partial(is_open, gateway.port), False)
            upstream.gate.set()
        assert came == [(200, b"GET /slow HTTP/1.1")]
        assert await gateway.wait() == 0
    assert "1 exchange" in await_log(gateway, "drained in")["message"]


async def test_a_drain_has_a_deadline_and_names_what_it_dropped(
    upstream: Any, tmp_path: Path
) -> None:
    arguments = ("--workers", "1", "--drain-timeout", "0.5", *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        async with held(gateway, upstream) as came:
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait() == 0
        assert came == ["lost"]
    line = await_log(gateway, "drain deadline over")
    assert line["level"] == "warning"
    assert "dropped 1 connection, 1 exchange" in line["message"]


async def test_a_second_signal_ends_at_once(upstream: Any, tmp_path: Path) -> None:
    arguments = ("--workers", "1", "--drain-timeout", "600", *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        async with held(gateway, upstream) as came:
            (worker,) = gateway.workers()
            gateway.signal(signal.SIGINT)
            await gateway.wait_for_log("SIGINT: draining")
            gateway.signal(signal.SIGTERM)
            await gateway.wait()
        assert came == ["lost"]
        await eventually(partial(are_gone, [worker]))
    assert await_log(gateway, "SIGTERM again: ending at once")


async def test_workers_end_when_their_supervisor_is_killed(upstream: Any, tmp_path: Path) -> None:
    async with gateway_process("--workers", "2", *routed(upstream), data=tmp_path) as gateway:
        workers = gateway.workers()
        gateway.signal(signal.SIGKILL)
        await gateway.wait()

        async def have_ended() -> bool:
            return not any(command_of(pid) for pid in workers)

        await eventually(have_ended)
    assert sum("the supervisor is gone" in line["message"] for line in gateway.log) == 2


@pytest.mark.halts_not
async def test_a_worker_that_is_stopped_when_its_supervisor_is_killed_drains_too(
    upstream: Any, tmp_path: Path
) -> None:
    async with gateway_process("--workers", "1", *routed(upstream), data=tmp_path) as gateway:
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGSTOP)
        gateway.signal(signal.SIGKILL)
        await gateway.wait()
        with suppress(ProcessLookupError):  # the kernel lets it go on by itself
            os.kill(worker, signal.SIGCONT)
        await eventually(partial(are_gone, [worker]))
    assert await_log(gateway, "the supervisor is gone")


async def test_a_worker_that_gets_sigterm_is_replaced_before_it_has_drained(
    upstream: Any, tmp_path: Path
) -> None:
    arguments = ("--workers", "1", "--drain-timeout", "600", *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        async with held(gateway, upstream) as came:
            (worker,) = gateway.workers()
            os.kill(worker, signal.SIGTERM)
            await gateway.wait_for_workers(2)
            gate, upstream.gate = upstream.gate, None
            assert await ask(gateway.port, "/other") == (200, b"GET /other HTTP/1.1")
            gate.set()
        assert came == [(200, b"GET /slow HTTP/1.1")]
        await gateway.wait_for_workers(1, without=worker)


async def test_the_gateway_in_the_supervisor_does_the_same(upstream: Any, tmp_path: Path) -> None:
    async with gateway_process("--workers", "0", *routed(upstream), data=tmp_path) as gateway:
        assert gateway.workers() == []
        assert await ask(gateway.port, "/x") == (200, b"GET /x HTTP/1.1")
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")
        assert await ask(gateway.port, "/y") == (200, b"GET /y HTTP/1.1")
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait() == 0


async def test_workers_may_open_as_many_descriptors_as_the_system_allows(tmp_path: Path) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway:
        (worker,) = gateway.workers()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (hard, hard)


async def test_every_exchange_is_a_line_of_the_access_log_that_can_be_rotated(
    upstream: Any, tmp_path: Path
) -> None:
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    arguments = ("--workers", "2", "--access-log", str(path), *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path / "data") as gateway:
        began = datetime.now(UTC)
        for number in range(6):
            assert (await ask(gateway.port, f"/{number}"))[0] == 200

        async def are_written() -> bool:
            return path.read_text().count("\n") == 6

        await eventually(are_written)
        path.rename(old)
        gateway.signal(signal.SIGHUP)
        await gateway.wait_for_log("reloaded: ")
        assert (await ask(gateway.port, "/x", host="other.test"))[0] == 404
    lines = [json.loads(line) for line in old.read_text().splitlines()]
    assert sorted(line["path"] for line in lines) == [f"/{number}" for number in range(6)]
    for line in lines:
        assert (line["status"], line["route"]) == (200, "route_api-localhost")
        assert abs((datetime.fromisoformat(line["time"]) - began).total_seconds()) < 600
    # The last one came with the drain.
    (line,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (line["path"], line["status"], line["route"]) == ("/x", 404, None)


# ----------------------------------------------------------------------------- reload


def write_config(path: Path, upstream: Any, *names: str, **settings: Any) -> None:
    routes = [
        {"id": name, "name": name, "frontend": f"{name}.test", "backend": upstream.url}
        for name in names
    ]
    path.write_text(json.dumps({"settings": settings, "routes": routes}))


async def test_sighup_reads_the_configuration_again(upstream: Any, tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    write_config(config, upstream, "a", "b")
    arguments = ("--workers", "2", "--config", str(config))
    async with gateway_process(*arguments, data=tmp_path / "data") as gateway:
        assert (await ask(gateway.port, host="a.test"))[0] == 200
        workers = gateway.workers()

        write_config(config, upstream, "b", "c", drain_timeout_s=3, http_port=1)
        gateway.signal(signal.SIGHUP)
        line = await gateway.wait_for_log("reloaded: 2 declared entities changed")
        assert "in force: drain_timeout_s" in line["message"]
        # The port was given by a flag, which wins over the file: nothing to restart for.
        assert not any("only a restart" in line["message"] for line in gateway.log)

        async def found() -> list[int]:
            return [(await ask(gateway.port, host=f"{name}.test"))[0] for name in "abc"]

        # Each worker takes a change by itself, a moment before or after the other.
        await eventually_is(found, [404, 200, 200])
        assert gateway.workers() == workers


async def test_a_reload_names_what_needs_a_restart_and_replaces_workers_for_the_rest(
    upstream: Any, tmp_path: Path
) -> None:
    config = tmp_path / "gateway.json"
    write_config(config, upstream, "a", https_port=0)
    arguments = ("--workers", "1", "--config", str(config))
    async with gateway_process(*arguments, data=tmp_path / "data") as gateway:
        before = gateway.workers()
        write_config(config, upstream, "a", https_port=4433, engine={"head_bytes": 2048})
        gateway.signal(signal.SIGHUP)
        line = await gateway.wait_for_log("only a restart brings it in")
        assert line["message"].startswith("https_port")
        line = await gateway.wait_for_log("reloaded: ")
        assert "brought in by new workers: engine" in line["message"]
        await gateway.wait_for_workers(1, without=before[0])
        status, _ = await ask(gateway.port, "/" + "x" * 3000, host="a.test")
        assert status in {400, 414, 431}


async def test_a_reload_with_a_fault_changes_nothing(upstream: Any, tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    write_config(config, upstream, "a")
    arguments = ("--workers", "1", "--config", str(config))
    async with gateway_process(*arguments, data=tmp_path / "data") as gateway:
        write_config(config, upstream, "b", drain_timeout_s="soon")
        gateway.signal(signal.SIGHUP)
        line = await gateway.wait_for_log("reload refused, nothing was changed")
        assert f"{config}: $.settings.drain_timeout_s" in line["message"]
        assert (await ask(gateway.port, host="a.test"))[0] == 200
        assert (await ask(gateway.port, host="b.test"))[0] == 404


# ----------------------------------------------------------------------------- admin API


def route(name: str, url: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {"url": url},
    }


async def test_a_change_is_live_in_every_worker_when_it_was_waited_for(
    upstream: Any, tmp_path: Path
) -> None:
    async with gateway_process("--workers", "2", data=tmp_path) as gateway, admin(gateway) as api:
        assert (await ask(gateway.port, host="a.test"))[0] == 404
        for number in range(5):
            answer = await api.post(
                "/api/routes", params={"wait": "applied"}, json=route(f"r{number}", upstream.url)
            )
            assert answer.status_code == 201, answer.text
            # Enough new connections that both workers get some.
            for _ in range(8):
                assert (await ask(gateway.port, host=f"r{number}.test"))[0] == 200
        answer = await api.delete("/api/routes/r0", params={"wait": "applied"})
        assert answer.status_code == 200
        for _ in range(8):
            assert (await ask(gateway.port, host="r0.test"))[0] == 404


async def test_what_was_acknowledged_survives_kill_9(upstream: Any, tmp_path: Path) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        auth = gateway.auth
        for number in range(20):
            answer = await api.post("/api/routes", json=route(f"r{number}", upstream.url))
            assert answer.status_code == 201
        gateway.signal(signal.SIGKILL)
        await gateway.wait()
    async with gateway_process("--workers", "1", data=tmp_path) as gateway:
        # The key is kept, and not shown a second time.
        assert gateway.announcement["client_id"] == auth[0]
        assert gateway.announcement["client_secret"] is None
        for number in range(20):
            assert (await ask(gateway.port, host=f"r{number}.test"))[0] == 200


async def test_an_entity_that_would_not_work_is_refused(upstream: Any, tmp_path: Path) -> None:
    async with gateway_process("--workers", "0", data=tmp_path) as gateway, admin(gateway) as api:
        bad = {**route("a", upstream.url), "plugins": [{"plugin": "cp:no.such.Plugin"}]}
        answer = await api.post("/api/routes", json=bad)
        assert answer.status_code == 400
        assert "cp:no.such.Plugin" in answer.text
        assert (await api.get("/api/routes/a")).status_code == 404


async def test_probes_and_metrics_are_served_by_workers_and_by_the_admin_api(
    upstream: Any, tmp_path: Path
) -> None:
    arguments = ("--workers", "2", *routed(upstream))
    async with gateway_process(*arguments, data=tmp_path) as gateway, admin(gateway) as api:
        asked = 0

        async def told(path: str, host: str = "any.test") -> tuple[int, bytes]:
            nonlocal asked
            answer = await ask(gateway.port, path, host)
            asked += 1
            return answer

        for _ in range(6):
            assert (await told("/x", "api.localhost"))[0] == 200
        prefix = "/.well-known/otoroshi/monitoring"
        for page in ("health", "live", "ready", "startup"):
            # The word that the start is over reaches each worker by its link, a moment later.
            with trio.fail_after(READY_S):
                while (await told(f"{prefix}/{page}"))[0] != 200:  # noqa: ASYNC110
                    await trio.sleep(0.01)
            assert (await api.get(f"/{page}", auth=None)).status_code == 200

        async def are_counted() -> bool:
            before = asked
            _, body = await told(f"{prefix}/metrics?format=prom")
            lines = body.decode().splitlines()
            assert "otoroshi_workers 2" in lines
            # All of them, whichever worker answered; one that says nothing within a second is left out.
            total = next(line for line in lines if line.startswith("otoroshi_requests_total "))
            return int(total.split()[1]) >= before

        await eventually(are_counted)
        answer = await api.get("/metrics", params={"filter": "otoroshi.workers"}, auth=None)
        assert answer.json() == [{"name": "otoroshi.workers", "type": "gauge", "value": 2}]


# ----------------------------------------------------------------------------- plugins

PLUGIN = '''
"""A user plugin."""
import trio
from oto_trio.plugin_api import Exchange, Plugin, Response

class Hello(Plugin):
    """Say something."""
    id = "cp:user.Hello"
    name = "Hello"
    description = "Says something."
    categories = ("Other",)

    async def call_backend(self, exchange: Exchange) -> Response:
        """Answer with the words of this version and the request's body."""
        body = await exchange.request.read(1000)
        await trio.sleep(0)
        return Response(200, (), b"{words}:" + body)
'''


async def test_a_user_plugin_is_loaded_again_when_its_file_changes(
    upstream: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "hello.py").write_text(PLUGIN.replace("{words}", "one"))
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "routes: [{name: hello, frontend: hello.test, backend: 'http://127.0.0.1:1',"
        " plugins: ['cp:user.Hello']}]"
    )
    arguments = ("--workers", "2", "--config", str(config), "--plugins", str(folder))
    async with (
        gateway_process(*arguments, data=tmp_path / "data") as gateway,
        httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
    ):

        async def said() -> set[str]:
            answers = set[str]()
            for _ in range(8):
                answer = await client.post(
                    "/", headers={"Host": "hello.test", "Connection": "close"}, content=b"you"
                )
                answers.add(answer.text)
            return answers

        assert await said() == {"one:you"}
        (folder / "hello.py").write_text("def broken(:\n")
        line = await gateway.wait_for_log("hello.py:1")
        assert line["level"] == "warning"
        assert await said() == {"one:you"}
        (folder / "hello.py").write_text(PLUGIN.replace("{words}", "the second"))
        await gateway.wait_for_log("plugins loaded again (cp:user.Hello)", count=2)
        assert await said() == {"the second:you"}
