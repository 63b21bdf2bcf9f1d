"""What one client may ask of one connection that its requests share: what HTTP/2 and HTTP/3 have in common."""

from dataclasses import dataclass

__all__ = ["SharedLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLimits:
    """Bounds of a connection. Times are seconds, sizes bytes."""

    header_list_bytes: int = 64 * 1024
    """A decoded head or trailer, 32 bytes for each field beside its own."""
    header_fields: int = 128
    """Fields of a head, cookies that a client splits counted one by one."""
    header_block_bytes: int = 64 * 1024
    """An encoded head, over all its frames; a larger one ends the connection before it is read."""
    resets: float = 200
    """Streams that end before their time by the client's doing, and heads that are too large, in a burst."""
    resets_per_s: float = 200 / 30
    frames: float = 1000
    """Frames that move nothing (PING, SETTINGS, PRIORITY, empty DATA, spare WINDOW_UPDATE, unknown ones...), in a burst."""
    frames_per_s: float = 100
    idle_s: float = 60
    """Without a request for so long, the connection is closed."""
    stall_s: float = 30
    """A client that opens no window, reads nothing, or does not end a frame, for so long is not waited for.

    How long the body of a request may take is the engine's to say, as for every protocol.
    """
