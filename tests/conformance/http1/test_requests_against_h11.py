"""What a backend gets is what h11 read from the client, in canonical form; or nothing.

h11 is the oracle twice: it reads what the client sent (`expected`), and, in the recording backend,
what the gateway made of it. Every request is sent whole, byte by byte, cut off at every offset and
with bytes behind it.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import h11
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from tests.conformance.http1.canonical import RefusedError, canonical_request, keeps_alive
from tests.conformance.http1.conversation import Outcome, byte_by_byte, staged
from tests.conformance.http1.differences import LAXER, STRICTER, explained
from tests.conformance.http1.messages import RequestReader, RequestSeen
from tests.conformance.http1.request_strategies import mutated_requests, plain_requests

REQUESTS = {
    "plain": b"GET /a/b?x=1&y HTTP/1.1\r\nHost: a.test:80\r\nAccept: */*\r\nX-A:  b \r\n\r\n",
    "length": b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    "zero length": b"POST /p HTTP/1.1\r\nHost: a\r\ncontent-length: 000\r\n\r\n",
    "chunked": (
        b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"4;name=value\r\nwiki\r\n5\r\npedia\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n"
    ),
    "empty chunked": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "hop by hop": (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Drop, keep-alive\r\nx-drop: 1\r\nTE: trailers\r\n"
        b"Keep-Alive: 5\r\nProxy-Authorization: x\r\nX-Keep: 1\r\n\r\n"
    ),
    "canonical path": b"GET //a/./%7Eb/../c%2fd%zz? HTTP/1.1\r\nHost: a\r\n\r\n".replace(
        b"%zz", b""
    ),
    "absolute": b"GET HTTP://A.test?q HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "old": b"GET /old HTTP/1.0\r\nHost: a\r\n\r\n",
    "old without host": b"GET /old HTTP/1.0\r\n\r\n",
    "old that stays": b"GET /old HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
    "gateway's own": (
        b"GET / HTTP/1.1\r\nHost: a\r\nOtoroshi-Claim: x\r\nX-Forwarded-For: 1.1.1.1\r\n"
        b"Remote-Address: x\r\nX-Forwarded-Host: a\r\n\r\n"
    ),
    "expectation": (
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi"
    ),
    "upgrade": b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "odd but right": b"!#$%&'*+-.^_`|~09 /;=:@ HTTP/1.1\r\nhOST:\ta\t\r\n!#$%&'*+-.^|~: \xff \r\nE:\r\n\r\n",
    "pipelined": (
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_reaches_the_backend_in_canonical_form(name: str) -> None:
    raw = REQUESTS[name]
    async with staged() as stage:
        for pieces in ([raw], byte_by_byte(raw)):
            outcome = await stage.converse(pieces)
            wanted, ending = expected(raw, outcome.authority)
            assert ending == "clean", "the table holds whole requests that both sides take"
            assert outcome.requests == wanted
            assert not outcome.is_refused


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_cut_off_anywhere_never_reaches_the_backend_whole(name: str) -> None:
    raw = REQUESTS[name]
    async with staged() as stage:
        for length in range(len(raw)):
            outcome = await stage.converse([raw[:length]])
            wanted, _ = expected(raw[:length], outcome.authority)
            assert outcome.requests == wanted, raw[:length]
            assert not outcome.is_refused, "what may yet become a request is not refused"


@pytest.mark.parametrize("behind", [b"GET /n HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"\0", b"junk"])
@pytest.mark.parametrize("name", REQUESTS)
async def test_bytes_behind_a_request_do_not_change_it(name: str, behind: bytes) -> None:
    raw = REQUESTS[name] + behind
    async with staged() as stage:
        agree(raw, await stage.converse([raw]))


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n",
    ],
    ids=[difference.name for difference in STRICTER],
)
async def test_what_only_h11_takes_is_refused(raw: bytes) -> None:
    """Each entry of the list of differences is one: it would be an excuse otherwise."""
    wanted, ending = expected(raw)
    assert wanted
    assert ending == "clean"
    async with staged() as stage:
        outcome = await stage.converse([raw])
    assert outcome.is_refused
    assert outcome.requests == []


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"/"),
        ("GET /é?ü HTTP/1.1\r\nHost: a\r\n\r\n".encode(), b"/%C3%A9?%C3%BC"),
    ],
    ids=[difference.name for difference in LAXER],
)
async def test_what_only_the_gateway_takes_is_made_canonical(raw: bytes, target: bytes) -> None:
    assert expected(raw) == ([], "refused")
    async with staged() as stage:
        outcome = await stage.converse([raw])
    assert [request.target for request in outcome.requests] == [target]


@given(st.lists(plain_requests(), min_size=1, max_size=3), st.data())
def test_valid_requests_agree(requests: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(requests)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=4), label="cuts")
    trio.run(partial(converse_and_agree, raw, cuts))


@given(mutated_requests())
@example(
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"
)
def test_damaged_requests_agree(raw: bytes) -> None:
    trio.run(partial(converse_and_agree, raw, []))


async def converse_and_agree(raw: bytes, cuts: list[int]) -> None:
    async with staged() as stage:
        outcome = await stage.converse(pieces_of(raw, cuts))
    agree(raw, outcome)


def agree(raw: bytes, outcome: Outcome) -> None:
    """Check the outcome against h11's reading, or find the difference that is meant."""
    wanted, ending = expected(raw, outcome.authority)
    got = outcome.requests
    assert outcome.faults == [], "whatever was sent, the backend gets well-formed requests"
    if len(got) > len(wanted):
        assert got[: len(wanted)] == wanted
        assert explained(raw, LAXER), "the gateway takes what h11 refuses"
        return
    assert got == wanted[: len(got)]
    if len(got) < len(wanted) or (outcome.is_refused and ending in {"clean", "closed"}):
        assert outcome.is_refused, "a request was lost without an answer"
        assert explained(raw, STRICTER), "the gateway refuses what h11 takes"


def expected(raw: bytes, backend: bytes = b"") -> tuple[list[RequestSeen], str]:
    """The canonical requests in some bytes, as h11 reads them, and how the bytes end.

    They end `clean` behind a request, `closed` behind one that is the last, `incomplete` in the
    middle of one, or `refused` by h11 or by the twin. `backend` is what stands for a missing host.
    """
    wanted: list[RequestSeen] = []
    while raw:
        reader = RequestReader()
        try:
            if not reader.feed(raw):
                return wanted, "incomplete"
            wanted.append(canonical_request(reader.seen, backend))
        except (h11.RemoteProtocolError, RefusedError):
            return wanted, "refused"
        if not keeps_alive(reader.seen):
            return wanted, "closed" if reader.rest else "clean"
        raw = reader.rest
    return wanted, "clean"


def pieces_of(raw: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The bytes cut at these places."""
    return [raw[start:end] for start, end in pairwise([0, *sorted(cuts), len(raw)])]
