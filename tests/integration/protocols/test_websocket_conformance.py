"""The cases of `tests.conformance.websocket`, over sockets and a whole gateway, and the tunnel that reads nothing of it."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.conformance.websocket.cases import CASES, Case
from tests.conformance.websocket.frames import CLOSE, TEXT, Frame
from tests.conformance.websocket.wire import Backends, End
from tests.integration.gateways import declared_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.slow

PATIENCE_S = 400
READ, TUNNELLED = "read.test", "tunnelled.test"
"""A route with a plugin that looks at messages and refuses none, and one without."""
CLOSED = Frame(CLOSE, b"\x0f\xa0enough")
UNKNOWN = b"Sec-WebSocket-Extensions: x-other, permessage-deflate; x-more\r\n"
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-other\r\n"


async def test_cases_hold_over_sockets_and_the_tunnel_reads_none(tmp_path: Path) -> None:
    async with staged(tmp_path) as (port, backends):
        wired = [case for case in CASES if case.is_wired]
        for case in wired:
            for speaks in (True, False):
                try:
                    await plays(port, backends, case, client_speaks=speaks)
                except Exception as error:
                    error.add_note(f"{case.name}, client speaks: {speaks}")
                    raise
        await agrees_on_none_that_it_does_not_know(port, backends)
        for case in wired:
            if case.fails is not None and len(case.sent[-1].payload) < 1000:
                await passes_unread(port, backends, case)


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[tuple[int, Backends]]:
    """A gateway with both routes; yields its port, and the backend."""
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            backends = await stack.enter_async_context(Backends().serving())
            backend = f"http://127.0.0.1:{backends.port}"
            reading = {"plugin": "cp:otoroshi.next.plugins.WebsocketTypeValidator"}
            routes = [
                {"name": "read", "frontend": READ, "backend": backend, "plugins": [reading]},
                {"name": "tunnelled", "frontend": TUNNELLED, "backend": backend},
            ]
            started = declared_gateway({"routes": routes}, folder)
            gateway = await stack.enter_async_context(started)
            yield gateway.port, backends


async def plays(port: int, backends: Backends, case: Case, *, client_speaks: bool) -> None:
    """Play a case, and see both connections end."""
    async with backends.opened(port, READ) as (client, backend):
        one, other = (client, backend) if client_speaks else (backend, client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(speaks, one, case)
            heard = [await other.frame() for _ in case.arrives]
        assert heard == list(case.arrives)
        close = await other.frame()
        assert close.opcode == CLOSE
        if case.fails is None:
            assert close == (CLOSED if case.close is None else Frame(CLOSE, case.close))
            answer = Frame(CLOSE, b"\x0b\xb9")
            await other.say(answer)
            assert await one.frame() == answer
        else:
            told = await one.frame()
            assert (told.opcode, int.from_bytes(told.payload[:2], "big")) == (CLOSE, case.fails)
            assert int.from_bytes(close.payload[:2], "big") == (1001 if client_speaks else 1011)
            await other.say(close)
        await one.ended()
        await other.ended()


async def speaks(end: End, case: Case) -> None:
    """Say what the case says; a case that ends in no way of its own is closed."""
    for data in case.writes(is_client=end.is_client):
        await end.send(data)
    if case.fails is None and case.close is None:
        await end.say(CLOSED)


async def agrees_on_none_that_it_does_not_know(port: int, backends: Backends) -> None:
    """Such an offer is not even shown to the backend, and the answer has none."""
    async with backends.opened(port, READ, UNKNOWN) as (client, backend):
        assert b"sec-websocket-extensions" not in backend.head.lower()
        assert b"sec-websocket-extensions" not in client.head.lower()
        for one, other in ((client, backend), (backend, client)):
            await one.say(Frame(TEXT, b"plain"))
            assert await other.frame() == Frame(TEXT, b"plain")


async def passes_unread(port: int, backends: Backends, case: Case) -> None:
    """Without a plugin that looks at messages, what breaks a rule goes from end to end as it is."""
    async with backends.opened(port, TUNNELLED, OFFER) as (client, backend):
        assert b"permessage-deflate; client_max_window_bits, x-other" in backend.head
        for one, other in ((client, backend), (backend, client)):
            for data in case.writes(is_client=one.is_client):
                await one.send(data)
                assert await other.exactly(len(data)) == data, case.name
