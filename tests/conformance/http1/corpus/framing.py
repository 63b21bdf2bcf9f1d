"""Where a message ends: lengths, codings, chunks, trailers, and what is hidden behind them."""

from typing import Final

from tests.conformance.http1.corpus.case import HEAD, accepted, cut, got, refused

__all__ = ["FRAMING"]

CL: Final = b"Content-Length: "
TE: Final = b"Transfer-Encoding: "
CHUNKED: Final = HEAD + TE + b"chunked\r\n\r\n"
LAST: Final = b"0\r\n\r\n"
HIDDEN: Final = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
POSTED: Final = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OVERFLOW: Final = b"9" * 20


def length(value: bytes, body: bytes = b"") -> bytes:
    """A request with one `Content-Length`."""
    return HEAD + CL + value + b"\r\n\r\n" + body


def coding(line: bytes, body: bytes = LAST) -> bytes:
    """A request with this line in the place of `Transfer-Encoding: chunked`."""
    return HEAD + line + b"\r\n\r\n" + body


FRAMING: Final = [
    # ---------------------------------------------------------------- both framings, in each order
    refused("CL.TE", HEAD + CL + b"4\r\n" + TE + b"chunked\r\n\r\n" + LAST + HIDDEN),
    refused("TE.CL", HEAD + TE + b"chunked\r\n" + CL + b"4\r\n\r\n" + LAST + HIDDEN),
    refused("CL of zero with TE", HEAD + CL + b"0\r\n" + TE + b"chunked\r\n\r\n" + LAST),
    refused("TE between two CL", HEAD + CL + b"4\r\n" + TE + b"chunked\r\n" + CL + b"4\r\n\r\n"),
    # ------------------------------------------------------------------------------------- lengths
    refused("two different CL", HEAD + CL + b"4\r\n" + CL + b"5\r\n\r\nabcde"),
    refused("two equal CL", HEAD + CL + b"4\r\n" + CL + b"4\r\n\r\nabcd"),
    refused("CL as a list", length(b"4, 4", b"abcd")),
    refused("CL as a list of different", length(b"4,5", b"abcd")),
    refused("CL with a plus", length(b"+4", b"abcd")),
    refused("CL with a minus", length(b"-4", b"abcd")),
    refused("CL of minus zero", length(b"-0")),
    refused("CL in hexadecimal", length(b"0x4", b"abcd")),
    refused("CL with a fraction", length(b"4.0", b"abcd")),
    refused("CL with an exponent", length(b"4e0", b"abcd")),
    refused("CL with a blank inside", length(b"4 4", b"abcd")),
    refused("CL with an underscore", length(b"1_0", b"abcd")),
    refused("CL without a number", length(b"")),
    refused("CL with letters behind", length(b"4abc", b"abcd")),
    refused("CL in quotes", length(b'"4"', b"abcd")),
    refused("CL beyond 64 bits", length(OVERFLOW)),
    refused("CL of 2^63", length(b"9223372036854775808")),
    refused("CL of 2^64 + 4", length(b"18446744073709551620", b"abcd")),
    refused("CL in Arabic digits", length("٤".encode(), b"abcd")),
    refused("CL with a vertical tab", length(b"\x0b4", b"abcd")),
    refused("CL with a NUL behind", length(b"4\0", b"abcd")),
    refused("CL with a blank before the colon", HEAD + b"Content-Length : 4\r\n\r\nabcd"),
    refused("CL by an underscore", HEAD + b"Content_Length: 4\r\n\r\nabcd"),
    refused("CL folded", HEAD + b"Content-Length:\r\n 4\r\n\r\nabcd"),
    accepted(
        "CL with leading zeros is one number",
        length(b"0004", b"abcd"),
        got(method=b"POST", fields=CL + b"4\r\n") + b"abcd",
    ),
    accepted(
        "bytes behind a length are the next request",
        length(b"2", b"ab" + HIDDEN),
        got(method=b"POST", fields=CL + b"2\r\n") + b"ab" + got(b"/admin"),
    ),
    accepted(
        "a length may hide nothing: its bytes stay body",
        length(b"%d" % len(HIDDEN), HIDDEN),
        got(method=b"POST", fields=CL + b"%d\r\n" % len(HIDDEN)) + HIDDEN,
    ),
    accepted(
        "a GET with a body keeps it",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        got(fields=CL + b"2\r\n") + b"ab",
    ),
    # ------------------------------------------------------------------------------------- codings
    refused("TE gzip", coding(TE + b"gzip"), 501),
    refused("TE gzip, chunked", coding(TE + b"gzip, chunked"), 501),
    refused("TE chunked, gzip", coding(TE + b"chunked, gzip"), 501),
    refused("TE identity", coding(TE + b"identity"), 501),
    refused("TE identity, chunked", coding(TE + b"identity, chunked"), 501),
    refused("TE chunked twice in a list", coding(TE + b"chunked, chunked"), 501),
    refused("TE chunked twice", coding(TE + b"chunked\r\n" + TE + b"chunked")),
    refused("TE chunked, then identity", coding(TE + b"chunked\r\n" + TE + b"identity")),
    refused("TE identity, then chunked", coding(TE + b"identity\r\n" + TE + b"chunked"), 501),
    refused("TE with letters before", coding(TE + b"xchunked"), 501),
    refused("TE with letters behind", coding(TE + b"chunkedx"), 501),
    refused("TE with a comma behind", coding(TE + b"chunked,"), 501),
    refused("TE with a comma before", coding(TE + b",chunked"), 501),
    refused("TE with a parameter", coding(TE + b"chunked;q=1"), 501),
    refused("TE in quotes", coding(TE + b'"chunked"'), 501),
    refused("TE without a coding", coding(TE), 501),
    refused("TE with a vertical tab", coding(b"Transfer-Encoding:\x0bchunked")),
    refused("TE with a form feed", coding(b"Transfer-Encoding:\x0cchunked")),
    refused("TE with a NUL behind", coding(TE + b"chunked\0")),
    refused("TE with a no-break space", coding(TE + b"\xa0chunked"), 501),
    refused("TE with a Kelvin sign", coding(TE + "chun\u212aed".encode()), 501),
    refused("TE with a blank before the colon", coding(b"Transfer-Encoding : chunked")),
    refused("TE with a tab before the colon", coding(b"Transfer-Encoding\t: chunked")),
    refused("TE with a blank before the name", coding(b" Transfer-Encoding: chunked")),
    refused("TE behind a bare LF", coding(b"X: y\nTransfer-Encoding: chunked")),
    refused("TE behind a bare CR", coding(b"X: y\rTransfer-Encoding: chunked")),
    refused("TE folded", coding(b"Transfer-Encoding:\r\n chunked")),
    refused("TE folded into another field", coding(b"X: y\r\n Transfer-Encoding: chunked")),
    refused("TE by an underscore", coding(b"Transfer_Encoding: chunked")),
    refused("TE in HTTP/1.0", coding(TE + b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0"), 501),
    refused("TE nominated away", coding(TE + b"chunked\r\nConnection: transfer-encoding")),
    refused("CL nominated away", HEAD + CL + b"4\r\nConnection: content-length\r\n\r\nabcd"),
    accepted("TE in any case", coding(b"tRANSFER-eNCODING:\tChUnKeD \t"), POSTED + LAST),
    # -------------------------------------------------------------------------------------- chunks
    cut("chunk size with a plus", CHUNKED + b"+2\r\nab\r\n" + LAST),
    cut("chunk size with a minus", CHUNKED + b"-2\r\nab\r\n" + LAST),
    cut("chunk size with 0x", CHUNKED + b"0x2\r\nab\r\n" + LAST),
    cut("chunk size with a blank before", CHUNKED + b" 2\r\nab\r\n" + LAST),
    cut("chunk size with a blank behind", CHUNKED + b"2 \r\nab\r\n" + LAST),
    cut("chunk size with a tab behind", CHUNKED + b"2\t\r\nab\r\n" + LAST),
    cut("chunk size with a blank inside", CHUNKED + b"0 2\r\nab\r\n" + LAST),
    cut("chunk size with an underscore", CHUNKED + b"0_2\r\nab\r\n" + LAST),
    cut("chunk size with a NUL", CHUNKED + b"2\0\r\nab\r\n" + LAST),
    cut("chunk size of sixteen digits", CHUNKED + b"0000000000000002\r\nab\r\n" + LAST),
    cut("chunk size beyond 64 bits", CHUNKED + b"10000000000000002\r\nab\r\n" + LAST),
    cut("chunk size without digits", CHUNKED + b"\r\nab\r\n" + LAST),
    cut("chunk size that is only an extension", CHUNKED + b";a=b\r\nab\r\n" + LAST),
    cut("chunk size in letters", CHUNKED + b"g\r\nab\r\n" + LAST),
    cut("chunk size ended by LF", CHUNKED + b"2\nab\r\n" + LAST),
    cut("chunk size ended by CR", CHUNKED + b"2\rab\r\n" + LAST),
    cut("chunk size ended by CR CR LF", CHUNKED + b"2\r\r\nab\r\n" + LAST),
    cut("chunk extension with an LF inside", CHUNKED + b"2;\nxx\r\nab\r\n" + LAST),
    cut("chunk extension with a CR inside", CHUNKED + b"2;\rxx\r\nab\r\n" + LAST),
    cut("chunk extension with a NUL", CHUNKED + b"2;\0\r\nab\r\n" + LAST),
    cut("chunk data not ended", CHUNKED + b"2\r\nab" + LAST),
    cut("chunk data ended by LF", CHUNKED + b"2\r\nab\n" + LAST),
    cut("chunk data ended by CR", CHUNKED + b"2\r\nab\r" + LAST),
    cut("chunk data longer than said", CHUNKED + b"2\r\nabc\r\n" + LAST),
    cut("chunk data shorter than said", CHUNKED + b"3\r\nab\r\n" + LAST),
    cut("last chunk ended by LF", CHUNKED + b"0\n\n"),
    cut("last chunk and a bare LF", CHUNKED + b"0\r\n\n"),
    cut("last chunk and a bare CR", CHUNKED + b"0\r\n\rX\r\n"),
    cut("chunk extensions without end", CHUNKED + b"2;" + b"a" * 5000 + b"\r\nab\r\n" + LAST),
    cut("many short chunk extensions", CHUNKED + b"1;aaaaaaa\r\nx\r\n" * 600 + LAST),
    accepted(
        "chunk extensions are dropped",
        CHUNKED + b'2;a="\xff;b";c\r\nab\r\n' + LAST,
        POSTED + b"2\r\nab\r\n" + LAST,
    ),
    accepted(
        "chunk sizes are written anew",
        CHUNKED + b"00000000000000A\r\n0123456789\r\n" + b"000\r\n\r\n",
        POSTED + b"a\r\n0123456789\r\n" + LAST,
    ),
    accepted(
        "a last chunk hides nothing: what follows is the next request",
        CHUNKED + LAST + HIDDEN,
        POSTED + LAST + got(b"/admin"),
    ),
    accepted(
        "a chunk hides nothing: its bytes stay body",
        CHUNKED + b"%x\r\n%s\r\n" % (len(HIDDEN), HIDDEN) + LAST,
        POSTED + b"%x\r\n%s\r\n" % (len(HIDDEN), HIDDEN) + LAST,
    ),
    # ------------------------------------------------------------------------------------ trailers
    cut("a trailer without a colon", CHUNKED + b"0\r\nX-T\r\n\r\n"),
    cut("a trailer without a name", CHUNKED + b"0\r\n: 1\r\n\r\n"),
    cut("a trailer with a blank in its name", CHUNKED + b"0\r\nX T: 1\r\n\r\n"),
    cut("a trailer with a blank before the colon", CHUNKED + b"0\r\nX-T : 1\r\n\r\n"),
    cut("a folded trailer", CHUNKED + b"0\r\nX-T: 1\r\n 2\r\n\r\n"),
    cut("a trailer ended by LF", CHUNKED + b"0\r\nX-T: 1\n\r\n"),
    cut("a trailer with a CR inside", CHUNKED + b"0\r\nX-T: 1\r2\r\n\r\n"),
    cut("a trailer with a NUL", CHUNKED + b"0\r\nX-T: \0\r\n\r\n"),
    cut("trailers without end", CHUNKED + b"0\r\n" + b"X-T: 123456789\r\n" * 600 + b"\r\n"),
    cut("a request in the trailers", CHUNKED + b"0\r\n" + HIDDEN),
    accepted(
        "trailers that frame, route or authenticate are dropped",
        CHUNKED
        + b"0\r\nContent-Length: 9\r\ntransfer-encoding: chunked\r\nHost: b\r\nAuthorization: x\r\n"
        b"Cookie: x\r\nSet-Cookie: x\r\nContent-Type: x\r\nConnection: close\r\nTE: x\r\n"
        b"X-Forwarded-For: x\r\nOtoroshi-Claim: x\r\nX_Forwarded_For: x\r\nTrailer: x\r\n\r\n",
        POSTED + LAST,
    ),
    accepted(
        "other trailers stay",
        CHUNKED + b"0\r\nX-Checksum:1\r\n\r\n",
        POSTED + b"0\r\nX-Checksum:1\r\n\r\n",
    ),
]
