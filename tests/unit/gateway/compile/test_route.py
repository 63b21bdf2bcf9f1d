"""From a route entity to the lowered route."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from oto_trio.gateway.compile import (
    Hooks,
    Lowered,
    RouteCompiler,
    check_global_slots,
    check_route,
    compile_route,
    global_slots,
    used_plugins,
)
from oto_trio.gateway.loading import HTTP3_BACKENDS, WEBSOCKETS
from oto_trio.model.backend import Backend, read_backend
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.global_config import GlobalConfig, read_global_config
from oto_trio.model.route import Route
from oto_trio.plugin_api.registry import Registry, builtin_plugins

MakeRoute = Callable[..., Route]
NG = "cp:otoroshi.next.plugins."


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


def config_with(*slots: Any) -> GlobalConfig:
    return read_global_config({"plugins": {"config": {"ng": list(slots)}}})


def document(lowered: Lowered) -> dict[str, Any]:
    return msgspec.json.decode(lowered.document, type=dict[str, Any])


def backend(backend_id: str, port: int) -> Backend:
    targets = [{"hostname": "b", "port": port}]
    return read_backend({"id": backend_id, "name": "b", "backend": {"targets": targets}})


def test_the_lowered_route_has_the_shape_the_engine_reads(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    route = make_route(
        NG + "OverrideHost",
        {"plugin": "cp:test.Gate", "include": ["/a"]},
        {"plugin": NG + "BuildMode", "enabled": False},
        bound_listeners=["standard-listener"],
    )
    lowered = document(RouteCompiler(registry, hooks).compile(route, {}))
    steps = lowered.pop("steps")
    assert lowered.pop("backend")["targets"][0]["port"] == 9000
    assert lowered == {
        "id": "r1",
        "name": "a route",
        "enabled": True,
        "frontend": {
            "domains": ["api.localhost/users"],
            "strip_path": True,
            "exact": False,
            "headers": {},
            "cookies": {},
            "query": {},
            "methods": [],
        },
        "bound_listeners": ["standard-listener"],
        "membership": {
            "tenant": "default",
            "groups": ["default"],
            "api": None,
            "original": None,
        },
        "legacy_checks": True,
    }
    gate = {"plugin": "cp:test.Gate", "include": ["/a"], "exclude": [], "kind": "python"}
    assert steps == [
        {**gate, "phase": "pre_route", "slot": 0, "inline": True},
        {**gate, "phase": "access", "slot": 1, "inline": False},
        {
            "plugin": NG + "OverrideHost",
            "include": [],
            "exclude": [],
            "kind": "override_host",
            "phase": "transform_request",
        },
        {**gate, "phase": "done", "slot": 2, "inline": True},
    ]
    assert hooks.routes == ["r1", "r1", "r1"]


def test_unknown_keys_of_a_frontend_stay_out_of_the_engine(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    route = make_route(frontend={"domains": ["a.localhost"], "from_the_future": 1})
    lowered = document(RouteCompiler(registry, hooks).compile(route, {}))
    assert lowered["frontend"]["domains"] == ["a.localhost"]
    assert not any("$" in key or "future" in key for key in lowered["frontend"])


def test_global_slots_come_first(registry: Registry, hooks: Hooks, make_route: MakeRoute) -> None:
    config = config_with({"plugin": "cp:test.Gate"}, {"plugin": NG + "BuildMode", "enabled": False})
    compiler = RouteCompiler(registry, hooks, config)
    steps = document(compiler.compile(make_route(NG + "MaintenanceMode"), {}))["steps"]
    plugins = [step["plugin"] for step in steps if step["phase"] == "pre_route"]
    assert plugins == ["cp:test.Gate", NG + "MaintenanceMode"]
    assert compiler.global_plugins == {"cp:test.Gate"}
    assert compiler.problems == ()


def test_each_route_has_its_own_instance_of_a_global_slot(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    compiler = RouteCompiler(registry, hooks, config_with({"plugin": "cp:test.Gate"}))
    compiler.compile(make_route(route_id="r1"), {})
    compiler.compile(make_route(route_id="r2"), {})
    first, second = (getattr(hooks.inline[slot], "__self__", None) for slot in (0, 3))
    assert first is not None
    assert first is not second


def test_a_global_matcher_is_not_asked(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    compiler = RouteCompiler(registry, hooks, config_with({"plugin": "cp:test.Matcher"}))
    assert document(compiler.compile(make_route(), {}))["steps"] == []
    steps = document(compiler.compile(make_route("cp:test.Matcher"), {}))["steps"]
    assert [step["phase"] for step in steps] == ["match_route"]


def test_a_disabled_route_binds_nothing(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    lowered = RouteCompiler(registry, hooks).compile(make_route("cp:test.Gate", enabled=False), {})
    assert document(lowered)["enabled"] is False
    assert document(lowered)["steps"] == []
    assert len(hooks) == 0


def test_a_reference_wins_over_the_inline_backend(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    compiler = RouteCompiler(registry, hooks)
    lowered = compiler.compile(make_route(backend_ref="b1"), {"b1": backend("b1", 1234)})
    assert [t["port"] for t in document(lowered)["backend"]["targets"]] == [1234]
    assert lowered.problems == ()


def test_a_lost_reference_is_an_empty_backend_and_a_warning(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    lowered = RouteCompiler(registry, hooks).compile(make_route(backend_ref="b1"), {})
    assert document(lowered)["backend"]["targets"] == []
    (problem,) = lowered.problems
    assert (problem.path, problem.severity) == ("$.backend_ref", "warning")


def test_a_slot_that_cannot_run_closes_the_route(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    route = make_route(NG + "OverrideHost", "cp:gone", {"plugin": "cp:off", "enabled": False})
    lowered = RouteCompiler(registry, hooks).compile(route, {})
    assert [step["kind"] for step in document(lowered)["steps"]] == ["refuse", "override_host"]
    assert [problem.path for problem in lowered.problems] == ["$.plugins[1].plugin"]


def test_a_constructor_that_fails_closes_the_route(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    slot = {"plugin": "cp:test.Picky", "config": {"start": 12}, "exclude": ["/x"]}
    lowered = RouteCompiler(registry, hooks).compile(make_route("cp:test.Gate", slot), {})
    steps = document(lowered)["steps"]
    assert [step["kind"] for step in steps] == ["python", "refuse", "python", "python"]
    assert steps[1]["exclude"] == ["/x"]
    assert lowered.problems[0].path == "$.plugins[1].config"
    assert "not twelve" in lowered.problems[0].message


def test_a_route_the_engine_refuses_can_be_closed(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    compiler = RouteCompiler(registry, hooks)
    route = make_route("cp:test.Gate")
    compiler.compile(route, {})
    problem = Problem("$.plugins[0].include[0]", "not a pattern", "write a pattern")
    closed = compiler.compile_closed(route, problem)
    (step,) = document(closed)["steps"]
    assert step["kind"] == "refuse"
    assert document(closed)["frontend"]["domains"] == ["api.localhost/users"]
    assert closed.problems == (problem,)
    assert len(hooks) == 0


def test_a_single_route_is_compiled_or_refused(
    registry: Registry, hooks: Hooks, make_route: MakeRoute
) -> None:
    assert b'"slot":0' in compile_route(make_route("cp:test.Gate"), {}, None, registry, hooks)
    with pytest.raises(EntityError, match=r"\$\.plugins\[0\]\.plugin: there is no plugin cp:gone"):
        compile_route(make_route("cp:gone", route_id="r2"), {}, None, registry, hooks)
    assert len(hooks) == 3


def test_a_route_is_checked_before_it_is_stored(registry: Registry, make_route: MakeRoute) -> None:
    slot = {"plugin": NG + "Redirection", "config": {"code": []}}
    route = make_route("cp:test.Gate", slot, backend_ref="b1")
    problems = check_route(route, {}, registry)
    assert [(p.path, p.severity) for p in problems] == [
        ("$.plugins[1].config.code", "error"),
        ("$.backend_ref", "warning"),
    ]
    assert check_route(make_route("cp:test.Gate"), {}, registry) == []


def test_global_slots_are_checked_too(registry: Registry) -> None:
    config = config_with({"plugin": "cp:test.Gate"}, {"plugin": "cp:gone"}, {"enabled": True}, 3)
    assert [problem.path for problem in check_global_slots(config, registry)] == [
        "$.plugins.config.ng[2].plugin",
        "$.plugins.config.ng[3]",
        "$.plugins.config.ng[1].plugin",
    ]


def test_global_slots_that_are_no_list_are_named() -> None:
    slots, problems = global_slots(read_global_config({"plugins": {"config": {"ng": {}}}}))
    assert slots == []
    assert problems[0].path == "$.plugins.config.ng"
    assert global_slots(None) == ([], [])
    assert global_slots(read_global_config({})) == ([], [])


def test_the_plugins_of_a_route_are_known(make_route: MakeRoute) -> None:
    route = make_route("cp:a", "cp:b", "cp:a", {"plugin": "cp:c", "enabled": False})
    assert used_plugins(route) == {"cp:a", "cp:b"}


def test_a_route_tells_which_code_its_requests_need(hooks: Hooks, make_route: MakeRoute) -> None:
    mirror = NG + "WebsocketMirrorBackend"
    compiler = RouteCompiler(builtin_plugins(), hooks)
    assert compiler.compile(make_route(NG + "OverrideHost"), {}).needs == frozenset()
    assert compiler.compile(make_route(mirror), {}).needs == {WEBSOCKETS}
    assert compiler.compile(make_route(mirror, enabled=False), {}).needs == frozenset()
    asleep = {"plugin": mirror, "enabled": False}
    assert compiler.compile(make_route(asleep), {}).needs == frozenset()
    targets = [
        {"hostname": "b", "port": 1},
        {"hostname": "c", "port": 1, "protocol": "http/3.0", "tls": True},
    ]
    stored = read_backend({"id": "b1", "name": "b", "backend": {"targets": targets}})
    route = make_route(backend_ref="b1")
    assert compiler.compile(route, {"b1": stored}).needs == {HTTP3_BACKENDS}
    everywhere = RouteCompiler(builtin_plugins(), hooks, config_with({"plugin": mirror}))
    assert everywhere.compile(route, {"b1": stored}).needs == {WEBSOCKETS, HTTP3_BACKENDS}
