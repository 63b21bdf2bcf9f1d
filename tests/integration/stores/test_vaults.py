"""Secrets of vaults in a whole gateway: in use where they are needed, told nowhere."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, admin, eventually, route
from tests.integration.events import EXPORTERS, exporter
from tests.integration.plugins.api_keys import key, protected
from tests.unit.control.vaults.vault_server import vault_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
APPLIED = {"wait": "applied"}
HEADERS = "cp:otoroshi.next.plugins.AdditionalHeadersIn"
USERS = "cp:otoroshi.next.plugins.SimpleBasicAuth"


def with_headers(name: str, url: str, headers: dict[str, str]) -> dict[str, Any]:
    return route(name, url) | {"plugins": [{"plugin": HEADERS, "config": {"headers": headers}}]}


async def test_secrets_are_used_renewed_and_told_nowhere(
    tmp_path: Path, upstream: Upstream
) -> None:
    folder, events, log = tmp_path / "secrets", tmp_path / "events.log", tmp_path / "access.log"
    folder.mkdir()
    (folder / "key").write_text("planted-file-secret\n")
    headers = {
        "X-Env-Token": "${vault://env/PLAIN}",
        "X-Json-Secret": "${vault://env/JSON_SECRET/a/0}",
        "X-Corp-Password": "<${vault://none/x || vault://corp/apps/db/password}>",
        "X-None": "${vault://corp/apps/none/password}",
    }
    with vault_server() as server:
        server.v2["apps/db"] = [{"password": "planted-corp-secret"}]
        environ = {
            "OTOROSHI_VAULTS_INSTANCES_CORP": json.dumps(
                {"type": "hashicorp-vault", "url": server.url, "token": server.token}
            ),
            "OTO_TRIO_VAULTS_INSTANCES_FILES": json.dumps({"type": "file", "root": str(folder)}),
            "OTOROSHI_VAULTS_SECRETS_TTL": "1000",
            "OTOROSHI_VAULTS_SECRETS_ERROR_TTL": "400",
            "PLAIN": "planted-env-secret",
            "JSON_SECRET": '{"a": ["planted-json-secret"]}',
        }
        with trio.fail_after(10 * GUARD_S):
            async with (
                gateway_process(
                    *("--workers", "2", "--access-log", str(log)),
                    data=tmp_path / "data",
                    environ=environ,
                ) as gateway,
                admin(gateway) as api,
                httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
            ):
                written = [
                    (ROUTES, with_headers("a", upstream.url, headers)),
                    (ROUTES, protected("closed", upstream.url)),
                    (KEYS, key("good", "${vault://files/key}")),
                    (KEYS, key("lost", "${vault://files/none}")),
                    (EXPORTERS, exporter("e", config={"path": str(events)})),
                ]
                told: list[str] = []
                for where, document in written:
                    made = await api.post(where, json=document, params=APPLIED)
                    assert made.status_code == 201, made.text
                    told.append(made.text)

                async def seen() -> str:
                    del upstream.heads[:]
                    answer = await client.get("/x", headers={"Host": "a.test"})
                    assert answer.status_code == 200
                    return upstream.heads[-1].decode()

                head = await seen()
                for line in (
                    "X-Env-Token: planted-env-secret",
                    "X-Json-Secret: planted-json-secret",
                    "X-Corp-Password: <planted-corp-secret>",
                    "X-None: not-found-",
                ):
                    assert line.lower() in head.lower()

                async def with_key(client_id: str, secret: str) -> int:
                    basic = b64encode(f"{client_id}:{secret}".encode()).decode()
                    sent = {"Host": "closed.test", "Authorization": f"Basic {basic}"}
                    answer = await client.get("/", headers=sent)
                    told.append("" if answer.status_code < 400 else answer.text)
                    return answer.status_code

                assert await with_key("good", "planted-file-secret") == 200
                assert await with_key("good", "${vault://files/key}") in {400, 401}
                assert await with_key("lost", "not-found") in {400, 401}

                server.v2["apps/db"].append({"password": "planted-next-secret"})
                (folder / "key").write_text("planted-other-secret")

                async def is_renewed() -> bool:
                    return "<planted-next-secret>" in await seen()

                async def is_other() -> bool:
                    return await with_key("good", "planted-other-secret") == 200

                await eventually(is_renewed)
                await eventually(is_other)
                # Both workers have it by then or soon; a vault that is down changes nothing.
                server.sealed = True
                logged = await gateway.wait_for_log("the vault corp does not answer")
                assert "503" in logged["message"]
                await trio.sleep(1.5)
                assert "<planted-next-secret>" in await seen()
                server.sealed = False
                await gateway.wait_for_log("the vault corp answers again")

                pages = (ROUTES, KEYS, EXPORTERS, "/api/otoroshi.json", "/api/audit/events")
                told += [(await api.get(page)).text for page in pages]
                assert "${vault://corp/apps/db/password}" in "".join(told).replace(
                    "vault://none/x || ", ""
                )
                told += [(await api.get(page)).text for page in ("/metrics", "/health")]
            own = json.dumps(gateway.log)
    places = {
        "answers": "".join(told),
        "log": own,
        "access log": log.read_text(),
        "events": events.read_text(),
        "store": "".join(
            path.read_bytes().decode(errors="replace")
            for path in (tmp_path / "data").iterdir()
            if path.is_file()
        ),
    }
    for place, text in places.items():
        assert text, place
        assert "planted" not in text, place
    assert own.count("the vault corp does not answer") == 1


async def test_a_gateway_starts_although_its_vault_is_down(
    tmp_path: Path, upstream: Upstream
) -> None:
    path = tmp_path / "c.yaml"
    declared = with_headers("a", upstream.url, {"X-A": "${vault://corp/db/password}"})
    users = {"bob": "${vault://corp/db/bob}"}
    closed = route("b", upstream.url) | {"plugins": [{"plugin": USERS, "config": {"users": users}}]}
    settings = {
        "vaults": {"corp": {"type": "hashicorp-vault", "url": "http://127.0.0.1:1"}},
        "vaults_read_timeout_ms": 500,
    }
    path.write_text(json.dumps({"settings": settings, "routes": [declared, closed]}))
    with trio.fail_after(10 * GUARD_S):
        async with (
            gateway_process("--workers", "1", "--config", str(path), data=tmp_path) as gateway,
            httpx.AsyncClient(base_url=gateway.http, timeout=GUARD_S) as client,
        ):
            assert (await client.get("/", headers={"Host": "a.test"})).status_code == 200
            assert b"X-A: not-found-" in upstream.heads[-1]
            for password in ("not-found", "not-found-", users["bob"]):
                basic = b64encode(f"bob:{password}".encode()).decode()
                sent = {"Host": "b.test", "Authorization": f"Basic {basic}"}
                assert (await client.get("/", headers=sent)).status_code == 401
            await gateway.wait_for_log("the vault corp does not answer")
