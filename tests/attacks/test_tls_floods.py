"""Floods of handshakes, and first messages that come in crumbs."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import pytest
import trio

from tests.conformance.tls.secure import client_context

if TYPE_CHECKING:
    from tests.attacks.site import Site

pytestmark = pytest.mark.slow

MIB: Final = 1024 * 1024
HANDSHAKES: Final = 100
RECORD_HEAD: Final = 5
SERVER_SAYS: Final = b"\x16"
"""What the answer to a first message begins with, which an alert does not."""


def hello(name: str = "a.test") -> bytes:
    """The first message of a client that asks for this name, in one record."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def crumbs(message: bytes) -> bytes:
    """The same message in records of one octet."""
    version, content = message[:3], message[RECORD_HEAD:]
    return b"".join(version + b"\0\1" + bytes([octet]) for octet in content)


async def heard(stream: trio.SocketStream) -> bytes:
    """Read to the end of the connection."""
    got = b""
    try:
        while data := await stream.receive_some(65536):
            got += data
    except trio.BrokenResourceError:
        pass
    return got


async def test_handshakes_that_are_left_in_the_middle(site: Site) -> None:
    octets = hello()
    async with site.under_attack("handshakes") as cost:
        for _ in range(HANDSHAKES):
            stream = await trio.open_tcp_stream("127.0.0.1", site.https)
            async with stream:
                await stream.send_all(octets)
                assert (await stream.receive_some())[:1] == SERVER_SAYS
    assert cost.requests < HANDSHAKES * 150
    assert cost.grown_bytes < 8 * MIB


NO_HELLOS: Final = {
    "no TLS": b"\0" * 1000,
    "a message without end": b"\x16\x03\x01\x40\0\x01\xff\xff\xff" + bytes(16_000),
    "records of nothing": b"\x16\x03\x01\0\0" * 200,
    "alerts": b"\x15\x03\x01\0\2\1\0" * 200,
}


@pytest.mark.parametrize("name", NO_HELLOS)
async def test_what_is_no_handshake_is_closed_at_once(site: Site, name: str) -> None:
    async with site.under_attack(name) as cost:
        for port in (site.https, site.named):
            for _ in range(50):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    try:
                        await stream.send_all(NO_HELLOS[name] * 100)
                    except trio.BrokenResourceError:
                        continue
                    assert (await heard(stream))[:1] in {b"\x15", b""}
    assert cost.requests < 100 * 20
    assert cost.grown_bytes < 8 * MIB
    assert cost.reached.total() == 0


async def test_first_messages_in_crumbs(site: Site) -> None:
    octets = crumbs(hello("tcp.test"))
    async with site.under_attack("first messages in crumbs") as cost:
        for port in (site.https, site.named):
            for _ in range(50):
                before = site.backend.heard
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    await stream.send_all(octets)
                    if port == site.https:
                        assert (await stream.receive_some())[:1] == SERVER_SAYS
                        continue
                    # The name in it leads to a backend, which gets it all.
                    while site.backend.heard < before + len(octets):  # noqa: ASYNC110 (it lives in another thread)
                        await trio.sleep(0.001)
    assert cost.requests < 100 * 150
    assert cost.grown_bytes < 8 * MIB
