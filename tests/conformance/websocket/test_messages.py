"""Every case in memory, in any writes, with the client and with the backend as the one that speaks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.websocket.cases import CASES, Case
from tests.conformance.websocket.frames import CLOSE, Frame
from tests.conformance.websocket.octets import Octets
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

TOLD = {CLIENT: 1011, BACKEND: 1001}
"""What a side is told when the other one broke a rule."""
SMALL_BYTES = 400
SMALL = [
    case for case in CASES if sum(len(data) for data in case.writes(is_client=True)) < SMALL_BYTES
]
PASSING = [case for case in SMALL if case.fails is None and case.close is None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(
    ("one", "other"), [(CLIENT, BACKEND), (BACKEND, CLIENT)], ids=["client", "backend"]
)
def test_each_case_ends_as_it_has_to(one: int, other: int, case: Case) -> None:
    plays(case, one, other, case.writes(is_client=one == CLIENT))


@given(
    case=st.sampled_from(SMALL),
    sides=st.permutations([CLIENT, BACKEND]),
    cuts=st.lists(st.integers(0, SMALL_BYTES), max_size=10),
)
def test_no_division_into_writes_changes_an_end(
    case: Case, sides: list[int], cuts: list[int]
) -> None:
    one, other = sides
    data = b"".join(case.writes(is_client=one == CLIENT))
    at = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    plays(case, one, other, (data[start:end] for start, end in pairwise(at)))


@given(
    cases=st.tuples(st.sampled_from(PASSING), st.sampled_from(PASSING)),
    random=st.randoms(use_true_random=False),
)
def test_what_one_side_says_is_not_touched_by_the_other(
    cases: tuple[Case, Case], random: Random
) -> None:
    stage = Octets()
    said = [CLIENT, BACKEND]
    writes = {
        one: [bytes([octet]) for octet in b"".join(case.writes(is_client=one == CLIENT))]
        for one, case in zip(said, cases, strict=True)
    }
    turns = [one for one in said for _ in writes[one]]
    random.shuffle(turns)
    left = {one: iter(octets) for one, octets in writes.items()}
    for one in turns:
        stage.raw(one, next(left[one]))
    assert stage.frames(BACKEND) == list(cases[0].arrives)
    assert stage.frames(CLIENT) == list(cases[1].arrives)


def plays(case: Case, one: int, other: int, writes: Iterable[bytes]) -> None:
    """Play a case, and see that it ends as it has to.

    Args:
        case: The case.
        one: The side that speaks.
        other: The other side.
        writes: What it says.
    """
    stage = Octets()
    for data in writes:
        stage.raw(one, data)
    heard = stage.frames(other)
    said = stage.frames(one)
    if case.fails is not None:
        (close,) = said
        assert close.opcode == CLOSE
        assert int.from_bytes(close.payload[:2], "big") == case.fails
        close.payload[2:].decode()
        assert stage.hung_up(one)
        told = heard.pop()
        assert (told.opcode, told.payload[:2]) == (CLOSE, TOLD[other].to_bytes(2, "big"))
        assert heard == list(case.arrives)
        stage.answer(other, told)
        assert stage.frames(one) == []
    else:
        close = Frame(CLOSE, b"\x0f\xa0enough") if case.close is None else Frame(CLOSE, case.close)
        assert said == []
        if case.close is None:
            assert heard == list(case.arrives)
            stage.answer(one, close)
            heard = [*case.arrives, *stage.frames(other)]
        assert heard == [*case.arrives, close]
        assert not stage.hung_up(one)
        stage.answer(other, Frame(CLOSE, b"\x0b\xb9"))
        assert stage.frames(one) == [Frame(CLOSE, b"\x0b\xb9")]
    assert stage.frames(other) == []
    assert stage.is_over
    assert stage.faults == []


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
