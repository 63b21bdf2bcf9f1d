"""Floods of a WebSocket whose messages a plugin looks at: fragments, messages without end, and what is compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.attacks import http2_raw, http3_raw
from tests.conformance.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, Frame

if TYPE_CHECKING:
    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
OPENING: Final = (
    b"GET / HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OFFER: Final = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
FIN, COMPRESSED = 0x80, 0x40


def frame(first: int, data: bytes) -> bytes:
    """A frame of a client; its mask is zero, so that the data stand in it as they are."""
    told = Frame(first & 0xF, data, fin=first & FIN == FIN, rsv=first >> 4 & 7)
    return told.octets(bytes(4))


def deflated(size: int) -> bytes:
    """So many zeros, as permessage-deflate has them."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    said = b"".join(coder.compress(bytes(min(MIB, size - at))) for at in range(0, size, MIB))
    return (said + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass(frozen=True)
class Flood:
    """What is sent again and again behind what it begins with, and the code of the close frame that ends it.

    `most` is what it may cost, in honest requests. `is_read` tells that it is no attack by the bounds: it is all worked
    through, in turn with others.
    """

    begins: bytes
    goes_on: bytes
    rounds: int
    code: int
    offer: bytes = b""
    most: int = 3000
    is_read: bool = False


BOMB: Final = deflated(256 * MIB)
FLOODS: Final = {
    "pings": Flood(b"", frame(FIN | PING, b"") * 100, 1000, 1008),
    "pongs": Flood(b"", frame(FIN | PONG, b"") * 100, 1000, 1008),
    "fragments": Flood(
        frame(BINARY, b"x"), b"".join([frame(CONTINUATION, b"x")] * 100), 1000, 1008
    ),
    "fragments of nothing": Flood(
        frame(BINARY, b""), b"".join([frame(CONTINUATION, b"")] * 100), 1000, 1008
    ),
    "a message without end": Flood(
        frame(BINARY, b"x"), frame(CONTINUATION, bytes(16_000)), 10_000, 1009
    ),
    "a compression bomb that was not agreed to": Flood(
        frame(FIN | COMPRESSED | BINARY, BOMB), b"", 0, 1002
    ),
    "a compression bomb": Flood(frame(FIN | COMPRESSED | BINARY, BOMB), b"", 0, 1009, OFFER),
    "a compression bomb in fragments": Flood(
        frame(COMPRESSED | BINARY, b"")
        + b"".join(frame(CONTINUATION, BOMB[at : at + 100]) for at in range(0, 20_000, 100)),
        b"",
        0,
        1009,
        OFFER,
    ),
    "compressed nothing without end": Flood(
        frame(COMPRESSED | BINARY, b""),
        frame(CONTINUATION, b"\x00\x00\x00\xff\xff" * 3000),
        1000,
        1009,
        OFFER,
    ),
    # Each is as long as a message may be, and the plugin drops it; then a frame that ends it all.
    "compression bombs of the longest message": Flood(
        frame(FIN | COMPRESSED | BINARY, deflated(MIB)) * 100 + b"\xff\x80" + bytes(4),
        b"",
        0,
        1002,
        OFFER,
        # zlib writes 100 MiB of zeros, in the time that an optimised engine takes for thousands of requests.
        most=20_000,
        is_read=True,
    ),
}


async def flood(stream: trio.SocketStream, octets: bytes, most: int) -> None:
    """Send the same octets again and again, until the gateway ends the connection."""
    for _ in range(most):
        try:
            await stream.send_all(octets)
        except trio.BrokenResourceError:
            return


async def open_socket(stream: trio.SocketStream, offer: bytes) -> bytes:
    """Open a WebSocket; returns what came behind the head of the answer."""
    await stream.send_all(OPENING + offer + b"\r\n")
    opened = b""
    while b"\r\n\r\n" not in opened:
        opened += await stream.receive_some()
    assert opened.startswith(b"HTTP/1.1 101 ")
    assert (b"permessage-deflate" in opened) is bool(offer)
    return opened.partition(b"\r\n\r\n")[2]


async def have_loaded(site: Site) -> None:
    """Have the worker load what WebSockets take that somebody looks at; it does so with the first, as no attack makes it."""
    async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
        await open_socket(stream, OFFER)
        await stream.send_all(frame(FIN | CLOSE, (1000).to_bytes(2)))
        while await stream.receive_some():
            pass


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_with_its_connection(site: Site, name: str) -> None:
    told = FLOODS[name]
    await have_loaded(site)
    async with (
        site.under_attack(name) as cost,
        await trio.open_tcp_stream("127.0.0.1", site.port) as stream,
        trio.open_nursery() as nursery,
    ):
        rest = await open_socket(stream, told.offer)
        await stream.send_all(told.begins)
        nursery.start_soon(flood, stream, told.goes_on, told.rounds)
        while bytes([FIN | CLOSE]) not in rest and (data := await stream.receive_some()):
            rest += data
        nursery.cancel_scope.cancel()
    at = rest.index(bytes([FIN | CLOSE]))
    assert int.from_bytes(rest[at + 2 : at + 4]) == told.code
    assert cost.requests < told.most
    # Of what is all read it is a thirtieth.
    assert cost.longest_wait < (cost.requests / 8 if told.is_read else 2000)
    assert cost.grown_bytes < 16 * MIB


OPENED_IN_STREAMS: Final = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":authority", "ws.test"),
    (":path", "/"),
    ("sec-websocket-version", "13"),
]
MUCH: Final = {
    "pings": (frame(FIN | PING, b"") * 1200, 1008),
    "fragments": (frame(BINARY, b"x") + frame(CONTINUATION, b"x") * 4200, 1008),
    "closes": (frame(FIN | CLOSE, (1000).to_bytes(2)) * 4000, 1000),
}
"""What fits into the windows that a stream begins with, and the code of the gateway's close frame."""


