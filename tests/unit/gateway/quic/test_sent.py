"""Notes of flights against aioquic's of single packets: the same is known of both, whatever is acknowledged or lost."""

from __future__ import annotations

from typing import Any

import pytest
from aioquic import tls
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicSentPacket
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketRecovery, QuicPacketSpace
from aioquic.quic.stream import QuicStream
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from oto_trio.gateway.quic.path_mtu import PathMtu
from oto_trio.gateway.quic.sent import Flight, note_acked, note_sent

STREAMS = 3
SIZE = 1400

Carried = list[tuple[int, int, int, bool]]


class Side:
    """What one side of a connection knows of what it sent."""

    def __init__(self, algorithm: str = "reno") -> None:
        self.loss = QuicPacketRecovery(
            congestion_control_algorithm=algorithm,
            initial_rtt=0.1,
            max_datagram_size=1200,
            peer_completed_address_validation=True,
            send_probe=lambda: None,
        )
        self.loss.handshake_confirmed = True
        self.space = QuicPacketSpace(is_application_data=True)
        self.loss.spaces = [self.space]
        self.streams = [QuicStream(4 * it) for it in range(STREAMS)]
        self.mtu = PathMtu(0.0)

    def take(self, which: int, size: int) -> tuple[int, int, bool]:
        """Take the next frame of a stream, as the sealing does."""
        found = self.streams[which].sender.get_frame(size)
        assert found is not None
        return found.offset, found.offset + len(found.data), found.fin

    def known(self) -> tuple[Any, ...]:
        """All that matters for what happens next, but for the congestion window."""
        loss, space = self.loss, self.space
        senders: list[Any] = [it.sender for it in self.streams]
        return (
            {number: it.sent_bytes for number, it in space.sent_packets.items()},
            (loss.bytes_in_flight, space.ack_eliciting_in_flight, space.largest_acked_packet),
            (space.loss_time, loss._rtt_smoothed, loss._rtt_variance, loss._pto_count),
            loss.get_loss_detection_time(amplification_limited=False),
            [(list(it._acked), list(it._pending), it._pending_eof) for it in senders],
            [(it._buffer_start, bytes(it._buffer), it.is_finished) for it in senders],
            (self.mtu._doubts, self.mtu._doubted_bytes, self.mtu._wait_s),
        )


def plain(number: int, now: float, handlers: list[Any]) -> QuicSentPacket:
    return QuicSentPacket(
        epoch=tls.Epoch.ONE_RTT,
        in_flight=bool(handlers),
        is_ack_eliciting=bool(handlers),
        is_crypto_packet=False,
        packet_number=number,
        packet_type=QuicPacketType.ONE_RTT,
        sent_time=now,
        sent_bytes=SIZE if handlers else 40,
        delivery_handlers=handlers,
    )


send = st.tuples(
    st.just("send"),
    st.lists(st.integers(0, STREAMS - 1), min_size=1, max_size=9),
    st.booleans(),
)
acknowledge = st.tuples(
    st.just("ack"),
    st.sets(st.integers(0, 40), max_size=30),
    st.sampled_from([0.0, 0.02]),
)
probe = st.tuples(st.just("probe"), st.none(), st.none())


class Twins:
    """The same packets, noted a flight and a packet at a time."""

    def __init__(self) -> None:
        self.sides = (Side(), Side())
        self.number = 0
        for side in self.sides:
            for stream in side.streams:
                stream.sender.write(bytes(60_000), end_stream=True)

    def send(self, which: list[int], now: float) -> None:
        flights, packets = self.sides
        of_packets = Flight(now, packets.streams, packets.mtu)
        carried: list[Carried] = []
        for at, it in enumerate(which):
            frames = [(it, *flights.take(it, 1000 + at % 2 * 100))]
            assert frames == [(it, *packets.take(it, 1000 + at % 2 * 100))]
            carried.append(frames)
            packet = plain(self.number + at, now, of_packets.handlers(SIZE, frames))
            packets.loss.on_packet_sent(packet=packet, space=packets.space)
        flight = Flight(now, flights.streams, flights.mtu)
        sealed = [(bytes(SIZE), it) for it in carried]
        note_sent(flights.loss, flights.space, self.number, sealed, flight)
        self.number += len(carried)

    def send_ack(self, now: float) -> None:
        for side in self.sides:
            side.loss.on_packet_sent(packet=plain(self.number, now, []), space=side.space)
        self.number += 1

    def acknowledge(self, back: set[int], delay: float, now: float) -> None:
        acked = [self.number - 1 - it for it in back if it < self.number]
        if not acked:
            return
        flights, _ = self.sides
        note_acked(flights.loss, ranges(acked), flights.space, now)
        for side in self.sides:
            side.loss.on_ack_received(
                ack_rangeset=ranges(acked), ack_delay=delay, now=now, space=side.space
            )

    def wait(self, now: float) -> None:
        for side in self.sides:
            side.loss.on_loss_detection_timeout(now=now)


