"""What plugins that tunnel raw bytes through a WebSocket have in common."""

import logging
from typing import Final, NamedTuple

from typing_extensions import override

from oto_trio.plugin_api.answers import Refusal, Response
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.websockets import ServedSocket, WebSocketBackend

__all__ = ["PATH", "SOCKETS", "Peer", "Sockets", "TunnelPlugin", "unreachable"]

logger = logging.getLogger(__name__)

PATH: Final = "/.well-known/otoroshi/tunnel"
"""Where Otoroshi's clients ask for a tunnel."""
_NOT_FOUND: Final = Response(404, (("Content-Type", "application/json"),), b'{"error":"not_found"}')
_ELSEWHERE: Final = Refusal(404, "Resource not found", "errors.resource.not.found")


class Sockets:
    """The UDP sockets of a worker's tunnels, and their bound.

    A client may have many tunnels as streams of one connection, so no bound of connections holds for them.

    Args:
        most: How many there may be at once.
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self.held = 0
        """How many there are."""
        self._is_told = False

    @property
    def has_room(self) -> bool:
        """Whether there may be another."""
        return self.held < self.most

    def refused(self) -> None:
        """Warn that a tunnel got none; once, until half of them are closed."""
        if not self._is_told:
            self._is_told = True
            logger.warning("tunnels hold %d UDP sockets: datagrams of others are lost", self.held)

    def open(self) -> None:
        """Count a socket, before it is made."""
        self.held += 1

    def closed(self) -> None:
        """Count it no longer."""
        self.held -= 1
        self._is_told &= self.held > self.most // 2


SOCKETS: Final = Sockets()
"""Those of this worker: a worker is a process."""


class Peer(NamedTuple):
    """Where a tunnel leads."""

    host: str
    port: int


class TunnelPlugin(WebSocketBackend):
    """The base of plugins whose WebSocket, below `PATH`, leads to the route's target. A route with one serves nothing else."""

    categories = ("Tunnel", "Classic")
    otoroshi_steps = ("HandlesTunnel",)
    multi_instance = False

    @override
    def access(self, exchange: Exchange) -> Response | None:
        asked = exchange.request.upgrade
        return None if asked is not None and asked.lower() == "websocket" else _NOT_FOUND

    @override
    def refuse_socket(self, exchange: Exchange) -> Refusal | None:
        if not exchange.request.path.startswith(PATH):
            return _ELSEWHERE
        if _peer_of(exchange) is None:
            return Refusal(502, "The target of a tunnel has to be a host and a port")
        return None

    @override
    def open_socket(self, exchange: Exchange) -> Peer | None:
        return _peer_of(exchange)


def _peer_of(exchange: Exchange) -> Peer | None:
    """Return where the target is; None when it is no host."""
    host, sign, port = (exchange.target_address or "").rpartition(":")
    if not sign or not host or not port.isdigit():
        return None
    return Peer(host.removeprefix("[").removesuffix("]"), int(port))


def unreachable(socket: ServedSocket, peer: Peer, error: OSError) -> None:
    """Close a tunnel whose target cannot be reached."""
    logger.warning("the target %s:%d of a tunnel cannot be reached: %s", *peer, error)
    socket.close(1011, "the target cannot be reached")
