"""What backends say, and what the client of the gateway gets of it."""

from dataclasses import dataclass
from typing import Final

__all__ = ["RESPONSES", "ResponseCase"]


@dataclass(frozen=True)
class ResponseCase:
    """What a backend sends, and what must come of it."""

    name: str
    sent: bytes
    client: bytes | None
    """What the client gets, to the byte; `None` is a 502."""
    is_kept: bool = False
    """Whether the connection to the backend is used again."""
    closes: bool = False
    """The backend closes the connection behind its bytes."""
    is_whole: bool = True
    """Whether what the client gets is a whole message."""
    method: bytes = b"GET"
    version: bytes = b"1.1"
    fields: bytes = b""
    """Further lines of the request."""


OK: Final = b"HTTP/1.1 200 OK\r\n"
NEXT: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
BYE: Final = b"Connection: close\r\n"


def bad(name: str, sent: bytes, *, closes: bool = False) -> ResponseCase:
    """A response that is not passed on."""
    return ResponseCase(name, sent, None, closes=closes)


def torn(name: str, sent: bytes, client: bytes, *, closes: bool = False) -> ResponseCase:
    """A response that breaks behind its head: the client gets a beginning, and sees that it is one."""
    return ResponseCase(name, sent, client, closes=closes, is_whole=False)


def length(value: bytes, body: bytes = b"") -> bytes:
    """A response with one `Content-Length`."""
    return OK + b"Content-Length: " + value + b"\r\n\r\n" + body


def chunked(body: bytes) -> bytes:
    """A chunked response."""
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + body


LAST: Final = b"0\r\n\r\n"
TWO: Final = length(b"2", b"ab")

