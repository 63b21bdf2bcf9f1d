"""What a whole gateway tells of refused and admitted callers: alerts, identities, quotas, and no secret.

Each test has a file exporter, so that its lines are what an operator would get.
"""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import GUARD_S, admin, eventually, route
from tests.integration.events import EXPORTERS, events_in, exporter
from tests.integration.plugins.api_keys import METHODS, Shown, basic, bearer, key, protected, token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
VERIFIERS = "/apis/security.otoroshi.io/v1/jwt-verifiers"
APPLIED = {"wait": "applied"}
SECRET, WRONG, OLD = "planted-secret-1", "planted-secret-2", "planted-secret-3"


class Told:
    """A gateway that exports to a file."""

    def __init__(
        self, gateway: GatewayProcess, api: httpx.AsyncClient, client: httpx.AsyncClient, path: Path
    ) -> None:
        self.gateway = gateway
        self.api = api
        self.client = client
        self.path = path
        self.log = path.with_name("access.log")

    async def store(self, path: str, document: dict[str, Any]) -> None:
        """Create or replace an entity, and wait until it is live."""
        entity_id = document.get("clientId") or document["id"]
        answer = await self.api.post(f"{path}/{entity_id}", params=APPLIED, json=document)
        assert answer.status_code in {200, 201}, answer.text

    async def ask(self, name: str, shown: Shown, path: str = "/a") -> httpx.Response:
        """Ask a route."""
        headers = {"Host": f"{name}.test", "Accept": "application/json", **shown.headers}
        return await self.client.get(f"{path}?{shown.query}", headers=headers)

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many GatewayEvents that are no warm-up, and give everything in the file."""

        async def is_there() -> bool:
            found = [e for e in events_in(self.path) if e["@type"] == "GatewayEvent"]
            return len([e for e in found if e["to"]["host"] != "warm.test"]) >= count

        await eventually(is_there)
        return [e for e in events_in(self.path) if e.get("to", {}) != "warm.test"]


def alerts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["@type"] == "AlertEvent"]


@asynccontextmanager
async def told(tmp_path: Path, **changes: Any) -> AsyncGenerator[Told]:
    path = tmp_path / "events.log"
    log = tmp_path / "access.log"
    with trio.fail_after(6 * GUARD_S):
        async with (
            gateway_process(
                "--workers", "1", "--access-log", str(log), data=tmp_path / "data"
            ) as gateway,
            admin(gateway) as api,
            httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
        ):
            result = Told(gateway, api, client, path)
            document = exporter("e", config={"path": str(path)}, **changes)
            await result.store(EXPORTERS, document)

            async def exports() -> bool:
                await client.get("/", headers={"Host": "warm.test"})
                return any(e["@type"] == "GatewayEvent" for e in events_in(path))

            await eventually(exports)
            yield result


async def test_each_refusal_for_security_raises_an_alert(
    tmp_path: Path, upstream: Upstream
) -> None:
    async with told(tmp_path) as gateway:
        settings = [{"op": "replace", "path": "/quotasSettings/enabled", "value": True}]
        changed = await gateway.api.patch("/api/globalconfig", json=settings, params=APPLIED)
        assert changed.status_code == 200, changed.text
        await gateway.store(ROUTES, protected("keys", upstream.url))
        await gateway.store(KEYS, key("off", SECRET, enabled=False))
        await gateway.store(KEYS, key("daily", SECRET, dailyQuota=1))
        await gateway.store(KEYS, key("window", SECRET, throttlingQuota=1))
        blocked = {
            "plugin": "cp:otoroshi.next.plugins.IpAddressBlockList",
            "config": {"addresses": ["127.0.0.0/8"]},
        }
        await gateway.store(ROUTES, route("blocked", upstream.url) | {"plugins": [blocked]})
        template = (await gateway.api.get(f"{VERIFIERS}/_template")).json()
        algorithm = {"type": "HSAlgoSettings", "size": 256, "secret": SECRET, "base64": False}
        verifier = {"id": "v", "enabled": True, "strict": True, "algoSettings": algorithm}
        await gateway.store(VERIFIERS, template | verifier)
        checked = {
            "plugin": "cp:otoroshi.next.plugins.JwtVerification",
            "config": {"verifiers": ["v"]},
        }
        await gateway.store(ROUTES, route("tokens", upstream.url) | {"plugins": [checked]})
        pair = METHODS["custom_headers"]
        statuses = [
            (await gateway.ask("keys", pair("off", SECRET))).status_code,
            (await gateway.ask("keys", pair("nobody", SECRET))).status_code,
            *[(await gateway.ask("keys", pair("daily", SECRET))).status_code for _ in range(2)],
            (await gateway.ask("blocked", Shown())).status_code,
            (
                await gateway.ask("tokens", Shown(headers={"X-JWT-Token": token("a", WRONG)}))
            ).status_code,
        ]
        assert statuses == [401, 400, 200, 429, 403, 400]
        events = await gateway.events(6)
        listed = (await gateway.api.get("/api/alert/events")).json()
    raised = alerts(events)
    made = [e["metadata"]["id"] for e in events if e["@type"] == "AuditEvent"]
    assert {"keys", "off", "daily", "blocked", "v"} <= set(made), "writes are exported too"
    exchanges = {e["reqId"]: e for e in events if e["@type"] == "GatewayEvent"}
    by_name = {event["alert"]: event for event in raised if event.get("adminApiAlert") is None}
    assert by_name["RevokedApiKeyUsageAlert"]["apiKey"]["clientId"] == "off"
    assert by_name["RevokedApiKeyUsageAlert"]["@serviceId"] == "keys"
    quotas = by_name["QuotasExceeded"]
    assert quotas["reason"] == "DailyQuotasExceeded"
    assert quotas["apikey"]["clientId"] == "daily"
    assert quotas["remaining"]["remainingCallsPerDay"] == 0
    assert quotas["remaining"]["authorizedCallsPerDay"] == 1
    refused = {e["@serviceId"]: e for e in raised if e["alert"] == "RequestRefusedAlert"}
    assert refused["blocked"]["status"] == 403
    assert refused["blocked"]["cause"] == "errors.ip.address.not.allowed"
    assert refused["blocked"]["from"] == "127.0.0.1"
    assert refused["tokens"]["status"] == 400
    assert refused["tokens"]["message"] == "error.bad.token"
    assert refused["keys"]["message"] == "invalid apikey tuple"
    assert by_name["QuotasAlmostExceeded"]["reason"] == "DailyQuotasAlmostExceeded"
    assert len([e for e in raised if e.get("adminApiAlert") is None]) == 6, raised
    assert all(e["reqId"] in exchanges for e in raised if e.get("adminApiAlert") is None)
    assert {e["@id"] for e in listed} >= {e["@id"] for e in raised}
    text = json.dumps([events, listed])
    assert SECRET not in text
    assert WRONG not in text


async def test_events_show_the_key_that_called_and_what_is_left_of_its_quotas(
    tmp_path: Path, upstream: Upstream
) -> None:
    async with told(tmp_path) as gateway:
        await gateway.store(ROUTES, protected("keys", upstream.url))
        caller = key("caller", SECRET, dailyQuota=10, tags=["gold"], metadata={"team": "a"})
        await gateway.store(KEYS, caller)
        for _ in range(3):
            answer = await gateway.ask("keys", METHODS["basic authorization"]("caller", SECRET))
            assert answer.status_code == 200, answer.text
        events = [e for e in await gateway.events(3) if e.get("@serviceId") == "keys"]
    first, _, last = (e for e in events if e["@type"] == "GatewayEvent")
    assert last["identity"] == {
        "identityType": "APIKEY",
        "identity": "caller",
        "label": "key caller",
        "metadata": last["identity"]["metadata"],
        "tags": ["gold"],
    }
    assert last["identity"]["metadata"]["team"] == "a"
    assert first["remainingQuotas"]["remainingCallsPerDay"] == 9
    assert last["remainingQuotas"]["remainingCallsPerDay"] == 7
    assert last["remainingQuotas"]["currentCallsPerDay"] == 3
    assert last["remainingQuotas"]["authorizedCallsPerDay"] == 10
    assert last["viz"]["from"] == "key caller"


async def test_no_secret_is_told_wherever_a_key_is_shown(
    tmp_path: Path, upstream: Upstream
) -> None:
    odd_places = {
        "basic": {"header_name": "X-Odd-One", "query_name": "odd-one", "cookie_name": "odd-one"},
        "custom_headers": {
            "client_id_header_name": "X-Odd-Id",
            "client_secret_header_name": "X-Odd-Two",
        },
    }
    names = ("good", "off", "rotating")
    async with told(tmp_path) as gateway:
        await gateway.store(ROUTES, protected("usual", upstream.url))
        await gateway.store(ROUTES, protected("odd", upstream.url, extractors=odd_places))
        await gateway.store(ROUTES, protected("kept", upstream.url, wipe_backend_request=False))
        await gateway.store(KEYS, key("good", SECRET))
        await gateway.store(KEYS, key("off", SECRET, enabled=False))
        rotation = {"enabled": True, "nextSecret": OLD}
        await gateway.store(KEYS, key("rotating", SECRET, rotation=rotation))
        asked = 0
        bodies: list[str] = []
        for host in ("usual", "kept"):
            for show in METHODS.values():
                for name, secret in (("good", SECRET), ("off", SECRET), ("good", WRONG)):
                    answer = await gateway.ask(host, show(name, secret))
                    if answer.status_code >= 400:  # others are the backend's: it shows what it got
                        bodies.append(answer.text)
                    asked += 1
        odd: list[Callable[[str, str], Shown]] = [
            lambda c, s: Shown(headers={"X-Odd-One": basic(c, s)}),
            lambda c, s: Shown(headers={"X-Odd-Id": c, "X-Odd-Two": s}),
            lambda c, s: Shown(f"odd-one={basic(c, s).rstrip('=')}"),
        ]
        for show in odd:
            for name in names:
                answer = await gateway.ask("odd", show(name, SECRET))
                assert answer.status_code == (401 if name == "off" else 200), answer.text
                bodies.append(answer.text)
                asked += 1
        answer = await gateway.ask("odd", odd[1]("rotating", OLD))
        assert answer.status_code == 200
        events = await gateway.events(asked + 1)
        metrics = (await gateway.api.get("/metrics", params={"format": "prometheus"})).text
        audits = (await gateway.api.get("/api/audit/events")).text
        listed = (await gateway.api.get("/api/alert/events")).text
        log = gateway.log.read_text()
        own = json.dumps(gateway.gateway.log)
    assert '"clientSecret":"***"' in audits, "the keys were audited"
    pairs = [basic(name, s).rstrip("=") for name in names for s in (SECRET, OLD, WRONG)]
    marks = [SECRET, WRONG, OLD, "otoapk_", "eyJ", *pairs]
    marks += [pair.replace("+", "-").replace("/", "_") for pair in pairs]
    marks += [bearer(name, SECRET).rpartition("_")[2] for name in names]
    assert b64encode(b"good:" + SECRET.encode()).decode().rstrip("=") in marks
    assert len(bodies) > 2 * len(METHODS)
    places = {
        "events": json.dumps(events),
        "bodies": "".join(bodies),
        "metrics": metrics,
        "audit": audits,
        "alerts": listed,
        "access log": log,
        "log": own,
    }
    for place, text in places.items():
        for mark in marks:
            assert mark not in text, (place, mark)


async def test_the_operators_rules_of_redaction_hold_in_a_whole_gateway(
    tmp_path: Path, upstream: Upstream
) -> None:
    config = tmp_path / "oto.yaml"
    config.write_text(
        "settings:\n"
        "  redaction:\n"
        "    headers: {x-customer: hash, x-internal: strip, x-token-count: show, x-plain: mask}\n"
        "    query: {email: hash, gone: strip}\n"
        "    fields: {team: mask}\n"
        "    hash_key: a long random text\n"
    )
    path = tmp_path / "events.log"
    with trio.fail_after(6 * GUARD_S):
        async with (
            gateway_process(
                "--workers", "1", "--config", str(config), data=tmp_path / "data"
            ) as process,
            admin(process) as api,
            httpx.AsyncClient(base_url=process.http, timeout=GUARD_S) as client,
        ):
            gateway = Told(process, api, client, path)
            await gateway.store(EXPORTERS, exporter("e", config={"path": str(path)}))
            await gateway.store(ROUTES, protected("keys", upstream.url))
            await gateway.store(KEYS, key("caller", SECRET, metadata={"team": "planted-team"}))
            headers = {
                **METHODS["custom_headers"]("caller", SECRET).headers,
                "X-Customer": "ann",
                "X-Internal": "planted-internal",
                "X-Token-Count": "3",
                "X-Plain": "planted-plain",
            }

            async def exports() -> bool:
                await gateway.ask("keys", Shown("email=a@b.c&gone=planted-gone&x=1", headers))
                return len([e for e in events_in(path) if e["@type"] == "GatewayEvent"]) >= 2

            await eventually(exports)
            audits = (await api.get("/api/audit/events")).text
    events = [e for e in events_in(path) if e["@type"] == "GatewayEvent"]
    for event in events:
        shown = {field["key"].lower(): field["value"] for field in event["headers"]}
        assert shown["x-customer"].startswith("hash:")
        assert shown["x-token-count"] == "3"
        assert shown["x-plain"] == "***"
        assert "x-internal" not in shown
        query = httpx.QueryParams(event["to"]["uri"].partition("?")[2])
        assert query["email"].startswith("hash:")
        assert query["x"] == "1"
        assert "gone" not in query
        assert event["identity"]["metadata"]["team"] == "***"
    customers = {
        field["value"]
        for e in events
        for field in e["headers"]
        if "customer" in field["key"].lower()
    }
    assert len(customers) == 1, "equal values stay equal"
    assert "planted-" not in path.read_text() + audits
