"""The full export and import over real sockets, in both forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oto_trio.control.admin_api import full_state
from oto_trio.control.admin_api.export_kinds import EXPORT_KINDS, resource_of
from oto_trio.control.store import Put
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route
from oto_trio.testing.admin_api import serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oto_trio.model.document import Document, JsonObject

WHOLE = "/api/otoroshi.json"
NDJSON = "application/x-ndjson"
OF_THE_EXPORT = {"label", "date", "dateRaw", "stats"}


def refuse_bad(entity: Document) -> list[Problem]:
    if isinstance(entity, Route) and entity.name == "bad":
        return [Problem("$.frontend.domains[0]", "is no domain", "write host/path")]
    if isinstance(entity, Route) and entity.name == "odd":
        return [Problem("$.plugins[0]", "does nothing", "remove it", "warning")]
    return []


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(check=refuse_bad) as api:
        yield api


def rich() -> JsonObject:
    """An export with entities of every list, served or not, and keys that no version knows."""
    export: JsonObject = {
        "label": "Otoroshi export",
        "dateRaw": 1_521_023_501_614,
        "date": "2018-03-14 10:31:41",
        "stats": {"calls": 68, "dataIn": 1109, "dataOut": 325009},
        "config": {"lines": ["prod"], "throttlingQuota": 77, "fromTheFuture": {"a": [1]}},
        "routes": [
            route("r2", metadata={"é": "ü\n"}, fromTheFuture=[None]),
            route("r1", backend_ref="b1"),
        ],
        "backends": [{"id": "b1", "name": "b1", "backend": route()["backend"]}],
        "apiKeys": [
            {"clientId": "k1", "clientName": "k", "clientSecret": "s", "authorizedEntities": []}
        ],
        "extensions": {},
    }
    for row in EXPORT_KINDS:
        if resource_of(row) is not None:
            continue
        listed = [{row.id_key: f"{row.plural}:1", "name": "n", "deep": {"x": [1.5, None, "é"]}}]
        if row.extension is None:
            export[row.key] = listed
        else:
            export["extensions"].setdefault(row.extension.id, {})[row.extension.plural] = listed
    return export


async def taken(served: Served) -> JsonObject:
    answer = await served.call("GET", WHOLE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["Oto-Trio-Revision"] == str(served.store.revision)
    return {k: v for k, v in answer.json().items() if k not in OF_THE_EXPORT}


async def dumped(served: Served) -> bytes:
    answer = await served.call("GET", WHOLE, headers={"Accept": NDJSON})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == NDJSON
    return answer.content


async def put_in(served: Served, content: bytes, kind: str, query: str = "") -> httpx.Response:
    return await served.call(
        "POST", f"{WHOLE}{query}", content=content, headers={"Content-Type": kind}
    )


async def test_the_export_of_an_empty_gateway_has_every_list(served: Served) -> None:
    answer = await served.call("GET", WHOLE)
    export = answer.json()
    lists = [row.key for row in EXPORT_KINDS if row.extension is None and not row.is_optional]
    head = ["label", "dateRaw", "date", "stats", "config"]
    assert list(export) == [*head, *lists, "extensions"]
    assert export["label"] == "Otoroshi export"
    assert export["stats"] == {"calls": 3, "dataIn": 0, "dataOut": 0}
    assert export["config"]["lines"] == ["prod"]
    first = {"serviceGroups", "tenants", "teams"}
    assert {key for key in lists if export[key]} == first, "what a first start brings"
    assert export["extensions"] == {}
    plain = await served.call("GET", f"{WHOLE}?pretty=false")
    assert plain.text.count("\n") == 1
    assert {**plain.json(), "date": 0, "dateRaw": 0} == {**export, "date": 0, "dateRaw": 0}


async def test_what_is_imported_is_exported_and_imports_as_no_change(served: Served) -> None:
    before = served.store.revision
    answer = await served.call("POST", WHOLE, rich())
    assert (answer.status_code, answer.json()) == (200, {"done": True})
    assert answer.headers["Oto-Trio-Revision"] == str(before + 1), "one transaction"
    assert "admins=1" in answer.headers["Oto-Trio-Kept"]
    assert "Oto-Trio-Left-Out" not in answer.headers
    first = await taken(served)
    assert [r["id"] for r in first["routes"]] == ["r1", "r2"]
    assert first["routes"][1]["fromTheFuture"] == [None]
    assert first["config"]["fromTheFuture"] == {"a": [1]}
    for row in EXPORT_KINDS:
        if resource_of(row) is None and row.extension is None:
            assert first[row.key] == rich()[row.key]
    assert first["extensions"] == rich()["extensions"]
    again = await served.call("POST", WHOLE, first)
    assert again.headers["Oto-Trio-Revision"] == str(before + 1), "nothing to write"
    assert (await served.call("GET", "/api/routes/r1")).status_code == 200


@pytest.mark.parametrize("form", ["json", "ndjson"])
async def test_an_empty_gateway_that_imports_an_export_exports_the_same(
    served: Served, form: str
) -> None:
    await served.call("POST", WHOLE, rich())
    export, dump = await taken(served), await dumped(served)
    async with serving_admin_api() as empty:
        content = msgspec.json.encode(export) if form == "json" else dump
        kind = "application/json" if form == "json" else NDJSON
        answer = await put_in(empty, content, kind)
        assert answer.status_code == 200, answer.text
        assert await taken(empty) == export
        assert await dumped(empty) == dump


async def test_the_raw_dump_has_otoroshis_lines(served: Served) -> None:
    await served.call("POST", WHOLE, rich())
    lines = [json.loads(line) for line in (await dumped(served)).splitlines()]
    assert all((line["t"], line["w"]) == (-1, "string") for line in lines)
    by_key = {line["k"]: json.loads(line["v"]) for line in lines}
    assert by_key["otoroshi:config:global"]["throttlingQuota"] == 77
    assert by_key["otoroshi:routes:r1"]["backend_ref"] == "b1"
    assert by_key["otoroshi:apikey:coll:k1"]["clientSecret"] == "s"
    assert by_key["otoroshi:webauthn:admins:webauthn-admins:1"]


async def test_an_import_removes_what_it_does_not_hold(served: Served) -> None:
    await served.call("POST", WHOLE, rich())
    await served.call("PATCH", "/api/globalconfig", [])
    answer = await served.call("POST", WHOLE, {"routes": [route("only")]})
    assert answer.status_code == 200
    left = await taken(served)
    assert [r["id"] for r in left["routes"]] == ["only"]
    assert left["config"]["throttlingQuota"] != 77
    lists = {key: value for key, value in left.items() if key not in {"routes", "config"}}
    assert not any(lists.values())


async def test_a_dump_of_otoroshi_with_counters_and_another_root_imports(served: Served) -> None:
    lines: list[JsonObject] = [
        {"k": "gw:eu:apikey:quotas:daily:k1", "v": 12, "t": 1_900_000_000_000, "w": "counter"},
        {"k": "gw:eu:apikey:quotas:global:k1", "v": 12, "t": -1, "w": "counter"},
        {"k": "gw:eu:events:audit", "v": ["{}"], "t": -1, "w": "list"},
        {"k": "gw:eu:users:backoffice:abc", "v": "{}", "t": 1_900_000_000_000, "w": "string"},
        {"k": "gw:eu:config:global", "v": '{"throttlingQuota": 5}', "t": -1, "w": "string"},
        {"k": "gw:eu:routes:r1", "v": json.dumps(route("r1")), "t": -1, "w": "string"},
        {"k": "gw:eu:routes:gone", "v": json.dumps(route("gone")), "t": 5, "w": "string"},
        {"k": "other:routes:r9", "v": json.dumps(route("r9")), "t": -1, "w": "string"},
    ]
    content = b"\r\n\n".join(msgspec.json.encode(line) for line in lines)
    answer = await put_in(served, content, NDJSON)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Oto-Trio-Left-Out"] == (
        "apikey:quotas=2, events=1, other:routes=1, routes that expire=1, users:backoffice=1"
    )
    left = await taken(served)
    assert [r["id"] for r in left["routes"]] == ["r1"]
    assert left["config"]["throttlingQuota"] == 5


async def test_what_has_no_place_is_told(served: Served) -> None:
    extensions = {"x.io": {"llms": [{"id": "1"}], "agents": []}}
    export = {"routes": [], "gadgets": [1, 2], "services": [], "extensions": extensions}
    answer = await served.call("POST", WHOLE, export)
    assert answer.headers["Oto-Trio-Left-Out"] == "extensions.x.io.llms=1, gadgets=2"


async def test_every_problem_of_every_entity_is_told_and_nothing_is_written(
    served: Served,
) -> None:
    await served.call("POST", WHOLE, rich())
    before, revision = await taken(served), served.store.revision
    export: JsonObject = {
        "config": {"throttlingQuota": "many"},
        "routes": [route("a"), route("b", name="bad"), 5, {"id": "c"}, route("a")],
        "backends": "none",
        "teams": [{"name": "no id", "tenant": "t"}, {"id": "", "tenant": "t"}],
        "extensions": {"otoroshi_extensions_workflows": []},
    }
    answer = await served.call("POST", WHOLE, export)
    assert answer.status_code == 400
    problems = answer.json()["problems"]
    assert sorted(p["path"] for p in problems) == [
        "$.backends",
        "$.config.throttlingQuota",
        "$.extensions.otoroshi_extensions_workflows",
        "$.routes[1].frontend.domains[0]",
        "$.routes[2]",
        "$.routes[3].name",
        "$.routes[4].id",
        "$.teams[0].id",
        "$.teams[1].id",
    ]
    assert all(p["message"] and p["fix"] for p in problems)
    assert (await taken(served), served.store.revision) == (before, revision)


async def test_a_problem_in_a_dump_is_told_with_its_line(served: Served) -> None:
    content = (
        b'{"k":"o:config:global","v":"{}"}\n{"k":"o:routes:a","v":"{\\"id\\":\\"a\\"}"}\n{"k":1}\n'
    )
    content += b'{"k":"o:routes:b","v":[1],"w":"list"}\n{"k":"o:routes:c","v":"{nope"}\n'
    answer = await put_in(served, content, NDJSON)
    assert answer.status_code == 400
    paths = [p["path"] for p in answer.json()["problems"]]
    assert {"line 2 $.name", "line 3", "line 4", "line 5"} <= set(paths)


async def test_warnings_are_told_and_refuse_when_asked_to_be_strict(served: Served) -> None:
    export = {"routes": [route("a", name="odd"), route("b", backend_ref="nowhere")]}
    strict = await served.call("POST", f"{WHOLE}?strict=true", export)
    assert strict.status_code == 400
    assert {p["path"] for p in strict.json()["problems"]} == {
        "$.routes[0].plugins[0]",
        "$.routes[1].backend_ref",
    }
    lax = await served.call("POST", WHOLE, export)
    assert lax.status_code == 200
    assert (
        "$.routes[1].backend_ref: there is no backend nowhere" in lax.headers["Oto-Trio-Warnings"]
    )


async def test_a_dry_run_says_what_would_change_and_changes_nothing(served: Served) -> None:
    await served.call("POST", WHOLE, rich())
    before, revision = await taken(served), served.store.revision
    export = {**before, "routes": [route("r1", name="new"), route("r3")], "gadgets": [1]}
    answer = await served.call("POST", f"{WHOLE}?dry_run=true", export)
    told = answer.json()
    assert (answer.status_code, told["done"], told["dry_run"]) == (200, False, True)
    assert told["changes"]["routes"] == {
        "created": ["r3"],
        "updated": ["r1"],
        "deleted": ["r2"],
        "unchanged": 0,
    }
    assert told["changes"]["admins"]["unchanged"] == 1
    assert told["left_out"] == {"gadgets": 1}
    assert told["kept"]["admins"] == 1
    assert (await taken(served), served.store.revision) == (before, revision)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "application/json", "the body is empty"),
        (b"[]", "application/json", "expected the object of an export, found a list"),
        (b"{}", "application/json", "this is no export"),
        (b'{"error": "nope"}', "application/json", "this is no export"),
        (b'{"routes": [{"id": "a"', "application/json", "this is no JSON"),
        (b'{"routes": [tru]}', "application/json", "at line 1, column"),
        (b"\xff\xfe", "application/json", "this is no JSON"),
        (b"[" * 100_000, "application/json", ""),
        (b'{"routes":' + b"[" * 100_000, "application/json", ""),
        (b'{"routes":[{"id":"a","x":' + b"[" * 500 + b"]" * 500 + b"}]}", "", "deeper than"),
        (b'{"config": {"a": "\xff"}}', "application/json", ""),
        (b"", NDJSON, "the body is empty"),
        (b"nonsense", NDJSON, "no line of a raw dump"),
        (b'{"k": "otoroshi:routes:a", "v": "{', NDJSON, "no line of a raw dump"),
        (b'{"k": "otoroshi:routes:a", "v": "[]"}', NDJSON, "expected an object, found a list"),
        (b'{"k": "o:routes:a", "v": "\\ud800"}', NDJSON, ""),
    ],
)
async def test_garbage_is_refused_and_changes_nothing(
    served: Served, content: bytes, kind: str, words: str
) -> None:
    before = served.store.revision
    answer = await put_in(served, content, kind)
    assert answer.status_code == 400, answer.text
    assert words in answer.text
    assert served.store.revision == before


async def test_a_truncated_export_is_refused_wherever_it_is_cut(served: Served) -> None:
    await served.call("POST", WHOLE, rich())
    whole = (await served.call("GET", f"{WHOLE}?pretty=false")).content.rstrip()
    revision = served.store.revision
    for cut in range(1, len(whole) - 1, len(whole) // 40):
        answer = await put_in(served, whole[:cut], "application/json")
        assert answer.status_code == 400, cut
    assert served.store.revision == revision


async def test_a_body_beyond_the_bound_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_state, "MAX_IMPORT_BYTES", 1000)
    answer = await put_in(served, b" " * 1001, "application/json")
    assert answer.status_code == 413
    assert "1000 bytes" in answer.json()["error_description"]


async def test_a_body_longer_than_any_other_is_taken(served: Served) -> None:
    export = {"routes": [route(f"r{n}", description="x" * 10_000) for n in range(1_700)]}
    content = msgspec.json.encode(export)
    assert len(content) > 16 * 1024 * 1024
    answer = await served.call("POST", WHOLE, content=content, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len((await taken(served))["routes"]) == 1_700


async def test_an_upload_says_its_type_in_a_header_of_its_own(served: Served) -> None:
    dump = await dumped(served)
    headers = {"Content-Type": "multipart/form-data", "X-Content-Type": NDJSON}
    answer = await served.call("POST", "/api/import", content=dump, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"done": True})
    headers = {"X-Content-Type": "application/json"}
    answer = await served.call("POST", "/api/import", content=b'{"routes": []}', headers=headers)
    assert answer.status_code == 200


async def test_a_read_only_gateway_takes_no_import(served: Served) -> None:
    answer = await served.call("POST", WHOLE, {"config": {"apiReadOnly": True}})
    assert answer.status_code == 200
    answer = await served.call("POST", WHOLE, {"config": {}})
    assert answer.status_code == 401


async def test_an_import_waits_until_it_is_live(served: Served) -> None:
    served.gateway.apply(1_000_000)
    answer = await served.call("POST", f"{WHOLE}?wait=applied", {"routes": [route()]})
    assert answer.headers["Oto-Trio-Applied"] == "true"
    assert served.gateway.waits == [served.store.revision]


async def test_nobody_exports_without_the_key(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        assert (await stranger.get(WHOLE)).status_code == 400
        assert (await stranger.post(WHOLE, content=b"{}")).status_code == 400


async def test_a_stored_document_that_nobody_can_read_is_exported_as_it_is(served: Served) -> None:
    """An export is a backup: it must not lose what an older version wrote."""
    await served.store.transact([Put("routes", "old", b'{"id":"old"}')])
    assert (await taken(served))["routes"] == [{"id": "old"}]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
ids = st.text(st.sampled_from("abc:/é-_. ~%"), min_size=1, max_size=6).filter(
    lambda text: text == text.strip()
)
unserved = st.sampled_from([row for row in EXPORT_KINDS if resource_of(row) is None])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(ids, st.dictionaries(texts, values, max_size=3), max_size=4),
    st.dictionaries(
        st.tuples(unserved, ids), st.dictionaries(texts, values, max_size=3), max_size=4
    ),
)
async def test_whatever_entities_hold_goes_through_both_forms(
    routes: dict[str, JsonObject], others: dict[tuple[Any, str], JsonObject]
) -> None:
    export: JsonObject = {
        "routes": [route(key, metadata={}, xUnknown=more) for key, more in routes.items()],
        "extensions": {},
    }
    for (row, key), more in others.items():
        place = export
        if row.extension is not None:
            place = export["extensions"].setdefault(row.extension.id, {})
        listed = place.setdefault(row.extension.plural if row.extension else row.key, [])
        listed.append({**more, row.id_key: key})
    async with serving_admin_api() as first, serving_admin_api() as second:
        answer = await first.call("POST", WHOLE, export)
        assert answer.status_code == 200, answer.text
        whole, dump = await taken(first), await dumped(first)
        assert (await put_in(second, dump, NDJSON)).status_code == 200
        assert await taken(second) == whole
        assert len(whole["routes"]) == len(routes)
        kept = {row.key for row, _ in others if row.extension is None}
        assert all(len(whole[key]) == len(export[key]) for key in kept)