@given(st.lists(st.one_of(send, send, acknowledge, acknowledge, probe), max_size=14))
@settings(max_examples=300)
def test_notes_of_flights_say_what_those_of_packets_say(steps: list[tuple[Any, ...]]) -> None:
    twins, now = Twins(), 1.0
    for what, which, more in steps:
        now += 0.007
        if what == "send":
            if more:
                twins.send_ack(now)
            twins.send(which, now)
        elif what == "ack":
            twins.acknowledge(which, more, now)
        else:
            twins.wait(now)
        flights, packets = twins.sides
        assert flights.known() == packets.known()
        # Once some were lost, windows grow by what was acknowledged of a flight, not of each packet.
        if flights.loss._cc.ssthresh is None:
            assert flights.loss.congestion_window == packets.loss.congestion_window


def ranges(numbers: list[int]) -> RangeSet:
    found = RangeSet()
    for number in numbers:
        found.add(number)
    return found


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_slow_start_ends_at_the_threshold_in_the_middle_of_a_flight(algorithm: str) -> None:
    side = Side(algorithm)
    side.streams[0].sender.write(bytes(60_000))
    carried: list[Carried] = [[(0, *side.take(0, 1000))] for _ in range(30)]
    flight = Flight(1.0, side.streams, side.mtu)
    note_sent(side.loss, side.space, 0, [(bytes(SIZE), it) for it in carried], flight)
    control = side.loss._cc
    control.congestion_window, control.ssthresh = 2400, 20_000  # after an outage
    note_acked(side.loss, ranges(list(range(10))), side.space, 1.1)
    assert side.loss.congestion_window == 2400 + 9 * SIZE, "below it, by all that arrived"
    note_acked(side.loss, ranges(list(range(30))), side.space, 1.1)
    beyond = 29 * SIZE - (20_000 - 2400)
    grown = side.loss.congestion_window - 20_000
    assert 0 < grown <= 1200 * beyond / 20_000, "above it, by a packet for each window that arrived"
    assert side.loss.bytes_in_flight == SIZE, "the library is told of the last one"


def test_a_flight_without_packets_leaves_no_note() -> None:
    side = Side()
    before = side.known()
    note_sent(side.loss, side.space, 5, [], Flight(1.0, side.streams, side.mtu))
    note_acked(side.loss, ranges([3, 4]), side.space, 1.0)
    assert side.known() == before


class Counted(dict[int, Any]):
    """Counts what is looked up."""

    asked = 0

    @override
    def get(self, key: int, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)

    @override
    def __getitem__(self, key: int) -> Any:
        self.asked += 1
        return super().__getitem__(key)


def test_numbers_that_are_acknowledged_in_vain_are_not_looked_up_one_by_one() -> None:
    # Between a packet that waits for long and the last ones there may be many that nothing is known of any more.
    side = Side()
    side.streams[0].sender.write(bytes(3000))
    flight = Flight(1.0, side.streams, side.mtu)
    for number in (0, 50_000, 50_001):
        carried: Carried = [(0, *side.take(0, 1000))]
        note_sent(side.loss, side.space, number, [(bytes(SIZE), carried)], flight)
    side.space.sent_packets = sent = Counted(side.space.sent_packets)
    before = side.known()
    note_acked(side.loss, RangeSet([range(1, 40_000), range(40_001, 50_000)]), side.space, 1.0)
    assert side.known() == before
    assert sent.asked < 10
    note_acked(side.loss, RangeSet([range(1, 40_000), range(40_001, 50_002)]), side.space, 1.0)
    assert list(sent) == [0, 50_001], "the library is told of the last one"
    assert sent.asked < 20
