"""WebSockets to backends of HTTP/2 and HTTP/3, from clients of each version: tunnelled, and read by a plugin."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import trio
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.conformance.tls.secure import authority
from tests.integration.backends import hypercorn
from tests.integration.clients import admin, eventually
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown, trusted
from tests.integration.protocols.every_version import Http1Client, Version, client_of
from tests.integration.protocols.stream_backends import (
    Asked,
    StreamBackend,
    http2_streams,
    http3_streams,
)
from tests.integration.protocols.stream_clients import StreamWire, socket_of
from tests.integration.sockets import Socket, socket_backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 300
PATIENT: Final = {
    "call_timeout": PATIENCE_S * 1000,
    "global_timeout": PATIENCE_S * 1000,
}
"""Where a busy machine is slow no route gives up before the tests do. Connections have the usual time: one of the
backends keeps its settings to itself, and is asked in another way after that."""
CLIENTS: Final[tuple[Version, ...]] = ("h1", "h2c", "h3")
LARGE: Final = b"0123456789abcdef" * 18_000
"""A message of more than the windows of a stream."""
UNTAKEN: Final = 250_000
"""Bytes that a backend may send before any is taken; six times as many fit in no connection's window."""
READING: Final = {"plugin": "cp:otoroshi.next.plugins.WebsocketTypeValidator"}
TUNNELLED, READ = "", "-read"


class Stage(NamedTuple):
    """A gateway, its backends by the version that they speak, and the port of one that speaks HTTP/1.1 alone."""

    gateway: GatewayProcess
    backends: dict[str, StreamBackend]


def _route(name: str, port: int, protocol: str, plugins: list[Any]) -> dict[str, Any]:
    target = {
        "hostname": "back.test",
        "ip_address": "127.0.0.1",
        "port": port,
        "tls": protocol == "HTTP/3.0",
        "protocol": protocol,
    }
    return {
        "name": name,
        "frontend": {"domains": [f"{name}.ws.test"]},
        "backend": {"targets": [target], "client": PATIENT},
        "plugins": plugins,
    }


async def say_back(socket: Socket) -> None:
    """Say each message back, up to the close."""
    while socket.frames or (socket.protocol.close_rcvd is None and await socket.hear()):
        while socket.frames:
            frame = socket.frames.pop(0)
            if frame.opcode is Opcode.TEXT:
                await socket.send(bytes(frame.data).decode())
            elif frame.opcode is Opcode.BINARY:
                await socket.send(bytes(frame.data))


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket, tell what it came over, and say each message back."""
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["http_version"]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text")})


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            backends = {
                "two": await stack.enter_async_context(http2_streams()),
                "three": await stack.enter_async_context(
                    http3_streams(authority().issue_cert("back.test"))
                ),
            }
            old = await stack.enter_async_context(socket_backend(say_back))
            ports = {
                "two": (backends["two"].port, "HTTP/2.0"),
                "three": (backends["three"].port, "HTTP/3.0"),
                "old": (old, "HTTP/2.0"),
                "hyper": (await stack.enter_async_context(hypercorn(application)), "HTTP/2.0"),
            }
            document = {
                "settings": {"drain_timeout_s": PATIENCE_S},
                "certificates": [shown("*.ws.test"), trusted()],
                "routes": [
                    _route(name + kind, *way, [READING] if kind else [])
                    for name, way in ports.items()
                    for kind in (TUNNELLED, READ)
                ],
            }
            started = declared_gateway(document, folder, *HTTPS, *HTTP3)
            yield Stage(await stack.enter_async_context(started), backends)


async def agree(asked: Asked) -> Socket:
    """Check what was asked for, and agree; returns the backend's end."""
    assert asked.fields[b":method"] == b"CONNECT"
    assert asked.fields[b":protocol"] == b"websocket"
    assert asked.fields[b":path"] == b"/chat"
    assert asked.fields[b"sec-websocket-version"] == b"13"
    assert b"sec-websocket-key" not in asked.fields
    assert b"upgrade" not in asked.fields
    await asked.answer(200, ("x-agreed", "yes"))
    return Socket(asked, ServerProtocol(state=OPEN, max_size=None))


async def echo(backend: StreamBackend) -> None:
    """Say everything back on the next WebSocket, and end it."""
    asked = await backend.next()
    await say_back(await agree(asked))
    await end(asked)


async def end(asked: Asked) -> None:
    """End a stream, unless the gateway had no patience and broke it off: behind a close it waits for two seconds."""
    with suppress(trio.BrokenResourceError):
        await asked.send_eof()


