"""Packets by the engine on one side or both: the same bytes arrive as with aioquic alone, whatever the link does."""

from __future__ import annotations

import itertools
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import StreamReset
from aioquic.quic.packet import QuicErrorCode
from aioquic.tls import Epoch

from oto_trio.gateway.quic import QuicLimits
from tests.unit.gateway.quic.network import CLIENT, SERVER, Net
from tests.unit.gateway.quic.test_endpoint import open_connection, send

if TYPE_CHECKING:
    from oto_trio.gateway.quic.sockets import Datagrams
    from tests.unit.gateway.quic.network import Owner


def by_library(owner: Owner) -> None:
    """Have one side of a connection read and write each packet with aioquic."""
    state: Any = owner.link.state
    state.receive_runs = lambda *_: 0
    sending = partial(QuicConnection.datagrams_to_send, state)
    state.datagrams_to_send = sending


def has_ended(owner: Owner, stream: int) -> bool:
    return stream in owner.ended


@pytest.mark.parametrize("plain", ["none", "client", "server"])
@pytest.mark.parametrize(("loss", "jitter_s"), [(0.0, 0.0), (0.06, 0.03)])
def test_streams_arrive_whole_with_the_library_on_either_side(
    plain: str, loss: float, jitter_s: float
) -> None:
    net = Net()
    client, server = open_connection(net)
    if plain != "none":
        by_library({"client": client, "server": server}[plain])
    net.loss, net.jitter_s = loss, jitter_s
    chance = random.Random(3)
    up = {4 * it: chance.randbytes(chance.choice([0, 5, 1100, 40_000])) for it in range(12)}
    down = {it: chance.randbytes(chance.choice([0, 900, 1500, 60_000])) for it in up}
    for stream, data in up.items():
        client.link.state.send_stream_data(stream, data, end_stream=True)
    client.link.transmit(net.now)
    assert net.run(lambda: len(server.ended) == len(up), 60)
    for stream, data in down.items():
        server.link.state.send_stream_data(stream, data, end_stream=True)
    server.link.transmit(net.now)
    assert net.run(lambda: len(client.ended) == len(down), 60)
    assert {it: bytes(server.received[it]) for it in up} == up
    assert {it: bytes(client.received[it]) for it in down} == down
    assert net.run(lambda: not client.link.state._loss.bytes_in_flight, 10)
    assert net.run(lambda: not server.link.state._loss.bytes_in_flight, 10)
    assert not server.link.state.owes
    assert not client.link.state._streams


def test_flights_hold_full_datagrams_of_many_packets() -> None:
    net = Net()
    client, server = open_connection(net)
    server.link.state._largest_for_peer = 1200
    before = len(net.wires["server"].sent)
    send(net, client, b"x")
    assert net.run(lambda: 0 in server.ended)
    send(net, server, bytes(200_000))
    assert net.run(lambda: 0 in client.ended)
    sizes = [len(it) for it in net.wires["server"].sent[before:]]
    assert sizes.count(1200) > 0.9 * len(sizes)


@pytest.mark.parametrize("bound", [30_000, 10**6])
def test_no_more_is_in_flight_than_the_bound(bound: int) -> None:
    net = Net(limits=QuicLimits(flight=bound))
    client, server = open_connection(net)
    send(net, client, b"x")
    assert net.run(lambda: 0 in server.ended)
    send(net, server, bytes(600_000))
    most = 0

    def has_ended_and_is_noted() -> bool:
        nonlocal most
        most = max(most, server.link.state._loss.bytes_in_flight)
        return 0 in client.ended

    assert net.run(has_ended_and_is_noted, 30)
    # A client that takes all it is sent is sent more at once than this, unless there is a bound.
    assert (most <= 30_000) is (bound == 30_000)
    assert most > 20_000


