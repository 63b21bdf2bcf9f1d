"""A client of a tunnel in memory, and requests for one."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from oto_trio.plugin_api.tunnels import Peer, TunnelPlugin
from oto_trio.testing.exchange import FakeExchange
from tests.unit.gateway.websocket.sides import CLIENT, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from oto_trio.plugin_api import Refusal, Response

PATH = "/.well-known/otoroshi/tunnel"
PATIENCE_S = 30


def asked(path: str, upgrade: str | None = "websocket", target: str = "h:1") -> FakeExchange:
    headers = {
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    exchange = FakeExchange.of("GET", f"http://api.localhost{path}", headers)
    exchange.request.upgrade = upgrade
    exchange.target_address = target
    return exchange


def answered(kind: type[TunnelPlugin], exchange: FakeExchange) -> Response | Refusal | None:
    plugin = kind(None)
    answer = plugin.access(exchange)
    if answer is not None:
        return answer
    plugin.transform_request(exchange)
    return plugin.call_backend(exchange)


def has_ended(heard: list[Any]) -> bool:
    return bool(heard) and isinstance(heard[-1], tuple)


class Client:
    """A client of a tunnel, whose news are waited for."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.heard: list[Any] = []
        self._ends = time.perf_counter() + 2 * PATIENCE_S

    def say(self, *said: bytes | str) -> None:
        events = [TextMessage(d) if isinstance(d, str) else BytesMessage(d) for d in said]
        self.stage.say(CLIENT, *events)

    async def _go_on(self) -> None:
        """Let others go on; the clock of the test may stand still, so it is the machine's that says when that is in vain."""
        assert time.perf_counter() < self._ends, "what the test waits for did not come"
        await trio.testing.wait_all_tasks_blocked(0.001)

    async def until(self, count: int) -> list[Any]:
        """Wait for so many messages."""
        while len(self.heard) < count:
            self.heard += self.stage.client.take()
            await self._go_on()
        return self.heard

    async def octets(self, count: int) -> bytes:
        """Wait for so many octets."""
        while len(b"".join(self.heard)) < count:
            self.heard += self.stage.client.take()
            await self._go_on()
        return b"".join(self.heard)

    async def closed(self) -> tuple[int, str]:
        """Wait for the close, and answer it."""
        while not has_ended(self.heard):
            self.heard += self.stage.client.take()
            await self._go_on()
        self.stage.say(CLIENT, CloseConnection(1000))
        end: tuple[int, str] = self.heard[-1]
        return end


@asynccontextmanager
async def tunnelled(
    kind: type[TunnelPlugin], port: int, host: str = "127.0.0.1", patience_s: float = PATIENCE_S
) -> AsyncGenerator[Client]:
    with trio.fail_after(patience_s):
        async with trio.open_nursery() as nursery:
            serve = partial(kind(None).serve_socket, opened=Peer(host, port))
            stage = Stage(nursery=nursery, serve=serve)
            yield Client(stage)
    assert stage.faults == []
