"""HTTP/2 with real clients, a whole gateway and a real backend."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.tls.secure import certificate, client_context
from tests.integration.protocols.http2_client import Http2Client, http2_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

PATIENCE_S = 30
LARGE = b"large" * 400_000
WIDE = b"w" * 1024


def answer(head: bytes) -> tuple[int, bytes]:
    path = head.split(b" ")[1]
    if path == b"/large":
        return 200, LARGE
    if path == b"/wide":
        return 200, WIDE
    return 200, head


@asynccontextmanager
async def fronted(
    upstream: Upstream, folder: Path, **settings: object
) -> AsyncGenerator[tuple[GatewayProcess, int]]:
    """A gateway with a route for a.test; yields it and its port for HTTPS."""
    upstream.answer = answer
    document = {
        "settings": settings,
        "certificates": [
            {"id": "c", "name": "c", **json.loads(certificate("a.test", "localhost"))}
        ],
        "routes": [{"name": "r", "frontend": "a.test", "backend": upstream.url}],
    }
    file = folder / "gateway.json"
    file.write_text(json.dumps(document))
    options = ("--workers", "1", "--https-port", "0", "--config", str(file))
    with trio.fail_after(PATIENCE_S):
        async with gateway_process(*options, data=folder / "data") as gateway:
            yield gateway, int(gateway.announcement["https"].rpartition(":")[2])


async def run(*command: str) -> str:
    done = await trio.run_process(
        command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    return output


async def test_clients_of_every_kind_are_served(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path) as (gateway, https):
        # By ALPN, with the library's client: many requests at once, small, large, up and down.
        async with http2_client(https, context=client_context()) as client:
            streams = [await client.begin("GET", "a.test", "/wide") for _ in range(50)]
            for stream in streams:
                assert (await client.answer(stream)).body == WIDE
            up = await client.ask(
                "POST", "a.test", "/up", ("content-length", str(len(LARGE))), body=LARGE
            )
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
                assert (await client.ask("GET", "a.test", "/", bad)).reset == 1
            twice = await client.ask(
                "POST", "a.test", "/", *[("content-length", n) for n in "12"], body=b"x"
            )
            assert twice.status == 400
            assert (await client.ask("GET", "a.test", "/wide")).status == 200
        # Without TLS, by who knows.
        async with http2_client(gateway.port) as client:
            assert (await client.ask("GET", "a.test", "/wide")).body == WIDE
        async with httpx.AsyncClient(http2=True, http1=False, verify=client_context()) as lib:
            request = lib.build_request("GET", f"https://127.0.0.1:{https}/wide")
            request.headers["Host"] = "a.test"
            request.extensions["sni_hostname"] = "a.test"
            got = await lib.send(request)
            assert (got.http_version, got.content) == ("HTTP/2", WIDE)
        # HTTP/1.1 is still spoken on both.
        for scheme, port, form in (
            ("https", https, "--http2"),
            ("https", https, "--http1.1"),
            ("http", gateway.port, "--http2-prior-knowledge"),
            ("http", gateway.port, "--http1.1"),
        ):
            told = await run(
                *("curl", "-sSk", form, "-o", str(tmp_path / "got"), "-w", "%{http_version}"),
                *("--resolve", f"a.test:{port}:127.0.0.1", f"{scheme}://a.test:{port}/large"),
            )
            assert told == ("1.1" if form == "--http1.1" else "2")
            assert (tmp_path / "got").read_bytes() == LARGE
        if shutil.which("h2load"):
            told = await run(
                *("h2load", "-n", "2000", "-c", "5", "-m", "32", "-H", ":authority: a.test"),
                f"http://127.0.0.1:{gateway.port}/wide",
            )
            assert "2000 succeeded, 0 failed, 0 errored" in told


async def test_a_client_that_leaves_cancels_its_work_and_a_drain_loses_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.gate = trio.Event()
    async with fronted(upstream, tmp_path, metrics_access_key="m") as (gateway, https):
        async with http2_client(https, context=client_context()) as client:
            await client.begin("GET", "a.test", "/one")
            await upstream.arrived.wait()
            upstream.arrived = trio.Event()
            reset = await client.begin("GET", "a.test", "/two")
            await upstream.arrived.wait()
            client.h2.reset_stream(reset)
            await client.flush()
            await client.stream.aclose()
        async with http2_client(https, context=client_context()) as client:
            # The other connection is served, and drained behind its last answer.
            upstream.arrived = trio.Event()
            late = await client.begin("GET", "a.test", "/three")
            await upstream.arrived.wait()
            gateway.signal(signal.SIGTERM)
            while client.goaway is None:
                assert await client.hear()
            assert client.goaway == 0
            upstream.gate.set()
            heard = client.heard[late]
            while not heard.is_over:
                data = await client.stream.receive_some(65536)
                assert data
                # The library takes nothing behind GOAWAY; the answer's octets say enough.
                if b"GET /three" in data:
                    break
        assert await gateway.wait() == 0


async def test_http2_can_be_switched_off(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path, h2c=False) as (gateway, https):
        async with http2_client(https, context=client_context()) as client:
            assert (await client.ask("GET", "a.test", "/wide")).status == 200
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 505")


class SocketBackend:
    """A backend of WebSockets: `/chat` says what it hears backwards, `/mute` nothing."""

    def __init__(self) -> None:
        self.taken = 0
        self.heard_out = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        head = await stream.receive_some()
        path = head.split(b" ")[1]
        assert head.startswith(b"GET %b HTTP/1.1\r\n" % path)
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\n"
        )
        if path == b"/mute":
            await stream.send_eof()
            while data := await stream.receive_some(65536):
                self.taken += len(data)
            self.heard_out.set()
        while data := await stream.receive_some():
            await stream.send_all(data[::-1])
        await stream.aclose()


async def hear_out(client: Http2Client, backend: SocketBackend) -> None:
    """See that a backend which has no more to say hears the client out."""
    stream = await client.begin(
        *("CONNECT", "a.test", "/mute"),
        *((":protocol", "websocket"), ("sec-websocket-version", "13")),
        end=False,
    )
    heard = client.heard[stream]
    while not heard.is_over:
        assert await client.hear()
    assert (heard.status, heard.reset) == (200, None)
    await client.send_body(stream, bytes(1024 * 1024))
    await backend.heard_out.wait()
    assert backend.taken == 1024 * 1024
    assert heard.reset is None


async def test_a_websocket_runs_on_a_stream(tmp_path: Path) -> None:
    # RFC 8441: the backend is asked by HTTP/1.1, and bytes go both ways.
    (backends,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    backend = SocketBackend()
    document = {
        "certificates": [{"id": "c", "name": "c", **json.loads(certificate("a.test"))}],
        "routes": [
            {
                "name": "r",
                "frontend": "a.test",
                "backend": f"http://127.0.0.1:{backends.socket.getsockname()[1]}",
            }
        ],
    }
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(document))
    options = ("--workers", "1", "--https-port", "0", "--config", str(file))
    with trio.fail_after(PATIENCE_S):
        async with (
            gateway_process(*options, data=tmp_path / "data") as gateway,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(trio.serve_listeners, backend.serve, [backends])
            port = int(gateway.announcement["https"].rpartition(":")[2])
            async with http2_client(port, context=client_context()) as client:
                while not client.h2.remote_settings.enable_connect_protocol:
                    await client.hear()
                stream = await client.begin(
                    *("CONNECT", "a.test", "/chat"),
                    *((":protocol", "websocket"), ("sec-websocket-version", "13")),
                    end=False,
                )
                heard = client.heard[stream]
                while not heard.fields:
                    assert await client.hear()
                assert heard.status == 200
                assert b"sec-websocket-accept" not in dict(heard.fields)
                await client.send_body(stream, b"abc", end=False)
                while heard.body != b"cba":
                    assert await client.hear()
                await client.send_body(stream, b"de")
                while not heard.is_over:
                    assert await client.hear()
                assert heard.body == b"cbaed"
                await hear_out(client, backend)
            nursery.cancel_scope.cancel()
