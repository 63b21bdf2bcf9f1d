"""The admin API behind the gateway itself, on ``otoroshi-api.<domain>``: who gets in, and who does not."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio

from oto_trio._core import TokenKeys
from oto_trio.control.admin_api import AdminServer, build_app, serve_admin_api
from oto_trio.control.admin_api.gateway_claims import GatewayClaims
from oto_trio.control.admin_route import AdminRoute, ensure_admin_route
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore
from oto_trio.control.supervisor.listening import bind_listener, listening
from oto_trio.testing.fake_gateway import FakeGatewayControl
from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
ADMIN = f"{ROUTES}/admin-api-service"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
PAIR = (DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret)
NOW = 1_800_000_000.0
HOST = "otoroshi-api.oto.tools"


# ------------------------------------------------------------------------------- claims


class Served:
    """The admin API with its two ports: the control listener's, and that of the workers."""

    def __init__(self, store: MemoryStore, node: AdminRoute, control: str) -> None:
        self.store = store
        self.node = node
        self.control = control
        self.inner = f"http://127.0.0.1:{node.port}"

    def claim(self, client_id: str = PAIR[0], *, exp: float = NOW + 30, **more: Any) -> str:
        claims = {"exp": exp, "apikey": {"clientId": client_id}, **more}
        token = TokenKeys(self.node.algorithm).sign(msgspec.json.encode(claims))
        assert token is not None
        return token


@asynccontextmanager
async def serving() -> AsyncGenerator[Served]:
    shutdown = trio.Event()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        with listening(
            bind_listener("admin-api", "127.0.0.1", 0, secured=False, slots=1)
        ) as opened:
            inner = opened[0]
            node = AdminRoute(Settings(), inner.address[1])
            await ensure_admin_route(store, Settings(), DEV_CREDENTIALS)
            app = build_app(
                store,
                [DEV_CREDENTIALS],
                FakeGatewayControl(),
                claims=GatewayClaims(node, unix_time=lambda: NOW),
            )

            async def run(task_status: trio.TaskStatus[AdminServer]) -> None:
                await serve_admin_api(
                    app, shutdown=shutdown, for_workers=inner.sockets[0], task_status=task_status
                )

            server = await nursery.start(run)
            yield Served(store, node, server.url)
            shutdown.set()


async def test_only_a_good_claim_opens_the_workers_port() -> None:
    async with serving() as served, httpx.AsyncClient() as client:

        async def status(*claims: str, url: str = served.inner, auth: Any = None) -> int:
            headers = [("Oto-Trio-Claim", claim) for claim in claims]
            answer = await client.get(f"{url}{ROUTES}", headers=headers, auth=auth)
            if answer.status_code == 401:
                assert answer.json() == {"error": f"You're not authorized - GET {ROUTES}"}
                assert answer.headers["Otoroshi-State-Resp"] == "--"
            return answer.status_code

        good = served.claim()
        assert await status(good) == 200
        assert await status() == 401
        assert await status(auth=PAIR) == 401, "the API key itself counts on the other port only"
        assert await status(good, good) == 401
        assert await status(served.claim(exp=NOW)) == 401
        assert await status(served.claim("unknown")) == 401
        assert await status(served.claim("")) == 401
        assert await status(good[:-2]) == 401
        assert await status("x.y.z") == 401
        head, _, tail = good.partition(".")
        assert await status(f"{head}.e30.{tail.partition('.')[2]}") == 401
        other = TokenKeys(AdminRoute(Settings(), 1).algorithm)
        forged = other.sign(msgspec.json.encode({"exp": NOW + 30, "apikey": {"clientId": PAIR[0]}}))
        assert forged is not None
        assert await status(forged) == 401
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
        assert await status(f"{unsigned}.{good.split('.')[1]}.") == 401
        # On the control listener a claim is worth nothing.
        refused = await client.get(f"{served.control}{ROUTES}", headers={"Oto-Trio-Claim": good})
        assert refused.status_code == 400


