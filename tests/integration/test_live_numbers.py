"""Live numbers by route: what real workers count, from their first exchange to their end and beyond."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin, eventually, route

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

APPLIED = {"wait": "applied"}
CALLS = {"a.test": 2, "a.svc.test": 3, "c.test/one": 1, "c.test/two": 4, "hook.test": 5}
"""How often each is called."""

HOOK = '''
"""Waits before it lets requests to one path in."""
import trio
from oto_trio.plugin_api import Config, Exchange, Plugin


class Waits(Plugin[Config]):
    """Wait."""
    id = "cp:test.Waits"
    name = "Waits"
    description = "Waits a minute where the path is /held."
    categories = ("Other",)

    async def access(self, exchange: Exchange) -> None:
        await trio.sleep(60 if exchange.request.path == "/held" else 0)
'''
"""A user plugin whose hook holds the exchange."""


async def make(api: httpx.AsyncClient, path: str, document: dict[str, Any]) -> None:
    answer = await api.post(path, params=APPLIED, json=document)
    assert answer.status_code == 201, answer.text


async def make_all(api: httpx.AsyncClient, url: str) -> None:
    """Make a route, one with a hook, a service that has the first one's id too, and a composition."""
    await make(api, "/api/routes", route("a", url))
    await make(api, "/api/routes", route("hook", url, plugins=[{"plugin": "cp:test.Waits"}]))
    await make(api, "/api/routes", route("unused", url))
    target = {"host": url.removeprefix("http://"), "scheme": "http"}
    service: dict[str, Any] = {"id": "a", "subdomain": "a", "domain": "svc.test", "env": "prod"}
    service |= {"targets": [target], "publicPatterns": ["/.*"], "forceHttps": False}
    service |= {"enforceSecureCommunication": False}
    await make(api, "/api/services", service)
    hostname, _, port = target["host"].partition(":")
    backend = {"targets": [{"hostname": hostname, "port": int(port)}]}
    parts = [
        {"frontend": {"domains": [f"c.test/{part}"]}, "backend": backend} for part in ("one", "two")
    ]
    await make(api, "/api/route-compositions", {"id": "c", "name": "c", "routes": parts})


async def call(gateway: GatewayProcess, where: str, **how: Any) -> httpx.Response:
    """Ask a route on a connection of its own, which any worker may accept."""
    host, _, path = where.partition("/")
    async with httpx.AsyncClient(timeout=60) as client:
        url = f"{gateway.http}/{path}"
        return await client.post(url, headers={"Host": host}, content=b"12345", **how)


async def live(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    numbers: dict[str, Any] = answer.json()
    return numbers


async def calls_of(api: httpx.AsyncClient) -> dict[str, int]:
    """What is counted, by path of the live numbers."""
    paths = ("live/a", "services/a/live", "live/c", "live/hook", "live/unused")
    return {path: (await live(api, f"/api/{path}"))["calls"] for path in paths}


async def test_what_is_called_is_counted_for_the_entity_that_means_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "waits.py").write_text(HOOK)
    arguments = ("--workers", "2", "--plugins", str(plugins))
    async with (
        gateway_process(*arguments, data=tmp_path / "data") as gateway,
        admin(gateway) as api,
        trio.open_nursery() as nursery,
    ):
        await make_all(api, upstream.url)
        for where, times in CALLS.items():
            for _ in range(times):
                assert (await call(gateway, where)).status_code == 200, where
        counted = {
            "live/a": 2,
            "services/a/live": 3,
            "live/c": 5,
            "live/hook": 5,
            "live/unused": 0,
        }

        async def are_counted() -> bool:
            return await calls_of(api) == counted

        # A worker that does not answer within a second is left out.
        await eventually(are_counted)
        numbers = await live(api, "/api/live/c")
        assert numbers["dataIn"] == 5 * len(b"12345")
        assert numbers["dataOut"] > 5 * len(b"POST / HTTP/1.1")
        assert (numbers["rate"], numbers["concurrentHandledRequests"]) == (0, 0)

        # What runs, in the engine and in a hook.
        upstream.gate = trio.Event()
        nursery.start_soon(call, gateway, "a.test")
        nursery.start_soon(call, gateway, "hook.test/held")

        async def are_running() -> bool:
            looks = [await live(api, f"/api/live/{name}") for name in ("a", "hook", "unused")]
            return [look["concurrentHandledRequests"] for look in looks] == [1, 1, 0]

        await eventually(are_running)
        upstream.gate.set()
        upstream.gate = None
        nursery.cancel_scope.cancel()


async def test_workers_that_end_tell_what_they_counted(upstream: Upstream, tmp_path: Path) -> None:
    async with gateway_process("--workers", "2", data=tmp_path) as gateway, admin(gateway) as api:
        await make(api, "/api/routes", route("a", upstream.url))
        for _ in range(4):
            await call(gateway, "a.test")
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")
        await call(gateway, "a.test")

        async def are_counted() -> bool:
            return bool((await live(api, "/api/live/a"))["calls"] == 5)

        await eventually(are_counted)
