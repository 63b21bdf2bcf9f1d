"""HTTP/3 with a real client, a whole gateway and a real backend."""

from __future__ import annotations

import os
import random
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from aioquic.quic.packet import QuicProtocolVersion

from tests.integration.backends import serving
from tests.integration.clients import admin, eventually, route
from tests.integration.gateways import HTTP3
from tests.integration.protocols.fronted import (
    LARGE,
    WIDE,
    fronted,
    serves_requests_of_every_kind,
)
from tests.integration.protocols.http2_client import http2_client
from tests.integration.protocols.http3_client import http3_client
from tests.integration.protocols.stream_clients import ask_for_socket

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
APPLIED = {"wait": "applied"}


async def test_requests_of_every_kind_are_served(upstream: Upstream, tmp_path: Path) -> None:
    async with (
        fronted(upstream, tmp_path, *HTTP3, plugins=["Http3Switch"]) as gateway,
        http3_client(gateway.http3_port) as client,
    ):
        await serves_requests_of_every_kind(client, streams=100, malformed=0x10E)
        wide = await client.ask("GET", "a.test", "/wide")
        advertised = b'h3=":%d"; ma=3600' % gateway.http3_port
        assert wide.fields.count((b"alt-svc", advertised)) == 1
        # One that begins with a version that nobody speaks is told of those that are spoken.
        spoken = QuicProtocolVersion.VERSION_1
        async with http3_client(
            gateway.http3_port,
            original_version=0x1A2A3A4A,
            supported_versions=[0x1A2A3A4A, spoken],
        ) as stranger:
            assert (await stranger.ask("GET", "a.test", "/wide")).status == 200
            assert stranger.quic._version == spoken


class Backend:
    """Answers in ways that take a while: by the path."""

    def __init__(self) -> None:
        self.left = trio.Event()
        self.arrived = trio.Event()
        self.gate = trio.Event()
        self.taken = 0
        """Bytes of a WebSocket whose backend says nothing."""

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await self._serve(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.left.set()

    async def _serve(self, stream: trio.SocketStream) -> None:  # noqa: C901 (one branch a path)
        buffered = b""
        while True:
            while b"\r\n\r\n" not in buffered:
                data = await stream.receive_some()
                if not data:
                    return
                buffered += data
            head, _, buffered = buffered.partition(b"\r\n\r\n")
            path = head.split(b" ")[1]
            self.arrived.set()
            if path == b"/chat":
                await stream.send_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Accept: x\r\n\r\n"
                )
                while data := await stream.receive_some():
                    await stream.send_all(data[::-1])
                return
            if path == b"/mute":
                await stream.send_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Accept: x\r\n\r\nbye"
                )
                await stream.send_eof()
                while data := await stream.receive_some(65536):
                    self.taken += len(data)
                self.left.set()
                return
            if path == b"/hang":
                while await stream.receive_some():
                    pass
                self.left.set()
                return
            await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            if path == b"/endless":
                while True:
                    await stream.send_all(b"4000\r\n" + bytes(0x4000) + b"\r\n")
            await stream.send_all(b"5\r\nfirst\r\n")
            if path == b"/gated":
                await self.gate.wait()
            await stream.send_all(b"4\r\nlast\r\n0\r\nX-Sum: 7\r\n\r\n")


