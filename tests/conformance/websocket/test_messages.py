"""Every case in memory, with the client and with the backend as the one that speaks."""

from __future__ import annotations

import pytest
from typing_extensions import override

from tests.conformance.websocket.cases import CASES, Case
from tests.conformance.websocket.frames import CLOSE, Frame, take_frame
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT, Stage

TOLD = {CLIENT: 1011, BACKEND: 1001}
"""What a side is told when the other one broke a rule."""


class Octets(Stage):
    """A session between two sides that no library reads for.

    Each method acts as one side, by its number.
    """

    def __init__(self) -> None:
        self.octets = {CLIENT: bytearray(), BACKEND: bytearray()}
        super().__init__()

    @override
    def send(self, conn: int, data: bytes, /) -> bool:
        assert not self.sides[conn].is_hung_up
        self.octets[conn] += data
        return True

    def frames(self, conn: int) -> list[Frame]:
        """Return what a side was sent since the last time."""
        found: list[Frame] = []
        while (frame := take_frame(self.octets[conn], is_masked=conn == BACKEND)) is not None:
            found.append(frame)
        assert not self.octets[conn], "half a frame"
        return found

    def answer(self, conn: int, close: Frame) -> None:
        """Have a side send a close frame."""
        self.raw(conn, close.octets(b"mask" if conn == CLIENT else None))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(
    ("one", "other"), [(CLIENT, BACKEND), (BACKEND, CLIENT)], ids=["client", "backend"]
)
def test_each_case_ends_as_it_has_to(one: int, other: int, case: Case) -> None:
    stage = Octets()
    for data in case.writes(is_client=one == CLIENT):
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
