"""The bounds that the setting `stream_bounds` names, as connections of HTTP/2 have them; `http3.bounds` has the others."""

from typing import Any

from oto_trio.gateway.listeners.http2.limits import Http2Limits
from oto_trio.model.stream_bounds import StreamBounds

__all__ = ["http2_limits", "shared"]

BEYOND = 4
"""A head of HTTP/2 is decoded up to so many times its bound: later ones build on it."""


def http2_limits(bounds: StreamBounds) -> Http2Limits:
    """Return the bounds of connections of HTTP/2."""
    return Http2Limits(
        **shared(bounds),
        max_streams=bounds.requests,
        stream_window=bounds.body_bytes,
        connection_window=bounds.bodies_bytes,
        decoded_bytes=BEYOND * bounds.head_bytes,
        decoded_fields=BEYOND * bounds.head_fields,
    )


def shared(bounds: StreamBounds) -> dict[str, Any]:
    """Return what `SharedLimits` takes."""
    return {
        "header_list_bytes": bounds.head_bytes,
        "header_fields": bounds.head_fields,
        "header_block_bytes": bounds.head_bytes,
        "resets": bounds.resets,
        "resets_per_s": bounds.resets / 30,
        "frames": bounds.frames,
        "frames_per_s": bounds.frames / 10,
        "idle_s": bounds.idle_s,
        "stall_s": bounds.stall_s,
    }
