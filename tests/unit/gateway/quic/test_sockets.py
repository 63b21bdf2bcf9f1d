"""The same over real sockets: batches, forwarding between workers, a socket that takes nothing."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted

from oto_trio.gateway.quic import Acceptor, QuicEndpoint, QuicLink, QuicSecrets
from oto_trio.gateway.quic.forwarding import Forwarder
from oto_trio.gateway.quic.sockets import GATHERED_BYTES, MOST_SEGMENTS, Datagrams
from tests.unit.gateway.quic.network import Owner, Terms, authority

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import pytest

    from oto_trio.gateway.quic.sockets import Address


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 (what is waited for has no event)
            await trio.sleep(0.001)


class Served:
    """Workers that share a group, each with a socket, and a client."""

    def __init__(self, workers: int) -> None:
        self.owners: list[Owner] = []
        shared = QuicSecrets(secrets.token_bytes(16), trio.current_time)
        self.workers = [
            QuicEndpoint(
                trio.current_time,
                acceptor=Acceptor(["h3"], lambda _: Terms(), self.own),
                secrets=shared,
            )
            for _ in range(workers)
        ]
        self.addresses: list[tuple[str, int]] = []
        for worker in self.workers:
            sock = bound()
            self.addresses.append(sock.getsockname())
            worker.add(sock)
        self.client = QuicEndpoint(trio.current_time)
        self.path = self.client.add(bound())

    def own(self, link: QuicLink, path: object, now: float) -> Owner:
        self.owners.append(Owner(link))
        return self.owners[-1]

    async def connect(self) -> Owner:
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="api.test"
        )
        configuration.cadata = authority().cert_pem.bytes()
        configuration.verify_mode = ssl.CERT_REQUIRED
        link = self.client.connect(configuration, self.path, self.addresses[0], trio.current_time())
        owner = link.owner = Owner(link)
        link.transmit(trio.current_time())
        await until(lambda: owner.saw(HandshakeCompleted))
        return owner


@asynccontextmanager
async def served(workers: int = 1) -> AsyncGenerator[Served]:
    made = Served(workers)
    async with trio.open_nursery() as nursery:
        for endpoint in (*made.workers, made.client):
            nursery.start_soon(endpoint.run)
        yield made
        nursery.cancel_scope.cancel()
    for endpoint in (*made.workers, made.client):
        endpoint.close()


async def test_bytes_pass_both_ways_over_real_sockets() -> None:
    async with served() as net:
        client = await net.connect()
        up, down = os.urandom(600_000), os.urandom(600_000)
        client.link.state.send_stream_data(0, up, end_stream=True)
        client.link.transmit(trio.current_time())
        await until(lambda: bool(net.owners) and 0 in net.owners[0].ended)
        server = net.owners[0]
        server.link.state.send_stream_data(0, down, end_stream=True)
        server.link.transmit(trio.current_time())
        await until(lambda: 0 in client.ended)
        assert server.received[0] == up
        assert client.received[0] == down


async def test_a_datagram_that_reaches_another_worker_finds_its_connection() -> None:
    async with served(workers=2) as net:
        client = await net.connect()
        server = net.owners[0]
        # All that the client sends reaches the other worker from now on, as after a change of address.
        other = net.addresses[1]
        send = net.path.send
        net.path.send = lambda datagrams: send([(data, other) for data, _ in datagrams])  # type: ignore[method-assign]
        client.link.state.send_stream_data(0, b"hello", end_stream=True)
        client.link.transmit(trio.current_time())
        await until(lambda: 0 in server.ended)
        assert server.received[0] == b"hello"
        assert len(net.owners) == 1
        assert not net.workers[1].links


def test_only_a_process_of_this_gateway_forwards() -> None:
    group = secrets.token_hex(8)
    first, second = Forwarder(group, b"aaaa"), Forwarder(group, b"bbbb")
    other = Forwarder(secrets.token_hex(8), b"bbbb")
    try:
        for address in (("127.0.0.1", 5), ("::1", 6, 7, 8)):
            assert first.forward(b"bbbb", b"data", address)
            assert list(second.read(9)) == [(b"data", address)]
        assert list(other.read(9)) == []
        assert not first.forward(b"cccc", b"data", ("127.0.0.1", 5))
        first.sock.sendto(b"\xff", second.sock.getsockname())
        assert list(second.read(9)) == []
    finally:
        for forwarder in (first, second, other):
            forwarder.close()


def read_sizes(path: Datagrams) -> list[int]:
    """The sizes of the datagrams that are there, each cut from what it came with."""
    return [
        len(run[start : start + step])
        for run, step, _ in path.read(64)
        for start in range(0, len(run), step)
    ]


def test_datagrams_of_one_write_arrive_one_by_one() -> None:
    ours, theirs = Datagrams(bound(), 10), Datagrams(bound(), 10)
    to = theirs.sock.getsockname()
    sizes = [1200, 1200, 700, 1200, 30, 1300, 1200]
    ours.send([(bytes([size % 251]) * size, to) for size in sizes])
    assert read_sizes(theirs) == sizes
    ours._cuts = False  # as where the kernel cannot
    ours.send([(bytes(size), to) for size in sizes])
    assert read_sizes(theirs) == sizes
    ours.close()
    theirs.close()


def test_what_is_there_is_gathered_by_who_sent_it() -> None:
    ours, other, theirs = (Datagrams(bound(), 10) for _ in range(3))
    to = theirs.sock.getsockname()
    for sender, data in ((ours, b"a"), (other, b"b"), (ours, b"cc")):
        sender.send([(data, to)])
    assert theirs.gather(2) == [
        (ours.sock.getsockname(), [(b"a", 1)]),
        (other.sock.getsockname(), [(b"b", 1)]),
    ]
    assert theirs.gather(9) == [(ours.sock.getsockname(), [(b"cc", 2)])]
    for _ in range(3 * GATHERED_BYTES // 50_000):
        ours.sock.sendto(bytes(50_000), to)
    ((_, runs),) = theirs.gather(64)
    assert GATHERED_BYTES <= sum(len(run) for run, _ in runs) < GATHERED_BYTES + 65_536
    while theirs.gather(64):
        pass
    for octet in range(90):
        ours.sock.sendto(bytes([octet]), to)
    parts = [[run for run, _ in runs] for _, runs in theirs.gather(90)]
    assert b"".join(b"".join(it) for it in parts) == bytes(range(90))
    assert [len(it) for it in parts] == [MOST_SEGMENTS, 90 - MOST_SEGMENTS]
    for path in (ours, other, theirs):
        path.close()


async def test_what_was_read_is_acted_on_when_reading_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oto_trio.gateway.quic.endpoint.TURN_S", -1.0)
    endpoint, heard = QuicEndpoint(trio.current_time), bytearray()
    senders, sock = [bound() for _ in range(3)], bound()
    for octet, sender in enumerate(senders):
        sender.sendto(bytes([octet]), sock.getsockname())
    path = endpoint.add(sock)

    def receive(data: bytes, *_: object) -> None:
        heard.extend(data)
        endpoint.stop_reading(path)

    monkeypatch.setattr(endpoint, "receive", receive)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoint.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert heard == bytes([0, 1, 2])
    endpoint.close()
    for sender in senders:
        sender.close()


class NarrowSocket:
    """A socket whose way out carries datagrams of so many bytes."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self.most = most
        self.calls = 0
        self.failed = 0

    def sendto(self, data: bytes, address: Address) -> int:
        self._check(len(data), errno.EMSGSIZE)
        return self._sock.sendto(data, address)

    def sendmsg(self, parts: list[bytes], told: list[Any], flags: int, address: Address) -> int:
        self._check(len(parts[0]), errno.EINVAL)
        return self._sock.sendmsg(parts, told, flags, address)

    def _check(self, size: int, error: int) -> None:
        self.calls += 1
        if size > self.most:
            self.failed += 1
            raise OSError(error, "as Linux says it")

    def close(self) -> None:
        self._sock.close()


