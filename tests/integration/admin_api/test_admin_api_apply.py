"""``POST /apis/_apply``: entities of any kinds, all of them or none, in one revision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import yaml

from oto_trio.control.admin_api import documents
from oto_trio.control.store import Delete, Put
from oto_trio.model.errors import ConflictError, Problem
from oto_trio.model.route import Route
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import httpx

    from oto_trio.control.store import Write
    from oto_trio.model.document import Document

APPLY = "/apis/_apply"
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
BACKEND = {
    "kind": "Backend",
    "id": "b",
    "name": "b",
    "backend": {"targets": [{"id": "t", "hostname": "127.0.0.1", "port": 9000}]},
}
KEY = {"kind": "Apikey", "clientId": "k", "clientSecret": "s3cret", "clientName": "k"}


def route(entity_id: str = "r1", **more: Any) -> dict[str, Any]:
    return {"kind": "Route", **route_document(entity_id, **more)}


def refuse_missing_backends(entity: Document) -> list[Problem]:
    """Refuse as the gateway does, which knows no backend that is not stored yet."""
    if isinstance(entity, Route) and entity.backend_ref is not None:
        return [Problem("$.backend_ref", "there is no such backend", "make it first")]
    return []


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(check=refuse_missing_backends) as api:
        yield api


async def apply(served: Served, *items: Any, query: str = "") -> httpx.Response:
    return await served.call("POST", APPLY + query, list(items))


async def send(served: Served, text: str, kind: str, query: str = "") -> httpx.Response:
    headers = {"Content-Type": kind}
    return await served.client.post(APPLY + query, content=text.encode(), headers=headers)


def counts(answer: httpx.Response) -> tuple[int, ...]:
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return tuple(told[name] for name in ("created", "updated", "unchanged", "deleted"))


async def test_mixed_kinds_are_made_changed_and_removed_in_one_revision(served: Served) -> None:
    before = served.store.revision
    # The route refers to a backend that stands behind it.
    made = await apply(served, route(backend_ref="b"), BACKEND, KEY)
    assert counts(made) == (3, 0, 0, 0)
    assert made.json()["revision"] == served.store.revision == before + 1
    assert made.headers["Oto-Trio-Revision"] == str(before + 1)
    assert made.json()["results"][0] == {
        "document": 0,
        "kind": "proxy.otoroshi.io/Route",
        "status": 201,
        "created": True,
        "id": "r1",
        "id_field": "id",
    }
    assert made.json()["results"][2]["id_field"] == "clientId"
    stored = (await served.call("GET", f"{ROUTES}/r1")).json()
    assert "created_at" in stored["metadata"]

    changed = await apply(
        served,
        {**route(backend_ref="b"), "name": "new"},
        BACKEND,
        {**KEY, "_action": "delete"},
        {"kind": "Route", "id": "gone", "_action": "delete"},
    )
    assert counts(changed) == (0, 1, 2, 1)
    assert served.store.revision == before + 2
    results = changed.json()["results"]
    assert [row["id"] for row in results] == ["r1", "b", "k", "gone"]
    assert results[0]["diff"] == [{"path": "$.name", "before": "route r1", "after": "new"}]
    assert results[2]["deleted"] is True
    assert results[3]["unchanged"] is True
    stored = (await served.call("GET", f"{ROUTES}/r1")).json()
    assert {"created_at", "updated_at"} <= stored["metadata"].keys()
    assert (await served.call("GET", "/api/apikeys/k")).status_code == 404


async def test_applying_again_what_was_applied_or_read_changes_nothing(served: Served) -> None:
    items = [
        route("a"),
        BACKEND,
        KEY,
        {"kind": "Team", "id": "t", "name": "t", "tenant": "default"},
    ]
    assert counts(await apply(served, *items)) == (4, 0, 0, 0)
    revision = served.store.revision
    assert counts(await apply(served, *items)) == (0, 0, 4, 0)
    read = [
        (await served.call("GET", f"/apis/any/v1/{plural}/{entity_id}")).json()
        for plural, entity_id in (("routes", "a"), ("backends", "b"), ("apikeys", "k"))
    ]
    assert counts(await apply(served, *read)) == (0, 0, 3, 0)
    whole = (await served.call("GET", "/apis/any/v1/routes")).json()
    assert counts(await apply(served, *whole)) == (0, 0, 1, 0)
    assert served.store.revision == revision


async def test_a_dry_run_tells_all_and_changes_nothing(served: Served) -> None:
    await apply(served, route("a"), route("b"), KEY)
    revision = served.store.revision
    items = (
        route("a", description="new", tags=["x"]),
        {"kind": "Route", "id": "b", "_action": "delete"},
        route("c"),
        {**KEY, "clientSecret": "other-s3cret"},
    )
    dry = await apply(served, *items, query="?dry_run=true")
    assert counts(dry) == (1, 2, 0, 1)
    assert (dry.json()["dry_run"], dry.json()["revision"]) == (True, revision)
    assert served.store.revision == revision
    assert (await served.call("GET", f"{ROUTES}/b")).status_code == 200
    assert dry.json()["results"][0]["diff"] == [
        {"path": "$.description", "before": "", "after": "new"},
        {"path": "$.tags[0]", "after": "x"},
    ]
    assert dry.json()["results"][3]["diff"] == [
        {"path": "$.clientSecret", "before": "***", "after": "***"}
    ]
    assert "s3cret" not in dry.text
    done = await apply(served, *items)
    for key in ("created", "updated", "unchanged", "deleted", "results"):
        assert done.json()[key] == dry.json()[key]


KUBERNETES = """\
apiVersion: proxy.otoroshi.io/v1
kind: Route
metadata: {name: from-kubernetes}
spec:
  id: kube
  frontend: {domains: [kube.test]}
  backend: {targets: [{id: t, hostname: 127.0.0.1, port: 9000}]}
