"""What one client may ask of one HTTP/2 connection.

Every frame costs somebody something, and most cost the server more than the client. What a client sends
without need is paid from a budget that fills again with time; who has spent it is told to calm down.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oto_trio.gateway.listeners.limits import SharedLimits

if TYPE_CHECKING:
    from oto_trio._core import FieldBlock

__all__ = [
    "BATCH",
    "CHEAP_SETTINGS",
    "CUT_BYTES",
    "JUDGED_BYTES",
    "SLICE",
    "Budget",
    "Http2Limits",
    "appetite",
]

SLICE: Final = 16 * 1024
"""Bytes that are read before the budgets are looked at again: 128 KiB of PINGs would take half a second."""
BATCH: Final = 128 * 1024
"""Bytes that are written before the socket is asked whether it takes more."""
CUT_BYTES: Final = 1024
"""A window that lets less out than this, though there is more, costs more than it moves."""
CHEAP_SETTINGS: Final = 16
"""So many settings are read in the time of a small frame."""
JUDGED_BYTES: Final = 4 * 1024
"""From so many bytes that come at once the size of a client's frames can be told."""
HEAVY_BYTES: Final = 256
"""Smaller frames are small, on the average."""
FEW_BYTES: Final = 8 * 1024
"""What is read at once of a client with small frames: 800 of the smallest, some milliseconds of work."""
MANY_BYTES: Final = 128 * 1024
"""What is read at once of other clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Limits(SharedLimits):
    """Bounds of a connection. Times are seconds, sizes bytes."""

    max_streams: int = 100
    """Requests at once; a further one is refused with REFUSED_STREAM, which a client may send again."""
    stream_window: int = 256 * 1024
    """What a client may send of one request's body before the backend took some of it."""
    connection_window: int = 1024 * 1024
    """The same for all requests of the connection together."""
    decoded_bytes: int = 256 * 1024
    """A head beyond `header_list_bytes` is decoded up to here, since later ones build on it, and answered 431."""
    decoded_fields: int = 512
    """The same for a head beyond `header_fields`."""
    header_frames: int = 16
    """HEADERS and CONTINUATION frames of one head."""

    def excess(self, fields: "FieldBlock") -> int:
        """How many times a head or trailers go beyond what is told to clients; 0 for those that do not."""
        size, count = fields.size, len(fields)
        if size <= self.header_list_bytes and count <= self.header_fields:
            return 0
        return max((size - 1) // self.header_list_bytes, (count - 1) // self.header_fields)


class Budget:
    """Tokens that come back with time.

    Args:
        burst: How many there are at most, and at the beginning.
        per_s: How many come back each second.
        now: The Trio clock.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst = self._left = float(burst)
        self._per_s = per_s
        self._at = now

    def spend(self, count: float, now: float) -> bool:
        """Take tokens; False when there were not enough, and then none are left."""
        self._left -= count
        if self._left >= 0:
            return True
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left >= 0:
            return True
        self._left = 0.0
        return False

    def earn(self, count: float) -> None:
        """Give tokens back for what the client is expected to answer; never beyond the burst."""
        self._left = min(self._burst, self._left + count)


def appetite(size: int, events: int) -> int:
    """Return how many bytes of a client are read at once, of whose `size` bytes so many events were made."""
    return FEW_BYTES if events * HEAVY_BYTES > size else MANY_BYTES
