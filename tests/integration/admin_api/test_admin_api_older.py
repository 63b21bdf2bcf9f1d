"""The older paths of the admin API: parts of a service, lines, templates, and parts that are not here."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from oto_trio.control.admin_api.absent import ANALYTICS, CLUSTER, TUNNELS
from oto_trio.control.admin_api.older_templates import STORED_OVER
from oto_trio.control.checking import check_entity
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem

REGISTRY = builtin_plugins()
NOT_FOUND = {"error": "Service with id: 'none' not found"}
PAGES = {
    "template40x": "4",
    "template50x": "5",
    "templateBuild": "b",
    "templateMaintenance": "m",
}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(check=check) as api:
        yield api


def check(entity: Document) -> list[Problem]:
    """Check an entity as the gateway does: a service is warned of only."""
    problems = check_entity(entity, REGISTRY, {})
    if isinstance(entity, ServiceDescriptor):
        return [msgspec.structs.replace(problem, severity="warning") for problem in problems]
    return problems


def service(service_id: str = "s", **keys: Any) -> dict[str, Any]:
    return {"id": service_id, "domain": "a.test", "subdomain": service_id, **keys}


async def make(served: Served, **keys: Any) -> None:
    made = await served.call("POST", "/api/services", service(**keys))
    assert made.status_code == 201, made.text


async def test_the_targets_of_a_service(served: Served) -> None:
    path = "/api/services/s/targets"
    await make(served, targets=[{"host": "h:1", "scheme": "http", "weight": 3}])
    listed = await served.call("GET", path)
    assert (listed.status_code, listed.json()) == (200, ["http://h:1"])
    assert listed.headers["X-Count"] == "1"

    added = await served.call("POST", path, {"target": "https://i"})
    assert (added.status_code, added.json()) == (200, ["http://h:1", "https://i"])
    again = await served.call("POST", path, {"target": "https://i"})
    assert again.json() == ["http://h:1", "https://i"]

    patch = [{"op": "add", "path": "/0", "value": "http://j:2"}]
    patched = await served.call("PATCH", path, patch)
    assert patched.json() == ["http://j:2", "http://h:1", "https://i"]
    document = (await served.call("GET", "/api/services/s")).json()
    assert [target["weight"] for target in document["targets"]] == [1, 3, 1]

    removed = await served.call("DELETE", path, {"target": "http://h:1"})
    assert removed.json() == ["http://j:2", "https://i"]
    assert (await served.call("DELETE", path, {"target": "http://none"})).json() == removed.json()


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("POST", {"target": "no-scheme"}),
        ("POST", {"target": 7}),
        ("POST", ["http://a"]),
        ("DELETE", {}),
        ("PATCH", {"op": "add"}),
        ("PATCH", [{"op": "remove", "path": "/9"}]),
        ("PATCH", [{"op": "add", "path": "/-", "value": "no-scheme"}]),
    ],
)
async def test_targets_that_are_none_are_refused(served: Served, verb: str, body: Any) -> None:
    await make(served, targets=[{"host": "h:1", "scheme": "http"}])
    refused = await served.call(verb, "/api/services/s/targets", body)
    assert refused.status_code == 400, refused.text
    assert (await served.call("GET", "/api/services/s/targets")).json() == ["http://h:1"]


async def test_the_error_template_of_a_service(served: Served) -> None:
    path = "/api/services/s/template"
    await make(served)
    missing = await served.call("GET", path)
    assert (missing.status_code, missing.json()) == (404, {"error": "template not found"})
    assert (await served.call("PUT", path, PAGES)).status_code == 404
    made = await served.call("POST", path, {**PAGES, "serviceId": "another"})
    assert (made.status_code, made.json()["serviceId"]) == (200, "s")
    again = await served.call("POST", path, PAGES)
    assert (again.status_code, again.json()) == (400, {"error": "ErrorTemplate already exists"})
    changed = await served.call("PUT", path, {**PAGES, "template40x": "new"})
    assert (changed.status_code, changed.json()["template40x"]) == (200, "new")
    assert (await served.call("GET", path)).json() == changed.json()
    assert (await served.call("GET", "/api/error-templates/s")).status_code == 200
    bad = await served.call("PUT", path, {"template40x": "x"})
    assert (bad.status_code, bad.json()["error"]) == (400, "Bad ErrorTemplate format")
    gone = await served.call("DELETE", path)
    assert (gone.status_code, gone.json()) == (200, {"done": True})
    assert (await served.call("DELETE", path)).status_code == 404


async def test_a_service_becomes_a_route(served: Served) -> None:
    await make(served, maintenanceMode=True, targets=[{"host": "h:1", "scheme": "http"}])
    shown = (await served.call("GET", "/api/services/s/route")).json()
    assert shown["id"] == "s"
    assert shown["frontend"]["domains"] == ["s.a.test/"]
    assert any("MaintenanceMode" in slot["plugin"] for slot in shown["plugins"])
    # The installation's key is shown to nobody, and the route refers to it as the service did.
    assert "${config.app.claim.sharedKey}" in str(shown)
    assert (await served.call("GET", "/api/routes/s")).status_code == 404

    kept = await served.call("POST", "/api/services/s/route")
    assert kept.status_code == 200, kept.text
    assert kept.json()["resource_url"] == f"{served.server.url}/api/routes/s"
    assert kept.json()["resource_ui_url"].endswith("/routes/s")
    route = (await served.call("GET", "/api/routes/s")).json()
    assert route == shown
    assert (await served.call("GET", "/api/services/s")).json()["enabled"] is False

    # A second request, as after a lost answer, must not disable the route that is live now.
    again = await served.call("POST", "/api/services/s/route")
    assert (again.status_code, "already" in again.json()["error"]) == (409, True), again.text
    assert (await served.call("GET", "/api/routes/s")).json() == route
    enabled = {**(await served.call("GET", "/api/services/s")).json(), "enabled": True}
    assert (await served.call("PUT", "/api/services/s", enabled)).status_code == 200
    assert (await served.call("POST", "/api/services/s/route")).status_code == 409
    assert (await served.call("GET", "/api/services/s")).json()["enabled"] is True
    assert (await served.call("DELETE", "/api/routes/s")).status_code == 200
    assert (await served.call("POST", "/api/services/s/route")).status_code == 200


async def test_a_service_that_asks_for_what_no_plugin_does_becomes_no_route(served: Served) -> None:
    await make(served, clientValidatorRef="v")
    refused = await served.call("POST", "/api/services/s/route")
    assert refused.status_code == 400
    assert refused.json()["problems"][0]["path"] == "$.clientValidatorRef"
    await make(served, service_id="t", gzip={"enabled": True})
    refused = await served.call("POST", "/api/services/t/route")
    assert refused.status_code == 400
    assert "GzipResponseCompressor" in refused.text
    assert (await served.call("GET", "/api/services/t")).json()["enabled"] is True
    assert (await served.call("GET", "/api/routes")).json() == []


async def test_lines_and_groups_find_services(served: Served) -> None:
    await served.call("POST", "/api/groups", {"id": "g", "name": "g"})
    await make(served, service_id="a", env="dev", groups=["g"])
    await make(served, service_id="b", groups=["g", "h"])
    await make(served, service_id="c")
    assert (await served.call("GET", "/api/lines")).json() == ["dev", "prod"]

    async def ids(path: str) -> list[str]:
        answer = await served.call("GET", path)
        assert answer.status_code == 200, answer.text
        return [document["id"] for document in answer.json()]

    assert await ids("/api/lines/prod/services") == ["b", "c"]
    assert await ids("/api/lines/dev/services") == ["a"]
    assert await ids("/api/lines/none/services") == []
    assert await ids("/api/groups/g/services") == ["a", "b"]
    assert await ids("/api/groups/g/services?page=2&pageSize=1") == ["b"]
    assert await ids("/api/lines/prod/services?filter.id=c") == ["c"]
    missing = await served.call("GET", "/api/groups/none/services")
    assert (missing.status_code, missing.json()) == (
        404,
        {"error": "ServiceGroup with id: 'none' not found"},
    )


async def test_a_verifier_finds_its_routes(served: Served) -> None:
    verification = "cp:otoroshi.next.plugins.JwtVerification"
    for name, verifiers in (("a", ["v"]), ("b", ["other"])):
        document = {
            "id": name,
            "name": "v",
            "frontend": {"domains": [f"{name}.test"]},
            "plugins": [{"plugin": verification, "config": {"verifiers": verifiers}}],
        }
        made = await served.call("POST", "/api/routes", document)
        assert made.status_code == 201, made.text
    found = await served.call("GET", "/api/entities/jwt-verifiers/v")
    assert [route["id"] for route in found.json()["routes"]] == ["a"]
    assert (await served.call("GET", "/api/entities/backends/v")).json() == {}


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        *((verb, "/api/services/none/targets") for verb in ("GET", "POST", "PATCH", "DELETE")),
        *((verb, "/api/services/none/template") for verb in ("GET", "POST", "PUT", "DELETE")),
        *((verb, "/api/services/none/route") for verb in ("GET", "POST")),
    ],
)
async def test_a_service_that_is_not_there_is_told_so(served: Served, verb: str, path: str) -> None:
    body = None if verb == "GET" else {"target": "http://h"}
    answer = await served.call(verb, path, body)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_the_keys_of_a_service(served: Served) -> None:
    missing = await served.call("GET", "/api/services/none/apikeys")
    assert (missing.status_code, missing.json()) == (404, NOT_FOUND)
    await make(served)
    made = await served.call("POST", "/api/services/s/apikeys", {"clientName": "mine"})
    assert made.status_code == 201, made.text
    assert made.json()["authorizedEntities"] == ["service_s"]
    (listed,) = (await served.call("GET", "/api/services/s/apikeys")).json()
    one = f"/api/services/s/apikeys/{listed['clientId']}"
    assert (await served.call("GET", one)).json()["clientName"] == "mine"
    assert (await served.call("DELETE", one)).json() == {"deleted": True}


# ----------------------------------------------------------------------------------------- templates


async def test_templates_under_their_older_names(served: Served) -> None:
    for path, legacy, key in (
        ("/api/new/service", "/api/services/_template", "subdomain"),
        ("/api/new/tcp/service", "/api/tcp/_template", "port"),
        ("/api/new/group", "/api/groups/_template", "name"),
    ):
        new = (await served.call("GET", f"{path}?description=mine")).json()
        usual = (await served.call("GET", legacy)).json()
        assert new.keys() == usual.keys()
        assert new[key] == usual[key]
        assert new["description"] == "mine"


FULL: dict[str, dict[str, Any]] = {"apikeys": {"clientName": "mine"}}


@pytest.mark.parametrize("word", STORED_OVER)
async def test_what_is_laid_over_a_template_is_stored(served: Served, word: str) -> None:
    body = {"description": "mine", "desc": "mine", **FULL.get(word, {})}
    if word == "teams":
        body["tenant"] = "default"
    if word in {"tenants", "teams"}:
        body["id"] = "mine"
    made = await served.call("POST", f"/api/{word}/_template?enrich=false", body)
    assert made.status_code == 201, made.text
    document = made.json()
    entity_id = document["clientId" if word == "apikeys" else "id"]
    stored = await served.call("GET", f"/api/{word}/{entity_id}")
    assert stored.json() == document
    assert "mine" in (document.get("description"), document.get("desc"))
    again = await served.call("POST", f"/api/{word}/_template?enrich=false", document)
    assert again.status_code == 400


async def test_a_template_of_what_has_none_is_not_stored(served: Served) -> None:
    assert (await served.call("POST", "/api/groups/_template", [])).status_code == 400
    bad = await served.call("POST", "/api/services/_template", {"publicPatterns": 7})
    assert (bad.status_code, bad.json()["error"]) == (400, "bad entity format")


async def test_several_documents_are_laid_over_their_templates(served: Served) -> None:
    async def created(content: Any) -> Any:
        answer = await served.call("POST", "/api/new/resources", {"content": content})
        assert answer.status_code == 200, answer.text
        return answer.json()["created"]

    before = (await served.call("GET", "/api/groups")).json()
    one = await created({"kind": "proxy.otoroshi.io/Route", "name": "mine"})
    assert (one["name"], one["kind"]) == ("mine", "proxy.otoroshi.io/Route")
    assert one["frontend"]["domains"]
    many = await created(
        [
            {"kind": "Backend", "spec": {"name": "b"}},
            {"kind": "No", "name": "n"},
            {"kind": "security.otoroshi.io/Route", "name": "wrong group"},
            7,
        ]
    )
    assert many[0]["name"] == "b"
    assert many[1] == {"error": "resource kind 'No' unknown", "name": "n"}
    assert "unknown" in many[2]["error"]
    assert many[3]["error"] == "expected an object"
    assert (await created("kind: ServiceGroup\nname: g\n"))["name"] == "g"
    text = "kind: ServiceGroup\nname: g\n---\nkind: Backend\nname: b\n"
    assert [each["name"] for each in await created(text)] == ["g", "b"]
    assert (await served.call("GET", "/api/groups")).json() == before
    for content in (None, 7):
        refused = await served.call("POST", "/api/new/resources", {"content": content})
        assert (refused.status_code, refused.json()) == (400, {"error": "Can't create resources"})


async def test_the_types_of_auth_modules(served: Served) -> None:
    types = (await served.call("GET", "/api/auths/templates")).json()["templates"]
    assert {"type": "oauth2", "label": "OAuth2 / OIDC provider"} in types
    for each in types:
        template = await served.call("GET", f"/api/auths/_template?mod-type={each['type']}")
        assert template.json()["type"] == each["type"]


# ------------------------------------------------------------------------------ what is not here


async def test_parts_that_are_not_here_say_so(served: Served) -> None:
    for table, told in (
        (CLUSTER, "Cluster API not available"),
        (TUNNELS, "resource not found"),
        (ANALYTICS, "no elastic read config found !"),
    ):
        for path, verbs in table.items():
            for verb in verbs:
                answer = await served.call(verb, path.replace("{id}", "x"))
                assert (answer.status_code, answer.json()) == (404, {"error": told}), path
    patch = [{"op": "replace", "path": "/elasticReadsConfig", "value": {"uris": ["http://e"]}}]
    assert (await served.call("PATCH", "/api/globalconfig", patch)).status_code == 200
    answer = await served.call("GET", "/api/stats/global")
    assert answer.status_code == 501
    assert "Elasticsearch" in answer.json()["error"]


# -------------------------------------------------------------------------------- live numbers


async def test_live_numbers_are_differences_of_the_counters(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def metrics() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {
            "requests": 10 * looks,
            "bytes_in": 100 * looks,
            "bytes_out": 1000 * looks,
            "latency_sum_s": 0.5 * looks,
            "overhead_sum_s": 0.1 * looks,
            "exchanges": 3,
        }

    monkeypatch.setattr(served.gateway, "metrics", metrics)
    numbers = (await served.call("GET", "/api/live")).json()
    assert (numbers["calls"], numbers["dataIn"], numbers["dataOut"]) == (20, 200, 2000)
    assert (numbers["duration"], numbers["overhead"]) == (50, pytest.approx(10))
    assert numbers["concurrentHandledRequests"] == 3
    assert numbers["dataInRate"] == pytest.approx(10 * numbers["rate"])
    assert numbers["dataOutRate"] == pytest.approx(100 * numbers["rate"])
    assert 0 < numbers["rate"] <= 20
    again = await served.call("GET", "/api/live/global")
    assert again.json().keys() == numbers.keys()
    for every in ("99", "60001", "x", "-1", ""):
        refused = await served.call("GET", f"/api/live?every={every}")
        assert refused.status_code == 400, every


async def test_live_numbers_of_an_entity_are_those_of_its_kind(served: Served) -> None:
    await make(served)
    composition: dict[str, Any] = {"id": "c", "name": "c", "routes": []}
    assert (await served.call("POST", "/api/route-compositions", composition)).status_code == 201
    backend = {"targets": [{"hostname": "127.0.0.1", "port": 1}]}
    route = {"id": "s", "name": "s", "frontend": {"domains": ["b.test"]}, "backend": backend}
    made = await served.call("POST", "/api/routes", route)
    assert made.status_code == 201, made.text
    served.gateway.counters_by_entity = {
        ("service-descriptors", "s"): {"requests": 1},
        ("routes", "s"): {"requests": 2},
        ("route-compositions", "c"): {"requests": 3},
        ("routes", "c"): {"requests": 4},
    }
    for path, calls in (
        ("/api/services/s/live", 1),
        ("/api/live/s", 2),
        ("/api/live/c", 3),
        ("/api/services/c/live", 3),
    ):
        answer = await served.call("GET", path)
        assert (answer.status_code, answer.json()["calls"]) == (200, calls), path
    for path in ("/api/live/none", "/api/services/none/live", "/api/services/none/live?every=100"):
        refused = await served.call("GET", path)
        assert (refused.status_code, refused.json()) == (404, NOT_FOUND), path
    refused = await served.call("GET", "/api/services/global/live")
    assert refused.status_code == 404
    assert (await served.call("GET", "/api/services/s/live?every=1")).status_code == 400


async def test_live_numbers_come_again_and_again(served: Served) -> None:
    key = f"{DEV_CREDENTIALS.client_id}:{DEV_CREDENTIALS.client_secret}"
    basic = base64.b64encode(key.encode()).decode()
    request = f"GET /api/live?every=100 HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {basic}\r\n\r\n"
    stream = await trio.open_tcp_stream(served.server.host, served.server.port)
    async with stream:
        await stream.send_all(request.encode())
        text = b""
        with trio.fail_after(30):
            while text.count(b"data: ") < 3 or not text.endswith(b"\n"):
                text += await stream.receive_some()
    head, _, _ = text.partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    events = [line for line in text.splitlines() if line.startswith(b"data: ")]
    assert all("rate" in msgspec.json.decode(e.removeprefix(b"data: ")) for e in events[:2])
    assert (await served.call("GET", "/api/groups")).status_code == 200
