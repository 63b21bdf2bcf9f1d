"""Clients that leave in the middle, in every version: their backend's work ends, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pytest
import trio

from tests.integration.backends import serving
from tests.integration.clients import UNTIMED, admin, eventually
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown
from tests.integration.protocols.every_version import VERSIONS, Http1Client, client_of
from tests.integration.protocols.http2_client import Http2Client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.protocols.every_version import Version

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 600
HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE: Final = bytes(16_384)
GAUGES: Final = (
    "otoroshi_connections",
    "otoroshi_internals_concurrent_requests",
    "otoroshi_tunnels",
    "otoroshi_upstream_pooled",
)
"""What is open, by its name on the page of metrics; connections of the admin API are not among it."""

Way: TypeAlias = Literal["closes", "cancels"]
"""A client goes with its whole connection, or gives up one request of it."""

PATHS: Final = ("/endless", "/quiet", "/upload")
"""A download without an end, an answer that has begun and says nothing more, and an upload."""


class Backend:
    """Serves one request at a time, and notes what becomes of it."""

    def __init__(self) -> None:
        self.port = 0
        self.began = trio.Event()
        """The answer has begun, or some of an upload is there."""
        self.left = trio.Event()
        """The gateway let go of the connection."""
        self.is_whole = False
        """Whether an upload's end came."""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve a connection."""
        try:
            async with stream:
                await self._serve(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            self.left.set()

    async def _serve(self, stream: trio.SocketStream) -> None:
        heard = b""
        while b"\r\n\r\n" not in heard:
            data = await stream.receive_some()
            if not data:
                return
            heard += data
        path = heard.split(b" ", 2)[1]
        if path == b"/upload":
            body = heard.partition(b"\r\n\r\n")[2]
            while not body.endswith(b"0\r\n\r\n"):
                if body:
                    self.began.set()
                data = await stream.receive_some()
                if not data:
                    return
                body = body[-8:] + data
            self.is_whole = True
            return
        await stream.send_all(HEAD + b"5\r\nfirst\r\n")
        self.began.set()
        while path == b"/endless":
            await stream.send_all(b"4000\r\n" + PIECE + b"\r\n")
        while await stream.receive_some():
            pass


Leave: TypeAlias = Callable[[], Awaitable[None]]


@asynccontextmanager
async def _plain(port: int, path: str) -> AsyncGenerator[None]:
    """Begin a request over HTTP/1.1."""
    is_upload = path == "/upload"
    head = f"{'POST' if is_upload else 'GET'} {path} HTTP/1.1\r\nHost: a.test\r\n"
    body = b"4000\r\n" + PIECE + b"\r\n" if is_upload else b""
    head += "Transfer-Encoding: chunked\r\n" if is_upload else ""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(head.encode() + b"\r\n" + body)
        heard = b""
        while not is_upload and b"first" not in heard:
            heard += (data := await stream.receive_some())
            assert data, heard
        yield


@asynccontextmanager
async def _begun(
    gateway: GatewayProcess, backend: Backend, version: Version, path: str
) -> AsyncGenerator[Leave]:
    """Begin a request and see that it is under way on both sides; the block's end closes the connection.

    Yields:
        What gives up the request alone, where the version can do that.
    """
    backend.began, backend.left = trio.Event(), trio.Event()
    async with client_of(gateway, version, "a.test") as client:
        if isinstance(client, Http1Client):
            async with _plain(gateway.port, path):
                await backend.began.wait()
                yield trio.lowlevel.checkpoint
            return
        is_upload = path == "/upload"
        method = "POST" if is_upload else "GET"
        identity = await client.begin(method, "a.test", path, end=not is_upload)
        heard = client.heard[identity]
        if is_upload:
            await client.send_body(identity, PIECE, end=False)
        elif isinstance(client, Http2Client):
            while not heard.body:
                assert await client.hear()
        else:
            await client.until(lambda: heard.body)
        await backend.began.wait()

        async def give_up() -> None:
            if isinstance(client, Http2Client):
                client.h2.reset_stream(identity, 8)
                await client.flush()
            else:
                await client.cancel(identity)

        yield give_up


async def _leave(
    gateway: GatewayProcess, backend: Backend, version: Version, path: str, way: Way
) -> None:
    """Begin a request, leave it, and see the backend's work end."""
    async with _begun(gateway, backend, version, path) as give_up:
        if way == "cancels":
            await give_up()
            # The connection is still open here.
            await backend.left.wait()
    await backend.left.wait()


def routed(port: int) -> dict[str, Any]:
    target = {"hostname": "127.0.0.1", "port": port, "tls": False}
    backend = {"targets": [target], "client": UNTIMED}
    route = {"name": "r", "frontend": "a.test", "backend": backend}
    return {"certificates": [shown("a.test")], "routes": [route]}


async def test_clients_that_leave_take_their_work_with_them(tmp_path: Path) -> None:
    backend = Backend()
    with trio.fail_after(PATIENCE_S):
        async with (
            serving(backend.serve) as port,
            declared_gateway(routed(port), tmp_path, *HTTPS, *HTTP3) as gateway,
            admin(gateway) as api,
        ):
            cases = 0
            for version in VERSIONS:
                ways: tuple[Way, ...] = ("closes",) if version == "h1" else ("closes", "cancels")
                for path in PATHS:
                    for way in ways:
                        with trio.move_on_after(60) as scope:
                            await _leave(gateway, backend, version, path, way)
                        assert not scope.cancelled_caught, (version, path, way)
                        cases += 1

            told: dict[str, float] = {}

            async def gauges() -> list[float]:
                page = await api.get("/metrics", params={"format": "prometheus"})
                lines = [line.split(" ") for line in page.text.splitlines() if line[0] != "#"]
                told.update({line[0]: float(line[1]) for line in lines})
                return [told[name] for name in GAUGES]

            async def all_are_there() -> bool:
                return await gauges() == [len(VERSIONS), len(VERSIONS), 0, 0]

            async def nothing_is_left() -> bool:
                return not any(await gauges()) and told["otoroshi_requests_total"] >= cases

            async with AsyncExitStack() as stack:
                for version in VERSIONS:
                    begun = _begun(gateway, backend, version, "/quiet")
                    await stack.enter_async_context(begun)
                    cases += 1
                await eventually(all_are_there)
            await eventually(nothing_is_left)
            assert told["otoroshi_requests_client_left"] == cases, told
            assert told["otoroshi_requests_total"] == cases, told
            assert told["otoroshi_panics"] == 0
    assert not backend.is_whole, "nobody ended an upload"
