"""Floods over HTTP/3: what one connection can make the gateway do before it is closed.

Bounds are as in `test_http2_floods`: on CPU time in honest requests, memory, what reached a backend, and how long others
waited, each of them three times what was measured at most. What QUIC encrypts has to be decrypted: a packet costs a part of a
request, whatever is in it. So most floods are some hundred packets full of frames; without the defence that a case is about,
all of these frames are worked through, and the connection goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.attacks.backends import LARGE_BYTES
from tests.attacks.http3_raw import (
    CONTROL,
    DATA,
    EXCESSIVE_LOAD,
    FIRST_OF_ONE_WAY,
    HEADERS,
    PING,
    QPACK_ENCODER,
    QPACK_FAILED,
    SETTINGS,
    block,
    frame,
    head,
    number,
    raw_http3,
    stream_frame,
    until_read,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.attacks.site import Cost, Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
FULL: Final = 1100
"""Octets of frames that a packet takes."""
STREAM_LIMIT_ERROR, STREAM_STATE_ERROR, FRAME_ENCODING_ERROR = 0x4, 0x5, 0x7
CONNECTION_ID_LIMIT_ERROR, PROTOCOL_VIOLATION, CRYPTO_BUFFER_EXCEEDED = 0x9, 0xA, 0xD
STREAM_CREATION_ERROR, CLOSED_CRITICAL_STREAM, FRAME_UNEXPECTED = 0x103, 0x104, 0x105
ID_ERROR, SETTINGS_ERROR, MISSING_SETTINGS, CANCELLED = 0x108, 0x109, 0x10A, 0x10C
ENCODER_STREAM_ERROR = 0x201
AT_ONCE: Final = 200
"""Streams that a connection may break off or spoil at once (`Http3Limits.resets`)."""
TOGETHER: Final = 10
REFILLED_PER_S: Final = 7
"""Streams a second that a connection may break off or spoil in the long run: on a slow machine it gets to more of them."""
OUR_IDENTIFIER: Final = b"8 octets"
"""Stands for the client's own connection identifier, so that it hears what the gateway says."""


@dataclass(frozen=True)
class Flood:
    """Frames of QUIC that are sent again and again, and what they may cost.

    Attributes:
        octets: The frame with this number.
        code: What the gateway ends the connection with; None when it goes on, and answers a request on stream 0.
        packets: How many packets are filled with them.
        is_single: Whether each frame is a packet of its own.
        begins: What is sent in front of them.
        reached: The most requests that reach a backend.
        requests: The most CPU time, in honest requests.
    """

    octets: Callable[[int], bytes]
    code: int | None = PROTOCOL_VIOLATION
    packets: int = 300
    is_single: bool = False
    begins: bytes = b""
    reached: int = 0
    requests: int = 2000

    def payloads(self, identifier: bytes) -> Iterator[bytes]:
        """What is in the packets."""
        if self.begins:
            yield self.begins
        count = 0
        for _ in range(self.packets):
            payload = b""
            while len(payload) < FULL and not (payload and self.is_single):
                payload += self.octets(count)
                count += 1
            yield payload.replace(OUR_IDENTIFIER, identifier)


def identifier(sequence: int, retire: int) -> bytes:
    return (
        b"\x18"
        + number(sequence)
        + number(retire)
        + b"\x08"
        + OUR_IDENTIFIER
        + sequence.to_bytes(16)
    )


def at_once(octets: bytes) -> Flood:
    """A frame that ends the connection by itself, with the code that floods end with too."""
    return Flood(lambda _: octets, packets=1, is_single=True)


HEAD: Final = head("/open")
OPEN: Final = stream_frame(0, HEAD)
"""A request whose body never ends."""

