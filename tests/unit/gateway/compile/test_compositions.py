"""Route compositions become routes."""

from __future__ import annotations

from typing import Any

import msgspec

from oto_trio import _core
from oto_trio.gateway.compile import Hooks, RouteCompiler, composed_path, composed_routes
from oto_trio.model.backend import read_backend
from oto_trio.model.document import read_document
from oto_trio.model.errors import Problem
from oto_trio.model.route import write_route
from oto_trio.model.route_composition import RouteComposition
from oto_trio.plugin_api.registry import builtin_plugins

REGISTRY = builtin_plugins()


def composition(*routes: dict[str, Any], **more: Any) -> RouteComposition:
    document = {"id": "c", "name": "shop", "routes": list(routes), **more}
    return read_document(RouteComposition, document)


def part(domain: str, *methods: str, **more: Any) -> dict[str, Any]:
    return {"frontend": {"domains": [domain], "methods": list(methods)}, **more}


def plugin(name: str) -> dict[str, Any]:
    return {"plugin": name}


def test_each_part_becomes_a_route_that_knows_its_composition() -> None:
    client = {"call_timeout": 5}
    backend = {"targets": [{"hostname": "h", "port": 1}], "root": "/r", "rewrite": True}
    made = composed_routes(
        composition(
            part("a.test/x/y", "GET", "PUT", backend=backend),
            {"frontend": {"domains": ["a.test", "b.test/z"]}, "backend_ref": "k"},
            client=client,
            _loc={"tenant": "t", "teams": ["m"]},
            description="d",
            tags=["g"],
            metadata={"a": "b"},
            groups=["one"],
            debug_flow=True,
            export_reporting=True,
            capture=True,
        )
    )
    first, second = map(write_route, made)
    assert first["name"] == "shop - GET, PUT - /x/y"
    assert second["name"] == "shop -  - /, /z"
    assert (first["id"], second["id"]) == ("c-0", "c-1")
    assert second["metadata"] == {
        "a": "b",
        "otoroshi-core-original-route-id": "c",
        "otoroshi-core-cacheable-route-id": "c-1",
    }
    assert second["backend_ref"] == "k"
    assert first["backend"]["client"]["call_timeout"] == 5
    assert first["backend"]["root"] == "/r"
    assert first["backend"]["rewrite"] is True
    assert first["backend"]["targets"][0]["hostname"] == "h"
    for route in (first, second):
        assert route["_loc"] == {"tenant": "t", "teams": ["m"]}
        assert (route["description"], route["tags"], route["groups"]) == ("d", ["g"], ["one"])
        assert route["debug_flow"]
        assert route["export_reporting"]
        assert route["capture"]
        assert route["enabled"]


def test_own_plugins_come_first_and_may_be_all() -> None:
    shared = [plugin("s")]
    both, own, none = composed_routes(
        composition(
            part("a.test", plugins=[plugin("o")]),
            part("b.test", plugins=[plugin("o")], override_plugins=True),
            part("c.test", override_plugins=True),
            plugins=shared,
        )
    )
    assert [slot.plugin for slot in both.plugins] == ["o", "s"]
    assert [slot.plugin for slot in own.plugins] == ["o"]
    assert none.plugins == ()


def test_a_disabled_composition_has_no_routes() -> None:
    assert composed_routes(composition(part("a.test"), enabled=False)) == []


def test_the_composition_says_how_the_targets_of_a_stored_backend_are_called() -> None:
    stored = read_backend(
        {
            "id": "k",
            "name": "k",
            "backend": {
                "targets": [{"hostname": "h", "port": 1}],
                "client": {"call_timeout": 7},
                "health_check": {"enabled": True, "url": "/up"},
            },
        }
    )
    (route,) = composed_routes(
        composition(part("a.test", backend_ref="k"), client={"call_timeout": 5})
    )
    lowered = RouteCompiler(REGISTRY, Hooks()).compile(route, {"k": stored})
    backend = msgspec.json.decode(lowered.document)["backend"]
    assert backend["targets"][0]["hostname"] == "h"
    assert backend["client"]["call_timeout"] == 5
    assert backend["health_check"] is None
    _core.Snapshot().apply([lowered.document], [])


def test_a_problem_is_told_where_it_stands_in_the_composition() -> None:
    made = composition(
        part("a.test"),
        part("b.test", plugins=[plugin("o"), plugin("p")]),
        plugins=[plugin("s")],
    )

    def path(place: int, of_route: str) -> str:
        return composed_path(made, place, Problem(of_route, "wrong", "mend it"))

    assert path(0, "$.plugins[0].plugin") == "$.plugins[0].plugin"
    assert path(1, "$.plugins[1].config.x") == "$.routes[1].plugins[1].config.x"
    assert path(1, "$.plugins[2]") == "$.plugins[0]"
    assert path(1, "$.backend_ref") == "$.routes[1].backend_ref"
    assert path(1, "$.backend.client.call_timeout") == "$.client.call_timeout"
