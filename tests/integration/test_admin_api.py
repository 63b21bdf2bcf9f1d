"""The admin API over real sockets: both dialects, status by status."""

from __future__ import annotations

import base64
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio
import yaml

from oto_trio.control.admin_api import AdminServer, build_app, serve_admin_api
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore, Store
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oto_trio.model.document import Document

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
BACKENDS = "/apis/proxy.otoroshi.io/v1/backends"
GLOBAL = "/apis/config.otoroshi.io/v1/global-configs"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def refuse_bad_routes(entity: Document) -> list[Problem]:
    """A gateway that cannot serve routes whose name is "bad", and is unsure about "odd"."""
    if isinstance(entity, Route) and entity.name == "bad":
        return [Problem("$.frontend.domains[0]", "is no domain", "write host/path")]
    if isinstance(entity, Route) and entity.name == "odd":
        return [Problem("$.plugins[0]", "does nothing", "remove it", "warning")]
    return []


class Served:
    """A served admin API, its parts, and a client with the API key."""

    def __init__(
        self,
        store: Store,
        gateway: FakeGatewayControl,
        server: AdminServer,
        client: httpx.AsyncClient,
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.server = server
        self.client = client

    async def call(self, verb: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Send a request; `body` goes as JSON."""
        if body is not None:
            options["content"] = msgspec.json.encode(body)
            options.setdefault("headers", {}).setdefault("Content-Type", "application/json")
        return await self.client.request(verb, path, **options)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    gateway = FakeGatewayControl(refuse_bad_routes)
    shutdown = trio.Event()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        await bootstrap(store)
        app = build_app(store, [DEV_CREDENTIALS], gateway, **options)

        async def run(task_status: trio.TaskStatus[AdminServer]) -> None:
            await serve_admin_api(app, shutdown=shutdown, task_status=task_status)

        server = await nursery.start(run)
        key = (DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret)
        async with httpx.AsyncClient(base_url=server.url, auth=key) as client:
            yield Served(store, gateway, server, client)
        shutdown.set()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as api:
        yield api


def route(entity_id: str = "r1", **more: Any) -> dict[str, Any]:
    return {
        "id": entity_id,
        "name": f"route {entity_id}",
        "frontend": {"domains": ["api.localhost/users"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": 9000}]},
        **more,
    }


# ------------------------------------------------------------------------------- generic dialect


async def test_a_route_lives_its_life(served: Served) -> None:
    made = await served.call("POST", ROUTES, route())
    assert made.status_code == 201
    document = made.json()
    assert document["kind"] == "proxy.otoroshi.io/Route"
    assert document["enabled"] is True, "defaults are filled in"
    assert STAMP.fullmatch(document["metadata"]["created_at"])
    assert made.headers["X-Pages"] == "-1"
    assert made.headers["Oto-Trio-Revision"] == str(served.store.revision)

    read = await served.call("GET", f"{ROUTES}/r1")
    assert (read.status_code, read.json()) == (200, document)

    put = await served.call("PUT", f"{ROUTES}/r1", route("ignored", name="renamed"))
    assert put.status_code == 200
    assert (put.json()["id"], put.json()["name"]) == ("r1", "renamed")
    assert STAMP.fullmatch(put.json()["metadata"]["updated_at"])

    patch = [{"op": "replace", "path": "/enabled", "value": False}]
    patched = await served.call("PATCH", f"{ROUTES}/r1", patch)
    assert patched.status_code == 200
    assert (patched.json()["enabled"], patched.json()["name"]) == (False, "renamed")

    deleted = await served.call("DELETE", f"{ROUTES}/r1")
    assert deleted.status_code == 200
    assert deleted.json()["name"] == "renamed", "the answer is what was deleted"
    gone = await served.call("GET", f"{ROUTES}/r1")
    assert gone.status_code == 404
    assert gone.json() == {
        "error": "not_found",
        "error_description": "resource not found",
        "kind": "proxy.otoroshi.io/Route",
    }


async def test_json_is_pretty_unless_asked_otherwise(served: Served) -> None:
    await served.call("POST", ROUTES, route())
    for path in (ROUTES, f"{ROUTES}/r1"):
        pretty = await served.call("GET", path)
        compact = await served.call("GET", f"{path}?pretty=false")
        assert b'\n  "' in pretty.content or b'\n    "' in pretty.content
        assert b"\n" not in compact.content
        assert pretty.json() == compact.json()


async def test_an_envelope_is_put_around(served: Served) -> None:
    await served.call("POST", ROUTES, route())
    one = (await served.call("GET", f"{ROUTES}/r1?envelope=true")).json()
    many = (await served.call("GET", f"{ROUTES}?envelope=true")).json()
    assert list(one) == list(many) == ["data"]
    assert one["data"]["kind"] == many["data"][0]["kind"] == "proxy.otoroshi.io/Route"


async def test_an_id_is_made_when_there_is_none(served: Served) -> None:
    body = route()
    del body["id"]
    made = await served.call("POST", ROUTES, body)
    assert made.status_code == 201
    assert re.fullmatch(r"route_[0-9a-f-]{37}", made.json()["id"])


async def test_creating_what_exists_and_updating_what_does_not(served: Served) -> None:
    await served.call("POST", ROUTES, route())
    again = await served.call("POST", ROUTES, route())
    assert again.status_code == 401
    assert again.json()["error_description"] == "resource already exists"
    missing = await served.call("PUT", f"{ROUTES}/none", route())
    assert missing.status_code == 401
    assert missing.json()["error_description"] == "resource does not exists"
    for verb, body in (("GET", None), ("DELETE", None), ("PATCH", [])):
        assert (await served.call(verb, f"{ROUTES}/none", body)).status_code == 404
    assert (await served.call("GET", f"{ROUTES}/_count")).json()["count"] == 1


async def test_an_upsert_tells_whether_anything_changed(served: Served) -> None:
    first = await served.call("POST", f"{ROUTES}/r9", route("other"))
    assert first.status_code == 201
    assert first.json()["id"] == "r9", "the path's id wins"
    assert "Otoroshi-Entity-Updated" not in first.headers
    assert "updated_at" in first.json()["metadata"]
    stored = {k: v for k, v in first.json().items() if k != "kind"}
    same = await served.call("POST", f"{ROUTES}/r9", stored)
    assert (same.status_code, same.headers["Otoroshi-Entity-Updated"]) == (200, "true")
    other = await served.call("POST", f"{ROUTES}/r9", route("r9", name="new"))
    assert (other.status_code, other.headers["Otoroshi-Entity-Updated"]) == (200, "false")


async def test_lists_are_paged_filtered_sorted_and_projected(served: Served) -> None:
    for n in range(7):
        await served.call("POST", ROUTES, route(f"r{n}", name="even" if n % 2 == 0 else "odd one"))
    page = await served.call("GET", f"{ROUTES}?page=2&pageSize=3")
    assert [r["id"] for r in page.json()] == ["r3", "r4", "r5"]
    assert page.headers["X-Pages"] == "3"
    assert all(r["kind"] == "proxy.otoroshi.io/Route" for r in page.json())
    odd = await served.call("GET", f"{ROUTES}?filter.name=odd one&sorted=id:false&pageSize=2")
    assert [r["id"] for r in odd.json()] == ["r5", "r3"]
    assert odd.headers["X-Pages"] == "2"
    fields = await served.call("GET", f"{ROUTES}?fields=id,frontend.domains&pageSize=1")
    assert fields.json() == [
        {
            "id": "r0",
            "frontend": {"domains": ["api.localhost/users"]},
            "kind": "proxy.otoroshi.io/Route",
        }
    ]
    count = await served.call("GET", f"{ROUTES}/_count?filter.name=even")
    assert count.json()["count"] == 4
    bad = await served.call("GET", f"{ROUTES}?page=zero")
    assert bad.status_code == 400
    assert "page='zero'" in bad.json()["error_description"]


async def test_the_group_and_version_may_be_any(served: Served) -> None:
    await served.call("POST", ROUTES, route())
    for path in ("/apis/any/v1/routes", "/apis/all/all/routes", "/apis/any/any/Route"):
        assert len((await served.call("GET", path)).json()) == 1
    for path in ("/apis/any/v2/routes", "/apis/other.io/v1/routes", "/apis/any/v1/rootes"):
        unknown = await served.call("GET", path)
        assert unknown.status_code == 404
        assert unknown.json()["kind"] == "proxy.otoroshi.io/Unknown"


async def test_the_catalogue_lists_every_resource(served: Served) -> None:
    catalogue = (await served.call("GET", "/apis/entities")).json()
    assert catalogue["version"] == "v1"
    rows = {row["kind"]: row for row in catalogue["resources"]}
    assert list(rows) == ["Route", "Backend", "GlobalConfig"]
    route_row = rows["Route"]
    assert route_row["plural_name"] == "routes"
    assert route_row["singular_name"] == "route"
    assert route_row["group"] == "proxy.otoroshi.io"
    schema = route_row["version"].pop("schema")
    assert route_row["version"] == {
        "name": "v1",
        "served": True,
        "deprecated": False,
        "storage": True,
    }
    assert schema["$ref"] == "#/$defs/Route"
    assert "$unknown" not in json.dumps(schema)
    small = await served.call("GET", "/apis/entities?schema=false")
    assert "schema" not in small.json()["resources"][0]["version"]


async def test_templates_can_be_stored_as_they_are(served: Served) -> None:
    for path, prefix in ((ROUTES, "route_"), (BACKENDS, "backend_")):
        template = (await served.call("GET", f"{path}/_template")).json()
        assert "kind" not in template
        assert template["id"].startswith(prefix)
        assert (await served.call("POST", path, template)).status_code == 201


async def test_the_global_configuration_lays_over_templates(served: Served) -> None:
    over = {"name": "ours", "backend": {"root": "/v1"}}
    patch = [{"op": "add", "path": "/templates/route", "value": over}]
    assert (await served.call("PATCH", f"{GLOBAL}/global", patch)).status_code == 200
    template = (await served.call("GET", f"{ROUTES}/_template")).json()
    assert (template["name"], template["backend"]["root"]) == ("ours", "/v1")
    assert template["backend"]["targets"][0]["hostname"] == "request.otoroshi.io"


async def test_the_schema_describes_every_key(served: Served) -> None:
    schema = (await served.call("GET", f"{ROUTES}/_schema")).json()
    for definition in schema["$defs"].values():
        for name, part in definition["properties"].items():
            assert part.get("description"), f"{definition['title']}.{name}"


async def test_a_body_may_be_yaml_a_patch_form_or_a_form(served: Served) -> None:
    text = yaml.dump(route("y"))
    made = await served.call(
        "POST", ROUTES, content=text, headers={"Content-Type": "application/yaml; charset=utf-8"}
    )
    assert (made.status_code, made.json()["id"]) == (201, "y")
    oto = [{"path": "name", "value": "from patch"}, {"path": "backend.root", "value": "/x"}]
    headers = {"Content-Type": "application/json+oto-patch"}
    made = await served.call("POST", ROUTES, oto, headers=headers)
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["backend"]["root"]) == ("from patch", "/x")
    assert made.json()["backend"]["targets"][0]["hostname"] == "request.otoroshi.io"
    made = await served.call("POST", f"{ROUTES}/f", data={"name": "form", "enabled": "false"})
    assert (made.json()["id"], made.json()["name"], made.json()["enabled"]) == ("f", "form", False)
    patched = await served.call("PATCH", f"{ROUTES}/f", oto, headers=dict(headers))
    assert (patched.json()["name"], patched.json()["enabled"]) == ("from patch", False)
    other = await served.call("POST", ROUTES, content="x", headers={"Content-Type": "text/plain"})
    assert other.status_code == 400
    assert other.json()["error_description"] == "bad content type"


async def test_other_formats_come_when_json_is_not_accepted(served: Served) -> None:
    await served.call("POST", ROUTES, route("a"))
    await served.call("POST", ROUTES, route("b"))

    async def get(path: str, accept: str) -> httpx.Response:
        return await served.call("GET", path, headers={"Accept": accept})

    lines = await get(ROUTES, "application/x-ndjson")
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line)["id"] for line in lines.text.splitlines()] == ["a", "b"]
    listed = await get(ROUTES, "application/yaml")
    assert [r["id"] for r in yaml.safe_load(listed.text)] == ["a", "b"]
    one = await get(f"{ROUTES}/a", "application/yml")
    assert yaml.safe_load(one.text)["id"] == "a"
    wrapped = yaml.safe_load((await get(f"{ROUTES}/a", "application/yaml+k8s")).text)
    assert wrapped["apiVersion"] == "proxy.otoroshi.io/v1"
    assert (wrapped["kind"], wrapped["metadata"]) == ("Route", {"name": "route a"})
    assert wrapped["spec"]["id"] == "a"
    documents = list(yaml.safe_load_all((await get(ROUTES, "application/yaml+k8s")).text))
    assert [d["spec"]["id"] for d in documents] == ["a", "b"]
    both = await get(ROUTES, "application/yaml, application/json")
    assert both.headers["content-type"] == "application/json"


async def test_an_empty_list_is_one_in_every_format(served: Served) -> None:
    for accept, text in (
        ("application/json", "[]"),
        ("application/x-ndjson", ""),
        ("application/yaml", "[]\n"),
    ):
        answer = await served.call("GET", ROUTES, headers={"Accept": accept})
        assert answer.text == text
        assert answer.headers["X-Pages"] == "0"


async def test_long_answers_are_compressed(served: Served) -> None:
    for n in range(20):
        await served.call("POST", ROUTES, route(f"r{n}"))
    answer = await served.call("GET", ROUTES, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()) == 20


async def test_deleting_a_collection_empties_it(served: Served) -> None:
    for n in range(3):
        await served.call("POST", ROUTES, route(f"r{n}"))
    await served.call("POST", BACKENDS, {"id": "b", "name": "b", "backend": {}})
    assert (await served.call("DELETE", ROUTES)).status_code == 204
    assert (await served.call("GET", f"{ROUTES}/_count")).json()["count"] == 0
    assert (await served.call("GET", f"{BACKENDS}/_count")).json()["count"] == 1


async def test_a_route_shows_the_backend_it_refers_to(served: Served) -> None:
    backend = {"targets": [{"hostname": "h", "port": 1}], "root": "/shared"}
    await served.call("POST", BACKENDS, {"id": "b", "name": "b", "backend": backend})
    await served.call("POST", ROUTES, route("r", backend_ref="b"))
    await served.call("POST", ROUTES, route("dangling", backend_ref="none"))
    one = (await served.call("GET", f"{ROUTES}/r")).json()
    assert one["backend"]["root"] == "/shared"
    listed = {r["id"]: r for r in (await served.call("GET", ROUTES)).json()}
    assert listed["r"]["backend"]["targets"][0]["hostname"] == "h"
    assert listed["dangling"]["backend"]["targets"][0]["hostname"] == "127.0.0.1"
    legacy = (await served.call("GET", "/api/routes/r")).json()
    assert legacy["backend"]["root"] == "/shared"


# ------------------------------------------------------------------------- the global configuration


async def test_there_is_one_global_configuration(served: Served) -> None:
    listed = (await served.call("GET", GLOBAL)).json()
    assert len(listed) == 1
    assert listed[0]["kind"] == "config.otoroshi.io/GlobalConfig"
    by_any_id = (await served.call("GET", f"{GLOBAL}/{listed[0]['otoroshiId']}")).json()
    assert by_any_id == listed[0]
    changed = {**listed[0], "maintenanceMode": True, "id": "ignored"}
    assert (await served.call("POST", f"{GLOBAL}/whatever", changed)).status_code == 200
    read = (await served.call("GET", "/api/globalconfig")).json()
    assert read["maintenanceMode"] is True
    assert "id" not in read
    assert "kind" not in read
    for verb, path in (
        ("POST", GLOBAL),
        ("DELETE", GLOBAL),
        ("DELETE", f"{GLOBAL}/global"),
        ("POST", f"{GLOBAL}/_bulk"),
    ):
        refused = await served.call(verb, path, {})
        assert refused.status_code == 401
        assert refused.json()["error_description"] == "you cannot do that"


async def test_the_legacy_global_configuration_is_put_and_patched(served: Served) -> None:
    config = (await served.call("GET", "/api/globalconfig")).json()
    config["tlsSettings"]["clientAuth"] = "Want"
    put = await served.call("PUT", "/api/globalconfig", config)
    assert (put.status_code, put.json()["tlsSettings"]["clientAuth"]) == (200, "Want")
    patch = [{"op": "replace", "path": "/lines", "value": ["a", "b"]}]
    patched = await served.call("PATCH", "/api/globalconfig", patch)
    assert (patched.status_code, patched.json()["lines"]) == (200, ["a", "b"])
    assert patched.json()["otoroshiId"] == config["otoroshiId"]
    fields = await served.call("GET", "/api/globalconfig?fields=lines")
    assert fields.json() == {"lines": ["a", "b"]}
    bad = await served.call("PUT", "/api/globalconfig", [])
    assert bad.status_code == 400


async def test_a_read_only_api_refuses_writes_but_can_be_opened_again(served: Served) -> None:
    def patch(value: bool) -> list[dict[str, Any]]:
        return [{"op": "replace", "path": "/apiReadOnly", "value": value}]

    await served.call("PATCH", "/api/globalconfig", patch(True))
    for verb, path, body in (
        ("POST", ROUTES, route()),
        ("POST", "/api/routes", route()),
        ("PUT", f"{ROUTES}/r1", route()),
        ("DELETE", f"{ROUTES}/r1", None),
        ("DELETE", ROUTES, None),
    ):
        refused = await served.call(verb, path, body)
        assert refused.status_code == 401
        assert "read-only" in refused.text
    assert (await served.call("GET", ROUTES)).status_code == 200
    await served.call("PATCH", "/api/globalconfig", patch(False))
    assert (await served.call("POST", ROUTES, route())).status_code == 201


# --------------------------------------------------------------------------------- legacy dialect


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


# ------------------------------------------------------------------------------------------- bulk


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


# -------------------------------------------------------------------- waiting, warnings, refusals


async def test_a_write_waits_until_it_is_live(served: Served) -> None:
    answered = trio.Event()

    async def write() -> None:
        answer = await served.call("POST", f"{ROUTES}?wait=applied", route())
        assert answer.status_code == 201
        assert answer.headers["Oto-Trio-Applied"] == "true"
        answered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        with trio.fail_after(5):
            await served.gateway.waited.wait()
        assert not answered.is_set()
        revision = served.gateway.waits[0]
        assert revision == served.store.revision
        served.gateway.apply(revision)
    assert answered.is_set()


async def test_a_write_that_is_not_live_in_time_says_so_and_is_kept(served: Served) -> None:
    answer = await served.call("POST", f"{ROUTES}?wait=applied&timeout=20", route())
    assert answer.status_code == 504
    assert answer.json()["error"] == "not_applied_in_time"
    assert answer.json()["revision"] == served.store.revision
    assert "stored" in answer.json()["error_description"]
    assert (await served.call("GET", f"{ROUTES}/r1")).status_code == 200


async def test_every_kind_of_write_can_wait(served: Served) -> None:
    served.gateway.apply(1_000_000)
    headers = {"Content-Type": "application/x-ndjson"}
    writes: list[tuple[str, str, Any]] = [
        ("POST", ROUTES, route("a")),
        ("POST", f"{ROUTES}/a", route("a")),
        ("PUT", f"{ROUTES}/a", route("a")),
        ("PATCH", f"{ROUTES}/a", []),
        ("DELETE", f"{ROUTES}/a", None),
        ("DELETE", ROUTES, None),
        ("POST", "/api/routes", route("a")),
        ("PUT", "/api/routes/a", route("a")),
        ("PATCH", "/api/routes/a", []),
        ("DELETE", "/api/routes/a", None),
        ("PATCH", "/api/globalconfig", []),
    ]
    for verb, path, body in writes:
        answer = await served.call(verb, f"{path}?wait=applied", body)
        assert answer.headers["Oto-Trio-Applied"] == "true", (verb, path)
    answer = await served.call(
        "POST", f"{ROUTES}/_bulk?wait=applied", content=ndjson(route("a")), headers=headers
    )
    assert answer.headers["Oto-Trio-Applied"] == "true"
    assert len(served.gateway.waits) == len(writes) + 1


@pytest.mark.parametrize(
    "query", ["wait=yes", "wait=applied&timeout=0", "timeout=x", "timeout=99999999"]
)
async def test_a_wait_that_is_not_understood_changes_nothing(served: Served, query: str) -> None:
    before = served.store.revision
    answer = await served.call("POST", f"{ROUTES}?{query}", route())
    assert answer.status_code == 400
    assert served.store.revision == before


async def test_a_route_that_cannot_be_served_is_refused_and_changes_nothing(served: Served) -> None:
    await served.call("POST", ROUTES, route("good"))
    before = served.store.revision
    for verb, path, body in (
        ("POST", ROUTES, route("r", name="bad")),
        ("PUT", f"{ROUTES}/good", route("good", name="bad")),
        ("PATCH", f"{ROUTES}/good", [{"op": "replace", "path": "/name", "value": "bad"}]),
        ("POST", f"{ROUTES}/good", route("good", name="bad")),
    ):
        refused = await served.call(verb, path, body)
        assert refused.status_code == 400
        assert refused.json()["problems"] == [
            {"path": "$.frontend.domains[0]", "message": "is no domain", "fix": "write host/path"}
        ]
        assert refused.json()["error_description"] == [
            "$.frontend.domains[0]: is no domain; write host/path"
        ]
    assert served.store.revision == before


async def test_warnings_are_told_and_refuse_when_asked_to_be_strict(served: Served) -> None:
    lax = await served.call("POST", ROUTES, route("a", name="odd", enabled="yes"))
    assert lax.status_code == 201
    assert lax.json()["enabled"] is True
    assert "$.enabled: expected true or false" in lax.headers["Oto-Trio-Warnings"]
    assert "$.plugins[0]: does nothing" in lax.headers["Oto-Trio-Warnings"]
    strict = await served.call("POST", f"{ROUTES}?strict=true", route("b", enabled="yes"))
    assert strict.status_code == 400
    assert [p["path"] for p in strict.json()["problems"]] == ["$.enabled"]
    checked = await served.call("POST", f"{ROUTES}?strict=true", route("b", name="odd"))
    assert checked.status_code == 400


@pytest.mark.parametrize("entity_id", ["_bulk", "_count", "a\nb", " a", "x" * 600, "\u202ea"])
async def test_an_id_that_cannot_be_used_is_named(served: Served, entity_id: str) -> None:
    refused = await served.call("POST", ROUTES, route(entity_id))
    assert refused.status_code == 400
    assert [p["path"] for p in refused.json()["problems"]] == ["$.id"]


@pytest.mark.parametrize("entity_id", ["a b", "a/b", "é", "a%2Fb", "..", "a?b#c", "cp:x.Y"])
async def test_any_visible_id_can_be_reached(served: Served, entity_id: str) -> None:
    assert (await served.call("POST", ROUTES, route(entity_id))).status_code == 201
    quoted = httpx.URL("http://x").copy_with(params={"": entity_id}).query.decode()[1:]
    path = f"{ROUTES}/{quoted.replace('+', '%20').replace('..', '%2E%2E')}"
    read = await served.call("GET", path)
    assert (read.status_code, read.json().get("id")) == (200, entity_id)
    assert (await served.call("DELETE", path)).status_code == 200


async def test_two_writers_of_one_route_lose_nothing(served: Served) -> None:
    await served.call("POST", ROUTES, route("r", metadata={}))

    async def add(n: int) -> None:
        patch = [{"op": "add", "path": f"/metadata/k{n}", "value": "v"}]
        while True:
            answer = await served.call("PATCH", "/api/routes/r", patch)
            if answer.status_code == 200:
                return
            assert answer.status_code == 409

    async with trio.open_nursery() as nursery:
        for n in range(12):
            nursery.start_soon(add, n)
    read = await served.call("GET", "/api/routes/r")
    assert {f"k{n}" for n in range(12)} <= set(read.json()["metadata"])


# ------------------------------------------------------------------------------ access and errors


async def test_everything_but_probes_needs_the_key(served: Served) -> None:
    paths = ["/", ROUTES, "/api/routes", "/apis/entities", "/none", "/api/globalconfig", "/healthz"]
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        for path in paths:
            for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                answer = await stranger.request(verb, path)
                assert answer.status_code == 400, (verb, path)
                assert answer.json() == {
                    "error": "errors.no.api.key",
                    "error_description": "no apikey",
                }
                assert answer.headers["Otoroshi-Error"] == "true"
                assert answer.headers["Otoroshi-Error-Msg"] == "no apikey"
                assert answer.headers["Otoroshi-Error-Cause"] == "errors.no.api.key"
    assert served.store.revision == 1


async def test_keys_that_are_wrong(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        bad = await stranger.get(ROUTES, auth=(DEV_CREDENTIALS.client_id, "wrong"))
        assert (bad.status_code, bad.json()["error"]) == (401, "errors.bad.api.key")
        unknown = await stranger.get(ROUTES, auth=("someone", DEV_CREDENTIALS.client_secret))
        assert (unknown.status_code, unknown.json()["error"]) == (
            400,
            "errors.invalid.api.key.tuple",
        )
        page = await stranger.get(ROUTES, headers={"Accept": "text/html"})
        assert page.status_code == 400
        assert page.headers["content-type"].startswith("text/html")
        assert "no apikey" in page.text


async def test_the_key_comes_in_two_headers_or_without_padding(served: Served) -> None:
    pair = f"{DEV_CREDENTIALS.client_id}:{DEV_CREDENTIALS.client_secret}".encode()
    ways = [
        {"Authorization": "Basic " + base64.b64encode(pair).decode().rstrip("=")},
        {"Otoroshi-Authorization": "Basic " + base64.urlsafe_b64encode(pair).decode()},
        {
            "Otoroshi-Client-Id": DEV_CREDENTIALS.client_id,
            "Otoroshi-Client-Secret": DEV_CREDENTIALS.client_secret,
        },
    ]
    async with httpx.AsyncClient(base_url=served.server.url) as client:
        for headers in ways:
            assert (await client.get(ROUTES, headers=headers)).status_code == 200


async def test_the_state_header_is_echoed_on_every_answer(served: Served) -> None:
    for path in (ROUTES, "/none", "/health"):
        with_state = await served.call("GET", path, headers={"Otoroshi-State": "abc"})
        assert with_state.headers["Otoroshi-State-Resp"] == "abc"
        assert (await served.call("GET", path)).headers["Otoroshi-State-Resp"] == "--"


async def test_an_unknown_path_and_an_unknown_verb(served: Served) -> None:
    unknown = await served.call("GET", "/api/nothing?x=<script>")
    assert unknown.status_code == 404
    assert unknown.json() == {
        "error": "errors.client.error",
        "error_description": "Client Error: an error occurred on /api/nothing (404)",
    }
    verb = await served.call("PUT", ROUTES, {})
    assert verb.status_code == 405
    assert "POST" in verb.headers["Allow"]


async def test_a_closed_store_is_503_and_tells_nothing_secret(served: Served) -> None:
    await served.store.aclose()
    answer = await served.call("GET", ROUTES)
    assert answer.status_code == 503
    assert answer.json()["error"] == "errors.store.closed"
    health = await served.call("GET", "/health")
    assert health.status_code == 503
    assert health.json()["datastore"] == "unreachable"


# ----------------------------------------------------------------------------------------- probes


async def test_probes_need_no_key(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        for start in ("/", "/.well-known/otoroshi/monitoring/"):
            health = await stranger.get(f"{start}health")
            assert health.status_code == 200
            assert health.json()["otoroshi"] == "healthy"
            assert health.json()["datastore"] == "healthy"
            assert set(health.json()) == {
                "otoroshi",
                "datastore",
                "proxy",
                "storage",
                "eventstore",
                "certificates",
                "scripts",
            }
            assert (await stranger.get(f"{start}live")).json() == {"live": True}
            assert (await stranger.get(f"{start}ready")).json() == {"ready": True}
            assert (await stranger.get(f"{start}startup")).json() == {"started": True}
            metrics = await stranger.get(f"{start}metrics")
            names = {m["name"]: m for m in metrics.json()}
            assert names["otoroshi.requests.total"]["count"] == 3
            text = await stranger.get(f"{start}metrics?format=prometheus")
            assert "otoroshi_requests_total 3\n" in text.text


async def test_a_gateway_that_is_not_ready_says_503(served: Served) -> None:
    served.gateway.state = type(served.gateway.state)(is_started=False, is_ready=False)
    for name, body in (("ready", {"ready": False}), ("startup", {"started": False})):
        answer = await served.call("GET", f"/{name}")
        assert (answer.status_code, answer.json()) == (503, body)
    assert (await served.call("GET", "/health")).status_code == 503
    assert (await served.call("GET", "/live")).status_code == 200


async def test_probes_ask_for_their_access_key() -> None:
    async with serving(health_access_key="sesame", metrics_access_key="open") as served:
        for path, key in (("/health", "sesame"), ("/ready", "sesame"), ("/metrics", "open")):
            refused = await served.call("GET", path)
            assert (refused.status_code, refused.json()) == (401, {"error": "unauthorized"})
            for name in ("access_key", "X-Access-Key"):
                assert (await served.call("GET", f"{path}?{name}={key}")).status_code == 200
