"""Compressed messages through a plugin that reads them: the `websockets` library and Chromium, either side with it or without."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import trio
from typing_extensions import override
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

from tests.conformance.tls.secure import client_context
from tests.conformance.websocket.deflated import CASES, Case
from tests.conformance.websocket.frames import CLOSE, PING, TEXT, Frame
from tests.conformance.websocket.wire import Backends, Ends
from tests.integration.gateways import HTTPS, declared_gateway, shown
from tests.integration.protocols.chromium import CHROMIUM, page_report
from tests.integration.protocols.http2_client import http2_client
from tests.integration.protocols.stream_clients import StreamWire, ask_for_socket
from tests.integration.protocols.test_websocket_plugins import say_back
from tests.integration.sockets import Socket, opened, socket_backend, websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from websockets.extensions import ClientExtensionFactory, ServerExtensionFactory

    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 400
READING: Final = {
    "plugin": "cp:otoroshi.next.plugins.WebsocketJsonFormatValidator",
    "config": {"schema": "{}", "reject_strategy": "close"},
}
LONG: Final = json.dumps(["the same again"] * 1000)
SAID: Final = (LONG, '"é"', LONG.encode(), json.dumps("x" * (1024 * 1024 - 2)), "1", LONG)
HOSTS: Final = {"deflating.test": True, "plain.test": False, "127.0.0.1": True}
"""Of routes, and whether their backend compresses."""
CLIENTS: Final[dict[str, list[ClientExtensionFactory]]] = {
    "no compression": [],
    "as it comes": [ClientPerMessageDeflateFactory()],
    "as browsers": [ClientPerMessageDeflateFactory(client_max_window_bits=True)],
    "small": [
        ClientPerMessageDeflateFactory(
            server_max_window_bits=9,
            client_max_window_bits=9,
            server_no_context_takeover=True,
            client_no_context_takeover=True,
        )
    ],
}


class CountingWire(trio.abc.Stream):
    """Counts what comes."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.received = 0

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    @override
    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self.inner.receive_some(max_bytes)
        self.received += len(data)
        return data

    @override
    async def aclose(self) -> None:
        await self.inner.aclose()


class Stage(NamedTuple):
    """A gateway, and what its backends were asked for and agreed on."""

    gateway: GatewayProcess
    shaken: trio.MemoryReceiveChannel[tuple[str | None, bool]]
    backends: Backends


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            tell, shaken = trio.open_memory_channel[tuple[str | None, bool]](10)

            async def serve(socket: Socket) -> None:
                assert socket.request is not None
                offered = socket.request.headers.get("Sec-WebSocket-Extensions")
                await tell.send((offered, bool(socket.protocol.extensions)))
                await say_back(socket)

            deflate: list[ServerExtensionFactory] = [ServerPerMessageDeflateFactory()]
            compressing = await stack.enter_async_context(socket_backend(serve, deflate))
            plain = await stack.enter_async_context(socket_backend(serve))
            backends = await stack.enter_async_context(Backends().serving())
            ports = {host: compressing if does else plain for host, does in HOSTS.items()}
            routes: list[dict[str, Any]] = [
                {
                    "name": host,
                    "frontend": host,
                    "backend": f"http://127.0.0.1:{port}",
                    "plugins": [READING],
                }
                for host, port in ports.items()
            ]
            reading = {"plugin": "cp:otoroshi.next.plugins.WebsocketTypeValidator"}
            raw = f"http://127.0.0.1:{backends.port}"
            routes.append(
                {"name": "raw", "frontend": "raw.test", "backend": raw, "plugins": [reading]}
            )
            hosts = [route["frontend"] for route in routes if route["frontend"] != "127.0.0.1"]
            document = {"certificates": [shown(*hosts)], "routes": routes}
            started = declared_gateway(document, folder, *HTTPS)
            gateway = await stack.enter_async_context(started)
            yield Stage(gateway, shaken, backends)


