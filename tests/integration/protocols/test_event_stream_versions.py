"""Server-sent events from backends of HTTP/2 and HTTP/3, to clients of each version."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.tls.secure import authority
from tests.integration.clients import admin
from tests.integration.gateways import shown, trusted
from tests.integration.protocols.every_version import Http1Client, Version, client_of
from tests.integration.protocols.http2_client import Http2Client
from tests.integration.protocols.stream_backends import StreamBackend, http2_streams, http3_streams
from tests.integration.protocols.stream_clients import reset_at_close

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.protocols.http3_client import Http3Client

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 300
CLIENTS: Final[tuple[Version, ...]] = ("h1", "h2c", "h3")
NG: Final = "cp:otoroshi.next.plugins."
PLUGINS: Final[list[dict[str, Any]]] = [
    {"plugin": NG + "Cors", "config": {"allow_origin": "*", "allow_credentials": False}},
    {"plugin": NG + "AdditionalHeadersOut", "config": {"headers": {"x-plugin": "seen"}}},
]
EVENTS: Final = ("content-type", "text/event-stream")
FORSAKEN: Final = {"h2": 8, "h3": 0x10C}
"""What a backend is told of a stream that nobody wants any more."""


class Stage(NamedTuple):
    gateway: GatewayProcess
    backends: dict[str, StreamBackend]
    """By what they speak, which is the name of their route, too."""
    routes: list[dict[str, Any]]


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            leaf = authority().issue_cert("back.test")
            backends = {
                "h2": await stack.enter_async_context(http2_streams(sockets=False)),
                "h3": await stack.enter_async_context(http3_streams(leaf)),
            }
            # The first is for streams; the other loses patience at once.
            idle = {"": PATIENCE_S * 1000, "-quiet": 200}
            routes = [
                {
                    "id": name + kind,
                    "name": name + kind,
                    "frontend": {"domains": [f"{name}{kind}.events.test"]},
                    "backend": {
                        "targets": [
                            {
                                "hostname": "back.test",
                                "ip_address": "127.0.0.1",
                                "port": backend.port,
                                "tls": name == "h3",
                                "protocol": "HTTP/3.0" if name == "h3" else "HTTP/2.0",
                            }
                        ],
                        "client": {"call_and_stream_timeout": 0, "idle_timeout": idle_ms},
                    },
                    "plugins": PLUGINS,
                }
                for name, backend in backends.items()
                for kind, idle_ms in idle.items()
            ]
            certificates = [shown("*.events.test"), trusted()]
            options = ("--workers", "1", "--https-port", "0", "--http3-port", "0")
            started = gateway_process(*options, data=folder)
            gateway = await stack.enter_async_context(started)
            async with admin(gateway) as api:
                for kind, documents in (("certificates", certificates), ("routes", routes)):
                    for document in documents:
                        made = await api.post(
                            f"/api/{kind}", params={"wait": "applied"}, json=document
                        )
                        assert made.status_code in {200, 201}, made.text
            yield Stage(gateway, backends, routes)


class Listener:
    """A client that asked for a stream of events."""

    def __init__(self, client: Http2Client | Http3Client | trio.SocketStream, stream: int) -> None:
        self.client = client
        self.stream = stream
        self.told = b""

    def _all(self) -> bytes:
        if isinstance(self.client, trio.SocketStream):
            return self.told
        heard = self.client.heard[self.stream]
        lines = b"".join(b"%s: %s\r\n" % field for field in heard.fields)
        return lines + b"\r\n" * bool(lines) + heard.body

    async def until(self, text: bytes) -> bytes:
        """Wait for a text; returns all that came so far."""
        with trio.fail_after(60):
            if isinstance(self.client, trio.SocketStream):
                while text not in self.told:
                    data = await self.client.receive_some()
                    assert data, self.told
                    self.told += data
            elif isinstance(self.client, Http2Client):
                while text not in self._all():
                    assert await self.client.hear()
            else:
                await self.client.until(lambda: text in self._all())
        return self._all()

    async def ended(self) -> bool:
        """Wait for the end; tells whether it is a good one."""
        if isinstance(self.client, trio.SocketStream):
            try:
                while not self.told.endswith(b"0\r\n\r\n"):
                    data = await self.client.receive_some()
                    if not data:
                        return False
                    self.told += data
            except trio.BrokenResourceError:
                return False
            return True
        return (await self.client.answer(self.stream)).reset is None

    async def leave(self) -> None:
        """Give the stream up."""
        if isinstance(self.client, trio.SocketStream):
            reset_at_close(self.client)
            await self.client.aclose()
        elif isinstance(self.client, Http2Client):
            self.client.h2.reset_stream(self.stream, 8)
            await self.client.flush()
        else:
            await self.client.cancel(self.stream)


@asynccontextmanager
async def listening(stage: Stage, version: Version, name: str) -> AsyncGenerator[Listener]:
    """Ask for a stream of events."""
    host = f"{name}.events.test"
    async with client_of(stage.gateway, version, host) as client:
        if isinstance(client, Http1Client):
            async with await trio.open_tcp_stream("127.0.0.1", stage.gateway.port) as wire:
                await wire.send_all(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                yield Listener(wire, 0)
        else:
            yield Listener(client, await client.begin("GET", host, "/"))


async def test_events_of_backends_over_streams(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for name in stage.backends:
            for version in CLIENTS:
                try:
                    await comes_at_once_and_ends_with_the_client(stage, version, name)
                    await ends_as_the_backend_ends(stage, version, name)
                    await ends_when_the_backend_is_quiet(stage, version, name)
                except BaseException as error:
                    error.add_note(f"client {version}, backend {name}")
                    raise
            await outlives_its_route(stage, name)


async def comes_at_once_and_ends_with_the_client(stage: Stage, version: Version, name: str) -> None:
    """No event waits for the next one; a client that leaves cancels the stream."""
    async with listening(stage, version, name) as listener:
        said = await stage.backends[name].next()
        await said.answer(200, EVENTS)
        head = (await listener.until(b"\r\n\r\n")).lower()
        assert b"text/event-stream" in head
        assert b"content-length" not in head
        assert b"x-plugin: seen" in head
        for number in range(10):
            await said.send_all(b"data: %d\n\n" % number)
            await listener.until(b"data: %d\n\n" % number)
        await listener.leave()
        assert await said.cancelled() == FORSAKEN[name]


async def ends_as_the_backend_ends(stage: Stage, version: Version, name: str) -> None:
    """A good end is one for the client, and a reset is none."""
    for is_good in (True, False):
        async with listening(stage, version, name) as listener:
            said = await stage.backends[name].next()
            await said.answer(200, EVENTS)
            await said.send_all(b"data: last\n\n")
            await listener.until(b"data: last\n\n")
            await (said.send_eof() if is_good else said.reset(2))
            assert await listener.ended() is is_good


async def ends_when_the_backend_is_quiet(stage: Stage, version: Version, name: str) -> None:
    """The route's time for a quiet backend holds, and its stream is cancelled."""
    async with listening(stage, version, f"{name}-quiet") as listener:
        said = await stage.backends[name].next()
        await said.answer(200, EVENTS)
        assert await said.cancelled() == FORSAKEN[name]
        assert await listener.ended() is False


async def outlives_its_route(stage: Stage, name: str) -> None:
    """Streams go on when their route is changed, switched off and taken away."""
    backend = stage.backends[name]
    (document,) = [route for route in stage.routes if route["id"] == name]
    async with AsyncExitStack() as stack:
        flows = []
        for version in CLIENTS:
            listener = await stack.enter_async_context(listening(stage, version, name))
            said = await backend.next()
            await said.answer(200, EVENTS)
            flows.append((listener, said))

        async def still_flow(number: int) -> None:
            for listener, said in flows:
                await said.send_all(b"data: %d\n\n" % number)
                await listener.until(b"data: %d\n\n" % number)

        await still_flow(0)
        async with admin(stage.gateway) as api:
            changes: list[dict[str, Any]] = [{"plugins": []}, {"enabled": False}]
            for number, change in enumerate(changes, 1):
                changed = await api.put(
                    f"/api/routes/{name}", params={"wait": "applied"}, json=document | change
                )
                assert changed.status_code == 200, changed.text
                await still_flow(number)
            gone = await api.delete(f"/api/routes/{name}", params={"wait": "applied"})
            assert gone.status_code == 200, gone.text
        await still_flow(3)