async def test_websockets_reach_backends_of_each_version(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with stays(stage, "two") as first:
            for version in CLIENTS:
                for name in stage.backends:
                    for kind in (TUNNELLED, READ):
                        await each(stage, version, name, kind)
                await others_serve_it_too(stage, version)
                await first.send(version)
                assert await first.receive() == version
            for name in stage.backends:
                await slow_clients_stop_nobody_else(stage, name)
            assert stage.backends["two"].connections == 1, "all of them shared it"
        await nothing_is_left(stage)
        await all_are_told_of_the_drain(stage)


@asynccontextmanager
async def stays(stage: Stage, name: str) -> AsyncGenerator[Socket]:
    """A WebSocket that is there for the whole block: a connection without a stream is closed after half a minute."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, stage.backends[name])
        async with socket_of(stage.gateway, "h1", f"{name}.ws.test") as opened:
            yield opened.socket
            assert await opened.socket.close(3000, "done") == (3000, "done")


async def each(stage: Stage, version: Version, name: str, kind: str) -> None:
    """What each client, backend and way through the gateway have to do."""
    try:
        await says_back(stage, version, name, kind)
        await is_refused(stage, version, name, kind)
        await ends_when_the_client_leaves(stage, version, name, kind)
        await ends_when_the_backend_breaks_off(stage, version, name, kind)
    except BaseException as error:
        error.add_note(f"client {version}, backend {name}{kind}")
        raise


async def says_back(stage: Stage, version: Version, name: str, kind: str) -> None:
    """Messages pass both ways, also such as fit in no window, and a close."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, stage.backends[name])
        host = f"{name}{kind}.ws.test"
        async with socket_of(stage.gateway, version, host) as opened:
            assert opened.status == 200
            assert opened.fields["x-agreed"] == "yes"
            for message in ("hello", LARGE, "") if kind == TUNNELLED else ("hello", b"hello"):
                await opened.socket.send(message)
                assert await opened.socket.receive() == message
            assert await opened.socket.close(3000, "done") == (3000, "done")


async def is_refused(stage: Stage, version: Version, name: str, kind: str) -> None:
    """A backend that does not agree answers as it would over HTTP/1.1."""
    async with trio.open_nursery() as nursery:

        async def refuse() -> None:
            asked = await stage.backends[name].next()
            await asked.answer(403, ("x-why", "no"), ("content-length", "0"), end=True)

        nursery.start_soon(refuse)
        async with socket_of(stage.gateway, version, f"{name}{kind}.ws.test") as opened:
            assert (opened.status, opened.fields["x-why"]) == (403, "no")


async def ends_when_the_client_leaves(stage: Stage, version: Version, name: str, kind: str) -> None:
    """A client that is gone takes its stream with it, or a plugin closes it."""
    ended = trio.Event()
    async with trio.open_nursery() as nursery:

        async def attend() -> None:
            asked = await stage.backends[name].next()
            socket = await agree(asked)
            if kind == TUNNELLED:
                await asked.cancelled()
            else:
                assert (await socket.closed())[0] == 1001
                await end(asked)
            ended.set()

        nursery.start_soon(attend)
        async with socket_of(stage.gateway, version, f"{name}{kind}.ws.test") as opened:
            await opened.leave()
            await ended.wait()


async def ends_when_the_backend_breaks_off(
    stage: Stage, version: Version, name: str, kind: str
) -> None:
    """What it said arrives; then its client's end is no good one."""
    async with trio.open_nursery() as nursery:

        async def break_off() -> None:
            asked = await stage.backends[name].next()
            socket = await agree(asked)
            await socket.send("last words")
            assert await socket.receive() == "heard"
            await asked.reset(2)

        nursery.start_soon(break_off)
        async with socket_of(stage.gateway, version, f"{name}{kind}.ws.test") as opened:
            assert await opened.socket.receive() == "last words"
            await opened.socket.send("heard")
            assert await opened.socket.closed() == (None, None)
            wire = opened.socket.wire
            if isinstance(wire, StreamWire) and kind == TUNNELLED:
                assert wire.client.heard[wire.stream].reset is not None


async def others_serve_it_too(stage: Stage, version: Version) -> None:
    """Hypercorn does over HTTP/2; who speaks HTTP/1.1 alone does over that."""
    async with socket_of(stage.gateway, version, "hyper.ws.test") as opened:
        assert opened.status == 200
        assert await opened.socket.receive() == "2"
        await opened.socket.send("hello")
        assert await opened.socket.receive() == "hello"
        # Its release 0.18 fails on the end of a stream that it closed itself.
        await opened.leave()
    for kind in (TUNNELLED, READ):
        async with socket_of(stage.gateway, version, f"old{kind}.ws.test") as opened:
            await opened.socket.send("hello")
            assert await opened.socket.receive() == "hello"
            assert await opened.socket.close(3000, "done") == (3000, "done")


async def slow_clients_stop_nobody_else(stage: Stage, name: str) -> None:
    """Many sockets whose clients take nothing hold up their own backends, and no other stream of the connection."""
    backend = stage.backends[name]
    before = backend.connections
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        is_full = [trio.Event() for _ in range(6)]

        async def fill(told: trio.Event) -> None:
            asked = await backend.next()
            await agree(asked)
            await asked.send_all(bytes(UNTAKEN))
            told.set()

        for told in is_full:
            nursery.start_soon(fill, told)
            await stack.enter_async_context(socket_of(stage.gateway, "h2c", f"{name}.ws.test"))
        for told in is_full:
            await told.wait()

        async def answer() -> None:
            asked = await backend.next()
            await asked.answer(200)
            await asked.send_all(LARGE)
            await asked.send_eof()

        nursery.start_soon(answer)
        async with client_of(stage.gateway, "h1", "") as client:
            assert isinstance(client, Http1Client)
            assert (await client.ask("GET", f"{name}.ws.test", "/")).body == LARGE
    # One with TLS is made anew when certificates change, which they may do once while a gateway starts slowly.
    assert backend.connections <= before + 1, "they did not share one"


async def nothing_is_left(stage: Stage) -> None:
    """No tunnel and no request is open."""
    wanted = ("otoroshi_tunnels", "otoroshi_internals_concurrent_requests")
    async with admin(stage.gateway) as api:

        async def is_so() -> bool:
            page = (await api.get("/metrics", params={"format": "prometheus"})).text
            told = dict(line.rsplit(" ", 1) for line in page.splitlines() if line[:1] != "#")
            return not any(float(told.get(name, 1)) for name in wanted)

        await eventually(is_so)


async def all_are_told_of_the_drain(stage: Stage) -> None:
    """Clients of WebSockets that nobody looks at get a close frame, in the middle of no other one, and so do backends."""
    going = (1001, "the gateway is going away")
    ends = [trio.Event() for _ in range(2 * len(CLIENTS))]
    may_go_on = trio.Event()

    async def attend(name: str, ended: trio.Event) -> None:
        asked = await stage.backends[name].next()
        socket = await agree(asked)
        # A message in fragments, cut off within the second one, which is large.
        await asked.send_all(b"\x01\x05first" + b"\x80\x7e\x10\x00" + b"2" * 1000)
        await may_go_on.wait()
        await asked.send_all(b"2" * 3096 + b"\x81\x04late")
        while socket.protocol.close_rcvd is None:
            assert await socket.hear()
        assert (socket.protocol.close_rcvd.code, socket.protocol.close_rcvd.reason) == going
        await end(asked)
        ended.set()

    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        sockets: list[Socket] = []
        names = [(version, name) for version in CLIENTS for name in stage.backends]
        for (version, name), ended in zip(names, ends, strict=True):
            nursery.start_soon(attend, name, ended)
            opening = socket_of(stage.gateway, version, f"{name}.ws.test")
            sockets.append((await stack.enter_async_context(opening)).socket)
            assert (await sockets[-1].frame()).data == b"first"
        old = socket_of(stage.gateway, "h1", "old.ws.test")
        idle = (await stack.enter_async_context(old)).socket
        await idle.send("hello")
        assert await idle.receive() == "hello"
        stage.gateway.signal(signal.SIGTERM)
        # This one is between two frames: it is told at once, and the others wait for theirs.
        assert await idle.closed() == going
        may_go_on.set()
        for socket, ended in zip(sockets, ends, strict=True):
            assert (await socket.frame()).data == b"2" * 4096
            assert await socket.closed() == going
            assert [it.opcode for it in socket.frames] == [Opcode.CLOSE]
            await ended.wait()
    assert await stage.gateway.wait() == 0
    # It was not the end of the drain's patience.
    assert not [it for it in stage.gateway.log if "drain deadline over" in it["message"]]
    await stage.gateway.wait_for_log("drained in")
