"""What the transfer of a QUIC connection is made with.

Keys for the engine, the pace of flights, frames that go first, and the notes about packets that aioquic's recovery and
readers ask for.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.crypto import CryptoContext, derive_key_iv_hp
from aioquic.quic.packet import (
    NON_ACK_ELICITING_FRAME_TYPES,
    NON_IN_FLIGHT_FRAME_TYPES,
    QuicFrameType,
    QuicPacketType,
)
from aioquic.quic.packet_builder import (
    QuicDeliveryHandler,
    QuicPacketBuilderStop,
    QuicSentPacket,
)
from aioquic.quic.recovery import QuicPacketPacer
from typing_extensions import override

from oto_trio._core import QuicKeys

__all__ = [
    "MOST_PACKETS",
    "FlightPacer",
    "Lead",
    "ReadStreamFrame",
    "Side",
]

MOST_PACKETS: Final = 64
"""Of a flight; what the kernel cuts from one write."""
BURST_S: Final = 0.002
"""What may leave at once is what the rate allows in this time, where that is more than aioquic's own bound."""
GATHER_S: Final = 0.001
"""Where the rate allows many packets in this time, they are waited for: as with TCP's pacing and that of other QUIC servers."""
ONE_RTT: Final = tls.Epoch.ONE_RTT


class Side:
    """The engine's keys of one direction, made again when aioquic updates its own."""

    __slots__ = ("_keys", "_of", "first", "header")

    def __init__(self) -> None:
        self.first = 0
        """The number of the packet that was next when the keys were made."""
        self.header: bytes | None = None
        self._keys: QuicKeys | None = None
        self._of: object = None

    def keys_of(self, context: CryptoContext, number: int = 0) -> QuicKeys | None:
        """Return the keys that a direction has at present; None before it has any.

        Args:
            context: aioquic's keys.
            number: Of the next packet.
        """
        if context.aead is not self._of:
            suite, secret, version = context.cipher_suite, context.secret, context.version
            if suite is None or secret is None or version is None or self.header is None:
                return None
            key, iv, _ = derive_key_iv_hp(cipher_suite=suite, secret=secret, version=version)
            self._keys = QuicKeys(int(suite), key, iv, self.header)
            self._of = context.aead
            self.first = number
        return self._keys


class FlightPacer(QuicPacketPacer):
    """Tells how many packets may go at once.

    Packets that leave together cost a fraction of what single ones do. A fast connection may send what its rate allows
    in `BURST_S` at once, `MOST_PACKETS` at most; and once it has sent all that it may, it goes on when there is a flight to
    send: what its rate allows in `GATHER_S`, half of that burst at most.
    """

    _is_spent = False

    @override
    def update_rate(self, congestion_window: int, smoothed_rtt: float) -> None:
        super().update_rate(congestion_window, smoothed_rtt)
        if self.packet_time is not None:
            self.bucket_max = max(self.bucket_max, min(BURST_S, MOST_PACKETS * self.packet_time))

    def allowance(self, now: float) -> int:
        """Return how many packets may be sent now."""
        if self.packet_time is None:
            return MOST_PACKETS
        self.update_bucket(now)
        if self._is_spent:
            if self.bucket_time + self.packet_time < self._flight_s():
                return 0
            self._is_spent = False
        return math.ceil(self.bucket_time / self.packet_time)

    def next_flight_at(self, now: float) -> float:
        """Return when packets may be sent again; `now` when they may be at once."""
        if self.packet_time is None or self.allowance(now):
            return now
        return now + max(self._flight_s() - self.bucket_time, self.packet_time)

    def _flight_s(self) -> float:
        """How long it is worth to wait for more to send, when all was sent that may be."""
        return min(GATHER_S, self.bucket_max / 2, MOST_PACKETS * (self.packet_time or 0.0))

    def spend(self, count: int) -> None:
        """Note that so many were sent."""
        if self.packet_time is not None:
            self.bucket_time = max(self.bucket_time - count * self.packet_time, 0.0)
            self._is_spent = self._is_spent or self.bucket_time < self.packet_time


class Lead:
    """Takes the frames that go first in a flight; what aioquic's writers ask of a `QuicPacketBuilder`.

    Args:
        number: Of the packet.
        capacity: Bytes that frames may have.
    """

    __slots__ = (
        "_buffer",
        "_capacity",
        "_handlers",
        "_in_flight",
        "_is_crypto",
        "_is_eliciting",
        "packet_number",
        "quic_logger_frames",
        "room",
    )

    def __init__(self, number: int, capacity: int) -> None:
        self._buffer = Buffer(capacity)
        self._capacity = capacity
        self._handlers: list[tuple[QuicDeliveryHandler, Any]] = []
        self._in_flight = self._is_crypto = self._is_eliciting = False
        self.packet_number = number
        self.quic_logger_frames: list[Any] | None = None
        self.room = capacity
        """What congestion lets go."""

    @property
    def packet_is_empty(self) -> bool:
        """Whether nothing was written."""
        return not self._buffer.tell()

    @property
    def written(self) -> bytes:
        """The frames."""
        return self._buffer.data

    @property
    def remaining_buffer_space(self) -> int:
        """How many bytes there is space for."""
        return self._capacity - self._buffer.tell()

    @property
    def remaining_flight_space(self) -> int:
        """How many bytes there is space for that congestion has a say in."""
        return min(self._capacity, self.room) - self._buffer.tell()

    def start_frame(
        self,
        frame_type: int,
        capacity: int = 1,
        handler: QuicDeliveryHandler | None = None,
        handler_args: Sequence[Any] = (),
    ) -> Buffer:
        """Begin a frame of so many bytes; raises `QuicPacketBuilderStop` when there is no space."""
        is_counted = frame_type not in NON_IN_FLIGHT_FRAME_TYPES
        space = self.remaining_flight_space if is_counted else self.remaining_buffer_space
        if space < capacity:
            raise QuicPacketBuilderStop
        self._buffer.push_uint_var(frame_type)
        self._in_flight = self._in_flight or is_counted
        if frame_type not in NON_ACK_ELICITING_FRAME_TYPES:
            self._is_eliciting = True
        if frame_type == QuicFrameType.CRYPTO:
            self._is_crypto = True
        if handler is not None:
            self._handlers.append((handler, handler_args))
        return self._buffer

    def packet(
        self,
        number: int,
        now: float,
        size: int,
        handlers: list[tuple[QuicDeliveryHandler, Any]],
    ) -> QuicSentPacket:
        """Return what was sent, with what follows the frames."""
        return QuicSentPacket(
            epoch=ONE_RTT,
            in_flight=self._in_flight or bool(handlers),
            is_ack_eliciting=self._is_eliciting or bool(handlers),
            is_crypto_packet=self._is_crypto,
            packet_number=number,
            packet_type=QuicPacketType.ONE_RTT,
            sent_time=now,
            sent_bytes=size,
            delivery_handlers=self._handlers + handlers,
        )


class ReadStreamFrame:
    """A STREAM frame that was read already, for aioquic to read: what it asks of a `Buffer`."""

    __slots__ = ("_at", "_data", "_numbers")

    def __init__(self, stream_id: int, offset: int, data: bytes) -> None:
        self._numbers = (stream_id, offset, len(data))
        self._at = 0
        self._data = data

    def tell(self) -> int:
        """Return which number is next."""
        return self._at

    def seek(self, at: int) -> None:
        """Go back to a number."""
        self._at = at

    def pull_uint_var(self) -> int:
        """Return the next number."""
        self._at += 1
        return self._numbers[self._at - 1]

    def pull_bytes(self, _length: int) -> bytes:
        """Return the data."""
        return self._data
