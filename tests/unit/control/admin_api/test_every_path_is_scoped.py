"""No path of the API, those of tomorrow included, tells or changes anything of another tenant.

Every verb of every served path is called by an administrator of one tenant, with the ids of entities of
another: there is one of every kind, under the same id and with the same secret text in it.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
from starlette.routing import Route

from oto_trio.control.admin_api import build_app
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES, RESOURCES
from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.first_start import bootstrap
from oto_trio.control.limits import LimitsTable
from oto_trio.control.store import MemoryStore, Put
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.applications import Starlette

SECRET: Final = "the-secret-of-acme"
ID: Final = "acme1"
ROOT: Final = AdminCredentials(client_id="boss", client_secret="boss")
KINDS: Final = sorted({resource.store_kind for resource in LEGACY_RESOURCES} | {"webauthn-admins"})


def _secret_entity(kind: str) -> Put:
    """Make an entity of a kind; it has only what tells where it is, for nobody is to read the rest."""
    id_key = next((r.id_key for r in LEGACY_RESOURCES if r.store_kind == kind), "id")
    document: dict[str, Any] = {
        "_loc": {"tenant": "acme", "teams": ["a"]},
        id_key: ID,
        "name": SECRET,
        "description": SECRET,
        "metadata": {"x": SECRET},
    }
    if kind == "teams":
        document["tenant"] = "acme"
    if kind == "apikeys":
        document |= {"clientSecret": SECRET, "authorizedEntities": [f"route_{ID}"]}
    return Put(kind, ID, msgspec.json.encode(document))


async def _fill(store: MemoryStore) -> None:
    await bootstrap(store)
    rights = [{"tenant": "globex:rw", "teams": ["*:rw"]}]
    caller = {
        "_loc": {"tenant": "globex", "teams": ["a"]},
        "clientId": "caller",
        "clientSecret": "caller",
        "clientName": "caller",
        "authorizedEntities": ["group_admin-api-group"],
        "metadata": {"otoroshi-access-rights": msgspec.json.encode(rights).decode()},
    }
    kinds = [kind for kind in KINDS if kind != "global-config"]
    await store.transact(
        [
            *(_secret_entity(kind) for kind in kinds),
            Put("apikeys", "caller", msgspec.json.encode(caller)),
        ]
    )


def _calls(app: Starlette) -> Iterator[tuple[str, str]]:
    """Give every verb of every path, its parameters filled in."""
    names = [(r.group, "v1", r.plural) for r in RESOURCES]
    for route in app.routes:
        if not isinstance(route, Route):
            continue
        for verb in sorted(route.methods or ()):
            if verb in ("HEAD", "OPTIONS"):
                continue
            for group, version, name in names if "{name}" in route.path else names[:1]:
                path = route.path
                for word, value in (("group", group), ("version", version), ("name", name)):
                    path = path.replace(f"{{{word}}}", value)
                yield verb, re.sub(r"\{\w+(:\w+)?\}", ID, path)


def _bodies(verb: str) -> list[tuple[str, bytes]]:
    """Give what is sent with a verb."""
    if verb == "GET":
        return [("application/json", b"")]
    entity = msgspec.json.encode(
        {
            "_loc": {"tenant": "acme", "teams": ["a"]},
            "id": ID,
            "clientId": ID,
            "serviceId": ID,
            "username": ID,
            "name": "taken",
        }
    )
    patch = msgspec.json.encode([{"op": "add", "path": "/metadata/y", "value": "taken"}])
    line = msgspec.json.encode({"id": ID, "clientId": ID, "serviceId": ID, "username": ID})
    return [
        ("application/json", entity),
        ("application/json", patch),
        ("application/x-ndjson", line),
    ]


async def _walk(
    store: MemoryStore, caller: str, *, reads_only: bool = False
) -> AsyncGenerator[tuple[str, str, httpx.Response]]:
    """Make every call."""
    folder = Path(tempfile.gettempdir())
    with LimitsTable(folder, (1, 2), among_processes=False, slots=100) as limits:
        app = build_app(store, [ROOT], FakeGatewayControl(), limits=limits)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        headers = {
            "Otoroshi-Client-Id": caller,
            "Otoroshi-Client-Secret": caller,
            "Otoroshi-Tenant": "globex",
        }
        async with httpx.AsyncClient(
            transport=transport, base_url="http://x", headers=headers
        ) as client:
            for verb, path in _calls(app):
                if reads_only and verb != "GET":
                    continue
                for kind, body in _bodies(verb):
                    sent = {"Content-Type": kind, "X-Content-Type": kind}
                    answer = await client.request(verb, path, content=body or None, headers=sent)
                    yield verb, path, answer


async def _stored(store: MemoryStore) -> dict[tuple[str, str], bytes]:
    found = (await store.snapshot(KINDS)).records
    return {(r.kind, r.id): r.document for r in found if SECRET.encode() in r.document}


async def test_no_path_tells_or_changes_anything_of_another_tenant() -> None:
    async with MemoryStore() as store:
        await _fill(store)
        before = await _stored(store)
        assert len(before) >= len(KINDS) - 1
        config = await store.get("global-config", "global")
        count = 0
        async for verb, path, answer in _walk(store, "caller"):
            count += 1
            assert SECRET not in answer.text, (verb, path)
            assert await _stored(store) == before, (verb, path)
        assert await store.get("global-config", "global") == config
        assert count > 500


async def test_the_same_reads_by_somebody_who_may_do_tell_it() -> None:
    """Else the test above would show nothing."""
    async with MemoryStore() as store:
        await _fill(store)
        told = [
            path
            async for _, path, answer in _walk(store, "boss", reads_only=True)
            if SECRET in answer.text
        ]
        assert len(told) > len(RESOURCES)
