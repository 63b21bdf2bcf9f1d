"""The setting `stream_bounds`, as each protocol has it."""

from oto_trio.gateway.listeners.bounds import http2_limits
from oto_trio.gateway.listeners.http2 import Http2Limits
from oto_trio.gateway.listeners.http3 import Http3Limits
from oto_trio.gateway.listeners.http3.bounds import http3_limits, quic_limits
from oto_trio.gateway.quic import QuicLimits
from oto_trio.model.stream_bounds import StreamBounds


def test_nothing_said_leaves_the_usual_bounds() -> None:
    bounds = StreamBounds()
    assert http2_limits(bounds) == Http2Limits()
    assert http3_limits(bounds) == Http3Limits()
    assert quic_limits(bounds) == QuicLimits()


def test_both_protocols_are_told_each_bound() -> None:
    bounds = StreamBounds(
        requests=11,
        body_bytes=20_000,
        bodies_bytes=70_000,
        head_bytes=10_000,
        head_fields=50,
        resets=60,
        frames=200,
        idle_s=7,
        stall_s=8,
    )
    http2, http3, quic = http2_limits(bounds), http3_limits(bounds), quic_limits(bounds)
    for limits in (http2, http3):
        assert (limits.header_list_bytes, limits.header_block_bytes) == (10_000, 10_000)
        assert (limits.header_fields, limits.idle_s, limits.stall_s) == (50, 7, 8)
        assert (limits.resets, limits.resets_per_s) == (60, 2)
        assert (limits.frames, limits.frames_per_s) == (200, 20)
    assert (http2.max_streams, quic.streams) == (11, 11)
    assert (http2.stream_window, quic.stream_window) == (20_000, 20_000)
    assert (http2.connection_window, quic.connection_window) == (70_000, 70_000)
    assert (http2.decoded_bytes, http2.decoded_fields, quic.idle_s) == (40_000, 200, 7)
