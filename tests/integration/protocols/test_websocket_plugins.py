"""Plugins that look at messages of WebSockets: a whole gateway, real sockets, the `websockets` library on both ends."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import trio
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode

from tests.conformance.tls.secure import client_context
from tests.integration.clients import admin, eventually
from tests.integration.events import events_in
from tests.integration.gateways import HTTPS, declared_gateway, shown
from tests.integration.protocols.http2_client import http2_client
from tests.integration.protocols.stream_clients import StreamWire, ask_for_socket
from tests.integration.sockets import Socket, opened, socket_backend, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

PATIENCE_S = 300
NG = "cp:otoroshi.next.plugins."
Said = str | bytes
End = tuple[int | None, str | None]


class Case(NamedTuple):
    """What a plugin does to messages; the backend says each back."""

    config: dict[str, Any]
    passing: tuple[Said, ...]
    """Messages that come back as they went."""
    refused: Said
    """A message that does not."""
    end: End
    """What the client is told when the strategy is to close."""


CASES = {
    "WebsocketTypeValidator": Case(
        {"allowed_format": "json"},
        ('{"a": 1}', b"\0"),
        "no json",
        (1003, "expected json content"),
    ),
    "WebsocketSizeValidator": Case(
        {"client_max_payload": 10, "upstream_max_payload": 20},
        ("x" * 10, b"x" * 10, ""),
        "x" * 11,
        (1009, "limit exceeded"),
    ),
    "WebsocketJsonFormatValidator": Case(
        {"schema": '{"required": ["name"]}'},
        ('{"name": "a"}', b'{"name": "a"}'),
        "{}",
        (1008, "failed to validate message"),
    ),
    "WebsocketContentValidatorIn": Case(
        {"validator": {"path": "$.message", "value": "Contains(${req.headers.x-word})"}},
        ("a word", b"word"),
        "nothing",
        (1008, "failed to validate message"),
    ),
}
"""By plugin; see ``tests/meta/test_plugin_proof.py``."""


OTHERS = {
    *("JqWebsocketMessageTransformer", "WebsocketMirrorBackend", "api.YesWebsocketBackend"),
    *("TcpTunnel", "UdpTunnel"),
}
"""Plugins that let other messages through, or are the backend: see `filters`, `mirrors`, `says_yes` and
``test_tunnels.py``."""


class Backend:
    """Says each message back, "long" six times as long, and keeps how each connection ended."""

    def __init__(self) -> None:
        self.ends: list[int | None] = []
        self.open = 0
        self._news = trio.Event()

    async def serve(self, socket: Socket) -> None:
        self.open += 1
        try:
            await say_back(socket)
        finally:
            received = socket.protocol.close_rcvd
            self.ends.append(None if received is None else int(received.code))
            self.open -= 1
            self._news.set()

    async def next_end(self) -> int | None:
        """Wait for a connection to end; returns the code that it was closed with."""
        while not self.ends:
            await self._news.wait()
            self._news = trio.Event()
        return self.ends.pop(0)

    async def forget_others(self) -> None:
        """Wait until one connection is left, and forget how the others ended."""
        while self.open > 1:
            await self._news.wait()
            self._news = trio.Event()
        self.ends.clear()


async def say_back(socket: Socket) -> None:
    while socket.frames or await socket.hear():
        while socket.frames:
            frame = socket.frames.pop(0)
            if frame.opcode not in (Opcode.TEXT, Opcode.BINARY):
                continue
            data = bytes(frame.data)
            if data == b"long":
                data = data * 6
            await socket.send(data.decode() if frame.opcode is Opcode.TEXT else data)


class Stage(NamedTuple):
    """A gateway with a route for each plugin and strategy: ``drop.name.test`` and ``close.name.test``."""

    gateway: GatewayProcess
    backend: Backend
    mirror: trio.MemoryReceiveChannel[Said]
    """What the mirror heard."""

    @asynccontextmanager
    async def client(self, host: str) -> AsyncGenerator[Socket]:
        """Open a WebSocket over HTTP/1.1."""
        wire = await trio.open_tcp_stream("127.0.0.1", self.gateway.port)
        deflate = ClientPerMessageDeflateFactory()
        async with websocket(wire, host, "/chat", [deflate], {"X-Word": "word"}) as socket:
            assert socket.response is not None
            assert socket.response.status_code == 101
            assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
            yield socket

    @asynccontextmanager
    async def client_on_a_stream(self, host: str) -> AsyncGenerator[Socket]:
        """Open one over HTTP/2 (RFC 8441)."""
        async with http2_client(self.gateway.https_port, host, client_context()) as client:
            asked = (("x-word", "word"), ("sec-websocket-extensions", "permessage-deflate"))
            stream = await ask_for_socket(client, host, "/chat", *asked)
            assert client.heard[stream].status == 200
            agreed = dict(client.heard[stream].fields)[b"sec-websocket-extensions"]
            yield opened(StreamWire(client, stream), agreed.decode())


def routes(port: int, mirror: int) -> list[dict[str, Any]]:
    backend = f"http://127.0.0.1:{port}"
    return [
        {
            "name": f"{strategy} {name}",
            "frontend": f"{strategy}.{name.lower()}.test",
            "backend": backend,
            "plugins": [
                {"plugin": NG + name, "config": {**case.config, "reject_strategy": strategy}}
            ],
        }
        for name, case in CASES.items()
        for strategy in ("drop", "close")
    ] + [
        {
            "name": "mirrored",
            "frontend": "mirrored.test",
            "backend": backend,
            "plugins": [
                {
                    "plugin": f"{NG}WebsocketMirrorBackend",
                    "config": {"url": f"ws://127.0.0.1:{mirror}/${{req.headers.x-word}}"},
                }
            ],
        },
        {
            "name": "filtered",
            "frontend": "filtered.test",
            "backend": backend,
            "plugins": [
                {
                    "plugin": f"{NG}JqWebsocketMessageTransformer",
                    "config": {
                        "request_filter": 'if .large then "a" * .large else {said, env: env} end',
                        "response_filter": 'if type == "object" then .host = $context.request.host end',
                    },
                }
            ],
        },
        {
            "name": "yes",
            "frontend": "yes.test",
            "backend": backend,
            "plugins": [
                {"plugin": f"{NG}WebsocketSizeValidator", "config": {"client_max_payload": 5}},
                {"plugin": f"{NG}api.YesWebsocketBackend"},
            ],
        },
    ]


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            backend = Backend()
            port = await stack.enter_async_context(socket_backend(backend.serve))
            mirrored, heard = trio.open_memory_channel[Said](10)

            async def note(socket: Socket) -> None:
                assert socket.request is not None
                await mirrored.send(socket.request.path)
                while socket.frames or await socket.hear():
                    await mirrored.send(await socket.receive())
                    await socket.send("nobody hears the mirror")

            mirror = await stack.enter_async_context(socket_backend(note))
            served = routes(port, mirror)
            hosts = [route["frontend"] for route in served]
            document = {
                "settings": {"jq": {"timeout_s": 30, "document_bytes": 2048}},
                "certificates": [shown(*hosts)],
                "routes": served,
                "data-exporters": [
                    {
                        "id": "data-exporter_w",
                        "name": "w",
                        "type": "file",
                        "enabled": True,
                        "groupSize": 1,
                        "groupDuration": 50,
                        "filtering": {"include": [{"@type": "WebsocketEvent"}]},
                        "config": {"path": str(folder / "events.ndjson")},
                    }
                ],
            }
            started = declared_gateway(document, folder, *HTTPS)
            yield Stage(await stack.enter_async_context(started), backend, heard)


async def plays(stage: Stage, name: str, *, over_http2: bool) -> None:
    """Play the case of a plugin, with both strategies."""
    case = CASES[name]
    for strategy in ("drop", "close"):
        host = f"{strategy}.{name.lower()}.test"
        open_one = stage.client_on_a_stream if over_http2 else stage.client
        async with open_one(host) as socket:
            for message in case.passing:
                await socket.send(message)
                assert await socket.receive() == message, (host, message)
            await socket.send(case.refused)
            if strategy == "close":
                assert await socket.closed() == case.end, host
            else:
                await socket.send(case.passing[0])
                assert await socket.receive() == case.passing[0], host
                assert await socket.close(3000, "done") == (3000, "done"), host


async def test_each_plugin_lets_through_and_refuses_over_both_versions(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for name in CASES:
            await plays(stage, name, over_http2=False)
            await plays(stage, name, over_http2=True)
        await bounds_the_backend(stage)
        await passes_large_messages(stage)
        await cuts_off_who_breaks_a_rule(stage)
        await ends_when_the_client_is_gone(stage)
        await filters(stage)
        await mirrors(stage)
        await says_yes(stage)
        await tells_what_was_refused(stage, tmp_path / "events.ndjson")


async def bounds_the_backend(stage: Stage) -> None:
    """A message of the backend is looked at, too."""
    async with stage.client("close.websocketsizevalidator.test") as socket:
        await socket.send("long")
        assert await socket.closed() == (1009, "upstream payload limit exceeded")


async def passes_large_messages(stage: Stage) -> None:
    """1 MiB passes both ways, and one byte more ends the connection."""
    for open_one in (stage.client, stage.client_on_a_stream):
        async with open_one("close.websockettypevalidator.test") as socket:
            large = json.dumps("x" * (1024 * 1024 - 2))
            await socket.send(large)
            assert await socket.receive() == large
            await socket.send(b"x" * (1024 * 1024 + 1))
            assert (await socket.closed())[0] == 1009


async def cuts_off_who_breaks_a_rule(stage: Stage) -> None:
    """A frame of an extension that was not agreed on, and a flood of fragments."""
    mask = bytes(4)
    for data, code in {
        b"\xa1\x81" + mask + b"a": 1002,
        b"\x81\x82" + mask + b"\xc3\x28": 1007,
        b"\x01\x80" + mask + (b"\x00\x80" + mask) * 5000: 1008,
    }.items():
        async with stage.client("drop.websockettypevalidator.test") as socket:
            await socket.raw(data)
            assert (await socket.closed())[0] == code


async def ends_when_the_client_is_gone(stage: Stage) -> None:
    """Nothing is left of clients that broke off."""
    for open_one in (stage.client, stage.client_on_a_stream):
        async with open_one("drop.websockettypevalidator.test") as socket:
            await socket.send("{}")
            assert await socket.receive() == "{}"
            await stage.backend.forget_others()
        assert await stage.backend.next_end() == 1001


async def filters(stage: Stage) -> None:
    """Messages go through filters both ways; what has no place in one goes nowhere."""
    said = '{"said":"€","env":{},"host":"filtered.test"}'
    for open_one in (stage.client, stage.client_on_a_stream):
        async with open_one("filtered.test") as socket:
            for message in ('{"said": "€"}', b"{}", "no json", '{"said": "€", "more": 1}'):
                await socket.send(message)
            for _ in range(2):
                assert await socket.receive() == said
            for message, fault in {
                '{"large": 1000000000}': "the filter needs more memory than it may have",
                json.dumps("x" * 2048): "the document is longer than the 2048 bytes it may have",
                "1": 'Cannot index number with string ("large")',
            }.items():
                await socket.send(message)
                assert json.loads(await socket.receive()) == [fault]
            await socket.send('{"said": "€"}')
            assert await socket.receive() == said
            assert await socket.close() == (1000, "")
    wanted = {"otoroshi_jq_runs 24", "otoroshi_jq_failures 6", "otoroshi_jq_stopped 4"}
    async with admin(stage.gateway) as api:

        async def are_counted() -> bool:
            page = (await api.get("/metrics", params={"format": "prometheus"})).text
            return wanted <= set(page.splitlines())

        await eventually(are_counted)


async def mirrors(stage: Stage) -> None:
    """Client messages go to both; those of the mirror go nowhere."""
    async with stage.client("mirrored.test") as socket:
        assert await stage.mirror.receive() == "/word"
        for message in ("one", b"two"):
            await socket.send(message)
            assert await socket.receive() == message
            assert await stage.mirror.receive() == message
        await socket.ping(b"last")
        assert (await socket.frame()).data == b"last"
        assert await socket.close() == (1000, "")


async def says_yes(stage: Stage) -> None:
    """A plugin is the backend, over both versions; other requests, and bad ones, are answered otherwise."""
    for open_one in (stage.client, stage.client_on_a_stream):
        async with open_one("yes.test") as socket:
            assert [await socket.receive(), await socket.receive()] == ["y", "y"]
            await socket.send("too long")
            await socket.ping(b"p")
            # It goes on to say y, as often as there is time for before the pong, and after it.
            while (frame := await socket.frame()).opcode is Opcode.TEXT:
                assert frame.data == b"y"
            assert (frame.opcode, frame.data) == (Opcode.PONG, b"p")
            assert await socket.receive() == "y"
            assert await socket.close(4001, "enough") == (4001, "enough")
    async with httpx.AsyncClient(base_url=stage.gateway.http) as client:
        hello = await client.get("/", headers={"Host": "yes.test"})
        assert hello.status_code == 426  # the backend's own word: no WebSocket was asked for
    wire = await trio.open_tcp_stream("127.0.0.1", stage.gateway.port)
    async with websocket(wire, "yes.test", "/?fail=yes") as socket:
        assert socket.response is not None
        assert (socket.response.status_code, socket.response.body) == (500, b'{"error":"fail !"}')


async def tells_what_was_refused(stage: Stage, path: Path) -> None:
    """Each message that is refused is an event."""
    found: list[dict[str, Any]] = []
    async with stage.client("drop.websockettypevalidator.test") as socket:
        while not found:
            await socket.send("told in an event")
            await trio.sleep(0.05)
            found = [event for event in events_in(path) if event["frame"] == "told in an event"]
    event = found[0]
    port = event["target"]["host"]
    assert {name: event[name] for name in ("@type", "@service", "to", "target", "frameSize")} == {
        "@type": "WebsocketEvent",
        "@service": "drop WebsocketTypeValidator",
        "to": {"scheme": "ws", "host": "drop.websockettypevalidator.test", "uri": "/chat"},
        "target": {"scheme": "http", "host": port, "uri": "/chat"},
        "frameSize": 16,
    }
    assert (event["statusCode"], event["reason"]) == (1003, "expected json content")
