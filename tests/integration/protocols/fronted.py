"""A gateway before a backend that answers small and large, and what every version with streams has to serve."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from tests.integration.clients import UNTIMED
from tests.integration.gateways import declared_gateway, shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.conftest import Upstream
    from tests.integration.protocols.http2_client import Http2Client
    from tests.integration.protocols.http3_client import Http3Client

__all__ = ["LARGE", "WIDE", "fronted", "serves_requests_of_every_kind"]

PATIENCE_S: Final = 240
LARGE: Final = b"large" * 400_000
WIDE: Final = b"w" * 1024


def answer(head: bytes) -> tuple[int, bytes]:
    """Answer for the backend: a size by its path, or the head of the request."""
    path = head.split(b" ")[1]
    return 200, {b"/large": LARGE, b"/wide": WIDE}.get(path, head)


@asynccontextmanager
async def fronted(
    upstream: Upstream,
    folder: Path,
    *arguments: str,
    plugins: Sequence[str] = (),
    **settings: object,
) -> AsyncGenerator[GatewayProcess]:
    """Run a gateway with a route for ``a.test``.

    Args:
        upstream: The backend, which gives `answer`.
        folder: For what the gateway is told and keeps.
        arguments: More of `serve`.
        plugins: Of the route.
        settings: Of the gateway.
    """
    upstream.answer = answer
    slots = [{"plugin": f"cp:otoroshi.next.plugins.{name}"} for name in plugins]
    target = {"hostname": "127.0.0.1", "port": upstream.port, "tls": False}
    backend = {"targets": [target], "client": UNTIMED}
    route = {"name": "r", "frontend": "a.test", "backend": backend, "plugins": slots}
    document = {
        "settings": settings,
        "certificates": [shown("a.test", "slow.test", "localhost")],
        "routes": [route],
    }
    with trio.fail_after(PATIENCE_S):
        async with declared_gateway(document, folder, *arguments) as gateway:
            yield gateway


async def serves_requests_of_every_kind(
    client: Http2Client | Http3Client, streams: int, malformed: int
) -> None:
    """Ask such a gateway for many answers at once, small and large ones, up and down, and amiss.

    Args:
        client: Of a.test.
        streams: How many requests are made at once.
        malformed: The code with which the stream of a malformed request is reset.
    """
    begun = [await client.begin("GET", "a.test", "/wide") for _ in range(streams)]
    for stream in begun:
        assert (await client.answer(stream)).body == WIDE
    up = await client.ask("POST", "a.test", "/up", ("content-length", str(len(LARGE))), body=LARGE)
    assert b"Content-Length: %d" % len(LARGE) in up.body
    down = await client.ask("GET", "a.test", "/large")
    assert (down.status, down.body) == (200, LARGE)
    head = await client.ask("HEAD", "a.test", "/wide")
    assert (head.body, dict(head.fields)[b"content-length"]) == (b"", b"1024")
    crumbs = await client.ask("GET", "a.test", "/", ("cookie", "a=1"), ("cookie", "b=2"))
    assert b"\r\ncookie: a=1; b=2" in crumbs.body
    assert (await client.ask("GET", "nowhere.test", "/")).status == 421
    # What one stream gets wrong is its own affair.
    for bad in (("connection", "close"), ("x-a", "b\r\nc: d"), ("Upper", "x"), ("te", "x")):
        assert (await client.ask("GET", "a.test", "/", bad)).reset == malformed
    lengths = [("content-length", n) for n in "12"]
    assert (await client.ask("POST", "a.test", "/", *lengths, body=b"x")).status == 400
    assert (await client.ask("GET", "a.test", "/wide")).status == 200
