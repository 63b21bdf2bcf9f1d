"""Request smuggling between versions: what HTTP/2 and HTTP/3 can say and HTTP/1.1 would read differently.

Each case is sent over a whole gateway, in HTTP/2 and in HTTP/3, to backends that speak HTTP/1.1, HTTP/2 and HTTP/3. It is
refused as the table says, no backend sees anything of it, and the connection serves the next request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.attacks import http3_raw
from tests.attacks.http2_raw import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PROTOCOL_ERROR,
    block,
    frame,
    raw_http2,
)
from tests.attacks.site import COUNTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 120.0
EVIL: Final = "GET /evil HTTP/1.1\r\nHost: a.test\r\n\r\n"
MALFORMED: Final = -PROTOCOL_ERROR
"""How the end of a stream by the client's fault stands in the table (over HTTP/3 that is H3_MESSAGE_ERROR); a positive
number is a status."""

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Case:
    """A request, or what stands in for one.

    Attributes:
        outcome: `MALFORMED`, or the status of the answer.
        more: Fields behind the pseudo-fields.
        pseudo: In place of the usual pseudo-fields; None takes one away.
        body: Frames of the body; None for a request that ends with its head.
        trailers: Fields behind the body.
        first: Fields in front of the pseudo-fields.
        begins: Whether the head is good, so that a backend may see its path.
        ends: Whether the request ends; what is refused while it goes on is not passed on until then.
    """

    outcome: int
    more: Fields = ()
    pseudo: dict[str, str | None] | None = None
    body: tuple[str, ...] | None = None
    trailers: Fields = ()
    first: Fields = ()
    begins: bool = False
    ends: bool = True


def field(name: str, value: str) -> Case:
    return Case(MALFORMED, ((name, value),))


def pseudo(outcome: int = MALFORMED, **values: str | None) -> Case:
    return Case(outcome, pseudo=values)


def length(value: str, *body: str, outcome: int = MALFORMED, begins: bool = False) -> Case:
    return Case(
        outcome, (("content-length", value),), {"method": "POST"}, body or None, begins=begins
    )


CASES: Final = {
    # What would end a line of HTTP/1.1, or begin another one.
    "CR in a value": field("x", "a\rb"),
    "LF in a value": field("x", "a\nb"),
    "NUL in a value": field("x", "a\0b"),
    "a field in a value": field("x", "a\r\ny: b"),
    "a request in a value": field("x", f"a\r\n\r\n{EVIL}"),
    "space in front of a value": field("x", " a"),
    "tab behind a value": field("x", "a\t"),
    "another control character in a value": field("x", "a\x01b"),
    "DEL in a value": field("x", "a\x7fb"),
    "CR in a name": field("x\ry", "a"),
    "LF in a name": field("x\ny", "a"),
    "NUL in a name": field("x\0y", "a"),
    "a field in a name": field("x: a\r\ny", "b"),
    "colon in a name": field("x:y", "a"),
    "colon behind a name": field("x:", "a"),
    "space in a name": field("x y", "a"),
    "space behind a name": field("content-length ", "5"),
    "upper case in a name": field("X-Y", "a"),
    "upper case in the name of a length": Case(
        MALFORMED, (("Content-Length", "5"),), {"method": "POST"}, ("abcde",)
    ),
    "no name": field("", "a"),
    "an octet beyond ASCII in a name": field("x\xff", "a"),
    "a separator in a name": field("x(y)", "a"),
    # What belongs to one connection.
    "transfer-encoding: chunked": field("transfer-encoding", "chunked"),
    "transfer-encoding: identity": field("transfer-encoding", "identity"),
    "transfer-encoding with a body": Case(
        MALFORMED,
        (("transfer-encoding", "chunked"),),
        {"method": "POST"},
        (f"0\r\n\r\n{EVIL}",),
    ),
    "transfer-encoding and a length": Case(
        MALFORMED,
        (("transfer-encoding", "chunked"), ("content-length", "5")),
        {"method": "POST"},
        ("0\r\n\r\n",),
    ),
    "connection: close": field("connection", "close"),
    "connection that names a field": field("connection", "content-length"),
    "keep-alive": field("keep-alive", "timeout=5"),
    "proxy-connection": field("proxy-connection", "keep-alive"),
    "upgrade": field("upgrade", "websocket"),
    "upgrade: h2c": field("upgrade", "h2c"),
    "te other than trailers": field("te", "gzip"),
    "te with more than trailers": field("te", "trailers, chunked"),
    # Pseudo-fields.
    "no method": pseudo(method=None),
    "no scheme": pseudo(scheme=None),
    "no path": pseudo(path=None),
    "an empty method": pseudo(400, method=""),
    "an empty path": pseudo(path=""),
    "an empty authority": pseudo(authority=""),
    "a method twice": Case(MALFORMED, first=((":method", "GET"),)),
    "a path twice": Case(MALFORMED, first=((":path", "/evil"),)),
    "a scheme twice": Case(MALFORMED, first=((":scheme", "http"),)),
    "an authority twice": Case(MALFORMED, first=((":authority", "evil.test"),)),
    "a pseudo-field that is none": Case(MALFORMED, first=((":evil", "x"),)),
    "the pseudo-field of answers": Case(MALFORMED, first=((":status", "200"),)),
    "a protocol without CONNECT": Case(MALFORMED, first=((":protocol", "websocket"),)),
    "a pseudo-field behind others": Case(
        MALFORMED, (("x", "y"), (":path", "/evil")), {"path": None}
    ),
    "a field in front of pseudo-fields": Case(MALFORMED, first=(("x", "y"),)),
    "a request in the method": pseudo(method=f"{EVIL}GET"),
    "space in the method": pseudo(400, method="GET /evil HTTP/1.1"),
    "a request in the path": pseudo(path=f"/ HTTP/1.1\r\nHost: a.test\r\n\r\n{EVIL}"),
    "space in the path": pseudo(400, path="/evil HTTP/1.1"),
    "LF in the path": pseudo(path="/\nevil"),
    "NUL in the path": pseudo(path="/\0evil"),
    "an absolute path": pseudo(path="http://evil.test/"),
    "a path without a slash": pseudo(path="evil"),
    "a path that begins with a query": pseudo(path="?evil"),
    "an asterisk without OPTIONS": pseudo(path="*"),
    "a scheme that is none": pseudo(scheme="http://evil.test/?"),
    "another scheme": pseudo(scheme="file"),
    "CR and LF in the scheme": pseudo(scheme="http\r\nx: y"),
    "CR and LF in the authority": pseudo(authority="a.test\r\nx: y"),
    "a path in the authority": pseudo(400, authority="a.test/evil"),
    "a user in the authority": pseudo(400, authority="evil@a.test"),
    "space in the authority": pseudo(400, authority="a.test evil"),
    "two names in the authority": pseudo(400, authority="a.test,evil.test"),
    "a port that is none": pseudo(400, authority="a.test:evil"),
    "an authority and another host": field("host", "evil.test"),
    "an authority, its host, and another": Case(
        MALFORMED, (("host", "a.test"), ("host", "evil.test"))
    ),
    "two hosts": Case(400, (("host", "a.test"), ("host", "evil.test")), {"authority": None}),
    "no host at all": pseudo(400, authority=None),
    "CONNECT": pseudo(405, method="CONNECT", scheme=None, path=None),
    # Lengths. Where the head is good, its request may have begun: it must not end well.
    "a length and no body": length("5"),
    "a length and an empty body": length("5", "", begins=True),
    "less than the length": length("5", "abc", begins=True),
    "less than the length, in pieces": length("5", "a", "bc", "", begins=True),
    "more than the length": length("5", f"abcde{EVIL}", begins=True),
    "more than the length, in pieces": length("5", "abcde", EVIL, begins=True),
    "more than the length, and no end": Case(
        MALFORMED,
        (("content-length", "5"),),
        {"method": "POST"},
        ("abcde", EVIL),
        begins=True,
        ends=False,
    ),
    "more than no length": length("0", EVIL, begins=True),
    "two lengths": Case(
        400, (("content-length", "5"), ("content-length", "3")), {"method": "POST"}, ("abcde",)
    ),
    "two lengths in one": length("5, 3", "abc"),
    "a length with a sign": length("+5", "abcde"),
    "a negative length": length("-1", "abcde"),
    "a length in hexadecimal": length("0x5", "abcde"),
    "a length with a fraction": length("5.0", "abcde"),
    "an empty length": length("", "abcde"),
    "a length of many digits": length("9" * 40, "abcde"),
    "a length in other digits": length("\xb2", "ab"),
    "less than the length, and trailers": Case(
        MALFORMED,
        (("content-length", "5"),),
        {"method": "POST"},
        ("abc",),
        (("x", "y"),),
        begins=True,
    ),
    # Trailers.
    "a pseudo-field in trailers": Case(
        MALFORMED, (), {"method": "POST"}, ("abc",), ((":path", "/evil"),), begins=True
    ),
    "LF in trailers": Case(
        MALFORMED, (), {"method": "POST"}, ("abc",), (("x", f"y\r\n\r\n{EVIL}"),), begins=True
    ),
    "upper case in trailers": Case(
        MALFORMED, (), {"method": "POST"}, ("abc",), (("X", "y"),), begins=True
    ),
    "a connection's field in trailers": Case(
        MALFORMED,
        (),
        {"method": "POST"},
        ("abc",),
        (("transfer-encoding", "chunked"),),
        begins=True,
    ),
    # An expectation that nobody has.
    "another expectation": Case(417, (("expect", "evil"),)),
}


def head(case: Case, host: str) -> list[tuple[str, str]]:
    """The fields of a case, for this host."""
    usual: dict[str, str | None] = {
        "method": "GET",
        "scheme": "http",
        "authority": host,
        "path": "/smuggled",
    }
    told = usual | {
        name: value.replace("a.test", host) if value else value
        for name, value in (case.pseudo or {}).items()
    }
    fields = [(f":{name}", value) for name, value in told.items() if value is not None]
    more = [(name, value.replace("a.test", host)) for name, value in case.more]
    return [*case.first, *fields, *more]


def octets(case: Case, host: str) -> bytes:
    """The frames of a case on stream 1 of HTTP/2."""
    ends = 0 if case.body is not None else END_STREAM
    sent = frame(HEADERS, 1, block(head(case, host)), END_HEADERS | ends)
    body = case.body or ()
    for at, piece in enumerate(body):
        is_last = at == len(body) - 1 and not case.trailers and case.ends
        sent += frame(DATA, 1, piece.encode(), END_STREAM * is_last)
    if case.trailers:
        sent += frame(HEADERS, 1, block(case.trailers), END_HEADERS | END_STREAM)
    return sent


def octets_of_http3(case: Case, host: str) -> bytes:
    """All of a case's stream, in HTTP/3."""
    sent = http3_raw.frame(http3_raw.HEADERS, http3_raw.block(head(case, host)))
    for piece in case.body or ():
        sent += http3_raw.frame(http3_raw.DATA, piece.encode())
    if case.trailers:
        sent += http3_raw.frame(http3_raw.HEADERS, http3_raw.block(case.trailers))
    return sent


