"""HTTP/2 with real clients, a whole gateway and a real backend."""

from __future__ import annotations

import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from tests.conformance.tls.secure import client_context
from tests.integration.backends import serving
from tests.integration.gateways import HTTPS
from tests.integration.protocols.fronted import (
    LARGE,
    WIDE,
    fronted,
    serves_requests_of_every_kind,
)
from tests.integration.protocols.http2_client import Http2Client, http2_client
from tests.integration.protocols.stream_clients import ask_for_socket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow


async def run(*command: str) -> str:
    done = await trio.run_process(
        command, capture_stdout=True, stderr=subprocess.STDOUT, check=False
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    return output


async def test_clients_of_every_kind_are_served(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path, *HTTPS) as gateway:
        https = gateway.https_port
        # By ALPN, with the library's client.
        async with http2_client(https, context=client_context()) as client:
            await serves_requests_of_every_kind(client, streams=50, malformed=1)
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
    async with fronted(upstream, tmp_path, *HTTPS, metrics_access_key="m") as gateway:
        https = gateway.https_port
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
            await client.until(lambda: client.goaway is not None)
            assert client.goaway == 0
            upstream.gate.set()
            heard = await client.answer(late)
            assert (heard.status, heard.body.split(b" ")[1]) == (200, b"/three")
        assert await gateway.wait() == 0


async def test_http2_can_be_switched_off(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path, *HTTPS, h2c=False) as gateway:
        async with http2_client(gateway.https_port, context=client_context()) as client:
            assert (await client.ask("GET", "a.test", "/wide")).status == 200
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            heard = b""
            while len(heard) < len(b"HTTP/1.1 505"):
                heard += (data := await stream.receive_some())
                assert data, heard
            assert heard.startswith(b"HTTP/1.1 505")


class SocketBackend:
    """A backend of WebSockets: `/chat` says what it hears backwards, `/mute` nothing."""

    def __init__(self) -> None:
        self.taken = 0
        self.heard_out = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += (data := await stream.receive_some())
            assert data, head
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
    stream = await ask_for_socket(client, "a.test", "/mute")
    heard = await client.answer(stream)
    assert (heard.status, heard.reset) == (200, None)
    await client.send_body(stream, bytes(1024 * 1024))
    await backend.heard_out.wait()
    assert backend.taken == 1024 * 1024
    assert heard.reset is None


async def test_a_websocket_runs_on_a_stream(upstream: Upstream, tmp_path: Path) -> None:
    # RFC 8441: the backend is asked by HTTP/1.1, and bytes go both ways.
    backend = SocketBackend()
    async with (
        serving(backend.serve) as upstream.port,
        fronted(upstream, tmp_path, *HTTPS) as gateway,
        http2_client(gateway.https_port, context=client_context()) as client,
    ):
        stream = await ask_for_socket(client, "a.test", "/chat")
        heard = client.heard[stream]
        assert heard.status == 200
        assert b"sec-websocket-accept" not in dict(heard.fields)
        await client.send_body(stream, b"abc", end=False)
        await client.until(lambda: heard.body == b"cba")
        await client.send_body(stream, b"de")
        assert (await client.answer(stream)).body == b"cbaed"
        await hear_out(client, backend)
