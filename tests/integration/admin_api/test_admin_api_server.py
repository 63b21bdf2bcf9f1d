"""The admin API as a server: sockets, bounds, slow and stuck clients, shutdown."""

from __future__ import annotations

import base64
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.control.admin_api import AdminServer, bodies, build_app, serve_admin_api, server
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store import MemoryStore, Put
from oto_trio.model.document import encode_document
from oto_trio.model.route import route_template
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAIR = f"{DEV_CREDENTIALS.client_id}:{DEV_CREDENTIALS.client_secret}"
KEY = f"Authorization: Basic {base64.b64encode(PAIR.encode()).decode()}\r\n"
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"


class Running:
    def __init__(self, server: AdminServer, store: MemoryStore, shutdown: trio.Event) -> None:
        self.server = server
        self.store = store
        self.shutdown = shutdown
        self.gateway = FakeGatewayControl()
        self.ended = trio.Event()
        self.clients: list[trio.SocketStream] = []

    async def connect(self) -> trio.SocketStream:
        """Connect; the connection is closed at the end of the test."""
        stream = await trio.open_tcp_stream(self.server.host, self.server.port)
        self.clients.append(stream)
        return stream


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Running]:
    shutdown = trio.Event()
    gateway = FakeGatewayControl()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        app = build_app(store, [DEV_CREDENTIALS], gateway)
        ended = trio.Event()

        async def run(task_status: trio.TaskStatus[AdminServer]) -> None:
            await serve_admin_api(app, shutdown=shutdown, task_status=task_status, **options)
            ended.set()

        with trio.fail_after(120):
            api = Running(await nursery.start(run), store, shutdown)
            api.gateway = gateway
            api.ended = ended
            yield api
            shutdown.set()
            await ended.wait()
            for client in api.clients:
                await client.aclose()


async def read_answer(stream: trio.SocketStream) -> tuple[int, bytes]:
    """Read until the server closes, or the body's length is there."""
    text = b""
    while True:
        head, end, body = text.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        if end and lengths and len(body) >= lengths[0]:
            break
        try:
            part = await stream.receive_some()
        except trio.BrokenResourceError:
            part = b""
        if not part:
            break
        text += part
    return int(text.split(b" ")[1]) if text else 0, text


async def test_port_0_is_told_and_loopback_is_the_default() -> None:
    async with running() as api:
        assert api.server.host == "127.0.0.1"
        assert api.server.port > 0
        assert api.server.url == f"http://127.0.0.1:{api.server.port}"
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{api.server.url}/live")).status_code == 200


async def test_ipv6_works_and_its_url_has_brackets() -> None:
    async with running(host="::1") as api:
        assert api.server.url.startswith("http://[::1]:")
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{api.server.url}/live")).status_code == 200


async def test_a_port_in_use_is_named_with_the_fix() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        app = build_app(MemoryStore(), [], FakeGatewayControl())
        with pytest.raises(OSError, match="choose another --admin-port") as caught:
            await serve_admin_api(app, port=port, shutdown=trio.Event())
        assert f"127.0.0.1:{port}" in str(caught.value)


async def test_the_server_does_not_say_what_it_is() -> None:
    async with running() as api, httpx.AsyncClient() as client:
        assert "server" not in (await client.get(f"{api.server.url}/live")).headers


async def test_a_body_that_declares_too_much_is_refused_unread() -> None:
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            f"POST {ROUTES} HTTP/1.1\r\nHost: x\r\n{KEY}Content-Type: application/json\r\n"
            f"Content-Length: {bodies.MAX_BODY_BYTES + 1}\r\n\r\n".encode()
        )
        status, text = await read_answer(stream)
        assert status == 413
        assert str(bodies.MAX_BODY_BYTES).encode() in text


async def test_a_chunked_body_is_cut_off_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 100_000)
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            f"POST {ROUTES} HTTP/1.1\r\nHost: x\r\n{KEY}Content-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        answer: list[tuple[int, bytes]] = []

        async def read() -> None:
            answer.append(await read_answer(stream))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            try:
                while True:
                    await stream.send_all(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
            except trio.BrokenResourceError:
                pass
        assert answer[0][0] == 413


async def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_WAIT_S", 0.05)
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            f"POST {ROUTES} HTTP/1.1\r\nHost: x\r\n{KEY}Content-Type: application/json\r\n"
            'Content-Length: 50\r\n\r\n{"id":'.encode()
        )
        status, text = await read_answer(stream)
        assert status == 408
        assert b"did not arrive" in text


async def test_a_client_that_leaves_in_its_body_changes_nothing() -> None:
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            f"POST {ROUTES} HTTP/1.1\r\nHost: x\r\n{KEY}Content-Type: application/json\r\n"
            'Content-Length: 50\r\n\r\n{"id":"a","name":"b"}'.encode()
        )
        await stream.aclose()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{api.server.url}/live")).status_code == 200
        assert api.store.revision == 0


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            b"GET /live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"
        )
        status, _ = await read_answer(stream)
        assert status in (400, 431)


async def test_the_body_is_not_read_without_the_key() -> None:
    async with running() as api:
        stream = await api.connect()
        await stream.send_all(
            f"POST {ROUTES} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        status, _ = await read_answer(stream)
        assert status == 400


async def test_shutdown_lets_a_request_end() -> None:
    async with running() as api, httpx.AsyncClient(base_url=api.server.url) as client:
        client.auth = httpx.BasicAuth(DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret)
        answers: list[httpx.Response] = []

        async def write() -> None:
            body = {"id": "a", "name": "a"}
            answers.append(await client.post(f"{ROUTES}?wait=applied", json=body))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await api.gateway.waited.wait()
            api.shutdown.set()
            await trio.sleep(0.05)
            assert not api.ended.is_set(), "the server waits for the request"
            api.gateway.apply(1)
        assert answers[0].status_code == 201
        await api.ended.wait()
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(f"{api.server.url}/live")


async def test_idle_connections_do_not_hold_up_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bound in ("GRACE_S", "KEEP_ALIVE_S"):
        monkeypatch.setattr(server, bound, 3600)  # longer than the test may take
    async with running() as api:
        idle = await api.connect()
        api.shutdown.set()
        await api.ended.wait()
        await idle.aclose()


@pytest.mark.slow
async def test_a_client_that_stops_reading_does_not_hold_up_the_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "STUCK_CLIENT_S", 1)
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    async with running() as api:
        document = encode_document(route_template())
        await api.store.transact([Put("routes", f"r{n}", document) for n in range(8000)])
        stuck = await api.connect()
        await stuck.send_all(f"GET {ROUTES} HTTP/1.1\r\nHost: x\r\n{KEY}\r\n".encode())
        assert await stuck.receive_some(1)
        await trio.sleep(0.3)
        api.shutdown.set()
        with trio.move_on_after(60) as wait:
            await api.ended.wait()
        await stuck.aclose()  # else a broken bound would hang this test for ever
        assert not wait.cancelled_caught


async def test_cancellation_ends_it_at_once() -> None:
    shutdown = trio.Event()
    app = build_app(MemoryStore(), [], FakeGatewayControl())
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[AdminServer]) -> None:
            await serve_admin_api(app, shutdown=shutdown, task_status=task_status)

        api = await nursery.start(run)
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream(api.host, api.port)
