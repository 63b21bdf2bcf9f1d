"""A slow reader stops its writer, and neither makes the gateway grow."""

import hashlib
import os
from pathlib import Path

import pytest
import trio

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway
from tests.conformance.http1.wire import Wire

TOTAL = 64 << 20
PIECE = bytes(range(256)) * 256
GROWTH_BYTES = 8 << 20
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % TOTAL
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
SWITCH = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


@pytest.mark.parametrize("framing", ["length", "chunks", "until close"])
async def test_a_slow_client_stops_its_backend(framing: str) -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        field, piece = {
            "length": (b"Content-Length: %d\r\n" % TOTAL, PIECE),
            "chunks": (b"Transfer-Encoding: chunked\r\n", b"10000\r\n" + PIECE + b"\r\n"),
            "until close": (b"", PIECE),
        }[framing]
        await backend.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n")
        before = resident_bytes()
        left = await push(gateway, backend, piece)
        assert left > TOTAL // 2, "the rest was never read from the backend"
        assert resident_bytes() - before < GROWTH_BYTES
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish, backend, piece, left, framing)
            response = await read_body(client)
        assert response == digest()
        assert resident_bytes() - before < GROWTH_BYTES
        await client.close()
        await backend.close()


async def test_a_slow_backend_stops_its_client() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        before = resident_bytes()
        left = await push(gateway, client, PIECE)
        assert left > TOTAL // 2
        assert resident_bytes() - before < GROWTH_BYTES
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish, client, PIECE, left, "length")
            received = hashlib.sha256()
            for _ in range(TOTAL // len(PIECE)):
                received.update(await backend.read_exactly(len(PIECE)))
        assert received.hexdigest() == digest()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


@pytest.mark.parametrize("direction", ["to the backend", "to the client"])
async def test_a_slow_end_of_a_tunnel_stops_the_other(direction: str) -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(UPGRADE)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        await backend.send(SWITCH)
        await client.read_until(b"\r\n\r\n")
        source, sink = (client, backend) if direction == "to the backend" else (backend, client)
        before = resident_bytes()
        left = await push(gateway, source, PIECE)
        assert left > TOTAL // 2
        assert resident_bytes() - before < GROWTH_BYTES
        # The other direction is not stopped by this one.
        await sink.send(b"still here")
        assert await source.read_exactly(10) == b"still here"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish, source, PIECE, left, "until close")
            received = hashlib.sha256()
            for _ in range(TOTAL // len(PIECE)):
                received.update(await sink.read_exactly(len(PIECE)))
        assert received.hexdigest() == digest()
        await client.close()
        await backend.close()


async def test_a_client_that_takes_nothing_is_let_go_and_one_that_takes_all_is_not() -> None:
    limits = {"idle_timeout": 0, "call_and_stream_timeout": 0}
    async with fronting(client=limits, body_idle_s=20) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
        await push(gateway, backend, PIECE)
        gateway.pass_time(19)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        taken = 0
        while taken < TOTAL // 4:
            taken += len(await client.read_some())
            backend.send_at_once(PIECE)
        await push(gateway, backend, PIECE)
        gateway.pass_time(19)
        assert gateway.busy == {"connections": 1, "exchanges": 1}, "what it took gave it time"
        gateway.pass_time(2)
        await gateway.settled()
        assert gateway.count("client_left") == 1
        await client.close()
        await backend.close()


async def push(gateway: Gateway, sender: Wire, piece: bytes) -> int:
    """Send pieces until nothing moves any more; return how many bytes of the total are left."""
    whole = TOTAL // len(PIECE) * len(piece)
    sent = 0
    while True:
        at = sent % len(piece)
        taken = sender.send_at_once(piece[at:]) if sent < whole else 0
        sent += taken
        if not taken:
            await trio.lowlevel.checkpoint()
            gateway.turn()
            if not (taken := sender.send_at_once(piece[sent % len(piece) :])):
                return whole - sent
            sent += taken


async def finish(sender: Wire, piece: bytes, left: int, framing: str) -> None:
    """Send the rest of the total."""
    while left:
        at = -left % len(piece)
        await sender.send(piece[at:])
        left -= len(piece) - at
    if framing == "chunks":
        await sender.send(b"0\r\n\r\n")
    elif framing == "until close":
        await sender.finish()


async def read_body(client: Wire) -> str:
    """The digest of the next response's body, read without keeping it."""
    head = await client.read_until(b"\r\n\r\n")
    received = hashlib.sha256()
    if b"chunked" not in head:
        for _ in range(TOTAL // len(PIECE)):
            received.update(await client.read_exactly(len(PIECE)))
        return received.hexdigest()
    while size := int(await client.read_until(b"\r\n"), 16):
        received.update(await client.read_exactly(size))
        await client.read_exactly(2)
    return received.hexdigest()


def digest() -> str:
    """Of all that is sent."""
    wanted = hashlib.sha256()
    for _ in range(TOTAL // len(PIECE)):
        wanted.update(PIECE)
    return wanted.hexdigest()


def resident_bytes() -> int:
    """Memory of this process, socket buffers aside: they are the kernel's."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
