"""The generic dialect, fact by fact: each row is a sentence about Otoroshi's admin API, and a request that shows it.

Where oto-trio differs on purpose the row says "here": better words, or a status that a client can act on
where Otoroshi's exception handler answers 401 for everything.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
import yaml

from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import httpx

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
A = f"{ROUTES}/a"
BULK = f"{ROUTES}/_bulk"
SCRIPTS = "/apis/plugins.otoroshi.io/v1/scripts"
KIND = "proxy.otoroshi.io/Route"
OTO_PATCH = "application/json+oto-patch"
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
YAML = "application/yaml"
NDJSON = "application/x-ndjson"

NOT_FOUND = {"error": "not_found", "error_description": "resource not found"}
CANNOT = {"error": "unauthorized", "error_description": "you cannot do that"}
EXISTS = {"error": "unauthorized", "error_description": "resource already exists"}
MISSING = {"error": "unauthorized", "error_description": "resource does not exists"}
BAD_TYPE = {"error": "bad_request", "error_description": "bad content type"}

KUBERNETES = """\
apiVersion: proxy.otoroshi.io/v1
kind: Route
metadata: {name: %s}
spec: {id: k, frontend: {domains: [k.test]}%s}
"""


class Fact(NamedTuple):
    """One sentence of the reference, a request, and what must be answered."""

    words: str
    request: str
    """Verb and path."""
    body: Any = None
    kind: str = "application/json"
    status: int = 200
    shows: Any = None
    """Of an object: keys and values that are there; of a list or a text: all of it."""
    headers: Mapping[str, str | None] = MappingProxyType({})
    accept: str = "application/json"


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "kind": KIND} for name in names]


def route(entity_id: str, **more: Any) -> dict[str, Any]:
    return route_document(entity_id, **more)


FACTS = [
    # ------------------------------------------------------------------------- 2.1 endpoints
    Fact("POST create: 201 entity", f"POST {ROUTES}", route("n"), status=201, shows={"id": "n"}),
    Fact("DELETE: delete all writable, 204", f"DELETE {ROUTES}", status=204, shows=""),
    Fact('_count: {"count":n} (+kind)', f"GET {ROUTES}/_count", shows={"count": 3, "kind": KIND}),
    Fact("_template: raw template, no kind", f"GET {ROUTES}/_template", shows={"kind": None}),
    Fact(
        "_template: query params passed to the template (type, …)",
        "GET /apis/security.otoroshi.io/v1/auth-modules/_template?type=ldap",
        shows={"type": "ldap"},
    ),
    Fact(
        '_template: 404 {"error":"template not found !"}',
        "GET /apis/security.otoroshi.io/v1/admin-sessions/_template",
        status=404,
        shows={"error": "template not found !", "kind": "security.otoroshi.io/AdminSession"},
    ),
    Fact("GET one", f"GET {A}", shows={"id": "a", "kind": KIND}),
    Fact("upsert: 201 created", f"POST {ROUTES}/n", route("x"), status=201, shows={"id": "n"}),
    Fact("upsert: 200 updated", f"POST {A}", route("x"), shows={"id": "a"}),
    Fact("update: 200; the id is forced to the path id", f"PUT {A}", route("x"), shows={"id": "a"}),
    Fact("DELETE: 200 body = the deleted entity", f"DELETE {A}", shows={"id": "a", "kind": KIND}),
    Fact("group/version may be any or all", "GET /apis/any/all/routes/a", shows={"id": "a"}),
    Fact(
        "entity is matched against plural or Kind", "GET /apis/all/any/Route/a", shows={"id": "a"}
    ),
    Fact("entity is no singular", "GET /apis/all/any/route/a", status=404, shows=NOT_FOUND),
    # ---------------------------------------------------------------------------- 2.2 errors
    Fact(
        "unknown resource type: 404, kind proxy.otoroshi.io/Unknown",
        "GET /apis/proxy.otoroshi.io/v1/nothing",
        status=404,
        shows={**NOT_FOUND, "kind": "proxy.otoroshi.io/Unknown"},
    ),
    Fact("only version v1 exists", "GET /apis/any/v2/routes", status=404, shows=NOT_FOUND),
    Fact("unknown id: 404", f"GET {ROUTES}/z", status=404, shows={**NOT_FOUND, "kind": KIND}),
    Fact("PATCH missing: 404", f"PATCH {ROUTES}/z", [], status=404, shows=NOT_FOUND),
    Fact("DELETE missing: 404", f"DELETE {ROUTES}/z", status=404, shows=NOT_FOUND),
    Fact("create with existing id: 401", f"POST {ROUTES}", route("a"), status=401, shows=EXISTS),
    Fact("PUT on missing id: 401", f"PUT {ROUTES}/z", route("z"), status=401, shows=MISSING),
    Fact(
        "verb not allowed for this resource (create AdminSession): 401",
        "POST /apis/security.otoroshi.io/v1/admin-sessions",
        {},
        status=401,
        shows=CANNOT,
    ),
    Fact("unreadable content type: 400", f"POST {ROUTES}", "x", "text/plain", 400, BAD_TYPE),
    Fact("… on PUT", f"PUT {A}", "x", "text/plain", 400, BAD_TYPE),
    Fact("… on PATCH", f"PATCH {A}", "x", "text/plain", 400, BAD_TYPE),
    Fact(
        "invalid entity: 400 with messages; here with what is wrong taken apart",
        f"POST {ROUTES}",
        {"id": "n"},
        status=400,
        shows={"error": "bad_request", "kind": KIND},
    ),
    Fact(
        "malformed JSON: 401 Server error; here 400",
        f"POST {ROUTES}",
        "{",
        status=400,
        shows={"error": "bad_request"},
    ),
    # --------------------------------------------------------------------- 2.3 request bodies
    Fact(
        "Content-Type compared without parameters", f"PUT {A}", route("a"), "application/json; a=b"
    ),
    Fact("YAML; JSON is valid YAML", f"PUT {A}", '{"name": "j"}', YAML, shows={"name": "j"}),
    Fact("YAML", f"PUT {A}", "name: y\n", YAML, shows={"name": "y"}),
    Fact(
        "apiVersion and spec: the entity is spec, name forced to metadata.name",
        f"POST {ROUTES}",
        KUBERNETES % ("outer", ""),
        YAML,
        201,
        {"id": "k", "name": "outer"},
    ),
    Fact(
        "… to spec.name before that",
        f"POST {ROUTES}",
        KUBERNETES % ("outer", ", name: inner"),
        YAML,
        201,
        {"name": "inner"},
    ),
    Fact("… else no name", f"POST {ROUTES}", KUBERNETES % ("", ""), YAML, 201, {"name": "no name"}),
    Fact(
        "unparsable YAML: 400 error while parsing yaml; here with the place",
        f"POST {ROUTES}",
        "a: [",
        YAML,
        400,
        {"error": "bad_request"},
    ),
    Fact(
        "oto-patch: applied onto the template (create)",
        f"POST {ROUTES}",
        [{"path": "id", "value": "n"}, {"path": "enabled", "value": "false"}],
        OTO_PATCH,
        201,
        {"id": "n", "enabled": False, "name": "New route"},
    ),
    Fact(
        "oto-patch: applied onto the template (upsert)",
        f"POST {A}",
        [{"path": "description", "value": "d"}],
        OTO_PATCH,
        200,
        {"id": "a", "description": "d", "name": "New route"},
    ),
    Fact(
        "oto-patch: onto the current entity (PATCH); dotted paths, numeric segments index arrays",
        f"PATCH {A}",
        [{"path": "frontend.domains.0", "value": "x.test"}],
        OTO_PATCH,
        200,
        {"name": "route a"},
    ),
    Fact(
        "oto-patch: string values are coerced: true, text starting with [ or {",
        f"PATCH {A}",
        [{"path": "debug_flow", "value": "true"}, {"path": "tags", "value": '["t"]'}],
        OTO_PATCH,
        200,
        {"debug_flow": True, "tags": ["t"]},
    ),
    Fact(
        "form: one pair per field", f"PATCH {A}", "name=f&enabled=false", FORM, 200, {"name": "f"}
    ),
    Fact(
        "PATCH expects an RFC 6902 array",
        f"PATCH {A}",
        [{"op": "replace", "path": "/name", "value": "p"}],
        shows={"name": "p"},
    ),
    Fact(
        "… optional `old`",
        f"PATCH {A}",
        [{"op": "replace", "path": "/name", "value": "p", "old": "route a"}],
        shows={"name": "p"},
    ),
    Fact("a merge-patch object is not supported as JSON; here 400", f"PATCH {A}", {}, status=400),
    Fact(
        "here a merge patch has its own type (RFC 7396)",
        f"PATCH {A}",
        {"name": "m", "metadata": {"k": "v"}, "description": None},
        MERGE_PATCH,
        200,
        {"name": "m", "description": "", "enabled": True},
    ),
    Fact("id on PATCH is forced to the path id", f"PATCH {A}", [], shows={"id": "a"}),
    # ------------------------------------------------------------------- 2.4 response formats
    Fact('?envelope=true: {"data": …}', f"GET {A}?envelope=true&fields=id", shows={"kind": None}),
    Fact("X-Pages: -1 on non-lists", f"GET {A}", headers={"X-Pages": "-1"}),
    Fact("X-Pages: ceil(count/pageSize)", f"GET {ROUTES}?pageSize=2", headers={"X-Pages": "2"}),
    Fact(
        "Otoroshi-Api-Deprecated: yes", f"GET {SCRIPTS}", headers={"Otoroshi-Api-Deprecated": "yes"}
    ),
    Fact(
        "… on refusals too",
        f"GET {SCRIPTS}/z",
        status=404,
        headers={"Otoroshi-Api-Deprecated": "yes"},
    ),
    Fact("… and on no other resource", f"GET {A}", headers={"Otoroshi-Api-Deprecated": None}),
    Fact(
        "upsert of existing: Otoroshi-Entity-Updated is old == new",
        f"POST {A}",
        route("a", name="new"),
        headers={"Otoroshi-Entity-Updated": "false"},
    ),
    Fact(
        "a body without the stored dates compares as different",
        f"POST {A}",
        route("a"),
        headers={"Otoroshi-Entity-Updated": "false"},
    ),
    Fact(
        "no such header on a created one",
        f"POST {ROUTES}/n",
        route("n"),
        status=201,
        headers={"Otoroshi-Entity-Updated": None},
    ),
    Fact(
        "JSON when the client takes it",
        f"GET {A}",
        accept=f"{YAML}, application/json",
        shows={"id": "a"},
    ),
    Fact(
        "YAML when it does not",
        f"GET {A}",
        accept="application/yml",
        headers={"Content-Type": YAML},
    ),
    Fact(
        "application/yaml+k8s",
        f"GET {A}",
        accept="application/yaml+k8s",
        headers={"Content-Type": "application/yaml+k8s"},
    ),
    Fact("application/x-ndjson", f"GET {ROUTES}", accept=NDJSON, headers={"Content-Type": NDJSON}),
    # ----------------------------------------------------------------- 2.5 list query parameters
    Fact("page is 1-based", f"GET {ROUTES}?page=2&pageSize=2&fields=name", shows=named("route c")),
    Fact("a page beyond the end", f"GET {ROUTES}?page=9&pageSize=2", shows=[]),
    Fact("filter: a string", f"GET {ROUTES}?filter.id=b&fields=name", shows=named("route b")),
    Fact(
        "filter: a bool", f"GET {ROUTES}?filter.enabled=false&fields=name", shows=named("route b")
    ),
    Fact(
        "filter: arrays contain", f"GET {ROUTES}?filter.tags=x&fields=name", shows=named("route c")
    ),
    Fact(
        "filter: a number under a dotted key or a JSON path",
        f"GET {ROUTES}?filter.$.backend.targets[0].port=9001&fields=name",
        shows=named("route c"),
    ),
    Fact(
        "filter: /json/pointer",
        f"GET {ROUTES}?filter./frontend/strip_path=true&filter./id=a&fields=name",
        shows=named("route a"),
    ),
    Fact(
        "filtered: case-insensitive substring, values by |",
        f"GET {ROUTES}?filtered=name:E%20A|E%20B&fields=name",
        shows=named("route a", "route b"),
    ),
    Fact(
        "filtered: AND between paths",
        f"GET {ROUTES}?filtered=name:route,description:second&fields=name",
        shows=named("route b"),
    ),
    Fact(
        "sorted: false = descending",
        f"GET {ROUTES}?sorted=name:false&fields=name",
        shows=named("route c", "route b", "route a"),
    ),
    Fact(
        "sorted: several, the first decides",
        f"GET {ROUTES}?sorted=enabled:true,name:false&fields=name",
        shows=named("route b", "route c", "route a"),
    ),
    Fact(
        "filtering comes before pagination",
        f"GET {ROUTES}?filter.enabled=true&pageSize=1",
        headers={"X-Pages": "2"},
    ),
    Fact(
        "fields: projection of dotted keys",
        f"GET {A}?fields=id,frontend.exact",
        shows={"id": "a", "frontend": {"exact": False}, "name": None},
    ),
    Fact("fields: missing field", f"GET {A}?fields=nothing", shows={"kind": KIND, "id": None}),
    Fact("count with a filter", f"GET {ROUTES}/_count?filter.id=a", shows={"count": 1}),
    # ------------------------------------------------------------------------------- 2.6 bulk
    Fact(
        "bulk: any other Content-Type is 400",
        f"POST {BULK}",
        [],
        status=400,
        shows={"error": "bad_content_type", "error_description": "Unsupported content type"},
    ),
    Fact(
        "bulk create",
        f"POST {BULK}",
        [{"id": "n", "name": "n"}],
        NDJSON,
        shows=[{"status": 201, "created": True, "id": "n", "id_field": "id"}],
    ),
    Fact(
        "bulk create of what exists",
        f"POST {BULK}",
        [{"id": "a", "name": "n"}],
        NDJSON,
        shows=[
            {
                "status": 400,
                "error": "bad_entity",
                "error_description": "entity already exists",
                "entity": {"id": "a", "name": "n"},
            }
        ],
    ),
    Fact(
        "bulk update, and of what is not there",
        f"PUT {BULK}",
        [{"id": "a", "name": "n"}, {"id": "z", "name": "n"}],
        NDJSON,
        shows=[
            {"status": 200, "updated": True, "id": "a", "id_field": "id"},
            {
                "status": 404,
                "error": "not_found",
                "error_description": "entity does not exists",
                "entity": {"id": "z", "name": "n"},
            },
        ],
    ),
    Fact(
        'bulk patch: {<idfield>, "patch":[rfc6902]}; not found in patch',
        f"PATCH {BULK}",
        [{"id": "a", "patch": []}, {"id": "z", "patch": []}],
        NDJSON,
        shows=[
            {"status": 200, "updated": True, "id": "a", "id_field": "id"},
            {
                "status": 400,
                "error": "bad_entity",
                "error_description": {"error": "entity not found"},
                "entity": {"id": "z", "patch": []},
            },
        ],
    ),
    Fact(
        "bulk delete: line = entity with id",
        f"DELETE {BULK}",
        [{"id": "a"}],
        NDJSON,
        shows=[{"status": 200, "deleted": True, "id": "a", "id_field": "id"}],
    ),
    Fact(
        "bulk: unparsable lines ignored; the id field of an API key",
        "POST /apis/apim.otoroshi.io/v1/apikeys/_bulk",
        '{\n{"clientId": "k", "clientSecret": "s", "clientName": "n"}\n5\n',
        NDJSON,
        shows=[{"status": 201, "created": True, "id": "k", "id_field": "clientId"}],
    ),
]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api() as api:
        targets = {"targets": [{"id": "t", "hostname": "127.0.0.1", "port": 9001}]}
        for document in (
            route("a"),
            route("b", enabled=False, description="the Second"),
            route("c", tags=["x"], backend=targets),
        ):
            assert (await api.call("POST", ROUTES, document)).status_code == 201
        yield api


def written(body: Any, kind: str) -> bytes | None:
    if body is None:
        return None
    if isinstance(body, str):
        return body.encode()
    if kind == NDJSON:
        return b"\n".join(msgspec.json.encode(line) for line in body)
    return msgspec.json.encode(body)


def read(answer: httpx.Response) -> Any:
    kind = answer.headers.get("content-type", "")
    if kind == NDJSON:
        return [msgspec.json.decode(line) for line in answer.content.splitlines()]
    if kind.startswith("application/yaml"):
        return yaml.safe_load(answer.text)
    return answer.json() if answer.content else ""


@pytest.mark.parametrize("fact", FACTS, ids=[f"{fact.words} | {fact.request}" for fact in FACTS])
async def test_it_is_as_the_reference_says(served: Served, fact: Fact) -> None:
    verb, path = fact.request.split(" ", 1)
    headers = {"Accept": fact.accept}
    if fact.body is not None:
        headers["Content-Type"] = fact.kind
    answer = await served.client.request(
        verb, path, content=written(fact.body, fact.kind), headers=headers
    )
    assert answer.status_code == fact.status, answer.text
    found = read(answer)
    shows: Any = fact.shows
    if isinstance(fact.shows, dict):
        assert {key: found.get(key) for key in shows} == shows
    elif shows is not None:
        assert found == shows
    for name, value in fact.headers.items():
        assert answer.headers.get(name) == value, name


def test_every_fact_is_told_once() -> None:
    told = [(fact.words, fact.request) for fact in FACTS]
    assert len(set(told)) == len(told)