async def test_streams_trailers_websockets_and_clients_that_leave(
    upstream: Upstream, tmp_path: Path
) -> None:
    backend = Backend()
    async with (
        serving(backend.serve) as upstream.port,
        fronted(upstream, tmp_path, *HTTP3) as gateway,
    ):
        port = gateway.http3_port
        async with http3_client(port) as client:
            told = await client.ask("GET", "a.test", "/gatedless", ("te", "trailers"))
            assert (told.body, told.trailers) == (b"firstlast", [(b"x-sum", b"7")])
            # RFC 9220: the backend is asked by HTTP/1.1, and bytes go both ways.
            assert (await client.settings())[0x8] == 1
            stream = await ask_for_socket(client, "a.test", "/chat")
            heard = client.heard[stream]
            assert heard.status == 200
            await client.send_body(stream, b"abc", end=False)
            await client.until(lambda: heard.body == b"cba")
            await client.send_body(stream, b"de")
            assert (await client.answer(stream)).body == b"cbaed"
            # A backend that has no more to say hears the client out.
            stream = await ask_for_socket(client, "a.test", "/mute")
            assert (await client.answer(stream)).body == b"bye"
            await client.send_body(stream, bytes(1024 * 1024))
            await backend.left.wait()
            assert backend.taken == 1024 * 1024
            # A client that gives a request up takes its backend's work with it, and so does one that goes.
            for path in ("/hang", "/endless"):
                backend.left, backend.arrived = trio.Event(), trio.Event()
                stream = await client.begin("GET", "a.test", path)
                await backend.arrived.wait()
                await client.cancel(stream)
                await backend.left.wait()
            backend.left, backend.arrived = trio.Event(), trio.Event()
            async with http3_client(port) as other:
                await other.begin("GET", "a.test", "/hang")
                await backend.arrived.wait()
            await backend.left.wait()
            assert (await client.ask("GET", "a.test", "/x")).status == 200


async def test_clients_of_a_worker_that_crashed_learn_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with (
        fronted(upstream, tmp_path, *HTTP3) as gateway,
        http3_client(gateway.http3_port) as client,
    ):
        assert (await client.ask("GET", "a.test", "/wide")).status == 200
        heard: list[bytes] = []

        def listen(data: bytes) -> bool:
            heard.append(data)
            return False

        client.lose = listen
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGKILL)
        await gateway.wait_for_workers(1, without=worker)
        await client.begin("GET", "a.test", "/wide")
        # The library keeps such a token, and does not look for it.
        token = client.quic._peer_cid.stateless_reset_token
        await client.until(lambda: any(it.endswith(token) for it in heard))
        async with http3_client(gateway.http3_port) as other:
            assert (await other.ask("GET", "a.test", "/wide")).status == 200


async def test_the_bounds_of_connections_are_those_of_the_settings(
    upstream: Upstream, tmp_path: Path
) -> None:
    bounds = {"requests": 12, "body_bytes": 20_000, "bodies_bytes": 70_000, "head_bytes": 10_000}
    async with fronted(upstream, tmp_path, *HTTP3, stream_bounds=bounds) as gateway:
        async with http3_client(gateway.http3_port) as client:
            assert (await client.ask("GET", "a.test", "/x")).status == 200
            quic = client.quic
            assert quic._remote_max_stream_data_bidi_remote == 20_000
            # A request more than at first for the one that is over; the usual bounds are larger by far.
            assert 12 <= quic._remote_max_streams_bidi <= 13
            assert 70_000 <= quic._remote_max_data < 140_000
            assert (await client.settings())[0x6] == 10_000
        async with http2_client(gateway.port) as other:
            assert (await other.ask("GET", "a.test", "/x")).status == 200
            told = other.h2.remote_settings
            assert (told.max_concurrent_streams, told.initial_window_size) == (12, 20_000)
            assert told.max_header_list_size == 10_000
            assert other.h2.outbound_flow_control_window == 70_000


