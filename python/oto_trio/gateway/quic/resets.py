"""Stateless resets (RFC 9000 section 10.3): telling a client that its connection is gone, with nothing kept of it.

After a worker crashed, its clients go on sending to a gateway that knows nothing of them. Each gets a packet that
only somebody with the gateway's secret can make, and that looks like any other to everyone else.

Bounds
    The answer is shorter than what asked for it, so it amplifies nothing and two sides that answer each other end
    soon; and there is a budget, so a flood of nonsense has most of it dropped.
"""

import os
from typing import Final

from oto_trio.gateway.quic.secrets import RESET_TOKEN_BYTES, QuicSecrets

__all__ = ["Resets"]

SHORTEST: Final = 21
"""A shorter one could be told from other packets (RFC 9000 section 10.3)."""
LONGEST: Final = 43
FIXED_BIT: Final = 0x40
FORM_AND_FIXED_BITS: Final = 0xC0


class Resets:
    """Makes stateless resets.

    Args:
        secrets: Has the key.
        burst: How many at once.
        per_s: How many a second in the long run.
    """

    def __init__(self, secrets: QuicSecrets, burst: float, per_s: float) -> None:
        self._secrets = secrets
        self._burst = self._left = burst
        self._per_s = per_s
        self._at = 0.0

    def answer(self, cid: bytes, data: bytes, now: float) -> bytes | None:
        """Return what tells the sender of a packet that there is no such connection.

        Args:
            cid: The identifier that the packet names.
            data: The packet.
            now: The Trio clock, which never goes back.

        Returns:
            None when the packet is too short for an answer, or too many were answered.
        """
        size = min(len(data) - 1, LONGEST)
        if size < SHORTEST:
            return None
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return None
        self._left -= 1
        noise = bytearray(os.urandom(size - RESET_TOKEN_BYTES))
        noise[0] = (noise[0] & ~FORM_AND_FIXED_BITS & 0xFF) | FIXED_BIT
        return bytes(noise) + self._secrets.reset_token(cid)
