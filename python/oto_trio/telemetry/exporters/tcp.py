"""Sends events over TCP or a Unix socket, one JSON object a line.

Otoroshi: the exporter ``tcp``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.telemetry.exporters.base import Exporter, ExporterConfig, ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TcpConfig", "TcpExporter"]


class TcpConfig(ExporterConfig, frozen=True, kw_only=True):
    """Where to."""

    host: Annotated[str, Meta(description="host name, address, or path of a Unix socket")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port")] = 6514
    unix_socket: Annotated[bool, Meta(description="host is the path of a Unix socket")] = False
    connect_timeout: Annotated[int, Meta(ge=1, description="milliseconds")] = 10000
    tls: Annotated[dict[str, Any], Meta(description="TLS towards the receiver")] = msgspec.field(
        default_factory=dict[str, Any]
    )

    @override
    def faults(self) -> list[tuple[str, str, str]]:
        if self.tls.get("enabled") is True:
            return [("tls.enabled", "this exporter does not speak TLS yet", "set it to false")]
        return []


class TcpExporter(Exporter[TcpConfig]):
    """Keeps one connection, and makes another one when it breaks."""

    type = "tcp"
    config_class = TcpConfig

    def __init__(self, config: TcpConfig) -> None:
        super().__init__(config)
        self._stream: trio.abc.Stream | None = None

    @override
    async def send(self, events: Sequence[bytes]) -> None:
        try:
            if self._stream is None:
                self._stream = await self._connect()
            await self._stream.send_all(b"".join(event + b"\n" for event in events))
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            await self.aclose()
            where = f"{self.config.host}:{self.config.port}"
            raise ExportError(f"{where} does not take events: {error!r}") from error
        except trio.Cancelled:
            # Nobody knows how much of it went: the next batch must begin on a fresh connection.
            stream, self._stream = self._stream, None
            if stream is not None:
                await trio.aclose_forcefully(stream)
            raise

    async def _connect(self) -> trio.abc.Stream:
        with trio.fail_after(self.config.connect_timeout / 1000):
            if self.config.unix_socket:
                return await trio.open_unix_socket(self.config.host)
            return await trio.open_tcp_stream(self.config.host, self.config.port)

    @override
    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)
