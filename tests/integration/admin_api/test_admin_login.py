"""Administrators: how they log in, what their session opens, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bcrypt
import httpx
import msgspec
import pytest

from oto_trio.control.admin_api.admins import passwords
from oto_trio.control.admin_api.admins import sessions as sessions_module
from oto_trio.control.store import Put
from oto_trio.testing.admin_api import ServedAdminApi as Served
from oto_trio.testing.admin_api import route_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOGIN = "/bo/simple/login"
SESSION = "/bo/simple/session"
SIMPLE = "/api/admins/simple"
WEBAUTHN = "/api/admins/webauthn"
GENERIC = "/apis/security.otoroshi.io/v1"
COOKIE = "otoroshi-session"
ANN = {"username": "ann@acme.io", "password": "a long password"}
GATE = {"error": "You're not authorized here !"}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(passwords, "COST", 4)


@pytest.fixture
async def browser(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, which keeps cookies."""
    async with httpx.AsyncClient(base_url=served.server.url) as client:
        yield client


async def add_admin(served: Served, **more: Any) -> None:
    answer = await served.call("POST", SIMPLE, {**ANN, "label": "Ann", **more})
    assert (answer.status_code, answer.json()) == (200, {"username": ANN["username"]})


async def set_rights(served: Served, rights: list[Any], **more: Any) -> None:
    path = f"{SIMPLE}/{ANN['username']}"
    document = (await served.call("GET", path)).json()
    answer = await served.call("PUT", path, {**document, "rights": rights, **more})
    assert answer.status_code == 200, answer.text


