"""The route in Otoroshi's JSON: keys, order, defaults, short forms, template."""

from __future__ import annotations

import pytest

from oto_trio.model.errors import EntityError
from oto_trio.model.route import Frontend, Route, read_route, route_template, write_route

BARE = {"id": "r1", "name": "one"}


def test_a_bare_route_is_written_with_every_default_in_otoroshis_order() -> None:
    written = write_route(read_route(BARE))
    assert list(written.items()) == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("id", "r1"),
        ("name", "one"),
        ("description", ""),
        ("tags", []),
        ("metadata", {}),
        ("enabled", True),
        ("debug_flow", False),
        ("export_reporting", False),
        ("capture", False),
        ("groups", ["default"]),
        ("bound_listeners", []),
        (
            "frontend",
            {
                "domains": [],
                "strip_path": True,
                "exact": False,
                "headers": {},
                "cookies": {},
                "query": {},
                "methods": [],
            },
        ),
        ("backend", write_route(Route(id="x", name="x"))["backend"]),
        ("backend_ref", None),
        ("plugins", []),
    ]


@pytest.mark.parametrize("key", ["id", "name"])
def test_id_and_name_are_required(key: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_route({k: v for k, v in BARE.items() if k != key})
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_a_single_domain_is_accepted() -> None:
    route = read_route({**BARE, "frontend": {"domain": "api.localhost/v1", "exact": True}})
    assert route.frontend == Frontend(domains=("api.localhost/v1",), exact=True)


def test_the_list_of_domains_wins_over_the_single_one() -> None:
    route = read_route({**BARE, "frontend": {"domains": ["a"], "domain": "b"}})
    assert route.frontend.domains == ("a",)
    assert route.frontend.unknown == {"domain": "b"}


@pytest.mark.parametrize(
    ("plugins", "path"),
    [
        ({"0": {}}, "$.plugins"),
        ("ApikeyCalls", "$.plugins"),
        ([{"plugin": "cp:x", "config": "mandatory"}], "$.plugins[0].config"),
    ],
)
def test_plugins_of_the_wrong_type_do_not_open_the_route(plugins: object, path: str) -> None:
    with pytest.raises(EntityError) as caught:
        read_route({**BARE, "plugins": plugins})
    assert [p.path for p in caught.value.problems] == [path]


def test_plugins_and_configurations_that_are_null_are_absent() -> None:
    assert read_route({**BARE, "plugins": None}).plugins == ()
    (slot,) = read_route({**BARE, "plugins": [{"plugin": "cp:x", "config": None}]}).plugins
    assert slot.config == {}


def test_matchers_are_kept_as_texts() -> None:
    matchers = {"x": "Regex(a.*)", "y": "Exists()"}
    route = read_route({**BARE, "frontend": {"headers": matchers, "query": {"q": "1"}}})
    assert route.frontend.headers == matchers
    assert route.frontend.query == {"q": "1"}


def test_the_template_is_otoroshis() -> None:
    written = write_route(route_template(domain="new.localhost"))
    assert written["id"].startswith("route_")
    assert written["name"] == "New route"
    assert written["description"] == "A new route"
    assert written["frontend"]["domains"] == ["new.localhost"]
    target = written["backend"]["targets"][0]
    assert (target["id"], target["hostname"], target["port"], target["tls"]) == (
        "target_1",
        "request.otoroshi.io",
        443,
        True,
    )
    assert [p["plugin"] for p in written["plugins"]] == ["cp:otoroshi.next.plugins.OverrideHost"]
    assert written["backend"]["health_check"] is None


def test_each_template_has_an_id_of_its_own() -> None:
    assert route_template().id != route_template().id
    assert route_template(env="dev").id.startswith("route_dev_")
