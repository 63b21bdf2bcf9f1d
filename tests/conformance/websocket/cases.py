"""What one side of a WebSocket may say and what it may not, and what then becomes of it and of the other side.

Each case is played with the client and with the backend as the one that speaks. What it is about is RFC 6455; the sections are
those of Autobahn's suite, which plays against an echo: here it is what arrives at the other side that counts. Pings are
answered from end to end, so they arrive like messages do.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

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


class Case(NamedTuple):
    """What is said, and what becomes of it."""

    name: str
    sent: tuple[Frame, ...]
    arrives: tuple[Frame, ...] = ()
    """What the other side gets, before an end."""
    close: bytes | None = None
    """The payload of a close frame that goes to the other side."""
    fails: int | None = None
    """The code with which who spoke is cut off."""
    chop: int | None = None
    """Octets of each write; None for one write of all."""
    withheld: int = 0
    """Octets at the end that are never sent: the end must come without them."""
    is_wrongly_masked: bool = False
    is_wired: bool = False
    """Whether it is also played over sockets."""

    def writes(self, *, is_client: bool) -> Iterator[bytes]:
        """Return the octets of each write, when it is the client who speaks or the backend."""
        masks = random.Random(self.name)
        has_mask = is_client is not self.is_wrongly_masked
        data = b"".join(
            frame.octets(masks.randbytes(4) if has_mask else None) for frame in self.sent
        )
        data = data[: len(data) - self.withheld]
        chop = self.chop or len(data)
        return (data[at : at + chop] for at in range(0, len(data), chop))


BEHIND: Final = Frame(TEXT, b"behind")
"""What is said behind an end, and must go nowhere."""


def passes(
    name: str,
    *sent: Frame,
    arrives: tuple[Frame, ...] | None = None,
    chop: int | None = None,
    wired: bool = False,
) -> Case:
    return Case(name, sent, sent if arrives is None else arrives, chop=chop, is_wired=wired)


def fails(
    name: str,
    code: int,
    *sent: Frame,
    arrives: tuple[Frame, ...] = (),
    chop: int | None = None,
    withheld: int = 0,
    wired: bool = False,
) -> Case:
    behind = () if withheld else (BEHIND,)
    return Case(
        name, sent + behind, arrives, fails=code, chop=chop, withheld=withheld, is_wired=wired
    )


def pieces(opcode: int, data: bytes, size: int) -> tuple[Frame, ...]:
    """Return a message in fragments of so many octets."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    last = len(parts) - 1
    return tuple(
        Frame(CONTINUATION if at else opcode, part, fin=at == last) for at, part in enumerate(parts)
    )


KINDS: Final = {"text": (TEXT, b"*"), "binary": (BINARY, b"\xfe")}


def framing() -> Iterator[Case]:
    """Section 1: messages of one frame, at the edges of each form of its length."""
    for kind, (opcode, fill) in KINDS.items():
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
            message = Frame(opcode, fill * size)
            yield passes(f"1 {kind} of {size}", message, wired=True)
            for chop in (1, 997):
                if size > chop and size // chop < 1000:
                    yield passes(f"1 {kind} of {size} in writes of {chop}", message, chop=chop)
        yield passes(f"1 {kind} of 0 thrice", *[Frame(opcode)] * 3)
        for size, width in ((0, 2), (125, 2), (126, 8), (65535, 8)):
            padded = Frame(opcode, fill * size, width=width)
            yield fails(f"1 {kind} of {size}, its length in {width}", 1002, padded)


