"""Floods over HTTP/2: what one connection can make the gateway do before it is closed.

Each bound is on CPU time in honest requests, memory, what reached a backend, and how long others waited
(see `site`). The bounds are three times what was measured at most, or more; without the defence that a case is about, all that it
has to send is worked through, and its connection is never closed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.attacks.backends import LARGE_BYTES
from tests.attacks.http2_raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    head,
    raw_http2,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
WHOLE: Final = END_STREAM | END_HEADERS
SHORT: Final = b"\0\0\0\1"


def asked(stream: int, path: str = "/", flags: int = WHOLE) -> bytes:
    return frame(HEADERS, stream, head(path), flags)


@dataclass(frozen=True)
class Flood:
    """What is sent again and again, and what it may cost.

    Attributes:
        octets: Of the round with this number.
        rounds: How many there are; each takes the next odd number of a stream.
        requests: The most CPU time, in honest requests.
        begins: What is sent once before.
        reached: The most requests that reach a backend.
        code: What the gateway ends the connection with.
    """

    octets: Callable[[int], bytes]
    rounds: int = 20_000
    requests: int = 1500
    begins: bytes = b""
    reached: int = 0
    code: int = ENHANCE_YOUR_CALM


ENDLESS: Final = asked(1, "/open", END_HEADERS)
"""A request whose body never ends."""

FLOODS: Final = {
    "rapid reset": Flood(
        lambda n: asked(n, "/held") + frame(RST_STREAM, n, SHORT), reached=210, requests=4000
    ),
    "made to reset: a window beyond all": Flood(
        lambda n: asked(n, "/held") + frame(WINDOW_UPDATE, n, b"\x7f\xff\xff\xff"),
        reached=210,
        requests=2000,
    ),
    "made to reset: data behind the end": Flood(
        lambda n: asked(n, "/held") + frame(DATA, n, b"x"), reached=210, requests=4000
    ),
    "made to reset: no window": Flood(
        lambda n: asked(n, "/held") + frame(WINDOW_UPDATE, n, bytes(4)), code=PROTOCOL_ERROR
    ),
    "made to reset: a priority of itself": Flood(
        lambda n: asked(n, "/held") + frame(PRIORITY, n, n.to_bytes(4) + b"\1"),
        code=PROTOCOL_ERROR,
    ),
    "made to reset: a malformed head": Flood(
        lambda n: frame(HEADERS, n, head("/", ("connection", "x")), WHOLE)
    ),
    "a length that is none": Flood(
        lambda n: frame(HEADERS, n, head("/", ("content-length", "9")), WHOLE)
    ),
    "continuation": Flood(
        lambda _: frame(CONTINUATION, 1, b""), begins=frame(HEADERS, 1, head()[:9])
    ),
    "continuation, large": Flood(
        lambda _: frame(CONTINUATION, 1, bytes(16_000)), 2000, begins=frame(HEADERS, 1, head())
    ),
    "settings": Flood(lambda _: frame(SETTINGS, 0, b"\0\3\0\0\0\x64")),
    "settings, a whole frame of them": Flood(
        lambda n: frame(SETTINGS, 0, (b"\0\4" + n.to_bytes(4)) * 2700), 3000
    ),
    "ping": Flood(lambda _: frame(PING, 0, b"12345678")),
    "priority": Flood(lambda _: frame(PRIORITY, 9, b"\0\0\0\0\x10")),
    "priority update": Flood(lambda _: frame(PRIORITY_UPDATE, 0, b"\0\0\0\1u=1")),
    "window updates of one": Flood(lambda _: frame(WINDOW_UPDATE, 0, SHORT)),
    "empty data": Flood(lambda _: frame(DATA, 1), begins=ENDLESS, reached=1),
    "padding only": Flood(
        lambda _: frame(DATA, 1, b"\xff" + bytes(255), PADDED), begins=ENDLESS, reached=1
    ),
    "frames that nobody knows": Flood(lambda _: frame(0x42, 0, b"?")),
    "goaway": Flood(lambda _: frame(GOAWAY, 0, bytes(8)), begins=ENDLESS, reached=1),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_with_its_connection(site: Site, name: str) -> None:
    flood = FLOODS[name]
    async with site.under_attack(name) as cost, raw_http2(site.port) as client:
        await client.send(flood.begins)
        for first in range(0, flood.rounds, 50):
            numbers = range(2 * first + 1, 2 * first + 101, 2)
            if not await client.send(b"".join(map(flood.octets, numbers))):
                break
        await client.closed.wait()
    assert client.goaway == flood.code
    assert cost.requests < flood.requests
    assert cost.grown_bytes < 8 * MIB
    assert cost.reached.total() <= flood.reached
    assert cost.longest_wait < flood.requests
    await site.until_idle()


AT_ONCE: Final = 200
"""Streams that a client may break off, or have broken off, at once (`Http2Limits.resets`)."""
TOGETHER: Final = 10
REFILLED_PER_S: Final = 7
"""Such streams a second in the long run: on a slow machine there are more of them."""


def refilled(begun: float) -> int:
    """How many more than at once there may have been since a time of Trio's clock."""
    return math.ceil(REFILLED_PER_S * (trio.current_time() - begun))


