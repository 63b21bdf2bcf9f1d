"""A session in memory between two sides that no library reads for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tests.conformance.websocket.frames import Frame, take_frame
from tests.unit.gateway.websocket.sides import BACKEND, CLIENT, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable


class Octets(Stage):
    """Such a session; each method acts as one side, by its number.

    Args:
        more: See `Stage`.
    """

    def __init__(self, **more: Any) -> None:
        self.octets = {CLIENT: bytearray(), BACKEND: bytearray()}
        super().__init__(**more)

    @override
    def send(self, conn: int, data: bytes, /) -> bool:
        assert not self.sides[conn].is_hung_up
        self.octets[conn] += data
        return not self.is_slow[conn]

    def frames(self, conn: int) -> list[Frame]:
        """Return what a side was sent since the last time."""
        found: list[Frame] = []
        while (frame := take_frame(self.octets[conn], is_masked=conn == BACKEND)) is not None:
            found.append(frame)
        assert not self.octets[conn], "half a frame"
        return found

    def answer(self, conn: int, close: Frame) -> None:
        """Have a side send a close frame."""
        self.send_frames(conn, [close])

    def send_frames(self, conn: int, frames: Iterable[Frame], chop: int | None = None) -> None:
        """Have a side send frames, in writes of so many octets."""
        mask = b"mask" if conn == CLIENT else None
        data = b"".join(frame.octets(mask) for frame in frames)
        size = chop or len(data) or 1
        for at in range(0, len(data), size):
            self.raw(conn, data[at : at + size])
