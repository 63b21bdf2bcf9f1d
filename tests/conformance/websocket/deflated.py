"""Compressed messages as a peer has them, and what one side may say and may not once it agreed on them (RFC 7692).

The sections are those of Autobahn's suite, which plays against an echo: here it is what arrives at the other side that counts.
"""

from __future__ import annotations

import json
import random
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from oto_trio.plugin_api.websocket_deflate import Deflate
from tests.conformance.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 1 << 20
TAIL: Final = b"\x00\x00\xff\xff"
COMPRESSED: Final = 4
"""The reserved bits of a message that is compressed."""


class Deflater:
    """What a peer compresses with.

    Args:
        bits: Its window.
        forgets: Whether it begins each message anew.
        level: Of zlib; 0 stores.
    """

    def __init__(self, bits: int = 15, *, forgets: bool = False, level: int = 9) -> None:
        self._told = level, zlib.DEFLATED, -bits
        self._forgets = forgets
        self._coder = zlib.compressobj(*self._told)

    def __call__(self, data: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
        """Compress a message."""
        said = self._coder.compress(data) + self._coder.flush(mode)
        if self._forgets or mode == zlib.Z_FINISH:
            self._coder = zlib.compressobj(*self._told)
        # Behind a final block the octet of an empty one (RFC 7692 section 7.2.3.4).
        return said + b"\x00" if mode == zlib.Z_FINISH else said.removesuffix(TAIL)


class Inflater:
    """What a peer inflates with.

    Args:
        bits: The window that it keeps; more than that of the sender would do, less would not.
        forgets: Whether it forgets each message.
    """

    def __init__(self, bits: int, *, forgets: bool) -> None:
        self._bits = bits
        self._forgets = forgets
        self._coder = zlib.decompressobj(-bits)

    def __call__(self, frame: Frame) -> Frame:
        """Return a message, inflated when it has to be."""
        if frame.rsv == 0:
            return frame
        assert frame.rsv == COMPRESSED
        assert frame.opcode in (TEXT, BINARY)
        data = self._coder.decompress(frame.payload + TAIL)
        if self._forgets:
            self._coder = zlib.decompressobj(-self._bits)
        return Frame(frame.opcode, data)


class Case(NamedTuple):
    """What a side says that agreed on compression, and what becomes of it."""

    name: str
    sent: tuple[Frame, ...]
    arrives: tuple[Frame, ...] = ()
    fails: int | None = None
    """The code with which who spoke is cut off."""
    terms: Deflate = Deflate()
    chop: int | None = None
    """Octets of each write; None for one write of all."""
    is_wired: bool = False
    """Whether it is also played over sockets, between ends that agreed on the most there is."""


def text_of(size: int, seed: int = 0) -> bytes:
    """So many octets of JSON, or of its beginning."""
    draw = random.Random(seed)
    words = ("alpha", "beta", "gamma", "delta")
    rows: list[dict[str, object]] = []
    held = 0
    while held < size:
        rows.append({"id": draw.randrange(10**6), "word": draw.choice(words), "x": draw.random()})
        held += 40
    return json.dumps(rows).encode()[:size]


def random_of(size: int, seed: int = 0) -> bytes:
    """So many octets that nothing makes shorter."""
    return random.Random(seed).randbytes(size)


def cut(frame: Frame, size: int) -> tuple[Frame, ...]:
    """Return a message in fragments of so many octets; only the first tells that it is compressed."""
    data = frame.payload
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    return tuple(
        Frame(
            CONTINUATION if at else frame.opcode,
            part,
            fin=at == len(parts) - 1,
            rsv=0 if at else frame.rsv,
        )
        for at, part in enumerate(parts)
    )


def squeezed(opcode: int, payload: bytes) -> Frame:
    return Frame(opcode, payload, rsv=COMPRESSED)


KINDS: Final = {"text": (TEXT, text_of), "binary": (BINARY, random_of)}
SIZES: Final = (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)


def sizes() -> Iterator[Case]:
    """Section 12: messages of each size, whole, in fragments, and in writes that fit neither."""
    for kind, (opcode, make) in KINDS.items():
        for size in SIZES:
            coder = Deflater()
            wholes = [Frame(opcode, make(size, number)) for number in range(5)]
            sent = [squeezed(opcode, coder(whole.payload)) for whole in wholes]
            name = f"12 {kind} of {size}"
            yield Case(name, tuple(sent), tuple(wholes), is_wired=size in {16, 131072})
            parts = [part for frame in sent for part in cut(frame, max(1, size // 7))]
            yield Case(f"{name}, in fragments", tuple(parts), tuple(wholes), is_wired=size == 4096)
            yield Case(f"{name}, in writes of 1021", tuple(sent), tuple(wholes), chop=1021)
        for size in (0, 1, 2):
            little = Frame(opcode, make(size))
            coded = squeezed(opcode, Deflater()(little.payload))
            yield Case(f"12 {kind} of {size} thrice", (coded,) * 3, (little,) * 3)


TERMS: Final = {
    f"{bits} bits{', forgetting' * forgets}": Deflate(bits, forgets, bits, forgets)
    for bits in (8, 9, 10, 12, 15)
    for forgets in (False, True)
}


def terms() -> Iterator[Case]:
    """Section 13: every window, with and without what the message before told."""
    for name, agreed in TERMS.items():
        for kind, (opcode, make) in KINDS.items():
            # zlib has no window of 256 octets; one that is not used up is as good.
            size = 200 if agreed.receive_bits == 8 else 3000
            coder = Deflater(
                max(agreed.receive_bits, 9), forgets=agreed.forgets_received or size == 200
            )
            wholes = tuple(Frame(opcode, make(size, number % 3)) for number in range(12))
            sent = tuple(squeezed(opcode, coder(whole.payload)) for whole in wholes)
            yield Case(f"13 {kind}, {name}", sent, wholes, terms=agreed)


HELLO: Final = Frame(TEXT, b"Hello")


def examples() -> Iterator[Case]:
    """RFC 7692 section 7.2.3, and what else a sender is free to do."""
    plain = squeezed(TEXT, bytes.fromhex("f248cdc9c90700"))
    again = squeezed(TEXT, bytes.fromhex("f200110000"))
    stored = squeezed(TEXT, bytes.fromhex("000500faff48656c6c6f00"))
    final = squeezed(TEXT, bytes.fromhex("f348cdc9c9070000"))
    two = squeezed(TEXT, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")))
    for name, frames in {
        "a message": (plain,),
        "one that refers to the one before": (plain, again, again),
        "a stored block": (stored,),
        "a final block": (final,),
        "a final block, and more messages": (final, plain, final, final, stored),
        "two blocks": (two,),
    }.items():
        whole = (HELLO,) * len(frames)
        yield Case(f"12 {name}", frames, whole, is_wired=True)
        yield Case(f"12 {name}, octet by octet", frames, whole, chop=1)
        parts = tuple(part for frame in frames for part in cut(frame, 1))
        yield Case(f"12 {name}, in fragments of one", parts, whole)
    pinged = (cut(plain, 3)[0], Frame(PING, b"p"), *cut(plain, 3)[1:])
    yield Case("12 a ping between fragments", pinged, (Frame(PING, b"p"), HELLO), is_wired=True)
    mixed = (plain, HELLO, Frame(BINARY, b"Hello"), again, Frame(PONG, b""), again)
    arrives = (HELLO, HELLO, Frame(BINARY, b"Hello"), HELLO, Frame(PONG, b""), HELLO)
    yield Case("12 some messages compressed and some not", mixed, arrives, is_wired=True)
    nothing = Frame(TEXT, b"", fin=False, rsv=COMPRESSED)
    begun = (nothing, Frame(CONTINUATION, plain.payload))
    yield Case("12 a first fragment of nothing", begun, (HELLO,))
    ended = (plain._replace(fin=False), Frame(CONTINUATION))
    yield Case("12 a last fragment of nothing", ended, (HELLO,))
    euro = squeezed(TEXT, Deflater()("€".encode()))
    yield Case("12 a character over fragments", cut(euro, 2), (Frame(TEXT, "€".encode()),))
    for level in (0, 1, 9):
        most = Frame(BINARY, random_of(MIB))
        sent = squeezed(BINARY, Deflater(level=level)(most.payload))
        yield Case(f"12 the longest message, level {level}", (sent,), (most,), is_wired=level == 9)
    zeros = Frame(BINARY, bytes(MIB))
    sent = squeezed(BINARY, Deflater()(zeros.payload))
    yield Case("12 the longest message, of zeros", (sent,), (zeros,))


def faults() -> Iterator[Case]:
    """What is still no frame, no compression or too much."""
    plain = squeezed(TEXT, bytes.fromhex("f248cdc9c90700"))
    first, *rest = cut(plain, 3)
    for rsv in (1, 2, 3, 5, 6, 7):
        frame = plain._replace(rsv=rsv)
        yield Case(f"12 reserved bits {rsv:03b}", (HELLO, frame), (HELLO,), 1002)
    for opcode in (PING, PONG, CLOSE):
        frame = squeezed(opcode, b"\x03\xe8")
        yield Case(f"12 a compressed frame {opcode}", (HELLO, frame), (HELLO,), 1002, is_wired=True)
    late = (first, rest[0]._replace(rsv=COMPRESSED))
    yield Case("12 a continuation that says it is compressed", late, (), 1002, is_wired=True)
    alone = (Frame(CONTINUATION, plain.payload, rsv=COMPRESSED),)
    yield Case("12 a continuation of nothing", alone, (), 1002)
    yield Case("12 a message within a message", (first, plain), (), 1002, is_wired=True)
    unmarked = (HELLO._replace(fin=False), Frame(CONTINUATION, plain.payload, rsv=COMPRESSED))
    yield Case("12 a second fragment alone is compressed", unmarked, (), 1002)
    garbage = squeezed(TEXT, b"\xff\xff\xff\xff")
    yield Case("12 no compression", (HELLO, garbage), (HELLO,), 1007, is_wired=True)
    yield Case("12 no compression, octet by octet", (garbage,), (), 1007, chop=1)
    stranger = squeezed(TEXT, bytes.fromhex("f200110000"))
    yield Case("12 it refers to what never was", (stranger,), (), 1007, is_wired=True)
    forgot = (plain, stranger)
    told = Deflate(forgets_received=True)
    yield Case("12 it refers to what is to be forgotten", forgot, (HELLO,), 1007, told)
    far = Deflater()
    begun, again = (squeezed(BINARY, far(random_of(2000, 7))) for _ in range(2))
    arrives = (Frame(BINARY, random_of(2000, 7)),)
    yield Case("12 it refers beyond the window", (begun, again), arrives, 1007, Deflate(9))
    broken = squeezed(TEXT, Deflater()(b"a\xed\xa0\x80z"))
    yield Case("12 no UTF-8", (HELLO, broken), (HELLO,), 1007, is_wired=True)
    yield Case("12 no UTF-8, in fragments", cut(broken, 2), (), 1007)
    for name, size in {"one octet too many": MIB + 1, "a bomb": 32 * MIB}.items():
        bomb = squeezed(BINARY, Deflater()(bytes(size)))
        yield Case(f"12 {name}", (HELLO, bomb), (HELLO,), 1009, is_wired=True)
        yield Case(f"12 {name}, in fragments", cut(bomb, 5000), (), 1009)
        text = squeezed(TEXT, Deflater()(b"*" * size))
        yield Case(f"12 {name}, of text", (text,), (), 1009)
    endless = (Frame(BINARY, b"", fin=False, rsv=COMPRESSED),) + (
        Frame(CONTINUATION, b"\x00\x00\x00\xff\xff" * 26_000, fin=False),
    ) * 20
    yield Case("12 blocks of nothing, without end", endless, (), 1009)
    streams = squeezed(BINARY, b"\x03\x00" * 65)
    yield Case("12 too many streams in one message", (streams,), (), 1008)
    most = squeezed(BINARY, b"\x03\x00" * 64)
    yield Case("12 many streams of nothing", (most,), (Frame(BINARY),))


CASES: Final = (*sizes(), *terms(), *examples(), *faults())