def closed_with(tail: bytes) -> int:
    """The code of the close frame that a stream ended with."""
    at = tail.rindex(bytes([FIN | CLOSE]))
    return int.from_bytes(tail[at + 2 : at + 4])


@pytest.mark.parametrize("name", MUCH)
async def test_a_flood_over_http2_ends_with_its_stream(site: Site, name: str) -> None:
    octets, code = MUCH[name]
    async with (
        site.under_attack(f"{name} over HTTP/2") as cost,
        http2_raw.raw_http2(site.port) as client,
    ):
        opening = http2_raw.block(OPENED_IN_STREAMS)
        await client.send(http2_raw.frame(http2_raw.HEADERS, 1, opening, http2_raw.END_HEADERS))
        for at in range(0, len(octets), 16_000):
            piece = octets[at : at + 16_000]
            await client.send(http2_raw.frame(http2_raw.DATA, 1, piece))
        await client.until(1)
        assert client.answers == {1: 200}
        assert closed_with(client.tails[1]) == code
        assert client.goaway is None
    assert cost.requests < 3000
    assert cost.grown_bytes < 16 * MIB


@pytest.mark.parametrize("name", MUCH)
async def test_a_flood_over_http3_ends_with_its_stream(site: Site, name: str) -> None:
    octets, code = MUCH[name]
    async with (
        site.under_attack(f"{name} over HTTP/3") as cost,
        http3_raw.raw_http3(site.http3) as client,
    ):
        opening = http3_raw.frame(http3_raw.HEADERS, http3_raw.block(OPENED_IN_STREAMS))
        await client.send(0, opening + http3_raw.frame(http3_raw.DATA, octets))
        await client.until_over(0)
        assert client.answers == {0: 200}
        assert closed_with(client.tails[0]) == code
        assert client.ended is None
    assert cost.requests < 3000
    assert cost.grown_bytes < 16 * MIB
