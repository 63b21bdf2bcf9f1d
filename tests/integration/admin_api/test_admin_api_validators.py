"""Entity validators: whose writes they judge, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from oto_trio.control.admin_api.admins import passwords
from oto_trio.control.admin_api.rights.caller import Caller
from oto_trio.control.admin_api.rights.decisions import Rights
from oto_trio.control.admin_api.rights.validators import EntityValidators, validator_problem
from oto_trio.control.store import Put
from oto_trio.model.rights import SUPER_ADMIN
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANN = {"username": "ann@acme.io", "password": "pw"}
DOMAIN = {
    "path": "$.frontend.domains[0]",
    "value": "Wildcard(*.acme.io)",
    "error": "use a domain of acme.io",
}
OWNER = {"kind": "json-path-validator", "path": "$.metadata.owner", "value": "IsDefined()"}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(entity_validators={"all": (OWNER,)}) as api:
        yield api


async def log_in(served: Served, browser: httpx.AsyncClient, **validators: Any) -> None:
    path = f"/api/admins/simple/{ANN['username']}"
    assert (await served.call("POST", "/api/admins/simple", ANN)).status_code == 200
    document = (await served.call("GET", path)).json()
    changed = {**document, "adminEntityValidators": validators}
    assert (await served.call("PUT", path, changed)).status_code == 200
    assert (await browser.post("/bo/simple/login", json=ANN)).status_code == 200


async def test_they_judge_what_a_user_writes_in_both_dialects(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as browser:
        await log_in(served, browser, Route=[DOMAIN])
        generic = "/apis/proxy.otoroshi.io/v1/routes"
        wrong = await browser.post(generic, json=route_document("r1"))
        assert wrong.status_code == 400
        assert wrong.json()["error"] == "bad_request"
        assert wrong.json()["error_description"] == ["use a domain of acme.io"]
        good = route_document(
            "r1", frontend={"domains": ["api.acme.io"]}, metadata={"owner": "ann"}
        )
        nobody: dict[str, Any] = {**good, "metadata": {}}
        answer = await browser.post(generic, json=nobody)
        assert answer.json()["error_description"] == "entity validation failed"
        legacy = await browser.post("/api/routes", json=nobody)
        assert (legacy.status_code, legacy.json()["error"]) == (400, "bad_format")
        assert legacy.json()["problems"] == "entity validation failed"
        assert (await browser.post(generic, json=good)).status_code == 201
        patch = [{"op": "remove", "path": "/metadata/owner"}]
        assert (await browser.patch(f"{generic}/r1", json=patch)).status_code == 400
        bulk = await browser.put(
            f"{generic}/_bulk",
            content=msgspec.json.encode(nobody),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert bulk.json()["error_description"] == "entity validation failed"
        stored = (await served.call("GET", "/api/routes/r1")).json()
        assert stored["metadata"]["owner"] == "ann"
        assert (await browser.delete("/api/routes/r1")).status_code == 200
        group = {"id": "g1", "name": "g1", "metadata": {"owner": "ann"}}
        assert (await browser.post("/api/groups", json=group)).status_code == 201


async def test_a_user_does_not_shake_off_his_own(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as browser:
        validators = {"Route": [DOMAIN]}
        await log_in(served, browser, **validators)
        legacy = f"/api/admins/simple/{ANN['username']}"
        generic = "/apis/security.otoroshi.io/v1/admins"
        own: dict[str, Any] = (await browser.get(legacy)).json() | {"metadata": {"owner": "ann"}}
        free: dict[str, Any] = {**own, "adminEntityValidators": {}}
        other: dict[str, Any] = {**free, "username": "bob@acme.io"}
        kind = {"kind": "security.otoroshi.io/SimpleAdminUser"}
        for refused in (
            await browser.put(legacy, json=free),
            await browser.post(generic, json=other),
            await browser.post("/apis/_apply", json=[{**other, **kind}]),
        ):
            assert refused.status_code == 403, refused.text
            assert "validators" in refused.text
        assert (await browser.put(legacy, json=own)).status_code == 200
        key = {
            "clientId": "k",
            "clientSecret": "s",
            "clientName": "k",
            "authorizedEntities": ["group_admin-api-group"],
            "metadata": {"owner": "ann"},
        }
        assert (await browser.post("/api/apikeys", json=key)).status_code == 403
        bob = {"username": "bob@acme.io", "password": "pw", "metadata": {"owner": "ann"}}
        assert (await browser.post("/api/admins/simple", json=bob)).status_code == 200
        made = (await browser.get("/api/admins/simple/bob@acme.io")).json()
        assert made["adminEntityValidators"] == validators, "those of who made him"


async def test_a_plain_key_is_no_user_and_a_key_with_rights_is_one(served: Served) -> None:
    assert (await served.call("POST", "/api/routes", route_document("r1"))).status_code == 201
    rights = msgspec.json.encode([{"tenant": "*:rw", "teams": ["*:rw"]}]).decode()
    key = {
        "clientId": "k",
        "clientSecret": "s",
        "clientName": "k",
        "authorizedEntities": ["group_admin-api-group"],
        "metadata": {"otoroshi-access-rights": rights},
    }
    assert (await served.call("POST", "/api/apikeys", key)).status_code == 201
    refused = await served.call("POST", "/api/routes", route_document("r2"), auth=("k", "s"))
    assert refused.status_code == 400


def _judged(validator: dict[str, Any]) -> str | list[str] | None:
    caller = Caller(rights=Rights(SUPER_ADMIN), validators={"service-group": (validator,)})
    found = EntityValidators().inspect(caller, Put("service-groups", "g", b'{"name":"a"}'))
    return None if found is None else found.description


def test_one_that_cannot_be_used_refuses_everything() -> None:
    assert _judged({"path": "$.name", "value": "a"}) is None
    assert _judged({"path": "$.name", "value": "b"}) == "entity validation failed"
    for wrong, said in (
        ({"kind": "wasm-plugin-validator", "ref": "w"}, "not served"),
        ({"path": "$.name"}, "no value"),
        ({"value": "a"}, "path"),
        ({"path": "$[", "value": "a"}, "path"),
        ({"path": "$.name", "value": "Regex(()"}, "pattern"),
    ):
        described = _judged(wrong)
        assert isinstance(described, list)
        assert said in described[0], described
    assert validator_problem([]) == "it is no object"
