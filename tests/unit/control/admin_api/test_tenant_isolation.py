"""Nothing crosses a tenant: random callers do random things to entities of every place.

What a caller may do is decided a second time here, by a few lines of their own. After each request, whatever
it was: nothing that the caller may not read is anywhere in the answer, nothing that the caller may not write
has changed, and what is new or changed stands where the caller may write.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import trio
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from oto_trio.control.admin_api import build_app
from oto_trio.control.first_start import bootstrap
from oto_trio.control.limits import LimitsTable
from oto_trio.control.store import MemoryStore, Put
from oto_trio.gateway.installer import GLOBAL_CONFIG
from oto_trio.model.api_key import ApiKey
from oto_trio.model.document import Document, encode_document, read_document
from oto_trio.model.route import Route
from oto_trio.model.service_group import ServiceGroup
from oto_trio.testing.fake_gateway import FakeGatewayControl

TENANTS: Final = ("acme", "globex", "default")
TEAMS: Final = ("a", "b")
FLAGS: Final = ("rw", "rw", "rw", "r", "")
CALLER: Final = "caller"


class Kind(NamedTuple):
    """A kind of entity that is tried."""

    store: str
    cls: type[Document]
    generic: str
    legacy: str
    id_key: str
    body: dict[str, Any]


KINDS: Final = (
    Kind(
        "routes",
        Route,
        "/apis/proxy.otoroshi.io/v1/routes",
        "/api/routes",
        "id",
        {
            "name": "n",
            "frontend": {"domains": ["x.y"]},
            "backend": {"targets": [{"hostname": "127.0.0.1", "port": 1}]},
        },
    ),
    Kind(
        "apikeys",
        ApiKey,
        "/apis/apim.otoroshi.io/v1/apikeys",
        "/api/apikeys",
        "clientId",
        {"clientSecret": "s", "clientName": "n", "authorizedEntities": ["route_routes.acme.a"]},
    ),
    Kind(
        "service-groups",
        ServiceGroup,
        "/apis/organize.otoroshi.io/v1/service-groups",
        "/api/groups",
        "id",
        {"name": "n", "description": ""},
    ),
)

Right = tuple[str, tuple[str, ...]]
Place = tuple[str, str]


def entity_id(kind: str, place: Place) -> str:
    return f"{kind}.{place[0]}.{place[1]}"


def marker(kind: str, place: Place) -> str:
    """A text that only this entity has."""
    return f"secret-of-{kind}-{place[0]}-{place[1]}-"


def allows(mode: str, rights: list[Right], place: Place, current: str) -> bool:
    """The oracle: ids are plain here or ``*``."""

    def holds(entry: str, value: str) -> bool:
        named, _, flags = entry.partition(":")
        return named in ("*", value) and mode in flags

    if ("*:rw", True) in [(tenant, "*:rw" in teams) for tenant, teams in rights]:
        return True
    return place[0] == current and any(
        holds(tenant, place[0]) and any(holds(team, place[1]) for team in teams)
        for tenant, teams in rights
    )


def document(kind: Kind, place: Place, **more: Any) -> dict[str, Any]:
    return {
        "_loc": {"tenant": place[0], "teams": [place[1]]},
        kind.id_key: entity_id(kind.store, place),
        **kind.body,
        **more,
    }


PLACES: Final = [(tenant, team) for tenant in TENANTS for team in TEAMS]

_flags = st.sampled_from(FLAGS)
_right = st.tuples(
    st.builds("{}:{}".format, st.sampled_from(["acme", "acme", *TENANTS, "*"]), _flags),
    st.lists(st.builds("{}:{}".format, st.sampled_from([*TEAMS, "*"]), _flags), max_size=2).map(
        tuple
    ),
)
_places = st.sampled_from(PLACES)
_kinds = st.sampled_from(KINDS)


class Request(NamedTuple):
    """One thing that is tried."""

    verb: str
    path: str
    content: bytes = b""
    kind: str = "application/json"


def _lines(*documents: object) -> bytes:
    return b"\n".join(map(msgspec.json.encode, documents))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    kind, place, target = draw(_kinds), draw(_places), draw(_places)
    base = draw(st.sampled_from([kind.generic, kind.legacy]))
    known = entity_id(kind.store, place)
    one = f"{base}/{known}"
    body = document(kind, target, metadata={"written": "now"})
    if draw(st.booleans()):
        del body["_loc"]
    moved = [{"op": "replace", "path": "/_loc/tenant", "value": target[0]}]
    new = {**body, kind.id_key: "new.one"}
    same = {**body, kind.id_key: known}
    json = msgspec.json.encode
    owner = f"/api/routes/{entity_id('routes', place)}/apikeys"
    of_route = f"{owner}/{entity_id('apikeys', target)}"
    line = "application/x-ndjson"
    ways = [
        Request("GET", one),
        Request("GET", base),
        Request("GET", f"{base}?filtered=metadata.mark:secret&sorted=id:true"),
        Request("GET", f"{kind.generic}/_count"),
        Request("GET", f"{base}?page=2&pageSize=1"),
        Request("POST", base, json(new)),
        Request("POST", base, json(same)),
        Request("PUT", one, json(same)),
        Request("PATCH", one, json(moved)),
        Request("PATCH", one, json([{"op": "add", "path": "/metadata/x", "value": "1"}])),
        Request("DELETE", one),
        Request("POST", f"{kind.generic}/{known}", json(same)),
        Request("POST", f"{kind.generic}/new.one", json(new)),
        Request("DELETE", kind.generic),
        Request("POST", f"{base}/_bulk", _lines(new, same), line),
        Request("PUT", f"{base}/_bulk", _lines(same, new), line),
        Request("PATCH", f"{base}/_bulk", _lines({kind.id_key: known, "patch": moved}), line),
        Request("DELETE", f"{base}/_bulk", _lines({kind.id_key: known}), line),
        Request("GET", f"{base}/_template"),
        Request("GET", owner),
        Request("POST", owner, json(document(KINDS[1], target, clientId="new.key"))),
        Request("GET", of_route),
        Request("PUT", of_route, json(document(KINDS[1], target))),
        Request("DELETE", of_route),
        Request("GET", f"{of_route}/quotas"),
        Request("DELETE", f"{of_route}/quotas"),
        Request("GET", f"/api/apikeys/{entity_id('apikeys', place)}/bearer"),
        Request("GET", f"/api/apikeys/{entity_id('apikeys', place)}/quotas"),
        Request("DELETE", f"/api/apikeys/{entity_id('apikeys', place)}/quotas"),
        Request("GET", "/api/otoroshi.json"),
        Request("GET", "/apis/any/v1/organizations"),
        Request("POST", "/api/otoroshi.json?dry_run=true", json({"routes": []})),
        Request("POST", "/api/otoroshi.json", json({"routes": []})),
        Request("GET", "/api/globalconfig"),
        Request("PATCH", "/api/globalconfig", json([{"op": "remove", "path": "/lines"}])),
        Request("DELETE", f"/api/tenants/{place[0]}"),
        Request("PUT", f"/api/tenants/{place[0]}", json({"id": place[0], "name": "taken"})),
        Request("POST", "/api/teams", json({"id": "new-team", "tenant": target[0]})),
    ]
    return draw(st.sampled_from(ways))


@given(
    rights=st.lists(_right, min_size=1, max_size=2),
    current=st.sampled_from(["acme", " Acme", *TENANTS, "*"]),
    todo=st.lists(requests(), min_size=1, max_size=8),
)
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_nothing_crosses(rights: list[Right], current: str, todo: list[Request]) -> None:
    trio.run(_play, rights, current, todo)


async def _play(rights: list[Right], current: str, todo: list[Request]) -> None:
    async with MemoryStore() as store:
        await bootstrap(store)
        await _fill(store, rights)
        folder = Path(tempfile.gettempdir())
        with LimitsTable(folder, (1, 2), among_processes=False, slots=100) as limits:
            app = build_app(store, [], FakeGatewayControl(), limits=limits)
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                for request in todo:
                    before = await _everything(store)
                    answer = await client.request(
                        request.verb,
                        request.path,
                        content=request.content or None,
                        headers={
                            "Otoroshi-Client-Id": CALLER,
                            "Otoroshi-Client-Secret": "the caller's secret",
                            "Otoroshi-Tenant": current,
                            "Content-Type": request.kind,
                        },
                    )
                    if answer.status_code == 401 and answer.json().get("error", "").startswith(
                        "errors."
                    ):
                        return  # the caller removed its own key
                    event(f"{request.verb} {answer.status_code // 100}xx")
                    assert answer.status_code < 500, (request, answer.text)
                    _check_answer(rights, current.strip().lower(), before, answer.text)
                    _check_store(rights, current.strip().lower(), before, await _everything(store))


async def _fill(store: MemoryStore, rights: list[Right]) -> None:
    """Put one entity of each kind into each place, and the caller's key where nobody but a super admin is."""
    puts = [
        Put("tenants", tenant, msgspec.json.encode({"id": tenant, "name": f"secret-of-{tenant}-"}))
        for tenant in TENANTS
    ]
    for kind in KINDS:
        for place in PLACES:
            mark = {"metadata": {"mark": marker(kind.store, place)}}
            text = encode_document(read_document(kind.cls, document(kind, place, **mark)))
            puts.append(Put(kind.store, entity_id(kind.store, place), text))
    listed = [{"tenant": tenant, "teams": list(teams)} for tenant, teams in rights]
    key = {
        "_loc": {"tenant": "nowhere", "teams": ["nobody"]},
        "clientId": CALLER,
        "clientSecret": "the caller's secret",
        "clientName": "caller",
        "authorizedEntities": ["group_admin-api-group"],
        "metadata": {"otoroshi-access-rights": msgspec.json.encode(listed).decode()},
    }
    puts.append(Put("apikeys", CALLER, encode_document(read_document(ApiKey, key))))
    await store.transact(puts)


