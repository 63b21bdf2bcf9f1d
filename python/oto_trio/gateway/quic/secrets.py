"""What the QUIC workers of a gateway share: keys that come from one secret, so that each knows what another gave.

The secret is made when the gateway starts, handed to its workers, and written nowhere. Every use of it has a key of its
own.
"""

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Callable
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from oto_trio.gateway.quic.sessions import Sessions

__all__ = ["ADDRESS_TOKEN_BYTES", "RESET_TOKEN_BYTES", "QuicSecrets"]

RESET_TOKEN_BYTES: Final = 16
NONCE_BYTES: Final = 12
TIME_BYTES: Final = 8
TAG_BYTES: Final = 16
ADDRESS_TOKEN_BYTES: Final = NONCE_BYTES + TIME_BYTES + TAG_BYTES
"""No token of a Retry packet is so short: the two are told apart by it (RFC 9000 section 8.1.1)."""
ADDRESS_TOKEN_S: Final = 24 * 3600
"""How long a client that returns need not show its address again."""
CLOCK_SKEW_S: Final = 60
"""How far a token may be ahead of the time."""


class QuicSecrets:
    """Keys that come from one secret.

    Args:
        secret: What the workers of a gateway share.
        unix_clock: Reads Unix time, in seconds; the Trio clocks of two workers have nothing in common.
    """

    def __init__(self, secret: bytes, unix_clock: Callable[[], float]) -> None:
        self._secret = secret
        self._unix_clock = unix_clock
        self.group = self.derived("group").hex()[:16]
        """Names these workers to each other; tells nothing of the secret."""
        self.sessions = Sessions(self.derived, unix_clock)
        """Sessions that any of these workers began."""
        self._resets = self.derived("stateless reset")
        self._addresses = AESGCM(self.derived("address token"))

    @classmethod
    def of(cls, secret: bytes, unix_clock: Callable[[], float]) -> Self | None:
        """Make them; None without a secret, when the workers share nothing."""
        return cls(secret, unix_clock) if secret else None

    def derived(self, purpose: str) -> bytes:
        """Return a key for one purpose, 32 bytes."""
        return hmac.digest(self._secret, b"oto-trio quic " + purpose.encode(), hashlib.sha256)

    def reset_token(self, cid: bytes) -> bytes:
        """Return what tells the peer that the connection with this identifier is gone (RFC 9000 section 10.3.2)."""
        return hmac.digest(self._resets, cid, hashlib.sha256)[:RESET_TOKEN_BYTES]

    def address_token(self, host: str, version: int) -> bytes:
        """Make a token for a client that has shown that this address is its own.

        Args:
            host: The address.
            version: Of QUIC; another one does not take the token (RFC 9369 section 5).
        """
        nonce = os.urandom(NONCE_BYTES)
        issued = int(self._unix_clock()).to_bytes(TIME_BYTES)
        return nonce + self._addresses.encrypt(nonce, issued, _bound(host, version))

    def knows_address(self, host: str, version: int, token: bytes) -> bool:
        """Whether a token was given to a client of this address, not long ago."""
        if len(token) != ADDRESS_TOKEN_BYTES:
            return False
        nonce, sealed = token[:NONCE_BYTES], token[NONCE_BYTES:]
        try:
            issued = int.from_bytes(self._addresses.decrypt(nonce, sealed, _bound(host, version)))
        except (InvalidTag, ValueError):
            return False
        return -CLOCK_SKEW_S <= self._unix_clock() - issued <= ADDRESS_TOKEN_S


def _bound(host: str, version: int) -> bytes:
    """Write what a token is for, so that there is one way to write it."""
    return version.to_bytes(4) + ipaddress.ip_address(host.partition("%")[0]).packed
