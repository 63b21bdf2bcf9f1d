"""Frames of the control stream that aioquic passes over.

It throws away what it makes no use of as it comes, for such frames can have any size; GOAWAY and PRIORITY_UPDATE are among
them. So what comes on a peer's streams of one direction is looked through for those beside it, on both sides of the gateway.
"""

from typing import Final

from aioquic._buffer import Buffer, BufferReadError

__all__ = ["ControlFrames"]

CONTROL: Final = 0
"""What the control stream begins with (RFC 9114 section 6.2.1)."""


class ControlFrames:
    """Finds frames of one type on a stream, if it is the control stream. No more is kept than of one such frame.

    Args:
        kind: The type.
        most_bytes: Of a frame's body; a longer one is passed over.
    """

    __slots__ = ("_is_control", "_kind", "_most_bytes", "_rest", "_skip")

    def __init__(self, kind: int, most_bytes: int) -> None:
        self._kind = kind
        self._most_bytes = most_bytes
        self._rest = b""
        self._skip = 0
        self._is_control: bool | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies of the frames that end in this piece of the stream, whatever is in them."""
        found: list[bytes] = []
        if self._is_control is False:
            return found
        data = self._rest + data
        buffer = Buffer(data=data)
        used = 0
        try:
            if self._is_control is None:
                self._is_control = buffer.pull_uint_var() == CONTROL
                used = buffer.tell()
            while self._is_control:
                step = min(self._skip, len(data) - used)
                used += step
                self._skip -= step
                if self._skip:
                    break
                buffer.seek(used)
                kind, size = buffer.pull_uint_var(), buffer.pull_uint_var()
                if kind != self._kind or size > self._most_bytes:
                    used, self._skip = buffer.tell(), size
                    continue
                found.append(buffer.pull_bytes(size))
                used = buffer.tell()
        except BufferReadError:
            pass  # the rest of it comes later
        self._rest = b"" if self._is_control is False else data[used:]
        return found
