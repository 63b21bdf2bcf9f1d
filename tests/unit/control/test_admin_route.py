"""The admin API's route through the gateway: what the store gets, and what workers get of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oto_trio.control.admin_route import (
    ADMIN_ROUTE,
    AdminRoute,
    admin_api_names,
    ensure_admin_route,
)
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore, Store
from oto_trio.model.route import read_route

CREDENTIALS = AdminCredentials("the-id", "the-secret")
NAMES = ("otoroshi-api.oto.tools", "otoroshi-api.localhost")


async def stored(store: Store, kind: str, entity_id: str) -> dict[str, Any]:
    record = await store.get(kind, entity_id)
    assert record is not None
    document: dict[str, Any] = msgspec.json.decode(record.document)
    return document


def test_the_names_are_those_of_the_settings() -> None:
    assert admin_api_names(Settings()) == NAMES
    more = Settings(
        domain="example.com",
        admin_api_subdomain="api",
        admin_api_domains=("gw.test", "api.localhost"),
    )
    assert admin_api_names(more) == ("api.example.com", "api.localhost", "gw.test")
    assert admin_api_names(Settings(admin_api_exposed=False)) == ()


async def test_a_store_gets_the_route_and_the_key_as_otoroshi_makes_them() -> None:
    async with MemoryStore() as store:
        await ensure_admin_route(store, Settings(http_port=8080), CREDENTIALS)
        route = await stored(store, "routes", ADMIN_ROUTE)
        assert (route["name"], route["groups"]) == ("otoroshi-admin-api", ["admin-api-group"])
        assert tuple(route["frontend"]["domains"]) == NAMES
        target = route["backend"]["targets"][0]
        assert (target["hostname"], target["port"]) == ("127.0.0.1", 8080)
        slots = {slot["plugin"].rpartition(".")[2]: slot for slot in route["plugins"]}
        assert slots["AdditionalHeadersIn"]["config"] == {
            "headers": {"Host": "otoroshi-admin-internal-api.oto.tools"}
        }
        assert slots["ApikeyCalls"]["config"]["mandatory"] is True
        assert slots["ApikeyCalls"]["exclude"] == ["/health", "/metrics"]
        key = await stored(store, "apikeys", "the-id")
        assert key["clientSecret"] == "the-secret"
        assert key["authorizedEntities"] == ["group_admin-api-group"]
        assert key["clientName"] == "Otoroshi Backoffice ApiKey"
        assert key["throttlingQuota"] == 10_000

        revision = store.revision
        await ensure_admin_route(store, Settings(), CREDENTIALS)
        assert store.revision == revision, "a later start writes nothing"


async def test_a_later_start_keeps_the_route_and_brings_the_new_secret() -> None:
    async with MemoryStore() as store:
        await ensure_admin_route(store, Settings(), CREDENTIALS)
        route = {**await stored(store, "routes", ADMIN_ROUTE), "description": "mine"}
        await store.put("routes", ADMIN_ROUTE, msgspec.json.encode(route))
        key = {**await stored(store, "apikeys", "the-id"), "enabled": False}
        await store.put("apikeys", "the-id", msgspec.json.encode(key))
        await ensure_admin_route(store, Settings(), AdminCredentials("the-id", "changed"))
        assert (await stored(store, "routes", ADMIN_ROUTE))["description"] == "mine"
        key = await stored(store, "apikeys", "the-id")
        assert (key["clientSecret"], key["enabled"]) == ("changed", False)


@pytest.mark.parametrize(
    "over",
    [{"clientSecret": "${vault://env/SECRET}"}, {"rotation": {"enabled": True}}],
    ids=["vault", "rotation"],
)
async def test_a_secret_that_comes_from_elsewhere_stays(over: dict[str, Any]) -> None:
    async with MemoryStore() as store:
        await ensure_admin_route(store, Settings(), CREDENTIALS)
        key = {**await stored(store, "apikeys", "the-id"), **over}
        await store.put("apikeys", "the-id", msgspec.json.encode(key))
        await ensure_admin_route(store, Settings(), AdminCredentials("the-id", "changed"))
        assert await stored(store, "apikeys", "the-id") == key


async def test_a_gateway_that_does_not_serve_it_makes_no_route() -> None:
    settings = Settings(admin_api_exposed=False)
    async with MemoryStore() as store:
        await ensure_admin_route(store, settings, CREDENTIALS)
        assert store.revision == 0
        await ensure_admin_route(store, Settings(), CREDENTIALS)
        route = await store.get("routes", ADMIN_ROUTE)
        assert route is not None
    served = msgspec.json.decode(
        AdminRoute(settings, 1).as_served("routes", ADMIN_ROUTE, route.document)
    )
    assert served["enabled"] is False


async def test_workers_get_this_nodes_backend_names_and_claim_in_the_place_of_otoroshis() -> None:
    async with MemoryStore() as store:
        await ensure_admin_route(store, Settings(), CREDENTIALS)
        record = await store.get("routes", ADMIN_ROUTE)
    assert record is not None
    node = AdminRoute(Settings(admin_api_domains=("gw.test",)), 4711)
    route = read_route(msgspec.json.decode(node.as_served("routes", ADMIN_ROUTE, record.document)))
    assert route.frontend.domains == (*NAMES, "gw.test")
    assert [(t.hostname, t.port) for t in route.backend.targets] == [("127.0.0.1", 4711)]
    assert [slot.plugin.rpartition(".")[2] for slot in route.plugins] == [
        "AdditionalHeadersIn",
        "ApikeyCalls",
        "OtoroshiInfos",
    ]
    algorithm: dict[str, Any] = route.plugins[-1].config["algo"]
    assert algorithm == msgspec.json.decode(node.algorithm)
    assert len(algorithm["secret"]) >= 64
    assert AdminRoute(Settings(), 4711).secret != node.secret
    assert node.secret.encode() not in record.document


def test_the_service_that_an_old_otoroshi_has_for_it_takes_no_requests() -> None:
    document = msgspec.json.encode({"id": ADMIN_ROUTE, "enabled": True, "name": "x"})
    served = AdminRoute(Settings(), 1).as_served("service-descriptors", ADMIN_ROUTE, document)
    assert msgspec.json.decode(served) == {"id": ADMIN_ROUTE, "enabled": False, "name": "x"}


@pytest.mark.parametrize(
    ("kind", "entity_id", "document"),
    [
        ("routes", "other", b'{"id":"other"}'),
        ("backends", ADMIN_ROUTE, b'{"id":"admin-api-service"}'),
        ("routes", ADMIN_ROUTE, b"no json"),
        ("routes", ADMIN_ROUTE, b"[1]"),
    ],
)
def test_everything_else_goes_to_workers_as_it_is(
    kind: str, entity_id: str, document: bytes
) -> None:
    assert AdminRoute(Settings(), 1).as_served(kind, entity_id, document) == document


def test_a_route_with_parts_of_the_wrong_type_keeps_them_for_the_workers_to_report() -> None:
    document = msgspec.json.encode({"plugins": 5, "frontend": "x"})
    served = msgspec.json.decode(
        AdminRoute(Settings(), 1).as_served("routes", ADMIN_ROUTE, document)
    )
    assert (served["plugins"], served["frontend"]) == (5, "x")