ENDS: Final[dict[str, Callable[[int], bytes]]] = {
    "rapid reset": lambda n: frame(RST_STREAM, n, SHORT),
    "made to reset: a window beyond all": lambda n: frame(WINDOW_UPDATE, n, b"\x7f\xff\xff\xff"),
    "made to reset: data behind the end": lambda n: frame(DATA, n, b"x"),
}


@pytest.mark.parametrize("name", ENDS)
async def test_requests_that_are_broken_off_at_their_backend(site: Site, name: str) -> None:
    # Those of a flood are gone before a backend sees them; all of these are seen.
    count, begun = 0, trio.current_time()
    backend = site.backend
    before = backend.asked["/held"]
    async with (
        site.under_attack(f"{name}, behind the gateway") as cost,
        raw_http2(site.port) as client,
    ):
        while not client.closed.is_set() and count < 5000:
            streams = range(2 * count + 1, 2 * (count + TOGETHER), 2)
            count += TOGETHER
            await client.send(b"".join(asked(n, "/held") for n in streams))
            while backend.asked["/held"] < before + count and not client.closed.is_set():  # noqa: ASYNC110 (it lives in another thread)
                await trio.sleep(0.001)
            await client.send(b"".join(map(ENDS[name], streams)))
        await client.closed.wait()
    assert client.goaway == ENHANCE_YOUR_CALM
    assert AT_ONCE <= cost.reached.total() <= AT_ONCE + TOGETHER + refilled(begun)
    assert cost.requests < 4000
    assert cost.grown_bytes < 8 * MIB
    await site.until_idle()


@dataclass(frozen=True)
class Head:
    """A head that is too large.

    Attributes:
        fields: Its coded fields behind the pseudo-fields.
        is_answered: Whether it is decoded and answered 431, some times, before the connection ends.
    """

    fields: bytes
    is_answered: bool


STORED: Final = b"\x40" + block([("x", "v" * 3000)])[1:]
"""A field that goes into the table, for an octet behind it to name it again."""
HEADS: Final = {
    "an HPACK bomb": Head(STORED + b"\xbe" * 8000, False),
    "an HPACK bomb of 240 KiB": Head(STORED + b"\xbe" * 80, True),
    "a head of 40 KiB": Head(block([("a", "b" * 4000)] * 10), True),
    "a head of 100 KiB": Head(block([("a", "b" * 4000)] * 25), False),
    "a head of 400 KiB": Head(block([("a", "b" * 4000)] * 100), False),
    "a head of 300 fields": Head(block([("a", "b")] * 300), True),
    "a head of 3000 fields": Head(block([("a", "b")] * 3000), False),
    "a head of 3000 cookies": Head(block([("cookie", "a=b")] * 3000), False),
}


@pytest.mark.parametrize("name", HEADS)
async def test_heads_that_are_too_large(site: Site, name: str) -> None:
    large = HEADS[name]
    coded = head("/large-head") + large.fields
    pieces = [coded[at : at + 16_000] for at in range(0, len(coded), 16_000)]
    async with site.under_attack(name) as cost, raw_http2(site.port) as client:
        for n in range(1, 1001, 2):
            octets = frame(HEADERS, n, pieces[0], END_STREAM | (not pieces[1:]) * END_HEADERS)
            for piece in pieces[1:]:
                octets += frame(CONTINUATION, n, piece, (piece is pieces[-1]) * END_HEADERS)
            if not await client.send(octets):
                break
            if n % 50 == 1:
                await client.until(n)
        if name == "a head of 40 KiB":
            # It is within what the settings say: refused each time, and no attack.
            await client.until(999)
            assert (client.answers[999], client.goaway) == (431, None)
        else:
            await client.closed.wait()
            assert client.goaway == ENHANCE_YOUR_CALM
            assert (len(client.answers) >= 25) is large.is_answered
    assert set(client.answers.values()) == ({431} if large.is_answered else set())
    assert cost.requests < 8000
    assert cost.grown_bytes < 8 * MIB
    assert not cost.reached


