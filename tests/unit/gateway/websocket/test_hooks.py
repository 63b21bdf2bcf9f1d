"""What plugins make of messages, in which order, and what becomes of the connection."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api import Message, Reject
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT, Hooked, Stage, Waiting


def upper(message: Message) -> Message | None:
    return Message(message.data.upper()) if isinstance(message.data, str) else None


def test_plugins_are_asked_in_order_about_what_the_one_before_made() -> None:
    first = Hooked(lambda message: Message(f"{message.data!s}1"), lambda _: Message("back1"))
    second = Hooked(lambda message: Message(f"{message.data!s}2"), None)
    stage = Stage([first, second])
    stage.say(CLIENT, TextMessage("m"))
    stage.say(BACKEND, TextMessage("n"))
    assert stage.backend.take() == ["m12"]
    assert stage.client.take() == ["back1"]


def test_a_message_may_change_its_kind() -> None:
    stage = Stage([Hooked(lambda _: Message(b"\1\2"), lambda _: Message("b"))])
    stage.say(CLIENT, TextMessage("a"))
    stage.say(BACKEND, BytesMessage(b"b"))
    assert stage.backend.take() == [b"\1\2"]
    assert stage.client.take() == ["b"]


def test_a_dropped_message_is_seen_by_nobody_behind() -> None:
    seen: list[Message] = []
    stage = Stage(
        [Hooked(lambda m: Reject(1008, "no") if m.data == "a" else None), Hooked(seen.append)]
    )
    stage.say(CLIENT, TextMessage("a"), TextMessage("b"))
    assert stage.backend.take() == ["b"]
    assert stage.client.take() == []
    assert seen == [Message("b")]
    ((rejection),) = stage.rejections
    assert (rejection.message, rejection.answer) == (Message("a"), Reject(1008, "no"))


def test_a_rejection_that_closes_tells_both_sides_and_drops_the_rest() -> None:
    stage = Stage([Hooked(lambda _: Reject(1009, "limit exceeded", closes=True))])
    stage.say(CLIENT, TextMessage("a"), TextMessage("b"))
    assert stage.client.take() == [(1009, "limit exceeded")]
    assert stage.backend.take() == [(1009, "limit exceeded")]
    assert len(stage.rejections) == 1
    stage.raw(BACKEND, b"\x81\x01z")
    stage.say(BACKEND, CloseConnection(1009))
    stage.say(CLIENT, CloseConnection(1009))
    assert stage.client.take() == []
    assert stage.is_over


def failing(_message: Message) -> None:
    raise LookupError("oops")


UNSENDABLE = (
    *(Message("half a pair: \ud800"), Message(cast("str", 3)), Reject(1008, "\ud800", closes=True)),
    *(Reject(1005, ""), Reject(5000, "")),
)


@pytest.mark.parametrize("answer", [None, "nonsense", *UNSENDABLE])
def test_a_hook_that_fails_closes_with_1011(answer: object) -> None:
    stage = Stage([Hooked(None, failing if answer is None else lambda _: answer)])
    stage.say(BACKEND, TextMessage("a"))
    assert stage.client.take() == [(1011, "internal_server_error")]
    assert stage.backend.take() == [(1011, "internal_server_error")]
    ((plugin, name, _),) = stage.faults
    assert (plugin, name) == ("cp:test.Hooked", "on_response_message")


async def test_a_hook_that_waits_holds_up_what_is_behind_it() -> None:
    gate = trio.Event()

    async def wait(message: Message) -> Message | None:
        if message.data == "slow":
            await gate.wait()
        return upper(message)

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], nursery=nursery)
        stage.say(CLIENT, TextMessage("slow"), Ping(b"p"), TextMessage("b"), CloseConnection(1000))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.backend.take() == []
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.backend.take() == ["SLOW", Ping(b"p"), "B", (1000, "")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("abwxp"), max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.integers(1, 30),
)
def test_frames_keep_their_order_under_every_mix(
    said: list[str], kinds: list[bool], chunk: int
) -> None:
    """Plugins that wait and that do not, in any mix; `x` is dropped, `w` waits, `p` is a ping."""

    async def play() -> list[object]:
        async def wait(message: Message) -> Reject | None:
            if str(message.data).startswith("w"):
                await trio.sleep(1)
            return drop(message)

        def drop(message: Message) -> Reject | None:
            return Reject(1008, "x") if str(message.data).startswith("x") else None

        async with trio.open_nursery() as nursery:
            plugins = [Waiting(wait) if waits else Hooked(drop) for waits in kinds]
            stage = Stage(plugins, nursery=nursery)
            events: list[Event] = [
                Ping(f"{place}".encode()) if kind == "p" else TextMessage(f"{kind}{place}")
                for place, kind in enumerate(said)
            ]
            for at in range(0, len(events), chunk):
                stage.say(CLIENT, *events[at : at + chunk])
                await trio.sleep(0.5)
            await trio.sleep(1000)
            return stage.backend.take()

    wanted = [
        Ping(f"{place}".encode()) if kind == "p" else f"{kind}{place}"
        for place, kind in enumerate(said)
        if kind != "x"
    ]
    assert trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0)) == wanted


async def test_what_waits_for_a_hook_is_bounded() -> None:
    gate = trio.Event()

    async def wait(_message: Message) -> None:
        await gate.wait()

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], SocketLimits(waiting_bytes=1000), nursery)
        stage.say(CLIENT, TextMessage("a"), TextMessage("b" * 900))
        assert not stage.held(CLIENT)
        stage.say(CLIENT, TextMessage("c" * 900))
        assert stage.held(CLIENT)
        assert not stage.held(BACKEND)
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not stage.held(CLIENT)
        assert len(stage.backend.take()) == 3


async def test_many_small_frames_that_wait_are_bounded_too() -> None:
    async def wait(_message: Message) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        plugins = [Waiting(wait)]
        stage = Stage(plugins, SocketLimits(waiting_frames=10), nursery)
        stage.say(CLIENT, TextMessage("a"), *[Ping(b"")] * 11)
        assert stage.held(CLIENT)
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_cancels_its_hooks() -> None:
    cancelled: list[object] = []

    async def wait(message: Message) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append(message.data)

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], nursery=nursery)
        stage.say(CLIENT, TextMessage("a"), TextMessage("b"))
        await trio.testing.wait_all_tasks_blocked()
        stage.lose(CLIENT)
    assert cancelled == ["a"]
    assert stage.backend.take() == [(1001, "the client is gone")]


async def test_a_client_that_leaves_behind_its_close_has_said_all_of_it() -> None:
    async def wait(_message: Message) -> None:
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], nursery=nursery)
        stage.say(CLIENT, TextMessage("a"), TextMessage("b"), CloseConnection(1000, "bye"))
        stage.lose(CLIENT)
    assert stage.backend.take() == ["a", "b", (1000, "bye")]


@pytest.mark.parametrize("answer", [None, *UNSENDABLE])
async def test_a_hook_that_waits_and_fails_closes_with_1011(answer: object) -> None:
    async def wait(_message: Message) -> object:
        await trio.lowlevel.checkpoint()
        if answer is None:
            raise LookupError("oops")
        return answer

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], nursery=nursery)
        stage.say(CLIENT, TextMessage("a"), TextMessage("b"))
    assert stage.client.take() == [(1011, "internal_server_error")]
    assert stage.backend.take() == [(1011, "internal_server_error")]
    assert len(stage.faults) == 1


async def test_what_a_hook_let_through_does_not_wait_for_those_behind_it() -> None:
    gates = {"a": trio.Event(), "b": trio.Event()}

    async def wait(message: Message) -> None:
        await gates[str(message.data)].wait()

    async with trio.open_nursery() as nursery:
        stage = Stage([Waiting(wait)], SocketLimits(waiting_bytes=50), nursery)
        stage.say(CLIENT, TextMessage("a"), TextMessage("b"), Ping(b"p"))
        assert stage.held(CLIENT)
        gates["a"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.backend.take() == ["a"]
        gates["b"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.backend.take() == ["b", Ping(b"p")]
        assert not stage.held(CLIENT)


async def test_an_error_of_the_gateway_in_a_task_ends_this_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Stage):
        @override
        def send(self, conn: int, data: bytes, /) -> bool:
            raise LookupError("the engine knows no such connection")

    gate = trio.Event()

    async def wait(_message: Message) -> None:
        await gate.wait()

    async with trio.open_nursery() as nursery:
        stage = Broken([Waiting(wait)], nursery=nursery)
        stage.say(CLIENT, TextMessage("a"))
        gate.set()
    assert stage.is_over
    assert "the WebSocket of connection 1 failed" in caplog.text
    assert "no such connection" in caplog.text