Outcome = tuple[int, int | None, int | None]
"""What became of a case, the status of the request behind it, and what ended the connection."""


async def ask_in_http2(site: Site, case: Case, host: str) -> Outcome:
    good = [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", "/good")]
    async with raw_http2(site.port) as client:
        await client.send(octets(case, host))
        await client.until(1)
        outcome = -client.reset[1] if 1 not in client.answers else client.answers[1]
        await client.send(frame(HEADERS, 3, block(good), END_HEADERS | END_STREAM))
        await client.until(3)
        return outcome, client.answers.get(3), client.goaway


async def ask_in_http3(site: Site, case: Case, host: str) -> Outcome:
    async with http3_raw.raw_http3(site.http3) as client:
        await client.send(0, octets_of_http3(case, host), end=case.ends)
        await client.until_over(0)
        outcome = client.answers.get(0) or -client.reset.get(0, 0)
        if outcome == -http3_raw.MESSAGE_ERROR:
            outcome = MALFORMED
        await client.send(4, http3_raw.head("/good", host=host), end=True)
        await client.until_over(4)
        ended = client.ended.error_code if client.ended is not None else None
        return outcome, client.answers.get(4), ended


NOT_QPACK: Final = {"no name"}
"""Heads that the coding of HTTP/3's heads does not have: their connection ends, with QPACK_DECOMPRESSION_FAILED."""

ASKED: Final = {"HTTP/2": ask_in_http2, "HTTP/3": ask_in_http3}


@pytest.mark.parametrize("host", ["a.test", "h2.test", "h3.test"])
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("name", CASES)
async def test_what_is_refused_reaches_no_backend(
    site: Site, name: str, ask: Callable[[Site, Case, str], Awaitable[Outcome]], host: str
) -> None:
    case = CASES[name]
    with trio.fail_after(PATIENCE_S):
        # What had begun in the case before this one may just be on its way to a backend.
        await site.until_counted()
        before = site.asked
        outcome = await ask(site, case, host)
        await site.until_counted()
    reached = site.asked - before
    del reached[COUNTED]
    if ask is ask_in_http3 and name in NOT_QPACK:
        assert outcome == (0, None, http3_raw.QPACK_FAILED)
        assert not reached
        return
    assert outcome == (case.outcome, 200, None)
    if case.begins:
        del reached["/smuggled"]
    assert reached == {"/good": 1}


@pytest.mark.parametrize("host", ["a.test", "h2.test", "h3.test"])
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_what_is_allowed_reaches_them(
    site: Site, ask: Callable[[Site, Case, str], Awaitable[Outcome]], host: str
) -> None:
    # The table would prove nothing if all were refused.
    good = [
        Case(200),
        Case(200, (("host", "a.test"),)),
        Case(200, (("host", "a.test"),), {"authority": None}),
        Case(200, (("te", "trailers"), ("cookie", "a=b"), ("cookie", "c=d"))),
        Case(200, (("content-length", "5"),), {"method": "POST"}, ("ab", "cde")),
        Case(200, (("content-length", "5"),), {"method": "POST"}, ("abcde",), (("x", "y"),)),
        Case(200, (("content-length", "0"),), {"method": "POST"}),
        Case(200, (), {"method": "POST"}, (EVIL,)),
    ]
    with trio.fail_after(PATIENCE_S):
        await site.until_counted()
        before = site.asked
        for case in good:
            assert await ask(site, case, host) == (200, 200, None)
    assert site.asked - before == {"/smuggled": len(good), "/good": len(good)}
