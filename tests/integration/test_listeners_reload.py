"""Listeners of the settings that change with a reload."""

from __future__ import annotations

import json
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.integration.clients import Connection, ask
from tests.integration.redis_server import free_port
from tests.integration.test_http_listeners import eventually_is, fronted, is_open

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow


async def status_of(port: int) -> int:
    return (await ask(port, "open.test")).status


async def test_a_reload_opens_changes_and_closes_listeners_of_the_settings(
    upstream: Upstream, tmp_path: Path
) -> None:
    plain, moved = free_port(), free_port()
    given = {"id": "l_b", "port": plain, "host": "127.0.0.1", "tls": False, "exclusive": True}
    file = tmp_path / "gateway.json"

    def write(*listeners: object) -> None:
        text = json.loads(file.read_text())
        text["settings"]["http_listeners"] = listeners
        file.write_text(json.dumps(text))

    async with fronted(upstream, tmp_path, http_listeners=[given]) as (gateway, _):
        workers = gateway.workers()
        async with await Connection.open(plain) as kept:
            assert (await kept.ask("open.test")).status == 404
            # Connections of what stays do not notice.
            everywhere = given | {"exclusive": False}
            write(everywhere, everywhere | {"id": "l_other", "port": moved})
            gateway.signal(signal.SIGHUP)
            line = await gateway.wait_for_log("in force: http_listeners")
            assert "reloaded" in line["message"]
            for port in (plain, moved):
                await eventually_is(partial(status_of, port), 200)
            assert (await kept.ask("open.test")).status == 404
            write({"id": "l_b", "port": 0})
            gateway.signal(signal.SIGHUP)
            line = await gateway.wait_for_log("reload refused, nothing was changed")
            assert "http_listeners[0].port" in line["message"]
            assert (await ask(plain, "open.test")).status == 200
            # What another of them had is free for the next one.
            write(everywhere | {"port": moved})
            gateway.signal(signal.SIGHUP)
            await gateway.wait_for_log("l_other listens no more")
            assert await kept.is_closed()
        assert not await is_open(plain)
        await eventually_is(partial(status_of, moved), 200)
        assert gateway.workers() == workers
