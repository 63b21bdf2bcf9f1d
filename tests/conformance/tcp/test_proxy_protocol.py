"""The PROXY protocol in front of the first byte: from proxies before this one, and to targets."""

import struct

import pytest
import trio

from tests.conformance.http1.gateway import until
from tests.conformance.tcp.served import read_all, served, service, targets

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source: str, port: int, *, command: int = 1) -> bytes:
    """A header of version 2 by hand."""
    addresses = bytes(map(int, source.split("."))) + bytes((192, 0, 2, 1))
    return (
        SIGNATURE
        + bytes((0x20 | command, 0x11))
        + struct.pack("!H4s4sHH", 12, addresses[:4], addresses[4:], port, 443)
    )


HEADERS = {
    "v1": b"PROXY TCP4 203.0.113.9 192.0.2.1 4444 443\r\n",
    "v2": v2("203.0.113.9", 4444),
}


async def read(stream: trio.SocketStream, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += bytes(await stream.receive_some())
    return got


def with_proxy(*ports: int, **proxy: object) -> dict[str, object]:
    return service(*ports, settings={"proxyProtocol": proxy})


@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.parametrize("sent", HEADERS)
@pytest.mark.parametrize("is_split", [False, True])
async def test_the_connection_is_what_the_proxy_says(form: str, sent: str, is_split: bool) -> None:
    async with (
        targets() as some,
        served(with_proxy(*some.ports, accept=True, send=sent.upper())) as gateway,
    ):
        client = await gateway.dial()
        whole = HEADERS[form] + b"hello"
        for part in [bytes([byte]) for byte in whole] if is_split else [whole]:
            await client.send_all(part)
            gateway.turn()
        target = await some[0].accept()
        # What the client connected to, not where the proxy before this one did.
        told = HEADERS[sent]
        assert await read(target, len(told) + 5) == told + b"hello"
        await client.aclose()
        await target.aclose()
        await gateway.settled()
        record = gateway.records()[0]
        assert record[6:8] == ["203.0.113.9:4444", f"127.0.0.1:{gateway.port}"]


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", v2("203.0.113.9", 4444, command=0)], ids=["v1", "v2"]
)
async def test_a_proxy_that_speaks_for_itself_is_the_client(header: bytes) -> None:
    async with (
        targets() as some,
        served(with_proxy(*some.ports, accept=True, send="V1")) as gateway,
    ):
        client = await gateway.dial()
        await client.send_all(header)
        target = await some[0].accept()
        own = client.socket.getsockname()[1]
        told = f"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {gateway.port}\r\n".encode()
        assert await read(target, len(told)) == told
        await client.aclose()


async def test_version_two_is_sent_too() -> None:
    async with targets() as some, served(with_proxy(*some.ports, send="V2")) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        own = client.socket.getsockname()[1]
        told = v2("127.0.0.1", own)[:20] + bytes((127, 0, 0, 1))
        told += struct.pack("!HH", own, gateway.port)
        assert await read(target, len(told)) == told
        await client.aclose()


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 nonsense\r\n",
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    ],
)
async def test_what_is_no_header_is_refused(opening: bytes) -> None:
    async with targets() as some, served(with_proxy(*some.ports, accept=True)) as gateway:
        client = await gateway.dial()
        await client.send_all(opening)
        with_end = True
        try:
            assert await read_all(client) == b""
        except trio.BrokenResourceError:
            with_end = False
        assert with_end or gateway.count("tcp_refused") == 1
        assert gateway.count("tcp_refused") == 1
        (notice,) = gateway.notices
        assert notice.startswith(f"TCP service: port {gateway.port}, client 127.0.0.1: ")
        await client.aclose()


async def test_lists_count_for_the_client_and_trust_for_the_proxy() -> None:
    settings = {"proxyProtocol": {"accept": True}, "blocked": ["203.0.113.0/24"]}
    async with targets() as some, served(service(*some.ports, settings=settings)) as gateway:
        client = await gateway.dial()
        await client.send_all(HEADERS["v1"])
        assert await read_all(client) == b""
        assert gateway.last_error() == "the address is not let in"
        await client.aclose()
    async with (
        targets() as some,
        served(with_proxy(*some.ports, accept=True, trusted=["10.0.0.0/8"])) as gateway,
    ):
        client = await gateway.dial()
        assert await read_all(client) == b""
        assert gateway.last_error() == "the proxy before this one is not trusted"
        await client.aclose()


async def test_a_header_without_end_is_not_waited_for() -> None:
    async with (
        targets() as some,
        served(with_proxy(*some.ports, accept=True), handshake_timeout_s=3.0) as gateway,
    ):
        client = await gateway.dial()
        await until(lambda: gateway.count("tcp_accepted") == 1)
        await client.send_all(b"PROXY TC")
        gateway.turn()
        gateway.pass_time(3.5)
        assert await read_all(client) == b""
        assert gateway.last_error() == "the client took too long"
        await client.aclose()
