"""API keys in the admin API: both dialects, the paths under their owners, bearers, templates."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from oto_trio.model.api_key import api_key_bearer
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route

KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
PAST_MS = 1_000_000
FUTURE_MS = 32_503_680_000_000


def key(client_id: str = "c1", **more: Any) -> dict[str, Any]:
    return {"clientId": client_id, "clientSecret": "s1", "clientName": f"key {client_id}", **more}


async def test_the_generic_dialect_answers_bearers_and_the_legacy_one_does_not(
    served: Served,
) -> None:
    made = await served.call("POST", KEYS, key(authorizedGroup="g"))
    assert made.status_code == 201
    document = made.json()
    assert document["bearer"] == api_key_bearer("c1", "s1")
    assert document["kind"] == "apim.otoroshi.io/Apikey"
    assert document["authorizedEntities"] == ["group_g"]
    assert "created_at" in document["metadata"]
    again = await served.call("POST", KEYS, key())
    assert again.status_code == 401
    one = (await served.call("GET", f"{KEYS}/c1")).json()
    assert one["bearer"] == document["bearer"]
    (listed,) = (await served.call("GET", KEYS)).json()
    assert listed["bearer"] == document["bearer"]
    legacy = (await served.call("GET", "/api/apikeys/c1")).json()
    assert "bearer" not in legacy
    assert "kind" not in legacy
    put = await served.call("PUT", f"{KEYS}/c1", {**one, "description": "sent back whole"})
    assert (put.status_code, put.json()["description"]) == (200, "sent back whole")
    stored = await served.store.get("apikeys", "c1")
    assert stored is not None
    assert b"otoapk_" not in stored.document, "a bearer is answered, never stored"


async def test_there_is_no_bearer_of_a_secret_that_only_a_vault_knows(served: Served) -> None:
    made = await served.call("POST", KEYS, key(clientSecret="${vault://env/CI_SECRET}"))
    assert made.status_code == 201
    refused = await served.call("GET", "/api/apikeys/c1/bearer")
    assert refused.status_code == 400
    assert "in a vault" in refused.text


async def test_the_bearer_of_the_next_secret_is_answered_in_the_grace_period(
    served: Served,
) -> None:
    rotation = {"enabled": True, "nextSecret": "s2"}
    made = await served.call("POST", KEYS, key(rotation=rotation))
    assert made.json()["rotation"]["bearer"] == api_key_bearer("c1", "s2")
    bearers = (await served.call("GET", "/api/apikeys/c1/bearer?newSecret=s3")).json()
    assert bearers == {
        "bearer": api_key_bearer("c1", "s1"),
        "bearer_next": api_key_bearer("c1", "s2"),
        "bearer_new": api_key_bearer("c1", "s3"),
    }
    missing = await served.call("GET", "/api/apikeys/none/bearer")
    assert (missing.status_code, missing.json()) == (
        404,
        {"error": "ApiKey with clientId 'none' not found"},
    )


async def test_an_expired_key_reads_as_disabled(served: Served) -> None:
    await served.call("POST", KEYS, key("old", validUntil=PAST_MS))
    await served.call("POST", KEYS, key("new", validUntil=FUTURE_MS))
    for path in (KEYS, "/api/apikeys"):
        assert (await served.call("GET", f"{path}/old")).json()["enabled"] is False
        assert (await served.call("GET", f"{path}/new")).json()["enabled"] is True
    assert [
        k["clientId"] for k in (await served.call("GET", f"{KEYS}?filter.enabled=false")).json()
    ] == ["old"]


async def test_a_key_without_secret_is_refused_and_one_without_id_gets_one(served: Served) -> None:
    refused = await served.call("POST", KEYS, {"clientId": "x", "clientName": "x"})
    assert refused.status_code == 400
    assert refused.json()["problems"][0]["path"] == "$.clientSecret"
    assert "s1" not in refused.text
    made = await served.call("POST", KEYS, {"clientSecret": "s1", "clientName": "x"})
    assert len(made.json()["clientId"]) == 16
    refused = await served.call("POST", KEYS, key("_bulk"))
    assert refused.json()["problems"][0]["path"] == "$.clientId"


async def test_bulk_names_the_id_field_of_keys(served: Served) -> None:
    text = b"".join(msgspec.json.encode(key(name)) + b"\n" for name in ("a", "b"))
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await served.call("POST", f"{KEYS}/_bulk", content=text, headers=headers)
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"status": 201, "created": True, "id": name, "id_field": "clientId"} for name in ("a", "b")
    ]
    line = msgspec.json.encode({"clientId": "a", "patch": [{"op": "remove", "path": "/tags"}]})
    answer = await served.call("PATCH", f"{KEYS}/_bulk", content=line, headers=headers)
    assert json.loads(answer.text)["updated"] is True


async def test_templates(served: Served) -> None:
    generic = (await served.call("GET", f"{KEYS}/_template")).json()
    assert generic["authorizedEntities"] == []
    for path in ("/api/apikeys/_template", "/api/new/apikey"):
        assert (await served.call("GET", path)).json()["authorizedEntities"] == ["group_default"]
        mine = (await served.call("GET", f"{path}?groupId=g1&clientName=mine")).json()
        assert mine["authorizedEntities"] == ["group_g1"]
        assert mine["clientName"] == "mine"
        assert len(mine["clientSecret"]) == 64


async def test_the_keys_of_a_route(served: Served) -> None:
    missing = await served.call("GET", "/api/routes/r1/apikeys")
    assert (missing.status_code, missing.json()) == (
        404,
        {"error": "Route with id: 'r1' not found"},
    )
    await served.call("POST", "/api/routes", route())
    made = await served.call("POST", "/api/routes/r1/apikeys", {"clientName": "mine"})
    assert made.status_code == 201
    document = made.json()
    assert document["authorizedEntities"] == ["route_r1"]
    assert len(document["clientId"]) == 16
    assert len(document["clientSecret"]) == 64
    path = f"/api/routes/r1/apikeys/{document['clientId']}"
    again = await served.call("POST", "/api/routes/r1/apikeys", document)
    assert (again.status_code, again.json()) == (400, {"error": "Apikey already exists"})
    bad = await served.call("POST", "/api/routes/r1/apikeys", {"clientName": 3})
    assert bad.status_code == 400
    assert bad.json()["error"] == "Bad ApiKey format"
    assert bad.json()["problems"][0]["path"] == "$.clientName"
    assert (await served.call("GET", path)).json() == document
    put = await served.call("PUT", path, {**document, "description": "put"})
    assert put.json()["description"] == "put"
    patch = [{"op": "replace", "path": "/enabled", "value": False}]
    assert (await served.call("PATCH", path, patch)).json()["enabled"] is False
    await served.call("POST", "/api/routes", route("r2"))
    other = await served.call("GET", f"/api/routes/r2/apikeys/{document['clientId']}")
    assert other.status_code == 404, "it may not call that one"
    assert (await served.call("DELETE", path)).json() == {"deleted": True}
    assert (await served.call("GET", path)).status_code == 404


async def test_the_keys_of_a_group_and_their_filters(served: Served) -> None:
    for name in ("a", "b", "c"):
        body = key(name, enabled=name != "c")
        assert (await served.call("POST", "/api/groups/g/apikeys", body)).status_code == 201
    await served.call("POST", "/api/groups/other/apikeys", key("z"))

    async def listed(query: str) -> list[str]:
        answer = await served.call("GET", f"/api/groups/g/apikeys{query}")
        return [k["clientId"] for k in answer.json()]

    assert await listed("") == ["a", "b", "c"]
    assert await listed("?clientId=a&enabled=false") == ["a", "c"], "one filter is enough"
    assert await listed("?name=key%20b") == ["b"]
    assert await listed("?group=other") == []
    assert await listed("?page=2&pageSize=2") == ["c"]


async def test_waiting_until_a_key_is_live(served: Served) -> None:
    waiting = "?wait=applied&timeout=20"
    late = await served.call("POST", f"/api/groups/g/apikeys{waiting}", key())
    assert late.status_code == 504
    assert served.gateway.waits
