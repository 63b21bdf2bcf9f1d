"""Server-sent events through whole gateways: at once, over any version, and to the end of either side."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.backends import serving
from tests.integration.clients import UNTIMED, admin, eventually, route
from tests.integration.protocols.http2_client import http2_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

NG: Final = "cp:otoroshi.next.plugins."
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
PLUGINS: Final[list[dict[str, Any]]] = [
    {"plugin": NG + "Cors", "config": {"allow_origin": "*", "allow_credentials": False}},
    {"plugin": NG + "AdditionalHeadersOut", "config": {"headers": {"x-plugin": "seen"}}},
    {"plugin": NG + "SecurityHeadersPlugin", "config": {"content_type_options": True}},
    {"plugin": NG + "NgCustomThrottling", "config": {"throttling_quota": 1000}},
]


class Source:
    """The backend's side of one stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def say(self, number: int) -> None:
        event = f"data: {number}\n\n".encode()
        await self._stream.send_all(b"%x\r\n%s\r\n" % (len(event), event))

    async def wait_for_the_end(self) -> None:
        """Wait until the gateway closes the connection."""
        with trio.fail_after(60):
            try:
                while await self._stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass  # a reset is an end, too


class Backend:
    """A backend whose every answer is a stream of events that the test says."""

    def __init__(self, port: int, began: trio.MemoryReceiveChannel[Source]) -> None:
        self.port = port
        self._began = began

    async def next(self) -> Source:
        """Wait for the next request; its head is answered already."""
        with trio.fail_after(60):
            return await self._began.receive()


@asynccontextmanager
async def backend() -> AsyncGenerator[Backend]:
    tell, began = trio.open_memory_channel[Source](8)

    async def serve(stream: trio.SocketStream) -> None:
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += (data := await stream.receive_some())
            if not data:
                return
        await stream.send_all(HEAD)
        tell.send_nowait(Source(stream))
        await trio.sleep_forever()

    async with serving(serve) as port:
        yield Backend(port, began)


@asynccontextmanager
async def served(data: Path) -> AsyncGenerator[tuple[GatewayProcess, Backend, dict[str, Any]]]:
    """Run a gateway of one worker before a backend; yields the route, too."""
    async with backend() as source, gateway_process("--workers", "1", data=data) as gateway:
        target = {"hostname": "127.0.0.1", "port": source.port, "tls": False}
        document = route("events", f"http://127.0.0.1:{source.port}") | {"plugins": PLUGINS}
        document["backend"] = {"targets": [target], "client": UNTIMED}
        async with admin(gateway) as api:
            answer = await api.post("/api/routes", params={"wait": "applied"}, json=document)
            assert answer.status_code == 201, answer.text
        yield gateway, source, answer.json()


@asynccontextmanager
async def listening(
    gateway: GatewayProcess, *, http2: bool
) -> AsyncGenerator[Callable[[bytes], Awaitable[bytes]]]:
    """Ask for the stream; yields what waits for a text in it, and returns all that came so far."""
    if http2:
        async with http2_client(gateway.port) as client:
            identity = await client.begin("GET", "events.test", "/")
            heard = client.heard[identity]

            async def until_http2(text: bytes) -> bytes:
                with trio.fail_after(60):
                    while text not in (told := _lines(heard.fields) + heard.body):
                        assert await client.hear()
                return told

            yield until_http2
        return
    async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: events.test\r\n\r\n")
        told = b""

        async def until(text: bytes) -> bytes:
            nonlocal told
            with trio.fail_after(60):
                while text not in told:
                    data = await stream.receive_some()
                    assert data, told
                    told += data
            return told

        yield until


def _lines(fields: list[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer, once it is there."""
    return b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" * bool(fields)


@pytest.mark.parametrize("http2", [False, True])
async def test_each_event_comes_before_there_is_another(tmp_path: Path, *, http2: bool) -> None:
    async with (
        served(tmp_path) as (gateway, source, _),
        listening(gateway, http2=http2) as until,
    ):
        said = await source.next()
        # The head is here before the first event.
        head = (await until(b"\r\n\r\n")).lower()
        assert b"text/event-stream" in head
        assert b"content-length" not in head
        for number in range(20):
            await said.say(number)
            await until(b"data: %d\n\n" % number)
        for field in (b"x-plugin: seen", b"access-control-allow-origin: *"):
            assert field in head


async def test_a_stream_outlives_what_happens_to_its_route_and_its_worker(tmp_path: Path) -> None:
    async with (
        served(tmp_path) as (gateway, source, document),
        listening(gateway, http2=False) as until,
    ):
        said = await source.next()

        async def still_flows(number: int) -> None:
            await said.say(number)
            await until(b"data: %d\n\n" % number)

        await still_flows(0)
        async with admin(gateway) as api:
            changes: list[dict[str, Any]] = [{"plugins": []}, {"enabled": False}]
            for number, change in enumerate(changes, 1):
                changed = await api.put(
                    "/api/routes/events", params={"wait": "applied"}, json=document | change
                )
                assert changed.status_code == 200, changed.text
                await still_flows(number)
            gone = await api.delete("/api/routes/events", params={"wait": "applied"})
            assert gone.status_code == 200, gone.text
        await still_flows(3)
        (old,) = gateway.workers()
        gateway.signal(signal.SIGUSR2)

        async def has_another() -> bool:
            await trio.lowlevel.checkpoint()
            return any(pid != old for pid in gateway.workers())

        await eventually(has_another)
        await still_flows(4)


async def test_a_client_that_leaves_ends_the_stream_at_the_backend(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, source, _):
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: events.test\r\n\r\n")
            said = await source.next()
            await said.say(1)
            heard = b""
            while b"data: 1" not in heard:
                heard += await stream.receive_some()
        await said.wait_for_the_end()
        async with http2_client(gateway.port) as client:
            identity = await client.begin("GET", "events.test", "/")
            said = await source.next()
            await said.say(2)
            while b"data: 2" not in client.heard[identity].body:
                assert await client.hear()
            client.h2.reset_stream(identity, 8)
            await client.flush()
            await said.wait_for_the_end()
