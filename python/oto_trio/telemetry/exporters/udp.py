"""Sends events over UDP or a Unix datagram socket, one JSON object a datagram.

An event that is larger than a datagram may be is left out. Nobody learns whether datagrams arrive.

Otoroshi: the exporter ``udp``.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Annotated

import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UdpConfig", "UdpExporter"]


class UdpConfig(ExporterConfig, frozen=True, kw_only=True):
    """Where to."""

    host: Annotated[str, Meta(description="host name, address, or path of a Unix socket")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=1, le=65535, description="UDP port")] = 514
    unix_socket: Annotated[bool, Meta(description="host is the path of a Unix socket")] = False
    connect_timeout: Annotated[int, Meta(ge=1, description="milliseconds to find the host")] = 10000


class UdpExporter(Exporter[UdpConfig]):
    """Keeps one socket."""

    type = "udp"
    config_class = UdpConfig

    def __init__(self, config: UdpConfig) -> None:
        super().__init__(config)
        self._socket: trio.socket.SocketType | None = None

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        try:
            if self._socket is None:
                self._socket = await self._open()
            for event in events:
                await self._send_one(self._socket, event)
        except (OSError, trio.TooSlowError) as error:
            await self.aclose()
            where = f"{self.config.host}:{self.config.port}"
            raise ExportError(f"{where} cannot be sent events: {error!r}") from error

    async def _send_one(self, sock: trio.socket.SocketType, event: bytes) -> None:
        try:
            await sock.send(event)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self.left_out += 1

    async def _open(self) -> trio.socket.SocketType:
        with trio.fail_after(self.config.connect_timeout / 1000):
            if self.config.unix_socket:
                sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM)
                address: object = self.config.host
            else:
                found = await trio.socket.getaddrinfo(
                    self.config.host, self.config.port, type=trio.socket.SOCK_DGRAM
                )
                family, kind, protocol, _, address = found[0]
                sock = trio.socket.socket(family, kind, protocol)
            try:
                await sock.connect(address)
            except BaseException:
                sock.close()
                raise
            return sock

    @override
    async def aclose(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        await trio.lowlevel.checkpoint()
