"""Writes: waiting until they are live, warnings, refusals, ids, and writers at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio

from oto_trio.model.errors import Problem, StoreError, StoreOutcomeUnknownError
from oto_trio.model.route import Route
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route
from oto_trio.testing.admin_api import serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oto_trio.model.document import Document

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"


def refuse_bad_routes(entity: Document) -> list[Problem]:
    """A gateway that cannot serve routes whose name is "bad", and is unsure about "odd"."""
    if isinstance(entity, Route) and entity.name == "bad":
        return [Problem("$.frontend.domains[0]", "is no domain", "write host/path")]
    if isinstance(entity, Route) and entity.name == "odd":
        return [Problem("$.plugins[0]", "does nothing", "remove it", "warning")]
    return []


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving_admin_api(check=refuse_bad_routes) as api:
        yield api


async def test_a_write_waits_until_it_is_live(served: Served) -> None:
    answered = trio.Event()

    async def write() -> None:
        answer = await served.call("POST", f"{ROUTES}?wait=applied", route())
        assert answer.status_code == 201
        assert answer.headers["Oto-Trio-Applied"] == "true"
        answered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        with trio.fail_after(60):
            await served.gateway.waited.wait()
        assert not answered.is_set()
        revision = served.gateway.waits[0]
        assert revision == served.store.revision
        served.gateway.apply(revision)
    assert answered.is_set()


async def test_a_write_that_is_not_live_in_time_says_so_and_is_kept(served: Served) -> None:
    answer = await served.call("POST", f"{ROUTES}?wait=applied&timeout=20", route())
    assert answer.status_code == 504
    assert answer.json()["error"] == "not_applied_in_time"
    assert answer.json()["revision"] == served.store.revision
    assert "stored" in answer.json()["error_description"]
    assert (await served.call("GET", f"{ROUTES}/r1")).status_code == 200


def ndjson(*lines: Any) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


async def test_every_kind_of_write_can_wait(served: Served) -> None:
    served.gateway.apply(1_000_000)
    headers = {"Content-Type": "application/x-ndjson"}
    writes: list[tuple[str, str, Any]] = [
        ("POST", ROUTES, route("a")),
        ("POST", f"{ROUTES}/a", route("a")),
        ("PUT", f"{ROUTES}/a", route("a")),
        ("PATCH", f"{ROUTES}/a", []),
        ("DELETE", f"{ROUTES}/a", None),
        ("DELETE", ROUTES, None),
        ("POST", "/api/routes", route("a")),
        ("PUT", "/api/routes/a", route("a")),
        ("PATCH", "/api/routes/a", []),
        ("DELETE", "/api/routes/a", None),
        ("PATCH", "/api/globalconfig", []),
    ]
    for verb, path, body in writes:
        answer = await served.call(verb, f"{path}?wait=applied", body)
        assert answer.headers["Oto-Trio-Applied"] == "true", (verb, path)
    answer = await served.call(
        "POST", f"{ROUTES}/_bulk?wait=applied", content=ndjson(route("a")), headers=headers
    )
    assert answer.headers["Oto-Trio-Applied"] == "true"
    assert len(served.gateway.waits) == len(writes) + 1


@pytest.mark.parametrize(
    "query", ["wait=yes", "wait=applied&timeout=0", "timeout=x", "timeout=99999999"]
)
async def test_a_wait_that_is_not_understood_changes_nothing(served: Served, query: str) -> None:
    before = served.store.revision
    answer = await served.call("POST", f"{ROUTES}?{query}", route())
    assert answer.status_code == 400
    assert served.store.revision == before


async def test_a_route_that_cannot_be_served_is_refused_and_changes_nothing(served: Served) -> None:
    await served.call("POST", ROUTES, route("good"))
    before = served.store.revision
    for verb, path, body in (
        ("POST", ROUTES, route("r", name="bad")),
        ("PUT", f"{ROUTES}/good", route("good", name="bad")),
        ("PATCH", f"{ROUTES}/good", [{"op": "replace", "path": "/name", "value": "bad"}]),
        ("POST", f"{ROUTES}/good", route("good", name="bad")),
    ):
        refused = await served.call(verb, path, body)
        assert refused.status_code == 400
        assert refused.json()["problems"] == [
            {"path": "$.frontend.domains[0]", "message": "is no domain", "fix": "write host/path"}
        ]
        assert refused.json()["error_description"] == [
            "$.frontend.domains[0]: is no domain; write host/path"
        ]
    assert served.store.revision == before


async def test_warnings_are_told_and_refuse_when_asked_to_be_strict(served: Served) -> None:
    lax = await served.call("POST", ROUTES, route("a", name="odd", enabled="yes"))
    assert lax.status_code == 201
    assert lax.json()["enabled"] is True
    assert "$.enabled: expected true or false" in lax.headers["Oto-Trio-Warnings"]
    assert "$.plugins[0]: does nothing" in lax.headers["Oto-Trio-Warnings"]
    strict = await served.call("POST", f"{ROUTES}?strict=true", route("b", enabled="yes"))
    assert strict.status_code == 400
    assert [p["path"] for p in strict.json()["problems"]] == ["$.enabled"]
    checked = await served.call("POST", f"{ROUTES}?strict=true", route("b", name="odd"))
    assert checked.status_code == 400


@pytest.mark.parametrize("entity_id", ["_bulk", "_count", "a\nb", " a", "x" * 600, "\u202ea"])
async def test_an_id_that_cannot_be_used_is_named(served: Served, entity_id: str) -> None:
    refused = await served.call("POST", ROUTES, route(entity_id))
    assert refused.status_code == 400
    assert [p["path"] for p in refused.json()["problems"]] == ["$.id"]


@pytest.mark.parametrize("entity_id", ["a b", "a/b", "é", "a%2Fb", "..", "a?b#c", "cp:x.Y"])
async def test_any_visible_id_can_be_reached(served: Served, entity_id: str) -> None:
    assert (await served.call("POST", ROUTES, route(entity_id))).status_code == 201
    quoted = httpx.URL("http://x").copy_with(params={"": entity_id}).query.decode()[1:]
    path = f"{ROUTES}/{quoted.replace('+', '%20').replace('..', '%2E%2E')}"
    read = await served.call("GET", path)
    assert (read.status_code, read.json().get("id")) == (200, entity_id)
    assert (await served.call("DELETE", path)).status_code == 200


async def test_two_writers_of_one_route_lose_nothing(served: Served) -> None:
    await served.call("POST", ROUTES, route("r", metadata={}))

    async def add(n: int) -> None:
        patch = [{"op": "add", "path": f"/metadata/k{n}", "value": "v"}]
        while True:
            answer = await served.call("PATCH", "/api/routes/r", patch)
            if answer.status_code == 200:
                return
            assert answer.status_code == 409

    async with trio.open_nursery() as nursery:
        for n in range(12):
            nursery.start_soon(add, n)
    read = await served.call("GET", "/api/routes/r")
    assert {f"k{n}" for n in range(12)} <= set(read.json()["metadata"])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StoreError, "errors.store.unavailable", "nothing was changed"),
        (
            StoreOutcomeUnknownError,
            "errors.store.outcome.unknown",
            "all of this was kept, or nothing",
        ),
    ],
)
async def test_a_store_that_fails_says_whether_anything_was_changed(
    served: Served, monkeypatch: pytest.MonkeyPatch, error: type[StoreError], code: str, text: str
) -> None:
    async def transact(writes: object, **_: object) -> int:
        raise error("away")

    monkeypatch.setattr(served.store, "transact", transact)
    answer = await served.call("POST", ROUTES, route("r1"))
    assert answer.status_code == 503
    assert answer.json()["error"] == code
    assert text in answer.json()["error_description"]
