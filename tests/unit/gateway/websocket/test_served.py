"""A plugin in the backend's place, and one that does something of its own beside a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.lowlevel
import trio.testing
from typing_extensions import override
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api import Message, Reject
from tests.unit.gateway.websocket.sides import CLIENT, Hooked, Stage

if TYPE_CHECKING:
    from oto_trio.plugin_api import ServedSocket


async def echo(socket: ServedSocket) -> None:
    while True:
        await socket.send((await socket.receive()).data)


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_messages_go_through_the_hooks_to_the_plugin_and_back() -> None:
    hooked = Hooked(
        lambda message: Reject(1008, "no") if message.data == "x" else None,
        lambda message: Message(message.data * 2),
    )
    async with trio.open_nursery() as nursery:
        stage = Stage([hooked], nursery=nursery, serve=echo)
        stage.say(CLIENT, TextMessage("a"), TextMessage("x"), BytesMessage(b"b"), Ping(b"p"))
        assert stage.client.take() == [Pong(b"p")]
        await settled()
        assert stage.client.take() == ["aa", b"bb"]
        stage.say(CLIENT, CloseConnection(4000, "bye"))
        assert stage.client.take() == [(4000, "bye")]
        assert stage.hung_up(CLIENT)
    assert stage.faults == []


async def test_the_end_of_the_plugin_closes_with_1000() -> None:
    async def serve(socket: ServedSocket) -> None:
        await socket.send("only this")

    async with trio.open_nursery() as nursery:
        stage = Stage(nursery=nursery, serve=serve)
        await settled()
        assert stage.client.take() == ["only this", (1000, "")]
        assert not stage.hung_up(CLIENT)
        stage.say(CLIENT, CloseConnection(1000))
        assert stage.hung_up(CLIENT)


async def test_a_client_that_does_not_answer_the_close_is_cut_off() -> None:
    async def serve(_socket: ServedSocket) -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        stage = Stage(nursery=nursery, serve=serve)
        await settled()
        stage.expire(CLIENT)
        assert stage.hung_up(CLIENT)


async def test_a_plugin_that_fails_closes_with_1011() -> None:
    async def serve(socket: ServedSocket) -> None:
        await socket.receive()
        raise LookupError("oops")

    async with trio.open_nursery() as nursery:
        stage = Stage(nursery=nursery, serve=serve)
        stage.say(CLIENT, TextMessage("a"))
        await settled()
        assert stage.client.take() == [(1011, "internal_server_error")]
    ((plugin, hook, _),) = stage.faults
    assert (plugin, hook) == ("cp:test.Serving", "serve_socket")


async def test_a_client_that_is_gone_cancels_the_plugin() -> None:
    is_cancelled = False

    async def serve(_socket: ServedSocket) -> None:
        nonlocal is_cancelled
        try:
            await trio.sleep_forever()
        finally:
            is_cancelled = True

    async with trio.open_nursery() as nursery:
        stage = Stage(nursery=nursery, serve=serve)
        await settled()
        stage.lose(CLIENT)
    assert is_cancelled


async def test_a_plugin_that_does_not_receive_stops_the_client() -> None:
    gate = trio.Event()

    async def serve(socket: ServedSocket) -> None:
        await gate.wait()
        await echo(socket)

    async with trio.open_nursery() as nursery:
        stage = Stage(limits=SocketLimits(waiting_bytes=100), nursery=nursery, serve=serve)
        stage.say(CLIENT, TextMessage("a" * 100))
        assert not stage.held(CLIENT)
        stage.say(CLIENT, TextMessage("b"))
        assert stage.held(CLIENT)
        gate.set()
        await settled()
        assert not stage.held(CLIENT)
        assert stage.client.take() == ["a" * 100, "b"]
        nursery.cancel_scope.cancel()


async def test_a_client_that_does_not_read_stops_the_plugin() -> None:
    sent = 0

    async def serve(socket: ServedSocket) -> None:
        nonlocal sent
        while True:
            await socket.send("x")
            sent += 1

    async with trio.open_nursery() as nursery:
        stage = Stage(nursery=nursery, serve=serve)
        stage.is_slow[CLIENT] = True
        await settled()
        assert sent == 0
        assert stage.client.take() == ["x"]
        nursery.cancel_scope.cancel()


class Attending(Hooked):
    """Counts how long connections are open."""

    open = 0

    @override
    async def attend_socket(self, opened: Any) -> None:
        self.open += 1
        try:
            await trio.sleep_forever()
        finally:
            self.open -= 1


async def test_what_attends_a_connection_ends_with_it() -> None:
    plugin = Attending()
    async with trio.open_nursery() as nursery:
        first = Stage([plugin], nursery=nursery)
        second = Stage([plugin], nursery=nursery)
        await settled()
        assert plugin.open == 2
        first.say(CLIENT, CloseConnection(1000))
        first.say(2, CloseConnection(1000))
        await settled()
        assert plugin.open == 1
        second.lose(CLIENT)
        await settled()
        assert not plugin.open
