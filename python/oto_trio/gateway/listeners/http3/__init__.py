"""HTTP/3 towards clients: connections of aioquic's on one side, streams of the engine on the other; `server` has both."""

from oto_trio.gateway.listeners.http3.limits import Http3Limits
from oto_trio.gateway.listeners.http3.session import Http3Session

__all__ = ["Http3Limits", "Http3Session"]
