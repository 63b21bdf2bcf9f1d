"""Route compositions, route templates, TCP services, error templates and drafts in Otoroshi's JSON."""

from __future__ import annotations

import re
from typing import Any

import pytest

from oto_trio.model.client_settings import ClientSettings
from oto_trio.model.document import Document, inspect_document, read_document, write_document
from oto_trio.model.draft import Draft, draft_template
from oto_trio.model.error_template import ErrorTemplate, error_template_template
from oto_trio.model.errors import EntityError
from oto_trio.model.route import write_route
from oto_trio.model.route_composition import (
    ComposedRoute,
    RouteComposition,
    empty_route_composition,
    route_composition_template,
)
from oto_trio.model.route_template import RouteTemplate, empty_route, route_template_template
from oto_trio.model.tcp_service import TcpService, tcp_service_template

HERE = {"tenant": "default", "teams": ["default"]}
PAGES = {"template40x": "4", "template50x": "5", "templateBuild": "b", "templateMaintenance": "m"}
TCP = {"id": "t", "name": "n", "description": "d", "port": 5432}


def test_a_bare_composition_is_written_with_every_default() -> None:
    written = write_document(read_document(RouteComposition, {"id": "c", "name": "n"}))
    assert list(written.items()) == [
        ("_loc", HERE),
        ("id", "c"),
        ("name", "n"),
        ("description", ""),
        ("tags", []),
        ("metadata", {}),
        ("enabled", True),
        ("debug_flow", False),
        ("export_reporting", False),
        ("capture", False),
        ("groups", ["default"]),
        ("routes", []),
        ("client", write_document(ClientSettings())),
        ("plugins", []),
    ]


def test_a_composed_route_writes_two_keys_only_when_they_say_something() -> None:
    bare: dict[str, Any] = {
        "frontend": write_route(empty_route())["frontend"],
        "backend": {
            "targets": [],
            "root": "/",
            "rewrite": False,
            "load_balancing": {"type": "RoundRobin"},
        },
        "backend_ref": None,
    }
    nothings: list[dict[str, Any]] = [{}, {"override_plugins": False, "plugins": []}]
    for nothing in nothings:
        raw: dict[str, Any] = {"frontend": {"domains": ["empty.oto.tools"]}, **nothing}
        assert write_document(read_document(ComposedRoute, raw)) == bare
    something: dict[str, Any] = {"override_plugins": True, "plugins": [{"plugin": "cp:x"}]}
    written = write_document(read_document(ComposedRoute, something))
    assert list(written) == [*bare, "override_plugins", "plugins"]
    assert written["override_plugins"] is True
    assert written["plugins"][0]["plugin"] == "cp:x"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"plugins": {}}, "$.plugins"),
        ({"routes": {}}, "$.routes"),
        ({"routes": [{"plugins": "x"}]}, "$.routes[0].plugins"),
        ({"routes": [7]}, "$.routes[0]"),
    ],
)
def test_routes_and_plugins_of_the_wrong_type_do_not_open_a_composition(
    raw: dict[str, Any], path: str
) -> None:
    with pytest.raises(EntityError) as caught:
        read_document(RouteComposition, {"id": "c", "name": "n", **raw})
    assert [p.path for p in caught.value.problems] == [path]


def test_the_two_dialects_have_their_own_template_of_a_composition() -> None:
    generic, legacy = empty_route_composition(), route_composition_template(env="dev")
    assert re.fullmatch(r"route_[0-9a-f-]{37}", generic.id)
    assert (generic.name, generic.routes) == ("empty route-composition", ())
    assert legacy.id.startswith("route-composition_dev_")
    assert legacy.name == "New route-composition"
    assert legacy.routes[0].frontend.domains == ("new-route.oto.tools",)


def test_a_bare_route_template_has_an_empty_route() -> None:
    raw: dict[str, Any] = {"location": {}, "id": "t", "name": "n", "description": "d"}
    written = write_document(read_document(RouteTemplate, raw))
    assert list(written)[:-1] == ["location", "id", "name", "description", "tags", "metadata"]
    assert written["location"] == HERE
    assert written["route"]["name"] == "empty route"
    assert written["route"]["frontend"]["domains"] == ["empty.oto.tools"]
    assert route_template_template().id.startswith("route-template_")


