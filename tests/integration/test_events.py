"""Events of a whole gateway: what they hold, and that no secret is in them, or anywhere else."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, admin, eventually, route
from tests.integration.events import EXPORTERS, events_in, exporter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

APPLIED = {"wait": "applied"}
KEPT = httpx.Limits(max_connections=1, keepalive_expiry=None)
"""A client of one connection, and so of one worker: each begins by itself to make events."""
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZHNpZ25hdHVyZQ"
PLANTED = [
    "planted-bearer",
    "planted-basic",
    b64encode(b"user:planted-basic").decode(),
    "planted-cookie",
    "planted-set-cookie",
    "planted-query",
    "planted-api-key",
    "planted-client-secret",
    "planted-referer",
    "planted-body",
    "planted-pem",
    "planted-userinfo",
    "otoapk_planted",
    JWT,
    JWT.rpartition(".")[2],
]


SLEEPER = '''\
"""Holds each exchange until its client leaves."""
import logging
import trio
from oto_trio.plugin_api import Exchange, Plugin


class Sleeper(Plugin):
    """Sleep."""
    id = "cp:test.Sleeper"
    name = "Sleeper"
    description = "Sleeps until the client leaves."
    categories = ("Other",)

    async def access(self, exchange: Exchange) -> None:
        logging.getLogger(__name__).warning("asleep")
        await trio.sleep_forever()
'''


async def send_secrets(client: httpx.AsyncClient) -> None:
    """Send requests with a secret in every place there is."""
    headers = [
        ("Authorization", "Bearer planted-bearer"),
        ("Proxy-Authorization", "Basic " + b64encode(b"user:planted-basic").decode()),
        ("Cookie", "a=planted-cookie"),
        ("X-Api-Key", "planted-api-key"),
        ("Otoroshi-Client-Id", "not-secret"),
        ("Otoroshi-Client-Secret", "planted-client-secret"),
        ("X-Harmless", JWT),
        ("X-Odd", "otoapk_planted_1"),
        ("X-Url", "https://user:planted-userinfo@host/"),
        ("X-Pem", "-----BEGIN PRIVATE KEY----- planted-pem"),
        ("Referer", "https://site.test/?token=planted-referer"),
        ("Accept", "application/json"),
    ]
    for host in ("api.test", "nowhere.test"):
        answer = await client.post(
            f"/a/{JWT}?plain=1&access_token=planted-query",
            headers=[*headers, ("Host", host)],
            json={"password": "planted-body"},
        )
        assert answer.status_code in {200, 404}


async def test_every_exchange_has_an_event_and_no_secret_is_told_anywhere(
    tmp_path: Path, upstream: Upstream
) -> None:
    path = tmp_path / "out" / "events.log"
    log = tmp_path / "access.log"
    with trio.fail_after(10 * GUARD_S):
        async with (
            gateway_process(
                "--workers", "2", "--access-log", str(log), data=tmp_path / "data"
            ) as gateway,
            admin(gateway) as api,
            httpx.AsyncClient(base_url=gateway.http, limits=KEPT) as client,
        ):
            plugin = {
                "plugin": "cp:otoroshi.next.plugins.AdditionalHeadersOut",
                "config": {"headers": {"Set-Cookie": "s=planted-set-cookie", "X-Added": "yes"}},
            }
            document = route("api", upstream.url) | {"plugins": [plugin]}
            made = await api.post(
                "/apis/proxy.otoroshi.io/v1/routes", json=document, params=APPLIED
            )
            assert made.status_code == 201, made.text
            wanted = exporter("e", config={"path": str(path)})
            odd = wanted | {"projection": {"x": {"$jq": ".a |"}}}
            made = await api.post(EXPORTERS, json=odd)
            assert made.status_code == 400, made.text
            assert "$.projection.x.$jq: not a jq filter: syntax error" in made.text
            wanted["projection"] = {"$spread": True, "x": {"$jq": "[.method, (env | length)]"}}
            made = await api.post(EXPORTERS, json=wanted)
            assert made.status_code == 201, made.text
            await eventually(lambda: _sends(client, path))
            await send_secrets(client)
            await eventually(lambda: _has(path, "POST", 2))
            metrics = (await api.get("/metrics", params={"format": "prometheus"})).text
            assert "otoroshi_exporters_running 1" in metrics
            assert "otoroshi_exporters_dropped 0" in metrics
            told = path.read_text() + log.read_text() + metrics + json.dumps(gateway.log)
        told += json.dumps(gateway.log)
    served, refused = (event for event in events_in(path) if event["method"] == "POST")
    if served["err"]:
        served, refused = refused, served
    assert served["@serviceId"] == "api"
    assert served["x"] == ["POST", 0]
    assert served["callAttempts"] == 1
    assert served["data"]["dataIn"] > 0
    assert served["to"]["uri"] == "/a/***?plain=1&access_token=***"
    names = {field["key"].lower(): field["value"] for field in served["headers"]}
    assert names["accept"] == "application/json"
    assert names["otoroshi-client-id"] == "not-secret"
    assert names["authorization"] == names["cookie"] == "***"
    out = {field["key"].lower(): field["value"] for field in served["otoroshiHeadersOut"]}
    assert out["x-added"] == "yes"
    assert out["set-cookie"] == "***"
    assert refused["err"] is True
    assert refused["status"] == 404
    assert refused["gwError"] == "no route found !"
    assert refused["extraInfos"]["cause"] == "not_found"
    assert served["reqId"] != refused["reqId"]
    for secret in PLANTED:
        assert secret not in told, secret


async def test_an_exchange_whose_client_leaves_while_python_holds_it_has_its_line(
    tmp_path: Path, upstream: Upstream
) -> None:
    data, log = tmp_path / "data", tmp_path / "access.log"
    (data / "plugins").mkdir(parents=True)
    (data / "plugins" / "sleeper.py").write_text(SLEEPER)
    with trio.fail_after(10 * GUARD_S):
        async with (
            gateway_process("--workers", "1", "--access-log", str(log), data=data) as gateway,
            admin(gateway) as api,
        ):
            document = route("api", upstream.url) | {"plugins": [{"plugin": "cp:test.Sleeper"}]}
            made = await api.post(
                "/apis/proxy.otoroshi.io/v1/routes", json=document, params=APPLIED
            )
            assert made.status_code == 201, made.text
            stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
            await stream.send_all(b"GET /held HTTP/1.1\r\nHost: api.test\r\n\r\n")
            await gateway.wait_for_log("asleep")
            await stream.aclose()
            await eventually(lambda: _logged(log))
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["path"], line["status"], line["route"]) == ("/held", 499, "api")


async def _logged(log: Path) -> bool:
    return log.read_text().endswith("\n")


async def _sends(client: httpx.AsyncClient, path: Path) -> bool:
    """Ask once, and tell whether some event arrived: then the worker of this connection makes them."""
    await client.get("/", headers={"Host": "warm.test"})
    return len(events_in(path)) > 0


async def _has(path: Path, method: str, count: int) -> bool:
    return len([event for event in events_in(path) if event["method"] == method]) >= count
