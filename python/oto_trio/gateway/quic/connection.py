"""The state of one QUIC connection: aioquic's, with windows that follow what was taken.

aioquic opens its windows by what *arrived*. Here a window opens by what its owner *let go of* (`hold`, `release`), so
that a slow reader stops its peer. Beside that: connection identifiers begin with the worker that has the connection,
and what is in flight has a bound.

The overridden methods are private ones of aioquic; `tests/unit/gateway/quic` fails when a release changes them.
"""

import logging
import os
from typing import Any, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    NetworkAddress,
    QuicConnectionError,
    QuicConnectionId,
    QuicConnectionState,
    QuicReceiveContext,
)
from aioquic.quic.packet import QuicErrorCode, QuicFrameType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from typing_extensions import override

from oto_trio.gateway.quic.handshake import HandshakeTerms, ServerHandshake
from oto_trio.gateway.quic.limits import QuicLimits
from oto_trio.gateway.quic.secrets import ADDRESS_TOKEN_BYTES, RESET_TOKEN_BYTES, QuicSecrets
from oto_trio.gateway.quic.sockets import Address
from oto_trio.gateway.quic.transfer import Transfer

__all__ = ["CID_BYTES", "PREFIX_BYTES", "QuicState"]

PREFIX_BYTES: Final = 4
"""Of a connection identifier: which worker has the connection."""
CID_BYTES: Final = PREFIX_BYTES + 8
"""Of a connection identifier that is ours."""
NEW_TOKEN_CAPACITY: Final = 2 + ADDRESS_TOKEN_BYTES
UNIDIRECTIONAL: Final = 2
"""The bit of a stream's number that tells it has one direction."""


# What peers do wrong is no news of the gateway's, and each line would be a datagram's work for them.
logging.getLogger("quic").setLevel(logging.CRITICAL)


