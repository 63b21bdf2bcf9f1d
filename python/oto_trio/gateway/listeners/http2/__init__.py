"""HTTP/2 towards clients: RFC 9113, with the priorities of RFC 9218."""

from oto_trio.gateway.listeners.http2.limits import Http2Limits
from oto_trio.gateway.listeners.http2.session import Http2Session

__all__ = ["Http2Limits", "Http2Session"]