async def _everything(store: MemoryStore) -> dict[tuple[str, str], bytes]:
    kinds = [*(kind.store for kind in KINDS), "tenants", "teams", GLOBAL_CONFIG]
    found = await store.snapshot(kinds)
    return {(record.kind, record.id): record.document for record in found.records}


def _place(kind: str, entity: str, text: bytes) -> Place | None:
    """Where a document stands; None for what only a super admin has."""
    raw = msgspec.json.decode(text)
    if kind == "tenants":
        return entity, "*"  # only who has all teams of it
    if kind == "teams":
        return raw["tenant"], entity
    loc = raw.get("_loc")
    return None if loc is None else (loc["tenant"], loc["teams"][0])


def _may(mode: str, rights: list[Right], current: str, kind: str, entity: str, text: bytes) -> bool:
    place = _place(kind, entity, text)
    is_super = allows(mode, rights, ("nowhere", "nobody"), "elsewhere")
    if place is None or is_super:
        return is_super
    if kind == "tenants":
        return place[0] == current and any(
            tenant in (f"{current}:rw", "*:rw") and "*:rw" in teams for tenant, teams in rights
        )
    return allows(mode, rights, place, current)


def _check_answer(
    rights: list[Right], current: str, before: dict[tuple[str, str], bytes], text: str
) -> None:
    for (kind, entity), stored in before.items():
        raw = msgspec.json.decode(stored)
        mark = raw.get("metadata", {}).get("mark") or (raw["name"] if kind == "tenants" else None)
        if mark and mark in text and mark.startswith("secret-of-"):
            assert _may("r", rights, current, kind, entity, stored), mark


def _check_store(
    rights: list[Right],
    current: str,
    before: dict[tuple[str, str], bytes],
    after: dict[tuple[str, str], bytes],
) -> None:
    for (kind, entity), stored in before.items():
        if after.get((kind, entity)) != stored:
            assert _may("w", rights, current, kind, entity, stored), f"{kind} {entity} changed"
    for (kind, entity), stored in after.items():
        if before.get((kind, entity)) != stored:
            assert _may("w", rights, current, kind, entity, stored), f"{kind} {entity} is new"
