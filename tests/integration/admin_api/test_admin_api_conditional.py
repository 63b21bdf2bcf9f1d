"""Entity tags and conditional requests: nobody overwrites what they have not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document as route

if TYPE_CHECKING:
    import httpx

ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
BACKENDS = "/apis/proxy.otoroshi.io/v1/backends"
R1 = f"{ROUTES}/r1"
PAGES = dict.fromkeys(("template40x", "template50x", "templateBuild", "templateMaintenance"), "x")


async def call(served: Served, verb: str, path: str, body: Any = None, **headers: str) -> Any:
    """Send a request; ``if_match`` and the like are headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.call(verb, path, body, headers=named)


async def test_what_is_written_and_what_is_read_have_one_tag(served: Served) -> None:
    made = await served.call("POST", ROUTES, route())
    read = await served.call("GET", R1)
    tag = read.headers["ETag"]
    assert made.headers["ETag"] == tag
    assert tag.startswith(f'"{served.store.revision}-')
    writes: list[tuple[str, Any]] = [
        ("PUT", route()),
        ("POST", route(name="b")),
        ("PATCH", []),
    ]
    for verb, body in writes:
        written = await served.call(verb, R1, body)
        read = await served.call("GET", R1)
        assert written.headers["ETag"] == read.headers["ETag"], verb
        assert read.headers["ETag"] != tag
        tag = read.headers["ETag"]
    # Another representation has another tag, and the same one always the same.
    tags = {tag}
    for query, accept in (
        ("?fields=id", "application/json"),
        ("?pretty=false", "application/json"),
        ("?envelope=true", "application/json"),
        ("", "application/yaml"),
    ):
        answers = [await call(served, "GET", R1 + query, accept=accept) for _ in range(2)]
        assert len({answer.headers["ETag"] for answer in answers}) == 1
        tags.add(answers[0].headers["ETag"])
    assert len(tags) == 5
    config = await served.call("GET", "/apis/config.otoroshi.io/v1/global-configs/global")
    assert "ETag" in config.headers
    assert "ETag" not in (await served.call("GET", ROUTES)).headers


async def test_a_reader_that_has_it_gets_no_body(served: Served) -> None:
    await served.call("POST", ROUTES, route())
    tag = (await served.call("GET", R1)).headers["ETag"]
    for condition in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer: httpx.Response = await call(served, "GET", R1, if_none_match=condition)
        assert (answer.status_code, answer.content) == (304, b""), condition
        assert answer.headers["ETag"] == tag
    for condition in ('"x"', tag.replace("-", "x"), ""):
        assert (await call(served, "GET", R1, if_none_match=condition)).status_code == 200
    assert (await call(served, "GET", f"{R1}?fields=id", if_none_match=tag)).status_code == 200
    assert (await call(served, "GET", R1, if_match=tag)).status_code == 200
    assert (await call(served, "GET", R1, if_match='"0-x"')).status_code == 412
    assert (await call(served, "GET", f"{ROUTES}/none", if_none_match="*")).status_code == 404


async def test_a_route_whose_backend_changed_is_another_for_readers_not_for_writers(
    served: Served,
) -> None:
    targets = [{"id": "t", "hostname": "a.test", "port": 1}]
    backend: dict[str, Any] = {"id": "b", "name": "b", "backend": {"targets": targets}}
    made = await served.call("POST", BACKENDS, backend)
    assert made.status_code == 201, made.text
    written = await served.call("POST", ROUTES, route(backend_ref="b"))
    tag = written.headers["ETag"]
    assert (await call(served, "GET", R1, if_none_match=tag)).status_code == 304
    backend["backend"] = {"targets": [{**targets[0], "hostname": "b.test"}]}
    changed = await served.call("PUT", f"{BACKENDS}/b", backend)
    assert changed.status_code == 200, changed.text
    read = await call(served, "GET", R1, if_none_match=tag)
    assert read.status_code == 200
    assert read.json()["backend"]["targets"][0]["hostname"] == "b.test"
    assert (await call(served, "PATCH", R1, [], if_match=tag)).status_code == 200


WRITES: list[tuple[str, Any]] = [
    ("PUT", route(name="new")),
    ("POST", route(name="new")),
    ("PATCH", [{"op": "replace", "path": "/name", "value": "new"}]),
    ("DELETE", None),
]


@pytest.mark.parametrize(("verb", "body"), WRITES, ids=[verb for verb, _ in WRITES])
async def test_a_write_with_a_condition_that_does_not_hold_changes_nothing(
    served: Served, verb: str, body: Any
) -> None:
    await served.call("POST", ROUTES, route())
    old = (await served.call("GET", R1)).headers["ETag"]
    await served.call("PUT", R1, route(name="between"))
    now = (await served.call("GET", R1)).headers["ETag"]
    revision = served.store.revision
    for condition in (
        {"if_match": old},
        {"if_match": f"W/{now}"},
        {"if_match": '"x"'},
        {"if_match": ""},
        {"if_none_match": "*"},
        {"if_none_match": now},
        {"if_match": now, "if_none_match": now},
    ):
        refused = await call(served, verb, R1, body, **condition)
        assert refused.status_code == 412, condition
        assert refused.json()["error"] == "precondition_failed"
        assert f"at revision {revision} now" in refused.json()["error_description"]
        assert refused.json()["kind"] == "proxy.otoroshi.io/Route"
        assert served.store.revision == revision
    # The revision alone is a tag too, and any of several may be the one.
    done = await call(served, verb, R1, body, if_match=f'"x", "{revision}"', if_none_match=old)
    assert done.status_code == 200