async def login(browser: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await browser.post(LOGIN, json={**ANN, **more})


async def test_a_login_opens_the_admin_api_with_the_rights_of_its_user(
    served: Served, browser: httpx.AsyncClient
) -> None:
    await add_admin(served)
    for tenant in ("acme", "globex"):
        body = route_document(f"r-{tenant}", _loc={"tenant": tenant, "teams": ["a"]})
        await served.call("POST", "/api/routes", body)
    answer = await login(browser)
    assert (answer.status_code, answer.json()) == (200, {"username": ANN["username"]})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "max-age=86400" in cookie
    assert "domain" not in cookie
    assert len((await browser.get("/api/routes")).json()) == 2
    who = (await browser.get(SESSION)).json()
    assert (who["name"], who["email"], who["isSuperAdmin"]) == ("Ann", ANN["username"], True)
    # what the user may do is what the user may do now, not when the session began
    await set_rights(served, [{"tenant": "acme:r", "teams": ["*:r"]}])
    routes = await browser.get("/api/routes", headers={"Otoroshi-Tenant": "acme"})
    assert [route["id"] for route in routes.json()] == ["r-acme"]
    refused = await browser.delete("/api/routes/r-acme", headers={"Otoroshi-Tenant": "acme"})
    assert refused.status_code == 403
    assert (await browser.get("/api/admin-sessions")).json() == GATE


async def test_wrong_names_and_passwords_are_told_apart_by_nothing(
    served: Served, browser: httpx.AsyncClient
) -> None:
    await add_admin(served)
    for wrong in ({"password": "wrong"}, {"username": "who@acme.io"}, {"username": "\0"}):
        answer = await login(browser, **wrong)
        assert (answer.status_code, answer.json()) == (401, {"error": "not authorized"})
        assert "set-cookie" not in answer.headers
    bodies: list[Any] = [[], {}, {"username": 3, "password": []}]
    for body in bodies:
        assert (await browser.post(LOGIN, json=body)).status_code == 401
    assert (await browser.post(LOGIN, content=b"{")).status_code == 400


async def test_guessing_is_bounded(served: Served, browser: httpx.AsyncClient) -> None:
    await add_admin(served)
    statuses = [(await login(browser, password=str(n))).status_code for n in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    right = await login(browser)
    assert right.status_code == 429
    assert 0 < int(right.headers["Retry-After"]) <= 900


async def is_in(browser: httpx.AsyncClient) -> bool:
    """Tell whether the client's session opens the admin API."""
    return (await browser.get("/api/routes")).status_code == 200


async def test_a_session_ends_by_logout_and_by_hand(
    served: Served, browser: httpx.AsyncClient
) -> None:
    await add_admin(served)
    assert not await is_in(browser)
    await login(browser)
    token = browser.cookies[COOKIE]
    done = await browser.delete(SESSION)
    assert done.json() == {"done": True}
    assert COOKIE not in browser.cookies
    kept = {"Cookie": f"{COOKIE}={token}"}
    refused = await browser.get("/api/routes", headers=kept)
    assert (refused.status_code, refused.json()["error"]) == (401, "not authorized")

    await login(browser)
    listed = (await served.call("GET", "/api/admin-sessions")).json()
    assert len(listed) == 1
    session_id = listed[0]["randomId"]
    for word in (session_id, msgspec.json.encode(listed).decode()):
        assert browser.cookies[COOKIE] not in word, "the list opens no session"
    stolen = {"Cookie": f"{COOKIE}={session_id}"}
    async with httpx.AsyncClient(base_url=served.server.url, headers=stolen) as thief:
        assert not await is_in(thief)
    assert await is_in(browser)
    ended = await served.call("DELETE", f"/api/admin-sessions/{session_id}")
    assert ended.json() == {"done": True}
    assert not await is_in(browser)
    again = await served.call("DELETE", f"/api/admin-sessions/{session_id}")
    assert (again.status_code, again.json()) == (404, {"error": "Session not found !"})


async def test_a_session_ends_with_its_user(served: Served, browser: httpx.AsyncClient) -> None:
    await add_admin(served)
    await login(browser)
    assert await is_in(browser)
    other = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
    await set_rights(served, [{"tenant": "*:rw", "teams": ["*:rw"]}], password=other)
    assert not await is_in(browser), "a new password ends the sessions of the old one"
    await login(browser, password="another")
    assert await is_in(browser)
    removed = await served.call("DELETE", f"{SIMPLE}/{ANN['username']}")
    assert removed.json() == {"done": True}
    assert not await is_in(browser)
    await add_admin(served)
    assert not await is_in(browser), "another user of the same name is another user"


async def test_sessions_end_by_time_and_there_are_not_too_many(
    served: Served, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_admin(served)
    await login(browser)
    (record,) = await served.store.list("admin-sessions")
    document = msgspec.json.decode(record.document)
    assert document["expiredAt"] - document["createdAt"] == 86_400_000
    old = msgspec.json.encode({**document, "expiredAt": document["createdAt"]})
    await served.store.put(record.kind, record.id, old)
    assert not await is_in(browser)
    await login(browser)
    assert len((await served.call("GET", "/api/admin-sessions")).json()) == 1, "old ones are gone"

    monkeypatch.setattr(sessions_module, "MOST_OF_USER", 2)
    first = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    browser.cookies.clear()
    await login(browser)
    await login(browser)
    assert len((await served.call("GET", "/api/admin-sessions")).json()) == 2
    assert await is_in(browser)
    async with httpx.AsyncClient(base_url=served.server.url, headers=first) as oldest:
        assert not await is_in(oldest)
    assert (await served.call("DELETE", "/api/admin-sessions")).json() == {"done": True}
    assert (await served.call("GET", "/api/admin-sessions")).json() == []


async def test_the_page_of_another_site_changes_nothing(
    served: Served, browser: httpx.AsyncClient
) -> None:
    await add_admin(served)
    await login(browser)
    route = route_document("r1")
    for foreign in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ):
        refused = await browser.post("/api/routes", json=route, headers=foreign)
        assert refused.status_code == 403, foreign
    own = {"Origin": served.server.url, "Sec-Fetch-Site": "same-origin"}
    assert (await browser.post("/api/routes", json=route, headers=own)).status_code == 201


async def test_legacy_paths_of_administrators(served: Served) -> None:
    await add_admin(served, metadata={"a": "b"})
    twice = await served.call("POST", SIMPLE, ANN)
    assert (twice.status_code, twice.json()) == (400, {"error": "user already exists"})
    for body in ({"username": "x"}, {"password": "x"}, {"username": "", "password": "x"}):
        refused = await served.call("POST", SIMPLE, body)
        assert refused.json() == {"error": "no username or token provided"}
        assert refused.status_code == 400
    long = await served.call("POST", SIMPLE, {"username": "x", "password": "é" * 37})
    assert (long.status_code, long.json()["error_description"]) == (
        400,
        "the password has 74 bytes; 72 is the most that count",
    )
    found = (await served.call("GET", f"{SIMPLE}/{ANN['username']}")).json()
    assert bcrypt.checkpw(ANN["password"].encode(), found["password"].encode())
    assert found["rights"] == [{"tenant": "*:rw", "teams": ["*:rw"]}]
    assert (found["label"], found["metadata"], found["type"]) == ("Ann", {"a": "b"}, "SIMPLE")
    assert [one["username"] for one in (await served.call("GET", SIMPLE)).json()] == [
        ANN["username"]
    ]
    assert len((await served.call("GET", f"{GENERIC}/admins")).json()) == 1
    clear = await served.call("PUT", f"{SIMPLE}/{ANN['username']}", {**found, "password": "x"})
    assert clear.status_code == 400
    template = (await served.call("GET", f"{SIMPLE}/_template?rawPassword=secret")).json()
    assert bcrypt.checkpw(b"secret", template["password"].encode())
    assert "rawPassword" not in template
    for verb in ("GET", "PUT", "DELETE"):
        sent = found if verb == "PUT" else None
        assert (await served.call(verb, f"{SIMPLE}/none", sent)).status_code == 404
    apps = await served.call("GET", "/api/apps-sessions")
    assert apps.json() == []


async def test_imported_administrators_with_passkeys_are_listed_and_removed(
    served: Served, browser: httpx.AsyncClient
) -> None:
    def passkeys(name: str, tenant: str) -> Put:
        document = {
            "_loc": {"tenant": tenant, "teams": ["*"]},
            "username": name,
            "label": name,
            "handle": "h",
            "credentials": {"k": {"keyId": "k"}},
            "type": "WEBAUTHN",
            "rights": [{"tenant": f"{tenant}:rw", "teams": ["*:rw"]}],
        }
        return Put("webauthn-admins", name, msgspec.json.encode(document))

    await served.store.transact([passkeys("bob@acme.io", "acme"), passkeys("eve@x.io", "globex")])
    everybody = (await served.call("GET", WEBAUTHN)).json()
    assert [one["username"] for one in everybody] == ["bob@acme.io", "eve@x.io"]
    assert everybody[0]["credentials"] == {"k": {"keyId": "k"}}
    filtered = (await served.call("GET", f"{WEBAUTHN}?filter.username=eve@x.io")).json()
    assert [one["username"] for one in filtered] == ["eve@x.io"]

    # An administrator of one tenant sees and removes those of his own.
    await add_admin(served)
    await set_rights(served, [{"tenant": "acme:rw", "teams": ["*:rw"]}])
    assert (await login(browser)).status_code == 200
    acme = {"Otoroshi-Tenant": "acme"}
    mine = await browser.get(WEBAUTHN, headers=acme)
    assert [one["username"] for one in mine.json()] == ["bob@acme.io"]
    assert (await browser.delete(f"{WEBAUTHN}/eve@x.io/k", headers=acme)).status_code == 403
    gone = await browser.delete(f"{WEBAUTHN}/bob@acme.io/k", headers=acme)
    assert (gone.status_code, gone.json()) == (200, {"done": True})
    again = await browser.delete(f"{WEBAUTHN}/bob@acme.io/k", headers=acme)
    assert (again.status_code, again.json()) == (404, {"error": "User not found !"})
    left = (await served.call("GET", WEBAUTHN)).json()
    assert [one["username"] for one in left] == ["eve@x.io"]


async def test_sessions_of_applications_end_by_id_and_by_module(served: Served) -> None:
    for module in ("m1", "m1", "m2"):
        number = (await served.store.count("auth-module-users")) + 1
        user: dict[str, Any] = {
            "randomId": f"s{number}",
            "name": "n",
            "email": "e",
            "authConfigId": module,
            "profile": {},
            "createdAt": 1,
            "expiredAt": 2,
            "lastRefresh": 1,
        }
        await served.store.put("auth-module-users", f"s{number}", msgspec.json.encode(user))
    assert len((await served.call("GET", "/api/apps-sessions")).json()) == 3
    done = await served.call("DELETE", "/api/apps-sessions-module/m1")
    assert done.json() == {"done": True}
    assert [s["randomId"] for s in (await served.call("GET", "/api/apps-sessions")).json()] == [
        "s3"
    ]
    assert (await served.call("DELETE", "/api/apps-sessions/s3")).json() == {"done": True}
    assert (await served.call("DELETE", "/api/apps-sessions/s3")).status_code == 404


async def test_administrators_make_others_of_their_own_level_and_no_higher(
    served: Served, browser: httpx.AsyncClient
) -> None:
    await add_admin(served)
    await served.call("POST", SIMPLE, {"username": "boss", "password": "p"})
    await set_rights(
        served,
        [{"tenant": "acme:rw", "teams": ["*:rw"]}],
        _loc={"tenant": "acme", "teams": ["a"]},
    )
    await login(browser)
    acme = {"Otoroshi-Tenant": "acme"}
    everything = [{"tenant": "*:rw", "teams": ["*:rw"]}]
    new = {"username": "bob", "password": "bob's", "label": "Bob", "rights": everything}
    made = await browser.post(SIMPLE, json=new, headers=acme)
    assert made.json() == {"username": "bob"}
    bob = (await browser.get(f"{SIMPLE}/bob", headers=acme)).json()
    assert bob["rights"] == [{"tenant": "acme:rw", "teams": ["*:rw"]}]
    assert bob["_loc"]["tenant"] == "acme"
    grown = await browser.put(f"{SIMPLE}/bob", json={**bob, "rights": everything}, headers=acme)
    assert (grown.status_code, grown.json()) == (
        403,
        {"error": "you can't set superadmin rights to an admin"},
    )
    silent = {key: value for key, value in bob.items() if key != "rights"}
    assert (await browser.put(f"{SIMPLE}/bob", json=silent, headers=acme)).status_code == 403
    generic = {**bob, "username": "eve", "rights": everything}
    answer = await browser.post(f"{GENERIC}/admins", json=generic, headers=acme)
    assert answer.status_code == 401
    # who may do more is out of sight, whatever the place says
    await served.call("PUT", f"{SIMPLE}/boss", {**bob, "username": "boss", "rights": everything})
    names = [one["username"] for one in (await browser.get(SIMPLE, headers=acme)).json()]
    assert sorted(names) == [ANN["username"], "bob"]
    for verb in ("GET", "DELETE"):
        assert (await browser.request(verb, f"{SIMPLE}/boss", headers=acme)).status_code == 403
    assert (await browser.get(SIMPLE)).json() == GATE, "an administrator of acme only"
    assert (await browser.delete("/api/admin-sessions", headers=acme)).json() == GATE
