"""The state of a QUIC connection to a backend.

Beside what `QuicState` does: the backend's certificate is checked by whoever knows whom to believe, within the
handshake and before anything of ours is shown.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import NetworkAddress
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicErrorCode
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from oto_trio.gateway.quic import QuicLimits, QuicState
from oto_trio.gateway.quic.secrets import RESET_TOKEN_BYTES

__all__ = ["BackendState", "CheckChain"]

LONG_HEADER: Final = 0x80
CRYPTO_ERRORS: Final = range(0x100, 0x200)
"""QUIC's codes for alerts of TLS."""

CheckChain = Callable[[list[bytes]], None]
"""Given a chain in DER, the backend's own certificate first; raises ValueError with what is wrong with it."""


class BackendState(QuicState):
    """One connection to a backend.

    Args:
        configuration: aioquic's, for a client that checks no certificate itself.
        limits: The bounds.
        prefix: What the connection's identifiers begin with.
        check: Checks what the backend shows.
    """

    def __init__(
        self, configuration: QuicConfiguration, limits: QuicLimits, prefix: bytes, check: CheckChain
    ) -> None:
        self._check = check
        self.heard_at = 0.0
        """When the last datagram came."""
        super().__init__(configuration, limits, prefix)

    @property
    def unanswered(self) -> int:
        """How often the backend was asked in vain to acknowledge something."""
        recovery: Any = self._loss
        return int(recovery._pto_count)  # noqa: SLF001 (aioquic tells it nowhere)

    @property
    def idle_s(self) -> float:
        """How long the connection lasts when nothing moves."""
        remote = self._remote_max_idle_timeout or self._limits.idle_s
        return min(remote, self._limits.idle_s)

    @property
    def problem(self) -> tuple[str, bool]:
        """Why the connection ended, and whether it is one of the TLS handshake."""
        told = self._close_event
        if told is None:
            return "the connection ended", False
        is_tls = told.error_code in CRYPTO_ERRORS and told.frame_type is not None
        text = told.reason_phrase
        if is_tls:
            with suppress(ValueError):
                alert = tls.AlertDescription(told.error_code - CRYPTO_ERRORS.start).name
                text = f"{alert.replace('_', ' ')}: {text}" if text else alert.replace("_", " ")
        return text or f"error {told.error_code:#x}", is_tls

    def cancel(self, stream_id: int, code: int) -> None:
        """End a stream both ways, as far as it has not ended."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if self.can_send(stream_id):
            self.reset_stream(stream_id, code)
        if not stream.receiver.is_finished:
            self.stop_stream(stream_id, code)
        self.release_all(stream_id)

    def give_up(self) -> None:
        """End the connection: the backend's machine said that nobody is there."""
        self.close(
            error_code=QuicErrorCode.NO_VIABLE_PATH,
            frame_type=0,
            reason_phrase="nobody listens there",
        )

    @override
    def receive_datagram(self, data: bytes, addr: NetworkAddress, now: float) -> None:
        self.heard_at = now
        if self._is_told_gone(data):
            self._close_event = ConnectionTerminated(
                error_code=QuicErrorCode.NO_VIABLE_PATH,
                frame_type=0,
                reason_phrase="the backend has forgotten the connection",
            )
            self._close_end()
            return
        super().receive_datagram(data, addr, now)

    def _is_told_gone(self, data: bytes) -> bool:
        """Whether a datagram is a stateless reset (RFC 9000 section 10.3.1), which the library does not look for."""
        token = self._peer_cid.stateless_reset_token
        return (
            len(token) == RESET_TOKEN_BYTES
            and len(data) > RESET_TOKEN_BYTES
            and not data[0] & LONG_HEADER
            and self.is_established
            and not self.is_over
            and hmac.compare_digest(data[-RESET_TOKEN_BYTES:], token)
        )

    @override
    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context: Any = self.tls
        verify = context._client_handle_certificate_verify  # noqa: SLF001 (there is no other hook)

        def verify_and_check(message: Buffer) -> None:
            verify(message)
            own, chain = context._peer_certificate, context._peer_certificate_chain  # noqa: SLF001
            try:
                self._check([it.public_bytes(Encoding.DER) for it in (own, *chain)])
            except ValueError as error:
                raise tls.AlertBadCertificate(str(error)) from error

        context._client_handle_certificate_verify = verify_and_check  # noqa: SLF001
