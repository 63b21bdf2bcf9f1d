"""TCP and UDP through WebSockets: a whole gateway and sockets that answer."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.integration.backends import serving
from tests.integration.gateways import declared_gateway
from tests.integration.sockets import websocket

if TYPE_CHECKING:
    from pathlib import Path

    from websockets.extensions import ClientExtensionFactory

pytestmark = pytest.mark.slow

PATIENCE_S = 300
MOST = 150_000
"""The longest message."""
PATH = "/.well-known/otoroshi/tunnel"
NG = "cp:otoroshi.next.plugins."
KEYED = {"plugin": f"{NG}ApikeyCalls"}


async def shout(stream: trio.SocketStream) -> None:
    """Say back in capitals what comes, until "bye"."""
    async with stream:
        while data := await stream.receive_some():
            await stream.send_all(data.upper())
            if data.endswith(b"bye"):
                return


async def test_tunnels_lead_to_the_target(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            tcp = await stack.enter_async_context(serving(shout))
            sock = stack.enter_context(
                trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
            )
            await sock.bind(("127.0.0.1", 0))
            routes = [
                route("tcp", tcp, {"plugin": f"{NG}TcpTunnel"}),
                route("udp", sock.getsockname()[1], {"plugin": f"{NG}UdpTunnel"}),
                route("keyed", tcp, KEYED, {"plugin": f"{NG}TcpTunnel"}),
            ]
            services = [
                {
                    "id": "service_legacy",
                    "name": "legacy",
                    "domain": "test",
                    "subdomain": "legacy",
                    "env": "prod",
                    "publicPatterns": ["/.*"],
                    "forceHttps": False,
                    "enforceSecureCommunication": False,
                    "tcpUdpTunneling": True,
                    "targets": [{"host": f"127.0.0.1:{tcp}", "scheme": "tcp"}],
                }
            ]
            bounds = {"websocket_message_bytes": MOST, "websocket_fragments": 2}
            document = {
                "settings": {"engine": bounds},
                "routes": routes,
                "service-descriptors": services,
            }
            gateway = await stack.enter_async_context(declared_gateway(document, tmp_path))
            for host in ("tcp.test", "legacy.test"):
                await tunnels_tcp(gateway.port, host)
            await tunnels_udp(gateway.port, sock)
            await refuses_others(gateway.port)
            await keeps_to_the_bounds_that_are_set(gateway.port)


def route(name: str, port: int, *plugins: dict[str, Any]) -> dict[str, Any]:
    backend = f"http://127.0.0.1:{port}"
    return {"name": name, "frontend": f"{name}.test", "backend": backend, "plugins": plugins}


async def tunnels_tcp(port: int, host: str) -> None:
    """Octets pass both ways, also compressed, and the target's end is the client's."""
    every: tuple[list[ClientExtensionFactory], ...] = ([], [ClientPerMessageDeflateFactory()])
    for offers in every:
        wire = await trio.open_tcp_stream("127.0.0.1", port)
        async with websocket(wire, host, PATH, offers) as socket:
            assert socket.response is not None
            assert socket.response.status_code == 101
            for said in (b"hello", b"again " * 20_000):
                await socket.send(said)
                heard = b""
                while len(heard) < len(said):
                    part = await socket.receive()
                    assert isinstance(part, bytes)
                    heard += part
                assert heard == said.upper()
            await socket.send(b"bye")
            assert await socket.receive() == b"BYE"
            assert await socket.closed() == (1000, "")


async def tunnels_udp(port: int, sock: trio.socket.SocketType) -> None:
    """A datagram and its answer."""
    wire = await trio.open_tcp_stream("127.0.0.1", port)
    told = {"port": 4711, "address": "192.0.2.1", "data": base64.b64encode(b"who?").decode()}
    async with websocket(wire, "udp.test", PATH) as socket:
        await socket.send(json.dumps(told).encode())
        data, address = await sock.recvfrom(100)
        assert data == b"who?"
        await sock.sendto(b"you", address)
        answer = json.loads(await socket.receive())
        assert answer == {**told, "data": base64.b64encode(b"you").decode()}
        assert await socket.close() == (1000, "")


async def refuses_others(port: int) -> None:
    """Other requests, other paths, and clients without a key."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base) as client:
        for path in (PATH, "/"):
            answer = await client.get(path, headers={"Host": "tcp.test"})
            assert (answer.status_code, answer.json()) == (404, {"error": "not_found"})
    for host, path, status, message in (
        ("tcp.test", "/elsewhere", 404, "Resource not found"),
        ("keyed.test", PATH, 400, None),
    ):
        wire = await trio.open_tcp_stream("127.0.0.1", port)
        async with websocket(wire, host, path) as socket:
            assert socket.response is not None
            assert socket.response.status_code == status, host
            if message is not None:
                assert message.encode() in (socket.response.body or b"")


async def keeps_to_the_bounds_that_are_set(port: int) -> None:
    """Of messages, and of their fragments."""
    mask = bytes(4)
    three = b"\x02\x81" + mask + b"a" + b"\x00\x81" + mask + b"b" + b"\x80\x81" + mask + b"c"
    for said, code in ((bytes(MOST + 1), 1009), (three, 1008)):
        wire = await trio.open_tcp_stream("127.0.0.1", port)
        async with websocket(wire, "tcp.test", PATH) as socket:
            await socket.send(bytes(MOST))
            heard = 0
            while heard < MOST:
                heard += len(await socket.receive())
            await (socket.send(said) if code == 1009 else socket.raw(said))
            assert (await socket.closed())[0] == code
