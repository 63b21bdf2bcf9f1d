"""Daikoku's calls, played against a whole gateway by a client that sends exactly its requests."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.admin_api.daikoku import (
    ApiKey,
    Daikoku,
    DaikokuError,
    Restriction,
    Restrictions,
    Rotation,
)
from tests.integration.clients import admin, eventually
from tests.integration.plugins.api_keys import bearer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

HOST = "otoroshi-api.oto.tools"
ADMIN_KEY = ("admin-api-apikey-id", "admin-api-apikey-secret")
NG = "cp:otoroshi.next.plugins."


def route(route_id: str, *, groups: list[str]) -> dict[str, Any]:
    """A route that asks for an API key and answers itself."""
    return {
        "id": route_id,
        "name": f"route {route_id}",
        "groups": groups,
        "frontend": {"domains": [f"{route_id}.oto.tools"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": 9}]},
        "plugins": [
            {"plugin": f"{NG}ApikeyCalls", "config": {}},
            {"plugin": f"{NG}StaticResponse", "config": {"body": route_id}},
        ],
    }


def subscription(*entities: str, **more: Any) -> ApiKey:
    """The key of a new subscription, as Daikoku makes it."""
    return ApiKey(
        clientId=secrets.token_hex(16),
        clientSecret=secrets.token_hex(32),
        clientName="daikoku-api-key-an-api-a-plan-a-team-1",
        authorizedEntities=list(entities),
        restrictions=Restrictions(),
        metadata={"daikoku_created_by": "a@b.test", "daikoku__metadata": "plan | team"},
        tags=["daikoku"],
        **more,
    )


@asynccontextmanager
async def daikoku(data: Path) -> AsyncGenerator[tuple[Daikoku, GatewayProcess]]:
    """Run a gateway with two routes, a service and a group, and give a Daikoku that is set up for it."""
    async with (
        gateway_process("--dev", "--workers", "1", data=data) as gateway,
        httpx.AsyncClient(timeout=30) as client,
    ):
        async with admin(gateway) as api:
            for path, body in (
                ("/api/groups", {"id": "dk-shop", "name": "shop", "description": ""}),
                ("/api/routes", route("orders", groups=["dk-shop"])),
                ("/api/routes?wait=applied", route("stock", groups=["default"])),
                ("/api/services", {"id": "s1", "domain": "oto.tools", "subdomain": "old"}),
            ):
                made = await api.post(path, json=body)
                assert made.status_code == 201, made.text
        yield Daikoku(client, gateway.http, host=HOST, key=ADMIN_KEY), gateway


async def called(gateway: GatewayProcess, name: str, key: ApiKey) -> int:
    """Call a route as a subscriber does: with the bearer that Daikoku shows."""
    headers = {"Host": f"{name}.oto.tools", "Authorization": f"Bearer {key.bearer}"}
    async with httpx.AsyncClient() as client:
        return (await client.get(gateway.http, headers=headers)).status_code


async def becomes(gateway: GatewayProcess, name: str, key: ApiKey, status: int) -> None:
    """Wait until a call is answered so: Daikoku does not wait for the workers."""

    async def is_so() -> bool:
        return await called(gateway, name, key) == status

    await eventually(is_so)


async def test_it_chooses_what_an_api_is_made_of(tmp_path: Path) -> None:
    async with daikoku(tmp_path) as (client, _):
        assert {g["id"] for g in await client.service_groups()} >= {"dk-shop", "default"}
        assert [g["id"] for g in await client.service_groups(id_prefix="dk-")] == ["dk-shop"]
        assert [g["id"] for g in await client.service_groups(name_prefix="sho")] == ["dk-shop"]
        assert (await client.service_group("dk-shop"))["name"] == "shop"
        assert {r["id"] for r in await client.routes()} >= {"orders", "stock"}
        assert [s["id"] for s in await client.services()] == ["s1"]
        assert (await client.service("s1"))["subdomain"] == "old"
        with pytest.raises(DaikokuError, match="404"):
            await client.service("none")
        # Where no events are read, it shows no consumption but goes on.
        assert await client.elastic_config() is None
        for of, entity in (("service", "orders"), ("apikey", "none"), ("group", "dk-shop")):
            assert await client.consumption(of, entity) is None


async def test_a_subscription_lives_and_ends(tmp_path: Path) -> None:
    async with daikoku(tmp_path) as (client, gateway):
        asked = subscription("route_orders", dailyQuota=1000)
        key = await client.create_key(asked)
        assert (key.clientId, key.clientSecret) == (asked.clientId, asked.clientSecret)
        assert key.bearer == bearer(asked.clientId, asked.clientSecret)
        assert key.authorizedEntities == ["route_orders"]
        assert key.metadata.items() >= asked.metadata.items()
        assert key.rotation is not None, "it sent none, and gets the default"
        assert not key.rotation.enabled
        with pytest.raises(DaikokuError):
            await client.create_key(asked)
        assert asked.clientId in [each["clientId"] for each in await client.keys()]
        await becomes(gateway, "orders", key, 200)
        assert await called(gateway, "stock", key) == 400

        # Consumption: what the calls so far took of the plan.
        quotas = await client.quotas(key.clientId)
        assert quotas is not None
        assert quotas.authorizedCallsPerDay == 1000
        assert 0 < quotas.currentCallsPerDay == 1000 - quotas.remainingCallsPerDay
        assert await client.quotas("none") is None

        # A second subscription is aggregated into the key; the plan has restrictions.
        key.authorizedEntities = ["route_orders", "group_default", "service_s1"]
        key = await client.update_key(key)
        assert key.authorizedEntities == ["route_orders", "group_default", "service_s1"]
        await becomes(gateway, "stock", key, 200)
        closed = Restriction("*", "/.*", {"kind": "route", "id": "stock"})
        key.restrictions = Restrictions(enabled=True, forbidden=[closed])
        key = await client.update_key(key)
        assert key.restrictions.forbidden == [closed]
        await becomes(gateway, "stock", key, 403)
        assert await called(gateway, "orders", key) == 200

        # It is stopped, and goes on; by a patch too, and by one of many keys.
        key.enabled = False
        await client.update_key(key)
        await becomes(gateway, "orders", key, 401)
        on, off = ([{"op": "replace", "path": "/enabled", "value": v}] for v in (True, False))
        assert (await client.patch_key(key.clientId, on)).enabled
        await becomes(gateway, "orders", key, 200)
        await client.patch_keys([key.clientId, "none"], off)
        assert not (await client.key(key.clientId)).enabled
        await client.patch_keys([key.clientId], on)

        await client.delete_key(key.clientId)
        with pytest.raises(DaikokuError, match="404"):
            await client.key(key.clientId)
        with pytest.raises(DaikokuError, match="404"):
            await client.delete_key(key.clientId)
        await becomes(gateway, "orders", key, 400)


async def test_a_secret_is_refreshed_and_rotated(tmp_path: Path) -> None:
    async with daikoku(tmp_path) as (client, gateway):
        key = await client.create_key(subscription("group_dk-shop"))
        await becomes(gateway, "orders", key, 200)
        # The secret is refreshed: the next bearer is answered, and what Daikoku sent as one is not read.
        former = await client.key(key.clientId)
        key = await client.update_key(msgspec.structs.replace(former, clientSecret="another"))
        assert key.bearer == bearer(key.clientId, "another")
        await becomes(gateway, "orders", key, 200)
        assert await called(gateway, "orders", former) == 401

        key.rotation = Rotation(enabled=True, rotationEvery=744, gracePeriod=168)
        key.validUntil = 32_503_680_000_000
        key = await client.update_key(key)
        assert key.rotation is not None
        assert (key.rotation.enabled, key.rotation.gracePeriod) == (True, 168)
        assert key.validUntil == 32_503_680_000_000