@pytest.mark.parametrize("key", ["location", "id", "name", "description"])
def test_four_keys_of_a_route_template_are_required(key: str) -> None:
    raw: dict[str, Any] = {"location": {}, "id": "t", "name": "n", "description": "d"}
    del raw[key]
    with pytest.raises(EntityError) as caught:
        read_document(RouteTemplate, raw)
    assert [p.path for p in caught.value.problems] == [f"$.{key}"]


def test_a_bare_tcp_service_is_written_with_every_default() -> None:
    assert list(write_document(read_document(TcpService, TCP)).items()) == [
        ("_loc", HERE),
        ("id", "t"),
        ("name", "n"),
        ("description", "d"),
        ("enabled", False),
        ("tls", "Disabled"),
        (
            "sni",
            {
                "enabled": False,
                "forwardIfNoMatch": False,
                "forwardsTo": {"host": "127.0.0.1", "ip": None, "port": 8080, "tls": False},
            },
        ),
        ("clientAuth", "None"),
        ("port", 5432),
        ("interface", "0.0.0.0"),
        ("rules", []),
        ("metadata", {}),
        ("tags", []),
    ]


def test_a_bare_rule_takes_every_name_and_a_bare_target_port_8080() -> None:
    service = read_document(TcpService, {**TCP, "rules": [{"targets": [{"host": "h"}]}]})
    assert write_document(service.rules[0]) == {
        "domain": "*",
        "targets": [{"host": "h", "ip": None, "port": 8080, "tls": False}],
    }
    assert tcp_service_template().id.startswith("tcp_service_")


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"tls": "enabled"}, "$.tls"),
        ({"clientAuth": "need"}, "$.clientAuth"),
        ({"port": 70000}, "$.port"),
        ({"rules": [{"targets": [{"port": 1}]}]}, "$.rules[0].targets[0].host"),
    ],
)
def test_what_would_open_a_port_otherwise_than_meant_is_an_error(
    more: dict[str, Any], path: str
) -> None:
    entity, problems = inspect_document(TcpService, {**TCP, **more})
    assert entity is None
    assert [p.path for p in problems] == [path]


def test_a_bare_error_template_is_named_by_what_it_is_for() -> None:
    written = write_document(read_document(ErrorTemplate, {"serviceId": "r1", **PAGES}))
    assert list(written.items()) == [
        ("_loc", HERE),
        ("serviceId", "r1"),
        ("name", "r1"),
        ("description", "r1"),
        ("metadata", {}),
        ("tags", []),
        *PAGES.items(),
        ("genericTemplates", {}),
        ("messages", {}),
    ]
    said = read_document(ErrorTemplate, {"serviceId": "r1", "description": "", **PAGES})
    assert said.description == ""
    assert error_template_template().id == "route_id"


def test_a_bare_draft_is_written_with_every_default() -> None:
    raw = {"id": "route_1", "name": "n", "description": "d"}
    assert list(write_document(read_document(Draft, raw)).items()) == [
        ("_loc", HERE),
        ("id", "route_1"),
        ("name", "n"),
        ("description", "d"),
        ("content", {}),
        ("kind", ""),
        ("metadata", {}),
        ("tags", []),
    ]
    assert draft_template().id.startswith("draft_")


@pytest.mark.parametrize("content", [{"a": [1, None]}, [1], "text", 3, True, None])
def test_the_content_of_a_draft_is_any_json(content: object) -> None:
    raw = {"id": "d", "name": "n", "description": "d", "content": content}
    assert write_document(read_document(Draft, raw))["content"] == content


@pytest.mark.parametrize("cls", [TcpService, ErrorTemplate, RouteComposition, Draft])
def test_keys_of_a_newer_version_survive(cls: type[Document]) -> None:
    raw = {**TCP, "serviceId": "r1", **PAGES, "tomorrow": {"deep": [1]}}
    assert write_document(read_document(cls, raw))["tomorrow"] == {"deep": [1]}
