"""The bounds of a WebSocket whose messages are looked at."""

import msgspec

__all__ = ["SocketLimits"]


class SocketLimits(msgspec.Struct, frozen=True):
    """What one connection may ask for, on either side.

    Args:
        message_bytes: The longest message; a longer one ends the connection with 1009. Source: Otoroshi's longest frame,
            ``play.server.websocket.frame.maxLength``.
        fragments: Frames of one message; more end the connection with 1008.
        controls: Pings and pongs in a burst; more end the connection with 1008.
        controls_per_s: How many of them come back each second.
        waiting_bytes: Messages of one direction that wait for a hook, before nothing more is read of their sender.
        waiting_frames: Likewise as a number, control frames among them.
        idle_s: Without a byte of either side for so many seconds, the connection is closed with 1001.
        close_s: Seconds that a side has for its part of the closing handshake.
    """

    message_bytes: int = 1024 * 1024
    fragments: int = 4096
    controls: float = 1000
    controls_per_s: float = 50
    waiting_bytes: int = 256 * 1024
    waiting_frames: int = 1024
    idle_s: float = 3600.0
    close_s: float = 10.0
