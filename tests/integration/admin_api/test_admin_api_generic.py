"""The generic dialect of the admin API over real sockets, status by status."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route

if TYPE_CHECKING:
    import httpx

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
BACKENDS = "/apis/proxy.otoroshi.io/v1/backends"
GLOBAL = "/apis/config.otoroshi.io/v1/global-configs"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


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
    assert {"Route", "Backend", "Apikey", "GlobalConfig"} <= rows.keys()
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