---
---
kind: proxy.otoroshi.io/Backend
id: b
name: b
backend: {targets: [{id: t, hostname: 127.0.0.1, port: 9000}]}
---
- {kind: service-group, id: g, name: g}
- {kind: teams, id: t, name: t, tenant: default}
"""


async def test_bodies_are_json_yaml_or_lines(served: Served) -> None:
    assert counts(await send(served, KUBERNETES, "application/yaml")) == (4, 0, 0, 0)
    kube = (await served.call("GET", f"{ROUTES}/kube")).json()
    assert kube["name"] == "from-kubernetes"
    items: list[Any] = [route("l1"), route("l2")]
    lines = "\n\n".join(json.dumps(item) for item in items) + "\n"
    assert counts(await send(served, lines, "application/x-ndjson")) == (2, 0, 0, 0)
    assert counts(await send(served, json.dumps(items[0]), "application/json")) == (0, 0, 1, 0)
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    assert counts(await send(served, json.dumps(listed), "application/json")) == (0, 0, 2, 0)
    # What the API answers as YAML for Kubernetes can be applied as it is.
    headers = {"Accept": "application/yaml+k8s"}
    shown = (await served.client.get(ROUTES, headers=headers)).text
    assert len(list(yaml.safe_load_all(shown))) == 3
    assert counts(await send(served, shown, "application/yaml")) == (0, 0, 3, 0)
    assert counts(await send(served, "[]", "application/json")) == (0, 0, 0, 0)
    refused = await send(served, "[]", "text/plain")
    assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")


BAD: list[tuple[Any, str, str]] = [
    (5, "$", "expected an object, found a whole number"),
    ({}, "$.kind", "this key is required"),
    ({"kind": "Rout", "id": "x"}, "$.kind", "there is no kind 'Rout'"),
    ({"kind": 5, "id": "x"}, "$.kind", "there is no kind 5"),
    ({**route(), "_action": "drop"}, "$._action", "expected upsert or delete"),
    ({"kind": "Route", "name": "x"}, "$.id", "a text is required"),
    ({"kind": "Route", "id": 5}, "$.id", "a text is required"),
    (
        {"apiVersion": "v1", "kind": "Apikey", "spec": {"id": "x"}},
        "$.spec.clientId",
        "a text is required",
    ),
    ({**route("_bulk")}, "$.id", "the id '_bulk' is a word of the API"),
    ({**route("a\nb")}, "$.id", ""),
    ({"kind": "Route", "id": "x"}, "$.name", "this key is required"),
    ({**route("x"), "plugins": 5}, "$.plugins", "expected a list"),
    ({**route("x"), "backend_ref": "none"}, "$.backend_ref", "there is no such backend"),
    ({**route("first")}, "$.id", "document 0 is the same entity already"),
]


@pytest.mark.parametrize(("item", "path", "message"), BAD, ids=[message for *_, message in BAD])
async def test_one_bad_entity_refuses_all_and_names_its_place_and_field(
    served: Served, item: Any, path: str, message: str
) -> None:
    revision = served.store.revision
    for query in ("", "?dry_run=true"):
        refused = await apply(served, route("first"), item, KEY, query=query)
        assert refused.status_code == 400, refused.text
        problem = refused.json()["problems"][0]
        assert (problem["document"], problem["path"]) == (1, path)
        assert problem["message"].startswith(message)
        assert problem["fix"]
        assert refused.json()["error_description"][0].startswith("document 1: ")
        assert served.store.revision == revision


async def test_every_problem_is_told_up_to_a_bound(served: Served) -> None:
    refused = await apply(served, {}, route("a", plugins=5), {"kind": "x"})
    assert [p["document"] for p in refused.json()["problems"]] == [0, 2, 1]
    many = await apply(served, *({} for _ in range(500)))
    assert len(many.json()["problems"]) == 100


async def test_what_may_not_be_done_names_the_entity(served: Served) -> None:
    revision = served.store.revision
    session = {"kind": "AdminSession", "randomId": "x"}
    refused = await apply(served, route(), session)
    assert (refused.status_code, refused.json()["document"]) == (401, 1)
    assert "you cannot create that" in refused.json()["error_description"]
    config = {"kind": "GlobalConfig", "_action": "delete"}
    assert (await apply(served, route(), config)).status_code == 401
    assert served.store.revision == revision
    config = (await served.call("GET", "/apis/any/v1/global-configs/global")).json()
    changed = await apply(served, {**config, "lines": ["prod", "beta"]})
    assert counts(changed) == (0, 1, 0, 0)
    await apply(served, {**config, "apiReadOnly": True})
    assert (await apply(served, route())).status_code == 401
    assert counts(await apply(served, {**config, "apiReadOnly": False})) == (0, 1, 0, 0)


@pytest.mark.parametrize("query", ["?dry_run=yes", "?wait=soon", "?timeout=x"])
async def test_a_parameter_that_is_not_understood_changes_nothing(
    served: Served, query: str
) -> None:
    revision = served.store.revision
    assert (await apply(served, route(), query=query)).status_code == 400
    assert served.store.revision == revision


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("{", "application/json", "this is no JSON"),
        ('{"kind": "Route"}\n{', "application/x-ndjson", "line 2: this is no JSON"),
        ("a: 1\n---\nb: [", "application/yaml", "error while parsing yaml"),
        ("a: &x 1\nb: *x", "application/yaml", "anchors and aliases"),
    ],
)
async def test_a_body_that_cannot_be_read_says_where(
    served: Served, text: str, kind: str, words: str
) -> None:
    refused = await send(served, text, kind)
    assert refused.status_code == 400
    assert words in refused.json()["error_description"]


async def test_more_entities_than_the_bound_are_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MOST_DOCUMENTS", 3)
    assert counts(await apply(served, *(route(f"r{n}") for n in range(3)))) == (3, 0, 0, 0)
    refused = await apply(served, *(route(f"r{n}") for n in range(4)))
    assert (refused.status_code, refused.json()["error"]) == (413, "too_many")


async def test_an_api_and_its_subscription_come_together_in_any_order(served: Served) -> None:
    api = (await served.call("GET", "/apis/any/v1/apis/_template")).json()
    plan = {"id": "p", "name": "p", "status": "published"}
    api = {"kind": "Api", **api, "id": "the-api", "plans": [plan]}
    template = (await served.call("GET", "/apis/any/v1/apisubscriptions/_template")).json()
    subscription = {"kind": "ApiSubscription", **template, "api_ref": "the-api", "plan_ref": "p"}
    alone = await apply(served, subscription)
    assert alone.status_code == 400
    assert alone.json()["problems"][0]["message"].startswith("api not found: there is no API")
    assert counts(await apply(served, subscription, api)) == (2, 0, 0, 0)


async def test_it_starts_over_when_somebody_else_was_quicker(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(served, route("a"))
    transact = served.store.transact
    others = ["between"]

    async def late(writes: Sequence[Write], **expected: Any) -> int:
        while others:
            old = (await served.store.get("routes", "a")).document  # type: ignore[union-attr]
            changed = {**json.loads(old), "description": others.pop()}
            await served.store.put("routes", "a", json.dumps(changed).encode())
        return await transact(writes, **expected)

    monkeypatch.setattr(served.store, "transact", late)
    done = await apply(served, route("a", name="mine"), route("b"))
    assert [row["path"] for row in done.json()["results"][0]["diff"]] == ["$.name", "$.description"]

    async def never(writes: Sequence[Write], **expected: Any) -> int:
        raise ConflictError("routes", "a", "absent", 1)

    monkeypatch.setattr(served.store, "transact", never)
    assert (await apply(served, route("c"))).status_code == 409


async def test_what_is_left_alone_must_still_be_so_when_the_rest_is_written(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(served, route("a"))
    transact = served.store.transact
    changed = json.dumps({**route_document("a"), "description": "changed"}).encode()
    others: list[Write] = [Put("routes", "a", changed), Delete("routes", "a")]

    async def late(writes: Sequence[Write], **expected: Any) -> int:
        if others:
            await transact([others.pop(0)])
        return await transact(writes, **expected)

    monkeypatch.setattr(served.store, "transact", late)
    done = await apply(served, route("a"), route("b"))
    assert counts(done) == (2, 0, 0, 0), (
        "it was changed, then removed, and is there as it is wanted"
    )


async def test_it_may_be_tied_to_the_configuration_that_was_looked_at(served: Served) -> None:
    dry = (await apply(served, route("a"), query="?dry_run=true")).json()["revision"]
    await served.store.put("global", "anything", b"{}")
    for query in (f"?at={dry}", f"?at={dry}&dry_run=true", f"?at={dry + 9}"):
        answer = await apply(served, route("a"), query=query)
        assert answer.status_code == 412, query
        assert "look again" in answer.json()["error_description"]
    assert await served.store.get("routes", "a") is None
    done = await apply(served, route("a"), query=f"?at={dry + 1}")
    assert done.json()["revision"] == dry + 2
    same = await apply(served, route("a"), query=f"?at={dry + 1}")
    assert same.status_code == 412, "nothing to do is a claim about the configuration too"
    assert counts(await apply(served, route("a"), query=f"?at={dry + 2}")) == (0, 0, 1, 0)
    for text in ("x", "", "-1", "1" * 19):
        assert (await apply(served, route("a"), query=f"?at={text}")).status_code == 400, text


async def test_it_waits_until_it_is_live(served: Served) -> None:
    answers: list[httpx.Response] = []

    async def write() -> None:
        answers.append(await apply(served, route(), query="?wait=applied"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        served.gateway.apply(1_000_000)
    assert answers[0].headers["Oto-Trio-Applied"] == "true"
