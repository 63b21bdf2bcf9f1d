"""Connections over a network in memory: beginnings, transfer, loss, migration, deadlines, bounds."""

from __future__ import annotations

import os
import ssl
from functools import partial

import pytest
from aioquic import tls
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from aioquic.quic.packet import QuicErrorCode, QuicProtocolVersion

from oto_trio.gateway.quic import QuicLimits
from tests.unit.gateway.quic.network import CLIENT, Net, Owner


def open_connection(net: Net) -> tuple[Owner, Owner]:
    """The client's side of a new connection, and the server's."""
    client = net.connect()
    assert net.run(lambda: client.saw(HandshakeCompleted) and bool(net.owners))
    server = net.owners[-1]
    assert net.run(lambda: server.saw(HandshakeCompleted))
    return client, server


def send(net: Net, owner: Owner, data: bytes, *, stream: int = 0, end: bool = True) -> None:
    owner.link.state.send_stream_data(stream, data, end)
    owner.link.transmit(net.now)


def test_a_certificate_is_picked_by_the_name_the_client_asks_for() -> None:
    net = Net()
    client = net.connect("shop.test")
    assert net.run(lambda: client.saw(HandshakeCompleted))
    assert net.terms.names == ["shop.test"]


def asking(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have clients ask for a name that the library would not."""
    push = tls.push_server_name
    monkeypatch.setattr(tls, "push_server_name", lambda buffer, _: push(buffer, name))


@pytest.mark.parametrize(
    ("name", "asked"),
    [("192.0.2.1", None), ("2001:DB8::1", None), ("Shop.test.", "shop.test")],
)
def test_an_address_is_no_name(
    monkeypatch: pytest.MonkeyPatch, name: str, asked: str | None
) -> None:
    asking(monkeypatch, name)
    net = Net()
    client = net.connect(verify_mode=ssl.CERT_NONE)
    assert net.run(lambda: client.saw(HandshakeCompleted))
    assert net.terms.names == [asked]
    assert net.owners[-1].link.state.server_name == asked


@pytest.mark.parametrize("name", ["a b", "a..b", "[::1]", ""])
def test_a_name_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    asking(monkeypatch, name)
    net = Net()
    client = net.connect(verify_mode=ssl.CERT_NONE)
    assert net.run(lambda: client.is_lost)
    told = client.link.state._close_event
    assert told is not None
    assert told.error_code == QuicErrorCode.CRYPTO_ERROR + 50
    assert not net.terms.names


@pytest.mark.parametrize(("loss", "jitter_s"), [(0.0, 0.0), (0.0, 0.05), (0.08, 0.03)])
def test_bytes_arrive_whole_over_a_link_that_loses_and_reorders(
    loss: float, jitter_s: float
) -> None:
    net = Net()
    client, server = open_connection(net)
    net.loss, net.jitter_s = loss, jitter_s
    up, down = os.urandom(150_000), os.urandom(150_000)
    send(net, client, up)
    assert net.run(lambda: 0 in server.ended, 60)
    send(net, server, down)
    assert net.run(lambda: 0 in client.ended, 60)
    assert server.received[0] == up
    assert client.received[0] == down


def test_what_is_held_closes_the_window_and_what_is_released_opens_it() -> None:
    limits = QuicLimits(stream_window=16_384, connection_window=40_000)
    net = Net(limits=limits)
    client, server = open_connection(net)
    state = server.link.state
    server.on_data = lambda event: state.hold(event.stream_id, len(event.data))
    for stream in (0, 4, 8):
        send(net, client, bytes(200_000), stream=stream)
    net.run(most_s=3)
    sizes = [len(it) for it in server.received.values()]
    assert max(sizes) <= 16_384
    assert sum(sizes) == 40_000
    server.on_data = None
    for stream in (0, 4, 8):
        state.release_all(stream)
    server.link.transmit(net.now)
    assert net.run(lambda: server.ended == {0, 4, 8}, 30)
    assert state._held_bytes == 0


def more_ended(owner: Owner, before: int) -> bool:
    return len(owner.ended) > before


def test_streams_are_bounded_and_come_back() -> None:
    net = Net(limits=QuicLimits(streams=10))
    client, server = open_connection(net)
    for number in range(25):
        client.link.state.send_stream_data(number * 4, b"x", end_stream=True)
    client.link.transmit(net.now)
    net.run(most_s=1)
    assert len(server.ended) == 10
    server.on_data = None
    while len(server.ended) < 25:
        before = len(server.ended)
        for stream in sorted(server.ended):
            if server.link.state.can_send(stream):
                send(net, server, b"y", stream=stream)
        assert net.run(partial(more_ended, server, before))


def test_a_client_may_change_its_address() -> None:
    net = Net()
    client, server = open_connection(net)
    net.wires["client"].address = ("203.0.113.9", 6001)
    send(net, client, b"from elsewhere", end=False)
    assert net.run(lambda: bytes(server.received.get(0, b"")) == b"from elsewhere")
    assert net.run(lambda: server.link.peer == ("203.0.113.9", 6001))
    send(net, server, bytes(50_000))
    assert net.run(lambda: 0 in client.ended)
    assert len(net.owners) == 1


def test_a_version_nobody_speaks_is_answered_with_those_that_are() -> None:
    net = Net()
    client = net.connect(
        original_version=0x1A2A3A4A,
        supported_versions=[0x1A2A3A4A, QuicProtocolVersion.VERSION_1],
    )
    assert net.run(lambda: client.saw(HandshakeCompleted))
    assert len(net.wires["server"].sent[0]) < 100
    assert len(net.owners) == 1


def test_many_handshakes_have_a_client_show_its_address_first() -> None:
    net = Net(limits=QuicLimits(trusted_handshakes=0))
    client = net.connect()
    assert net.run(lambda: client.saw(HandshakeCompleted))
    assert net.acceptor.retries == 1
    # The packet that was answered with a Retry left nothing behind.
    assert len(net.owners) == 1


def lone_hello() -> bytes:
    """The first datagram of a client that is never heard of again."""
    net = Net()
    net.connect()
    first: bytes = net.wires["client"].sent[0]
    return first


def test_no_more_is_sent_to_an_address_that_is_not_proven_than_three_times_what_came() -> None:
    hello, net = lone_hello(), Net()
    net.server.receive(hello, CLIENT, net.wires["server"], net.now)
    net.server.settle(net.now)
    net.run(most_s=9)
    assert len(hello) < sum(len(it) for it in net.wires["server"].sent) <= 3 * len(hello)


def test_a_handshake_that_does_not_end_is_dropped() -> None:
    hello, net = lone_hello(), Net()
    net.server.receive(hello, CLIENT, net.wires["server"], net.now)
    net.server.settle(net.now)
    assert net.server.handshakes == 1
    assert net.run(lambda: net.owners[0].is_lost, 15)
    assert net.run(lambda: not net.server.links, 15)
    assert net.server._by_cid == {}
    assert net.server.handshakes == 0


def test_an_idle_connection_is_dropped_by_the_clock() -> None:
    net = Net(limits=QuicLimits(idle_s=7))
    client, server = open_connection(net)
    assert net.run(lambda: server.is_lost and client.is_lost, 10)
    assert not net.server.links
    assert net.server._by_cid == {}


def test_a_close_is_told_to_the_other_side_at_once() -> None:
    net = Net()
    client, server = open_connection(net)
    server.link.close(0x100, "enough", net.now)
    server.link.transmit(net.now)
    assert server.is_lost
    assert net.run(lambda: client.is_lost, 0.2)
    assert net.run(lambda: not net.server.links and not net.client.links, 5)
    ended = next(it for it in client.events if isinstance(it, ConnectionTerminated))
    assert (ended.error_code, ended.reason_phrase) == (0x100, "enough")


def garbage(net: Net) -> list[bytes]:
    sent = net.wires["client"].sent
    first = next(it for it in sent if it[0] & 0x80 and len(it) >= 1200)
    return [
        b"",
        b"\0",
        b"\xc0",
        os.urandom(40),
        bytes([0x40]) + os.urandom(1300),
        bytes([0xC0, 0, 0, 0, 1, 8]) + os.urandom(1300),
        bytes([0xC0, 0, 0, 0, 1, 255]) + os.urandom(1300),
        bytes([0xC0, 0, 0, 0, 0, 8]) + os.urandom(1300),
        first[:1199],
        first[:40],
        first[:60] + os.urandom(len(first) - 60),
    ]


def test_garbage_creates_nothing() -> None:
    net = Net()
    net.connect()
    net.client.close()
    cases = garbage(net)
    net = Net()
    for data in cases:
        net.server.receive(data, ("203.0.113.5", 9), net.wires["server"], net.now)
        net.server.settle(net.now)
    assert not net.server.links
    assert net.server._by_cid == {}
    assert net.wires["server"].sent == []


def test_what_was_heard_before_changes_nothing() -> None:
    net = Net()
    client, server = open_connection(net)
    send(net, client, b"once")
    assert net.run(lambda: 0 in server.ended)
    heard = [it for it in net.wires["client"].sent if not it[0] & 0x80]
    before = len(net.wires["server"].sent)
    for data in heard:
        # From another address, as whoever listens on the way would send it.
        net.server.receive(data, ("203.0.113.5", 9), net.wires["server"], net.now)
    net.server.settle(net.now)
    assert server.received[0] == b"once"
    assert server.link.peer == CLIENT
    assert len(net.wires["server"].sent) == before
    assert len(net.owners) == 1


def test_connections_have_a_bound() -> None:
    net = Net(limits=QuicLimits(connections=2))
    clients = [net.connect() for _ in range(4)]
    net.run(most_s=2)
    assert sum(it.saw(HandshakeCompleted) for it in clients) == 2
    assert len(net.server.links) == 2


def test_a_handshake_message_that_leaves_a_large_gap_is_refused() -> None:
    net = Net(limits=QuicLimits(crypto_bytes=100))
    client = net.connect()
    assert net.run(lambda: client.is_lost, 2)
    assert not client.saw(HandshakeCompleted)


def test_identifiers_lead_to_their_worker() -> None:
    net = Net()
    _, server = open_connection(net)
    state = server.link.state
    assert len(state.identifiers) > 1
    assert all(it.startswith(net.server.prefix) for it in state.identifiers)
    assert all(net.server._by_cid[it] is server.link for it in state.identifiers)
