"""Tunnel TCP through a WebSocket.

Phases: access, transform_request, call_backend, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.TcpTunnel``.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio
from typing_extensions import override

from oto_trio.plugin_api import ServedSocket
from oto_trio.plugin_api.tunnels import Peer, TunnelPlugin, addresses_of, unreachable

__all__ = ["TcpTunnel"]

_CONNECT_S: Final = 10.0
_NEXT_S: Final = 0.25
"""How long an address has to itself before the next is tried beside it (RFC 8305 section 5)."""
_LAST_S: Final = 5.0
"""How long the target has to take what the client said before it closed."""
_READ_BYTES: Final = 64 * 1024


class TcpTunnel(TunnelPlugin):
    """Passes binary messages of a WebSocket on ``/.well-known/otoroshi/tunnel`` to the target as bytes of a TCP connection, and back.

    Text messages are dropped. What ends on one side is closed on the other: with 1000 when the target closed, with 1011 when it
    cannot be reached within 10 s. Another path, and any other request, is answered 404. Whether the target speaks TLS is between it
    and the client: the bytes are passed on as they are.
    """

    id = "cp:otoroshi.next.plugins.TcpTunnel"
    name = "TCP Tunnel"
    description = "Tunnels TCP connections through WebSockets to the target."

    @override
    async def serve_socket(self, socket: ServedSocket, opened: Peer) -> None:
        try:
            with trio.fail_after(_CONNECT_S):
                stream = await _connect(await addresses_of(opened), opened.port)
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            unreachable(socket, opened, error)
            return
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(_Upward(socket, stream).run, nursery.cancel_scope)
            with suppress(trio.BrokenResourceError):  # either side broke off
                while data := await stream.receive_some(_READ_BYTES):
                    await socket.send(bytes(data))
            nursery.cancel_scope.cancel()


async def _connect(addresses: Sequence[str], port: int) -> trio.SocketStream:
    """Connect to whichever address takes it first.

    Raises:
        OSError: None does.

    Cancellation: whatever was opened is closed.
    """
    streams: list[trio.SocketStream] = []
    errors: list[OSError] = []

    async def attempt(address: str, ended: trio.Event) -> None:
        try:
            streams.append(await trio.open_tcp_stream(address, port))
            nursery.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
        ended.set()

    kept = 0
    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                ended = trio.Event()
                nursery.start_soon(attempt, address, ended)
                with trio.move_on_after(_NEXT_S):
                    await ended.wait()
        kept = 1
    finally:
        for spare in streams[kept:]:
            spare.socket.close()
    if not streams:
        raise errors[0]
    return streams[0]


class _Upward:
    """What the client says, on its way to the target.

    Args:
        socket: The client's.
        stream: The target's.
    """

    def __init__(self, socket: ServedSocket, stream: trio.SocketStream) -> None:
        self._socket = socket
        self._target = stream.socket
        self._left = b""
        self._sent = 0
        """How much of that has gone."""

    async def run(self, both: trio.CancelScope) -> None:
        """Pass it on to the last octet: this is cancelled when the client has closed, and octets may wait then."""
        with suppress(OSError):
            try:
                while True:
                    await self._send((await self._socket.receive()).data)
            except trio.EndOfChannel:
                pass
            finally:
                with trio.move_on_after(_LAST_S, shield=True):
                    await self._send_rest()
        both.cancel()

    async def _send_rest(self) -> None:
        """Send what came already."""
        with suppress(OSError):
            await self._send(b"")
            while (message := self._socket.take()) is not None:
                await self._send(message.data)

    async def _send(self, data: str | bytes) -> None:
        """Send octets behind those that are left of before; what is not sent when this is cancelled is left."""
        if isinstance(data, bytes):
            # Mostly nothing is left: that which was cancelled leaves something.
            self._left = self._left[self._sent :] + data
            self._sent = 0
        rest = memoryview(self._left)
        while self._sent < len(rest):
            self._sent += await self._target.send(rest[self._sent : self._sent + _READ_BYTES])
        self._left, self._sent = b"", 0
