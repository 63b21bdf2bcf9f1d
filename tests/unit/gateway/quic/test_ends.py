"""What ends while tasks begin, wait, or keep time: no other connection may notice."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
import trio
import trio.testing
from aioquic.quic.events import HandshakeCompleted
from typing_extensions import override

from oto_trio.gateway.quic import QuicEndpoint, QuicSecrets
from oto_trio.gateway.quic.forwarding import Forwarder
from tests.unit.gateway.quic.network import Net, Owner


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def fill(sock: socket.socket) -> None:
    """Send until the socket takes nothing, which it says with an error."""
    while True:
        sock.send(bytes(1200))


async def test_a_socket_may_close_before_its_task_begins() -> None:
    endpoint = QuicEndpoint(trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoint.run)
        await trio.testing.wait_all_tasks_blocked()
        endpoint.drop(endpoint.add(udp()))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_socket_that_takes_nothing_leaves_no_task_when_it_closes() -> None:
    endpoint = QuicEndpoint(trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoint.run)
        await trio.testing.wait_all_tasks_blocked()
        sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with receiver:
            path = endpoint.add(sender)
            with pytest.raises(BlockingIOError):
                fill(sender)
            path._keep([(bytes(1200), ("127.0.0.1", 9))])
            endpoint._check_path(path)
            await trio.testing.wait_all_tasks_blocked()
            assert endpoint._nursery is not None
            before = len(endpoint._nursery.child_tasks)
            endpoint.drop(path)
            await trio.testing.wait_all_tasks_blocked()
            assert len(endpoint._nursery.child_tasks) == before - 2
            assert not endpoint._blocked
        nursery.cancel_scope.cancel()


async def test_datagrams_may_be_forwarded_while_the_sockets_close() -> None:
    shared = QuicSecrets(os.urandom(16), trio.current_time)
    endpoint = QuicEndpoint(trio.current_time, secrets=shared)
    other = Forwarder(shared.group, os.urandom(4))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoint.run)
        await trio.testing.wait_all_tasks_blocked()
        endpoint._settle = lambda _: endpoint.close()
        assert other.forward(endpoint.prefix, b"x" * 40, ("192.0.2.1", 1))
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
    other.close()
    assert endpoint._forwarder is not None
    assert endpoint._forwarder.is_closed


def test_a_connection_whose_timer_fails_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    first, second = net.connect(), net.connect()
    assert net.run(lambda: first.saw(HandshakeCompleted) and second.saw(HandshakeCompleted))

    def fail(_now: float) -> None:
        raise AssertionError("a defect of the library")

    monkeypatch.setattr(first.link.state, "handle_timer", fail)
    first.link.state.send_ping(1)
    first.link.transmit(net.now)
    net.loss = 1
    assert net.run(lambda: first.is_lost, 30)
    assert not second.is_lost


def test_a_retired_socket_closes_when_its_connection_has_moved_to_another() -> None:
    net = Net()
    client = net.connect()
    assert net.run(lambda: client.saw(HandshakeCompleted) and bool(net.owners))
    sides: list[Any] = [net.wires["server"], Path()]
    endpoint = net.server
    for side in sides:
        endpoint._readers[side] = trio.CancelScope()
    sides[0].close = lambda: setattr(sides[0], "is_closed", True)
    told: list[bool] = []
    endpoint.retire(sides[0], lambda: told.append(sides[0].is_closed))
    assert not sides[0].is_closed
    assert not told
    client.link.state.send_ping(1)
    for data, _ in client.link.state.datagrams_to_send(net.now):
        endpoint.receive(data, ("198.51.100.7", 5000), sides[1], net.now)
    assert owner_path(net.owners[0]) is sides[1]
    assert sides[0].is_closed
    assert told == [True]


def test_nobody_keeps_a_retired_socket_open_by_moving_to_it() -> None:
    net = Net()
    first, second = net.connect(), net.connect()
    assert net.run(lambda: first.saw(HandshakeCompleted) and second.saw(HandshakeCompleted))
    net.run(most_s=1)
    old: Any = Path()
    old.close = lambda: setattr(old, "is_closed", True)
    endpoint, (staying, moving) = net.server, net.owners
    endpoint._readers[old] = trio.CancelScope()
    staying.link.path = old
    endpoint.retire(old)
    second.link.state.send_stream_data(0, b"hello")
    for data, _ in second.link.state.datagrams_to_send(net.now):
        endpoint.receive(data, ("198.51.100.7", 5000), old, net.now)
    endpoint.deliver(net.now)
    assert moving.received[0] == b"hello", "it is heard all the same"
    assert owner_path(moving) is net.wires["server"]
    endpoint.forget(staying.link, net.now)
    assert old.is_closed


class Path:
    """Another socket of the same server."""

    waits = is_closed = False


def owner_path(owner: Owner) -> object:
    return owner.link.path


class FailingOwner(Owner):
    @override
    def quic_lost(self, now: float) -> None:
        super().quic_lost(now)
        raise RuntimeError("defect")


def test_an_owner_that_fails_at_the_end_of_its_connection_ends_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    net = Net()
    first, second = net.connect(), net.connect()
    assert net.run(lambda: first.saw(HandshakeCompleted) and second.saw(HandshakeCompleted))
    owner = net.owners[0]
    failing = owner.link.owner = FailingOwner(owner.link)
    first.link.close(0x100, "", net.now)
    net.client.settle(net.now)
    net.run(lambda: len(net.server.links) == 1, most_s=30)
    assert failing.is_lost
    assert "the end of a QUIC connection failed" in caplog.text
    assert [link.owner for link in net.server.links] == [net.owners[1]]
    assert not net.owners[1].is_lost
