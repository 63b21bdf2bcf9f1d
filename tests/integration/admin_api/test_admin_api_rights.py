"""What callers with rights of their own are answered, word for word, and who counts as a caller."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest

from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
GENERIC = {"error": "unauthorized", "error_description": "you cannot access this resource"}
LEGACY = {"error": "forbidden", "error_description": "You're not allowed to do this !"}
GATE = {"error": "You're not authorized here !"}
ACME_ADMIN = [{"tenant": "acme:rw", "teams": ["*:rw"]}]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api() as api:
        for tenant in ("acme", "globex"):
            body = route_document(f"r-{tenant}", _loc={"tenant": tenant, "teams": ["a"]})
            assert (await api.call("POST", "/api/routes", body)).status_code == 201
        yield api


def key(client_id: str, rights: Any = None, **more: Any) -> dict[str, Any]:
    text = msgspec.json.encode(rights).decode() if isinstance(rights, list) else rights
    return {
        "clientId": client_id,
        "clientSecret": f"secret of {client_id}",
        "clientName": f"key {client_id}",
        "authorizedEntities": ["group_admin-api-group"],
        "metadata": {} if rights is None else {"otoroshi-access-rights": text},
        **more,
    }


async def add_key(served: Served, client_id: str, rights: Any = None, **more: Any) -> None:
    answer = await served.call("POST", "/api/apikeys", key(client_id, rights, **more))
    assert answer.status_code == 201, answer.text


async def ask(
    served: Served,
    client_id: str,
    verb: str,
    path: str,
    body: Any = None,
    *,
    tenant: str | None = "acme",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    named = {} if tenant is None else {"Otoroshi-Tenant": tenant}
    pair = (client_id, f"secret of {client_id}")
    return await served.call(verb, path, body, auth=pair, headers=named | (headers or {}))


async def test_refusals_of_both_dialects(served: Served) -> None:
    await add_key(served, "k", ACME_ADMIN)
    foreign = route_document("r-globex", _loc={"tenant": "globex", "teams": ["a"]})
    new = route_document("new", _loc={"tenant": "globex", "teams": ["a"]})
    move = [{"op": "replace", "path": "/_loc/tenant", "value": "globex"}]
    for verb, path, body in (
        ("GET", "/r-globex", None),
        ("PUT", "/r-globex", foreign),
        ("PATCH", "/r-globex", move),
        ("DELETE", "/r-globex", None),
        ("POST", "", new),
        ("PATCH", "/r-acme", move),
        ("PUT", "/r-acme", {**foreign, "id": "r-acme"}),
    ):
        generic = await ask(served, "k", verb, ROUTES + path, body)
        assert generic.status_code == 401, (verb, path)
        assert generic.json() == {**GENERIC, "kind": "proxy.otoroshi.io/Route"}
        legacy = await ask(served, "k", verb, "/api/routes" + path, body)
        assert legacy.status_code == 403, (verb, path)
        assert legacy.json() == LEGACY
    for path in ("/api/otoroshi.json", "/api/globalconfig", "/api/audit/events"):
        gated = await ask(served, "k", "GET", path)
        assert (gated.status_code, gated.json()) == (403, GATE)
    for path in ("/apis/cluster", "/api/cluster/members", "/apis/cluster/node"):
        assert (await ask(served, "k", "GET", path)).status_code == 403, path
    for path in ("/apis/cluster/node/infos", "/api/plugins/all"):
        assert (await ask(served, "k", "GET", path)).status_code == 200, path
    config = await ask(served, "k", "GET", "/apis/config.otoroshi.io/v1/global-configs/global")
    assert config.status_code == 401
    bulk = await ask(
        served,
        "k",
        "PUT",
        f"{ROUTES}/_bulk",
        foreign,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert bulk.status_code == 200
    assert bulk.json()["status"] == 401
    assert bulk.json()["error_description"] == "you cannot access this resource"


async def test_lists_and_counts_hold_what_the_caller_may_see(served: Served) -> None:
    await add_key(served, "k", ACME_ADMIN)
    assert [r["id"] for r in (await ask(served, "k", "GET", ROUTES)).json()] == ["r-acme"]
    legacy = await ask(served, "k", "GET", "/api/routes")
    assert [r["id"] for r in legacy.json()] == ["r-acme"]
    assert legacy.headers["X-Count"] == "1"
    assert (await ask(served, "k", "GET", f"{ROUTES}/_count")).json()["count"] == 1
    elsewhere = await ask(served, "k", "GET", ROUTES, tenant=None)
    assert elsewhere.json() == []
    everything = await served.call("GET", ROUTES, headers={"Otoroshi-Tenant": "acme"})
    assert len(everything.json()) == 2
    organizations = await ask(served, "k", "GET", "/api/tenants")
    assert organizations.json() == []


async def test_removing_all_removes_what_the_caller_may_write(served: Served) -> None:
    await add_key(served, "k", [{"tenant": "acme:rw", "teams": ["a:rw", "b:r"]}])
    shared = route_document("r-b", _loc={"tenant": "acme", "teams": ["b"]})
    assert (await served.call("POST", "/api/routes", shared)).status_code == 201
    assert (await ask(served, "k", "DELETE", ROUTES)).status_code == 204
    left = [r["id"] for r in (await served.call("GET", "/api/routes")).json()]
    assert sorted(left) == ["r-b", "r-globex"]
    assert (await ask(served, "k", "GET", f"{ROUTES}/r-b")).status_code == 200
    assert (await ask(served, "k", "DELETE", f"{ROUTES}/r-b")).status_code == 401


async def test_new_entities_and_templates_go_where_the_caller_may_write(served: Served) -> None:
    await add_key(served, "k", [{"tenant": "acme:rw", "teams": ["a:rw"]}])
    place = {"tenant": "acme", "teams": ["a"]}
    made = await ask(served, "k", "POST", ROUTES, route_document("made"))
    assert (made.status_code, made.json()["_loc"]) == (201, place)
    upserted = await ask(served, "k", "POST", f"{ROUTES}/up", route_document("up"))
    assert (upserted.status_code, upserted.json()["_loc"]) == (201, place)
    for path in (f"{ROUTES}/_template", "/api/routes/_template", "/api/apikeys/_template"):
        assert (await ask(served, "k", "GET", path)).json()["_loc"] == place
    mine = await served.call("GET", "/api/routes/_template", headers={"Otoroshi-Tenant": "acme"})
    assert mine.json()["_loc"] == {"tenant": "acme", "teams": ["default"]}
    certificate = await ask(served, "k", "POST", "/api/pki/certs", {"hosts": ["a.b"]})
    assert (certificate.status_code, certificate.json()["_loc"]) == (200, place)


async def test_the_keys_of_the_installations_authorities_are_for_administrators(
    served: Served,
) -> None:
    ecdsa = {"algo": "ecdsa", "size": 256}
    path = "/apis/pki.otoroshi.io/v1/certificates"
    made: list[dict[str, Any]] = []
    for number, subject in enumerate(("CN=Own", "CN=Theirs", "CN=Copy", "CN=Last")):
        query = {"subject": subject, "key": ecdsa}
        answer = await served.call("POST", "/api/pki/cas?persist=false", query)
        body = {k: v for k, v in answer.json().items() if k != "certId"}
        body["id"] = "otoroshi-intermediate-ca" if number == 0 else f"c{number}"
        if subject == "CN=Copy":
            body["metadata"] = {"nextCertificate": "otoroshi-intermediate-ca"}
        assert (await served.call("POST", path, body)).status_code == 201
        made.append(body)
    own = made[0]
    await add_key(served, "reader", [{"tenant": "default:r", "teams": ["default:r"]}])
    await add_key(served, "writer", [{"tenant": "default:rw", "teams": ["default:rw"]}])
    await add_key(served, "admin", [{"tenant": "default:rw", "teams": ["*:rw"]}])
    for client in ("reader", "writer"):
        listed = await ask(served, client, "GET", path, tenant=None)
        assert [c["id"] for c in listed.json()] == ["c1", "c3"]
        legacy = await ask(
            served, client, "GET", "/api/certificates?page=2&pageSize=1", tenant=None
        )
        assert [c["id"] for c in legacy.json()] == ["c3"]
        assert legacy.headers["X-Count"] == "2"
        for hidden in (own["id"], "c2"):
            refused = await ask(served, client, "GET", f"{path}/{hidden}", tenant=None)
            assert (refused.status_code, "privateKey" in refused.text) == (401, False)
    moved = {**own, "_loc": {"tenant": "default", "teams": ["default"]}}
    leaf = {"hosts": ["a.b"], "key": ecdsa}
    changes: list[tuple[str, str, Any]] = [
        ("PUT", f"/api/certificates/{own['id']}", moved),
        ("DELETE", f"/api/certificates/{own['id']}", None),
        ("POST", "/api/certificates", {**made[1], "id": "otoroshi-root-ca"}),
        ("POST", f"/api/pki/cas/{own['id']}/certs", leaf),
    ]
    for verb, where, change in changes:
        refused = await ask(served, "writer", verb, where, change, tenant=None)
        assert refused.status_code == 403, (verb, where, refused.text)
    listed = await ask(served, "admin", "GET", path, tenant=None)
    assert {c["id"] for c in listed.json()} == {own["id"], "c1", "c2", "c3"}
    signed = await ask(
        served, "admin", "POST", f"/api/pki/cas/{own['id']}/certs", leaf, tenant=None
    )
    assert signed.status_code == 200, signed.text


async def test_a_route_does_not_show_the_backend_of_another_tenant(served: Served) -> None:
    backend = {
        "id": "b1",
        "name": "b1",
        "_loc": {"tenant": "globex", "teams": ["a"]},
        "backend": {"targets": [{"hostname": "10.9.8.7", "port": 1}]},
    }
    assert (await served.call("POST", "/api/backends", backend)).status_code == 201
    await add_key(served, "k", ACME_ADMIN)
    route = route_document("ref", backend_ref="b1")
    made = await ask(served, "k", "POST", ROUTES, route)
    shown = await ask(served, "k", "GET", f"{ROUTES}/ref")
    assert "10.9.8.7" not in made.text + shown.text
    assert "10.9.8.7" in (await served.call("GET", f"{ROUTES}/ref")).text


async def test_nobody_hands_on_rights_that_he_has_not(served: Served) -> None:
    await add_key(served, "k", ACME_ADMIN)
    await add_key(served, "boss", _loc={"tenant": "acme", "teams": ["a"]})
    place = {"tenant": "acme", "teams": ["a"]}
    wider = [None, [{"tenant": "*:rw", "teams": ["*:rw"]}], [{"tenant": "globex", "teams": ["a"]}]]
    for rights in wider:
        made = await ask(served, "k", "POST", KEYS, key("k2", rights, _loc=place))
        assert made.status_code == 401, rights
    narrower = key("k3", [{"tenant": "acme:r", "teams": ["a:r"]}], _loc=place)
    assert (await ask(served, "k", "POST", KEYS, narrower)).status_code == 201
    assert (await ask(served, "k3", "GET", f"{ROUTES}/r-acme")).status_code == 200
    assert (await ask(served, "k3", "DELETE", f"{ROUTES}/r-acme")).status_code == 401
    grown = [{"op": "remove", "path": "/metadata/otoroshi-access-rights"}]
    assert (await ask(served, "k", "PATCH", f"{KEYS}/k3", grown)).status_code == 401
    # the secret of a key that may do more is no secret that may be read
    for path in (f"{KEYS}/boss", "/api/apikeys/boss/bearer"):
        assert (await ask(served, "k", "GET", path)).status_code in (401, 403)
    assert "boss" not in (await ask(served, "k", "GET", KEYS)).text


async def test_which_stored_keys_are_taken(served: Served) -> None:
    await add_key(served, "plain")
    assert len((await ask(served, "plain", "GET", ROUTES)).json()) == 2
    await add_key(served, "by-route", authorizedEntities=["route_admin-api-service"])
    assert (await ask(served, "by-route", "GET", ROUTES)).status_code == 200
    await add_key(served, "other", authorizedEntities=["group_default"])
    other = await ask(served, "other", "GET", ROUTES)
    assert other.status_code == 401
    assert other.json() == {"error": f"You're not authorized - GET {ROUTES}"}
    await add_key(served, "reader", readOnly=True)
    assert (await ask(served, "reader", "GET", ROUTES)).status_code == 200
    written = await ask(served, "reader", "DELETE", f"{ROUTES}/r-acme")
    assert written.status_code == 401
    await add_key(served, "off", enabled=False)
    await add_key(served, "old", validUntil=1)
    for client_id in ("off", "old"):
        refused = await ask(served, client_id, "GET", ROUTES)
        assert (refused.status_code, refused.json()["error"]) == (401, "errors.bad.api.key")
    rotation = {"enabled": True, "nextSecret": "secret of rotated"}
    await add_key(served, "rotated", clientSecret="before", rotation=rotation)
    assert (await ask(served, "rotated", "GET", ROUTES)).status_code == 200
    await served.call("DELETE", "/api/apikeys/plain")
    gone = await ask(served, "plain", "GET", ROUTES)
    assert (gone.status_code, gone.json()["error"]) == (400, "errors.invalid.api.key.tuple")


async def test_rights_that_cannot_be_read_allow_nothing(served: Served) -> None:
    await add_key(served, "k", "[")
    assert (await ask(served, "k", "GET", ROUTES)).json() == []
    assert (await ask(served, "k", "GET", f"{ROUTES}/r-acme")).status_code == 401


def user_token(secret: str, rights: Any = None, *, algorithm: str = "HS512", **more: Any) -> str:
    session: dict[str, Any] = {
        "randomId": "s1",
        "name": "Ann",
        "email": "ann@acme.io",
        "rights": ACME_ADMIN if rights is None else rights,
        **more,
    }
    claims = {"user": msgspec.json.encode(session).decode(), "exp": time.time_ns() // 10**9 + 60}
    return jwt.encode(claims, secret, algorithm=algorithm)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_console_says_for_whom_it_asks(served: Served) -> None:
    async def listed(token: str, **options: Any) -> httpx.Response:
        headers = {"Otoroshi-BackOffice-User": token, "Otoroshi-Tenant": "acme"}
        return await served.call("GET", ROUTES, headers=headers, **options)

    secret = DEV_CREDENTIALS.client_secret
    answer = await listed(user_token(secret))
    assert [route["id"] for route in answer.json()] == ["r-acme"]
    for token in (
        user_token("another secret"),
        user_token(secret, algorithm="HS256"),
        user_token(secret, rights="all"),
        jwt.encode({"user": "x"}, secret, algorithm="HS512"),
        "x",
        "",
    ):
        refused = await listed(token)
        assert (refused.status_code, refused.json()) == (403, GATE)
    # whoever has a key with rights knows its secret, and must not sign himself more of them
    await add_key(served, "k", ACME_ADMIN)
    everything = [{"tenant": "*:rw", "teams": ["*:rw"]}]
    own = ("k", "secret of k")
    signed = await listed(user_token("secret of k", everything), auth=own)
    assert (signed.status_code, signed.json()) == (403, GATE)
    assert (await listed(user_token("secret of k"), auth=own)).status_code == 200


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_body_that_the_caller_may_not_write_is_refused_dry_as_well(
    served: Served, query: str
) -> None:
    await add_key(served, "acme-key", [{"tenant": "acme:rw", "teams": ["a:rw"]}])
    await add_key(served, "reader", [{"tenant": "acme:r", "teams": ["a:r"]}])
    acme, globex = ({"tenant": tenant, "teams": ["a"]} for tenant in ("acme", "globex"))
    path = f"/apis/_apply{query}"

    def body(route_id: str, **more: Any) -> list[dict[str, Any]]:
        return [{"kind": "Route", **route_document(route_id, **more)}]

    may = await ask(served, "acme-key", "POST", path, body("new", _loc=acme))
    assert may.status_code == 200, may.text
    for client, items in (
        # New ones, one of his that would be moved, and one of somebody else.
        ("acme-key", body("other", _loc=globex)),
        ("acme-key", body("r-acme", _loc=globex)),
        ("acme-key", body("r-globex", _loc=acme)),
        ("reader", body("other", _loc=acme)),
        ("reader", body("r-acme", _loc=acme, name="changed")),
        ("reader", [{"kind": "Route", "id": "r-acme", "_action": "delete"}]),
    ):
        refused = await ask(served, client, "POST", path, items)
        assert refused.status_code in {401, 403}, (client, items, refused.text)
    stored = await served.call("GET", "/api/routes/r-acme")
    assert (stored.json()["_loc"], stored.json()["name"]) == (acme, "route r-acme")
