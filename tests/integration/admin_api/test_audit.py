"""The audit of the admin API: each write has its event, with who and what, and without secrets."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from oto_trio import _core
from oto_trio.control.admin_api.admins import passwords
from oto_trio.control.admin_api.audit_trail import MOST_READ_ALONE, AuditTrail
from oto_trio.control.limits import LimitsTable
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.telemetry.events.audit import Audit
from oto_trio.telemetry.events.identity import Instance, Snowflakes
from oto_trio.telemetry.events.recent import RecentEvents
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route
from oto_trio.testing.admin_api import serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from oto_trio.model.document import Document
    from oto_trio.telemetry.events.identity import Event

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
CERTIFICATES = "/apis/pki.otoroshi.io/v1/certificates"
PLANTED = "planted-secret"


def refuse_bad(entity: Document) -> list[Problem]:
    if isinstance(entity, Route) and entity.name == "bad":
        return [Problem("$.name", "is bad", "take another")]
    return []


class Audited:
    """A served admin API, and the events it raised."""

    def __init__(self, served: Served, events: list[Event]) -> None:
        self.served = served
        self.events = events

    @property
    def audits(self) -> list[Event]:
        return [event for event in self.events if event["@type"] == "AuditEvent"]

    @property
    def alerts(self) -> list[str]:
        return [event["alert"] for event in self.events if event["@type"] == "AlertEvent"]

    async def call(self, verb: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = await self.served.call(verb, path, body, **options)
        assert answer.status_code < 300, answer.text
        return answer


@asynccontextmanager
async def audited_api(limits: LimitsTable | None = None) -> AsyncGenerator[Audited]:
    events: list[Event] = []
    times = count(1_700_000_000_000)
    audits, alerts = RecentEvents(), RecentEvents()

    def offer(event: Event) -> None:
        events.append(event)
        (audits if event["@type"] == "AuditEvent" else alerts).note(event)

    ids = Snowflakes(lambda: next(times))
    audit = Audit(Instance(), ids, lambda: next(times))
    trail = AuditTrail(audit, offer, _core.Redaction(b"{}"), audits=audits, alerts=alerts)
    async with serving_admin_api(check=refuse_bad, trail=trail, limits=limits) as served:
        yield Audited(served, events)


@pytest.fixture
async def api() -> AsyncIterator[Audited]:
    async with audited_api() as audited:
        yield audited


async def test_a_write_is_told_with_who_and_before_and_after(api: Audited) -> None:
    made = await api.call("POST", ROUTES, route("r1", name="one"))
    await api.call("PUT", f"{ROUTES}/r1", route("r1", name="two"))
    await api.call("DELETE", f"{ROUTES}/r1")
    created, updated, deleted = api.audits
    assert created["audit"] == "AdminApiEvent"
    assert [e["action"] for e in api.audits] == ["CREATE_ROUTE", "UPDATE_ROUTE", "DELETE_ROUTE"]
    assert created["apiKey"] == {"clientId": "admin-api-apikey-id"}
    assert created["user"] == {"name": "admin-api-apikey-id", "email": None, "type": "APIKEY"}
    assert created["from"] == "127.0.0.1"
    assert created["message"] == "User created Route r1"
    metadata = created["metadata"]
    assert metadata["requestId"] == made.headers["Otoroshi-Request-Id"]
    assert (metadata["method"], metadata["path"]) == ("POST", ROUTES)
    assert (metadata["kind"], metadata["id"], metadata["before"]) == ("Route", "r1", None)
    assert metadata["revision"] == int(made.headers["Oto-Trio-Revision"])
    assert metadata["after"]["name"] == "one"
    assert updated["metadata"]["before"]["name"] == "one"
    assert updated["metadata"]["after"]["name"] == "two"
    assert updated["metadata"]["changed"] == ["metadata", "name"]
    assert deleted["metadata"]["before"]["name"] == "two"
    assert deleted["metadata"]["after"] is None
    assert len({e["metadata"]["requestId"] for e in api.audits}) == 3
    assert api.alerts == []


async def test_a_write_is_remembered_with_who_and_why(api: Audited) -> None:
    answer = await api.call("POST", f"{ROUTES}?message=for%20the%20caf%C3%A9", route("r1"))
    await api.call("DELETE", f"{ROUTES}/r1")
    removed, made = await api.served.store.revisions(limit=2)
    assert made.origin.message == "for the café"
    assert made.origin.actor == "admin-api-apikey-id"
    assert made.origin.request_id == answer.headers["Otoroshi-Request-Id"]
    assert removed.origin.message == ""
    assert removed.origin.request_id not in {"", made.origin.request_id}


async def test_reads_and_refused_writes_are_not_told(api: Audited) -> None:
    await api.call("GET", ROUTES)
    assert (await api.served.call("POST", ROUTES, route(name="bad"))).status_code == 400
    assert (await api.served.call("DELETE", f"{ROUTES}/none")).status_code == 404
    bad_key = await api.served.call("POST", ROUTES, route(), auth=("admin-api-apikey-id", "wrong"))
    assert bad_key.status_code == 401
    assert api.events == []


async def test_keys_certificates_and_the_global_configuration_raise_alerts(api: Audited) -> None:
    await api.call("POST", KEYS, {"clientId": "k", "clientName": "k", "clientSecret": "s"})
    await api.call("PATCH", f"{KEYS}/k", [{"op": "replace", "path": "/clientName", "value": "n"}])
    await api.call("DELETE", "/api/apikeys/k")
    await api.call("POST", "/api/pki/cas", {"subject": "CN=ca", "hosts": []})
    (authority,) = [e["metadata"]["id"] for e in api.audits if e["action"] == "CREATE_CERTIFICATE"]
    await api.call("PATCH", f"{CERTIFICATES}/{authority}", [])
    await api.call("DELETE", f"{CERTIFICATES}/{authority}")
    await api.call("PATCH", "/api/globalconfig", [{"op": "add", "path": "/lines", "value": ["a"]}])
    assert api.alerts == [
        "ApiKeyCreatedAlert",
        "ApiKeyUpdatedAlert",
        "ApiKeyDeletedAlert",
        "CertCreatedAlert",
        "CertUpdatedAlert",
        "CertDeleteAlert",
        "GlobalConfigModification",
    ]
    assert [event["action"] for event in api.audits][-1] == "UPDATE_GLOBAL_CONFIG"
    alert = api.events[-1]
    assert alert["adminApiAlert"] is True
    assert alert["user"]["name"] == "admin-api-apikey-id"
    assert alert["audit_payload"] == api.audits[-1]
    assert alert["oldConfig"]["lines"] != alert["newConfig"]["lines"] == ["a"]


async def test_every_line_of_a_bulk_and_every_deleted_entity_is_told(api: Audited) -> None:
    lines = "\n".join(json.dumps(route(f"r{n}")) for n in range(3))
    answer = await api.served.client.post(
        f"{ROUTES}/_bulk?_group=3", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 200
    await api.call("DELETE", ROUTES)
    told = sorted((e["action"], e["metadata"]["id"]) for e in api.audits)
    assert told == [
        *[("CREATE_ROUTE", f"r{n}") for n in range(3)],
        *[("DELETE_ROUTE", f"r{n}") for n in range(3)],
    ]
    # Lines run in tasks of their own; they know their request all the same.
    ids = {e["metadata"]["requestId"] for e in api.audits if e["action"] == "CREATE_ROUTE"}
    assert ids == {answer.headers["Otoroshi-Request-Id"]}


async def test_no_secret_of_a_document_is_told(api: Audited) -> None:
    key = {
        "clientId": "k",
        "clientName": "k",
        "clientSecret": PLANTED,
        "rotation": {"enabled": True, "nextSecret": PLANTED},
    }
    await api.call("POST", KEYS, key)
    await api.call("PUT", f"{KEYS}/k", key | {"clientSecret": PLANTED + "-2"})
    assert "clientSecret" in api.audits[-1]["metadata"]["changed"]
    plugins = [
        {
            "plugin": "cp:otoroshi.next.plugins.SimpleBasicAuth",
            "config": {"users": {"ann": PLANTED}},
        },
        {
            "plugin": "cp:otoroshi.next.plugins.BasicAuthCaller",
            "config": {"username": "u", "password": PLANTED},
        },
        {
            "plugin": "cp:otoroshi.next.plugins.AdditionalHeadersIn",
            "config": {"headers": {"Authorization": PLANTED, "X-A": f"Bearer {PLANTED}"}},
        },
        {
            "plugin": "cp:some.Thing",
            "enabled": False,
            "config": {"token": PLANTED, "url": f"https://u:{PLANTED}@host/?token={PLANTED}"},
        },
    ]
    await api.call("POST", ROUTES, route(plugins=plugins))
    verifiers = "/apis/security.otoroshi.io/v1/jwt-verifiers"
    algorithm = {"type": "HSAlgoSettings", "size": 256, "secret": PLANTED, "base64": False}
    template = (await api.call("GET", f"{verifiers}/_template")).json()
    await api.call("POST", verifiers, template | {"id": "v", "algoSettings": algorithm})
    answer = await api.call("POST", "/api/pki/cas", {"subject": "CN=ca", "hosts": []})
    private = answer.json()["privateKey"].splitlines()[2]
    told = json.dumps(api.events)
    assert PLANTED not in told
    assert private not in told
    assert "CREATE_JWT_VERIFIER" in told
    assert '"ann": "***"' in told


async def test_a_reset_of_quotas_is_told_with_what_was_counted(tmp_path: Path) -> None:
    key = {"clientId": "k", "clientName": "k", "clientSecret": "s", "dailyQuota": 10}
    with LimitsTable(tmp_path, (1, 2), among_processes=False, slots=100) as limits:
        async with audited_api(limits) as api:
            await api.call("POST", KEYS, key)
            for _ in range(3):
                limits.limits.consume_quota("k", *limits.now())
            await api.call("GET", "/api/apikeys/k/quotas")
            left = (await api.call("DELETE", "/api/apikeys/k/quotas")).json()
            assert left["currentCallsPerDay"] == 0
            created, reset = api.audits
    assert (created["action"], reset["action"]) == ("CREATE_APIKEY", "RESET_APIKEY_QUOTAS")
    assert reset["metadata"]["id"] == "k"
    assert reset["metadata"]["before"]["currentCallsPerDay"] == 3


async def test_the_latest_events_are_listed(api: Audited) -> None:
    for n in range(3):
        await api.call("POST", KEYS, {"clientId": f"k{n}", "clientName": "k", "clientSecret": "s"})
    listed = await api.call("GET", "/api/audit/events?pageSize=2&page=1")
    assert [e["metadata"]["id"] for e in listed.json()] == ["k2", "k1"]
    assert listed.headers["X-Count"] == "3"
    assert listed.headers["X-Page-Size"] == "2"
    found = await api.call("GET", "/api/audit/events?filter.metadata.id=k0&fields=action")
    assert found.json() == [{"action": "CREATE_APIKEY"}]
    alerts = (await api.call("GET", "/api/alert/events")).json()
    assert [e["alert"] for e in alerts] == ["ApiKeyCreatedAlert"] * 3
    assert (await api.served.call("GET", "/api/alert/events?page=no")).status_code == 400
    refused = await api.served.call("GET", "/api/audit/events", auth=("who", "knows"))
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "bounds",
    [
        {"dailyQuota": 2**70},
        {"dailyQuota": -5},
        {"throttlingStrategy": {"quota": {"window": "x", "daily": None, "monthly": 1e300}}},
        {"throttlingStrategy": {"quota": [7]}},
    ],
)
async def test_quotas_of_a_key_with_odd_bounds_are_told(
    tmp_path: Path, bounds: dict[str, Any]
) -> None:
    key = {"clientId": "k", "clientName": "k", "clientSecret": "s", **bounds}
    with LimitsTable(tmp_path, (1, 2), among_processes=False, slots=100) as limits:
        async with audited_api(limits) as api:
            await api.call("POST", KEYS, key)
            told = (await api.call("GET", "/api/apikeys/k/quotas")).json()
    assert told["remainingCallsPerDay"] == told["authorizedCallsPerDay"] >= 0


async def test_an_export_and_an_import_are_told_without_what_they_hold() -> None:
    async with audited_api() as api:
        key = {"clientId": "k1", "clientName": "k", "clientSecret": PLANTED}
        await api.call("POST", "/api/otoroshi.json", {"apiKeys": [key], "routes": [route("r1")]})
        told = {event["action"]: event for event in api.audits}
        assert {"CREATE_ROUTE", "CREATE_APIKEY", "FULL_OTOROSHI_IMPORT"} <= told.keys()
        changes = told["FULL_OTOROSHI_IMPORT"]["metadata"]["changes"]
        assert changes["routes"] == {"created": 1, "updated": 0, "deleted": 0}
        await api.call("GET", "/api/otoroshi.json")
        assert api.audits[-1]["action"] == "FULL_OTOROSHI_EXPORT"
        assert api.audits[-1]["metadata"]["counts"] == {"apiKeys": 1, "routes": 1}
        assert api.alerts[-1] == "OtoroshiExportAlert"
        assert PLANTED not in json.dumps(api.events)


async def test_every_write_of_a_large_import_is_told_with_what_was_there() -> None:
    async with audited_api() as api:
        many = [route(f"r{n}") for n in range(MOST_READ_ALONE)]
        await api.call("POST", "/api/otoroshi.json", {"routes": many})
        changed = [route("new"), route("r1", name="changed"), route("r2")]
        await api.call("POST", "/api/otoroshi.json", {"routes": changed})
        told = {
            (event["action"], event["metadata"]["id"]): event["metadata"]
            for event in api.audits[-(MOST_READ_ALONE + 1) :]
            if event["action"].endswith("_ROUTE")
        }
        assert len(told) == MOST_READ_ALONE, "r2 was not written"
        assert told["CREATE_ROUTE", "new"]["before"] is None
        assert told["UPDATE_ROUTE", "r1"]["before"]["name"] == "route r1"
        assert told["UPDATE_ROUTE", "r1"]["after"]["name"] == "changed"
        assert told["DELETE_ROUTE", "r99"]["before"]["id"] == "r99"


async def test_a_user_is_told_as_who_acted_and_logins_are_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "COST", 4)
    ann = {"username": "ann", "password": "ann's password"}
    async with audited_api() as api:
        await api.call("POST", "/api/admins/simple", {**ann, "label": "Ann"})
        async with httpx.AsyncClient(base_url=api.served.server.url) as browser:
            wrong = await browser.post("/bo/simple/login", json={**ann, "password": "no"})
            assert wrong.status_code == 401
            assert (await browser.post("/bo/simple/login", json=ann)).status_code == 200
            assert (await browser.post(ROUTES, json=route())).status_code == 201
            assert (await browser.delete("/bo/simple/session")).status_code == 200
        by_action = {event["action"]: event for event in api.audits}
        made = by_action["CREATE_ROUTE"]
        assert made["user"] == {"name": "Ann", "email": "ann", "type": "USER"}
        assert made["apiKey"] is None
        assert by_action["CREATE_ADMINS"]["user"]["type"] == "APIKEY"
        assert by_action["ADMIN_LOGIN_FAILED"]["metadata"]["username"] == "ann"
        assert api.alerts == ["AdminLoggedInAlert", "AdminLoggedOutAlert"]
        told = json.dumps(api.events)
        assert ann["password"] not in told
        assert "$2b$" not in told
