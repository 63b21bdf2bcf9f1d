"""A WebSocket between two sides in memory: ends, bounds, and who is told what."""

from __future__ import annotations

import pytest
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from oto_trio.gateway.websocket.limits import SocketLimits
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT, Stage, frame_of

BOTH = pytest.mark.parametrize(("one", "other"), [(CLIENT, BACKEND), (BACKEND, CLIENT)])
TOLD = {CLIENT: (1011, "the backend broke the protocol"), BACKEND: (1001, "the client is gone")}
"""What a side is told when the other one was cut off."""


@BOTH
def test_messages_and_control_frames_go_from_end_to_end(one: int, other: int) -> None:
    stage = Stage()
    said = (TextMessage("a"), Ping(b"p"), BytesMessage(b"\0"), Pong(b"q"), TextMessage("é"))
    stage.say(one, *said)
    assert stage.sides[other].take() == ["a", Ping(b"p"), b"\0", Pong(b"q"), "é"]
    assert stage.sides[one].take() == []


@BOTH
def test_fragments_are_joined(one: int, other: int) -> None:
    stage = Stage()
    stage.say(one, TextMessage("a", message_finished=False), Ping(b""))
    assert stage.sides[other].take() == [Ping(b"")]
    stage.say(one, TextMessage("b", message_finished=False), TextMessage("c"))
    assert stage.sides[other].take() == ["abc"]


@BOTH
@pytest.mark.parametrize("close", [(1000, ""), (1001, "later"), (3999, "mine"), (1005, "")])
def test_a_close_and_its_answer_go_from_end_to_end(
    one: int, other: int, close: tuple[int, str]
) -> None:
    stage = Stage()
    code, reason = close
    stage.say(
        one,
        TextMessage("last"),
        CloseConnection(CloseReason(code) if code < 3000 else code, reason),
    )
    assert stage.sides[other].take() == ["last", close]
    assert not stage.hung_up(CLIENT)
    assert not stage.hung_up(BACKEND)
    stage.say(other, CloseConnection(4000, "and you"))
    assert stage.sides[one].take() == [(4000, "and you")]
    assert stage.is_over


def test_both_sides_are_told_that_the_gateway_goes() -> None:
    stage = Stage()
    stage.say(CLIENT, TextMessage("before"))
    assert stage.backend.take() == ["before"]
    for _ in range(2):  # the listener, and then the gateway
        stage.session.client.leave(stage.now)
        stage.session.flush(stage.now)
    going = (1001, "the gateway is going away")
    assert (stage.client.take(), stage.backend.take()) == ([going], [going])
    # Both connections are closed behind the answers.
    for side in (CLIENT, BACKEND):
        assert not stage.hung_up(side)
        stage.say(side, CloseConnection(1001))
    assert stage.is_over


def test_a_close_that_is_under_way_when_the_gateway_goes_is_the_only_one() -> None:
    stage = Stage()
    stage.say(CLIENT, CloseConnection(1000, "done"))
    stage.session.client.leave(stage.now)
    stage.session.flush(stage.now)
    assert stage.backend.take() == [(1000, "done")]
    stage.say(BACKEND, CloseConnection(1000, "done"))
    assert stage.is_over


def test_two_closes_that_cross_end_both_sides() -> None:
    stage = Stage()
    stage.session.client.receive(stage.client.ws.send(CloseConnection(1000)), stage.now)
    stage.session.backend.receive(stage.backend.ws.send(CloseConnection(1001)), stage.now)
    stage.session.flush(stage.now)
    assert stage.client.take() == [(1001, "")]
    assert stage.backend.take() == [(1000, "")]
    assert stage.is_over


BAD_FRAMES = {
    "a reserved bit, which compression would set": (b"\xc1\x01a", 1002),
    "a reserved opcode": (b"\x83\x01a", 1002),
    "a reserved control opcode": (b"\x8b\x00", 1002),
    "a ping in fragments": (b"\x09\x01a", 1002),
    "a ping that is too long": (b"\x89\x7e\x00\x7e" + b"a" * 126, 1002),
    "a continuation of nothing": (b"\x80\x01a", 1002),
    "text that is no UTF-8": (b"\x81\x02\xc3\x28", 1007),
    "text that ends within a character": (b"\x81\x01\xc3", 1007),
    "a surrogate": (b"\x81\x03\xed\xa0\x80", 1007),
    "a close of one byte": (b"\x88\x01\x03", 1002),
    "a close with a code that is never sent": (b"\x88\x02\x03\xee", 1002),
    "a close with no code of anybody": (b"\x88\x02\x00\x00", 1002),
    "a close with a code above all": (b"\x88\x02\x13\x88", 1002),
    "a close with a reserved code": (b"\x88\x02\x07\xd0", 1002),
    "a close whose reason is no UTF-8": (b"\x88\x04\x03\xe8\xc3\x28", 1007),
    "a length in more bytes than it needs": (b"\x81\x7e\x00\x01a", 1002),
    "a length above all": (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 1002),
}


@BOTH
@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_side_that_breaks_a_rule_is_cut_off(one: int, other: int, case: str) -> None:
    data, code = BAD_FRAMES[case]
    stage = Stage()
    stage.say(one, TextMessage("fine"))
    stage.raw(one, frame_of(one, data) + frame_of(one, b"\x81\x01z"))
    ((told, _),) = stage.sides[one].take()
    assert told == code
    assert stage.hung_up(one)
    assert stage.sides[other].take() == ["fine", TOLD[other]]
    stage.raw(other, frame_of(other, b"\x81\x01z"))
    stage.say(other, CloseConnection(1000))
    assert stage.is_over


