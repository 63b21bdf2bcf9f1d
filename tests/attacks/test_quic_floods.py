"""Floods of datagrams that begin connections, or seem to: nobody has shown yet that his address is his own.

What is sent back to an address is at most three times what came from it, as a `Stranger` counts it on the wire.
"""

from __future__ import annotations

import os
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
import trio
import trio.testing
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.attacks.http3_raw import PING, head, raw_http3, until_read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
AT_ONCE: Final = 32
LATE_S: Final = 0.5
"""How long late answers are counted: beyond the time in which QUIC repeats what nobody acknowledged, on loopback."""
VERSION: Final = (1).to_bytes(4)
INITIAL, ZERO_RTT, HANDSHAKE, RETRY = (0xC3 | kind << 4 for kind in range(4))


class Stranger:
    """A socket that sends datagrams to the gateway, and counts what comes back."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent = 0
        self.heard = 0
        self._sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)

    async def send(self, datagrams: list[bytes]) -> None:
        """Send datagrams, no faster than they are read."""
        for count, data in enumerate(datagrams, 1):
            self.sent += len(data)
            await self._sock.sendto(data, ("127.0.0.1", self.port))
            if count % AT_ONCE == 0:
                await until_read(self.port)
        await until_read(self.port)

    async def hear_the_rest(self) -> None:
        """Wait for what the gateway says of its own accord, and again, after what it was sent."""
        await trio.sleep(LATE_S)

    async def listen(self) -> None:
        """Count what comes, until cancelled."""
        await self._sock.bind(("127.0.0.1", 0))
        while True:
            self.heard += len(await self._sock.recv(65536))

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


@asynccontextmanager
async def stranger(port: int) -> AsyncGenerator[Stranger]:
    """A socket that listens."""
    one = Stranger(port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.listen)
            await trio.testing.wait_all_tasks_blocked()
            yield one
            nursery.cancel_scope.cancel()
    finally:
        one.close()


def hello() -> bytes:
    """The first datagram of a client, which is never heard of again."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="a.test")
    configuration.verify_mode = ssl.CERT_NONE
    client = QuicConnection(configuration=configuration)
    client.connect(("127.0.0.1", 1), 0.0)
    ((data, _),) = client.datagrams_to_send(0.0)
    return data


def long_header(
    first: int, body: bytes, version: bytes = VERSION, token: bytes = b"", length: int = 1200
) -> bytes:
    """A datagram of this length, with a long header and identifiers that nobody has seen before."""
    told = bytes([first]) + version + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    if first == INITIAL:
        told += len(token).to_bytes(1) + token
    size = length - len(told) - 2
    return told + (0x4000 | size).to_bytes(2) + (body * size)[:size]


async def is_served(site: Site) -> bool:
    """Whether a client of HTTP/3 that comes now is served."""
    async with raw_http3(site.http3) as client:
        await client.send(0, head("/good"), end=True)
        await client.until_over(0)
        return client.answers == {0: 200}


JUNK: Final[dict[str, Callable[[], bytes]]] = {
    "first messages that cannot be read": lambda: long_header(INITIAL, b"junk"),
    "first messages with tokens": lambda: long_header(INITIAL, b"junk", token=os.urandom(60)),
    "0-RTT": lambda: long_header(ZERO_RTT, b"junk"),
    "handshakes of nobody": lambda: long_header(HANDSHAKE, b"junk"),
    "Retry": lambda: long_header(RETRY, b"junk"),
    "versions that nobody speaks": lambda: long_header(INITIAL, b"junk", b"\x1a\x2a\x3a\x4a"),
    "negotiations of versions": lambda: long_header(INITIAL, b"junk", bytes(4)),
    "short headers": lambda: b"\x43" + os.urandom(1199),
    "small first messages": lambda: long_header(INITIAL, b"junk", length=1199),
    "octets": lambda: os.urandom(1),
}
ANSWERED: Final = {
    "first messages that cannot be read",
    "versions that nobody speaks",
    "short headers",
}
"""With Retry packets, versions, and stateless resets; the others with nothing."""


@pytest.mark.parametrize("name", JUNK)
async def test_datagrams_that_begin_nothing(site: Site, name: str) -> None:
    datagrams = [JUNK[name]() for _ in range(2000)]
    async with site.under_attack(name) as cost, stranger(site.http3) as one:
        await one.send(datagrams)
        assert await is_served(site)
        await one.hear_the_rest()
    assert one.heard <= one.sent
    assert bool(one.heard) is (name in ANSWERED)
    assert cost.requests < 6000
    assert cost.grown_bytes < 8 * MIB
    assert cost.reached == {"/good": 1}


async def test_first_messages_of_addresses_that_are_not_the_senders(site: Site) -> None:
    datagrams = [hello() for _ in range(400)]
    async with (
        site.under_attack("first messages") as cost,
        stranger(site.http3) as one,
    ):
        await one.send(datagrams)
        assert await is_served(site)
        await one.hear_the_rest()
    assert one.heard <= 3 * one.sent
    assert one.heard < 64 * 3 * 1200 + 400 * 300  # few are answered with more than a Retry packet
    assert cost.requests < 64 * 150 + 400 * 20
    assert cost.grown_bytes < 16 * MIB
    assert cost.longest_wait < 3000
    assert cost.reached == {"/good": 1}


async def test_handshakes_that_are_left_in_the_middle(site: Site) -> None:
    # More than are begun without a Retry packet: the further ones answer it.
    async with site.under_attack("handshakes") as cost:
        for _ in range(100):
            async with raw_http3(site.http3, waits=False) as client:
                await client.until(lambda: client.heard_bytes > 1000)
                client.is_deaf = True
        assert await is_served(site)
    assert cost.requests < 100 * 250
    assert cost.grown_bytes < 16 * MIB


async def test_a_client_that_moves_with_each_packet(site: Site) -> None:
    async with site.under_attack("moves") as cost, raw_http3(site.http3) as client:
        await client.send(0, head("/good"), end=True)
        await client.until_over(0)
        for _ in range(300):
            await client.move()
            await client.put(client.packet(PING))
        await until_read(site.http3)
        assert await is_served(site)
    assert cost.requests < 3000
    assert cost.grown_bytes < 8 * MIB


async def test_packets_of_a_connection_that_cannot_be_read(site: Site) -> None:
    async with (
        site.under_attack("packets that cannot be read") as cost,
        raw_http3(site.http3) as client,
    ):
        begins = client.packet(PING)[:9]
        for _ in range(100):
            for _ in range(20):
                await client.put(begins + os.urandom(1000))
            await until_read(site.http3)
        await client.send(0, head("/good"), end=True)
        await client.until_over(0)
        assert (client.answers, client.ended) == ({0: 200}, None)
    assert cost.requests < 6000
    assert cost.grown_bytes < 8 * MIB