def pings() -> Iterator[Case]:
    """Section 2: pings and pongs."""
    for size in (0, 4, 125):
        for kind, opcode in (("ping", PING), ("pong", PONG)):
            frame = Frame(opcode, bytes(range(128, 128 + size)))
            yield passes(f"2 {kind} of {size}", frame, wired=True)
            yield passes(f"2 {kind} of {size} octet by octet", frame, BEHIND, chop=1)
    for kind, opcode in (("ping", PING), ("pong", PONG)):
        yield fails(f"2 {kind} of 126", 1002, Frame(opcode, bytes(126)), wired=True)
    yield passes(
        "2 a pong that nobody asked for, then a ping", Frame(PONG, b"1"), Frame(PING, b"2")
    )
    ten = [Frame(PING, b"%d" % number) for number in range(10)]
    yield passes("2 ten pings", *ten, wired=True)
    yield passes("2 ten pings octet by octet", *ten, chop=1)


OK: Final = Frame(TEXT, b"fine")


def reserved_bits() -> Iterator[Case]:
    """Sections 3, 12 and 13: no extension is agreed on, so no reserved bit means anything, compression neither."""
    for rsv in range(1, 8):
        for kind, opcode in (("text", TEXT), ("binary", BINARY), ("ping", PING), ("close", CLOSE)):
            payload = b"\x03\xe8" if opcode == CLOSE else b"x"
            yield fails(
                *(
                    f"3 reserved bits {rsv:03b} on {kind}",
                    1002,
                    OK,
                    Frame(opcode, payload, rsv=rsv),
                ),
                arrives=(OK,),
                wired=opcode == TEXT,
            )
    bit = Frame(TEXT, b"x", rsv=4)
    yield fails("3 a reserved bit octet by octet", 1002, OK, bit, arrives=(OK,), chop=1)
    start = Frame(TEXT, b"x", fin=False)
    yield fails("3 a reserved bit on a continuation", 1002, start, Frame(CONTINUATION, b"", rsv=4))
    # "aaaa..." as permessage-deflate has it (RFC 7692 section 7.2.3.1), which nobody agreed on.
    deflated = Frame(TEXT, b"\x4a\x4c\x04\x02\x00", rsv=4)
    yield fails("12 a compressed text", 1002, deflated, wired=True)
    yield fails("12 a compressed first fragment", 1002, deflated._replace(fin=False))
    yield fails("13 a compressed binary", 1002, deflated._replace(opcode=BINARY), wired=True)


def reserved_opcodes() -> Iterator[Case]:
    """Section 4."""
    for opcode in (*range(3, 8), *range(11, 16)):
        for payload in (b"", b"x"):
            yield fails(
                f"4 opcode {opcode} with {len(payload)}",
                1002,
                OK,
                Frame(opcode, payload),
                arrives=(OK,),
                wired=not payload,
            )
        yield fails(
            f"4 opcode {opcode} octet by octet",
            1002,
            OK,
            Frame(opcode, b"x"),
            arrives=(OK,),
            chop=1,
        )


