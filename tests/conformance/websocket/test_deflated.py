"""Every case of compression in memory: in both roles, towards a side that agreed on it, too, and towards one that did not."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.plugin_api.websocket_deflate import CONTEXTS, Deflate
from tests.conformance.websocket.deflated import (
    CASES,
    COMPRESSED,
    TERMS,
    Case,
    Deflater,
    Inflater,
    squeezed,
)
from tests.conformance.websocket.frames import BINARY, CLOSE, TEXT, Frame
from tests.conformance.websocket.octets import Octets
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT

TOLD = {CLIENT: 1011, BACKEND: 1001}
"""What a side is told when the other one broke a rule."""
CLOSED = Frame(CLOSE, b"\x0f\xa0enough")


@pytest.mark.parametrize("agrees", [False, True], ids=["to plain", "to compressed"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(
    ("one", "other"), [(CLIENT, BACKEND), (BACKEND, CLIENT)], ids=["client", "backend"]
)
async def test_each_case_ends_as_it_has_to(
    one: int, other: int, case: Case, agrees: bool, nursery: trio.Nursery
) -> None:
    theirs = case.terms if agrees else None
    deflate = (case.terms, theirs) if one == CLIENT else (theirs, case.terms)
    held = CONTEXTS.held_bytes
    stage = Octets(deflate=deflate, nursery=nursery)
    stage.send_frames(one, case.sent, case.chop)
    if case.fails is None:
        stage.answer(one, CLOSED)
    await trio.testing.wait_all_tasks_blocked()
    heard = stage.frames(other)
    close = heard.pop()
    assert any(frame.rsv for frame in heard) <= agrees
    inflate = Inflater(case.terms.send_bits, forgets=case.terms.forgets_sent)
    assert [inflate(frame) for frame in heard] == list(case.arrives)
    if case.fails is None:
        assert close == CLOSED
        assert stage.frames(one) == []
        stage.answer(other, CLOSED)
        assert stage.frames(one) == [CLOSED]
    else:
        (told,) = stage.frames(one)
        assert (told.opcode, int.from_bytes(told.payload[:2], "big")) == (CLOSE, case.fails)
        assert (close.opcode, int.from_bytes(close.payload[:2], "big")) == (CLOSE, TOLD[other])
        stage.answer(other, close)
    assert stage.is_over
    assert CONTEXTS.held_bytes == held


MESSAGES = st.lists(
    st.one_of(
        st.text(max_size=300).map(lambda text: Frame(TEXT, text.encode())),
        st.binary(max_size=300).map(lambda data: Frame(BINARY, data)),
        st.integers(32, 2000).map(lambda size: Frame(TEXT, b"again " * size)),
    ),
    max_size=8,
)


@given(
    messages=MESSAGES,
    agreed=st.tuples(st.sampled_from(list(TERMS.values())), st.sampled_from(list(TERMS.values()))),
    sides=st.permutations([CLIENT, BACKEND]),
    plain=st.sets(st.integers(0, 8)),
    cuts=st.lists(st.integers(0, 4000), max_size=8),
)
def test_whatever_is_agreed_messages_stay_what_they_are(
    messages: list[Frame],
    agreed: tuple[Deflate, Deflate],
    sides: list[int],
    plain: set[int],
    cuts: list[int],
) -> None:
    one, other = sides
    stage = Octets(deflate=agreed)
    theirs, ours = agreed if one == CLIENT else agreed[::-1]
    deflate = Deflater(max(theirs.receive_bits, 9), forgets=theirs.forgets_received)
    plain |= set(range(9)) if theirs.receive_bits == 8 else set()
    mask = b"mask" if one == CLIENT else None
    data = b"".join(
        (frame if at in plain else squeezed(frame.opcode, deflate(frame.payload))).octets(mask)
        for at, frame in enumerate(messages)
    )
    ends = [0, *sorted(end for end in cuts if end < len(data)), len(data)]
    for start, end in pairwise(ends):
        stage.raw(one, data[start:end])
    inflate = Inflater(ours.send_bits, forgets=ours.forgets_sent)
    assert [inflate(frame) for frame in stage.frames(other)] == messages
    stage.session.abort(stage.now)


@pytest.mark.parametrize("conn", [CLIENT, BACKEND])
def test_what_goes_out_is_compressed_within_what_was_agreed(conn: int) -> None:
    large = TERMS["15 bits"]
    stage = Octets(deflate=(large, large))
    one = BACKEND if conn == CLIENT else CLIENT
    text = Frame(TEXT, b"the same again " * 50)
    stage.send_frames(one, [text, text, Frame(TEXT, b"short")])
    first, second, short = stage.frames(conn)
    assert first.rsv == second.rsv == COMPRESSED
    assert len(second.payload) < len(first.payload) < 100
    assert short == Frame(TEXT, b"short")
    stage.session.abort(stage.now)


def test_a_window_that_cannot_be_made_sends_messages_as_they_are() -> None:
    small = TERMS["8 bits"]
    stage = Octets(deflate=(small, None))
    text = Frame(TEXT, b"the same again " * 50)
    stage.send_frames(BACKEND, [text])
    assert stage.frames(CLIENT) == [text]
    stage.session.abort(stage.now)


@pytest.mark.parametrize(
    ("one", "other"), [(CLIENT, BACKEND), (BACKEND, CLIENT)], ids=["client", "backend"]
)
async def test_what_inflates_to_much_waits_for_a_slow_receiver(
    one: int, other: int, nursery: trio.Nursery
) -> None:
    """Of 64 messages of a MiB each in one write no more is inflated than is sent on."""
    deflate = (Deflate(), None) if one == CLIENT else (None, Deflate())
    stage = Octets(deflate=deflate, nursery=nursery)
    stage.is_slow[other] = True
    coder = Deflater()
    bombs = [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(64)]
    stage.send_frames(one, bombs)
    passed = 0
    while passed < 64:
        await trio.testing.wait_all_tasks_blocked()
        assert stage.held(one)
        new = stage.frames(other)
        assert len(new) == 1
        passed += 1
        stage.end(other).writable(stage.now)
        stage.end(other).flush(stage.now)
    await trio.testing.wait_all_tasks_blocked()
    assert not stage.held(one)
    stage.send_frames(one, [Frame(TEXT, b"behind"), CLOSED])
    assert stage.frames(other) == [Frame(TEXT, b"behind"), CLOSED]


async def test_what_a_backend_said_before_it_left_is_all_passed_on(nursery: trio.Nursery) -> None:
    stage = Octets(deflate=(None, Deflate()), nursery=nursery)
    coder = Deflater()
    stage.send_frames(BACKEND, [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(8)])
    stage.lose(BACKEND)
    await trio.testing.wait_all_tasks_blocked()
    assert len(stage.frames(CLIENT)) == 8
    assert stage.hung_up(CLIENT)
    assert stage.forgotten == {CLIENT, BACKEND}


async def test_what_a_client_said_that_left_is_dropped(nursery: trio.Nursery) -> None:
    held = CONTEXTS.held_bytes
    stage = Octets(deflate=(Deflate(), None), nursery=nursery)
    coder = Deflater()
    stage.send_frames(CLIENT, [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(8)])
    stage.lose(CLIENT)
    await trio.testing.wait_all_tasks_blocked()
    *passed, close = stage.frames(BACKEND)
    assert len(passed) == 1
    assert close.payload[:2] == (1001).to_bytes(2, "big")
    stage.answer(BACKEND, close)
    assert stage.hung_up(BACKEND)
    assert stage.forgotten == {CLIENT, BACKEND}
    assert CONTEXTS.held_bytes == held


@pytest.mark.parametrize("ends", ["it leaves", "it is cut off"])
async def test_a_client_that_goes_behind_its_backend_leaves_no_contexts(
    ends: str, nursery: trio.Nursery
) -> None:
    """Much of what the backend said before it left was never read, and nobody is left to read it for."""
    held = CONTEXTS.held_bytes
    stage = Octets(deflate=(Deflate(), Deflate()), nursery=nursery)
    stage.is_slow[CLIENT] = True
    coder = Deflater()
    stage.send_frames(BACKEND, [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(8)])
    stage.lose(BACKEND)
    await trio.testing.wait_all_tasks_blocked()
    assert CONTEXTS.held_bytes > held
    if ends == "it leaves":
        stage.lose(CLIENT)
    else:
        stage.session.abort(stage.now)
    await trio.testing.wait_all_tasks_blocked()
    assert CONTEXTS.held_bytes == held
    assert stage.forgotten == {CLIENT, BACKEND}


async def test_a_slow_client_has_its_time_for_what_a_backend_said_that_left(
    nursery: trio.Nursery,
) -> None:
    stage = Octets(deflate=(None, Deflate()), nursery=nursery)
    stage.is_slow[CLIENT] = True
    coder = Deflater()
    stage.send_frames(BACKEND, [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(8)])
    stage.lose(BACKEND)
    passed = 0
    for _ in range(8):
        await trio.testing.wait_all_tasks_blocked()
        passed += len(stage.frames(CLIENT))
        stage.now += 8
        if stage.client.due is not None and stage.client.due <= stage.now:
            stage.expire(CLIENT)
        stage.end(CLIENT).writable(stage.now)
        stage.end(CLIENT).flush(stage.now)
    assert passed == 8
    await trio.testing.wait_all_tasks_blocked()
    assert stage.hung_up(CLIENT)
    assert stage.forgotten == {CLIENT, BACKEND}


async def test_a_client_that_takes_nothing_of_it_is_cut_off_in_the_end(
    nursery: trio.Nursery,
) -> None:
    held = CONTEXTS.held_bytes
    stage = Octets(deflate=(None, Deflate()), nursery=nursery)
    stage.is_slow[CLIENT] = True
    coder = Deflater()
    stage.send_frames(BACKEND, [squeezed(BINARY, coder(bytes(1 << 20))) for _ in range(8)])
    stage.lose(BACKEND)
    stage.now += 3600
    stage.end(CLIENT).idle(stage.now)
    stage.end(CLIENT).flush(stage.now)
    assert stage.frames(CLIENT)[-1].payload[:2] == (1001).to_bytes(2, "big")
    stage.expire(CLIENT)
    assert stage.hung_up(CLIENT)
    assert CONTEXTS.held_bytes == held


def test_a_client_that_was_told_of_no_terms_keeps_to_none() -> None:
    held = CONTEXTS.held_bytes
    stage = Octets(deflate=(Deflate(), None), is_answered=False)
    assert CONTEXTS.held_bytes == held
    text = Frame(TEXT, b"the same again " * 50)
    stage.send_frames(BACKEND, [text])
    assert stage.frames(CLIENT) == [text]
