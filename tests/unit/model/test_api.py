"""APIs and subscriptions to them in Otoroshi's JSON."""

from __future__ import annotations

import time
from typing import Any

import pytest

from oto_trio.model.api import Api, api_template
from oto_trio.model.api_parts import ApiDeployment, ApiDocumentation, ApiRoute
from oto_trio.model.api_subscription import ApiSubscription, api_subscription_template
from oto_trio.model.backend import BackendSettings
from oto_trio.model.client_settings import ClientSettings
from oto_trio.model.document import inspect_document, read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.route import Frontend

LOC = {"tenant": "default", "teams": ["default"]}
BARE = {"id": "a", "name": "n", "description": "d"}
SUBSCRIPTION: dict[str, Any] = {
    "location": LOC,
    "id": "s",
    "name": "n",
    "description": "d",
    "dates": {},
    "owner_ref": "o",
    "plan_ref": "p",
    "api_ref": "a",
    "subscription_kind": "apikey",
}


def written(**keys: Any) -> dict[str, Any]:
    return write_document(read_document(Api, {**BARE, **keys}))


def test_a_bare_api_is_written_with_every_default_in_otoroshis_order() -> None:
    shown = written()
    value = shown["testing"].pop("headerValue")
    assert len(value) == 37, "random, as nobody gave one"
    client = "default_backend_client"
    assert list(shown.items()) == [
        ("_loc", LOC),
        ("kind", "Api"),
        *BARE.items(),
        ("domain", ""),
        ("contextPath", ""),
        ("metadata", {}),
        ("tags", []),
        ("visibility", {"kind": "public", "config": {}}),
        ("owner", {"ref": "owner", "config": {}}),
        ("members", []),
        ("version", "0.0.1"),
        ("debug_flow", False),
        ("capture", False),
        ("export_reporting", False),
        ("groups", []),
        ("state", "staging"),
        ("enabled", True),
        ("blueprint", "REST"),
        ("plans", []),
        ("routes", []),
        ("backends", []),
        ("flows", []),
        (
            "clients_backend_config",
            [{"id": client, "name": client, "client": write_document(ClientSettings())}],
        ),
        ("documentation", None),
        ("deployments", []),
        ("versions", []),
        ("testing", {"enabled": False, "headerKey": "X-OTOROSHI-TESTING"}),
        ("clients", []),
        ("hooks", []),
    ]


def test_the_parts_of_an_api_have_their_defaults() -> None:
    shown = written(
        routes=[{"id": "r"}],
        backends=[{"id": "b", "name": "b", "backend": {}}],
        flows=[{"id": "f", "name": "f"}],
        clients=[{"id": "c", "name": "c"}],
        hooks=[{"ref": "h"}],
        members=[{"ref": "m"}],
    )
    assert shown["routes"] == [
        {
            "id": "r",
            "enabled": True,
            "name": None,
            "frontend": write_document(Frontend()),
            "backend": "",
            "flow_ref": "",
        }
    ]
    assert shown["backends"] == [
        {
            "id": "b",
            "name": "b",
            "backend": write_document(BackendSettings()),
            "client": "default_backend_client",
        }
    ]
    assert shown["flows"] == [{"id": "f", "name": "f", "plugins": []}]
    assert shown["clients"] == [
        {"id": "c", "name": "c", "description": None, "tags": [], "metadata": {}}
    ]
    assert shown["hooks"] == [{"ref": "h", "config": {}}]
    assert shown["members"] == [{"ref": "m", "config": {}}]


def test_the_older_name_of_a_chain_is_read() -> None:
    route = read_document(ApiRoute, {"id": "r", "plugin_chain": "f"})
    assert write_document(route)["flow_ref"] == "f"
    assert "plugin_chain" not in write_document(route)
    both = read_document(ApiRoute, {"id": "r", "plugin_chain": "old", "flow_ref": "new"})
    assert both.flow_ref == "new"


def test_the_blueprint_is_kept_where_otoroshi_loses_it() -> None:
    assert written(blueprint="gRPC")["blueprint"] == "gRPC"


