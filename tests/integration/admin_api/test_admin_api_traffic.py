"""Nobody but a super admin takes the admin API's own requests, by a route of his own or by changing its route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from oto_trio.control.admin_api import build_app
from oto_trio.control.admin_route import ADMIN_ROUTE, admin_api_names, ensure_admin_route
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.first_start import bootstrap
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore
from oto_trio.testing.admin_api import route_document
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = AdminCredentials("root", "secret of root")
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
SETTINGS = Settings(admin_api_domains=("gw.test",))


class Api:
    """The admin API over a store."""

    def __init__(self, store: MemoryStore, client: httpx.AsyncClient) -> None:
        self.store = store
        self._client = client

    async def ask(
        self, who: str, verb: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        pair = (who, f"secret of {who}")
        return await self._client.request(verb, path, json=body, auth=pair, headers=headers)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Give an API with a writer of a team of ``default`` and the admin of that tenant."""
    async with MemoryStore() as store:
        await bootstrap(store)
        await ensure_admin_route(store, SETTINGS, ROOT)
        for who, team in (("writer", "default"), ("tenant", "*")):
            rights = [{"tenant": "default:rw", "teams": [f"{team}:rw"]}]
            key = {
                "clientId": who,
                "clientSecret": f"secret of {who}",
                "clientName": who,
                "authorizedEntities": ["group_admin-api-group"],
                "metadata": {"otoroshi-access-rights": msgspec.json.encode(rights).decode()},
            }
            await store.put("apikeys", who, msgspec.json.encode(key))
        names = admin_api_names(SETTINGS)
        app = build_app(store, [ROOT], FakeGatewayControl(), admin_names=names)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            yield Api(store, client)


def route(domain: str, entity_id: str = "mine") -> dict[str, Any]:
    return {**route_document(entity_id), "frontend": {"domains": ["ok.oto.tools", domain]}}


def composition(domain: str, entity_id: str = "mine") -> dict[str, Any]:
    backend = {"targets": [{"hostname": "127.0.0.1", "port": 1}]}
    frontend = {"domains": [domain]}
    return {
        "id": entity_id,
        "name": "n",
        "routes": [{"frontend": frontend, "backend": backend}],
        "plugins": [],
    }


def service(entity_id: str = "mine", **more: Any) -> dict[str, Any]:
    names = {"name": "n", "domain": "oto.tools", "subdomain": "mine", "groups": ["default"]}
    targets = [{"host": "127.0.0.1:1", "scheme": "http"}]
    return {"id": entity_id, "env": "prod", "targets": targets, **names, **more}


TAKING = (
    "otoroshi-api.oto.tools/api",
    "otoroshi-api.oto.tools",
    " OTOROSHI-API.oto.tools./api",
    "otoroshi-api.localhost/apis/",
    "gw.test/:any",
    "*.oto.tools/api",
    "*/api",
    "otoroshi-*.localhost",
    "${vault://env/HOST}/api",
    "otoroshi-${vault://env/REST}",
)
FREE = (
    "mine.oto.tools/api",
    "my-otoroshi-api.oto.tools",
    "otoroshi-api.oto.tools.example.com",
    "mine.oto.tools/otoroshi-api.oto.tools",
    "mine.oto.tools/${vault://env/PATH}",
    "*.mine.oto.tools",
    "mine-${vault://env/REST}",
)
SERVICES: tuple[dict[str, Any], ...] = (
    {"subdomain": "otoroshi-api", "matchingRoot": "/api"},
    {"subdomain": "otoroshi-api", "env": "oto", "domain": "tools"},
    {"hosts": ["x.y", "otoroshi-api.localhost"]},
    {"hosts": ["otoroshi-api.oto"], "paths": [".tools/api"], "handleLegacyDomain": False},
    {"subdomain": "*", "enabled": False},
)


