"""Clients of one gateway in every version of HTTP, with one way to ask."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import h11
import trio

from tests.conformance.http1.messages import ResponseReader
from tests.conformance.tls.secure import client_context
from tests.integration.protocols.http2_client import Heard, Http2Client, http2_client
from tests.integration.protocols.http3_client import Http3Client, http3_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from oto_trio.testing.gateway_process import GatewayProcess

__all__ = ["VERSIONS", "Client", "Http1Client", "Version", "client_of"]

Version: TypeAlias = Literal["h1", "h2", "h2c", "h3"]

VERSIONS: Final[tuple[Version, ...]] = ("h1", "h2", "h2c", "h3")
"""HTTP/1.1, HTTP/2 over TLS, HTTP/2 without it, HTTP/3."""


class Client(Protocol):
    """What the clients of all versions can."""

    async def ask(
        self, method: str, host: str, path: str, *more: tuple[str, str], body: bytes = ...
    ) -> Heard:
        """Send a request and wait for its response."""
        ...


class Http1Client:
    """Asks on a connection a request, as the clients of the other versions do on a stream each.

    Args:
        port: The gateway's, on loopback, without TLS.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(
        self, method: str, host: str, path: str, *more: tuple[str, str], body: bytes = b""
    ) -> Heard:
        """Send a request and wait for its response.

        Raises:
            h11.RemoteProtocolError: The response is cut off, or none.
        """
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
        lines += [f"{name}: {value}" for name, value in more]
        async with await trio.open_tcp_stream("127.0.0.1", self._port) as stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode("latin-1"))
            reader = ResponseReader(method)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, body)
                while not reader.feed(data := await stream.receive_some()):
                    if not data:
                        raise h11.RemoteProtocolError("the connection ended before the response")
        seen = reader.seen
        fields = [(b":status", str(seen.status).encode()), *seen.headers]
        return Heard(fields, bytearray(seen.body), list(seen.trailers), is_over=True)


@asynccontextmanager
async def client_of(
    gateway: GatewayProcess, version: Version, name: str
) -> AsyncGenerator[Http1Client | Http2Client | Http3Client]:
    """Connect to a gateway.

    Args:
        gateway: It; with ports for HTTPS and HTTP/3.
        version: What the client speaks.
        name: The host whose certificate it asks for.
    """
    async with AsyncExitStack() as stack:
        if version == "h1":
            yield Http1Client(gateway.port)
        elif version == "h2":
            connected = http2_client(gateway.https_port, name, client_context())
            yield await stack.enter_async_context(connected)
        elif version == "h2c":
            yield await stack.enter_async_context(http2_client(gateway.port, name))
        else:
            yield await stack.enter_async_context(http3_client(gateway.http3_port, name))