def fragmentation() -> Iterator[Case]:
    """Section 5."""
    ping = Frame(PING, b"ping")
    for kind, opcode in (("ping", PING), ("pong", PONG), ("close", CLOSE)):
        first = Frame(opcode, b"\x03\xe8", fin=False)
        yield fails(f"5 {kind} in two", 1002, first, Frame(CONTINUATION, b"x"), wired=True)
    for kind, (opcode, fill) in KINDS.items():
        first = Frame(opcode, fill * 3, fin=False)
        middle = Frame(CONTINUATION, fill * 2, fin=False)
        last = Frame(CONTINUATION, fill * 4)
        whole = Frame(opcode, fill * 7)
        for how, chop in (("", None), (" octet by octet", 1)):
            yield passes(
                f"5 {kind} in two{how}", first, last, arrives=(whole,), chop=chop, wired=True
            )
            yield passes(
                f"5 {kind} in two, a ping between{how}",
                first,
                ping,
                last,
                arrives=(ping, whole),
                chop=chop,
                wired=chop is None,
            )
            five = Frame(opcode, fill * 13)
            yield passes(
                f"5 {kind} in five, pings between{how}",
                first,
                *(middle, ping, middle, ping, middle, last),
                arrives=(ping, ping, five),
                chop=chop,
                wired=chop is None,
            )
            for end in (True, False):
                lost = Frame(CONTINUATION, b"x", fin=end)
                yield fails(
                    *(
                        f"5 continuation of nothing, fin {end:d}, then {kind}{how}",
                        1002,
                        lost,
                        whole,
                    ),
                    chop=chop,
                    wired=chop is None,
                )
                yield fails(
                    f"5 continuation of a whole {kind}, fin {end:d}{how}",
                    1002,
                    whole,
                    lost,
                    arrives=(whole,),
                    chop=chop,
                )
            for inner in (TEXT, BINARY):
                yield fails(
                    f"5 a message of opcode {inner} within {kind}{how}",
                    1002,
                    first,
                    Frame(inner, b"x"),
                    chop=chop,
                    wired=chop is None,
                )
        nothing = Frame(CONTINUATION, b"", fin=False)
        yield passes(
            f"5 {kind} in three of nothing",
            Frame(opcode, b"", fin=False),
            nothing,
            Frame(CONTINUATION),
            arrives=(Frame(opcode),),
        )
        yield passes(
            f"5 {kind} with all in the middle",
            Frame(opcode, b"", fin=False),
            middle,
            Frame(CONTINUATION),
            arrives=(Frame(opcode, fill * 2),),
        )
        # Which is what keeps a close from waiting for a message that has no end.
        yield Case(
            f"5 close within {kind}", (first, Frame(CLOSE, b"\x03\xe8"), last), close=b"\x03\xe8"
        )


_POINTS: Final = (0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFDD0, 0xFEFF, 0xFFFD)
WELL_FORMED: Final = {
    **{f"U+{point:04X}": chr(point) for point in _POINTS},
    # No characters, and none the less to be passed on.
    **{
        f"U+{plane << 16 | end:04X}": chr(plane << 16 | end)
        for plane in range(17)
        for end in (0xFFFE, 0xFFFF)
    },
    "U+10000": "\U00010000",
    "words": "Grüße, señor – 日本語, שלום, 😀!",
}

ILL_FORMED: Final = {
    "a continuation alone": b"\x80",
    "the last continuation alone": b"\xbf",
    "all continuations": bytes(range(0x80, 0xC0)),
    "two octets where one would do": b"\xc0\xaf",
    "two octets, the most that one does": b"\xc1\xbf",
    "nought in two octets": b"\xc0\x80",
    "three octets where one would do": b"\xe0\x80\xaf",
    "three octets, the most that two do": b"\xe0\x9f\xbf",
    "four octets where one would do": b"\xf0\x80\x80\xaf",
    "four octets, the most that three do": b"\xf0\x8f\xbf\xbf",
    "five octets": b"\xf8\x88\x80\x80\x80",
    "six octets": b"\xfc\x84\x80\x80\x80\x80",
    "the first beyond Unicode": b"\xf4\x90\x80\x80",
    "the last of four octets": b"\xf7\xbf\xbf\xbf",
    "the first surrogate": b"\xed\xa0\x80",
    "the last high surrogate": b"\xed\xaf\xbf",
    "the first low surrogate": b"\xed\xb0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    **{f"a lead {lead:x} without more": bytes([lead, 0x20]) for lead in (0xC2, 0xDF, 0xE1, 0xEF)},
    **{
        f"three of four octets, {third:x}": bytes([0xF1, 0x80, third, 0x20])
        for third in (0x80, 0xBF)
    },
}

DOOMED: Final = (
    *(b"\x80", b"\xc0", b"\xc1", b"\xf5", b"\xfe", b"\xff", b"\xc3\x28", b"\xe0\x9f"),
    *(b"\xf0\x8f", b"\xf4\x90", b"\xe1\x80\xc0", b"\xf1\x80\x80\x20"),
    # Two octets tell of a surrogate; the decoder waits for the third (RFC 6455 section 8.1 leaves the moment open).
    b"\xed\xa0\x80",
)
"""Of each the last octet makes it something that no further one can mend."""


