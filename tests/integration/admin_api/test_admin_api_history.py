"""The history over the admin API: revisions, differences, what they mean, the way back, tags."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio import _core
from oto_trio.cli.changes import traffic_lines
from oto_trio.control.admin_api.audit_trail import AuditTrail
from oto_trio.control.admin_api.history import HistoryPaths
from oto_trio.control.store import Put, Store
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.telemetry.events.audit import Audit
from oto_trio.telemetry.events.identity import Instance, Snowflakes
from oto_trio.telemetry.events.recent import RecentEvents
from oto_trio.testing.admin_api import ServedAdminApi, route_document, serving_admin_api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from oto_trio.model.document import Document

HEADERS_IN = "cp:otoroshi.next.plugins.AdditionalHeadersIn"
KEYS = "/api/apikeys"


class Gone:
    """What the gateway cannot serve any more."""

    name = ""


def refuse_gone(entity: Document) -> list[Problem]:
    if isinstance(entity, Route) and entity.name == Gone.name:
        return [Problem("$.plugins[0]", "the plugin is not installed", "install it")]
    return []


@asynccontextmanager
async def history_api() -> AsyncGenerator[ServedAdminApi]:
    times = count(1_700_000_000_000)
    audit = Audit(Instance(), Snowflakes(lambda: next(times)), lambda: next(times))
    trail = AuditTrail(
        audit,
        lambda _: None,
        _core.Redaction(b"{}"),
        audits=RecentEvents(),
        alerts=RecentEvents(),
    )
    Gone.name = ""
    async with serving_admin_api(check=refuse_gone, trail=trail) as served:
        yield served


@pytest.fixture
async def api() -> AsyncIterator[ServedAdminApi]:
    async with history_api() as served:
        yield served


async def done(api: ServedAdminApi, verb: str, path: str, body: Any = None) -> Any:
    answer = await api.call(verb, path, body)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


async def refused(api: ServedAdminApi, status: int, verb: str, path: str, body: Any = None) -> str:
    answer = await api.call(verb, path, body)
    assert answer.status_code == status, answer.text
    told = answer.json()["error_description"]
    return told if isinstance(told, str) else "\n".join(told)


def route(entity_id: str, domain: str, port: int = 9000, **more: Any) -> dict[str, Any]:
    backend = {"targets": [{"hostname": "127.0.0.1", "port": port}]}
    return route_document(entity_id, frontend={"domains": [domain]}, backend=backend, **more)


async def test_every_change_is_listed_with_who_and_why(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes?message=first", route("r1", "a.test"))
    await done(api, "PUT", "/api/routes/r1?message=second", route("r1", "b.test"))
    answer = await api.call("GET", "/api/history?pageSize=2")
    newest, older = answer.json()
    assert answer.headers["X-Count"] == str(newest["revision"])
    assert (newest["message"], older["message"]) == ("second", "first")
    assert newest["revision"] == older["revision"] + 1 == api.store.revision
    assert newest["actor"] == "admin-api-apikey-id"
    assert newest["request_id"] != older["request_id"]
    assert (newest["changes"], newest["tags"]) == (1, [])
    second_page = await done(api, "GET", "/api/history?pageSize=2&page=2")
    assert second_page[0]["revision"] == older["revision"] - 1
    assert await done(api, "GET", "/api/history?pageSize=2&page=99") == []
    one = await done(api, "GET", f"/api/history/{newest['revision']}")
    (change,) = one.pop("entities")
    assert one == newest
    assert (change["change"], change["kind"], change["id"]) == ("updated", "routes", "r1")
    field = {"path": "$.frontend.domains[0]", "before": "a.test", "after": "b.test"}
    assert field in change["fields"]
    assert await done(api, "GET", "/api/history/latest") == {**one, "entities": [change]}
    assert "not remembered" in await refused(api, 404, "GET", "/api/history/0")
    assert "not made yet" in await refused(api, 404, "GET", "/api/history/99/_diff")
    assert "no tag 'nope'" in await refused(api, 404, "GET", "/api/history/nope")
    assert "no revision" in await refused(api, 400, "GET", "/api/history/1x")


async def test_revisions_are_looked_for(api: ServedAdminApi) -> None:
    start = api.store.revision
    for n in range(3):
        await done(api, "POST", "/api/routes", route(f"r{n}", "a.test"))
    await done(api, "PUT", "/api/routes/r1", route("r1", "b.test"))
    await done(api, "POST", KEYS, {"clientId": "k", "clientName": "k", "clientSecret": "s3cret"})
    await api.store.put("routes", "r1", b'{"id":"r1"}')

    async def found(query: str) -> list[int]:
        return [one["revision"] - start for one in await done(api, "GET", f"/api/history?{query}")]

    assert await found("entity=routes/r1") == [6, 4, 2]
    assert await found("entity=routes") == [6, 4, 3, 2, 1]
    assert await found("entity=routes&pageSize=2") == [6, 4]
    assert await found("entity=routes&pageSize=2&page=2") == [3, 2]
    assert await found("entity=routes&pageSize=2&page=3") == [1]
    assert await found("entity=routes&pageSize=2&page=4") == []
    assert await found(f"entity=routes&before={start + 3}") == [2, 1]
    assert await found("entity=apikeys/k") == [5]
    assert await found("entity=routes/r1&actor=admin-api-apikey-id") == [4, 2]
    assert await found("actor=nobody") == []
    assert await found("since=2020-01-01&entity=routes/r2") == [3]
    assert await found("until=2020-01-01T10:00:00%2B01:00") == []
    at = (await done(api, "GET", "/api/history?entity=routes/r2"))[0]["at"]
    assert 3 in await found(f"since={at[:10]}T00:00:00Z&entity=routes")
    assert await found("since=2999-01-01") == []
    counted = await api.call("GET", "/api/history?entity=routes")
    assert "X-Count" not in counted.headers
    wrong = ("entity=/r1", "entity=routes/", "since=soon", "until=2026-13-01", "before=x")
    for query in (*wrong, "entity=routes/a%00", "actor=%00"):
        name = query.partition("=")[0]
        assert name in await refused(api, 400, "GET", f"/api/history?{query}")
    assert "before=" in await refused(api, 400, "GET", "/api/history?actor=a&pageSize=1000&page=11")


async def test_a_large_change_is_one_revision_in_pages(api: ServedAdminApi) -> None:
    writes = [Put("routes", f"r{n:04}", b'{"id":"r%04d"}' % n) for n in range(250)]
    number = await api.store.transact(writes)
    answer = await api.call("GET", f"/api/history/{number}?pageSize=100&page=3")
    told = answer.json()
    assert (told["changes"], answer.headers["X-Count"]) == (250, "250")
    assert [c["id"] for c in told["entities"]] == [f"r{n:04}" for n in range(200, 250)]


async def test_no_secret_is_shown(api: ServedAdminApi) -> None:
    key = {"clientId": "k", "clientName": "k", "clientSecret": "planted-secret-one"}
    await done(api, "POST", KEYS, key)
    first = api.store.revision
    plugin = {"plugin": HEADERS_IN, "config": {"headers": {"Authorization": "planted-three"}}}
    await done(api, "POST", "/api/routes", route("r1", "a.test", plugins=[plugin]))
    asked: dict[str, Any] = {
        "domains": ["b.test"],
        "headers": {"X-Token": "planted-5", "X-A": "shown"},
    }
    asked["query"] = {"api_key": "planted-6", "page": "1"}
    await done(api, "POST", "/api/routes", {**route("r2", "b.test"), "frontend": asked})
    await done(api, "PUT", f"{KEYS}/k", {**key, "clientSecret": "planted-secret-two"})
    plugin["config"] = {"headers": {"Authorization": "planted-four"}}
    await done(api, "PUT", "/api/routes/r1", route("r1", "a.test", plugins=[plugin]))
    for path in ("latest", f"{api.store.revision - 1}", f"{first}/_diff", f"{first + 1}/_diff"):
        answer = await api.call("GET", f"/api/history/{path}")
        assert answer.status_code == 200
        assert "planted" not in answer.text
    told = await done(api, "GET", f"/api/history/{first}/_diff")
    sample = next(m["request"] for m in told["traffic"]["requests"] if m["after"] == "r2")
    assert sample["headers"] == [["X-Token", "***"], ["X-A", "shown"]]
    assert sample["url"] == "b.test/?api_key=***&page=1"
    changes = {change["id"]: change for change in told["entities"]}
    fields = {field["path"]: field for field in changes["k"]["fields"]}
    assert fields["$.clientSecret"] == {
        "path": "$.clientSecret",
        "before": "***",
        "after": "***",
    }
    dry = await api.call("POST", f"/api/history/{first}/_rollback?dry_run=true")
    assert dry.status_code == 200
    assert "planted" not in dry.text


async def test_a_difference_tells_which_requests_go_elsewhere(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes", route("wide", "*.test"))
    await done(api, "POST", "/api/routes", route("narrow", "api.test/v1", 9001))
    await done(api, "POST", "/api/backends", {"id": "b", "name": "b", "backend": {"targets": []}})
    start = api.store.revision
    await done(api, "DELETE", "/api/routes/narrow")
    plugin = {"plugin": HEADERS_IN, "config": {"headers": {"X-A": "1"}}}
    await done(api, "PUT", "/api/routes/wide", route("wide", "*.test", 9002, plugins=[plugin]))
    traffic = (await done(api, "GET", f"/api/history/{start}/_diff"))["traffic"]
    moved = {(m["before"], m["after"]): m["request"] for m in traffic["requests"]}
    assert set(moved) == {("narrow", "wide")}
    request = moved["narrow", "wide"]
    assert request["method"] == "GET"
    assert request["url"].startswith("api.test/v1")
    (plan,) = traffic["plans"]
    assert plan["route"] == "wide"
    assert plan["targets"] == [["http://127.0.0.1:9000"], ["http://127.0.0.1:9002"]]
    assert [(s["change"], s["plugin"]) for s in plan["steps"]] == [("added", HEADERS_IN)]
    assert plan["request"]["url"].endswith(".test/")
    back = (await done(api, "GET", f"/api/history/now/_diff?to={start}"))["traffic"]
    assert [(m["before"], m["after"]) for m in back["requests"]] == [("wide", "narrow")]
    assert [s["change"] for s in back["plans"][0]["steps"]] == ["removed"]
    plain = await done(api, "GET", f"/api/history/{start}/_diff?semantic=false")
    assert "traffic" not in plain
    assert [(c["change"], c["id"]) for c in plain["entities"]] == [
        ("deleted", "narrow"),
        ("updated", "wide"),
    ]


async def test_a_changed_setting_or_stored_backend_changes_plans(api: ServedAdminApi) -> None:
    backend = {"targets": [{"hostname": "127.0.0.1", "port": 9000}]}
    await done(api, "POST", "/api/backends", {"id": "b", "name": "b", "backend": backend})
    plugin = {"plugin": HEADERS_IN, "config": {"headers": {"X-A": "1"}}}
    one = {**route("r1", "a.test", plugins=[plugin]), "backend_ref": "b"}
    await done(api, "POST", "/api/routes", one)
    await done(api, "POST", "/api/routes", route("r2", "b.test"))
    start = api.store.revision
    changed = {"targets": [{"hostname": "127.0.0.1", "port": 9009, "tls": True}]}
    await done(api, "PUT", "/api/backends/b", {"id": "b", "name": "b", "backend": changed})
    traffic = (await done(api, "GET", f"/api/history/{start}/_diff"))["traffic"]
    (plan,) = traffic["plans"]
    assert (plan["route"], plan["targets"][1]) == ("r1", ["https://127.0.0.1:9009"])
    start = api.store.revision
    plugin["config"] = {"headers": {"X-A": "2"}}
    await done(api, "PUT", "/api/routes/r1", one)
    traffic = (await done(api, "GET", f"/api/history/{start}/_diff"))["traffic"]
    assert traffic["requests"] == []
    (step,) = traffic["plans"][0]["steps"]
    assert (step["change"], step["plugin"]) == ("configured", HEADERS_IN)


async def test_what_decides_nothing_changes_no_plan(api: ServedAdminApi) -> None:
    """The generic dialect writes dates into the metadata."""
    base = "/apis/proxy.otoroshi.io/v1/routes"
    await done(api, "POST", base, route("r1", "a.test"))
    start = api.store.revision
    await done(api, "PUT", f"{base}/r1", route("r1", "a.test", description="words"))
    told = await done(api, "GET", f"/api/history/{start}/_diff")
    paths = {field["path"] for field in told["entities"][0]["fields"]}
    dates = {"$.metadata.created_at", "$.metadata.updated_at"}
    assert paths == {"$.description", *dates}
    nothing = {"requests": [], "plans": [], "routes_left_out": 0, "owners": {}}
    assert told["traffic"] == nothing


async def test_a_rollback_brings_everything_back_as_a_new_revision(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes", route("kept", "a.test"))
    await done(api, "POST", "/api/routes", route("deleted", "b.test"))
    start = api.store.revision
    before = await api.store.snapshot(["routes"])
    await done(api, "PUT", "/api/routes/kept", route("kept", "c.test"))
    await done(api, "DELETE", "/api/routes/deleted")
    await done(api, "POST", "/api/routes", route("new", "d.test"))
    last = api.store.revision
    dry = await done(api, "POST", f"/api/history/{start}/_rollback?dry_run=true")
    assert (dry["dry_run"], dry["revision"], api.store.revision) == (True, last, last)
    changes = [("created", "deleted"), ("updated", "kept"), ("deleted", "new")]
    assert [(c["change"], c["id"]) for c in dry["entities"]] == changes
    assert {(m["before"], m["after"]) for m in dry["traffic"]["requests"]} >= {
        (None, "deleted"),
        ("new", None),
    }
    told = await done(api, "POST", f"/api/history/{start}/_rollback")
    assert told["revision"] == api.store.revision == last + 1
    after = await api.store.snapshot(["routes"])
    assert [(r.id, r.document) for r in after.records] == [
        (r.id, r.document) for r in before.records
    ]
    (newest, *_) = await done(api, "GET", "/api/history")
    assert newest["message"] == f"roll back to revision {start}"
    again = await done(api, "POST", f"/api/history/{start}/_rollback")
    assert (again["entities"], api.store.revision) == ([], last + 1), "nothing is left to do"
    undone = await done(api, "POST", f"/api/history/{last}/_rollback?message=I%20was%20wrong")
    assert len(undone["entities"]) == 3
    assert (await done(api, "GET", "/api/history"))[0]["message"] == "I was wrong"


async def test_a_rollback_may_be_of_some_kinds_and_leaves_sessions_alone(
    api: ServedAdminApi,
) -> None:
    start = api.store.revision
    await done(api, "POST", "/api/routes", route("r1", "a.test"))
    await done(api, "POST", KEYS, {"clientId": "k", "clientName": "k", "clientSecret": "s"})
    await api.store.put("admin-sessions", "s1", b'{"randomId":"s1"}')
    await done(api, "POST", f"/api/history/{start}/_rollback?kinds=apikeys")
    assert await api.store.get("routes", "r1") is not None
    assert await api.store.get("apikeys", "k") is None
    await done(api, "POST", f"/api/history/{start}/_rollback")
    assert await api.store.get("routes", "r1") is None
    assert await api.store.get("admin-sessions", "s1") is not None


async def test_a_rollback_that_cannot_be_served_changes_nothing(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes", route("r1", "a.test", name="old"))
    start = api.store.revision
    await done(api, "PUT", "/api/routes/r1", route("r1", "a.test", name="new"))
    await done(api, "POST", "/api/routes", route("r2", "b.test"))
    last = api.store.revision
    Gone.name = "old"
    for query in ("", "?dry_run=true"):
        told = await refused(api, 409, "POST", f"/api/history/{start}/_rollback{query}")
        assert told == (
            f"revision {start} cannot come back: routes r1 $.plugins[0]: the plugin is not installed; "
            "install it"
        )
    told = await refused(api, 409, "POST", "/api/history/0/_rollback")
    assert "global-configs global: there was no global configuration at that revision" in told
    assert api.store.revision == last


async def test_a_rollback_leaves_nothing_out_that_is_written_meanwhile(
    api: ServedAdminApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(api, "POST", "/api/routes", route("r1", "a.test"))
    start = api.store.revision
    await done(api, "PUT", "/api/routes/r1", route("r1", "b.test"))
    transact = api.store.transact
    late = ["r2"]

    async def slow(writes: Any, **expected: Any) -> int:
        while late:
            await transact([Put("routes", late.pop(), b'{"id":"r2"}')])
        return await transact(writes, **expected)

    monkeypatch.setattr(api.store, "transact", slow)
    told = await done(api, "POST", f"/api/history/{start}/_rollback")
    assert sorted(change["id"] for change in told["entities"]) == ["r1", "r2"]
    assert await api.store.get("routes", "r2") is None, "it came between, and goes too"
    back = f"/api/history/{start + 1}/_rollback"
    seen = (await done(api, "POST", f"{back}?dry_run=true"))["revision"]
    late.append("r2")
    assert "look again" in await refused(api, 412, "POST", f"{back}?at={seen}")
    for query in (f"?at={seen}", f"?at={seen}&dry_run=true"):
        await refused(api, 412, "POST", back + query)
    await refused(api, 400, "POST", f"{back}?at=x")
    assert (await done(api, "POST", f"{back}?at={seen + 1}"))["revision"] == seen + 2

    async def never(writes: Any, **expected: Any) -> int:
        late.append("r2")
        return await slow(writes, **expected)

    monkeypatch.setattr(api.store, "transact", never)
    assert "others keep changing" in await refused(
        api, 409, "POST", f"/api/history/{start}/_rollback"
    )


async def test_what_a_route_refers_to_may_come_back_with_it(api: ServedAdminApi) -> None:
    """The real check knows only the backends that are stored now."""
    await done(api, "POST", "/api/backends", {"id": "b", "name": "b", "backend": {"targets": []}})
    await done(
        api, "POST", "/api/routes", {**route("r1", "a.test", name="old"), "backend_ref": "b"}
    )
    start = api.store.revision
    await done(api, "DELETE", "/api/routes/r1")
    await done(api, "DELETE", "/api/backends/b")

    def check(entity: Document) -> list[Problem]:
        is_lost = isinstance(entity, Route) and entity.backend_ref == "b"
        return [Problem("$.backend_ref", "there is no backend b", "make it")] if is_lost else []

    api.gateway._check = check
    await done(api, "POST", f"/api/history/{start}/_rollback")
    assert await api.store.get("routes", "r1") is not None
    assert await api.store.get("backends", "b") is not None


async def test_revisions_have_names(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes", route("r1", "a.test"))
    number = api.store.revision
    made = await api.call("PUT", "/api/history/tags/release-1", {"revision": number})
    assert made.status_code == 201
    assert made.json()["revision"] == number
    await done(api, "PUT", "/api/routes/r1", route("r1", "b.test"))
    assert (await done(api, "GET", "/api/history/release-1"))["tags"] == ["release-1"]
    (tag,) = await done(api, "GET", "/api/history/tags")
    assert (tag["name"], tag["revision"], tag["is_remembered"]) == ("release-1", number, True)
    await done(api, "POST", "/api/history/release-1/_rollback")
    record = await api.store.get("routes", "r1")
    assert record is not None
    assert b"a.test" in record.document
    assert len(await done(api, "GET", "/api/history/tags")) == 1, "no rollback removes a tag"
    moved = await api.call("PUT", "/api/history/tags/release-1", {})
    assert (moved.status_code, moved.json()["revision"]) == (200, api.store.revision - 1)
    for name in ("1", "latest", "-x", "a b", "x" * 101):
        await refused(api, 400, "PUT", f"/api/history/tags/{name}", {"revision": number})
    bodies: list[Any] = [{"revision": True}, {"revision": None}, [], {"revision": [1]}]
    for body in bodies:
        assert '"revision"' in await refused(api, 400, "PUT", "/api/history/tags/a", body)
    await refused(api, 404, "PUT", "/api/history/tags/a", {"revision": 999})
    assert await done(api, "DELETE", "/api/history/tags/release-1") == {"deleted": True}
    await refused(api, 404, "DELETE", "/api/history/tags/release-1")
    await refused(api, 404, "GET", "/api/history/release-1")


async def test_only_administrators_of_everything_see_the_history(api: ServedAdminApi) -> None:
    rights = '[{"tenant":"t1:rw","teams":["*:rw"]}]'
    key: dict[str, Any] = {
        "clientId": "tenant-key",
        "clientName": "tenant-key",
        "clientSecret": "n7Zk2tGq9VbXw4LrYp8sDf3h",
        "authorizedEntities": ["group_admin-api-group"],
        "metadata": {"otoroshi-access-rights": rights},
    }
    await done(api, "POST", KEYS, key)
    auth = ("tenant-key", key["clientSecret"])
    mine = await api.client.request("GET", "/api/routes", auth=auth)
    assert mine.status_code == 200, mine.text
    for verb, path in (
        ("GET", "/api/history"),
        ("GET", "/api/history/1"),
        ("GET", "/api/history/1/_diff"),
        ("POST", "/api/history/1/_rollback"),
        ("GET", "/api/history/tags"),
        ("PUT", "/api/history/tags/a"),
        ("DELETE", "/api/history/tags/a"),
    ):
        answer = await api.client.request(verb, path, auth=auth)
        assert answer.status_code == 403, (verb, path, answer.text)


async def test_routes_that_other_entities_mean_are_told_with_them(api: ServedAdminApi) -> None:
    await done(api, "POST", "/api/routes", route("comp-0", "a.test"))
    start = api.store.revision
    domains = {"frontend": {"domains": ["b.test"]}, "backend": {"targets": []}}
    composition = {"id": "comp", "name": "comp", "routes": [domains]}
    await done(api, "POST", "/api/route-compositions", composition)
    service: dict[str, Any] = {"id": "s", "name": "s", "domain": "c.test", "subdomain": "s"}
    await done(api, "POST", "/api/services", {**service, "groups": ["default"], "enabled": True})
    middle = api.store.revision
    traffic = (await done(api, "GET", f"/api/history/{start}/_diff"))["traffic"]
    # The id that the first of its routes says is that of a stored one.
    assert traffic["owners"] == {"comp-0~": "route-compositions comp", "s": "service-descriptors s"}
    assert {moved["after"] for moved in traffic["requests"]} == {"comp-0~", "s"}
    composition["plugins"] = [{"plugin": HEADERS_IN, "config": {"headers": {"a": "b"}}}]
    await done(api, "PUT", "/api/route-compositions/comp", composition)
    told = await done(api, "GET", f"/api/history/{middle}/_diff")
    assert [plan["route"] for plan in told["traffic"]["plans"]] == ["comp-0~"]
    shown = "\n".join(traffic_lines(told["traffic"]))
    assert "comp-0~ (of route-compositions comp)" in shown


async def test_one_request_at_a_time_holds_what_was_before(
    api: ServedAdminApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        document = route("r", f"{n}.a.test")
        await done(
            api, "POST" if n == 0 else "PUT", "/api/routes" + ("" if n == 0 else "/r"), document
        )
    newest = api.store.revision
    reads: list[tuple[int, int]] = []
    own = HistoryPaths._compared  # pyright: ignore[reportPrivateUsage]
    at_once = most_at_once = 0
    difference = api.store.difference

    async def counted(_: Store, since: int, until: int | None = None) -> Any:
        reads.append((since, -1 if until is None else until))
        return await difference(since, until)

    async def slowly(self: HistoryPaths, changed: Any) -> Any:
        # Whoever compares holds documents.
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        at_once -= 1
        return await own(self, changed)

    monkeypatch.setattr(type(api.store), "difference", counted)
    await done(api, "GET", f"/api/history/{newest - 2}/_diff?to={newest - 1}")
    # What is compared was read once, and what came after it.
    assert reads == [(newest - 2, newest - 1), (newest - 1, newest)]
    monkeypatch.setattr(HistoryPaths, "_compared", slowly)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(done, api, "GET", f"/api/history/{newest}")
            nursery.start_soon(done, api, "GET", f"/api/history/{newest - 1}/_diff")
            back = f"/api/history/{newest - 1}/_rollback?dry_run=true"
            nursery.start_soon(done, api, "POST", back)
    assert most_at_once == 1
