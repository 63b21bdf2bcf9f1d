"""What was sent and is not acknowledged yet, noted a flight at a time.

aioquic makes a note of each packet and acts on the acknowledgement of each. A flight's packets were sent at one time, and
each mostly goes on with the stream of the one before: so they are noted together, and what is acknowledged of them at once is
told to streams, and to congestion control, at once. Each packet stays one of aioquic's, which finds out by itself what was lost.
"""

from bisect import bisect_left
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple, cast

from aioquic import tls
from aioquic.quic.packet import QuicPacketType
from aioquic.quic.packet_builder import QuicDeliveryHandler, QuicDeliveryState
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketRecovery, QuicPacketSpace
from aioquic.quic.stream import QuicStream, QuicStreamSender

from oto_trio.gateway.quic.path_mtu import BASE_BYTES, PathMtu

__all__ = ["Flight", "SentPacket", "note_acked", "note_sent"]

ACKED: Final = QuicDeliveryState.ACKED


class Flight:
    """What the packets of a flight have in common.

    Args:
        sent_time: When it was sent.
        streams: Whose data it carries, by its pieces.
        mtu: Told which sizes arrive.
    """

    __slots__ = ("mtu", "senders", "sent_time")

    def __init__(self, sent_time: float, streams: list[QuicStream], mtu: PathMtu) -> None:
        self.sent_time = sent_time
        self.senders = [it.sender for it in streams]
        self.mtu = mtu

    def handlers(
        self, size: int, carried: list[tuple[int, int, int, bool]]
    ) -> list[tuple[QuicDeliveryHandler, Any]]:
        """Return whom aioquic tells what becomes of a packet."""
        told: list[tuple[QuicDeliveryHandler, Any]] = [
            (self.senders[piece].on_data_delivery, (start, stop, fin))
            for piece, start, stop, fin in carried
        ]
        if carried and size > BASE_BYTES:
            told.append((self._on_large_delivery, (size,)))
        return told

    def _on_large_delivery(self, delivery: QuicDeliveryState, size: int) -> None:
        if delivery is ACKED:
            self.mtu.carried(size)
        else:
            self.mtu.dropped(size, self.sent_time)


class _Sent(NamedTuple):
    packet_number: int
    sent_bytes: int
    sent_time: float
    flight: Flight
    carried: list[tuple[int, int, int, bool]]


class SentPacket(_Sent):
    """A packet with data of streams; what recovery asks of a `QuicSentPacket`."""

    __slots__ = ()

    epoch = tls.Epoch.ONE_RTT
    in_flight = True
    is_ack_eliciting = True
    is_crypto_packet = False
    packet_type = QuicPacketType.ONE_RTT
    quic_logger_frames: Final[tuple[()]] = ()

    @property
    def delivery_handlers(self) -> list[tuple[QuicDeliveryHandler, Any]]:
        """Whom to tell what became of it."""
        return self.flight.handlers(self.sent_bytes, self.carried)


_tuple: Any = tuple
_make: Any = partial(_tuple.__new__, SentPacket)


def note_sent(
    loss: QuicPacketRecovery,
    space: QuicPacketSpace,
    number: int,
    sealed: list[tuple[bytes, list[tuple[int, int, int, bool]]]],
    flight: Flight,
) -> None:
    """Note packets that carry data of streams and nothing else.

    Args:
        loss: Of the connection.
        space: Theirs.
        number: Of the first of them.
        sealed: Each datagram and what it carries.
        flight: Theirs.
    """
    if not sealed:
        return
    sizes = [len(datagram) for datagram, _ in sealed]
    carried = [it for _, it in sealed]
    numbers = range(number, number + len(sealed))
    fields = zip(numbers, sizes, repeat(flight.sent_time), repeat(flight), carried, strict=False)
    packets: list[Any] = list(map(_make, fields))
    last = packets.pop()
    if packets:
        space.sent_packets.update(zip(numbers, packets, strict=False))
        space.ack_eliciting_in_flight += len(packets)
        loss._cc.on_packet_sent(packet=_all_of(packets, flight))  # noqa: SLF001 (it has no other way)  # pyright: ignore[reportPrivateUsage]
    loss.on_packet_sent(packet=last, space=space)


def note_acked(
    loss: QuicPacketRecovery, acked: RangeSet, space: QuicPacketSpace, now: float
) -> None:
    """Act on the acknowledgement of packets that `note_sent` noted, but for the last of them, by which aioquic knows the rest.

    Args:
        loss: Of the connection.
        acked: Numbers of packets, none of which is above those that were sent.
        space: Theirs.
        now: The time of the connection.
    """
    sent: dict[int, Any] = space.sent_packets
    # Only what was sent is looked at: the peer chooses which numbers it names, and how often. They are in order.
    numbers = list(sent)
    packets: list[Any] = [
        packet
        for it in acked
        for number in numbers[bisect_left(numbers, it.start) : bisect_left(numbers, it.stop)]
        if (packet := sent[number]).__class__ is SentPacket
    ]
    if len(packets) < 2:
        return
    packets.pop()
    space.ack_eliciting_in_flight -= len(packets)
    start = 0
    for index, packet in enumerate(packets):
        del sent[packet.packet_number]
        if packet.flight is not packets[start].flight:
            _tell_acked(loss, packets[start:index], now)
            start = index
    _tell_acked(loss, packets[start:], now)


def _tell_acked(loss: QuicPacketRecovery, packets: list[SentPacket], now: float) -> None:
    """Tell whom it concerns that packets of a flight arrived."""
    flight = packets[0].flight
    _grow_window(loss, _all_of(packets, flight), now)
    sender: QuicStreamSender | None = None
    begin = end = 0
    is_last = False
    senders = flight.senders
    for packet in packets:
        for piece, start, stop, fin in packet.carried:
            if start == end and senders[piece] is sender:
                end, is_last = stop, fin
                continue
            if sender is not None:
                sender.on_data_delivery(ACKED, begin, end, is_last)
            sender, begin, end, is_last = senders[piece], start, stop, fin
    if sender is not None:
        sender.on_data_delivery(ACKED, begin, end, is_last)
    largest = max(packet.sent_bytes for packet in packets)
    if largest > BASE_BYTES:
        flight.mtu.carried(largest)


def _grow_window(loss: QuicPacketRecovery, arrived: SentPacket, now: float) -> None:
    """Tell congestion control what arrived of a flight.

    What goes beyond the threshold of slow start counts as congestion avoidance has it (RFC 9002 section 7.3): it would all count
    as slow start otherwise, and the window might be larger by a whole flight than it was when packets were lost.
    """
    control = loss._cc  # noqa: SLF001 (as above)  # pyright: ignore[reportPrivateUsage]
    if control.ssthresh is not None:
        below = control.ssthresh - control.congestion_window
        if 0 < below < arrived.sent_bytes:
            control.on_packet_acked(packet=_part(arrived, below), now=now)
            arrived = _part(arrived, arrived.sent_bytes - below)
    control.on_packet_acked(packet=cast("Any", arrived), now=now)


def _part(packet: SentPacket, size: int) -> Any:
    return packet._replace(sent_bytes=size)


def _all_of(packets: list[SentPacket], flight: Flight) -> Any:
    """One packet with the bytes of all, as far as congestion control looks at it."""
    size = sum(packet.sent_bytes for packet in packets)
    return SentPacket(packets[-1].packet_number, size, flight.sent_time, flight, [])
