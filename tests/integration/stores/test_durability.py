"""A supervisor that ends all at once: nothing of it stays behind."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Connection, ask, eventually
from tests.integration.ports import free_port
from tests.integration.stores.crash_writers import are_gone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow


async def test_workers_that_are_busy_end_soon_after_their_supervisor(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.gate = trio.Event()  # never set: nothing is ever answered
    # Their last drain has a deadline of three seconds, whatever they wait for, and however long others may take.
    arguments = ["--workers", "2", "--drain-timeout", "600", "--route", f"a.test={upstream.url}"]
    # Not one that the kernel gives to clients: the next gateway has to get it too.
    arguments += ["--http-port", str(free_port())]
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        workers = gateway.workers()
        clients = [await Connection.open(gateway.port) for _ in range(8)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        await upstream.arrived.wait()
        os.kill(gateway.pid, signal.SIGKILL)
        await gateway.wait()
        with trio.fail_after(GUARD_S):
            assert all([await client.is_closed() for client in clients])
        await eventually(partial(are_gone, workers))
        with pytest.raises(OSError, match="all attempts to connect"):
            await Connection.open(gateway.port)
        for client in clients:
            await client.aclose()
    # The ports are free again for the next one.
    upstream.gate = None
    async with gateway_process(*arguments, data=tmp_path) as successor:
        assert successor.port == gateway.port
        assert (await ask(successor.port, "a.test")).status == 200