async def test_the_named_key_must_be_in_force_and_authorised_for_the_admin_api() -> None:
    async with serving() as served, httpx.AsyncClient() as client:
        record = await served.store.get("apikeys", PAIR[0])
        assert record is not None
        key: dict[str, Any] = msgspec.json.decode(record.document)
        free: dict[str, Any] = {
            **key,
            "authorizedEntities": [],
            "authorizations": [],
            "authorizedGroup": None,
        }

        async def status(**over: Any) -> int:
            await served.store.put("apikeys", PAIR[0], msgspec.json.encode({**key, **over}))
            headers = {"Oto-Trio-Claim": served.claim()}
            return (await client.get(f"{served.inner}{ROUTES}", headers=headers)).status_code

        assert await status() == 200
        assert await status(enabled=False) == 401
        assert await status(validUntil=1) == 401
        assert await status(validUntil=1 << 52) == 200
        for entity, expected in (
            ("group_admin-api-group", 200),
            ("route_admin-api-service", 200),
            ("service_admin-api-service", 200),
            ("group_default", 401),
            ("api_admin-api-service", 401),
        ):
            assert await status(**{**free, "authorizedEntities": [entity]}) == expected, entity
        assert await status(**free) == 401
        assert await status(readOnly=True) == 200
        written = await client.delete(
            f"{served.inner}{ROUTES}/none", headers={"Oto-Trio-Claim": served.claim()}
        )
        assert written.status_code == 401
        await served.store.put("apikeys", PAIR[0], b'{"clientId": 5}')
        headers = {"Oto-Trio-Claim": served.claim()}
        assert (await client.get(f"{served.inner}{ROUTES}", headers=headers)).status_code == 401
        await served.store.aclose()
        gone = await client.get(f"{served.inner}{ROUTES}", headers=headers)
        assert gone.status_code == 503
        # What needs no key needs none here either.
        assert (await client.get(f"{served.inner}/live")).status_code == 200


# ------------------------------------------------------------------- a whole gateway


async def ask(
    gateway: GatewayProcess, path: str, *, host: str = HOST, method: str = "GET", **options: Any
) -> httpx.Response:
    options.setdefault("auth", PAIR)
    headers = {"Host": host, "Accept": "application/json", **options.pop("headers", {})}
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.request(method, f"{gateway.http}{path}", headers=headers, **options)


async def put(gateway: GatewayProcess, path: str, document: dict[str, Any]) -> None:
    """Write by the control listener, and wait until the workers know."""
    async with admin(gateway, PAIR) as client:
        answer = await client.post(path, params={"wait": "applied"}, json=document)
        assert answer.status_code in (200, 201), answer.text