async def test_early_requests_are_marked_and_begin_once(upstream: Upstream, tmp_path: Path) -> None:
    async with fronted(upstream, tmp_path, *HTTP3, http3_early_data=True) as gateway:
        port = gateway.http3_port
        upstream.answer = lambda head: (425, head) if b"/unwilling" in head else (200, head)
        async with http3_client(port) as first:
            await first.until(lambda: first.tickets and first.tokens)
            # It has no session yet, and nothing to say early.
            assert b"early-data" not in (await first.ask("GET", "a.test", "/")).body.lower()
        known: dict[str, Any] = {"session_ticket": first.tickets[0], "token": first.tokens[0]}
        async with http3_client(port, begins=False, **known) as second:
            early, unwilling, unsafe = second.begin_early(
                ("GET", "a.test", "/early"),
                ("GET", "a.test", "/unwilling"),
                ("POST", "a.test", "/unsafe"),
            )
            heard = await second.answer(early)
            assert heard.status == 200
            assert heard.body.lower().endswith(b"\r\nearly-data: 1")
            assert (await second.answer(unwilling)).status == 425
            assert (await second.answer(unsafe)).status == 425
            await second.until(lambda: second.is_resumed)
            # Once the handshake is done nothing is early any more.
            late = await second.ask("POST", "a.test", "/late")
            assert late.status == 200
            assert b"early-data" not in late.body.lower()
        async with http3_client(port, begins=False, **known) as third:
            (stream,) = third.begin_early(("GET", "a.test", "/again"))
            again = await third.answer(stream)
            assert again.status == 200
            assert b"early-data" not in again.body.lower()
            assert third.is_resumed is False
        page = ""

        async def are_counted() -> bool:
            nonlocal page
            page = (await api.get("/metrics", params={"format": "prometheus"})).text
            return "\notoroshi_tls_handshakes 3\n" in page

        # A worker that is slow to tell is not waited for.
        async with admin(gateway) as api:
            await eventually(are_counted)
        assert "\notoroshi_tls_handshakes_resumed 1\n" in page
    asked = [head.split(b" ")[1] for head in upstream.heads]
    assert sorted(asked) == [b"/", b"/again", b"/early", b"/late", b"/unwilling"]


async def test_loss_a_new_address_and_a_drain_lose_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    lost = random.Random(3)
    backend = Backend()
    async with serving(backend.serve) as behind:  # noqa: SIM117 (it reads better so)
        async with fronted(upstream, tmp_path, *HTTP3, "--workers", "2") as gateway:
            port = gateway.http3_port
            async with http3_client(port) as client:
                client.lose = lambda _: lost.random() < 0.05
                down = await client.ask("GET", "a.test", "/large")
                assert down.body == LARGE
                up = await client.ask("POST", "a.test", "/up", body=LARGE)
                assert up.status == 200
                client.lose = lambda _: False
                # From other ports the kernel gives the datagrams to either worker.
                for _ in range(8):
                    client.move()
                    assert (await client.ask("GET", "a.test", "/wide")).body == WIDE
                # Garbage, from anywhere, is dropped.
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
                    for size in (1, 20, 1200, 1500):
                        for first in (0x40, 0xC0, 0xFF):
                            noise.sendto(bytes([first]) + bytes(size), ("127.0.0.1", port))
                assert (await client.ask("GET", "a.test", "/wide")).status == 200
                # A change of the routes while a response is under way.
                async with admin(gateway) as api:
                    slow = route("slow", f"http://127.0.0.1:{behind}")
                    made = await api.post(f"{ROUTES}/slow", json=slow, params=APPLIED)
                    assert made.status_code in {200, 201}, made.text
                    gated = await client.begin("GET", "slow.test", "/gated")
                    await client.until(lambda: client.heard[gated].body == b"first")
                    await api.delete(f"{ROUTES}/slow", params=APPLIED)
                    assert (await client.ask("GET", "slow.test", "/x")).status == 404
                # Workers that are replaced say GOAWAY, and answer what is under way.
                old = client
                gateway.signal(signal.SIGUSR2)
                is_served = False
                while not is_served:
                    async with http3_client(port) as late:
                        heard = await late.ask("GET", "a.test", "/wide")
                        # One that came to a worker which goes just then is told so, and asks the next.
                        ended = late.ended
                        was_told = late.goaway or (ended is not None and ended.error_code == 0x100)
                    is_served = heard.status == 200
                    assert is_served or was_told
                backend.gate.set()
                heard = await old.answer(gated)
                assert (heard.body, heard.trailers) == (b"firstlast", [(b"x-sum", b"7")])
                await gateway.wait_for_log("workers replaced")
                await old.until(lambda: old.ended)
                assert old.ended is not None
                assert old.ended.error_code == 0x100
            gateway.signal(signal.SIGTERM)
            assert await gateway.wait() == 0