def narrow(most: int) -> tuple[Datagrams, Any]:
    path = Datagrams(bound(), 100)
    sock: Any = NarrowSocket(path.sock, most)
    path.sock = sock
    return path, sock


def test_a_datagram_that_the_way_out_does_not_carry_takes_no_others_with_it() -> None:
    (ours, sock), theirs = narrow(1300), Datagrams(bound(), 10)
    to = theirs.sock.getsockname()
    # As when a probe waited for the socket, and others behind it.
    ours.send([(bytes(size), to) for size in (1200, 1200, 1452, 1200)])
    assert read_sizes(theirs) == [1200, 1200, 1200]
    assert sock.failed == 2
    # Many still go with one write.
    sock.calls = 0
    ours.send([(bytes(1200), to)] * 10)
    assert read_sizes(theirs) == [1200] * 10
    assert sock.calls == 1
    ours.close()
    theirs.close()


def test_a_device_that_cannot_cut_writes_is_given_datagrams() -> None:
    (ours, sock), theirs = narrow(0), Datagrams(bound(), 10)
    to = theirs.sock.getsockname()
    ours.send([(bytes(1200), to)] * 3)
    assert sock.calls == 4
    sock.most, sock.calls = 1500, 0
    ours.send([(bytes(1200), to)] * 3)
    assert sock.calls == 3
    assert read_sizes(theirs) == [1200] * 3
    ours.close()
    theirs.close()


def test_what_waits_for_a_socket_is_bounded() -> None:
    path = Datagrams(bound(), 10)
    here = path.sock.getsockname()
    path._waiting.append((b"x", here))
    path.send([(b"y", here)] * 20)
    assert len(path._waiting) == 10
    assert path.dropped == 11
    path.flush()
    assert not path.waits
    assert len(read_sizes(path)) == 10
    path.close()