async def test_answers_that_nobody_takes(site: Site) -> None:
    # Without a window, each of a hundred answers waits with 64 KiB; with one, the socket is full.
    enough = site.backend.asked["/large"] + 400, site.backend.sent + 400 * 64 * 1024
    async with site.under_attack("windows that stay shut") as cost, trio.open_nursery() as nursery:
        for starved in (True, False):
            for _ in range(2):
                nursery.start_soon(_ask_and_take_nothing, site, starved, enough)
    # 400 large answers were asked for, 1600 MiB, and each may have 64 KiB here and as much on its way, and some more.
    assert cost.requests < 400 * 80
    assert cost.grown_bytes < 300 * MIB
    assert cost.longest_wait < 2000
    assert cost.reached["/large"] == 400
    await site.until_idle()


async def _ask_and_take_nothing(site: Site, starved: bool, enough: tuple[int, int]) -> None:
    window = (4, 0 if starved else LARGE_BYTES)
    async with raw_http2(site.port, window, reads=starved) as client:
        await client.send(frame(WINDOW_UPDATE, 0, (2**30).to_bytes(4)))
        await client.send(b"".join(asked(n, "/large") for n in range(1, 201, 2)))
        backend = site.backend
        while backend.asked["/large"] < enough[0] or backend.sent < enough[1]:  # noqa: ASYNC110 (in another thread)
            await trio.sleep(0.01)


async def test_a_window_that_opens_octet_by_octet(site: Site) -> None:
    # Each octet is waited for, so that every window is used and no two come together.
    streams = range(1, 41, 2)
    opened = b"".join(frame(WINDOW_UPDATE, n, SHORT) for n in streams)
    async with (
        site.under_attack("windows of one octet") as cost,
        raw_http2(site.port, (4, 0)) as client,
    ):
        await client.send(b"".join(asked(n, "/large") for n in streams))
        for _ in range(500):
            wanted = client.received + len(streams)
            await client.send(opened)
            await client.until_received(wanted)
        await client.closed.wait()
    assert client.goaway == ENHANCE_YOUR_CALM
    assert cost.requests < 4000


async def test_settings_that_move_all_windows(site: Site) -> None:
    async with (
        site.under_attack("windows moved by settings") as cost,
        raw_http2(site.port, (4, 0)) as client,
    ):
        await client.send(b"".join(asked(n, "/large") for n in range(1, 201, 2)))
        moved = frame(SETTINGS, 0, b"\0\4\0\0\0\0") + frame(SETTINGS, 0, b"\0\4\0\0\0\1")
        await client.flood(moved * 50, 200)
        await client.closed.wait()
    assert client.goaway == ENHANCE_YOUR_CALM
    assert cost.requests < 4000


async def test_bodies_octet_by_octet(site: Site) -> None:
    # That is slow, and allowed; but others have their turns meanwhile.
    octets, before = 120_000, site.backend.received
    async with (
        site.under_attack("bodies of one octet a frame") as cost,
        raw_http2(site.port) as client,
    ):
        await client.send(asked(1, "/slow", END_HEADERS))
        # Much is there at once, or a gateway that is quicker than this client would read little in any case.
        await client.flood(frame(DATA, 1, b"x") * 10_000, octets // 10_000)
        await client.send(frame(DATA, 1, b"", END_STREAM))
        await client.until(1)
    assert (client.answers, client.goaway) == ({1: 200}, None)
    assert site.backend.received - before >= octets
    # It is a twenty-fifth or less: 8 KiB are read at a time. With 128 KiB at a time it is a sixth or more.
    assert cost.longest_wait < cost.requests / 10
    assert cost.grown_bytes < 8 * MIB
