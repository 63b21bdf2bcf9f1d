"""Listeners of the settings that change with a reload; what listeners write into the log."""

from __future__ import annotations

import json
import re
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.conformance.tls.secure import client_context
from tests.integration.clients import Connection, LostError, ask, eventually, eventually_is
from tests.integration.ports import free_ports, is_open
from tests.integration.protocols.http2_client import http2_client
from tests.integration.protocols.http3_client import http3_client
from tests.integration.protocols.test_http_listeners import fronted, put

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow


async def status_of(port: int) -> int:
    """The status of an answer; 0 when there is none, as while a port goes from one listener to another."""
    try:
        return (await ask(port, "open.test")).status
    except (OSError, LostError):
        return 0


async def test_a_reload_opens_changes_and_closes_listeners_of_the_settings(
    upstream: Upstream, tmp_path: Path
) -> None:
    plain, moved = free_ports(2)
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
        # By then, what is closed is closed in every worker.
        await gateway.wait_for_log(f"l_b listens at http://127.0.0.1:{moved}")
        assert not await is_open(plain)
        await eventually_is(partial(status_of, moved), 200)
        assert gateway.workers() == workers


async def test_a_listener_with_an_access_log_tells_its_requests_and_no_others(
    upstream: Upstream, tmp_path: Path
) -> None:
    def lines() -> list[str]:
        return [it["message"] for it in gateway.log if it.get("logger") == "oto_trio.access"]

    async with fronted(upstream, tmp_path, workers=1) as (gateway, api):
        told, quiet = free_ports(2)
        await put(api, "l_a", told, tls=True, accessLog=True, http3=True)
        await put(api, "l_b", quiet, tls=False)
        upstream.answer = lambda _: (200, b"0123456789")
        assert (await ask(gateway.port, "open.test")).status == 200
        assert (await ask(quiet, "open.test")).status == 200
        async with http2_client(told, "open.test", client_context()) as client:
            for path in ("/a?key=secret", "/b%20c"):
                assert (await client.ask("GET", "open.test", path)).status == 200
            assert (await client.ask("GET", "home.test", "/c")).status == 404
            async with http3_client(told, "open.test") as quic:
                assert (await quic.ask("POST", "open.test", "/d", body=b"x")).status == 200
            await gateway.wait_for_log("POST /d")
            # It is switched off for the connections that are there, too.
            await put(api, "l_a", told, tls=True)
            await put(api, "l_b", quiet, tls=False, accessLog=True)

            async def is_on() -> bool:
                assert (await ask(quiet, "open.test", "/mark")).status == 200
                return any("/mark" in line for line in lines())

            # The worker heard of the first change before the second.
            await eventually(is_on)
            assert (await client.ask("GET", "open.test", "/late")).status == 200
            assert (await ask(quiet, "open.test", "/end")).status == 200
            await gateway.wait_for_log("GET /end")
            assert not any("/late" in line for line in lines())
        seen = [line for line in lines() if "/mark" not in line and "/end" not in line]
        form = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(.*)" (\d+) (\d+) \d+ TLS'
        found = [re.fullmatch(form, line) for line in seen]
        assert sorted(it.group(1, 2) for it in found if it is not None) == [
            ("GET /a HTTP/2.0", "200"),
            ("GET /b%20c HTTP/2.0", "200"),
            ("GET /c HTTP/2.0", "404"),
            ("POST /d HTTP/3.0", "200"),
        ]
        assert all(it is not None for it in found)
        assert [it[3] for it in found if it is not None and it[2] == "200"] == ["10"] * 3