def test_keys_may_be_updated_in_the_middle() -> None:
    net = Net()
    client, server = open_connection(net)
    for round_, owner in enumerate((client, server, client)):
        phase = server.link.state._cryptos[Epoch.ONE_RTT]
        before = phase.recv.key_phase
        owner.link.state.request_key_update()
        send(net, client, bytes(30_000), stream=4 * round_)
        assert net.run(partial(has_ended, server, 4 * round_), 10)
        send(net, server, bytes(30_000), stream=4 * round_)
        assert net.run(partial(has_ended, client, 4 * round_), 10)
        assert phase.recv.key_phase != before
    assert not client.link.state.is_closing
    assert not server.link.state.is_closing


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_keys_are_updated_before_they_sealed_too_much(
    monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    monkeypatch.setattr("oto_trio.gateway.quic.transfer.KEY_PACKETS", 300)
    net = Net()
    client, server = open_connection(net)
    state: Any = server.link.state
    state._largest_for_peer = 1200
    updated: list[int] = []
    update = state.request_key_update

    def note() -> None:
        updated.append(state._packet_number)
        update()

    monkeypatch.setattr(state, "request_key_update", note)
    net.loss = loss
    send(net, client, b"x")
    assert net.run(lambda: 0 in server.ended, 10)
    data = random.Random(5).randbytes(2_000_000)
    send(net, server, data)
    assert net.run(lambda: 0 in client.ended, 300)
    assert client.received[0] == data
    assert len(updated) >= 3
    # What one flight holds goes beyond the bound, and what is sent before the first acknowledgement.
    gaps = [after - before for before, after in itertools.pairwise([0, *updated])]
    assert min(gaps) >= 300
    assert max(gaps) < 2000
    assert not client.link.state.is_closing


def test_what_is_wrong_in_a_plain_packet_ends_the_connection() -> None:
    limits = QuicLimits(stream_window=16_384)
    net = Net(limits=limits)
    client, server = open_connection(net)
    state: Any = client.link.state
    server.on_data = lambda event: server.link.state.hold(event.stream_id, len(event.data))
    send(net, client, b"x", end=False)
    net.run(most_s=1)
    state._streams[0].max_stream_data_remote = 10**6  # a client that keeps to no window
    send(net, client, bytes(60_000))
    assert net.run(lambda: server.is_lost and client.is_lost, 10)
    told = client.link.state._close_event
    assert told is not None
    assert told.error_code == QuicErrorCode.FLOW_CONTROL_ERROR


def test_what_could_not_be_sealed_is_sent_with_the_next_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Net()
    client, server = open_connection(net)
    send(net, client, b"x")
    assert net.run(lambda: 0 in server.ended)
    side = server.link.state._sealing
    keys: Any = side.keys_of(server.link.state._cryptos[Epoch.ONE_RTT].send)
    refused: list[int] = []

    class Refusing:
        """Keys that seal nothing of the first flight that holds data."""

        def seal_flight(self, *flight: Any) -> list[Any]:
            if flight[5] and not refused:
                refused.append(len(flight[5]))
                return []
            sealed: list[Any] = keys.seal_flight(*flight)
            return sealed

    monkeypatch.setattr(side, "_keys", Refusing())
    data = random.Random(9).randbytes(5000)
    send(net, server, data)
    assert refused
    server.link.transmit(net.now)
    assert net.run(lambda: 0 in client.ended)
    assert client.received[0] == data
    assert net.run(lambda: not server.link.state._streams)


def test_a_stream_that_was_given_up_sends_no_more_of_it() -> None:
    net = Net()
    client, server = open_connection(net)
    send(net, client, b"x", end=True)
    assert net.run(lambda: 0 in server.ended)
    server.link.state.send_stream_data(0, bytes(500_000), end_stream=True)
    server.link.transmit(net.now)
    server.link.state.reset_stream(0, 7)
    server.link.transmit(net.now)
    assert net.run(lambda: client.saw(StreamReset), 10)
    assert len(client.received.get(0, b"")) < 500_000
    assert net.run(lambda: not server.link.state._streams, 10)


def test_a_window_that_is_closed_keeps_the_rest() -> None:
    limits = QuicLimits(stream_window=16_384)
    net = Net(limits=limits)
    client, server = open_connection(net)
    state = server.link.state
    server.on_data = lambda event: state.hold(event.stream_id, len(event.data))
    send(net, client, bytes(50_000))
    net.run(most_s=3)
    assert len(server.received[0]) == 16_384
    assert client.link.state.unsent(0) == 50_000 - 16_384
    server.on_data = None
    state.release_all(0)
    server.link.transmit(net.now)
    assert net.run(lambda: 0 in server.ended, 10)


@pytest.mark.parametrize("joined", [1, 2, 100])
def test_joined_datagrams_reach_the_connections_that_they_name(joined: int) -> None:
    net = Net()
    client, server = open_connection(net)
    other, other_server = open_connection(net)
    for owner, stream in ((client, 0), (other, 0), (client, 4)):
        owner.link.state.send_stream_data(stream, bytes(3000), end_stream=True)
    sent: list[bytes] = []
    for owner in (client, other):
        owner.link.state._largest_for_peer = 1200
        sent += [data for data, _ in owner.link.state.datagrams_to_send(net.now)]
    step = max(len(it) for it in sent)
    # One is padded to the length of the others with what is none of its own: it is dropped, and comes again.
    run = b"".join(it.ljust(step, b"\0") for it in sent)
    path: Datagrams = net.wires["server"]
    size = joined * step
    runs = [(run[start : start + size], step) for start in range(0, len(run), size)]
    net.server.receive_runs(runs, CLIENT, path, net.now)
    net.server.receive_runs([(b"\x40" * 90, 40)], CLIENT, path, net.now)
    net.server.receive_runs([(b"\xc0" + bytes(60), 30)], SERVER, path, net.now)
    net.server.settle(net.now)
    assert 0 in server.received
    assert 0 in other_server.received
    assert net.run(lambda: server.ended == {0, 4} and other_server.ended == {0}, 10)


def test_a_library_that_fails_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    client, server = open_connection(net)
    state: Any = server.link.state

    def fail(*_: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr(state, "receive_runs", fail)
    run = b"\x40" + state.host_cid + bytes(90)
    net.server.receive_runs([(run, 60)], CLIENT, net.wires["server"], net.now)
    net.server.settle(net.now)
    assert server.is_lost
    assert net.run(lambda: client.is_lost)
