"""The bounds that the setting `stream_bounds` names, as connections of HTTP/3 and the QUIC below them have them."""

from oto_trio.gateway.listeners.bounds import shared
from oto_trio.gateway.listeners.http3.limits import Http3Limits
from oto_trio.gateway.quic import QuicLimits
from oto_trio.model.stream_bounds import StreamBounds

__all__ = ["http3_limits", "quic_limits"]


def http3_limits(bounds: StreamBounds) -> Http3Limits:
    """Return the bounds of connections of HTTP/3."""
    return Http3Limits(**shared(bounds))


def quic_limits(bounds: StreamBounds) -> QuicLimits:
    """Return the bounds of the QUIC below them."""
    return QuicLimits(
        streams=bounds.requests,
        stream_window=bounds.body_bytes,
        connection_window=bounds.bodies_bytes,
        idle_s=bounds.idle_s,
    )
