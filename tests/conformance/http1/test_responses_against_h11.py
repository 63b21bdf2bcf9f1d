"""What a client gets is what h11 read from the backend, without what concerned its connection.

h11 reads what the backend sent, and what the client got. Every response is sent whole, byte by
byte, cut off at every offset and with bytes behind it; then damaged.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import h11
import pytest
import trio
from hypothesis import given

from tests.conformance.http1.canonical import (
    HOP_BY_HOP,
    PROTECTED,
    TRAILERS_DROPPED,
    connection_options,
)
from tests.conformance.http1.conversation import byte_by_byte
from tests.conformance.http1.differences import STRICTER_RESPONSES, explained
from tests.conformance.http1.gateway import Gateway, route, running
from tests.conformance.http1.messages import Fields, ResponseReader, ResponseSeen, responses_in
from tests.conformance.http1.response_strategies import mutated_responses, plain_responses
from tests.conformance.http1.upstream import Upstream

RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello",
    "chunked": (
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        b"3;a\r\nabc\r\n1\r\nd\r\n0\r\nX-T: 1\r\nSet-Cookie: x\r\n\r\n"
    ),
    "until close": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello",
    "old": b"HTTP/1.0 200\r\nX-A: 1\r\n\r\nhello",
    "nothing": b"HTTP/1.1 204 No Content\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n",
    "not modified": b'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: "a"\r\n\r\n',
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 500 Oh no\r\nContent-Length: 2\r\n\r\nno"
    ),
}

REMOVED = HOP_BY_HOP | {
    b"otoroshi-state-resp",
    b"raw-request-uri",
    b"remote-address",
    b"timeout-access",
    b"tls-session-info",
}


UNCOMPARED = {b"connection", b"content-length", b"transfer-encoding"}


@dataclass
class Meaning:
    """A response without how it was framed on its connection: that may change on the way."""

    status: int
    headers: Fields
    body: bytes
    trailers: Fields
    interim: list[int]


@dataclass
class Play:
    """A gateway, and the backend that the test plays."""

    gateway: Gateway
    upstream: Upstream

    async def answer(self, pieces: Iterable[bytes], method: str) -> bytes:
        """Have a backend send these pieces and close; return all that the client got."""
        client = await self.gateway.client()
        await client.send(b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % method.encode())
        backend = await self.upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        for piece in pieces:
            await backend.send(piece)
            self.gateway.turn()
        await backend.close()
        await client.finish()
        reply = await client.read_to_end()
        await client.close()
        return reply


@asynccontextmanager
async def playing() -> AsyncIterator[Play]:
    """Run a gateway that keeps no connection to its backend."""
    upstream = await Upstream.open()
    try:
        # The breaker would spare a backend that fails so often.
        plan = route(upstream.port, client={"max_errors": 1_000_000})
        async with running(plan, pool_idle_per_target=0) as gateway:
            yield Play(gateway, upstream)
    finally:
        await upstream.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", RESPONSES)
async def test_a_response_reaches_the_client_in_canonical_form(name: str, method: str) -> None:
    raw = RESPONSES[name]
    async with playing() as play:
        for pieces in ([raw], byte_by_byte(raw)):
            reply = await play.answer(pieces, method)
            assert meaning(responses_in(reply, method)[0]) == wanted(raw, method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", RESPONSES)
async def test_a_response_cut_off_anywhere_never_looks_whole(name: str, method: str) -> None:
    raw = RESPONSES[name]
    async with playing() as play:
        for length in range(len(raw)):
            agree(raw[:length], await play.answer([raw[:length]], method), method)


@pytest.mark.parametrize("behind", [b"HTTP/1.1 200 OK\r\n\r\nevil", b"\r\n", b"\0"])
@pytest.mark.parametrize("name", [name for name in RESPONSES if name not in {"until close", "old"}])
async def test_bytes_behind_a_response_do_not_change_it(name: str, behind: bytes) -> None:
    raw = RESPONSES[name] + behind
    async with playing() as play:
        reply = await play.answer([raw], "GET")
        assert meaning(responses_in(reply, "GET")[0]) == wanted(RESPONSES[name], "GET")


@given(plain_responses())
def test_valid_responses_agree(raw: bytes) -> None:
    for method in ("GET", "HEAD"):
        trio.run(partial(answer_and_agree, raw, method))


@given(mutated_responses())
def test_damaged_responses_agree(raw: bytes) -> None:
    trio.run(partial(answer_and_agree, raw, "GET"))


async def answer_and_agree(raw: bytes, method: str) -> None:
    async with playing() as play:
        reply = await play.answer([raw], method)
    agree(raw, reply, method)


def agree(raw: bytes, reply: bytes, method: str) -> None:
    """Check what the client got against h11's reading of what the backend sent."""
    expected = wanted(raw, method)
    try:
        (seen,) = responses_in(reply, method)
    except h11.RemoteProtocolError:
        assert expected is None or explained(raw, STRICTER_RESPONSES), "h11 finds it whole"
        return
    if seen.status == 502 and seen.values(b"otoroshi-error"):
        assert expected is None or explained(raw, STRICTER_RESPONSES), "h11 takes it"
        return
    assert meaning(seen) == expected, "the client sees what h11 does not, or something else"


def wanted(raw: bytes, method: str) -> Meaning | None:
    """What a client should see of a backend that sends this and closes; nothing if h11 refuses it."""
    reader = ResponseReader(method)
    try:
        if not reader.feed(raw) and not reader.feed(b""):
            return None
    except h11.RemoteProtocolError:
        return None
    seen = reader.seen
    if seen.status > 599 or seen.version not in {b"1.0", b"1.1"}:
        return None
    dropped = (connection_options(seen.headers) - PROTECTED) | REMOVED
    seen.headers = [field for field in seen.headers if field[0] not in dropped]
    seen.trailers = [field for field in seen.trailers if field[0] not in TRAILERS_DROPPED]
    return meaning(seen)


def meaning(seen: ResponseSeen) -> Meaning:
    """What a response says."""
    headers = [field for field in seen.headers if field[0] not in UNCOMPARED]
    interim = [status for status in seen.interim if status != 100]
    return Meaning(seen.status, headers, seen.body, seen.trailers, interim)
