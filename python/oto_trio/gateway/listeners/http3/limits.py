"""What one client may ask of one HTTP/3 connection; the bounds of QUIC below it are `QuicLimits`."""

from dataclasses import dataclass

__all__ = ["Http3Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Http3Limits:
    """Bounds of a connection. Times are seconds, sizes bytes."""

    header_list_bytes: int = 64 * 1024
    """A decoded head or trailer, 32 bytes for each field beside its own."""
    header_fields: int = 128
    """Fields of a head, cookies that a client splits counted one by one."""
    header_block_bytes: int = 64 * 1024
    """An encoded head; a larger one ends the connection before it is read."""
    control_frame_bytes: int = 4096
    """A frame of the control stream that has to be read whole."""
    resets: float = 200
    """Streams that end before their time by the client's doing, in a burst."""
    resets_per_s: float = 200 / 30
    frames: float = 1000
    """Frames that move nothing (empty DATA, frames and streams of no known kind, those of the control stream), in a burst."""
    frames_per_s: float = 100
    idle_s: float = 60
    """Without a request for so long, the connection is closed."""
    stall_s: float = 30
    """A client that opens no window for what waits for it is not waited for any longer."""