FRAMES: Final = {
    "ping": Flood(lambda _: PING),
    "ping, a packet each": Flood(lambda _: PING, packets=10_000, is_single=True, requests=4000),
    "acknowledged again": Flood(lambda _: b"\2\0\0\0\0"),
    "acknowledged and never sent": at_once(b"\2" + number(2**40) + b"\0\0\0"),
    "identifiers that take the place of others": Flood(
        lambda n: identifier(n + 8, n + 8), CONNECTION_ID_LIMIT_ERROR
    ),
    "identifiers, and more of them": Flood(
        lambda n: identifier(n + 20, 0), CONNECTION_ID_LIMIT_ERROR
    ),
    "identifiers retired": Flood(lambda n: b"\x19" + number(n + 1)),
    "paths challenged": Flood(lambda n: b"\x1a" + n.to_bytes(8)),
    "paths answered": Flood(lambda n: b"\x1b" + n.to_bytes(8)),
    "windows of one octet more": Flood(lambda n: b"\x10" + number(2**32 + n)),
    "windows of a stream": Flood(lambda n: b"\x11\0" + number(2**32 + n), begins=OPEN, reached=1),
    "one stream more": Flood(lambda n: b"\x12" + number(128 + n)),
    "blocked": Flood(lambda n: b"\x14" + number(n)),
    "blocked streams": Flood(lambda n: b"\x16" + number(n)),
    "a stream that is blocked": Flood(lambda n: b"\x15\0" + number(n), begins=OPEN, reached=1),
    "data again": Flood(lambda _: stream_frame(0, b"\1"), begins=OPEN, reached=1),
    "no data": Flood(lambda _: stream_frame(0, b"", 5), begins=OPEN, reached=1),
    "data with gaps": Flood(lambda n: stream_frame(0, b"x", 2 * n + 1000), begins=OPEN, reached=1),
    "data with gaps, from behind": Flood(
        lambda n: stream_frame(0, b"x", max(200_000 - 2 * n, 0)), begins=OPEN, reached=1
    ),
    "data with gaps, in every stream but one": Flood(
        lambda n: stream_frame(n % 99 * 4 + 4, b"x", n // 99 * 2 + 1000),
        None,
        packets=100,
        reached=1,
        requests=30_000,
    ),
    "handshake again": Flood(lambda _: b"\6\0\1\1"),
    "handshake with gaps": Flood(
        lambda n: b"\6" + number(2 * n + 100) + b"\1\0", CRYPTO_BUFFER_EXCEEDED
    ),
    "a message of the handshake without end": Flood(
        lambda n: b"\6" + number(1000 * n) + number(1000) + b"\xff" * 1000, CRYPTO_BUFFER_EXCEEDED
    ),
    "streams given up that nobody opened": Flood(
        lambda n: b"\5" + number(n % 100 * 4) + number(CANCELLED), EXCESSIVE_LOAD
    ),
    "streams beyond the bound": Flood(
        lambda n: stream_frame(4 * n + 400, b"x"), STREAM_LIMIT_ERROR
    ),
    "streams that are the gateway's": Flood(
        lambda n: b"\4" + number(4 * n + 1) + number(CANCELLED) + b"\0", STREAM_STATE_ERROR
    ),
    "frames of the control stream": Flood(
        lambda n: stream_frame(FIRST_OF_ONE_WAY, frame(0x21), 3 + 2 * n), EXCESSIVE_LOAD
    ),
    "priorities": Flood(
        lambda n: stream_frame(FIRST_OF_ONE_WAY, frame(0xF0700, b"\0u=1"), 3 + 9 * n),
        EXCESSIVE_LOAD,
    ),
    "frames of a request": Flood(
        lambda n: stream_frame(0, frame(0x21), len(HEAD) + 2 * n),
        EXCESSIVE_LOAD,
        begins=OPEN,
        reached=1,
    ),
    "empty data of a request": Flood(
        lambda n: stream_frame(0, frame(DATA), len(HEAD) + 2 * n),
        EXCESSIVE_LOAD,
        begins=OPEN,
        reached=1,
    ),
    "tokens": at_once(b"\7\1x"),
    "handshakes that are done": at_once(b"\x1e"),
    "datagrams": at_once(b"\x31\1x"),
    "padding": Flood(lambda _: bytes(20), packets=10_000, is_single=True, requests=4000),
    "frames that nobody knows": Flood(lambda _: b"\x40\xff", FRAME_ENCODING_ERROR),
}


def check(cost: Cost, requests: int, reached: int = 0, grown: int = 8 * MIB) -> None:
    """See that an attack was as cheap as it has to be."""
    assert cost.requests < requests
    assert cost.grown_bytes < grown
    assert cost.reached.total() <= reached
    assert cost.longest_wait < max(requests / 4, 800)


@pytest.mark.parametrize("name", FRAMES)
async def test_a_flood_of_frames(site: Site, name: str) -> None:
    flood = FRAMES[name]
    async with site.under_attack(name) as cost, raw_http3(site.http3) as client:
        await client.packets(flood.payloads(client.quic.host_cid))
        if flood.code is not None:
            assert await client.until_ended() == flood.code
        else:
            # It is served once all that came before it has been worked through.
            await client.send(0, head("/good"), end=True)
            await client.until_over(0)
            assert (client.answers, client.ended) == ({0: 200}, None)
    check(cost, flood.requests, flood.reached)
    await site.until_idle()


async def test_data_of_a_stream_that_ended(site: Site) -> None:
    flood = Flood(lambda _: stream_frame(0, b"\1"))
    async with site.under_attack("data of the past") as cost, raw_http3(site.http3) as client:
        await client.send(0, head("/open"), end=True)
        await client.until_over(0)
        await client.acknowledge()
        await until_read(site.http3)
        await client.packets(flood.payloads(client.quic.host_cid))
        assert await client.until_ended() == flood.code
    check(cost, flood.requests, 1)
    await site.until_idle()


@dataclass(frozen=True)
class Churn:
    """Streams that begin and end without end, as many as the gateway lets there be at once.

    Attributes:
        octets: The frames of the stream with this number.
        is_one_way: Whether they are streams of one direction.
    """

    octets: Callable[[int], bytes]
    is_one_way: bool = False


HELD: Final = head("/held")
HELD_FIELDS: Final = [(":scheme", "https"), (":authority", "a.test"), (":path", "/held")]
GIVEN_UP: Final = number(CANCELLED)
CHURNS: Final = {
    "rapid reset": Churn(
        lambda n: stream_frame(n, HELD) + b"\4" + number(n) + GIVEN_UP + number(len(HELD))
    ),
    "rapid stop": Churn(lambda n: stream_frame(n, HELD, end=True) + b"\5" + number(n) + GIVEN_UP),
    "resets of nothing": Churn(lambda n: b"\4" + number(n) + GIVEN_UP + b"\0"),
    "requests of nothing": Churn(lambda n: stream_frame(n, b"", end=True)),
    "malformed heads": Churn(lambda n: stream_frame(n, head("/", ("connection", "x")), end=True)),
    "lengths that are none": Churn(
        lambda n: stream_frame(n, head("/", ("content-length", "9")), end=True)
    ),
    "streams of no kind": Churn(lambda n: stream_frame(n + 4, b"\x21x", end=True), is_one_way=True),
    "streams of one direction that are reset": Churn(
        lambda n: b"\4" + number(n + 4) + GIVEN_UP + b"\0", is_one_way=True
    ),
}


def refilled(begun: float) -> int:
    """How many streams more than at once a connection may have broken off since a time of Trio's clock."""
    return math.ceil(REFILLED_PER_S * (trio.current_time() - begun))


@pytest.mark.parametrize("name", CHURNS)
async def test_streams_without_end(site: Site, name: str) -> None:
    churn = CHURNS[name]
    async with site.under_attack(name) as cost, raw_http3(site.http3) as client:
        for count in range(0, 20_000, 10):
            await client.until_streams(count + 12, is_one_way=churn.is_one_way)
            if client.ended is not None:
                break
            streams = range(4 * count, 4 * count + 40, 4)
            payload = b"".join(churn.octets(n + 2 * churn.is_one_way) for n in streams)
            await client.put(client.packet(payload))
        assert await client.until_ended() == EXCESSIVE_LOAD
    check(cost, 4000)
    await site.until_idle()


@pytest.mark.parametrize("stops", [False, True], ids=["rapid reset", "rapid stop"])
async def test_requests_that_are_given_up_at_their_backend(site: Site, stops: bool) -> None:
    # Those given up with the packet that they came in are gone before a backend sees them; all of these are seen.
    begun, count, backend = trio.current_time(), 0, site.backend
    before = backend.asked["/held"]
    head_of_body = frame(HEADERS, block([(":method", "POST"), *HELD_FIELDS]))
    name = "rapid stop" if stops else "rapid reset"
    async with (
        site.under_attack(f"{name}, behind the gateway") as cost,
        raw_http3(site.http3) as client,
    ):
        while client.ended is None and count < 5000:
            streams = range(4 * count, 4 * (count + TOGETHER), 4)
            count += TOGETHER
            await client.until_streams(count, is_one_way=False)
            asked = [stream_frame(n, head_of_body, end=stops) for n in streams]
            await client.put(client.packet(b"".join(asked)))
            while backend.asked["/held"] < before + count and client.ended is None:  # noqa: ASYNC110 (it lives in another thread)
                await trio.sleep(0.001)
            given_up = [
                b"\5" + number(n) + GIVEN_UP
                if stops
                else b"\4" + number(n) + GIVEN_UP + number(len(head_of_body))
                for n in streams
            ]
            await client.put(client.packet(b"".join(given_up)))
        assert await client.until_ended() == EXCESSIVE_LOAD
    assert AT_ONCE <= cost.reached.total() <= AT_ONCE + TOGETHER + refilled(begun)
    check(cost, 4000, cost.reached.total())
    await site.until_idle()


def one_way(*octets: bytes) -> list[tuple[int, bytes]]:
    return [(FIRST_OF_ONE_WAY + 4 * at, data) for at, data in enumerate(octets)]


SAID: Final = number(CONTROL) + frame(SETTINGS)
WRONG: Final = {
    "settings twice": (one_way(SAID + frame(SETTINGS)), FRAME_UNEXPECTED),
    "settings of HTTP/2": (one_way(number(CONTROL) + frame(SETTINGS, b"\2\1")), SETTINGS_ERROR),
    "a setting twice": (one_way(number(CONTROL) + frame(SETTINGS, b"\6\1\6\1")), SETTINGS_ERROR),
    "settings without end": (
        one_way(number(CONTROL) + number(SETTINGS) + number(2**30) + b"\x21\0" * 500),
        EXCESSIVE_LOAD,
    ),
    "no settings": (one_way(number(CONTROL) + frame(7, b"\0")), MISSING_SETTINGS),
    "two control streams": (one_way(SAID, SAID), STREAM_CREATION_ERROR),
    "a control stream that ends": ([*one_way(SAID), (2, b"end")], CLOSED_CRITICAL_STREAM),
    "a push": (one_way(b"\1\0"), STREAM_CREATION_ERROR),
    "a promise": ([(0, frame(5, b"\0\0\0"))], FRAME_UNEXPECTED),
    "fewer pushes than before": (
        one_way(SAID + frame(13, b"\5") + frame(13, b"\4")),
        ID_ERROR,
    ),
    "data in front of a head": ([(0, frame(DATA, b"x"))], FRAME_UNEXPECTED),
    "a frame of HTTP/2": ([(0, frame(8, b"\0\0\0\0"))], FRAME_UNEXPECTED),
    "a priority in a request": ([(0, HEAD + frame(0xF0700, b"\0u=1"))], FRAME_UNEXPECTED),
    "settings of a request": ([(0, frame(SETTINGS))], FRAME_UNEXPECTED),
    "a table": (one_way(number(QPACK_ENCODER) + b"\x3f\xe1\x1f"), ENCODER_STREAM_ERROR),
    "a field of a table": ([(0, frame(HEADERS, b"\2\0\x80"))], QPACK_FAILED),
    "a head that is too large": (
        [(0, number(HEADERS) + number(65 * 1024) + bytes(1000))],
        EXCESSIVE_LOAD,
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_breaks_the_protocol_ends_at_once(site: Site, name: str) -> None:
    sent, code = WRONG[name]
    async with raw_http3(site.http3, speaks=False) as client:
        for stream, data in sent:
            await client.send(stream, b"" if data == b"end" else data, end=data == b"end")
        assert await client.until_ended() == code


STATIC: Final = b"\xff\x16"
"""A field of the static table that has 76 octets: a content-security-policy."""
ENOUGH: Final = 2000
"""Heads that end a connection, however slowly they come: it may have `REFILLED_PER_S`, and 200 at once."""
HEADS: Final = {
    "fields of the static table": (block([(":method", "GET")]) + STATIC * 2000, ENOUGH),
    "60 KiB of these": (block([(":method", "GET")]) + STATIC * 30_000, 20),
    "700 fields": (block([("a", "b")] * 700), ENOUGH),
}


@pytest.mark.parametrize("name", HEADS)
async def test_heads_that_are_too_large(site: Site, name: str) -> None:
    coded, rounds = HEADS[name]
    begun = trio.current_time()
    async with site.under_attack(name) as cost, raw_http3(site.http3) as client:
        for stream in range(0, 4 * rounds, 4):
            await client.send(stream, frame(HEADERS, coded), end=True)
            await client.until_over(stream)
            if client.ended is not None:
                break
        assert set(client.reset.values()) == {EXCESSIVE_LOAD}
        if rounds == ENOUGH:
            assert await client.until_ended() == EXCESSIVE_LOAD
            assert len(client.reset) <= 210 + refilled(begun)
    # On a slow machine there may be more of them: the bound is on what each costs.
    check(cost, 80 * max(len(client.reset), 100))


async def test_answers_that_nobody_takes(site: Site) -> None:
    # Without a window, each of a hundred answers waits with 64 KiB; with one, what is in flight does.
    enough = site.backend.asked["/large"] + 400, site.backend.sent + 400 * 64 * 1024
    async with site.under_attack("windows that stay shut") as cost, trio.open_nursery() as nursery:
        for starved in (True, False):
            for _ in range(2):
                nursery.start_soon(_ask_and_take_nothing, site, starved, enough)
    check(cost, 400 * 80, 400, 300 * MIB)
    assert cost.reached["/large"] == 400
    await site.until_idle()


async def _ask_and_take_nothing(site: Site, starved: bool, enough: tuple[int, int]) -> None:
    window = 0 if starved else LARGE_BYTES
    async with raw_http3(site.http3, max_stream_data=window, max_data=2**30) as client:
        asked = [stream_frame(n, head("/large"), end=True) for n in range(0, 400, 4)]
        client.is_deaf = not starved
        await client.packets(b"".join(asked[at : at + 20]) for at in range(0, 100, 20))
        backend = site.backend
        while backend.asked["/large"] < enough[0] or backend.sent < enough[1]:  # noqa: ASYNC110 (in another thread)
            await trio.sleep(0.01)


async def test_a_window_that_opens_octet_by_octet(site: Site) -> None:
    # Each octet is waited for, so that every window is used and no two come together.
    streams = range(0, 80, 4)
    async with (
        site.under_attack("windows of one octet") as cost,
        raw_http3(site.http3, max_stream_data=0, max_data=2**30) as client,
    ):
        state: Any = client.quic
        state._local_max_stream_data_bidi_local = LARGE_BYTES  # it takes what it is sent
        asked = [stream_frame(n, head("/large"), end=True) for n in streams]
        await client.put(client.packet(b"".join(asked)))
        for size in range(1, 500):
            before = client.heard_bytes + 1
            opened = b"".join(b"\x11" + number(n) + number(size) for n in streams)
            await client.put(client.packet(opened))
            await client.until_heard(before)
            if client.ended is not None:
                break
        assert await client.until_ended() == PROTOCOL_VIOLATION
    check(cost, 16_000, 20)
    await site.until_idle()


async def test_heads_and_bodies_octet_by_octet(site: Site) -> None:
    # That is slow, and allowed; but others have their turns meanwhile.
    octets = 20_000
    before = site.backend.received
    async with (
        site.under_attack("octets one by one") as cost,
        raw_http3(site.http3) as client,
    ):
        slow = [
            stream_frame(stream, HELD[at : at + 1], at)
            for at in range(len(HELD) - 1)
            for stream in range(4, 400, 4)
        ]
        body = frame(DATA, b"x" * 50)
        whole = head("/slow") + body * (octets // 50)
        told = [stream_frame(0, whole[at : at + 1], at) for at in range(len(whole))]
        told.append(stream_frame(0, b"", len(whole), end=True))
        every = slow + told
        await client.packets(b"".join(every[at : at + 150]) for at in range(0, len(every), 150))
        await client.until_over(0)
        assert (client.answers, client.ended) == ({0: 200}, None)
    assert site.backend.received - before >= octets
    # It is a twentieth or less; who gets no turn before the end of what came together waits for a third or more.
    assert cost.longest_wait < cost.requests / 8
    check(cost, 30_000, 1)