async def test_either_side_compresses_for_itself(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for host, backend_deflates in HOSTS.items():
            for name, offers in CLIENTS.items():
                try:
                    await says_and_hears(stage, host, offers, backend_deflates=backend_deflates)
                except Exception as error:
                    error.add_note(f"{name}, {host}")
                    raise
        await over_http2(stage)
        await plays_cases(stage)
        await fails_when_the_backend_makes_extensions_up(stage)
        if CHROMIUM is not None:
            await chromium_says_and_hears(stage, tmp_path)


async def says_and_hears(
    stage: Stage,
    host: str,
    offers: list[ClientExtensionFactory],
    *,
    backend_deflates: bool,
) -> None:
    """Each message comes back, compressed where that was agreed on; one that a plugin refuses ends the connection."""
    wire = CountingWire(await trio.open_tcp_stream("127.0.0.1", stage.gateway.port))
    async with websocket(wire, host, "/", offers) as socket:
        assert socket.response is not None
        assert socket.response.status_code == 101
        assert bool(socket.protocol.extensions) is bool(offers)
        offered, agrees = await stage.shaken.receive()
        assert offered == ("permessage-deflate; client_max_window_bits" if offers else None)
        assert agrees is (backend_deflates and bool(offers))
        for message in SAID:
            before = wire.received
            await socket.send(message)
            assert await socket.receive() == message
            took = wire.received - before
            if len(message) > 1000 and offers:
                assert took < len(message) / 10
            else:
                assert took >= min(len(message), 30)
        await socket.send("no JSON " * 1000)
        assert await socket.closed() == (1008, "failed to validate message")


async def over_http2(stage: Stage) -> None:
    """The same on a stream (RFC 8441)."""
    host = "deflating.test"
    async with http2_client(stage.gateway.https_port, host, client_context()) as client:
        offer = ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
        stream = await ask_for_socket(client, host, "/", offer)
        fields = dict(client.heard[stream].fields)
        agreed = fields[b"sec-websocket-extensions"].decode()
        socket = opened(StreamWire(client, stream), agreed)
        assert (await stage.shaken.receive())[1]
        for message in SAID:
            await socket.send(message)
            assert await socket.receive() == message
        assert await socket.close(3000, "done") == (3000, "done")


OFFER: Final = b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"


async def plays_cases(stage: Stage) -> None:
    """The cases of `tests.conformance.websocket.deflated` over sockets, each side as the one that speaks."""
    for case in CASES:
        if case.is_wired:
            for client_speaks in (True, False):
                async with raw(stage, b"permessage-deflate") as ends:
                    with trio.fail_after(60):
                        await plays(ends, case, client_speaks=client_speaks)


@asynccontextmanager
async def raw(stage: Stage, answer: bytes) -> AsyncGenerator[Ends]:
    """Open a WebSocket between ends in the test's hand; the backend answers with this extension."""
    more = b"Sec-WebSocket-Extensions: %s\r\n" % answer if answer else b""
    async with stage.backends.opened(stage.gateway.port, "raw.test", OFFER, more) as ends:
        yield ends


async def plays(ends: Ends, case: Case, *, client_speaks: bool) -> None:
    """Play a case, and see that the other side gets what it has to; what it gets is inflated by nobody here."""
    one, other = ends if client_speaks else ends[::-1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.say, *case.sent)
        opcodes = [(await other.frame()).opcode for _ in case.arrives]
    assert opcodes == [frame.opcode for frame in case.arrives], case.name
    if case.fails is not None:
        told = await one.frame()
        assert told.opcode == CLOSE, case.name
        assert int.from_bytes(told.payload[:2], "big") == case.fails, case.name
    else:
        await one.say(Frame(PING, b"still there"))
        assert await other.frame() == Frame(PING, b"still there"), case.name


async def fails_when_the_backend_makes_extensions_up(stage: Stage) -> None:
    """A backend that agrees to what it was not offered is no backend; its connection is closed."""
    async with (
        await trio.open_tcp_stream("127.0.0.1", stage.gateway.port) as wire,
        websocket_refused(stage, wire, b"x-other") as answer,
    ):
        assert b" 502 " in answer.partition(b"\r\n")[0]
        assert b"not offered" in answer
    async with raw(stage, b"") as (client, backend):
        assert b"permessage-deflate; server_max_window_bits=9" in client.head
        assert b"permessage-deflate; client_max_window_bits\r\n" in backend.head
        await backend.say(Frame(TEXT, b"plain " * 100))
        assert (await client.frame()).rsv == 4
        await client.say(Frame(TEXT, b"plain " * 100))
        assert await backend.frame() == Frame(TEXT, b"plain " * 100)


@asynccontextmanager
async def websocket_refused(
    stage: Stage, wire: trio.SocketStream, answer: bytes
) -> AsyncGenerator[bytes]:
    """Have a backend answer a handshake with an extension; yields what the client is told."""
    more = b"Sec-WebSocket-Extensions: %s\r\n" % answer
    async with stage.backends.shaken(wire, "raw.test", OFFER, more) as (client, backend):
        told = client.head
        length = int(told.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        yield told + await client.exactly(length)
        await backend.ended()


PAGE: Final = """<!doctype html><title>says and hears</title><script type="module">
const said = [JSON.stringify(Array(1000).fill("the same again")), '"é"', '1'];
const socket = new WebSocket(new URLSearchParams(location.search).get("api"));
const heard = [];
socket.onopen = () => said.forEach(text => socket.send(text));
const report = more => fetch("/report", {
  method: "POST",
  body: JSON.stringify({extensions: socket.extensions, heard, same: heard.join() == said.join(), ...more}),
});
socket.onmessage = ({data}) => {
  heard.push(data);
  if (heard.length == said.length) socket.close(3001, "enough");
};
socket.onclose = ({code, reason}) => report({code, reason});
</script>"""


async def chromium_says_and_hears(stage: Stage, folder: Path) -> None:
    """A page's WebSocket is compressed, and what it says comes back."""
    report = await page_report(PAGE, {"api": f"ws://127.0.0.1:{stage.gateway.port}/"}, folder)
    assert (await stage.shaken.receive())[1]
    assert (report["code"], report["reason"]) == (3001, "enough"), report
    assert report["same"], report
    assert report["extensions"].startswith("permessage-deflate"), report
