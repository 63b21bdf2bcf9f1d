"""One slot, compiled."""

from typing import Any

import msgspec
import pytest

from oto_trio.gateway.compile.slots import CACHED_SLOTS, SlotCode, SlotCompiler
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.plugin_api import Phase
from oto_trio.plugin_api.registry import Registry

REDIRECTION = "cp:otoroshi.next.plugins.Redirection"


def steps_of(code: SlotCode) -> list[dict[str, Any]]:
    return [msgspec.json.decode(raw) for steps in code.native.values() for raw in steps]


def compiled(registry: Registry, plugin: str, **keys: Any) -> SlotCode:
    return SlotCompiler(registry).compile(PluginSlot(plugin=plugin, **keys))


def test_a_native_slot_becomes_its_steps(registry: Registry) -> None:
    code = compiled(registry, REDIRECTION, config={"to": "/x"}, include=("/a.*",), exclude=("/b",))
    assert steps_of(code) == [
        {
            "plugin": REDIRECTION,
            "include": ["/a.*"],
            "exclude": ["/b"],
            "kind": "redirect",
            "code": 303,
            "to": "/x",
            "phase": "pre_route",
        }
    ]
    assert code.phases == (Phase.PRE_ROUTE,)
    assert code.is_conditional


def test_bound_listeners_are_on_the_step(registry: Registry) -> None:
    code = compiled(registry, REDIRECTION, bound_listeners=("internal",))
    assert steps_of(code)[0]["bound_listeners"] == ["internal"]
    assert code.is_conditional


def test_a_slot_with_nothing_to_do_has_no_steps(registry: Registry) -> None:
    code = compiled(registry, REDIRECTION, config={"code": 200})
    assert code.native == {}
    assert code.phases == ()
    assert code.problems == ()


def test_a_python_slot_keeps_class_and_config(registry: Registry) -> None:
    code = compiled(registry, "cp:test.Gate", config={"start": 3})
    assert code.plugin is registry.get("cp:test.Gate")
    assert getattr(code.config, "start", None) == 3
    assert code.phases == (Phase.PRE_ROUTE, Phase.ACCESS, Phase.DONE)
    assert not code.is_conditional


@pytest.mark.parametrize(
    ("plugin", "config", "path", "message"),
    [
        ("cp:test.None", {}, "$.plugin", "there is no plugin cp:test.None"),
        (REDIRECTION, {"code": "x"}, "$.config.code", "expected int, got str"),
        ("cp:test.Failing", {}, "$.config", "lower() of cp:test.Failing failed: cannot lower"),
        (
            "cp:test.Failing",
            {"start": 1},
            "$.config",
            "lower() of cp:test.Failing returned something",
        ),
    ],
)
def test_a_slot_that_cannot_run_refuses_what_it_would_have_handled(
    registry: Registry, plugin: str, config: dict[str, Any], path: str, message: str
) -> None:
    code = compiled(registry, plugin, config=config, include=("/x",))
    (step,) = steps_of(code)
    assert step["kind"] == "refuse"
    assert step["status"] == 503
    assert step["phase"] == "pre_route"
    assert step["include"] == ["/x"]
    (problem,) = code.problems
    assert problem.path == path
    assert problem.message.startswith(message)
    assert problem.severity == "error"


def test_an_unknown_plugin_may_be_skipped_as_otoroshi_does(registry: Registry) -> None:
    code = SlotCompiler(registry, close_missing=False).compile(PluginSlot(plugin="cp:test.None"))
    assert code.phases == ()
    assert code.problems[0].severity == "warning"


def test_a_wrong_config_is_never_skipped(registry: Registry) -> None:
    slot = PluginSlot(plugin=REDIRECTION, config={"code": []})
    code = SlotCompiler(registry, close_missing=False).compile(slot)
    assert steps_of(code)[0]["kind"] == "refuse"


def test_equal_slots_are_compiled_once(registry: Registry) -> None:
    compiler = SlotCompiler(registry)
    first = compiler.compile(PluginSlot(plugin=REDIRECTION, config={"to": "/x"}))
    assert compiler.compile(PluginSlot(plugin=REDIRECTION, config={"to": "/x"})) is first
    assert compiler.compile(PluginSlot(plugin=REDIRECTION, config={"to": "/y"})) is not first


def test_the_memory_of_slots_is_bounded(registry: Registry) -> None:
    compiler = SlotCompiler(registry)
    for number in range(CACHED_SLOTS + 1):
        compiler.compile(PluginSlot(plugin=REDIRECTION, config={"to": str(number)}))
    assert len(compiler._cache) == 1
