"""What a peer can have a connection do for nothing, and that honest peers are not taken for such."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oto_trio.gateway.quic import QuicLimits
from oto_trio.gateway.quic.flights import Lead
from oto_trio.gateway.quic.guarded import KEPT_PACKETS, together
from tests.attacks.http3_raw import number, packet_of, stream_frame
from tests.unit.gateway.quic.network import CLIENT, Net
from tests.unit.gateway.quic.test_endpoint import open_connection, send

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.gateway.quic.network import Owner

PING = b"\1"


def flood(net: Net, client: Owner, payloads: Iterable[bytes]) -> int:
    """Give the server packets of a client's connection until it closes it; returns how many that were."""
    given = 0
    for payload in payloads:
        given += 1
        data = packet_of(client.link.state, payload)
        net.server.receive(data, CLIENT, net.wires["server"], net.now)
        net.server.settle(net.now)
        if net.owners[-1].link.state.is_closing:
            break
    return given


def code(owner: Owner) -> int | None:
    state: Any = owner.link.state
    return None if state._close_event is None else int(state._close_event.error_code)


def test_frames_that_bring_nothing_are_bounded_and_come_back_with_time() -> None:
    net = Net(limits=QuicLimits(idle_frames=100, idle_frames_per_s=10))
    client, server = open_connection(net)
    assert flood(net, client, [PING] * 40) == 40
    assert code(server) is None
    net.run(most_s=8)
    assert flood(net, client, [PING] * 45) == 45
    assert code(server) is None
    assert flood(net, client, [PING] * 200) < 60
    assert code(server) == 0xA


@pytest.mark.parametrize(("frames", "most"), [(1, 55), (10, 15)])
def test_data_of_a_stream_that_ended_brings_nothing(frames: int, most: int) -> None:
    # A packet with one frame is read by the engine, one with many of a stream is not.
    net = Net(limits=QuicLimits(idle_frames=100, idle_frames_per_s=0.001))
    client, server = open_connection(net)
    for sender, receiver in ((client, server), (server, client)):
        send(net, sender, b"whole")
        assert net.run(partial(receiver.ended.__contains__, 0))
    assert net.run(lambda: not server.link.state.is_known(0))
    server.link.state._credit = 100  # the handshake took of it
    assert flood(net, client, [stream_frame(0, b"whole", end=True) * frames] * 200) < most
    assert code(server) == 0xA


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_transfers_make_up_for_what_they_cost(loss: float) -> None:
    net = Net(limits=QuicLimits(idle_frames=150, idle_frames_per_s=0.001))
    client, server = open_connection(net)
    net.loss = loss
    for stream in range(0, 40, 4):
        for sender, receiver in ((client, server), (server, client)):
            send(net, sender, bytes(60_000), stream=stream)
            assert net.run(partial(receiver.ended.__contains__, stream), 120)
    assert (code(server), code(client)) == (None, None)


def test_small_packets_that_come_together_bring_what_single_ones_do() -> None:
    net = Net(limits=QuicLimits(idle_frames=100, idle_frames_per_s=0.001))
    client, server = open_connection(net)
    send(net, client, bytes(64), end=False)
    assert net.run(lambda: len(server.received.get(0, b"")) == 64)
    server.link.state._credit = 100  # the handshake took of it
    for first in range(64, 4000, 4 * 50):
        frames = [stream_frame(0, b"data", at) for at in range(first, first + 4 * 50, 4)]
        packets = [packet_of(client.link.state, it) for it in frames]
        run = b"".join(packets)
        net.server.receive_runs([(run, len(packets[0]))], CLIENT, net.wires["server"], net.now)
        net.server.settle(net.now)
    assert code(server) is None
    assert len(server.received[0]) == 64 + 4 * 50 * 20


def test_small_packets_that_come_with_a_large_one_bring_what_single_ones_do() -> None:
    net = Net(limits=QuicLimits(idle_frames=100, idle_frames_per_s=0.001))
    client, server = open_connection(net)
    server.link.state._credit = 100  # the handshake took of it
    at = 0
    for _ in range(20):
        runs: list[tuple[bytes, int]] = []
        for size in [1000] + [4] * 40:
            packet = packet_of(client.link.state, stream_frame(0, bytes(size), at))
            runs.append((packet, len(packet)))
            at += size
        net.server.receive_runs(runs, CLIENT, net.wires["server"], net.now)
        net.server.settle(net.now)
    assert code(server) is None
    assert len(server.received[0]) == at


def run_of(*lengths: int) -> list[tuple[bytes, int]]:
    return [(bytes(length), length) for length in lengths]


