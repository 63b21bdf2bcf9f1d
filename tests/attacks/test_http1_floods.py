"""Floods over HTTP/1.1: requests in heaps, and messages that never end.

The bounds are like those of `test_http2_floods`. How long a slow client is waited for is tested with a
clock of its own in tests/conformance/http1.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import pytest
import trio

if TYPE_CHECKING:
    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
GET: Final = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST: Final = b"POST /slow HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
CLIENTS: Final = 300


async def heard(stream: trio.SocketStream) -> bytes:
    """Read to the end of the connection, or 64 KiB."""
    got = b""
    try:
        while len(got) < 65536 and (data := await stream.receive_some(65536)):
            got += data
    except trio.BrokenResourceError:
        pass
    return got


async def flood(stream: trio.SocketStream, octets: bytes, most: int) -> int:
    """Send the same octets again and again; returns how often before the gateway ended the connection."""
    for count in range(most):
        try:
            await stream.send_all(octets)
        except trio.BrokenResourceError:
            return count
    return most


async def test_requests_in_heaps_whose_answers_nobody_reads(site: Site) -> None:
    async with (
        site.under_attack("pipelined requests") as cost,
        await trio.open_tcp_stream("127.0.0.1", site.port) as stream,
    ):
        with trio.move_on_after(1.5):
            # It is not closed: it is read no more.
            assert await flood(stream, GET * 100, 2000) < 2000
            pytest.fail("the gateway ended the connection")
    # What the sockets on loopback hold, about 6 MiB of answers, and no more.
    assert cost.reached.total() < 15_000
    assert cost.grown_bytes < 8 * MIB
    assert cost.longest_wait < 1000


ENDLESS: Final = {
    "a line without end": (b"", b"a" * 65536, 414),
    "a head without end": (b"GET / HTTP/1.1\r\nHost: a.test\r\n", b"a: b\r\n" * 1000, 431),
    "a head of large fields": (
        b"GET / HTTP/1.1\r\nHost: a.test\r\n",
        b"a: " + b"b" * 4000 + b"\r\n",
        431,
    ),
    "a chunk's extension without end": (POST + b"1;", b"a" * 65536, 400),
    "a chunk's length without end": (POST, b"0" * 65536, 400),
    "trailers without end": (POST + b"1\r\nx\r\n0\r\n", b"a: b\r\n" * 1000, 400),
    "empty lines": (b"", b"\r\n" * 1000, 400),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_does_not_end_is_refused(site: Site, name: str) -> None:
    begins, goes_on, status = ENDLESS[name]
    async with (
        site.under_attack(name) as cost,
        await trio.open_tcp_stream("127.0.0.1", site.port) as stream,
        trio.open_nursery() as nursery,
    ):
        await stream.send_all(begins)
        nursery.start_soon(flood, stream, goes_on, 2000)
        answer = await heard(stream)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    # What still comes, up to 100 MB, is read for a while and thrown away.
    assert cost.requests < 2000
    assert cost.grown_bytes < 8 * MIB


async def test_extensions_of_many_chunks(site: Site) -> None:
    before = site.backend.asked["/slow"]
    # They count together: a chunk may have one, a body not thousands.
    async with (
        site.under_attack("chunks with extensions") as cost,
        await trio.open_tcp_stream("127.0.0.1", site.port) as stream,
    ):
        await stream.send_all(POST)
        await stream.send_all(b"1;a=b\r\nx\r\n")
        while site.backend.asked["/slow"] == before:  # noqa: ASYNC110 (it lives in another thread)
            await trio.sleep(0.01)
        await flood(stream, b"1;a=b\r\nx\r\n" * 1000, 100)
        answer = await heard(stream)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert cost.requests < 600
    assert cost.grown_bytes < 8 * MIB


SLOW: Final = {
    "slow heads": (b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ", b"y"),
    "slow bodies": (POST, b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
async def test_many_slow_clients(site: Site, name: str) -> None:
    begins, drip = SLOW[name]
    async with site.under_attack(name) as cost, AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", site.port))
            for _ in range(CLIENTS)
        ]
        for stream in streams:
            await stream.send_all(begins)
        for _ in range(20):
            for stream in streams:
                await stream.send_all(drip)
    # A drop costs less than half a request; with the rest of the machine at work, too.
    assert cost.requests < CLIENTS * 21 * 1.5
    assert cost.grown_bytes < CLIENTS * 64 * 1024
    assert cost.longest_wait < 1000
    await site.until_idle()