class QuicState(Transfer):
    """One connection, of either side. Sans I/O: it is given datagrams and the time, and asked for both.

    Args:
        configuration: aioquic's; its windows, identifier length and idle time are set from `limits` here.
        limits: The bounds.
        prefix: What the connection's identifiers begin with, `PREFIX_BYTES` long.
        terms: Server: what is asked and shown in the handshake.
        secrets: Server: what it has in common with others of its gateway.
        original_cid: Server: the identifier that the client chose for it at first.
        retry_cid: Server: the identifier that a Retry packet gave it.
        begun_from: Server: where the client's first datagram came from.
        is_proven: Server: whether a token shows that the client hears what is sent there.
    """

    def __init__(  # noqa: PLR0913 (a server's connection begins with all of it)
        self,
        configuration: QuicConfiguration,
        limits: QuicLimits,
        prefix: bytes,
        *,
        terms: HandshakeTerms | None = None,
        secrets: QuicSecrets | None = None,
        original_cid: bytes | None = None,
        retry_cid: bytes | None = None,
        begun_from: Address | None = None,
        is_proven: bool = False,
    ) -> None:
        configuration.connection_id_length = CID_BYTES
        configuration.max_data = limits.connection_window
        configuration.max_stream_data = limits.stream_window
        configuration.idle_timeout = limits.idle_s
        self._prefix = prefix
        self._terms = terms
        self.begun_from = begun_from
        """Server: where the client was when it began. Until the handshake is over nothing is heard from elsewhere, so whoever
        ends it has heard what was sent there. Later datagrams may say any address, which nobody has shown to be theirs
        yet."""
        self._is_proven = is_proven
        self._secrets = secrets
        self._handshake: ServerHandshake | None = None
        self._held: dict[int, int] = {}
        self._held_bytes = 0
        self.apart: set[int] = set()
        """Streams that close their own window only, not the connection's; what is held of one has to be released before it goes."""
        self.fresh_identifiers: list[bytes] = []
        """Identifiers that were made and nobody took notice of."""
        super().__init__(
            limits,
            configuration,
            original_destination_connection_id=original_cid,
            retry_source_connection_id=retry_cid,
        )
        first = self._host_cids[0]
        first.cid = self.host_cid = self._local_initial_source_connection_id = self._new_cid()
        if secrets is not None:
            first.stateless_reset_token = secrets.reset_token(first.cid)
        self._local_max_stream_data_uni = limits.control_window
        for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
            limit.value = limit.sent = limits.streams

    # --------------------------------------------------------------------------- what is asked

    @property
    def is_begun(self) -> bool:
        """Whether a packet of the peer was understood."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def is_established(self) -> bool:
        """Whether the handshake is done."""
        return self._handshake_complete

    @property
    def is_closing(self) -> bool:
        """Whether the connection ends or has ended, by either side."""
        return self._close_event is not None or self._state in {
            QuicConnectionState.CLOSING,
            QuicConnectionState.DRAINING,
            QuicConnectionState.TERMINATED,
        }

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return self._state is QuicConnectionState.TERMINATED

    @property
    def server_name(self) -> str | None:
        """Server: the name that the client asked for, in lower case."""
        return self._handshake.server_name if self._handshake is not None else None

    @property
    def takes_early(self) -> bool:
        """Server: whether what the client sent before its handshake was over is read."""
        return self._handshake is not None and self.tls.early_data_accepted

    @property
    def is_resumed(self) -> bool:
        """Whether the handshake went on with an earlier session."""
        return self.tls.session_resumed

    @property
    def client_chain(self) -> list[bytes]:
        """Server: the certificates that the client showed, in DER, its own first; they were checked."""
        return self._handshake.client_chain if self._handshake is not None else []

    @property
    def has_path(self) -> bool:
        """Whether there is somewhere to send to."""
        return bool(self._network_paths)

    @property
    def identifiers(self) -> list[bytes]:
        """The connection identifiers that are ours at present."""
        return [it.cid for it in self._host_cids]

    @property
    def streams_to_open(self) -> int:
        """How many more streams of both directions the peer lets us open."""
        opened = self._local_next_stream_id_bidi // 4
        return max(self._remote_max_streams_bidi - opened, 0)

    @property
    def owes(self) -> bool:
        """Whether the peer has not acknowledged all of some stream that ends, or its reset."""
        return any(
            not it.sender.is_finished
            for it in self._streams.values()
            if not (it.stream_id or 0) & UNIDIRECTIONAL and _is_ended(it)
        )

    def is_receiving(self, stream_id: int) -> bool:
        """Whether more may come on a stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and not stream.receiver.is_finished

    def unsent(self, stream_id: int) -> int:
        """Return the bytes written to a stream that were never sent: what windows and congestion keep back."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        sender = stream.sender
        if sender.reset_pending or sender.is_finished:
            return 0
        return sender._buffer_stop - sender.highest_offset  # noqa: SLF001 (aioquic tells it nowhere)  # pyright: ignore[reportPrivateUsage]

    @property
    def stream_bytes_sent(self) -> int:
        """How many bytes of all streams were sent so far, each counted once."""
        return self._remote_max_data_used  # pyright: ignore[reportUnknownMemberType] (an int)

    def is_shut(self, stream_id: int) -> bool:
        """Whether the peer takes nothing more on a stream for now."""
        stream = self._streams.get(stream_id)
        return stream is None or stream.sender.highest_offset >= stream.max_stream_data_remote

    def can_send(self, stream_id: int) -> bool:
        """Whether a stream may still be written to: nobody reset or ended it."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return False
        sender = stream.sender
        return not (
            sender.is_finished
            or sender._reset_error_code is not None  # noqa: SLF001 (as above)  # pyright: ignore[reportPrivateUsage]
            or sender._buffer_fin is not None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        )

    def is_known(self, stream_id: int) -> bool:
        """Whether a stream is open in some direction."""
        return stream_id in self._streams

    # ----------------------------------------------------------------------------- back-pressure

    def hold(self, stream_id: int, count: int) -> None:
        """Note that so many bytes that came on a stream are kept by somebody: the window stays closed by as many."""
        self._held[stream_id] = self._held.get(stream_id, 0) + count
        if stream_id not in self.apart:
            self._held_bytes += count

    def release(self, stream_id: int, count: int) -> None:
        """Note that so many bytes of those held are kept no longer."""
        held = self._held.get(stream_id, 0)
        count = min(count, held)
        if stream_id not in self.apart:
            self._held_bytes -= count
        if held > count:
            self._held[stream_id] = held - count
        else:
            self._held.pop(stream_id, None)

    def release_all(self, stream_id: int) -> None:
        """Let go of all that is held of a stream."""
        self.release(stream_id, self._held.get(stream_id, 0))

    @override
    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        """Tell the peer how much, and on how many streams, it may send."""
        limits, data = self._limits, self._local_max_data
        if data.value - data.used < limits.connection_window // 2:
            gaps = sum(
                it.receiver.highest_offset - it.receiver.starting_offset()
                for it in self._streams.values()
                if not it.receiver.is_finished
            )
            taken = data.used - self._held_bytes - gaps
            data.value = max(data.value, taken + limits.connection_window)
        streams = (self._local_max_streams_bidi, self._local_max_streams_uni)
        for limit in (data, *streams):
            if limit.value == limit.sent:
                continue
            # Streams are granted some at a time; a client that has half of them left can wait.
            if limit is not data and limit.sent - limit.used > limits.streams // 2:
                continue
            frame = builder.start_frame(
                limit.frame_type,
                capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            frame.push_uint_var(limit.value)
            limit.sent = limit.value

    @override
    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        """Tell the peer how much it may send on a stream."""
        receiver = stream.receiver
        if receiver.is_finished or not stream.max_stream_data_local:
            return
        identity = stream.stream_id or 0
        one_way = identity & UNIDIRECTIONAL
        window = self._limits.control_window if one_way else self._limits.stream_window
        end = receiver.starting_offset() - self._held.get(identity, 0) + window
        if end - stream.max_stream_data_local >= window // 2:
            stream.max_stream_data_local = end
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            frame = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            frame.push_uint_var(identity)
            frame.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local

    # ------------------------------------------------------------------------------ the rest

    @override
    def receive_datagram(self, data: bytes, addr: NetworkAddress, now: float) -> None:
        """Act on one datagram, unless it may not come: from elsewhere during the handshake, or behind what was wrong.

        The library would answer wherever the last packet of a handshake says that it came from; no client moves that early
        (RFC 9000 section 9). And it would go on with the rest of a batch after a fault, in a handshake that is half done.
        """
        if self._close_pending:
            return
        begun = self.begun_from
        if begun is not None and addr != begun and not self._handshake_complete:
            return
        super().receive_datagram(data, addr, now)

    @override
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, NetworkAddress]]:
        """Return what to send now, and where."""
        control = self._loss._cc  # noqa: SLF001 (the only way to bound it)  # pyright: ignore[reportPrivateUsage]
        control.congestion_window = min(control.congestion_window, self._limits.flight)
        return super().datagrams_to_send(now)

    def _new_cid(self) -> bytes:
        return self._prefix + os.urandom(CID_BYTES - PREFIX_BYTES)

    @override
    def _replenish_connection_ids(self) -> None:
        """Make identifiers until the peer has as many as it keeps."""
        while len(self._host_cids) < min(8, self._remote_active_connection_id_limit):
            cid, secrets = self._new_cid(), self._secrets
            made = QuicConnectionId(
                cid=cid,
                sequence_number=self._host_cid_seq,
                stateless_reset_token=(
                    os.urandom(RESET_TOKEN_BYTES) if secrets is None else secrets.reset_token(cid)
                ),
            )
            self._host_cids.append(made)
            self.fresh_identifiers.append(made.cid)
            self._host_cid_seq += 1

    @override
    def _write_handshake_done_frame(self, builder: QuicPacketBuilder) -> None:
        """Say that the handshake is done, and give the client what spares it showing its address next time."""
        super()._write_handshake_done_frame(builder)
        if self._secrets is None:
            return
        # Lost with the packet, it comes again with the other frame.
        frame = builder.start_frame(QuicFrameType.NEW_TOKEN, capacity=NEW_TOKEN_CAPACITY)
        host = str(self._network_paths[0].addr[0])
        token = self._secrets.address_token(host, self._version or 0)
        frame.push_uint_var(len(token))
        frame.push_bytes(token)

    @override
    def _handle_crypto_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Refuse a message that would have too much kept before its turn comes."""
        start = buf.tell()
        end = buf.pull_uint_var() + buf.pull_uint_var()
        buf.seek(start)
        stream = self._crypto_streams[context.epoch]
        if end - stream.receiver.starting_offset() > self._limits.crypto_bytes:
            raise QuicConnectionError(
                error_code=QuicErrorCode.CRYPTO_BUFFER_EXCEEDED,
                frame_type=frame_type,
                reason_phrase="too much of the handshake at once",
            )
        super()._handle_crypto_frame(context, frame_type, buf)
        waiting: bytes = self.tls._receive_buffer  # noqa: SLF001 (of a message that is not whole)  # pyright: ignore[reportPrivateUsage]
        if len(waiting) > self._limits.crypto_bytes:
            raise QuicConnectionError(
                error_code=QuicErrorCode.CRYPTO_BUFFER_EXCEEDED,
                frame_type=frame_type,
                reason_phrase="a message of the handshake is too large",
            )

    @override
    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if self._terms is not None:
            sessions = self._secrets.sessions if self._secrets is not None else None
            self._handshake = ServerHandshake(
                self.tls,
                self._terms,
                sessions,
                lambda: self._version or 0,
                is_proven=self._is_proven,
            )


def _is_ended(stream: QuicStream) -> bool:
    """Whether we have written the end of a stream, or reset it."""
    sender: Any = stream.sender
    return sender._buffer_fin is not None or sender._reset_error_code is not None  # noqa: SLF001
