"""Every kind of entity in both dialects of the admin API, over real sockets, from the table of resources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import bcrypt
import msgspec
import pytest

from oto_trio.control.admin_api.resources import LEGACY_RESOURCES, RESOURCES, Resource

if TYPE_CHECKING:
    from oto_trio.testing.admin_api import ServedAdminApi as Served


# A certificate's template cannot be stored: it has no chain. test_admin_api_pki.py has that kind.
STORABLE = [r for r in LEGACY_RESOURCES if r.template is not None and r.enriched is None]
# A subscription needs an API: its template alone cannot be stored.
FREE = [
    r for r in STORABLE if r in RESOURCES and len(r.actions) == 3 and r.kind != "ApiSubscription"
]
LEGACY = [r for r in STORABLE if r.legacy_path is not None and r.only_id is None]
SESSIONS = [r for r in RESOURCES if r.actions == frozenset({"delete"})]
ADMINS = "/apis/security.otoroshi.io/v1/admins"
DRAFTS = "/apis/proxy.otoroshi.io/v1/drafts"
HASH = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
FORBIDDEN = {"error": "unauthorized", "error_description": "you cannot do that"}


def path_of(resource: Resource) -> str:
    return f"/apis/{resource.group}/v1/{resource.plural}"


def name_of(resource: Resource) -> str:
    return resource.kind


def session(entity_id: str) -> dict[str, Any]:
    times = {"createdAt": 1, "expiredAt": 2, "lastRefresh": 3}
    who: dict[str, Any] = {
        "name": "A",
        "email": "a@b.c",
        "authConfigId": "m",
        "profile": {},
        "realm": "r",
    }
    return {"randomId": entity_id, **who, **times}


@pytest.mark.parametrize("resource", FREE, ids=name_of)
async def test_each_kind_lives_its_life_from_its_template(
    served: Served, resource: Resource
) -> None:
    path = path_of(resource)
    group_free = f"/apis/any/all/{resource.kind}"
    before = (await served.call("GET", f"{path}/_count")).json()["count"]
    template = (await served.call("GET", f"{path}/_template")).json()
    assert "kind" not in template or resource.has_own_kind
    made = await served.call("POST", path, template)
    assert made.status_code == 201, made.text
    document = made.json()
    assert document["kind"] == resource.full_kind
    entity_id = document[resource.id_key]

    # By any group: a GET of a draft under its own group lists.
    read = await served.call("GET", f"{group_free}/{entity_id}")
    assert (read.status_code, read.json()) == (200, document)
    again = await served.call("POST", path, template)
    assert again.json()["error_description"] == "resource already exists"
    sent_back = await served.call("POST", f"{path}/{entity_id}", document)
    assert (sent_back.status_code, sent_back.headers["Otoroshi-Entity-Updated"]) == (200, "true")
    patch = [{"op": "add", "path": "/tags", "value": ["new"]}]
    patched = await served.call("PATCH", f"{path}/{entity_id}", patch)
    assert (patched.status_code, patched.json()["tags"]) == (200, ["new"])
    listed = await served.call("GET", f"{path}?filter.tags=new&fields={resource.id_key}")
    assert listed.json() == [{resource.id_key: entity_id, "kind": resource.full_kind}]
    assert (await served.call("GET", f"{path}/_count")).json()["count"] == before + 1

    deleted = await served.call("DELETE", f"{path}/{entity_id}")
    assert (deleted.status_code, deleted.json()["tags"]) == (200, ["new"])
    assert (await served.call("GET", f"{group_free}/{entity_id}")).status_code == 404


@pytest.mark.parametrize("resource", FREE, ids=name_of)
async def test_each_kind_goes_in_bulk(served: Served, resource: Resource) -> None:
    template = (await served.call("GET", f"{path_of(resource)}/_template")).json()
    lines = [{**template, resource.id_key: f"bulk-{n}"} for n in range(3)]
    text = b"\n".join(msgspec.json.encode(line) for line in lines)
    headers = {"Content-Type": "application/x-ndjson"}
    answers = await served.client.post(f"{path_of(resource)}/_bulk", content=text, headers=headers)
    assert [json.loads(line) for line in answers.text.splitlines()] == [
        {"status": 201, "created": True, "id": f"bulk-{n}", "id_field": resource.id_key}
        for n in range(3)
    ]


@pytest.mark.parametrize("resource", LEGACY, ids=name_of)
async def test_each_kind_lives_its_life_in_the_legacy_dialect(
    served: Served, resource: Resource
) -> None:
    path = resource.legacy_path
    assert resource.template is not None
    template = msgspec.to_builtins(resource.template("prod"))
    if resource.has_template_path:
        place = resource.legacy_template_path or f"{path}/_template"
        answered = await served.call("GET", place)
        assert answered.status_code == 200
        template = answered.json()
    made = await served.call("POST", f"{path}", template)
    assert made.status_code == 201, made.text
    entity_id = made.json()[resource.id_key]
    assert "kind" not in made.json()
    assert (await served.call("GET", f"{path}/{entity_id}")).json() == made.json()
    again = await served.call("POST", f"{path}", template)
    assert again.json()["error_description"] == "Entity already exists"
    put = await served.call("PUT", f"{path}/{entity_id}", made.json() | {"tags": ["t"]})
    assert (put.status_code, put.json()["tags"]) == (200, ["t"])
    gone = await served.call("DELETE", f"{path}/{entity_id}")
    assert (gone.status_code, gone.json()) == (200, {"deleted": True})
    assert (await served.call("GET", f"{path}/{entity_id}")).status_code == 404


async def test_the_catalogue_lists_every_kind(served: Served) -> None:
    answered = (await served.call("GET", "/apis/entities?schema=false")).json()
    assert [row["kind"] for row in answered["resources"]] == [r.kind for r in RESOURCES]


async def test_a_first_start_brings_the_default_places(served: Served) -> None:
    for path in ("/api/groups/default", "/api/tenants/default", "/api/teams/default"):
        assert (await served.call("GET", path)).status_code == 200
    groups = (await served.call("GET", "/api/groups")).json()
    assert [(g["id"], g["name"]) for g in groups] == [
        ("admin-api-group", "Otoroshi Admin Api group"),
        ("default", "default-group"),
    ]


async def test_an_organization_is_a_tenant_under_an_id_in_lower_case(served: Served) -> None:
    organizations = "/apis/organize.otoroshi.io/v1/organizations"
    made = await served.call("POST", f"{organizations}/ACME", {"name": "Acme"})
    assert (made.status_code, made.json()["id"]) == (201, "acme")
    for path in (f"{organizations}/Acme", "/apis/organize.otoroshi.io/v1/tenants/acme"):
        assert (await served.call("GET", path)).json()["name"] == "Acme"
    put = await served.call("PUT", f"{organizations}/aCME", {"name": "New"})
    assert (put.status_code, put.json()["id"]) == (200, "acme")
    assert (await served.call("GET", "/api/tenants/ACME")).json()["name"] == "New"
    assert (await served.call("DELETE", "/api/tenants/ACME")).json() == {"deleted": True}
    assert (await served.call("GET", f"{organizations}/acme")).status_code == 404


async def test_an_administrator_is_made_and_removed_but_not_changed(served: Served) -> None:
    admin = {"username": "a@b.c", "password": HASH, "label": "A"}
    made = await served.call("POST", ADMINS, admin)
    assert (made.status_code, made.json()["kind"]) == (201, "security.otoroshi.io/SimpleAdminUser")
    assert made.json()["rights"] == [{"tenant": "*:rw", "teams": ["*:rw"]}]
    writes: list[tuple[str, Any]] = [("PUT", admin), ("PATCH", []), ("POST", admin)]
    for verb, body in writes:
        refused = await served.call(verb, f"{ADMINS}/a@b.c", body)
        assert refused.status_code == 401, verb
        assert refused.json() | FORBIDDEN == refused.json()
    other = await served.call("POST", f"{ADMINS}/d@e.f", admin)
    assert (other.status_code, other.json()["username"]) == (201, "d@e.f")
    assert (await served.call("DELETE", f"{ADMINS}/a@b.c")).status_code == 200
    assert [a["username"] for a in (await served.call("GET", ADMINS)).json()] == ["d@e.f"]


async def test_a_password_in_clear_is_neither_stored_nor_told(served: Served) -> None:
    admin = {"username": "a@b.c", "password": "planted-password", "label": "A"}
    refused = await served.call("POST", ADMINS, admin)
    assert refused.status_code == 400
    assert "BCrypt" in refused.json()["error_description"][0]
    assert "planted-password" not in refused.text
    assert (await served.call("GET", f"{ADMINS}/_count")).json()["count"] == 0


@pytest.mark.parametrize("resource", SESSIONS, ids=name_of)
async def test_sessions_are_read_and_ended_only(served: Served, resource: Resource) -> None:
    path = path_of(resource)
    for n in range(3):
        text = msgspec.json.encode(session(f"s{n}"))
        await served.store.put(resource.store_kind, f"s{n}", text)
    document = session("s9")
    for verb, place in (("POST", path), ("POST", f"{path}/s9"), ("PUT", f"{path}/s0")):
        refused = await served.call(verb, place, document)
        assert (refused.status_code, refused.json()) == (
            401,
            {**FORBIDDEN, "kind": resource.full_kind},
        )
    assert (await served.call("PATCH", f"{path}/s0", [])).status_code == 401
    refused = await served.call(
        "POST", f"{path}/_bulk", document, headers={"Content-Type": "application/x-ndjson"}
    )
    assert refused.status_code == 401
    assert await served.store.count(resource.store_kind) == 3
    template = await served.call("GET", f"{path}/_template")
    assert (template.status_code, template.json()["error"]) == (404, "template not found !")
    assert (await served.call("GET", f"{path}/s1")).json()["randomId"] == "s1"
    assert (await served.call("DELETE", f"{path}/s1")).json()["randomId"] == "s1"
    assert (await served.call("DELETE", path)).status_code == 204
    assert await served.store.count(resource.store_kind) == 0


async def test_a_get_below_the_drafts_own_path_lists_ids_that_start_so(served: Served) -> None:
    for entity_id in ("route_1", "route_2", "api_1"):
        draft = {"name": "n", "description": "d", "kind": "Route", "content": {"a": entity_id}}
        assert (await served.call("POST", f"{DRAFTS}/{entity_id}", draft)).status_code == 201
    listed = (await served.call("GET", f"{DRAFTS}/route")).json()
    assert [(d["id"], d["kind"]) for d in listed] == [("route_1", "Route"), ("route_2", "Route")]
    assert (await served.call("GET", f"{DRAFTS}/none")).json() == []
    one = (await served.call("GET", "/apis/any/v1/drafts/route_1")).json()
    assert (one["id"], one["kind"]) == ("route_1", "proxy.otoroshi.io/Draft")


@pytest.mark.parametrize("kind", [None, "Draft", "proxy.otoroshi.io/Draft"])
async def test_a_draft_that_is_sent_back_keeps_its_own_kind(
    served: Served, kind: str | None
) -> None:
    draft = {"name": "n", "description": "d", "kind": "Route"}
    await served.call("POST", f"{DRAFTS}/d1", draft)
    await served.call("PUT", f"{DRAFTS}/d1", {"name": "new", "description": "d", "kind": kind})
    record = await served.store.get("drafts", "d1")
    assert record is not None
    stored = msgspec.json.decode(record.document)
    assert (stored["name"], stored["kind"]) == ("new", "Route")
    await served.call("PUT", f"{DRAFTS}/d1", {**draft, "kind": "Api"})
    assert (await served.call("GET", f"{DRAFTS}/d1")).json()[0]["kind"] == "Api"


async def test_the_legacy_template_of_a_composition_is_another_one(served: Served) -> None:
    generic = await served.call("GET", "/apis/proxy.otoroshi.io/v1/route-compositions/_template")
    legacy = await served.call("GET", "/api/route-compositions/_template")
    assert generic.json()["name"] == "empty route-composition"
    assert legacy.json()["name"] == "New route-composition"
