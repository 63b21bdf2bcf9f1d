# ruff: noqa: SLF001 (it is a part of aioquic's connection in all but the file it is in)
"""aioquic's connection, for peers that mean harm: it counts what they have it do for nothing.

A peer may send any frame as often as it likes, and many cost more to read than to write (RFC 9000 section 21.9). What a
connection does for its peer is set against what comes of it: data that arrived, packets of ours that were acknowledged. A
connection whose frames bring nothing, for longer than an honest one's would, ends. So does one that acknowledges what it cannot have
got (section 21.4), and one that sends a stream in more pieces than loss makes of it.

The overridden methods are private ones of aioquic; `tests/attacks` has a flood for each, and `tests/unit/gateway/quic` fails
when a release changes them.
"""

import secrets
from typing import Any, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    NetworkAddress,
    QuicConnection,
    QuicConnectionError,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType
from aioquic.quic.rangeset import RangeSet
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import StreamFinishedError
from typing_extensions import override

from oto_trio.gateway.quic.limits import QuicLimits
from oto_trio.gateway.quic.sent import note_acked

__all__ = ["GuardedConnection", "together"]

IDENTIFIER_COST: Final = 10
"""What a frame about connection identifiers counts: it leaves something behind."""
SKIPS: Final = range(64, 512)
"""How many packets there are between two numbers that are left out."""
KEPT_PACKETS: Final = 2048
"""Packets without an answer due, such as acknowledgements, that are remembered until the peer acknowledges them."""

COSTS: Final = {
    "_handle_ping_frame": 1,
    "_handle_reset_stream_frame": 1,
    "_handle_stop_sending_frame": 1,
    "_handle_max_data_frame": 1,
    "_handle_max_stream_data_frame": 1,
    "_handle_max_streams_bidi_frame": 1,
    "_handle_max_streams_uni_frame": 1,
    "_handle_data_blocked_frame": 1,
    "_handle_stream_data_blocked_frame": 1,
    "_handle_streams_blocked_frame": 1,
    "_handle_new_connection_id_frame": IDENTIFIER_COST,
    "_handle_retire_connection_id_frame": IDENTIFIER_COST,
    "_handle_path_challenge_frame": 1,
    "_handle_path_response_frame": 1,
}
"""What frames count that bring nothing by themselves, by the method that handles them."""


