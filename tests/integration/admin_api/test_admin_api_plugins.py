"""What the admin API says of plugins, of forms, and of the node that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from oto_trio.plugin_api.registry import discover

if TYPE_CHECKING:
    from oto_trio.testing.admin_api import ServedAdminApi as Served


KEYS = (
    *("id", "name", "description", "default_config", "config_schema", "config_flow", "no_js_form"),
    *("plugin_type", "plugin_visibility", "plugin_categories", "plugin_steps", "plugin_tags"),
    *("plugin_multi_inst", "plugin_backend_call_delegates", "on_request", "on_response"),
)
"""Source: Otoroshi's plugin API."""

# What some say of themselves in Otoroshi: steps, several slots, delegates, on request, on response.
FACTS: dict[str, tuple[list[str], bool, bool, bool, bool]] = {
    "ApikeyCalls": (
        ["MatchRoute", "ValidateAccess", "TransformRequest"],
        *(True, False, True, False),
    ),
    "AdditionalHeadersIn": (["TransformRequest"], True, False, True, False),
    "AdditionalHeadersOut": (["TransformResponse"], True, False, False, True),
    "Cors": (["PreRoute", "TransformResponse"], True, False, False, True),
    "EchoBackend": (["CallBackend"], True, False, False, True),
    "MockResponses": (["CallBackend"], True, True, False, True),
    "Redirection": (["PreRoute"], True, False, True, False),
    "StaticResponse": (["CallBackend"], True, False, False, True),
}


async def test_every_plugin_of_the_registry_is_listed_in_otoroshis_words(served: Served) -> None:
    listed: list[dict[str, Any]] = (await served.call("GET", "/api/plugins/all")).json()
    registry = discover()
    assert [plugin["id"] for plugin in listed] == sorted(registry.plugins)
    steps = (await served.call("GET", "/api/plugins/steps")).json()
    categories = (await served.call("GET", "/api/plugins/categories")).json()
    assert categories == sorted(categories, key=str.lower)
    assert {"Websocket", "Otoroshi internals"} <= set(categories)
    for plugin in listed:
        assert tuple(plugin) == KEYS
        described = registry.describe(plugin["id"])
        assert plugin["default_config"] == described["default_config"]
        assert plugin["config_flow"] == list(plugin["config_schema"])
        assert set(plugin["default_config"] or {}) <= set(plugin["config_flow"])
        assert set(plugin["plugin_steps"]) <= set(steps)
        assert plugin["plugin_categories"]
        assert set(plugin["plugin_categories"]) <= set(categories)
        assert (plugin["plugin_type"], plugin["plugin_visibility"]) == ("ng", "userland")
        assert plugin["on_request"] or plugin["on_response"]
    by_name = {plugin["id"].rpartition(".")[2]: plugin for plugin in listed}
    for name, facts in FACTS.items():
        plugin = by_name[name]
        assert facts == (
            plugin["plugin_steps"],
            plugin["plugin_multi_inst"],
            plugin["plugin_backend_call_delegates"],
            plugin["on_request"],
            plugin["on_response"],
        ), name
    assert [name for name, each in by_name.items() if not each["plugin_multi_inst"]] == [
        "TcpTunnel",
        "UdpTunnel",
        "W3CTracing",
    ]


async def test_the_list_is_a_document_too(served: Served) -> None:
    listed = await served.call("GET", "/api/plugins/all")
    assert "access-control-allow-origin" not in listed.headers
    document = await served.call("GET", "/apis/plugins.json")
    assert document.content == listed.content
    assert document.headers["access-control-allow-origin"] == "*"
    for end in ("yaml", "yml"):
        written = await served.call("GET", f"/apis/plugins.{end}")
        assert written.headers["content-type"].startswith("text/yaml")
        assert yaml.load(written.text, yaml.CSafeLoader) == document.json()
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        assert (await stranger.get("/apis/plugins.json")).status_code == 400


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/api/routes/_form", {"frontend": "form", "plugins": "array", "tags": "array"}),
        ("/api/backends/_form", {"targets": "array", "rewrite": "bool", "root": "string"}),
        ("/api/route-compositions/_form", {"routes": "array", "groups": "array"}),
    ],
)
async def test_forms_of_entities(served: Served, path: str, wanted: dict[str, str]) -> None:
    form = (await served.call("GET", path)).json()
    assert set(form) == {"schema", "flow"}
    assert form["flow"] == list(form["schema"])
    assert {key: form["schema"][key]["type"] for key in wanted} == wanted


async def test_a_node_tells_of_itself_with_or_without_a_cluster(served: Served) -> None:
    node = "/apis/cluster/node"
    for name in ("infos", "version"):
        plain = (await served.call("GET", f"/api/{name}")).json()
        assert (await served.call("GET", f"{node}/{name}")).json() == plain
    health = await served.call("GET", f"{node}/health")
    assert (health.status_code, health.json()["otoroshi"]) == (200, "healthy")
    metrics = (await served.call("GET", f"{node}/metrics?format=json")).json()
    assert all(isinstance(metric["name"], str) for metric in metrics)
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        assert (await stranger.get(f"{node}/health")).status_code == 400, "it needs the API key"
