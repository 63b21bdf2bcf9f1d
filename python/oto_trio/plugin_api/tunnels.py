"""What plugins that tunnel raw bytes through a WebSocket have in common."""

import logging
import socket as sockets
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final, NamedTuple

import trio
from typing_extensions import override

from oto_trio.plugin_api.answers import Refusal, Response
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.names import LOOPBACK, is_local
from oto_trio.plugin_api.websockets import ServedSocket, WebSocketBackend

__all__ = ["PATH", "SOCKETS", "Peer", "Sockets", "TunnelPlugin", "addresses_of", "unreachable"]

logger = logging.getLogger(__name__)

PATH: Final = "/.well-known/otoroshi/tunnel"
"""Where Otoroshi's clients ask for a tunnel."""
_NOT_FOUND: Final = Response(404, (("Content-Type", "application/json"),), b'{"error":"not_found"}')
_ELSEWHERE: Final = Refusal(404, "Resource not found", "errors.resource.not.found")


_LOOKUPS: Final = trio.CapacityLimiter(8)
"""Threads in which the targets of tunnels are looked up; those of Trio serve other work of the worker."""


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


async def addresses_of(peer: Peer) -> list[str]:
    """Look up where a tunnel leads, as the gateway does for other targets, but for its own eight lookups at once.

    Returns:
        At least one address, in the system's order of preference.

    Raises:
        OSError: The host has no address, or the resolver failed.
        UnicodeError: It cannot be a host name.

    Cancellation: the thread that waits for the resolver is left to end by itself.
    """
    host = peer.host
    if is_local(host):
        return list(LOOPBACK)
    with suppress(ValueError):
        return [str(ip_address(host))]
    ask = partial(sockets.getaddrinfo, host, None, type=sockets.SOCK_STREAM)
    found = await trio.to_thread.run_sync(ask, limiter=_LOOKUPS, abandon_on_cancel=True)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def unreachable(socket: ServedSocket, peer: Peer, error: Exception) -> None:
    """Close a tunnel whose target cannot be reached."""
    reason = "it took too long" if isinstance(error, trio.TooSlowError) else error
    logger.warning("the target %s:%d of a tunnel cannot be reached: %s", *peer, reason)
    socket.close(1011, "the target cannot be reached")
