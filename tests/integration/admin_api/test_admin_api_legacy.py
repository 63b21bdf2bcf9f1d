"""The legacy dialect of the admin API, and bulk actions in both."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"


async def test_the_legacy_dialect(served: Served) -> None:
    made = await served.call("POST", "/api/routes", route())
    assert made.status_code == 201
    assert "kind" not in made.json()
    assert made.json()["metadata"] == {}, "no dates in this dialect"
    assert b"\n" not in made.content
    again = await served.call("POST", "/api/routes", route())
    assert (again.status_code, again.json()) == (
        400,
        {"error": "not_found", "error_description": "Entity already exists"},
    )
    read = await served.call("GET", "/api/routes/r1?fields=id,name")
    assert read.json() == {"id": "r1", "name": "route r1"}
    listed = await served.call("GET", "/api/routes?page=1&pageSize=10")
    assert len(listed.json()) == 1
    names = ("X-Count", "X-Offset", "X-Page", "X-Page-Size")
    assert [listed.headers[name] for name in names] == ["1", "0", "1", "10"]
    put = await served.call("PUT", "/api/routes/r1", route(name="renamed"))
    assert (put.status_code, put.json()["name"]) == (200, "renamed")
    patch = [
        {"op": "replace", "path": "/name", "value": "again"},
        {"op": "add", "path": "/id", "value": "x"},
    ]
    patched = await served.call("PATCH", "/api/routes/r1", patch)
    assert (patched.status_code, patched.json()["name"], patched.json()["id"]) == (
        200,
        "again",
        "r1",
    )
    deleted = await served.call("DELETE", "/api/routes/r1")
    assert (deleted.status_code, deleted.json()) == (200, {"deleted": True})


async def test_legacy_refusals(served: Served) -> None:
    for verb, body, expected in (
        ("GET", None, {"error": "not_found", "error_description": "entity not found"}),
        ("PUT", route(), {"error": "not_found", "error_description": "Entity not found"}),
        ("PATCH", [], {"error": "not_found", "error_description": "Entity not found"}),
        ("DELETE", None, {"error": "delete_error", "error_description": "Entity not found"}),
    ):
        answer = await served.call(verb, "/api/routes/none", body)
        assert (answer.status_code, answer.json()) == (404, expected)
    bad = await served.call("POST", "/api/routes", {"id": "r", "name": 3})
    assert bad.status_code == 400
    assert bad.json()["error"] == "bad_format"
    assert bad.json()["error_description"] == "Bad entity format"
    assert bad.json()["problems"][0]["path"] == "$.name"


async def test_legacy_templates_copy_the_query(served: Served) -> None:
    template = (await served.call("GET", "/api/routes/_template?name=mine&rawPassword=x")).json()
    assert template["name"] == "mine"
    assert "rawPassword" not in template


def ndjson(*lines: Any) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


async def bulk(served: Served, verb: str, path: str, body: bytes, **headers: str) -> list[Any]:
    headers.setdefault("Content-Type", "application/x-ndjson")
    answer = await served.call(verb, path, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_generic_bulk(served: Served) -> None:
    path = f"{ROUTES}/_bulk"
    made = await bulk(
        served, "POST", path, ndjson(route("a"), route("b"), {"id": "c"}) + b"junk\n\n[1]\n"
    )
    assert made[:2] == [
        {"status": 201, "created": True, "id": "a", "id_field": "id"},
        {"status": 201, "created": True, "id": "b", "id_field": "id"},
    ]
    assert (made[2]["status"], made[2]["error"], made[2]["entity"]) == (
        400,
        "bad_request",
        {"id": "c"},
    )
    assert "$.name" in made[2]["error_description"][0]
    assert len(made) == 3, "lines that are no object are left out"
    again = await bulk(served, "POST", path, ndjson(route("a")))
    assert (again[0]["status"], again[0]["error_description"]) == (400, "entity already exists")
    put = await bulk(served, "PUT", path, ndjson(route("a", name="A"), route("none"), {"x": 1}))
    assert put[0] == {"status": 200, "updated": True, "id": "a", "id_field": "id"}
    assert (put[1]["status"], put[1]["error_description"]) == (404, "entity does not exists")
    assert put[2]["status"] == 400
    patch = [{"op": "replace", "path": "/name", "value": "AA"}]
    patched = await bulk(
        served,
        "PATCH",
        path,
        ndjson(
            {"id": "a", "patch": patch}, {"id": "none", "patch": patch}, {"id": "a", "patch": 1}
        ),
    )
    assert [line["status"] for line in patched] == [200, 400, 400]
    assert patched[1]["error"] == "bad_entity"
    assert (await served.call("GET", f"{ROUTES}/a")).json()["name"] == "AA"
    deleted = await bulk(served, "DELETE", path, ndjson({"id": "a"}, {"id": "none"}))
    assert deleted[0] == {"status": 200, "deleted": True, "id": "a", "id_field": "id"}
    assert deleted[1]["status"] == 404


async def test_legacy_bulk(served: Served) -> None:
    made = await bulk(served, "POST", "/api/routes/_bulk", ndjson(route("a"), {"id": 3}))
    assert made[0] == {"status": 201, "created": True, "id": "a"}
    assert (made[1]["status"], made[1]["id"]) == (400, "")
    headers = {"Content-Type": "application/json", "X-Content-Type": "application/x-ndjson"}
    deleted = await bulk(served, "DELETE", "/api/routes/_bulk", ndjson({"id": "a"}), **headers)
    assert deleted == [{"status": 200, "deleted": True, "id": "a"}]


async def test_bulk_lines_may_be_handled_together_and_keep_their_order(served: Served) -> None:
    body = ndjson(*(route(f"r{n:03}") for n in range(100)))
    made = await bulk(served, "POST", f"{ROUTES}/_bulk?_group=9", body)
    assert [line["id"] for line in made] == [f"r{n:03}" for n in range(100)]
    assert {line["status"] for line in made} == {201}


async def test_bulk_needs_its_content_type(served: Served) -> None:
    for path in (f"{ROUTES}/_bulk", "/api/routes/_bulk"):
        refused = await served.call("POST", path, route())
        assert refused.status_code == 400
        assert refused.json()["error"] == "bad_content_type"
    bad = await served.call(
        "POST",
        f"{ROUTES}/_bulk?_group=99",
        content=b"",
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert bad.status_code == 400
