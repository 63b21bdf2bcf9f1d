"""Applications mounted in whole gateways: ASGI, WSGI and functions, from clients of both versions."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

pytestmark = pytest.mark.slow

MODULE: Final = "otto_mounted"
"""The name under which a copy of `mounted_apps` is imported."""

LARGE: Final = bytes(range(256)) * 40_000
ECHOED: Final = LARGE[:150_000]
KINDS: Final = {
    "asgi": "asgi",
    "silent": "asgi",
    "broken": "asgi",
    "crowded": "asgi",
    "missing": "asgi",
    "flasks": "wsgi",
    "function": "function",
    "plain": "function",
    "plain_async": "function",
}


def mounted(name: str, kind: str, place: str | None = None) -> dict[str, Any]:
    """A route to an application; it strips its path."""
    config = {"kind": kind, "app": place or f"{MODULE}:{name}"}
    return {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name.replace('_', '-')}.test/at"], "strip_path": True},
        "backend": {"targets": []},
        "plugins": [
            {"plugin": "cp:oto_trio.plugins.Mount", "config": config},
            {
                "plugin": "cp:otoroshi.next.plugins.AdditionalHeadersOut",
                "config": {"headers": {"x-route": name}},
            },
        ],
    }


@asynccontextmanager
async def served(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[GatewayProcess, Path]]:
    """Run a gateway with a route to each application; yields it, and where applications note things."""
    place = data / "applications"
    place.mkdir()
    shutil.copy(Path(__file__).with_name("mounted_apps.py"), place / f"{MODULE}.py")
    monkeypatch.setenv("PYTHONPATH", str(place))
    (data / "gateway.yaml").write_text(f"settings: {{mounts: ['{MODULE}:*']}}\n")
    options = ("--workers", "1", "--config", str(data / "gateway.yaml"))
    async with gateway_process(*options, data=data / "data") as gateway:
        routes = [mounted(name, kind) for name, kind in KINDS.items()]
        routes.append(mounted("refused", "function", "os:getcwd"))
        async with admin(gateway) as api:
            for document in routes:
                answer = await api.post("/api/routes", params={"wait": "applied"}, json=document)
                assert answer.status_code == 201, answer.text
        yield gateway, place / "notes"


async def noted(notes: Path, name: str) -> None:
    """Wait until an application notes something."""
    await eventually(trio.Path(notes / name).exists)


def at(name: str) -> dict[str, str]:
    return {"host": f"{name.replace('_', '-')}.test", "x-one": "1"}


async def pieces(whole: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(whole), 100_000):
        await trio.lowlevel.checkpoint()
        yield whole[start : start + 100_000]


async def check_all(client: httpx.AsyncClient, *, upgrades: bool) -> None:
    told = await client.get("/at/tell%20?a=b", headers=at("asgi"))
    assert told.status_code == 404
    told = await client.get("/at/tell?a=b", headers=at("asgi"))
    assert told.headers["x-route"] == "asgi"
    assert told.json() == {
        "method": "GET",
        "url": "http://asgi.test/at/tell?a=b",
        "root": "/at",
        "path": "/at/tell",
        "client": "127.0.0.1",
        "header": "1",
        "since": "the start",
    }
    assert (await client.get("/at/tell?a=b", headers=at("flasks"))).json() == {
        "url": "http://flasks.test/at/tell?a=b",
        "root": "/at",
        "path": "/tell",
        "client": "127.0.0.1",
        "header": "1",
    }
    for name in ("asgi", "flasks"):
        # httpx reads nothing until all of a request is sent, so an echo has to fit between.
        for content in (ECHOED, pieces(ECHOED), b"x"):
            echoed = await client.post("/at/echo", headers=at(name), content=content)
            sent = b"x" if content == b"x" else ECHOED
            assert (echoed.status_code, echoed.content == sent) == (200, True)
        head = await client.head("/at/tell", headers=at(name))
        assert (head.status_code, head.content) == (200, b"")
        failed = await client.get("/at/fail", headers=at(name))
        assert failed.status_code == 500
        large = await client.get("/at/large", headers=at(name))
        assert large.content == b"".join(number.to_bytes(4) * 16384 for number in range(512))
    assert (await client.post("/at/count", headers=at("asgi"), content=LARGE)).text == str(
        len(LARGE)
    )
    said = await client.get("/at/a%2Fb?c=d", headers=at("function"))
    assert said.text == "GET /a%2Fb?c=d 1"
    streamed = await client.post("/at/stream", headers=at("function"), content=ECHOED)
    assert (streamed.status_code, streamed.headers["x-kind"]) == (201, "stream")
    assert streamed.content == ECHOED
    for name in ("plain", "plain_async"):
        assert (await client.post("/at", headers=at(name), content=b"abc")).content == b"cba"
        too_large = await client.post("/at", headers=at(name), content=LARGE[: (1 << 20) + 1])
        assert too_large.status_code == 413
    for name, status in (
        ("silent", 500),
        ("broken", 502),
        ("crowded", 502),
        ("missing", 502),
        ("refused", 502),
    ):
        wrong = await client.get("/at/x", headers=at(name))
        assert (wrong.status_code, "Otoroshi-Error" in wrong.json()) == (status, True), name
        assert wrong.headers["x-route"] == name
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/at/fail_late", headers=at("asgi"))
    upgrade = {"connection": "upgrade", "upgrade": "websocket"}
    if upgrades:
        refused = await client.get("/at/tell", headers=at("asgi") | upgrade)
        assert refused.status_code == 501


async def test_every_kind_of_application_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (gateway, notes):
        async with httpx.AsyncClient(base_url=gateway.http, timeout=60) as client:
            await check_all(client, upgrades=True)
        async with httpx.AsyncClient(
            http1=False, http2=True, base_url=gateway.http, timeout=60
        ) as client:
            await check_all(client, upgrades=False)
        await gateway.wait_for_log("the setting mounts does not name os:getcwd")
        await gateway.wait_for_log("did not start: no database")
        assert (notes / "started").exists()
        assert not (notes / "stopped").exists()
    assert (notes / "stopped").exists()


async def test_a_call_ends_with_its_client_and_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, monkeypatch) as (gateway, notes):
        for path, begun, ended in (
            ("/at/hang", "hanging", "cancelled"),
            ("/at/stream", None, "stream cancelled"),
        ):
            async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
                await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: asgi.test\r\n\r\n".encode())
                if begun:
                    await noted(notes, begun)
                else:
                    heard = b""
                    while b"data: one" not in heard:
                        heard += await stream.receive_some()
            await noted(notes, ended)
        # 32 MiB for a client that does not read: the application stops long before its end.
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(b"GET /at/large HTTP/1.1\r\nHost: asgi.test\r\n\r\n")
            await noted(notes, "large begun")
            async with httpx.AsyncClient(base_url=gateway.http) as client:
                for _ in range(50):
                    assert (await client.get("/at/tell", headers=at("asgi"))).status_code == 200
            assert not (notes / "large").exists()
            taken = 0
            while taken < 512 * 65536:
                taken += len(await stream.receive_some(1 << 20))
            assert (notes / "large").exists()