def together(runs: list[tuple[bytes, int]]) -> tuple[list[tuple[bytes, int]], int]:
    """Return the first runs that are judged together, and the length of their large datagrams, on average.

    What data brought is told by how many large datagrams it fills, and small ones bring next to nothing: there are no
    more of those than of large ones, or a client that sends many small ones would pay for what each of them brought.
    """
    first = runs[0][1]
    large = small = octets = 0
    for at, (run, step) in enumerate(runs):
        count = -(-len(run) // max(step, 1))
        if 2 * step > 3 * first:
            return runs[:at], octets // max(large, 1)
        if 3 * step >= 2 * first:
            large += count
            octets += len(run)
        elif small + count > large:
            return runs[:at], octets // max(large, 1)
        else:
            small += count
    return runs, octets // max(large, 1)


class GuardedConnection(QuicConnection):
    """A connection of either side whose peer is not trusted.

    Args:
        limits: The bounds.
        configuration: aioquic's.
        **more: What aioquic's takes beside.
    """

    def __init__(
        self, limits: QuicLimits, configuration: QuicConfiguration, **more: bytes | None
    ) -> None:
        self._limits = limits
        self._credit = float(limits.idle_frames)
        self._charged_at = 0.0
        super().__init__(configuration=configuration, **more)  # type: ignore[arg-type]
        self._skipped: int | None = None
        self._skips_at = secrets.choice(SKIPS)
        self._note_acks = self._loss.on_ack_received
        self._loss.on_ack_received = self._on_acks  # type: ignore[method-assign]

    # -------------------------------------------------------------------- what brings nothing

    def charge(self, count: int, frame_type: int, now: float) -> None:
        """Count something that the peer had done; raises `QuicConnectionError` when it was too much."""
        self._credit -= count
        if self._credit >= 0:
            return
        limits = self._limits
        came_back = (now - self._charged_at) * limits.idle_frames_per_s
        self._credit = min(limits.idle_frames, self._credit + came_back)
        self._charged_at = now
        if self._credit < 0:
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=frame_type,
                reason_phrase="frames without end",
            )

    def _earn(self, count: int) -> None:
        self._credit = min(self._limits.idle_frames, self._credit + count)

    @override
    def _payload_received(
        self, context: QuicReceiveContext, plain: bytes, crypto_frame_required: bool = False
    ) -> tuple[bool, bool]:
        self.charge(1, QuicFrameType.PADDING, context.time)
        return super()._payload_received(context, plain, crypto_frame_required)

    # ------------------------------------------------------------------------ data, in pieces

    @override
    def _handle_stream_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Read data; what came before brings nothing."""
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(start)
        used = self._local_max_data.used
        try:
            super()._handle_stream_frame(context, frame_type, buf)
        except StreamFinishedError:
            self.charge(1, frame_type, context.time)
            raise
        if self._local_max_data.used > used:
            self._earn(2)
        else:
            self.charge(1, frame_type, context.time)
        stream = self._streams.get(stream_id)
        if stream is not None and len(_pieces(stream.receiver)) > self._limits.pieces:
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=frame_type,
                reason_phrase="too many pieces of a stream",
            )

    @override
    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Read of the handshake; a message that comes in too many pieces is refused."""
        self.charge(1, frame_type, context.time)
        stream = self._crypto_streams[context.epoch]
        super()._handle_crypto_frame(context, frame_type, buf)
        if len(_pieces(stream.receiver)) > self._limits.crypto_pieces:
            raise QuicConnectionError(
                error_code=QuicErrorCode.CRYPTO_BUFFER_EXCEEDED,
                frame_type=frame_type,
                reason_phrase="too many pieces of the handshake",
            )

    # ------------------------------------------------------------------------ acknowledgements

    def _on_acks(
        self, *, ack_rangeset: RangeSet, ack_delay: float, now: float, space: QuicPacketSpace
    ) -> None:
        """Take acknowledgements, of what was sent only."""
        skipped = self._skipped
        state: Any = self
        if ack_rangeset.bounds().stop > state._packet_number or (
            skipped is not None and skipped in ack_rangeset
        ):
            raise QuicConnectionError(
                error_code=QuicErrorCode.PROTOCOL_VIOLATION,
                frame_type=QuicFrameType.ACK,
                reason_phrase="a packet is acknowledged that was not sent",
            )
        waiting = len(space.sent_packets)
        note_acked(self._loss, ack_rangeset, space, now)
        self._note_acks(ack_rangeset=ack_rangeset, ack_delay=ack_delay, now=now, space=space)
        if len(space.sent_packets) < waiting:
            self._earn(2)
        else:
            self.charge(1, QuicFrameType.ACK, now)

    @override
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """Return what to send now, and where; sometimes a packet's number is left out."""
        self._leave_out()
        datagrams = super().datagrams_to_send(now)
        self._forget_acks()
        return datagrams

    def _leave_out(self) -> None:
        """Leave a number out when it is time to."""
        if self._packet_number >= self._skips_at and self._handshake_complete:
            self._skipped = self._packet_number
            self._packet_number += 1
            self._skips_at = self._packet_number + secrets.choice(SKIPS)

    def _forget_acks(self) -> None:
        """Let go of what was sent and nothing is waited for, where there is too much of it."""
        for space in self._loss.spaces:
            if len(space.sent_packets) > KEPT_PACKETS:
                _forget_acks(space)


def _count(name: str, cost: int) -> None:
    """Have a method of aioquic's charge its peer first."""
    handle = getattr(QuicConnection, name)

    def counted(
        self: GuardedConnection, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        self.charge(cost, frame_type, context.time)
        handle(self, context, frame_type, buf)

    setattr(GuardedConnection, name, counted)


for _name, _cost in COSTS.items():
    _count(_name, _cost)


def _pieces(receiver: Any) -> RangeSet:
    """What came of a stream beyond a gap."""
    pieces: RangeSet = receiver._ranges
    return pieces


def _forget_acks(space: QuicPacketSpace) -> None:
    """Let go of the older packets that nothing is waited for."""
    old = [
        number
        for number, packet in list(space.sent_packets.items())[: -KEPT_PACKETS // 2]
        if not (packet.in_flight or packet.is_ack_eliciting)
    ]
    for number in old:
        del space.sent_packets[number]
