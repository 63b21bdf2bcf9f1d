"""What the clients of HTTP/2 and HTTP/3 that send whatever they like have in common: literal fields, and what came of streams."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Outcomes", "Text", "literal", "octets_of"]

Text = str | bytes
TAIL: Final = 64
"""Octets of a body that are kept."""


def octets_of(fields: Iterable[tuple[Text, Text]]) -> list[tuple[bytes, bytes]]:
    """Fields as they are sent, whatever is in them."""

    def octets(text: Text) -> bytes:
        return text.encode("latin-1") if isinstance(text, str) else text

    return [(octets(name), octets(value)) for name, value in fields]


def literal(text: bytes, prefix: int = 7, first: int = 0) -> bytes:
    """A string that is not coded, behind its length (RFC 7541 section 5.2, which RFC 9204 takes over).

    Args:
        text: It.
        prefix: How many bits of the first octet the length has.
        first: The other bits of that octet.
    """
    most = (1 << prefix) - 1
    if len(text) < most:
        return bytes([first | len(text)]) + text
    coded, rest = bytearray([first | most]), len(text) - most
    while rest >= 128:
        coded.append(rest & 127 | 128)
        rest >>= 7
    coded.append(rest)
    return bytes(coded) + text


class Outcomes:
    """What came of a connection's streams.

    Attributes:
        answers: The status of each answer, by stream.
        over: Streams whose answers are whole.
        reset: Codes of streams that the gateway reset.
        codes: How many streams were reset with which code.
        received: Bytes of answers' bodies.
        tails: The end of each body.
    """

    def __init__(self) -> None:
        self.answers: dict[int, int] = {}
        self.over: set[int] = set()
        self.reset: dict[int, int] = {}
        self.codes: Counter[int] = Counter()
        self.received = 0
        self.tails: dict[int, bytes] = {}

    def note_head(self, stream: int, fields: Mapping[bytes, bytes]) -> None:
        """Take note of a head, of which the first is the answer's."""
        self.answers.setdefault(stream, int(fields.get(b":status", b"0")))

    def note_body(self, stream: int, body: bytes) -> None:
        """Take note of some of a body."""
        self.received += len(body)
        self.tails[stream] = (self.tails.get(stream, b"") + body)[-TAIL:]

    def note_reset(self, stream: int, code: int) -> None:
        """Take note of a reset."""
        self.reset[stream] = code
        self.codes[code] += 1

    def has_ended(self, stream: int) -> bool:
        """Whether nothing more comes on a stream."""
        return stream in self.over or stream in self.reset
