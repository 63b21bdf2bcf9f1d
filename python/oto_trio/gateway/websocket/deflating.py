"""Compression of the messages of one side, permessage-deflate (RFC 7692), within bounds.

wsproto calls this for each frame. Its own extension inflates whatever comes in one step; here no step makes more
than what is left of the message's bound, so a bomb costs its sender's connection and no memory.
"""

import zlib
from typing import Final, Protocol

from typing_extensions import override
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from oto_trio.plugin_api.websocket_deflate import CONTEXTS, MEMORY_LEVEL, Deflate

__all__ = ["Deflating"]

_LEVEL: Final = 2
"""Of zlib: a MiB of JSON takes a third of the time of its default, and gets a sixteenth longer."""
_LEAST_BITS: Final = 9
"""The smallest window that zlib compresses with."""
_LEAST_BYTES: Final = 32
"""What is shorter goes as it is."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""What a sender leaves out at the end of each message (RFC 7692 section 7.2.1)."""
_ENDS: Final = 64
"""How often one message may end its stream (a block with BFINAL) and begin another."""


class _Inflater(Protocol):
    """What zlib inflates with."""

    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Deflater(Protocol):
    """What zlib compresses with."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class Deflating(Extension):
    """Both contexts of one side.

    Args:
        terms: What was agreed on.
        message_bytes: The longest message, inflated. What comes compressed may be twice as long.
    """

    name = "permessage-deflate"

    def __init__(self, terms: Deflate, message_bytes: int) -> None:
        self._terms = terms
        self._most = message_bytes
        self._inflater: _Inflater | None = None
        self._deflater: _Deflater | None = None
        self._is_data = self._is_compressed = self._is_within = False
        self._begins: bool | None = None
        """Whether the message that begins with this frame is compressed; None for another frame."""
        self._inflated = self._compressed = self._ends = 0
        self._is_closed = False
        self.fault: str | None = None
        """Why the last frame was refused, in words."""
        CONTEXTS.held_bytes += terms.memory

    def close(self) -> None:
        """Let go of the contexts; nothing more passes."""
        if not self._is_closed:
            self._is_closed = True
            CONTEXTS.held_bytes -= self._terms.memory
            self._inflater = self._deflater = None

    @override
    def enabled(self) -> bool:
        return True

    @override
    def offer(self) -> bool | str:
        """Say nothing: the handshake is made elsewhere."""
        return False

    # ------------------------------------------------------------------------- what comes

    @override
    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        # Called again while the header is not whole: nothing that is kept may change.
        self._is_data = not opcode.iscontrol()
        begins = opcode in (Opcode.TEXT, Opcode.BINARY)
        if rsv.rsv1 and not begins:
            return CloseReason.PROTOCOL_ERROR
        if self._is_data and begins is self._is_within:
            return CloseReason.PROTOCOL_ERROR
        self._begins = rsv.rsv1 if begins else None
        return RsvBits(rsv1=True, rsv2=False, rsv3=False)

    @override
    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        if self._begins is not None:
            self._is_within = True
            self._is_compressed = self._begins
            self._begins = None
            self._inflated = self._compressed = self._ends = 0
        if not self._is_data or not self._is_compressed:
            return data
        self._compressed += len(data)
        if self._compressed > 2 * self._most + 1024:
            return self._too_big()
        return self._inflate(data)

    @override
    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if not self._is_data or not fin:
            return None
        self._is_within = False
        if not self._is_compressed:
            return None
        rest = self._inflate(_TAIL)
        if self._terms.forgets_received:
            self._inflater = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        """Inflate what comes next, up to one byte beyond the bound."""
        made = b""
        while data:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(-self._terms.receive_bits)
            inflater = self._inflater
            room = self._most - self._inflated + 1
            try:
                part = inflater.decompress(data, room)
            except zlib.error:
                self.fault = "the message is not compressed as it has to be"
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            self._inflated += len(part)
            if self._inflated > self._most:
                return self._too_big()
            made = made + part if made else part
            data = inflater.unconsumed_tail
            if inflater.eof:
                # The stream has ended; the next begins without what it knew.
                self._ends += 1
                if self._ends > _ENDS:
                    self.fault = "the message has too many streams"
                    return CloseReason.POLICY_VIOLATION
                data = inflater.unused_data
                self._inflater = None
        return made

    def _too_big(self) -> CloseReason:
        self.fault = "the message is too big"
        return CloseReason.MESSAGE_TOO_BIG

    # ------------------------------------------------------------------------- what goes

    @override
    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,
    ) -> tuple[RsvBits, bytes]:
        terms = self._terms
        # Whole messages are sent, each in one frame.
        if opcode.iscontrol() or len(data) < _LEAST_BYTES or terms.send_bits < _LEAST_BITS:
            return rsv, data
        if self._deflater is None:
            self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -terms.send_bits, MEMORY_LEVEL)
        said = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        if terms.forgets_sent:
            self._deflater = None
        return rsv._replace(rsv1=True), said[: -len(_TAIL)]