def utf8() -> Iterator[Case]:
    """Section 6."""
    for name, text in WELL_FORMED.items():
        data = f"<{text}>".encode()
        whole = Frame(TEXT, data)
        wired = name in {"words", "U+10FFFF", "U+D7FF"}
        yield passes(f"6 {name}", whole, wired=wired)
        yield passes(f"6 {name} octet by octet", whole, chop=1)
        parts = pieces(TEXT, data, 1)
        yield passes(f"6 {name} in fragments of one", *parts, arrives=(whole,), wired=wired)
    for name, octets in ILL_FORMED.items():
        data = b"a" + octets + b"z"
        wired = name in {"the first surrogate", "the first beyond Unicode", "a continuation alone"}
        yield fails(f"6 {name}", 1007, OK, Frame(TEXT, data), arrives=(OK,), wired=wired)
        yield fails(f"6 {name} in fragments of one", 1007, *pieces(TEXT, data, 1), wired=wired)
        # Within the frame that holds it: the rest of it never comes.
        yield fails(f"6 {name}, and no end", 1007, Frame(TEXT, data + b"z" * 9), withheld=9, chop=1)
        yield passes(f"6 {name} in a binary message", Frame(BINARY, data))
    for octets in DOOMED:
        data = b"a" + octets
        yield fails(
            f"6 {octets.hex()} at once",
            1007,
            Frame(TEXT, data + b"z" * 9),
            withheld=9,
            wired=octets[0] in {0xED, 0xF4},
        )
        start = Frame(TEXT, data, fin=False)
        yield fails(
            f"6 {octets.hex()} at once, in a fragment", 1007, start, Frame(PING, b"z"), withheld=3
        )
    for octets in (b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"):
        cut = Frame(TEXT, b"a" + octets)
        yield fails(f"6 {octets.hex()} and the end", 1007, cut, wired=True)
        yield fails(
            f"6 {octets.hex()}, then a fragment of nothing",
            1007,
            cut._replace(fin=False),
            Frame(CONTINUATION),
        )
    # The state of a text that is under way is not touched by what comes between.
    euro = Frame(TEXT, b"\xe2\x82", fin=False), Frame(PING, b"\xff"), Frame(CONTINUATION, b"\xac")
    joined = Frame(PING, b"\xff"), Frame(TEXT, "€".encode())
    yield passes("6 a ping within a character", *euro, arrives=joined, wired=True)


GOOD_CODES: Final = (1000, 1001, 1002, 1003, *range(1007, 1014), 3000, 3999, 4000, 4999)
BAD_CODES: Final = (
    *(0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535),
    # Registered since, and not known to the library (see docs/websocket.md).
    1014,
)


def closes() -> Iterator[Case]:
    """Section 7."""

    def close(name: str, payload: bytes, *, wired: bool = False, chop: int | None = None) -> Case:
        sent = (OK, Frame(CLOSE, payload), BEHIND)
        return Case(f"7 {name}", sent, (OK,), close=payload, chop=chop, is_wired=wired)

    def bad(name: str, code: int, payload: bytes, *, wired: bool = False) -> Case:
        return fails(f"7 {name}", code, OK, Frame(CLOSE, payload), arrives=(OK,), wired=wired)

    yield close("no code", b"", wired=True)
    yield close("no code octet by octet", b"", chop=1)
    for code in GOOD_CODES:
        octets = code.to_bytes(2, "big")
        yield close(f"code {code}", octets, wired=True)
        yield close(f"code {code} and a reason", octets + "Tschüß".encode())
    for code in BAD_CODES:
        octets = code.to_bytes(2, "big")
        yield bad(f"bad code {code}", 1002, octets, wired=code in {0, 1005, 1006, 2999, 65535})
        yield bad(f"bad code {code} and a reason", 1002, octets + b"why")
    normal = (1000).to_bytes(2, "big")
    yield close("a reason of 123", normal + b"x" * 123, wired=True)
    yield close("a reason of 123, octet by octet", normal + b"x" * 123, chop=1)
    yield close("a reason of 123, not of one octet each", normal + "€".encode() * 41)
    yield bad("a reason of 124", 1002, normal + b"x" * 124, wired=True)
    yield bad("one octet", 1002, b"\x03", wired=True)
    for name, octets in ILL_FORMED.items():
        wired = name == "the first surrogate"
        if len(octets) < 60:
            yield bad(f"a reason with {name}", 1007, normal + octets, wired=wired)
    yield bad("a reason that ends within a character", 1007, normal + b"\xe2\x82")
    twice = Frame(CLOSE, normal), Frame(CLOSE, b"\x03\xe9")
    yield Case("7 close twice", twice, close=normal, is_wired=True)
    pinged = Frame(CLOSE, normal), Frame(PING, b"late")
    yield Case("7 a ping behind a close", pinged, close=normal, is_wired=True)
    broken = Frame(CLOSE, normal), Frame(7, b"", rsv=7)
    yield Case("7 no frame at all behind a close", broken, close=normal, is_wired=True)


def large() -> Iterator[Case]:
    """Sections 9 and 10: up to the bound of a message, and beyond; and many."""
    for kind, (opcode, fill) in KINDS.items():
        for size in (1 << 18, MIB):
            whole = Frame(opcode, fill * size)
            yield passes(f"9 {kind} of {size}", whole, wired=size == MIB)
            yield passes(f"9 {kind} of {size} in writes of 4093", whole, chop=4093)
            for part in (256, 4096, 65536):
                yield passes(
                    f"9 {kind} of {size} in fragments of {part}",
                    *pieces(opcode, whole.payload, part),
                    arrives=(whole,),
                    wired=part == 4096,
                )
        beyond = fill * (MIB + 1)
        yield fails(f"9 {kind} of one octet too many", 1009, Frame(opcode, beyond))
        yield fails(
            f"9 {kind} of one octet too many, in fragments", 1009, *pieces(opcode, beyond, 65536)
        )
        # Not only when the frame ends.
        endless = Frame(opcode, beyond + fill * 9)
        yield fails(f"9 {kind} of too many, and no end", 1009, endless, withheld=9, wired=True)
        small = pieces(opcode, fill * 4097, 1)
        yield fails(f"9 {kind} of one fragment too many", 1008, *small)
        yield passes(
            f"10 {kind} in pieces of 1300",
            *pieces(opcode, fill * 65536, 1300),
            arrives=(Frame(opcode, fill * 65536),),
            wired=True,
        )
        for size in (0, 16, 1024):
            many = [Frame(opcode, fill * size)] * 1000
            yield passes(f"9 a thousand of {kind}, {size} each", *many, wired=size == 16)
    # What counts is what is sent, not how many characters it is.
    euros = Frame(TEXT, "€".encode() * (MIB // 3) + b"x")
    yield passes("9 as many characters as fit", euros)
    more = Frame(TEXT, euros.payload + b"x")
    yield fails("9 one more than fit", 1009, more)


def masks() -> Iterator[Case]:
    """A client has to mask (RFC 6455 section 5.1), a server must not."""
    for kind, frame in {"text": OK, "ping": Frame(PING), "close": Frame(CLOSE)}.items():
        yield Case(
            f"1 {kind} with a mask on the wrong side",
            (frame,),
            fails=1002,
            is_wrongly_masked=True,
            is_wired=True,
        )


CASES: Final = tuple(
    case
    for section in (
        *(framing, masks, pings, reserved_bits, reserved_opcodes),
        *(fragmentation, utf8, closes, large),
    )
    for case in section()
)
