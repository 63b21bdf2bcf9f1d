"""What a QUIC connection does for each octet, done for many packets at once.

aioquic opens, reads, writes and seals each packet in Python. That is little beside a handshake, and most of what a transfer
costs. Here a connection whose handshake is confirmed hands runs of datagrams, and flights of stream data, to the engine
(`QuicKeys`). All else stays aioquic's: streams, windows, acknowledgements, loss, congestion, keys.

The engine reads only what is plain: packets in order, in the present key phase, of frames that every transfer is made
of. Everything else goes to aioquic as ever, which may also be given any packet that is plain.

The overridden methods are private ones of aioquic; `tests/unit/gateway/quic` fails when a release changes them.
"""

from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer, BufferReadError
from aioquic.buffer import size_uint_var
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    END_STATES,
    NetworkAddress,
    QuicConnectionError,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.crypto import derive_key_iv_hp
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicPacketType,
    pull_quic_transport_parameters,
)
from aioquic.quic.packet_builder import (
    QuicDeliveryState,
    QuicPacketBuilderStop,
    QuicSentPacket,
)
from aioquic.quic.recovery import MAX_ACK_RANGES, QuicPacketSpace
from aioquic.quic.stream import QuicStream, StreamFinishedError
from typing_extensions import override

from oto_trio._core import QuicKeys
from oto_trio.gateway.quic.flights import (
    MOST_PACKETS,
    FlightPacer,
    Lead,
    ReadStreamFrame,
    Side,
)
from oto_trio.gateway.quic.guarded import GuardedConnection, together
from oto_trio.gateway.quic.limits import QuicLimits
from oto_trio.gateway.quic.path_mtu import BASE_BYTES, SIZES, PathMtu
from oto_trio.gateway.quic.sent import Flight, note_sent

__all__ = ["Transfer"]

HEADER_BYTES: Final = 3
"""Of a short header, beside the connection identifier: the first octet and the packet number."""
TAG_BYTES: Final = 16
FRAME_BYTES: Final = 20
"""Beside the data of a frame: its kind, its stream, its place, its length, and the rest of a long packet number."""
QUANTUM: Final = 4
"""Packets that a stream fills before it is another's turn, at least."""
STREAM: Final = 0x0E
PING, PADDING = b"\1", b"\0"
DOUBTED_PROBES: Final = 3
"""When so many probes of loss had no answer, or for as long only small packets had, it may be that the path carries no large
datagrams any more."""
KEY_PACKETS: Final = 2**22
"""Packets that are sealed with the same keys; the bound of AES-GCM is twice as many (RFC 9001 section 6.6)."""
ACK: Final = frozenset({0x02, 0x03})
MAX_DATA: Final = 0x10
MAX_STREAM_DATA: Final = 0x11
DATA_BLOCKED: Final = 0x14
BLOCKED_BIDI: Final = QuicFrameType.STREAMS_BLOCKED_BIDI
BLOCKED_UNI: Final = QuicFrameType.STREAMS_BLOCKED_UNI
ONE_RTT: Final = tls.Epoch.ONE_RTT


