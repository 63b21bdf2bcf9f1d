"""Every case against a plugin in the backend's place, which says back what it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from typing_extensions import override

from tests.conformance.websocket.cases import CASES, Case
from tests.conformance.websocket.frames import CLOSE, PING, PONG, Frame, take_frame
from tests.unit.gateway.websocket.sides import CLIENT, Stage

if TYPE_CHECKING:
    from oto_trio.plugin_api import ServedSocket


class Served(Stage):
    """A session of a client that no library reads for, and a plugin."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.octets = bytearray()
        super().__init__(nursery=nursery, serve=say_back)

    @override
    def send(self, conn: int, data: bytes, /) -> bool:
        assert conn == CLIENT
        assert not self.client.is_hung_up
        self.octets += data
        return True

    def frames(self) -> list[Frame]:
        """Return what the client was sent."""
        found: list[Frame] = []
        while (frame := take_frame(self.octets, is_masked=False)) is not None:
            found.append(frame)
        assert not self.octets, "half a frame"
        return found


async def say_back(socket: ServedSocket) -> None:
    while True:
        message = await socket.receive()
        await socket.send(message.data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_case_is_answered_as_it_has_to_be(case: Case) -> None:
    async with trio.open_nursery() as nursery:
        stage = Served(nursery)
        for data in case.writes(is_client=True):
            stage.raw(CLIENT, data)
            if stage.held(CLIENT):
                await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        frames = stage.frames()
        if case.fails is None and case.close is None:
            # A plugin's pongs come at once, what it says after it was its turn.
            messages = [frame for frame in case.arrives if frame.opcode < CLOSE]
            pongs = [Frame(PONG, frame.payload) for frame in case.arrives if frame.opcode == PING]
            assert [frame for frame in frames if frame.opcode < CLOSE] == messages
            assert [frame for frame in frames if frame.opcode >= CLOSE] == pongs
            assert not stage.hung_up(CLIENT)
            stage.raw(CLIENT, Frame(CLOSE, b"\x0f\xa0").octets(b"mask"))
            assert stage.frames() == [Frame(CLOSE, b"\x0f\xa0")]
        elif case.fails is None:
            assert frames[-1] == Frame(CLOSE, case.close or b"")
        else:
            last = frames[-1]
            assert (last.opcode, int.from_bytes(last.payload[:2], "big")) == (CLOSE, case.fails)
        assert stage.hung_up(CLIENT)
    assert stage.faults == []