def test_the_kind_that_answers_add_is_not_taken_for_the_own_one() -> None:
    entity, problems = inspect_document(Api, {**BARE, "kind": "apis.otoroshi.io/Api"})
    assert entity is not None
    assert (entity.kind, problems) == ("Api", [])


def test_plans_are_kept_verbatim() -> None:
    plan = {"id": "p", "access_mode_configuration_type": "apikey", "of-tomorrow": [1]}
    assert written(plans=[plan])["plans"] == [plan]


def test_documentation_has_its_defaults_and_keeps_its_pages() -> None:
    page = {"path": ["/a", "/b"], "text_content": "# hi", "of-tomorrow": 1}
    raw = {"resources": [page], "source": {"url": "https://d"}}
    assert write_document(read_document(ApiDocumentation, raw)) == {
        "enabled": True,
        "source": {
            "url": "https://d",
            "headers": {},
            "timeout": 30000,
            "follow_redirects": True,
        },
        "home": {},
        "logo": {},
        "references": [],
        "resources": [page],
        "navigation": [],
        "redirections": [],
        "footer": None,
        "search": {"enabled": True},
        "banner": None,
        "metadata": {},
        "tags": [],
    }


def test_a_deployment_gets_an_id_and_the_time() -> None:
    before = time.time_ns() // 1_000_000
    raw = {"apiRef": "a", "owner": "o", "apiDefinition": {"id": "a"}}
    shown = write_document(read_document(ApiDeployment, raw))
    assert shown["id"].startswith("api_deployment_")
    assert before <= shown["at"] <= time.time_ns() // 1_000_000
    assert shown["version"] == "0.0.1"


def test_a_chain_of_plugins_that_is_no_list_is_an_error() -> None:
    with pytest.raises(EntityError) as caught:
        written(flows=[{"id": "f", "name": "f", "plugins": {"plugin": "x"}}])
    assert [p.path for p in caught.value.problems] == ["$.flows[0].plugins"]


def test_the_template() -> None:
    template = api_template(env="dev")
    assert template.id.startswith("api_dev_")
    assert (template.name, template.domain, template.context_path) == (
        "New API",
        "api.oto.tools",
        "/v1",
    )
    (backend,) = template.backends
    assert backend.id.startswith("api_backend_dev_")
    assert (backend.name, backend.backend.targets[0].hostname) == (
        "default_backend",
        "request.otoroshi.io",
    )
    (flow,) = template.flows
    assert flow.name == "default_plugin_chain"
    assert [slot.plugin for slot in flow.plugins] == ["cp:otoroshi.next.plugins.OverrideHost"]
    assert read_document(Api, write_document(template)) == template


def test_a_bare_subscription() -> None:
    before = time.time_ns() // 1_000_000
    shown = write_document(read_document(ApiSubscription, SUBSCRIPTION))
    dates = shown.pop("dates")
    assert list(dates) == [
        *("created_at", "processed_at", "started_at", "paused_at", "ending_at", "closed_at")
    ]
    assert all(before <= at <= time.time_ns() // 1_000_000 for at in dates.values())
    assert list(shown.items()) == [
        ("location", LOC),
        ("id", "s"),
        ("name", "n"),
        ("description", "d"),
        ("tags", []),
        ("metadata", {}),
        ("status", "disabled"),
        ("owner_ref", "o"),
        ("plan_ref", "p"),
        ("payment_ref", {}),
        ("api_ref", "a"),
        ("subscription_kind", "apikey"),
        ("token_refs", []),
    ]


@pytest.mark.parametrize("key", list(SUBSCRIPTION))
def test_every_key_of_a_bare_subscription_is_needed(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(ApiSubscription, {k: v for k, v in SUBSCRIPTION.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_a_status_of_ones_own_is_kept() -> None:
    raw = {**SUBSCRIPTION, "status": "on holiday"}
    assert read_document(ApiSubscription, raw).status == "on holiday"


def test_the_template_of_a_subscription() -> None:
    template = api_subscription_template(env="dev")
    assert template.id.startswith("api-subscription_dev_")
    assert (template.name, template.subscription_kind) == ("New API Subscription", "apikey")
    assert read_document(ApiSubscription, write_document(template)) == template