class Transfer(GuardedConnection):
    """A QUIC connection that reads and writes plain packets with the engine.

    Args:
        limits: The bounds.
        configuration: aioquic's.
        **more: What aioquic's takes beside.
    """

    def __init__(
        self, limits: QuicLimits, configuration: QuicConfiguration, **more: bytes | None
    ) -> None:
        self._opening = Side()
        self._sealing = Side()
        self._largest_for_peer = 0
        self._mtu = PathMtu(0.0)
        self._mtu_path: QuicNetworkPath | None = None
        super().__init__(limits, configuration, **more)
        self._loss._pacer = FlightPacer(max_datagram_size=self._max_datagram_size)  # noqa: SLF001 (it has no other way)  # pyright: ignore[reportPrivateUsage]

    @override
    def _update_traffic_key(
        self,
        direction: tls.Direction,
        epoch: tls.Epoch,
        cipher_suite: tls.CipherSuite,
        secret: bytes,
    ) -> None:
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)
        if epoch == ONE_RTT:
            # The key of the headers stays when the others are updated (RFC 9001 section 6.1).
            assert self._version is not None, "chosen before there are keys"
            side = self._sealing if direction == tls.Direction.ENCRYPT else self._opening
            _, _, side.header = derive_key_iv_hp(
                cipher_suite=cipher_suite, secret=secret, version=self._version
            )

    @override
    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        super()._parse_transport_parameters(data, from_session_ticket)
        told = pull_quic_transport_parameters(Buffer(data=data))
        self._largest_for_peer = told.max_udp_payload_size or SIZES[-1]

    @property
    def _next_number(self) -> int:
        """The number of the next packet."""
        number: int = self._packet_number
        return number

    def _is_settled(self) -> bool:
        """Whether all that is left to do is to transfer."""
        return (
            self._handshake_confirmed
            and self._state is QuicConnectionState.CONNECTED
            and not self._close_pending
            and self._network_paths[0].is_validated
            and self._quic_logger is None
        )

    # ------------------------------------------------------------------------------------ receiving

    @override
    def receive_datagram(self, data: bytes, addr: NetworkAddress, now: float) -> None:
        """Act on one datagram."""
        if not self.receive_runs([(data, len(data))], addr, now):
            super().receive_datagram(data, addr, now)

    def receive_runs(self, runs: list[tuple[bytes, int]], addr: NetworkAddress, now: float) -> int:
        """Act on datagrams that came together, as far as they are plain packets of this connection.

        Args:
            runs: Datagrams of one peer, one behind the other, with the length of each but the last of a run.
            addr: The peer's.
            now: The Trio clock.

        Returns:
            How many bytes of the runs are done with. The datagram behind them is for `receive_datagram`, unless it is
            another connection's, or of another length.
        """
        if not self._is_settled() or self._network_paths[0].addr != addr:
            return 0
        pair = self._cryptos[ONE_RTT]
        keys = self._opening.keys_of(pair.recv)
        if keys is None or self._cryptos[tls.Epoch.ZERO_RTT].recv.is_valid():
            return 0
        runs, length = together(runs)
        space = self._spaces[ONE_RTT]
        used, numbers, is_eliciting, spin, heard = keys.open_runs(
            runs,
            self.host_cid,
            bool(pair.recv.key_phase),
            space.expected_packet_number,
            space.largest_received_packet + 1,
        )
        if not used:
            return 0
        largest = numbers[-1][1] - 1
        space.expected_packet_number = max(space.expected_packet_number, largest + 1)
        if largest > self._spin_highest_pn:
            self._spin_bit = spin != self._is_client
            self._spin_highest_pn = largest
        path = self._network_paths[0]
        context = QuicReceiveContext(ONE_RTT, self.host_cid, path, None, now, None)
        packets = sum(stop - start for start, stop in numbers)
        inside = max(length - HEADER_BYTES - len(self.host_cid) - TAG_BYTES - FRAME_BYTES, 1)
        try:
            # What brings something makes up for it, as with packets that come one by one.
            # Those that hold nothing but PING count twice.
            self.charge(packets if heard else 2 * packets, QuicFrameType.PADDING, now)
            for kind, body, stream_id, offset in heard:
                if kind in ACK:
                    waiting = len(space.sent_packets)
                    self._act(context, kind, body, stream_id, offset)
                    fresh = min(waiting - len(space.sent_packets), packets)
                    self._earn(2 * max(fresh - 1, 0))
                else:
                    taken = self._local_max_data.used
                    self._act(context, kind, body, stream_id, offset)
                    fresh = min((self._local_max_data.used - taken) // inside, packets)
                    self._earn(2 * max(fresh - 1, 0))
        except QuicConnectionError as error:
            self.close(error.error_code, error.frame_type, error.reason_phrase)
        if self._close_pending or self._state in END_STATES:
            return used
        self._close_at = now + self._idle_timeout()
        self._ack_eliciting_sent_since_receipt = False
        space.largest_received_packet = largest
        space.largest_received_time = now
        _note_received(space, numbers)
        if is_eliciting and space.ack_at is None:
            space.ack_at = now + self._ack_delay
        return used

    def _act(
        self, context: QuicReceiveContext, kind: int, body: bytes, stream_id: int, offset: int
    ) -> None:
        """Have aioquic act on a frame."""
        try:
            if STREAM <= kind < MAX_DATA:
                frame: Any = ReadStreamFrame(stream_id, offset, body)
                self._handle_stream_frame(context, kind, frame)
            elif kind in ACK:
                self._handle_ack_frame(context, kind, Buffer(data=body))
            elif kind == MAX_DATA:
                self._handle_max_data_frame(context, kind, Buffer(data=body))
            elif kind == MAX_STREAM_DATA:
                self._handle_max_stream_data_frame(context, kind, Buffer(data=body))
            elif kind == DATA_BLOCKED:
                self._handle_data_blocked_frame(context, kind, Buffer(data=body))
            else:
                self._handle_stream_data_blocked_frame(context, kind, Buffer(data=body))
        except StreamFinishedError:
            pass  # it is forgotten already
        except BufferReadError:
            self.close(QuicErrorCode.FRAME_ENCODING_ERROR, kind, "a frame is cut off")

    # -------------------------------------------------------------------------------------- sending

    @override
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """Return what to send now, and where."""
        pair = self._cryptos.get(ONE_RTT)
        is_asked = (self._is_client and self._remote_preferred_address is not None) or any(
            it.remote_challenges or not (it.is_validated or it.local_challenge_sent)
            for it in self._network_paths
        )
        if is_asked or self._network_paths[0] is not self._mtu_path:
            # What asks whether a path is one, and what answers, fills a datagram: one of a size that every path carries.
            self._use_size(BASE_BYTES)
        if (
            pair is None
            or not self._is_settled()
            or pair._update_key_requested  # noqa: SLF001 (aioquic tells it nowhere)  # pyright: ignore[reportPrivateUsage]
            or self._datagrams_pending
            or is_asked
        ):
            return super().datagrams_to_send(now)
        keys = self._sealing.keys_of(pair.send, self._next_number)
        if keys is not None and self._are_keys_old():
            self.request_key_update()  # made with the next packet
            keys = None
        if keys is None:
            return super().datagrams_to_send(now)
        self._leave_out()
        path = self._network_paths[0]
        sent: list[tuple[bytes, NetworkAddress]] = []
        self._pacing_at = None
        self._fit_path(path, now)
        while True:
            lead = Lead(
                self._next_number,
                self._max_datagram_size - HEADER_BYTES - len(self._peer_cid.cid) - TAG_BYTES,
            )
            if not self._send_flight(keys, bool(pair.key_phase), path, lead, sent, now):
                self._forget_acks()
                # Who sends little has nothing of larger datagrams.
                if len(sent) > 1:
                    self._probe_path(keys, bool(pair.key_phase), path, sent, now)
                return sent

    def _are_keys_old(self) -> bool:
        """Whether the present keys sealed enough; the peer has to have them before there are others (RFC 9001 section 6)."""
        first = self._sealing.first
        return (
            self._next_number - first >= KEY_PACKETS
            and self._spaces[ONE_RTT].largest_acked_packet >= first
        )

    def _fit_path(self, path: QuicNetworkPath, now: float) -> None:
        """Have datagrams no larger than the present path carries."""
        if path is not self._mtu_path:
            self._mtu_path, self._mtu = path, PathMtu(now)
        elif self._mtu.size > BASE_BYTES and (
            self._loss._pto_count >= DOUBTED_PROBES  # noqa: SLF001 (aioquic tells it nowhere)  # pyright: ignore[reportPrivateUsage]
            or self._mtu.is_doubted(DOUBTED_PROBES * self._loss.get_probe_timeout())
        ):
            self._mtu.shrink(now)
        self._use_size(self._mtu.size)

    def _use_size(self, size: int) -> None:
        """Have datagrams no larger than this."""
        if size != self._max_datagram_size:
            self._max_datagram_size = size
            for one in (self._loss._cc, self._loss._pacer):  # noqa: SLF001 (as above)  # pyright: ignore[reportPrivateUsage]
                one._max_datagram_size = size  # type: ignore[union-attr]  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]

    def _probe_path(
        self,
        keys: QuicKeys,
        phase: bool,  # noqa: FBT001
        path: QuicNetworkPath,
        sent: list[tuple[bytes, NetworkAddress]],
        now: float,
    ) -> None:
        """Try a larger datagram when one is to be tried; it goes last."""
        size = self._mtu.next_probe(self._largest_for_peer, now)
        if size is None:
            return
        frames = PING.ljust(size - HEADER_BYTES - len(self._peer_cid.cid) - TAG_BYTES, PADDING)
        cid, spin, number = self._peer_cid.cid, self._spin_bit, self._next_number
        ((datagram, _),) = keys.seal_flight(cid, spin, phase, number, frames, [], size, size, 1)
        packet = QuicSentPacket(
            epoch=ONE_RTT,
            in_flight=False,  # its loss is no congestion (RFC 9000 section 14.4)
            is_ack_eliciting=True,
            is_crypto_packet=False,
            packet_number=number,
            packet_type=QuicPacketType.ONE_RTT,
            sent_time=now,
            sent_bytes=size,
            delivery_handlers=[(self._on_path_probe_delivery, (self._mtu, size))],
        )
        self._loss.on_packet_sent(packet=packet, space=self._spaces[ONE_RTT])
        self._packet_number = number + 1
        path.bytes_sent += size
        sent.append((datagram, path.addr))

    @staticmethod
    def _on_path_probe_delivery(delivery: QuicDeliveryState, mtu: PathMtu, size: int) -> None:
        if delivery is QuicDeliveryState.ACKED:
            mtu.arrived(size)
        else:
            mtu.lost(size)

    def _send_flight(
        self,
        keys: QuicKeys,
        phase: bool,  # noqa: FBT001
        path: QuicNetworkPath,
        lead: "Lead",
        sent: list[tuple[bytes, NetworkAddress]],
        now: float,
    ) -> bool:
        """Make one flight; False when there is nothing more to send now."""
        space, loss, size = self._spaces[ONE_RTT], self._loss, self._max_datagram_size
        pacer: Any = loss._pacer  # noqa: SLF001 (`__init__` made it)  # pyright: ignore[reportPrivateUsage]
        is_ack_due = space.ack_at is not None and space.ack_at <= now
        packets = pacer.allowance(now)
        if not packets:
            if not is_ack_due:
                self._pacing_at = pacer.next_flight_at(now)
                return False
            packets = 1
        room = loss.congestion_window - loss.bytes_in_flight
        if self._probe_pending:
            room = max(room, size)
        lead.room = room
        self._drop_finished()
        is_full = False
        try:
            self._write_lead(lead, space, now)
        except QuicPacketBuilderStop:
            is_full = True
        if not loss.bytes_in_flight:
            size = min(size, max(room, 0))
        packets = min(packets, room // size if size else 0, MOST_PACKETS)
        inside = size - HEADER_BYTES - len(self._peer_cid.cid) - TAG_BYTES
        pieces: list[tuple[int, int, bytes, bool]] = []
        streams: list[QuicStream] = []
        if not is_full and packets > 0:
            self._gather(packets * inside, len(lead.written), inside, pieces, streams)
        if lead.packet_is_empty and not pieces:
            return False
        sealed = keys.seal_flight(
            self._peer_cid.cid,
            self._spin_bit,
            phase,
            self._next_number,
            lead.written,
            pieces,
            size if pieces else self._max_datagram_size,
            max(room, 0),
            max(packets, 1),
        )
        self._register(sealed, lead, pieces, streams, space, now)
        addr = path.addr
        sent += [(datagram, addr) for datagram, _ in sealed]
        path.bytes_sent += sum(len(datagram) for datagram, _ in sealed)
        pacer.spend(len(sealed))
        return bool(sealed) and (is_full or bool(pieces))

    def _drop_finished(self) -> None:
        """Forget streams that ended both ways."""
        queue = self._streams_queue
        if not any(it.is_finished for it in queue):
            return
        for stream in queue:
            if stream.is_finished:
                identity = stream.stream_id or 0
                self._streams.pop(identity)
                if bool(identity & 1) is self._is_client:
                    self._stream_limit(identity).value += 1  # for the peer to open another
        self._streams_queue = [it for it in queue if not it.is_finished]

    def _write_lead(self, lead: Any, space: QuicPacketSpace, now: float) -> None:
        """Write the frames that are no data of streams, in the order that aioquic has for them."""
        if space.ack_at is not None and space.ack_at <= now:
            self._write_ack_frame(lead, space, now)
        self._write_about_connection(lead)
        self._write_connection_limits(lead, space)
        for stream in self._streams.values():
            self._write_stream_limits(lead, space, stream)
        if self._ping_pending:
            self._write_ping_frame(lead, self._ping_pending)
            self._ping_pending.clear()
        if self._probe_pending:
            self._write_ping_frame(lead, comment="probe")
            self._probe_pending = False
        crypto = self._crypto_streams[ONE_RTT]
        while self._write_crypto_frame(lead, space, crypto):
            pass
        if not crypto.sender.buffer_is_empty:
            raise QuicPacketBuilderStop
        for stream in self._streams_queue:
            if stream.receiver.stop_pending:
                self._write_stop_sending_frame(lead, stream)
            if stream.sender.reset_pending:
                self._write_reset_stream_frame(lead, stream)

    def _write_about_connection(self, lead: Any) -> None:
        """Write what there seldom is: the end of the handshake, identifiers, streams that we may not open."""
        if self._handshake_done_pending:
            self._write_handshake_done_frame(lead)
            self._handshake_done_pending = False
        for made in self._host_cids:
            if not made.was_sent:
                self._write_new_connection_id_frame(lead, made)
        while self._retire_connection_ids:
            self._write_retire_connection_id_frame(lead, self._retire_connection_ids[0])
            self._retire_connection_ids.pop(0)
        if self._streams_blocked_pending:
            for kind, blocked, limit in (
                (BLOCKED_BIDI, self._streams_blocked_bidi, self._remote_max_streams_bidi),
                (BLOCKED_UNI, self._streams_blocked_uni, self._remote_max_streams_uni),
            ):
                if blocked:
                    self._write_streams_blocked_frame(lead, kind, limit)
            self._streams_blocked_pending = False

    def _gather(
        self,
        budget: int,
        used: int,
        inside: int,
        pieces: list[tuple[int, int, bytes, bool]],
        streams: list[QuicStream],
    ) -> None:
        """Take what streams have to send, in turn, as far as windows let it go and there is room.

        Args:
            budget: What frames may have of the flight.
            used: What of it others have.
            inside: What they may have of a packet.
            pieces: Where to put it.
            streams: Whose it is.
        """
        waiting = [
            it
            for it in self._streams_queue
            if not (it.sender.buffer_is_empty or it.sender.reset_pending or it.is_blocked)
        ]
        if not waiting:
            return
        share = max(budget // len(waiting), QUANTUM * inside)
        served: set[int] = set()
        while waiting:
            again: list[QuicStream] = []
            for stream in waiting:
                end = min(used + share, budget)
                while used < end:
                    took = self._take(stream, used, end, inside, pieces)
                    if not took:
                        break
                    streams.append(stream)
                    served.add(stream.stream_id or 0)
                    used += took
                if used >= end and not stream.sender.buffer_is_empty:
                    again.append(stream)
            waiting = again if used < budget else []
        if served:
            queue = self._streams_queue
            self._streams_queue = [it for it in queue if (it.stream_id or 0) not in served]
            self._streams_queue += [it for it in queue if (it.stream_id or 0) in served]

    def _take(
        self,
        stream: QuicStream,
        used: int,
        end: int,
        inside: int,
        pieces: list[tuple[int, int, bytes, bool]],
    ) -> int:
        """Take the next piece of a stream; gives what it uses of the flight, 0 when there is none.

        It begins where so much of the flight was used. Where the flight goes on in another packet it needs another header.
        """
        sender = stream.sender
        before = sender.highest_offset
        header = (
            3
            + size_uint_var(stream.stream_id or 0)
            + size_uint_var(sender.next_offset + end - used)
        )
        packets = (end - 1) // inside - used // inside + 1
        most_offset = min(
            before + self._remote_max_data - self._remote_max_data_used,
            stream.max_stream_data_remote,
        )
        frame = sender.get_frame(end - used - packets * header, most_offset)
        if frame is None:
            return 0
        self._remote_max_data_used += sender.highest_offset - before
        size = len(frame.data)
        pieces.append((stream.stream_id or 0, frame.offset, frame.data, frame.fin))
        packets = (used + size + header - 1) // inside - used // inside + 1
        return size + packets * header

    def _register(
        self,
        sealed: list[tuple[bytes, list[tuple[int, int, int, bool]]]],
        lead: "Lead",
        pieces: list[tuple[int, int, bytes, bool]],
        streams: list[QuicStream],
        space: QuicPacketSpace,
        now: float,
    ) -> None:
        """Note what was sent, for what becomes of it."""
        loss, number = self._loss, self._next_number
        flight = Flight(now, streams, self._mtu)
        self._packet_number = number + len(sealed)
        is_eliciting, rest = False, sealed
        if sealed and not lead.packet_is_empty:
            datagram, carried = sealed[0]
            size = len(datagram)
            packet = lead.packet(number, now, size, flight.handlers(size, carried))
            is_eliciting = packet.is_ack_eliciting
            loss.on_packet_sent(packet=packet, space=space)
            number += 1
            rest = sealed[1:]
        note_sent(loss, space, number, rest, flight)
        if (is_eliciting or rest) and not self._ack_eliciting_sent_since_receipt:
            self._close_at = now + self._idle_timeout()
            self._ack_eliciting_sent_since_receipt = True
        # What has no room after all, because what is left of a packet was no use, goes with the next flight; so does all of
        # one that nothing was made of.
        done, reached = -1, 0
        for _, carried in reversed(sealed):
            if carried:
                done, _, reached, _ = carried[-1]
                break
        for index in range(max(done, 0), len(pieces)):
            _, offset, data, fin = pieces[index]
            start = reached if index == done else offset
            if start < offset + len(data) or index > done:
                flight.senders[index].on_data_delivery(
                    QuicDeliveryState.LOST, start, offset + len(data), fin
                )


def _note_received(space: QuicPacketSpace, numbers: list[tuple[int, int]]) -> None:
    """Note which packets came, to acknowledge them and to know them when they come again."""
    for start, stop in numbers:
        space.ack_queue.add(start, stop)
        if len(space.ack_queue) > MAX_ACK_RANGES:
            space.ack_queue.shift()
        # Those further back are too old to come again, by the ones behind them.
        window = space.received_packets
        window._received.update(range(max(start, stop - 2 * MAX_ACK_RANGES), stop))  # noqa: SLF001 (all of them above its bound)  # pyright: ignore[reportPrivateUsage]
        window.add(stop - 1)
