"""A second WebSocket that hears what clients say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio.plugin_api import Message
from oto_trio.plugins.websocket.websocket_mirror_backend import (
    Mirror,
    WebsocketMirrorBackend,
    WebsocketMirrorBackendConfig,
)
from oto_trio.testing.exchange import FakeExchange
from tests.integration.sockets import Socket, socket_backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def plugin_for(url: str | None) -> WebsocketMirrorBackend:
    return WebsocketMirrorBackend(WebsocketMirrorBackendConfig(url=url))


async def attended(plugin: WebsocketMirrorBackend, mirror: Mirror | None) -> None:
    with trio.fail_after(30):
        await plugin.attend_socket(mirror)


def test_without_a_url_nothing_is_mirrored() -> None:
    plugin = plugin_for(None)
    assert plugin.open_socket(FakeExchange()) is None
    plugin.on_request_message(Message("a"), None)


async def test_what_clients_say_goes_to_the_mirror_in_order() -> None:
    heard: list[str | bytes] = []
    said = ("one", b"two", "three")

    async def serve(socket: Socket) -> None:
        while len(heard) < len(said):
            heard.append(await socket.receive())
        await socket.ping(b"p")
        assert (await socket.frame()).data == b"p"
        await socket.close()

    async with socket_backend(serve) as port:
        plugin = plugin_for(f"ws://127.0.0.1:{port}/a?b=c")
        mirror = plugin.open_socket(FakeExchange())
        for message in said:
            plugin.on_request_message(Message(message), mirror)
        await attended(plugin, mirror)  # ends, as the mirror closes
    assert heard == list(said)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/", "http://127.0.0.1/", "ws://[", "ws://"])
async def test_a_mirror_that_is_not_there_is_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = plugin_for(url)
    await attended(plugin, plugin.open_socket(FakeExchange()))
    assert "the mirror" in caplog.text


async def refused(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


async def gone(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.aclose()


@pytest.mark.parametrize("serve", [refused, gone])
async def test_a_mirror_that_refuses_is_logged(
    serve: Callable[[trio.SocketStream], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        plugin = plugin_for(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/")
        await attended(plugin, plugin.open_socket(FakeExchange()))
        nursery.cancel_scope.cancel()
    assert ("it refuses the WebSocket" if serve is refused else "no WebSocket") in caplog.text


async def test_what_waits_for_a_mirror_is_bounded() -> None:
    mirror = Mirror("ws://a.test/")
    for size in (1024 * 1024, 1):
        mirror.put(Message("x" * size))
    assert (await mirror.next()).size == 1024 * 1024
    for place in range(300):
        mirror.put(Message(f"{place}"))
    taken = [(await mirror.next()).data for _ in range(256)]
    assert taken == [f"{place}" for place in range(256)]
    with trio.move_on_after(0) as none_left:
        await mirror.next()
    assert none_left.cancelled_caught
