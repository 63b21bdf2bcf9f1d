"""TCP through WebSockets: what passes, what ends it, and who gets no tunnel of either kind."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from wsproto.events import CloseConnection

from oto_trio.plugin_api import Refusal, Response
from oto_trio.plugin_api.tunnels import Peer, TunnelPlugin
from oto_trio.plugins.tunnel.tcp_tunnel import TcpTunnel
from oto_trio.plugins.tunnel.udp_tunnel import UdpTunnel
from tests.unit.gateway.websocket.sides import CLIENT
from tests.unit.plugins.tunnel.tunnelled import PATH, answered, asked, tunnelled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

BOTH = pytest.mark.parametrize("kind", [TcpTunnel, UdpTunnel])


@BOTH
@pytest.mark.parametrize("upgrade", [None, "h2c"])
def test_only_websockets_are_tunnels(kind: type[TunnelPlugin], upgrade: str | None) -> None:
    answer = answered(kind, asked(PATH, upgrade))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (404, b'{"error":"not_found"}')


@BOTH
def test_another_path_is_no_tunnel(kind: type[TunnelPlugin]) -> None:
    refused = Refusal(404, "Resource not found", "errors.resource.not.found")
    assert answered(kind, asked("/")) == refused
    assert answered(kind, asked("/.well-known/otoroshi")) == refused


@BOTH
@pytest.mark.parametrize("target", ["unix:/run/some.sock", ""])
def test_a_target_that_is_no_host_is_none(kind: type[TunnelPlugin], target: str) -> None:
    answer = answered(kind, asked(PATH, target=target))
    assert isinstance(answer, Refusal)
    assert answer.status == 502


@BOTH
@pytest.mark.parametrize(
    ("target", "peer"),
    [("h:1", Peer("h", 1)), ("[::1]:80", Peer("::1", 80)), ("10.0.0.1:443", Peer("10.0.0.1", 443))],
)
def test_the_target_is_where_it_leads(kind: type[TunnelPlugin], target: str, peer: Peer) -> None:
    exchange = asked(f"{PATH}/more", target=target)
    answer = answered(kind, exchange)
    assert isinstance(answer, Response)
    assert answer.status == 101
    watch: Any = exchange.watched
    assert watch.backend.opened == peer


@asynccontextmanager
async def target() -> AsyncGenerator[trio.SocketListener]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield listener


def port_of(listener: trio.SocketListener) -> int:
    port: int = listener.socket.getsockname()[1]
    return port


async def test_octets_pass_both_ways_and_texts_do_not() -> None:
    async with target() as listener, tunnelled(TcpTunnel, port_of(listener)) as client:
        client.say(b"hello", "a text", b" there")
        async with await listener.accept() as stream:
            assert await receive(stream, 11) == b"hello there"
            large = bytes(range(256)) * 2000
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, large)
                assert await client.octets(len(large)) == large
        assert await client.closed() == (1000, "")


async def receive(stream: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some()
        assert more, data
        data += more
    return data


async def test_what_was_said_before_a_close_arrives() -> None:
    """More than the kernel takes at once, so that most of it waits when the client closes."""
    async with (
        target() as listener,
        tunnelled(TcpTunnel, port_of(listener)) as client,
        await listener.accept() as stream,
    ):
        said = [bytes([number]) * 400_000 for number in range(8)]
        client.say(*said)
        client.stage.say(CLIENT, CloseConnection(1000))
        assert client.stage.hung_up(CLIENT)
        assert await receive(stream, 3_200_000) == b"".join(said)
        assert await stream.receive_some() == b""


async def test_a_target_that_is_not_there_closes_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with target() as listener:
        port = port_of(listener)
    async with tunnelled(TcpTunnel, port) as client:
        assert await client.closed() == (1011, "the target cannot be reached")
    assert f"the target 127.0.0.1:{port} of a tunnel cannot be reached" in caplog.text


async def test_a_target_that_takes_nothing_does_not_hold_up_the_end(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with (
        target() as listener,
        tunnelled(TcpTunnel, port_of(listener)) as client,
        await listener.accept(),
    ):
        client.say(*[bytes(1_000_000)] * 20)
        client.stage.say(CLIENT, CloseConnection(1000))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.autojump_threshold = (
            0  # only now: the clock would not wait for what is under way
        )


async def test_a_large_message_is_not_copied_for_each_part_of_it() -> None:
    async with (
        target() as listener,
        tunnelled(TcpTunnel, port_of(listener)) as client,
        await listener.accept() as stream,
    ):
        client.say(bytes(1 << 20))
        tracemalloc.start()
        try:
            got = 0
            while got < 1 << 20:
                got += len(await stream.receive_some(65536))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 400_000


def nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system's resolver know none of the names below."""
    real = socket.getaddrinfo

    def ask(host: Any, *args: Any, **more: Any) -> Any:
        if host in ("db.localhost", b"db.localhost", "nobody.test", b"nobody.test"):
            raise socket.gaierror(socket.EAI_NONAME, "nobody knows")
        return real(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", ask)


async def test_localhost_is_loopback_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_knows(monkeypatch)
    async with (
        target() as listener,
        tunnelled(TcpTunnel, port_of(listener), "db.localhost") as client,
        await listener.accept() as stream,
    ):
        client.say(b"hello")
        assert await receive(stream, 5) == b"hello"


@BOTH
@pytest.mark.parametrize("host", ["nobody.test", "a" * 64 + ".test", "a..test"])
async def test_a_host_that_cannot_be_looked_up_closes_with_1011(
    kind: type[TunnelPlugin], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_knows(monkeypatch)
    async with tunnelled(kind, 9, host) as client:
        assert await client.closed() == (1011, "the target cannot be reached")


@BOTH
async def test_slow_lookups_take_no_threads_of_others(
    kind: type[TunnelPlugin], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    answer = threading.Event()
    real = socket.getaddrinfo

    def ask(host: Any, *args: Any, **more: Any) -> Any:
        if host not in ("slow.test", b"slow.test"):
            return real(host, *args, **more)
        if (more.get("flags") or (args[4] if len(args) > 4 else 0)) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        asked.append(host)
        answer.wait()
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    async with AsyncExitStack() as stack:
        stack.callback(answer.set)
        clients = [
            await stack.enter_async_context(tunnelled(kind, 9, "slow.test")) for _ in range(9)
        ]
        while len(asked) < 8:
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert len(asked) == 8
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        answer.set()
        for client in clients:
            assert (await client.closed())[0] == 1011


async def test_a_target_of_many_addresses_is_reached_at_the_one_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo

    def ask(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != "two.test":
            return real(host, port, *args, **more)
        tcp = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*tcp, ("127.0.0.2", 0)), (*tcp, ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    async with (
        target() as listener,
        tunnelled(TcpTunnel, port_of(listener), "two.test") as client,
        await listener.accept() as stream,
    ):
        client.say(b"hello")
        assert await receive(stream, 5) == b"hello"
