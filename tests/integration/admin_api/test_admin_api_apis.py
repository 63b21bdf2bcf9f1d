"""What the admin API asks of APIs, subscriptions and auth modules beyond being readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from oto_trio import _core
from oto_trio.model.auth_module import AuthModule, auth_module_template
from oto_trio.model.document import encode_document, read_document, write_document
from oto_trio.telemetry.events.admin_writes import shown_document

if TYPE_CHECKING:
    from oto_trio.testing.admin_api import ServedAdminApi as Served


APIS = "/apis/apis.otoroshi.io/v1/apis"
SUBSCRIPTIONS = "/apis/apis.otoroshi.io/v1/apisubscriptions"
MODULES = "/apis/security.otoroshi.io/v1/auth-modules"
PLANTED = "planted-secret"
BARE: dict[str, Any] = {
    "id": "a1",
    "name": "one",
    "description": "d",
    "testing": {"headerValue": "v"},
    "plans": [{"id": "free"}, {"id": "gone", "status": "closed"}, {"id": "odd", "status": "x"}],
}
SUBSCRIPTION: dict[str, Any] = {
    "location": {},
    "id": "s1",
    "name": "n",
    "description": "d",
    "dates": {},
    "owner_ref": "o",
    "plan_ref": "free",
    "api_ref": "a1",
    "subscription_kind": "apikey",
}


async def keep_api(served: Served, **keys: Any) -> None:
    """Put an API into the store as it is, in whatever state."""
    await served.store.put("apis", "a1", msgspec.json.encode({**BARE, **keys}))


@pytest.mark.parametrize("state", ["published", "deprecated", "removed"])
async def test_an_api_is_made_in_state_staging_only(served: Served, state: str) -> None:
    for verb, path in (("POST", APIS), ("POST", f"{APIS}/a1")):
        refused = await served.call(verb, path, {**BARE, "state": state})
        assert (refused.status_code, refused.json()["error"]) == (400, "cannot_create_in_state")
    assert (await served.call("GET", f"{APIS}/a1")).status_code == 404
    assert (await served.call("POST", APIS, BARE)).json()["state"] == "staging"


@pytest.mark.parametrize(
    ("old", "goes"),
    [
        ("staging", {"staging"}),
        ("published", {"published", "deprecated", "removed"}),
        ("deprecated", {"published", "deprecated", "removed"}),
        ("removed", {"staging", "removed"}),
    ],
)
async def test_an_api_goes_only_where_otoroshi_lets_it(
    served: Served, old: str, goes: set[str]
) -> None:
    for new in ("staging", "published", "deprecated", "removed"):
        await keep_api(served, state=old)
        patch = [{"op": "replace", "path": "/state", "value": new}]
        for verb, body in (("PUT", {**BARE, "state": new}), ("PATCH", patch)):
            await keep_api(served, state=old)
            answered = await served.call(verb, f"{APIS}/a1", body)
            if new in goes:
                assert (answered.status_code, answered.json()["state"]) == (200, new)
            else:
                told = answered.json()
                assert (answered.status_code, told["error"]) == (400, "invalid_state_transition")
                assert (told["from"], told["to"]) == (old, new)


async def test_what_callers_rely_on_is_fixed_once_an_api_is_published(served: Served) -> None:
    await keep_api(served, state="published")
    change = {**BARE, "state": "published", "domain": "d.localhost", "flows": [], "version": "2"}
    change["backends"] = [{"id": "b", "name": "b", "backend": {}}]
    refused = await served.call("PUT", f"{APIS}/a1", change)
    assert (refused.status_code, refused.json()["error"]) == (400, "production_readonly")
    assert refused.json()["fields"] == ["domain", "backends"]
    allowed = {**BARE, "state": "published", "description": "new", "plans": []}
    put = await served.call("PUT", f"{APIS}/a1", allowed)
    assert (put.status_code, put.json()["description"]) == (200, "new")
    await keep_api(served)
    assert (await served.call("PUT", f"{APIS}/a1", {**change, "state": "staging"})).is_success


async def test_a_subscription_needs_an_api_and_one_of_its_plans(served: Served) -> None:
    await keep_api(served)
    for keys, error in (
        ({"api_ref": "none"}, "api not found"),
        ({"api_ref": ""}, "api not found"),
        ({"plan_ref": "none"}, "plan not found"),
        ({"plan_ref": "gone"}, "wrong status plan"),
        ({"plan_ref": "odd"}, "wrong status plan"),
    ):
        refused = await served.call("POST", SUBSCRIPTIONS, {**SUBSCRIPTION, **keys})
        assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert (await served.call("GET", f"{SUBSCRIPTIONS}/_count")).json()["count"] == 0
    made = await served.call("POST", SUBSCRIPTIONS, SUBSCRIPTION)
    assert (made.status_code, made.json()["status"]) == (201, "disabled")
    moved = await served.call("PUT", f"{SUBSCRIPTIONS}/s1", {**SUBSCRIPTION, "plan_ref": "gone"})
    assert moved.status_code == 200, "what there is may be moved to a plan that is closed"
    assert (await served.call("DELETE", f"{SUBSCRIPTIONS}/s1")).status_code == 200


@pytest.mark.parametrize(
    ("state", "status"), [("published", 201), ("deprecated", 400), ("removed", 400)]
)
async def test_only_an_open_api_is_subscribed_to(served: Served, state: str, status: int) -> None:
    await keep_api(served, state=state)
    answered = await served.call("POST", SUBSCRIPTIONS, SUBSCRIPTION)
    assert answered.status_code == status
    if status == 400:
        assert answered.json()["error"] == "wrong status api"


async def test_auth_modules_have_a_template_for_each_type(served: Served) -> None:
    for kind in ("basic", "ldap", "oauth2", "oauth1", "saml", "wasm", "workflow"):
        generic = (await served.call("GET", f"{MODULES}/_template?type={kind}")).json()
        legacy = (await served.call("GET", f"/api/auths/_template?mod-type={kind}")).json()
        assert (generic["type"], legacy["type"]) == (kind, kind)
        assert legacy["mod-type"] == kind, "as Otoroshi, which copies what was asked"
        assert (await served.call("POST", MODULES, generic)).status_code == 201
    assert (await served.call("GET", f"{MODULES}/_template?type=moon")).json()["type"] == "basic"
    listed = (await served.call("GET", f"{MODULES}?filter.type=ldap")).json()
    assert [(m["type"], m["searchFilter"]) for m in listed] == [("ldap", "(mail=${username})")]


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("oauth2", {"clientSecret": PLANTED}),
        ("ldap", {"adminPassword": PLANTED}),
        ("oauth1", {"consumerSecret": PLANTED}),
        ("basic", {"users": [{"name": "a", "email": "a@b", "password": PLANTED}]}),
    ],
)
def test_the_audit_does_not_tell_what_auth_modules_keep_secret(
    kind: str, keys: dict[str, Any]
) -> None:
    template = write_document(auth_module_template(kind))
    stored = encode_document(read_document(AuthModule, {**template, **keys}))
    assert PLANTED.encode() in stored
    shown = msgspec.json.encode(shown_document(stored, _core.Redaction(b"{}")))
    assert PLANTED.encode() not in shown
    assert template["id"].encode() in shown