async def test_the_names_of_the_admin_api_are_the_super_admins(api: Api) -> None:
    tried = [("/api/routes", route(domain)) for domain in TAKING]
    tried += [("/api/route-compositions", composition(domain)) for domain in TAKING]
    tried += [("/api/services", service(**more)) for more in SERVICES]
    tried.append(("/api/routes", {**route("x.y"), "frontend": {"domain": TAKING[0]}}))
    before = api.store.revision
    for path, body in tried:
        for who in ("writer", "tenant"):
            answer = await api.ask(who, "POST", path, body)
            assert answer.status_code == 403, (path, body, answer.text)
            assert "only a super admin may write it" in answer.text, answer.text
    refused = await api.ask("writer", "POST", ROUTES, route(TAKING[0]))
    assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
    assert "'otoroshi-api.oto.tools/api' matches a host of the admin API" in refused.text
    assert api.store.revision == before, "nothing was written"
    for path, body in tried:
        answer = await api.ask("root", "POST", path, body)
        assert answer.status_code == 201, (body, answer.text)
        assert (await api.ask("root", "DELETE", f"{path}/mine")).status_code == 200


async def test_other_names_are_free(api: Api) -> None:
    for domain in FREE:
        for path, body in (
            ("/api/routes", route(domain)),
            ("/api/route-compositions", composition(domain)),
        ):
            answer = await api.ask("writer", "POST", path, body)
            assert answer.status_code == 201, (domain, answer.text)
            assert (await api.ask("writer", "DELETE", f"{path}/mine")).status_code == 200
    assert (await api.ask("writer", "POST", "/api/services", service())).status_code == 201


async def test_every_way_to_write_a_route_is_guarded(api: Api) -> None:
    assert (await api.ask("writer", "POST", "/api/routes", route("a.b"))).status_code == 201
    stolen = [{"op": "replace", "path": "/frontend/domains/1", "value": TAKING[0]}]
    assert (await api.ask("writer", "PUT", "/api/routes/mine", route(TAKING[0]))).status_code == 403
    assert (await api.ask("writer", "PATCH", "/api/routes/mine", stolen)).status_code == 403
    await api.ask("writer", "POST", f"{ROUTES}/_bulk", [route(TAKING[0], "other")])
    records = await api.store.list("routes")
    assert {record.id for record in records} == {"mine", ADMIN_ROUTE}
    assert all(b"tools/api" not in record.document for record in records)
    # What is there already may be taken away by those who may write it.
    taking = msgspec.json.encode(route(TAKING[0]))
    await api.store.put("routes", "mine", taking)
    assert (await api.ask("writer", "DELETE", "/api/routes/mine")).status_code == 200


async def test_hosts_that_a_super_admin_gave_the_stored_route_count_too(api: Api) -> None:
    record = await api.store.get("routes", ADMIN_ROUTE)
    assert record is not None
    stored = msgspec.json.decode(record.document)
    stored["frontend"]["domains"] = ["admin.example.com/", "*.b", "shared.example.com/otoroshi"]
    assert (await api.ask("root", "PUT", f"/api/routes/{ADMIN_ROUTE}", stored)).status_code == 200
    for domain, status in (
        ("admin.example.com/api", 403),
        ("a.b", 201),
        ("shared.example.com/x", 201),
    ):
        answer = await api.ask("writer", "POST", "/api/routes", route(domain, domain[:3]))
        assert answer.status_code == status, (domain, answer.text)


@pytest.mark.parametrize("who", ["writer", "tenant"])
async def test_the_route_of_the_admin_api_is_written_by_super_admins_only(
    api: Api, who: str
) -> None:
    path = f"/api/routes/{ADMIN_ROUTE}"
    found = await api.ask(who, "GET", path)
    assert found.status_code == 200, "it may be seen"
    changed = {**found.json(), "description": "mine", "frontend": {"domains": ["a.b"]}}
    before = api.store.revision
    patch = [{"op": "replace", "path": "/description", "value": "mine"}]
    for verb, where, body in (
        ("PUT", path, changed),
        ("PATCH", path, patch),
        ("DELETE", path, None),
        ("PUT", f"/api/routes/{ADMIN_ROUTE}", route("a.b", ADMIN_ROUTE)),
        ("POST", "/api/services", service(ADMIN_ROUTE)),
        ("POST", "/api/route-compositions", composition("a.b", ADMIN_ROUTE)),
    ):
        answer = await api.ask(who, verb, where, body)
        assert answer.status_code == 403, (verb, where, answer.text)
    assert (await api.ask(who, "PUT", f"{ROUTES}/{ADMIN_ROUTE}", changed)).status_code == 401
    assert (await api.ask(who, "DELETE", ROUTES)).status_code in (200, 204, 401)
    assert api.store.revision == before, "nothing was written"
    assert (await api.ask("root", "PUT", path, changed)).status_code == 200
