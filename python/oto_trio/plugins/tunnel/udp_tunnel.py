"""Tunnel UDP through a WebSocket.

Phases: access, transform_request, call_backend, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.UdpTunnel``.
"""

import base64
import binascii
from collections import OrderedDict
from contextlib import suppress
from typing import Annotated, Final

import msgspec
import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import ServedSocket
from oto_trio.plugin_api.tunnels import (
    SOCKETS,
    Peer,
    TunnelPlugin,
    addresses_of,
    unreachable,
)

__all__ = ["UdpTunnel"]

_RESOLVE_S: Final = 10.0
_PEERS: Final = 64
_SILENT_S: Final = 120.0
"""What the translators of addresses on the way keep an entry for at least (RFC 4787 section 4.3)."""
_DATAGRAM_BYTES: Final = 65535
_INCONSISTENT: Final = 1007


class _Datagram(msgspec.Struct, frozen=True):
    """What a message holds."""

    port: Annotated[int, Meta(ge=0, le=65535)]
    address: Annotated[str, Meta(max_length=255)]
    data: str = ""


class UdpTunnel(TunnelPlugin):
    """Passes datagrams in binary messages of a WebSocket on ``/.well-known/otoroshi/tunnel`` to the target, and back.

    A message is ``{"port": 5353, "address": "127.0.0.1", "data": "base64"}``; port and address are those of the one
    for whom the client speaks. Each of them has a socket of its own towards the target, so what the target answers comes back with
    the right port and address (Otoroshi counts answers instead, and tells them in the order of the questions); of more than 64 the one that was
    silent longest is forgotten, and so is one that nobody used for 120 s. The tunnels of a worker have 1024 sockets between them: while there are
    so many a tunnel gives up one of its own for another, and one without any loses what its client says. As with UDP itself a
    datagram that cannot be sent is lost. A binary message that is none closes with 1007, text messages are dropped. Another path,
    and any other request, is answered 404.
    """

    id = "cp:otoroshi.next.plugins.UdpTunnel"
    name = "UDP Tunnel"
    description = "Tunnels UDP datagrams through WebSockets to the target."

    @override
    async def serve_socket(self, socket: ServedSocket, opened: Peer) -> None:
        try:
            with trio.fail_after(_RESOLVE_S):
                host, *_ = await addresses_of(opened)
                found = await trio.socket.getaddrinfo(
                    host, opened.port, type=trio.socket.SOCK_DGRAM
                )
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            unreachable(socket, opened, error)
            return
        family, _, _, _, address = found[0]
        async with trio.open_nursery() as nursery:
            tunnel = _Tunnel(socket, nursery, family, address)
            try:
                while True:
                    message = await socket.receive()
                    if isinstance(message.data, bytes) and not await tunnel.say(message.data):
                        socket.close(_INCONSISTENT, "expected JSON with port, address and data")
                        break
            except trio.EndOfChannel:
                pass
            nursery.cancel_scope.cancel()


class _Tunnel:
    """The sockets of one tunnel.

    Args:
        socket: The client's.
        nursery: Owns a task for each socket, and ends with the connection.
        family: Of addresses.
        address: The target's.
    """

    def __init__(
        self,
        socket: ServedSocket,
        nursery: trio.Nursery,
        family: int,
        address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    ) -> None:
        self._socket = socket
        self._nursery = nursery
        self._family = family
        self._address = address
        self._peers: OrderedDict[tuple[int, str], _Way] = OrderedDict()

    async def say(self, text: bytes) -> bool:
        """Send a datagram; False when the message holds none."""
        try:
            told = msgspec.json.decode(text, type=_Datagram)
            data = base64.b64decode(told.data, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            return False
        peer = told.port, told.address
        way = self._peers.get(peer)
        if way is None:
            way = await self._open(peer)
            if way is None:
                return True
        self._peers.move_to_end(peer)
        way.used()
        # When nobody is there, or it is too long, it is lost.
        with suppress(OSError, trio.ClosedResourceError):
            await way.socket.send(data)
        return True

    async def _open(self, peer: tuple[int, str]) -> "_Way | None":
        """Open a socket for somebody; None when there is no more to be had."""
        if self._peers and (len(self._peers) >= _PEERS or not SOCKETS.has_room):
            _, silent = self._peers.popitem(last=False)
            silent.close()
        if not SOCKETS.has_room:
            SOCKETS.refused()
            return None
        try:
            way = _Way(trio.socket.socket(self._family, trio.socket.SOCK_DGRAM))
        except OSError:
            return None
        try:
            await way.socket.connect(self._address)
        except BaseException as error:
            way.close()
            if isinstance(error, OSError):
                return None
            raise
        self._peers[peer] = way
        self._nursery.start_soon(self._listen, peer, way)
        return way

    async def _listen(self, peer: tuple[int, str], way: "_Way") -> None:
        """Tell the client what the target answers somebody, until nobody says anything for long."""
        port, address = peer
        try:
            with way.scope, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    try:
                        data = await way.socket.recv(_DATAGRAM_BYTES)
                    except OSError:
                        continue  # the target's host says that nobody is there
                    way.used()
                    answer = {
                        "port": port,
                        "address": address,
                        "data": base64.b64encode(data).decode(),
                    }
                    await self._socket.send(msgspec.json.encode(answer))
        finally:
            way.close()
            if self._peers.get(peer) is way:
                del self._peers[peer]


class _Way:
    """A socket towards the target, and what ends it.

    Args:
        socket: It counts among those of the worker until `close`.
    """

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.socket = socket
        self.scope = trio.CancelScope()
        self._is_closed = False
        SOCKETS.open()
        self.used()

    def used(self) -> None:
        """Note that somebody said something."""
        self.scope.deadline = trio.current_time() + _SILENT_S

    def close(self) -> None:
        """Close it at once, whoever waits for it."""
        if not self._is_closed:
            self._is_closed = True
            SOCKETS.closed()
            self.socket.close()
            self.scope.cancel()
