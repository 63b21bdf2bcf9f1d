"""Where the gateway and h11 disagree on purpose.

`STRICTER`: h11 takes it and the gateway refuses it. `LAXER`: the other way round. Each entry has a
reason and a test of whether it may apply to the bytes at hand; a disagreement that no entry covers
is a bug on one side. What the gateway refuses for what a request *means* (not how it is spelt) is
in `canonical.RefusedError`.
"""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["LAXER", "STRICTER", "STRICTER_RESPONSES", "Difference", "explained"]


@dataclass(frozen=True)
class Difference:
    """One deliberate disagreement."""

    name: str
    why: str
    pattern: re.Pattern[bytes]


def _when(name: str, pattern: bytes, why: str) -> Difference:
    return Difference(name, why, re.compile(pattern, re.DOTALL | re.IGNORECASE))


STRICTER: Final = (
    _when(
        "line ends",
        rb"(?<!\r)\n|\r(?!\n)",
        "RFC 9112 §2.2 lets a recipient take a bare LF; two parsers that differ on it are smuggling",
    ),
    _when(
        "folded lines",
        rb"\r\n[ \t]",
        "RFC 9112 §5.2 has a server refuse obs-fold or repair it; it is refused",
    ),
    _when(
        "control characters in values",
        rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
        "RFC 9110 §5.5: some backends end a value at a control character",
    ),
    _when(
        "a length said twice",
        rb"content-length:.*(,|\ncontent-length:)",
        "RFC 9110 §8.6 allows one repeated length; who sends it is testing somebody's parser",
    ),
    _when(
        "blanks or length of a chunk size",
        rb"\n[0-9a-f]+[ \t]+[;\r]|\n[0-9a-f]{16}|;[^\n]*[\x00-\x1f\x7f]",
        "RFC 9112 §7.1 has none before the extension; fifteen digits are enough for any chunk",
    ),
    _when(
        "an underscore for a hyphen in a field the gateway acts on",
        rb"\n[!-9;-~]*_[!-9;-~]*:",
        "CGI and its heirs read `Content_Length` as `Content-Length`, `X_Forwarded_For` alike",
    ),
)

LAXER: Final = (
    _when(
        "an empty line before a request",
        rb"(\A|\n)\r\n[!-~]",
        "RFC 9112 §2.2: a server should skip one; old clients send it behind a body",
    ),
    _when(
        "UTF-8 in the target",
        rb"[\x80-\xff]",
        "browsers and curl send it; it is escaped before anybody else reads it",
    ),
)


STRICTER_RESPONSES: Final = (
    *STRICTER[:3],
    STRICTER[4],
    _when(
        "two framings in a response",
        rb"transfer-encoding:.*content-length:|content-length:.*transfer-encoding:",
        "RFC 9112 §6.3 lets the coding win; the client may count, and read the rest as a response",
    ),
    _when(
        "chunks in HTTP/1.0",
        rb"HTTP/1\.0.*transfer-encoding:",
        "RFC 9112 §6.1: the framing of such a message is faulty",
    ),
)


def explained(raw: bytes, differences: tuple[Difference, ...]) -> bool:
    """Whether one of these differences may apply to these bytes."""
    return any(difference.pattern.search(raw) for difference in differences)
