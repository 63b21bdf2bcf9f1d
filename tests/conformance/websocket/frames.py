"""Frames of WebSockets as octets, written and read without a library (RFC 6455 section 5.2)."""

from __future__ import annotations

from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_WIDTHS: Final = {0: 0, 126: 2, 127: 8}


class Frame(NamedTuple):
    """One frame, right or wrong."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    """The three reserved bits as a number, the first of them 4."""
    width: int | None = None
    """The octets of the length behind the first two; None for as few as it needs."""

    def octets(self, mask: bytes | None) -> bytes:
        """Return it as it is sent.

        Args:
            mask: The four octets of the mask; None for a frame without.
        """
        size = len(self.payload)
        width = self.width
        if width is None:
            width = 0 if size < 126 else 2 if size < 1 << 16 else 8
        length = {0: size, 2: 126, 8: 127}[width]
        bit = 0 if mask is None else 0x80
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode, bit | length])
        if width:
            head += size.to_bytes(width, "big")
        return head + (self.payload if mask is None else mask + masked(self.payload, mask))


def masked(data: bytes, mask: bytes) -> bytes:
    """Lay a mask over data, or take it off."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def take_frame(held: bytearray, *, is_masked: bool) -> Frame | None:
    """Take the first frame off what was received; None while it is not whole.

    Args:
        held: What was received; the frame is removed.
        is_masked: Whether it has to have a mask.
    """
    if len(held) < 2:
        return None
    short = held[1] & 0x7F
    assert bool(held[1] & 0x80) is is_masked, "a mask is for clients"
    width = _WIDTHS.get(short, 0)
    head = 2 + width + 4 * is_masked
    if len(held) < head:
        return None
    size = int.from_bytes(held[2 : 2 + width], "big") if width else short
    assert width == (0 if size < 126 else 2 if size < 1 << 16 else 8), (
        "a length is as short as can be"
    )
    if len(held) < head + size:
        return None
    payload = bytes(held[head : head + size])
    if is_masked:
        payload = masked(payload, bytes(held[head - 4 : head]))
    first = held[0]
    del held[: head + size]
    return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7)
