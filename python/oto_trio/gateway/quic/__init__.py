"""QUIC on Trio: aioquic holds the state of each connection, this package its sockets, timers and bounds."""

from oto_trio.gateway.quic.accepting import Acceptor
from oto_trio.gateway.quic.connection import QuicState
from oto_trio.gateway.quic.endpoint import QuicEndpoint, QuicLink, QuicOwner
from oto_trio.gateway.quic.handshake import HandshakeTerms, LaterError
from oto_trio.gateway.quic.limits import QuicLimits
from oto_trio.gateway.quic.secrets import QuicSecrets

__all__ = [
    "Acceptor",
    "HandshakeTerms",
    "LaterError",
    "QuicEndpoint",
    "QuicLimits",
    "QuicLink",
    "QuicOwner",
    "QuicSecrets",
    "QuicState",
]
