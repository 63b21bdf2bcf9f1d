"""UDP through WebSockets: who gets which answer, what is lost, and what ends it."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from oto_trio.plugin_api.tunnels import SOCKETS
from oto_trio.plugins.tunnel.udp_tunnel import UdpTunnel
from tests.unit.gateway.websocket.sides import CLIENT
from tests.unit.plugins.tunnel.tunnelled import PATIENCE_S, tunnelled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def datagram(port: int, data: bytes, address: str = "127.0.0.1") -> bytes:
    told = {"port": port, "address": address, "data": base64.b64encode(data).decode()}
    return json.dumps(told).encode()


def read(message: bytes) -> tuple[int, str, bytes]:
    told = json.loads(message)
    assert set(told) == {"port", "address", "data"}
    return told["port"], told["address"], base64.b64decode(told["data"])


@asynccontextmanager
async def datagrams() -> AsyncGenerator[trio.socket.SocketType]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        yield sock


async def test_answers_come_back_to_whom_they_are_for() -> None:
    async with datagrams() as sock, tunnelled(UdpTunnel, sock.getsockname()[1]) as client:
        client.say(datagram(1, b"from one"), "a text", datagram(2, b"from two", "10.0.0.9"))
        first, second = [await sock.recvfrom(100) for _ in range(2)]
        assert (first[0], second[0]) == (b"from one", b"from two")
        await sock.sendto(b"to two", second[1])
        await sock.sendto(b"to two again", second[1])
        await client.until(2)
        await sock.sendto(b"to one", first[1])
        await client.until(3)
        assert [read(message) for message in client.heard] == [
            (2, "10.0.0.9", b"to two"),
            (2, "10.0.0.9", b"to two again"),
            (1, "127.0.0.1", b"to one"),
        ]
        client.say(datagram(1, b"once more"))
        assert await sock.recvfrom(100) == (b"once more", first[1])
        client.stage.say(CLIENT, CloseConnection(1000))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"hello",
        b"{}",
        b'{"port": 70000, "address": "a"}',
        b'{"port": 1, "address": "a", "data": "*"}',
        b'{"port": 1, "address": "a", "data": "\xc3\xa9"}',
        b'{"port": 1, "address": "\xff"}',
    ],
)
async def test_what_is_no_datagram_closes_with_1007(message: bytes) -> None:
    async with datagrams() as sock, tunnelled(UdpTunnel, sock.getsockname()[1]) as client:
        client.say(message)
        assert (await client.closed())[0] == 1007


async def test_a_datagram_that_nobody_takes_is_lost_and_no_more() -> None:
    async with datagrams() as sock:
        port = sock.getsockname()[1]
    async with tunnelled(UdpTunnel, port) as client:
        client.say(*[datagram(1, b"anybody")] * 3, datagram(1, bytes(65_535)))
        await trio.testing.wait_all_tasks_blocked()
        client.stage.say(CLIENT, CloseConnection(1000))


async def test_the_sockets_of_a_tunnel_are_bounded() -> None:
    async with datagrams() as sock, tunnelled(UdpTunnel, sock.getsockname()[1]) as client:
        known: dict[bytes, Any] = {}
        for port in range(65):
            client.say(datagram(port, b"%d" % port))
            data, address = await sock.recvfrom(100)
            known[data] = address
        client.say(datagram(64, b"64"), datagram(0, b"0"))
        assert await sock.recvfrom(100) == (b"64", known[b"64"])
        data, address = await sock.recvfrom(100)
        assert data == b"0"
        await sock.sendto(b"again", address)
        assert read((await client.until(1))[0])[::2] == (0, b"again")
        client.stage.say(CLIENT, CloseConnection(1000))


async def test_the_sockets_of_all_tunnels_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A tunnel gives up its own, never that of another; one that has none loses what its client says."""
    monkeypatch.setattr(SOCKETS, "most", 3)
    async with datagrams() as sock, tunnelled(UdpTunnel, sock.getsockname()[1]) as other:
        async with tunnelled(UdpTunnel, sock.getsockname()[1]) as client:
            known: list[Any] = []
            for port in range(4):
                client.say(datagram(port, b"one"))
                known.append((await sock.recvfrom(100))[1])
                assert SOCKETS.held == min(port + 1, 3)
            other.say(datagram(1, b"lost"), datagram(2, b"lost"))
            await trio.testing.wait_all_tasks_blocked()
            client.say(datagram(1, b"still there"))
            assert await sock.recvfrom(100) == (b"still there", known[1])
            client.say(datagram(0, b"again"))
            data, address = await sock.recvfrom(100)
            assert (data, SOCKETS.held) == (b"again", 3)
            await sock.sendto(b"for 0", address)
            assert [read(message)[::2] for message in await client.until(1)] == [(0, b"for 0")]
            client.stage.say(CLIENT, CloseConnection(1000))
        assert SOCKETS.held == 0
        other.say(datagram(1, b"there is room"))
        assert (await sock.recvfrom(100))[0] == b"there is room"
        other.stage.say(CLIENT, CloseConnection(1000))
    assert SOCKETS.held == 0
    assert caplog.text.count("tunnels hold 3 UDP sockets") == 1


async def test_a_socket_that_nobody_uses_is_closed(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.autojump_threshold = PATIENCE_S  # what has not come by then does not come

    async def passes(seconds: float) -> None:
        mock_clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()

    async with (
        datagrams() as sock,
        tunnelled(UdpTunnel, sock.getsockname()[1], patience_s=1000) as client,
    ):
        client.say(datagram(1, b"first"))
        _, address = await sock.recvfrom(100)
        await passes(119)
        client.say(datagram(1, b"second"))
        assert await sock.recvfrom(100) == (b"second", address)
        await passes(119)
        await sock.sendto(b"an answer", address)
        await client.until(1)
        await passes(119)
        assert SOCKETS.held == 1
        await passes(2)
        assert SOCKETS.held == 0
        client.say(datagram(1, b"third"))
        data, address = await sock.recvfrom(100)
        await sock.sendto(b"another", address)
        assert (data, read((await client.until(2))[1])[::2]) == (b"third", (1, b"another"))
        client.stage.say(CLIENT, CloseConnection(1000))