@BOTH
def test_a_mask_where_there_must_be_none_is_a_fault(one: int, other: int) -> None:
    stage = Stage()
    stage.raw(one, frame_of(other, b"\x81\x01a"))
    ((told, _),) = stage.sides[one].take()
    assert told == 1002
    assert stage.sides[other].take() == [TOLD[other]]


@BOTH
def test_a_message_that_is_too_long_is_not_kept(one: int, other: int) -> None:
    stage = Stage(limits=SocketLimits(message_bytes=1000))
    stage.say(one, TextMessage("é" * 500))
    assert stage.sides[other].take() == ["é" * 500]
    stage.say(one, TextMessage("é" * 500, message_finished=False))
    assert stage.sides[one].take() == []
    stage.say(one, TextMessage("x", message_finished=False))
    assert stage.sides[one].take() == [(1009, "the message is too big")]
    assert stage.sides[other].take() == [TOLD[other]]


@BOTH
def test_a_frame_that_announces_more_than_fits_is_cut_off_within_it(one: int, other: int) -> None:
    stage = Stage(limits=SocketLimits(message_bytes=1000))
    stage.raw(one, frame_of(one, b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 1001))
    assert stage.sides[one].take() == [(1009, "the message is too big")]


@BOTH
def test_fragments_without_an_end_are_counted(one: int, other: int) -> None:
    stage = Stage(limits=SocketLimits(fragments=100))
    stage.raw(one, frame_of(one, b"\x01\x00") + frame_of(one, b"\x00\x00") * 99)
    assert stage.sides[one].take() == []
    stage.raw(one, frame_of(one, b"\x00\x00"))
    assert stage.sides[one].take() == [(1008, "the message has too many fragments")]
    assert stage.sides[other].take() == [TOLD[other]]


@BOTH
def test_a_slow_receiver_stops_its_sender(one: int, other: int) -> None:
    stage = Stage()
    stage.is_slow[other] = True
    stage.say(one, TextMessage("a"))
    assert stage.held(one)
    assert not stage.held(other)
    stage.is_slow[other] = False
    stage.end(other).writable(stage.now)
    stage.end(other).flush(stage.now)
    assert not stage.held(one)


def test_a_client_that_is_gone_leaves_the_backend_a_close() -> None:
    stage = Stage()
    stage.lose(CLIENT)
    assert stage.backend.take() == [(1001, "the client is gone")]
    assert not stage.hung_up(BACKEND)
    stage.say(BACKEND, CloseConnection(1001))
    assert stage.hung_up(BACKEND)
    assert stage.forgotten == {CLIENT, BACKEND}


def test_a_backend_that_is_gone_leaves_the_client_without_a_close() -> None:
    stage = Stage()
    stage.say(BACKEND, TextMessage("last"))
    stage.lose(BACKEND)
    assert stage.client.take() == ["last"]
    assert stage.hung_up(CLIENT)
    assert stage.forgotten == {CLIENT, BACKEND}


def test_a_backend_that_goes_behind_its_close_ends_the_client_well() -> None:
    stage = Stage()
    stage.say(BACKEND, CloseConnection(1000, "done"))
    stage.lose(BACKEND)
    assert stage.client.take() == [(1000, "done")]
    assert not stage.hung_up(CLIENT)
    stage.say(CLIENT, CloseConnection(1000))
    assert stage.hung_up(CLIENT)


@BOTH
def test_a_side_that_does_not_answer_a_close_is_cut_off(one: int, other: int) -> None:
    stage = Stage(limits=SocketLimits(close_s=10.0))
    stage.say(one, CloseConnection(1000))
    assert stage.sides[other].due == stage.now + 10.0
    stage.expire(other)
    stage.expire(one)
    assert stage.is_over


def test_silence_ends_both_sides() -> None:
    stage = Stage(limits=SocketLimits(idle_s=60.0, close_s=10.0))
    stage.client.due = stage.now + 60.0
    stage.now += 20.0
    stage.say(BACKEND, TextMessage("still there"))
    stage.expire(CLIENT)
    assert stage.client.due == 180.0
    assert stage.client.take() == ["still there"]
    stage.expire(CLIENT)
    silence = (1001, "nothing was said for too long")
    assert stage.client.take() == [silence]
    assert stage.backend.take() == [silence]
    stage.expire(CLIENT)
    stage.expire(BACKEND)
    assert stage.is_over


def test_an_aborted_session_closes_both_sides_at_once() -> None:
    stage = Stage()
    stage.session.client.fail(stage.now)
    assert stage.is_over


def test_what_is_said_behind_a_close_is_not_read() -> None:
    stage = Stage()
    closing = stage.client.ws.send(CloseConnection(1000))
    stage.raw(CLIENT, closing + frame_of(CLIENT, b"\x81\x01z") + frame_of(CLIENT, b"\xff\x00"))
    assert stage.backend.take() == [(1000, "")]
    assert stage.client.take() == []


def test_every_byte_may_come_by_itself() -> None:
    stage = Stage()
    said = stage.client.ws.send(TextMessage("x" * 300)) + stage.client.ws.send(Ping(b"12"))
    for byte in said:
        stage.raw(CLIENT, bytes([byte]))
    assert stage.backend.take() == ["x" * 300, Ping(b"12")]
