"""HTTP listeners through a whole gateway: real clients over real ports, and changes while it runs."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from hyperframe.frame import DataFrame, Frame, GoAwayFrame
from websockets.frames import Opcode

from tests.conformance.tls.secure import authority, client_context
from tests.integration.clients import (
    Connection,
    LostError,
    admin,
    ask,
    eventually,
    eventually_is,
    route,
)
from tests.integration.gateways import HTTPS, declared_gateway, shown, trusted
from tests.integration.ports import free_port, free_ports, is_open
from tests.integration.protocols.http2_client import Http2Client, http2_client
from tests.integration.protocols.http3_client import Http3Client, http3_client, quic_certificate
from tests.integration.sockets import Socket, socket_backend, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
LISTENERS = "/apis/http-listeners.proxy.otoroshi.io/v1/http-listeners"
APPLIED = {"wait": "applied"}
PATIENCE_S = 240
H3_NO_ERROR: Final = 0x100
NAMES = ("open.test", "bound.test", "home.test", "slots.test", "chat.test", "watched.test")


def adds_header(value: str, *listeners: str) -> dict[str, Any]:
    return {
        "plugin": "cp:otoroshi.next.plugins.AdditionalHeadersOut",
        "config": {"headers": {f"X-{value}": value}},
        "bound_listeners": listeners,
    }


def document(upstream: str) -> dict[str, Any]:
    """Routes that are bound to listeners, and one with slots that are."""

    def bound(name: str, *listeners: str, plugins: tuple[object, ...] = ()) -> dict[str, Any]:
        return {
            "id": name,
            "name": name,
            "frontend": f"{name}.test",
            "backend": upstream,
            "bound_listeners": listeners,
            "plugins": plugins,
        }

    return {
        "certificates": [
            shown(*NAMES),
            trusted(authority("clients")),
        ],
        "routes": [
            bound("open", plugins=({"plugin": "cp:otoroshi.next.plugins.Http3Switch"},)),
            bound("bound", "l_b"),
            bound("home", "standard-listener"),
            bound(
                "slots",
                plugins=(
                    adds_header("Everywhere"),
                    adds_header("A", "l_a"),
                    adds_header("Others", "l_b", "standard-listener"),
                ),
            ),
        ],
    }


@asynccontextmanager
async def fronted(
    upstream: Upstream, folder: Path, *, workers: int = 2, **settings: object
) -> AsyncGenerator[tuple[GatewayProcess, httpx.AsyncClient]]:
    declared = {**document(upstream.url), "settings": settings}
    options = ("--workers", str(workers), *HTTPS)
    with trio.fail_after(PATIENCE_S):
        async with declared_gateway(declared, folder, *options) as gateway, admin(gateway) as api:
            yield gateway, api


async def put(api: httpx.AsyncClient, name: str, port: int, **config: Any) -> None:
    """Create or replace a listener, and wait until it is live."""
    settings = {"enabled": True, "host": "127.0.0.1", "port": port, **config}
    body = {"id": name, "name": name, "description": "", "config": settings}
    answer = await api.post(f"{LISTENERS}/{name}", params=APPLIED, json=body)
    assert answer.status_code in {200, 201}, answer.text
    assert answer.headers["Oto-Trio-Applied"] == "true"


async def rest_of(client: Http2Client) -> list[Frame]:
    """Read until the gateway closes; `h2` itself takes nothing after a GOAWAY."""
    data = b""
    while part := await client.stream.receive_some(65536):
        data += part
    frames: list[Frame] = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data)[:9])
        frame.parse_body(memoryview(data)[9 : 9 + length])
        frames.append(frame)
        data = data[9 + length :]
    return frames


async def curl(port: int, scheme: str, *options: str) -> str:
    """Ask with curl; returns `200 2` for a status and the version of HTTP, `000 0` without an answer."""
    done = await trio.run_process(
        [
            *("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"),
            *(
                "--resolve",
                f"open.test:{port}:127.0.0.1",
                *options,
                f"{scheme}://open.test:{port}/",
            ),
        ],
        capture_stdout=True,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout.decode()


async def asked(upstream: Upstream, count: int) -> None:
    """Wait until the backend has got so many requests."""

    async def are_there() -> bool:
        await trio.lowlevel.checkpoint()
        return len(upstream.heads) >= count

    await eventually(are_there)


PROBES: Final = {
    "http/1.1": ("http", "--http1.1"),
    "h2c": ("http", "--http2-prior-knowledge"),
    "https/1.1": ("https", "--http1.1"),
    "https without ALPN": ("https", "--no-alpn"),
    "h2": ("https", "--http2"),
}

NOTHING: Final = dict.fromkeys(PROBES, "000 0")

SPOKEN: Final[list[tuple[dict[str, Any], dict[str, str]]]] = [
    ({"tls": False}, {"http/1.1": "200 1.1"}),
    ({"tls": False, "h2c": True}, {"http/1.1": "200 1.1", "h2c": "200 2"}),
    ({"tls": False, "http2": False, "h2c": True}, {"http/1.1": "200 1.1", "h2c": "200 2"}),
    ({"tls": False, "http1": False, "h2c": True}, {"http/1.1": "505 1.1", "h2c": "200 2"}),
    ({}, {"https/1.1": "200 1.1", "https without ALPN": "200 1.1", "h2": "200 2"}),
    ({"http2": False}, {"https/1.1": "200 1.1", "https without ALPN": "200 1.1", "h2": "200 1.1"}),
    # ALPN without http/1.1 refuses who offers only that; who offers nothing hears why.
    ({"http1": False, "h2c": True}, {"https without ALPN": "505 1.1", "h2": "200 2"}),
]
"""Settings of a listener, and what each probe gets; nothing where it is not named."""


async def test_each_listener_speaks_what_it_says(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path) as (_, api):
        port = free_port()
        for config, expected in SPOKEN:
            await put(api, "l_a", port, **config)
            # On plain connections TLS is no request, and the other way round.
            is_plain = config.get("tls") is False
            for name, (scheme, option) in PROBES.items():
                if (scheme == "http") != is_plain:
                    continue
                heard = await curl(port, scheme, option)
                wanted = {**NOTHING, **expected}[name]
                if wanted == "000 0":
                    # What curl shows of bytes that are no HTTP/2 depends on its version.
                    assert not heard.startswith("200"), (config, name, heard)
                else:
                    assert heard == wanted, (config, name, heard)


@pytest.mark.parametrize("workers", [2, 0])
async def test_routes_and_slots_are_bound_to_listeners(
    upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    async with fronted(upstream, tmp_path, workers=workers) as (gateway, api):
        a, b, only = free_ports(3)
        await put(api, "l_a", a, tls=False)
        await put(api, "l_b", b, tls=False, h2c=True)
        await put(api, "l_only", only, tls=False, exclusive=True)
        answer = await api.patch(
            "/api/routes/open",
            params=APPLIED,
            json=[{"op": "replace", "path": "/bound_listeners", "value": []}],
        )
        assert answer.status_code == 200, answer.text

        async def statuses(port: int) -> str:
            hosts = ("open.test", "bound.test", "home.test", "slots.test")
            got = [(await ask(port, host)).status for host in hosts]
            return " ".join(map(str, got))

        assert await statuses(gateway.port) == "200 404 200 200"
        assert await statuses(a) == "200 404 404 200"
        assert await statuses(b) == "200 200 404 200"
        assert await statuses(only) == "404 404 404 404"
        # Streams of HTTP/2 are requests of their listener.
        async with http2_client(b) as client:
            for host, status in (("bound.test", 200), ("home.test", 404)):
                assert (await client.ask("GET", host, "/")).status == status
        # An exclusive listener serves what is bound to it, and nothing else.
        for bound, expected in (
            (["l_only"], "404 200"),
            (["l_only", "standard-listener"], "200 200"),
            ([], "200 404"),
        ):
            answer = await api.patch(
                "/api/routes/open",
                params=APPLIED,
                json=[{"op": "replace", "path": "/bound_listeners", "value": bound}],
            )
            assert answer.status_code == 200, answer.text
            got = [(await ask(port, "open.test")).status for port in (gateway.port, only)]
            assert " ".join(map(str, got)) == expected
        # It stops to be exclusive for the connections that come from then on.
        async with await Connection.open(only) as kept:
            assert (await kept.ask("slots.test")).status == 404
            await put(api, "l_only", only, tls=False)
            assert (await ask(only, "slots.test")).status == 200
            assert (await kept.ask("slots.test")).status == 404

        async def marks(port: int) -> set[str]:
            headers = (await ask(port, "slots.test")).headers
            return {name for name in ("x-everywhere", "x-a", "x-others") if name in headers}

        assert await marks(gateway.port) == {"x-everywhere", "x-others"}
        assert await marks(a) == {"x-everywhere", "x-a"}
        assert await marks(b) == {"x-everywhere", "x-others"}
        assert await marks(only) == {"x-everywhere"}


async def test_client_certificates_are_asked_for_by_each_listener(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with fronted(upstream, tmp_path) as (gateway, api):
        ports = dict(zip(("None", "Want", "Need"), free_ports(3), strict=True))
        for auth, port in ports.items():
            await put(api, f"l_{auth.lower()}", port, clientAuth=auth, http3=True)
        trusted = authority("clients").issue_cert("jo@clients.test")
        unknown = authority("others").issue_cert("eve@others.test")
        for auth, leaf, is_served in (
            ("None", None, True),
            ("None", unknown, True),
            ("Want", None, True),
            ("Want", trusted, True),
            ("Need", None, False),
            ("Need", unknown, False),
            ("Need", trusted, True),
        ):
            served = False
            try:
                context = client_context(shows=leaf)
                async with http2_client(ports[auth], "open.test", context) as client:
                    served = (await client.ask("GET", "open.test", "/")).status == 200
            except (trio.BrokenResourceError, AssertionError):
                pass
            assert served == is_served, (auth, leaf)
            shown = {} if leaf is None else quic_certificate(leaf)
            async with http3_client(ports[auth], "open.test", **shown) as quic:
                served = not quic.ended and (await quic.ask("GET", "open.test", "/")).status == 200
            assert served == is_served, (auth, leaf)
        # The listener of the settings goes on asking nobody.
        https = gateway.https_port
        async with http2_client(https, "open.test", client_context()) as client:
            assert (await client.ask("GET", "open.test", "/")).status == 200


async def test_a_change_touches_no_connection_of_another_listener(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with fronted(upstream, tmp_path) as (gateway, api):
        a, b, moved = free_ports(3)
        await put(api, "l_a", a, tls=False, h2c=True)
        await put(api, "l_b", b, tls=False)
        gate = upstream.gate = trio.Event()
        upstream.answer = lambda _: (200, b"x" * 2_000_000)
        async with (
            await Connection.open(gateway.port) as standard,
            await Connection.open(a) as one,
            await Connection.open(b) as two,
            await Connection.open(b) as idle,
            http2_client(a) as client,
        ):
            # Each waits for its backend while the listeners change.
            for connection in (standard, one, two):
                await connection.send(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n")
            stream = await client.begin("GET", "open.test", "/")
            await asked(upstream, 4)
            await put(api, "l_b", b, tls=True)
            await put(api, "l_b", moved, tls=False)
            assert not await is_open(b)
            assert await idle.is_closed()
            answer = await api.delete(f"{LISTENERS}/l_b", params=APPLIED)
            assert answer.status_code == 200
            assert not await is_open(moved)
            gate.set()
            upstream.gate = None
            # What was asked on the listener that went is answered, and its connection ends with that.
            last = await two.answer()
            assert (last.status, len(last.body), last.is_last) == (200, 2_000_000, True)
            assert await two.is_closed()
            for connection in (standard, one):
                answered = await connection.answer()
                assert (len(answered.body), answered.is_last) == (2_000_000, False)
                assert (await connection.ask("open.test")).status == 200
            heard = await client.answer(stream)
            assert (heard.status, len(heard.body)) == (200, 2_000_000)
            assert client.goaway is None
            # The listener of a client of HTTP/2 goes while it has asked for something.
            gate = upstream.gate = trio.Event()
            upstream.answer = lambda _: (200, b"at the end")
            count = len(upstream.heads)
            stream = await client.begin("GET", "open.test", "/")
            await asked(upstream, count + 1)
            await put(api, "l_a", a, enabled=False)
            gate.set()
            frames = await rest_of(client)
            goodbyes = [frame for frame in frames if isinstance(frame, GoAwayFrame)]
            assert [(it.last_stream_id, it.error_code) for it in goodbyes] == [(stream, 0)]
            body = b"".join(frame.data for frame in frames if isinstance(frame, DataFrame))
            assert body == b"at the end"
            assert await one.is_closed()
            assert (await standard.ask("open.test")).status == 200


async def alt_svc(port: int) -> str | None:
    """Ask over HTTP/2 where HTTP/3 is."""
    async with http2_client(port, "open.test", client_context()) as client:
        headers = dict((await client.ask("GET", "open.test", "/")).fields)
    value = headers.get(b"alt-svc")
    return None if value is None else value.decode()


async def over_http3(client: Http3Client) -> str:
    """Ask for what is on all listeners, on one of entities and on that of the settings."""
    hosts = ("open.test", "bound.test", "home.test")
    return " ".join([str((await client.ask("GET", it, "/")).status) for it in hosts])


async def is_found_over_http3(port: int, expected: str, within_s: float = 10) -> bool:
    """Whether a client of HTTP/3 gets in, and finds what it is to find; one that says nothing is given up."""
    with trio.move_on_after(within_s):
        async with http3_client(port, "open.test") as client:
            return await over_http3(client) == expected
    return False


async def test_http3_comes_and_goes_beside_what_else_a_listener_speaks(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with fronted(upstream, tmp_path) as (gateway, api):
        a, b = free_ports(2)
        await put(api, "l_a", a, tls=True)
        await put(api, "l_b", b, tls=True, http1=False, http2=False, http3=True, exclusive=True)

        # Only its UDP port is opened where nothing else is spoken; TCP may have the same number.
        assert not await is_open(b)
        https = gateway.https_port
        async with (
            http3_client(b, "bound.test") as other,
            http2_client(a, "open.test", client_context()) as stream,
            await Connection.open(gateway.port) as standard,
        ):
            assert await over_http3(other) == "404 200 404"
            assert await alt_svc(a) is None
            await put(api, "l_a", a, http3=True, exposedPort=4443)
            await eventually_is(partial(alt_svc, a), 'h3=":4443"; ma=3600')
            assert await alt_svc(https) is None
            async with http3_client(a, "open.test") as client:
                assert await over_http3(client) == "200 404 404"
                # It is exclusive for the connections that come from then on.
                await put(api, "l_a", a, http3=True, exclusive=True)
                await eventually(partial(is_found_over_http3, a, "404 404 404"))
                assert await over_http3(client) == "200 404 404"
                await put(api, "l_a", a, http3=True)
                await eventually_is(partial(alt_svc, a), f'h3=":{a}"; ma=3600')
                # It goes while somebody waits for an answer, and somebody else for nothing.
                async with http3_client(a, "open.test") as idle:
                    gate = upstream.gate = trio.Event()
                    count = len(upstream.heads)
                    asked_for = await client.begin("GET", "open.test", "/")
                    await asked(upstream, count + 1)
                    await put(api, "l_a", a)
                    await client.until(lambda: client.goaway)
                    await idle.until(lambda: idle.ended is not None)
                    gate.set()
                    upstream.gate = None
                    assert (await client.answer(asked_for)).status == 200
                    await client.until(lambda: client.ended is not None)
                    for ended in (idle.ended, client.ended):
                        assert ended is not None
                        assert ended.error_code == H3_NO_ERROR
            await eventually_is(partial(alt_svc, a), None)
            # Nobody else noticed: over TCP on the same port, over HTTP/3 on another, over plain HTTP.
            assert (await stream.ask("GET", "open.test", "/")).status == 200
            assert await over_http3(other) == "404 200 404"
            assert (await standard.ask("open.test")).status == 200
            # The port is free again once its connections have gone, and found by the next try at the latest.
            await put(api, "l_a", a, http3=True)
            await eventually(partial(is_found_over_http3, a, "200 404 404"))
            # Workers that replace others speak it too, and what others have is heard of in them.
            gateway.signal(signal.SIGUSR2)
            await gateway.wait_for_log("workers replaced in")
            assert await alt_svc(a) == f'h3=":{a}"; ma=3600'
            for _ in range(4):
                assert await is_found_over_http3(a, "200 404 404", within_s=PATIENCE_S)


def _has_head(client: Http3Client, stream: int) -> bool:
    return client.heard[stream].status == 200


def _was_told(client: Http3Client, stream: int, words: bytes) -> bool:
    return words in client.heard[stream].body


async def _say_back(ended: trio.MemorySendChannel[int | None], socket: Socket) -> None:
    """Say each message back, and in the end with which code it was closed."""
    while socket.frames or await socket.hear():
        while socket.frames:
            frame = socket.frames.pop(0)
            if frame.opcode is Opcode.TEXT:
                await socket.send(bytes(frame.data).decode())
    closed = socket.protocol.close_rcvd
    ended.send_nowait(None if closed is None else int(closed.code))


async def test_websockets_of_a_listener_that_went_end_and_no_others(
    upstream: Upstream, tmp_path: Path
) -> None:
    ended, ends = trio.open_memory_channel[int | None](8)

    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(socket_backend(partial(_say_back, ended)))
        started = fronted(upstream, tmp_path, drain_timeout_s=1)
        gateway, api = await stack.enter_async_context(started)
        looks = [{"plugin": "cp:otoroshi.next.plugins.WebsocketSizeValidator"}]
        for name, plugins in (("chat", []), ("watched", looks)):
            made = route(name, f"http://127.0.0.1:{port}") | {"plugins": plugins}
            answer = await api.post(f"{ROUTES}/{name}", params=APPLIED, json=made)
            assert answer.status_code in {200, 201}, answer.text
        a, over_quic = free_ports(2)
        await put(api, "l_a", a, tls=False)
        await put(api, "l_quic", over_quic, http3=True)

        async def chat(port: int, host: str) -> Socket:
            wire = await trio.open_tcp_stream("127.0.0.1", port)
            socket = await stack.enter_async_context(websocket(wire, host, "/chat"))
            await socket.send("hello")
            assert await socket.receive() == "hello"
            return socket

        kept = [await chat(gateway.port, host) for host in ("chat.test", "watched.test")]
        left, told = [await chat(a, host) for host in ("chat.test", "watched.test")]
        quic = await stack.enter_async_context(http3_client(over_quic, "chat.test"))
        streams = [
            await quic.begin(
                *("CONNECT", host, "/chat"),
                *((":protocol", "websocket"), ("sec-websocket-version", "13")),
                end=False,
            )
            for host in ("chat.test", "watched.test")
        ]
        for stream in streams:
            await quic.until(partial(_has_head, quic, stream))
        for name in ("l_a", "l_quic"):
            answer = await api.delete(f"{LISTENERS}/{name}", params=APPLIED)
            assert answer.status_code == 200
        going = (1001, "the gateway is going away")
        # Who speaks frames says so to both sides; of the others the client is told, and its answer is the backend's close frame.
        for socket in (told, left):
            assert await socket.closed() == going
            assert await ends.receive() == 1001
        # Nobody answers these close frames: both are cut when their time is up.
        for stream in streams:
            await quic.until(partial(_was_told, quic, stream, going[1].encode()))
        await quic.until(lambda: quic.heard[streams[0]].is_over)
        await quic.until(lambda: quic.goaway)
        for socket in kept:
            await socket.send("still here")
            assert await socket.receive() == "still here"
        gateway.signal(signal.SIGTERM)
        for socket in kept:
            assert await socket.closed() == going
        assert await gateway.wait() == 0


async def test_ports_in_use_are_told_and_tried_again_and_new_workers_get_what_there_is(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with fronted(upstream, tmp_path) as (gateway, api):

        async def failed() -> int:
            page = (await api.get("/metrics?format=prometheus")).text
            (line,) = [it for it in page.splitlines() if it.startswith("otoroshi_listeners_failed")]
            return int(float(line.rpartition(" ")[2]))

        # No port that the kernel may give to a client's connection once it is free.
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            await put(api, "l_a", port, tls=False)
            line = await gateway.wait_for_log("l_a does not listen")
            assert "another process listens there" in line["message"]
            assert await failed() == 1
        await gateway.wait_for_log("l_a listens")
        assert (await ask(port, "open.test")).status == 200
        await put(api, "l_b", port, tls=False)
        line = await gateway.wait_for_log("l_b does not listen")
        assert f"port {port} is that of l_a" in line["message"]
        # The connections of the one that has the port do not notice.
        assert (await ask(port, "bound.test")).status == 404
        before = gateway.workers()
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced in")
        assert not set(before) & set(gateway.workers())
        for _ in range(8):
            assert (await ask(port, "open.test")).status == 200
        # The other one gets the port when it is free.
        answer = await api.delete(f"{LISTENERS}/l_a", params=APPLIED)
        assert answer.status_code == 200

        async def is_bound() -> bool:
            try:
                return (await ask(port, "bound.test")).status == 200
            except (OSError, LostError):
                return False

        await eventually(is_bound)
        assert await failed() == 0


async def test_listeners_of_the_settings_are_there_when_the_gateway_says_so(
    upstream: Upstream, tmp_path: Path
) -> None:
    plain, busy, other = free_ports(3)
    given = [
        {"id": "l_b", "port": plain, "host": "127.0.0.1", "tls": False, "exclusive": True},
        {"id": "l_off", "port": busy, "host": "127.0.0.1", "enabled": False},
        {"id": "l_busy", "port": busy, "host": "127.0.0.1", "tls": False},
    ]
    with socket.create_server(("127.0.0.1", busy)):
        async with fronted(upstream, tmp_path, http_listeners=given) as (gateway, api):
            got = [(await ask(plain, host)).status for host in ("bound.test", "open.test")]
            assert got == [200, 404]
            # One that cannot be opened keeps the others from nothing.
            await gateway.wait_for_log("l_busy does not listen")
            # What entities do changes nothing about them.
            await put(api, "l_a", other, tls=False)
            answer = await api.delete(f"{LISTENERS}/l_a", params=APPLIED)
            assert answer.status_code == 200
            assert (await ask(plain, "bound.test")).status == 200