@pytest.mark.parametrize(
    ("lengths", "read", "length"),
    [
        ((1200, 40, 1200, 1190, 40, 40, 1200), 7, 1197),
        ((1200, 40, 40, 1200), 2, 1200),
        ((40, 41, 40, 1200, 1200), 3, 40),
        ((40, 1200), 1, 40),
        ((1200, 0, 1200), 3, 1200),
        ((0, 1200), 1, 0),
    ],
)
def test_small_packets_are_judged_with_no_fewer_large_ones(
    lengths: tuple[int, ...], read: int, length: int
) -> None:
    runs = run_of(*lengths)
    assert together(runs) == (runs[:read], length)


def test_data_that_came_before_brings_nothing_in_packets_that_come_together() -> None:
    net = Net(limits=QuicLimits(idle_frames=100, idle_frames_per_s=0.001))
    client, server = open_connection(net)
    server.link.state._credit = 100
    for _ in range(5):
        packets = [packet_of(client.link.state, stream_frame(0, b"data", 64)) for _ in range(50)]
        run = b"".join(packets)
        net.server.receive_runs([(run, len(packets[0]))], CLIENT, net.wires["server"], net.now)
        net.server.settle(net.now)
    assert code(server) == 0xA


def test_identifiers_that_are_retired_before_they_were_sent_leave_nothing() -> None:
    net = Net()
    client, server = open_connection(net)
    net.run(most_s=1)
    before = len(net.server._by_cid)
    retired = b"".join(b"\x19" + number(sequence) for sequence in range(1, 60))
    flood(net, client, [retired])
    assert code(server) is None
    assert len(net.server._by_cid) == before
    assert len(server.link.known) <= len(server.link.state.identifiers) + 1


def test_a_packet_that_was_not_sent_cannot_be_acknowledged() -> None:
    net = Net()
    client, server = open_connection(net)
    flood(net, client, [b"\2" + number(10_000) + b"\0\0\0"])
    assert code(server) == 0xA


def test_a_number_that_was_left_out_cannot_be_acknowledged() -> None:
    net = Net()
    client, server = open_connection(net)
    state: Any = server.link.state
    state._skips_at = state._packet_number
    send(net, server, b"x" * 5000, stream=1)
    assert net.run(lambda: 1 in client.ended)
    assert state._skipped is not None
    assert code(server) is None
    flood(net, client, [b"\2" + number(state._skipped) + b"\0\0\0"])
    assert code(server) == 0xA


def test_acknowledgements_that_nobody_acknowledges_are_forgotten() -> None:
    net = Net(limits=QuicLimits(idle_frames=10**6))
    client, server = open_connection(net)
    space: Any = server.link.state._loss.spaces[2]
    for _ in range(KEPT_PACKETS + 500):
        flood(net, client, [PING])
        net.now += 0.05
        net.server.expire(net.now)
    assert KEPT_PACKETS / 2 <= len(space.sent_packets) <= KEPT_PACKETS


def test_probes_of_a_path_are_not_forgotten_with_acknowledgements() -> None:
    net = Net(limits=QuicLimits(idle_frames=10**6))
    client, server = open_connection(net)
    send(net, client, b"x")
    assert net.run(lambda: 0 in server.ended)
    state: Any = server.link.state
    space: Any = state._loss.spaces[2]
    send(net, server, bytes(10_000))  # and a probe behind it, which the client does not hear of
    (probe,) = (
        it for it in space.sent_packets.values() if not it.in_flight and it.is_ack_eliciting
    )
    for at in range(KEPT_PACKETS):
        acknowledgement = Lead(10_000 + at, 100).packet(10_000 + at, net.now, 40, [])
        state._loss.on_packet_sent(packet=acknowledgement, space=space)
    state._forget_acks()
    assert len(space.sent_packets) < KEPT_PACKETS
    assert space.sent_packets[probe.packet_number] is probe
    waiting = sum(it.is_ack_eliciting for it in space.sent_packets.values())
    assert space.ack_eliciting_in_flight == waiting


@pytest.mark.parametrize("backwards", [False, True])
def test_a_stream_in_too_many_pieces_ends_the_connection(backwards: bool) -> None:
    net = Net(limits=QuicLimits(pieces=20))
    client, server = open_connection(net)
    at = [400 - 2 * n if backwards else 2 * n + 2 for n in range(30)]
    flood(net, client, [b"".join(stream_frame(0, b"x", one) for one in at[:20])])
    assert code(server) is None
    flood(net, client, [b"".join(stream_frame(0, b"x", one) for one in at[20:])])
    assert code(server) == 0xA


def test_a_message_of_the_handshake_has_a_bound() -> None:
    net = Net(limits=QuicLimits(crypto_bytes=5000))
    client, server = open_connection(net)
    flood(
        net,
        client,
        [b"\6" + number(1000 * n) + number(1000) + b"\xff" * 1000 for n in range(10)],
    )
    assert code(server) == 0xD
