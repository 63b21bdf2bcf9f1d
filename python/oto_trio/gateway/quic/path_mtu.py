"""How large the datagrams of a path may be, found by trying (RFC 8899, RFC 9000 section 14.3).

Every path of QUIC carries 1,200 bytes, and most carry more. A probe is a packet of the next size that holds nothing else; when
it is acknowledged, datagrams grow to that size. A probe that is lost says nothing of congestion, and costs nothing but
itself. When larger ones get through no more, datagrams shrink again, though small ones may arrive: a path may change under a
connection.

But an outage looks the same as a path that carries less than it did. So what the path carried is tried again a second after
datagrams shrank, then after two seconds, and so on: a connection that was cut off for a moment is as quick as before.
"""

from typing import Final

__all__ = ["BASE_BYTES", "PathMtu"]

BASE_BYTES: Final = 1200
"""What every path carries."""
LIKELY_BYTES: Final = 1452
"""What Ethernet carries behind the headers of UDP and IPv6: tried first."""
SIZES: Final = (1200, 1280, 1350, 1400, 1452, 1472, 4052, 8952)
"""What is tried: tunnels of all kinds, Ethernet with IPv6 and IPv4, FDDI, jumbo frames; on one machine the last one gets through."""
TRIES: Final = 3
"""Probes of a size that have to be lost before it is given up."""
AGAIN_S: Final = 600.0
"""After so long, sizes that were given up are tried again."""
BACK_S: Final = 1.0
"""So long after datagrams shrank, what the path carried before is tried again; while that fails after twice as long each time,
`AGAIN_S` at most."""
DOUBTS: Final = 10
"""Packets that have to be lost, with none so large acknowledged, before datagrams shrink."""


class PathMtu:
    """The sizes of one path.

    Args:
        now: The Trio clock, as in every method here.
    """

    __slots__ = (
        "_again_at",
        "_back_at",
        "_doubted_bytes",
        "_doubted_since",
        "_doubted_until",
        "_doubts",
        "_held_bytes",
        "_held_lost",
        "_is_probing",
        "_least_lost",
        "_tries",
        "_wait_s",
        "size",
    )

    def __init__(self, now: float) -> None:
        self.size = BASE_BYTES
        """What datagrams may have."""
        self._least_lost = SIZES[-1] + 1
        self._tries = 0
        self._is_probing = False
        self._again_at = now + AGAIN_S
        self._wait_s = BACK_S
        self._back_at = 0.0
        self._held_bytes = self._held_lost = (
            0  # the size and `_least_lost` of before; 0 when the path carries as much
        )
        self._doubts = 0
        self._doubted_bytes = 0
        self._doubted_since = self._doubted_until = 0.0

    def next_probe(self, most: int, now: float) -> int | None:
        """Return the size of a probe that is to be sent now, once; None when there is none to be sent.

        Args:
            most: What the peer takes.
            now: The Trio clock.
        """
        if self._is_probing:
            return None
        if self._held_bytes:
            if now >= self._back_at:
                self._wait(now)
                self._tries = 0
                self._least_lost = self._held_lost
        elif now >= self._again_at:
            self._again_at = now + AGAIN_S
            self._least_lost = SIZES[-1] + 1
        left = [it for it in SIZES if self.size < it < self._least_lost and it <= most]
        if not left:
            return None
        self._is_probing = True
        return LIKELY_BYTES if LIKELY_BYTES in left else left[0]

    def arrived(self, size: int) -> None:
        """Note that a probe was acknowledged."""
        self._is_probing = False
        self._tries = 0
        self.size = max(self.size, size)
        if self.size >= self._held_bytes:
            self._held_bytes = 0

    def lost(self, size: int) -> None:
        """Note that a probe was not acknowledged."""
        self._is_probing = False
        self._tries += 1
        if self._tries >= TRIES:
            self._tries = 0
            self._least_lost = min(self._least_lost, size)

    def carried(self, size: int) -> None:
        """Note that a packet of data was acknowledged."""
        if size >= self._doubted_bytes:
            self._doubts = 0
        if not self._held_bytes:
            self._wait_s = BACK_S

    def dropped(self, size: int, sent_at: float) -> None:
        """Note that a packet of data was lost, and when it had been sent."""
        if not BASE_BYTES < size <= self.size:
            return  # every path carries it, or none is sent any more
        if not self._doubts:
            self._doubted_bytes = size
            self._doubted_since = self._doubted_until = sent_at
        self._doubts += 1
        self._doubted_bytes = min(self._doubted_bytes, size)
        self._doubted_until = max(self._doubted_until, sent_at)

    def is_doubted(self, patience_s: float) -> bool:
        """Whether so many large packets were lost, sent over so long, and none acknowledged, that the path drops them all."""
        return self._doubts >= DOUBTS and self._doubted_until - self._doubted_since >= patience_s

    def shrink(self, now: float) -> None:
        """Go back to what every path carries: what is larger does not get through."""
        self._doubts = self._tries = 0
        if not self._held_bytes:
            self._held_bytes, self._held_lost = self.size, self._least_lost
        self._least_lost = min(self._least_lost, self.size)
        self._wait(now)
        self.size = BASE_BYTES

    def _wait(self, now: float) -> None:
        """Set when what the path carried is tried next."""
        self._back_at = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, AGAIN_S)
