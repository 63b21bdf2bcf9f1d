"""What one client may ask of one HTTP/3 connection; the bounds of QUIC below it are `QuicLimits`."""

from dataclasses import dataclass

from oto_trio.gateway.listeners.limits import SharedLimits

__all__ = ["Http3Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Http3Limits(SharedLimits):
    """Bounds of a connection. Times are seconds, sizes bytes."""

    control_frame_bytes: int = 4096
    """A frame of the control stream that has to be read whole."""