RESPONSES: Final = [
    # -------------------------------------------------------------------------------- well framed
    ResponseCase("a length", TWO, TWO, is_kept=True),
    ResponseCase("a length of zero", length(b"0"), length(b"0"), is_kept=True),
    ResponseCase("one length said twice", length(b"2, 2", b"ab"), TWO, is_kept=True),
    ResponseCase(
        "one length in two fields",
        OK + b"Content-Length: 2\r\nContent-Length: 02\r\n\r\nab",
        TWO,
        is_kept=True,
    ),
    ResponseCase(
        "chunks are cut anew, trailers stay",
        chunked(b"02;x=y\r\nab\r\n0\r\nX-T: 1\r\n\r\n"),
        chunked(b"2\r\nab\r\n0\r\nX-T: 1\r\n\r\n"),
        is_kept=True,
    ),
    ResponseCase(
        "trailers that frame or identify are dropped",
        chunked(b"0\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nTransfer-Encoding: x\r\n\r\n"),
        chunked(LAST),
        is_kept=True,
    ),
    ResponseCase(
        "until the backend closes, chunks for the client",
        OK + b"X: y\r\n\r\nab",
        OK + b"X: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" + LAST,
        closes=True,
    ),
    ResponseCase(
        "an HTTP/1.0 backend",
        b"HTTP/1.0 200 OK\r\n\r\nab",
        chunked(b"2\r\nab\r\n" + LAST),
        closes=True,
    ),
    ResponseCase(
        "an HTTP/1.0 backend that stays",
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nab",
        TWO,
        is_kept=True,
    ),
    ResponseCase("a backend that closes by intent", OK + BYE + TWO[len(OK) :], TWO),
    ResponseCase(
        "an HTTP/1.0 client gets no chunks",
        chunked(b"2\r\nab\r\n0\r\nX-T: 1\r\n\r\n"),
        OK + BYE + b"\r\nab",
        is_kept=True,
        version=b"1.0",
    ),
    ResponseCase(
        "an HTTP/1.0 client that stays",
        TWO,
        OK + b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\nab",
        is_kept=True,
        version=b"1.0",
        fields=b"Connection: keep-alive\r\n",
    ),
    # ------------------------------------------------------------------------------------ no body
    ResponseCase("HEAD with a length", length(b"5"), length(b"5"), is_kept=True, method=b"HEAD"),
    ResponseCase("HEAD with chunks", chunked(b""), OK + b"\r\n", is_kept=True, method=b"HEAD"),
    ResponseCase("HEAD with a body", TWO, length(b"2"), method=b"HEAD"),
    ResponseCase(
        "304 with a length",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        is_kept=True,
    ),
    ResponseCase(
        "204 with nothing",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        is_kept=True,
    ),
    ResponseCase(
        "204 with a body",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ),
    ResponseCase(
        "204 with a body that is late",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ),
    # ------------------------------------------------------------------------------- ambiguous
    bad("both framings", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    bad("both framings, turned", OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab"),
    bad("two lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    bad("two lengths in a list", length(b"2, 3", b"abc")),
    bad("a length with a comma", length(b"2,", b"ab")),
    bad("a signed length", length(b"+2", b"ab")),
    bad("a negative length", length(b"-2", b"ab")),
    bad("a length in hexadecimal", length(b"0x2", b"ab")),
    bad("a length beyond 63 bits", length(b"9223372036854775808", b"ab")),
    bad("an empty length", length(b"", b"ab")),
    bad("an unknown coding", OK + b"Transfer-Encoding: gzip\r\n\r\nab", closes=True),
    bad("identity", OK + b"Transfer-Encoding: identity\r\n\r\nab", closes=True),
    bad("a coding before chunked", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST),
    bad("chunked twice", OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + LAST),
    bad("chunked in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST),
    # ----------------------------------------------------------------------------- broken heads
    bad("nothing", b"", closes=True),
    bad("half a head", b"HTTP/1.1 200 OK\r\nContent-", closes=True),
    bad("no HTTP", b"220 smtp.test ESMTP\r\n\r\n"),
    bad("HTTP/0.9", b"<html>", closes=True),
    bad("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("an empty line before", b"\r\n" + TWO),
    bad("bytes before", b"x" + TWO),
    bad("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("a status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("a status above 599", b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"),
    bad("LF line ends", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab"),
    bad("one LF line end", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nab"),
    bad("a bare CR", OK + b"X: y\rContent-Length: 2\r\n\r\nab"),
    bad("a folded field", OK + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n"),
    bad("a blank before a colon", OK + b"Content-Length : 0\r\n\r\n"),
    bad("a NUL in a value", OK + b"X: \0\r\nContent-Length: 0\r\n\r\n"),
    bad("a name that is no token", OK + b"X Y: z\r\nContent-Length: 0\r\n\r\n"),
    bad("too long a field", OK + b"X: " + b"y" * 40_000 + b"\r\n\r\n"),
    bad("too many fields", OK + b"X: y\r\n" * 300 + b"\r\n"),
    # ---------------------------------------------------------------------------- broken bodies
    torn("too short a body", length(b"5", b"ab"), length(b"5", b"ab"), closes=True),
    torn("chunks without end", chunked(b"2\r\nab\r\n"), chunked(b"2\r\nab\r\n"), closes=True),
    torn("half a chunk", chunked(b"5\r\nab"), chunked(b"2\r\nab\r\n"), closes=True),
    torn("a last chunk without end", chunked(b"0\r\n"), chunked(b""), closes=True),
    torn("a chunk size that is none", chunked(b"x\r\nab\r\n" + LAST), chunked(b"")),
    torn("a chunk longer than said", chunked(b"2\r\nabc\r\n" + LAST), chunked(b"2\r\nab\r\n")),
    torn("a chunk ended by LF", chunked(b"2\r\nab\n" + LAST), chunked(b"2\r\nab\r\n")),
    torn("a trailer that is none", chunked(b"0\r\nx\r\n\r\n"), chunked(b"")),
    torn("trailers without end", chunked(b"0\r\n" + b"X: 123456789\r\n" * 700), chunked(b"")),
    torn("extensions without end", chunked(b"2;" + b"x" * 5000), chunked(b"")),
    # ------------------------------------------------------------------- a second response behind
    ResponseCase("a second response behind a length", TWO + NEXT, TWO),
    ResponseCase("a second response behind chunks", chunked(LAST) + NEXT, chunked(LAST)),
    ResponseCase("a second response behind nothing", length(b"0") + NEXT, length(b"0")),
    ResponseCase(
        "a second response behind HEAD", length(b"5") + NEXT, length(b"5"), method=b"HEAD"
    ),
    ResponseCase("a byte behind a length", TWO + b"\n", TWO),
    # -------------------------------------------------------------------------------- interim ones
    ResponseCase("100 is ours to say", b"HTTP/1.1 100 Continue\r\n\r\n" + TWO, TWO, is_kept=True),
    ResponseCase(
        "103 is passed on",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\n" + TWO,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + TWO,
        is_kept=True,
    ),
    ResponseCase(
        "an HTTP/1.0 client gets no 103",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + TWO,
        OK + b"Content-Length: 2\r\n" + BYE + b"\r\nab",
        is_kept=True,
        version=b"1.0",
    ),
    ResponseCase(
        "a length in an interim response means nothing",
        b"HTTP/1.1 102 Processing\r\nContent-Length: 30\r\n\r\n" + TWO,
        b"HTTP/1.1 102 \r\n\r\n" + TWO,
        is_kept=True,
    ),
    bad(
        "a change of protocol that nobody asked for",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    # ---------------------------------------------------------------------------------- fields
    ResponseCase(
        "what concerns one connection only goes",
        OK + b"Connection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
        b"Proxy-Authenticate: x\r\nTrailer: X\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nab",
        OK + b"X-B: 2\r\nContent-Length: 2\r\n\r\nab",
        is_kept=True,
    ),
    ResponseCase(
        "a response cannot nominate its framing away",
        OK + b"Connection: content-length, x-a\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab",
        TWO,
        is_kept=True,
    ),
    ResponseCase(
        "what only the gateway may say is dropped",
        OK + b"Otoroshi-State-Resp: x\r\nRemote-Address: x\r\nContent-Length: 2\r\n\r\nab",
        TWO,
        is_kept=True,
    ),
    ResponseCase(
        "the reason is the registered one, cookies stay apart",
        b"HTTP/1.1 404 Whatever\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        is_kept=True,
    ),
]