@pytest.mark.slow
async def test_the_gateway_serves_it_under_its_names_to_its_keys_alone(tmp_path: Path) -> None:
    environ = {"OTOROSHI_DOMAIN": "example.com", "ADMIN_API_EXPOSED_DOMAINS": "gw.test"}
    async with gateway_process(
        "--dev", "--workers", "2", data=tmp_path, environ=environ
    ) as gateway:
        for host in ("otoroshi-api.example.com", "otoroshi-api.localhost:1", "gw.test"):
            assert (await ask(gateway, ROUTES, host=host)).status_code == 200, host
        assert (await ask(gateway, ROUTES, host=HOST)).status_code == 404
        assert (await ask(gateway, ROUTES, host="127.0.0.1")).status_code == 404

        async def refused(**options: Any) -> tuple[int, Any]:
            answer = await ask(gateway, ROUTES, host="gw.test", **options)
            return answer.status_code, answer.json()

        secret = PAIR[1]
        assert await refused(auth=None) == (400, {"Otoroshi-Error": "no apikey"})
        assert await refused(auth=(PAIR[0], "x")) == (401, {"Otoroshi-Error": "bad apikey"})
        assert (await refused(auth=("nobody", secret)))[0] in (400, 401)
        claim = {"Oto-Trio-Claim": "x.y.z"}
        assert (await refused(auth=None, headers=claim))[0] == 400
        # A claim of the client's own is replaced.
        assert (await ask(gateway, ROUTES, host="gw.test", headers=claim)).status_code == 200

        other = {"clientId": "other", "clientSecret": "s", "clientName": "other"}
        await put(gateway, f"{KEYS}/other", {**other, "authorizedEntities": ["group_default"]})
        assert (await refused(auth=("other", "s")))[0] in (400, 401)
        allowed = ["route_admin-api-service"]
        await put(gateway, f"{KEYS}/other", {**other, "authorizedEntities": allowed})
        for way in (
            {"Otoroshi-Client-Id": "other", "Otoroshi-Client-Secret": "s"},
            {"Otoroshi-Authorization": f"Basic {base64.b64encode(b'other:s').decode()}"},
        ):
            answer = await ask(gateway, ROUTES, host="gw.test", auth=None, headers=way)
            assert answer.status_code == 200, way
        bearer = await ask(gateway, "/api/apikeys/other/bearer", host="gw.test")
        token = {"Authorization": f"Bearer {bearer.json()['bearer']}"}
        assert (
            await ask(gateway, ROUTES, host="gw.test", auth=None, headers=token)
        ).status_code == 200

        # A write through the gateway is served, and the audit knows who made it.
        made = await ask(
            gateway,
            f"{ROUTES}?wait=applied&timeout=25000",
            host="gw.test",
            method="POST",
            json={"id": "made", "name": "made", "frontend": {"domains": ["made.test"]}},
            headers=token,
            auth=None,
        )
        assert made.status_code == 201
        events = (await ask(gateway, "/api/audit/events", host="gw.test")).json()
        event = next(e for e in events if e["metadata"].get("id") == "made")
        assert event["from"] == "127.0.0.1"
        assert event["apiKey"]["clientId"] == "other"


@pytest.mark.slow
async def test_no_change_of_the_stored_route_lets_anybody_in(tmp_path: Path) -> None:
    async with gateway_process("--dev", "--workers", "1", data=tmp_path) as gateway:
        route = (await ask(gateway, ADMIN)).json()
        slots = route["plugins"]
        without_keys = [s for s in slots if not s["plugin"].endswith("ApikeyCalls")]
        await put(gateway, ADMIN, {**route, "plugins": without_keys})
        for auth in (None, PAIR):
            answer = await ask(gateway, ROUTES, auth=auth)
            assert answer.status_code == 401
            assert answer.json() == {"error": f"You're not authorized - GET {ROUTES}"}

        # Not even keys of the group that somebody put the route into.
        await put(gateway, ADMIN, {**route, "groups": ["default", "admin-api-group"]})
        other = {"clientId": "other", "clientSecret": "s", "clientName": "other"}
        await put(gateway, f"{KEYS}/other", {**other, "authorizedEntities": ["group_default"]})
        answer = await ask(gateway, ROUTES, auth=("other", "s"))
        assert (answer.status_code, answer.json()["error"][:21]) == (401, "You're not authorized")
        assert (await ask(gateway, ROUTES)).status_code == 200

        # Wherever its backend points, and whatever name it has, it is this node's admin API.
        elsewhere = {"targets": [{"hostname": "192.0.2.1", "port": 1}]}
        frontend = {"domains": ["moved.test"]}
        await put(gateway, ADMIN, {**route, "backend": elsewhere, "frontend": frontend})
        for host in ("moved.test", HOST):
            assert (await ask(gateway, ROUTES, host=host)).status_code == 200, host
        await put(gateway, ADMIN, {**route, "enabled": False})
        assert (await ask(gateway, ROUTES)).status_code == 404


@pytest.mark.slow
async def test_it_is_there_again_after_a_restart_unless_it_is_switched_off(tmp_path: Path) -> None:
    for switch, status in (("true", 200), ("true", 200), ("false", 404)):
        async with gateway_process(
            *("--dev", "--workers", "1"), data=tmp_path, environ={"ADMIN_API_EXPOSED": switch}
        ) as gateway:
            assert (await ask(gateway, ROUTES)).status_code == status