async def test_a_condition_on_what_is_not_there(served: Served) -> None:
    for verb, body in WRITES:
        if verb == "POST":
            continue
        # A refusal for another reason comes first (RFC 9110, 13.2.1).
        missing = await served.call(verb, R1, body)
        refused = await call(served, verb, R1, body, if_match="*")
        assert (refused.status_code, refused.json()) == (missing.status_code, missing.json())
    refused = await call(served, "POST", R1, route(), if_match="*")
    assert refused.status_code == 412
    assert "there is no such entity" in refused.json()["error_description"]
    assert (await call(served, "POST", R1, route(), if_none_match="*")).status_code == 201
    assert (await call(served, "POST", R1, route(), if_none_match="*")).status_code == 412
    assert (await call(served, "POST", R1, route(), if_match="*")).status_code == 200


@pytest.mark.parametrize("header", ["if_match", "if_none_match"])
@pytest.mark.parametrize("text", ["x", '"x', '"a" "b"', 'w/"x"', ", ".join(['"x"'] * 65)])
async def test_a_header_that_is_no_list_of_tags_is_named(
    served: Served, header: str, text: str
) -> None:
    await served.call("POST", ROUTES, route())
    for verb, body in (("GET", None), *WRITES):
        answer = await call(served, verb, R1, body, **{header: text})
        assert answer.status_code == 400, verb
        name = {"if_match": "If-Match", "if_none_match": "If-None-Match"}[header]
        assert answer.json()["error_description"].startswith(f"{name} is no list")


async def test_writers_that_read_first_lose_nothing(served: Served) -> None:
    await served.call("POST", ROUTES, route(metadata={"n": "0"}))
    refused = 0

    async def add() -> None:
        nonlocal refused
        for _ in range(5):
            while True:
                read = await served.call("GET", R1)
                document = read.json()
                document["metadata"]["n"] = str(int(document["metadata"]["n"]) + 1)
                tag = read.headers["ETag"]
                written = await call(served, "PUT", R1, document, if_match=tag)
                if written.status_code == 200:
                    break
                assert written.status_code == 412, written.text
                refused += 1

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(add)
    assert (await served.call("GET", R1)).json()["metadata"]["n"] == "40"
    assert refused, "they were in each other's way"


async def test_of_many_that_create_it_at_once_one_does(served: Served) -> None:
    statuses: list[int] = []

    async def create(n: int) -> None:
        answer = await call(served, "POST", R1, route(name=str(n)), if_none_match="*")
        statuses.append(answer.status_code)

    async with trio.open_nursery() as nursery:
        for n in range(8):
            nursery.start_soon(create, n)
    assert sorted(statuses) == [201] + [412] * 7


async def test_older_paths_keep_to_conditions_too(served: Served) -> None:
    key = {"clientId": "k", "clientSecret": "s", "clientName": "k"}
    service: dict[str, Any] = {
        "id": "s",
        "name": "s",
        "domain": "a.test",
        "subdomain": "s",
        "env": "prod",
    }
    service |= {"root": "/", "targets": []}
    made = [
        (ROUTES, route()),
        ("/api/services", service),
        ("/api/services/s/template", PAGES),
        ("/api/groups", {"id": "g", "name": "g"}),
        ("/api/groups/g/apikeys", key),
        ("/api/admins/simple", {"username": "a@b.c", "password": "password"}),
    ]
    for path, body in made:
        answer = await served.call("POST", path, body)
        assert answer.status_code in {200, 201}, answer.text
    later = (await served.call("PUT", "/api/routes/r1", route(name="later"))).headers
    stale = f'"{int(later["Oto-Trio-Revision"]) + 1000}"'
    writes: list[tuple[str, str, Any]] = []
    for path, can_patch in (
        ("/api/routes/r1", True),
        ("/api/groups/g/apikeys/k", True),
        ("/api/services/s/template", False),
        ("/api/admins/simple/a@b.c", False),
    ):
        now = (await served.call("GET", path)).json()
        writes += [("PUT", path, now), *([("PATCH", path, [])] if can_patch else [])]
        writes.append(("DELETE", path, None))
    writes.append(("POST", "/api/services/s/targets", {"target": "http://h:1"}))
    writes.append(("POST", "/api/services/s/route", None))
    before = served.store.revision
    for verb, path, body in writes:
        refused = await call(served, verb, path, body, if_match=stale)
        assert refused.status_code == 412, (verb, path, refused.text)
        bad = await call(served, verb, path, body, if_match="no tag")
        assert bad.status_code == 400, (verb, path, bad.text)
        assert "If-Match is no list" in bad.text, (verb, path)
    assert served.store.revision == before
    current = f'"{later["Oto-Trio-Revision"]}"'
    written = await call(served, "PUT", "/api/routes/r1", route(name="own"), if_match=current)
    assert written.status_code == 200, written.text
    refused = await call(served, "DELETE", "/api/routes/r1", if_match=current)
    assert refused.status_code == 412


@pytest.mark.parametrize("path", ["/api/routes/_bulk", f"{ROUTES}/_bulk", "/apis/_apply"])
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_writes_of_several_entities_take_no_conditions(
    served: Served, path: str, header: str
) -> None:
    headers = {"Content-Type": "application/x-ndjson", header: '"1"'}
    refused = await served.call("POST", path, route(), headers=headers)
    assert refused.status_code == 400
    assert f"{header} names the state of one entity" in refused.text
    assert "by its own path" in refused.text
    assert await served.store.count("routes") == 0
