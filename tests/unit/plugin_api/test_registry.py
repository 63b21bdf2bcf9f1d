"""The registry: a value made from a package, entry points and more classes."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, PluginError
from oto_trio.plugin_api.registry import (
    Registry,
    builtin_plugins,
    discover,
    discover_on_demand,
    plugins_in,
)

HEADER = """
from oto_trio.plugin_api import Config, Exchange, Plugin
from oto_trio.plugins.headers.override_host import OverrideHost
"""
GOOD = (
    HEADER
    + """
class {name}(Plugin):
    id = "cp:test.{name}"
    name = "{name}"
    description = "For tests."
    categories = ("Other",)

    def access(self, exchange):
        return None
"""
)


TAKEN = (
    "oto_trio.plugins.headers.override_host.OverrideHost.id: the id "
    "cp:otoroshi.next.plugins.OverrideHost (entry point taken) is already that of another plugin "
    "(builtin)"
)


class LimitConfig(Config, frozen=True):
    limit: int = 3


class Limit(Plugin[LimitConfig]):
    id = "cp:test.Limit"
    name = "Limit"
    description = "For tests."
    categories = ("Other",)

    def __init__(self, config: LimitConfig) -> None:
        super().__init__(config)
        if config.limit == 13:
            raise ValueError("13 is unlucky")

    @override
    def access(self, exchange: Exchange) -> None:
        return None


class OtherLimit(Limit):
    pass


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package `some_plugins` that can be imported while the test runs."""
    folder = tmp_path / "some_plugins"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "inner" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_plugins"]:
        del sys.modules[name]


def test_the_built_in_plugins_are_found_and_every_call_makes_a_value_of_its_own() -> None:
    first, second = builtin_plugins(), builtin_plugins()
    assert "cp:otoroshi.next.plugins.OverrideHost" in first
    assert first is not second
    assert [plugin.id for plugin in first] == sorted(first.plugins)
    assert set(first.origins.values()) == {"builtin"}
    assert len(first) == len(first.plugins)


def test_a_package_is_walked_and_imported_classes_are_not_its_own(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One"))
    (package / "inner" / "two.py").write_text(GOOD.format(name="Two"))
    (package / "inner" / "base.py").write_text(
        HEADER + "class _Base(Plugin):\n    def nohook(self): ...\n"
    )
    assert sorted(builtin_plugins("some_plugins").plugins) == ["cp:test.One", "cp:test.Two"]


def test_an_id_used_twice_is_refused_with_both_owners(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One"))
    (package / "two.py").write_text(GOOD.format(name="One"))
    with pytest.raises(PluginError, match=r"the id cp:test\.One .* is already that of another"):
        builtin_plugins("some_plugins")


def test_an_id_used_twice_in_one_module_is_refused(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One") + "class Two(One): ...\n")
    with pytest.raises(PluginError, match=r"Two\.id: the id cp:test\.One"):
        builtin_plugins("some_plugins")


def test_a_badly_made_class_is_refused(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One").replace("access", "acess"))
    with pytest.raises(PluginError, match="did you mean access"):
        builtin_plugins("some_plugins")


def test_an_alias_of_a_class_is_no_second_plugin(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One") + "Alias = One\n")
    assert len(builtin_plugins("some_plugins")) == 1


def test_entry_points_are_loaded_and_a_broken_one_is_left_out(package: Path) -> None:
    (package / "one.py").write_text(GOOD.format(name="One"))
    (package / "two.py").write_text(GOOD.format(name="Two"))
    (package / "bad.py").write_text("1/0")
    (package / "worse.py").write_text(GOOD.format(name="Worse").replace("access", "acess"))
    points = [
        EntryPoint(name, value, "oto_trio.plugins")
        for name, value in {
            "a module": "some_plugins.one",
            "a class": "some_plugins.two:Two",
            "broken": "some_plugins.bad",
            "gone": "some_plugins.nowhere",
            "no plugin": "some_plugins.one:HEADER",
            "worse": "some_plugins.worse",
            "worse class": "some_plugins.worse:Worse",
            "taken": "oto_trio.plugins.headers.override_host:OverrideHost",
        }.items()
    ]
    (package / "one.py").write_text(GOOD.format(name="One") + "\nHEADER = 1\n")
    registry = discover(points)
    assert registry.origins["cp:test.One"] == "entry point a module"
    assert registry.origins["cp:test.Two"] == "entry point a class"
    found = [f"{problem.path}: {problem.message}" for problem in registry.problems]
    assert found == [
        "entry point broken: ZeroDivisionError: division by zero",
        "entry point gone: ModuleNotFoundError: No module named 'some_plugins.nowhere'",
        "entry point no plugin: some_plugins.one:HEADER is neither a module nor a plugin class",
        TAKEN,
        "some_plugins.worse.Worse.acess: acess is no hook, so it would never run",
        "some_plugins.worse.Worse.acess: acess is no hook, so it would never run",
    ]


def test_the_installed_distributions_are_asked() -> None:
    assert len(discover()) >= len(builtin_plugins())


def test_every_built_in_plugin_is_found_by_the_name_of_its_file() -> None:
    registry = discover_on_demand()
    for plugin in discover():
        assert registry.get(plugin.id) is plugin
        assert registry.describe(plugin.id) == discover().describe(plugin.id)


def test_a_plugin_is_loaded_when_it_is_asked_for(package: Path) -> None:
    (package / "one_more.py").write_text(GOOD.format(name="OneMore"))
    (package / "inner" / "two.py").write_text(GOOD.format(name="Two"))
    registry = discover_on_demand((), "some_plugins")
    assert "cp:test.OneMore" in registry
    assert "cp:other.OneMore" not in registry
    assert "cp:test.Three" not in registry
    assert registry.get("cp:test.Four") is None
    assert "some_plugins.inner.two" not in sys.modules
    assert registry.hint("cp:test.Towo").startswith("did you mean cp:test.Two?")
    assert [plugin.id for plugin in registry] == ["cp:test.OneMore", "cp:test.Two"]
    assert len(registry) == 2
    assert registry["cp:test.Two"].name == "Two"


def test_a_hint_loads_nothing_but_what_is_near(package: Path) -> None:
    (package / "one_more.py").write_text(GOOD.format(name="OneMore"))
    (package / "inner" / "two.py").write_text(GOOD.format(name="Two"))
    (package / "inner" / "two_fold.py").touch()
    registry = discover_on_demand((), "some_plugins")
    assert registry.hint("cp:test.Unlike").startswith("install it")
    assert not sys.modules.keys() & {"some_plugins.one_more", "some_plugins.inner.two"}
    assert registry.hint("cp:test.Towo").startswith("did you mean cp:test.Two?")
    assert registry.hint("cp:test.Towfold").startswith("install it")
    assert "some_plugins.one_more" not in sys.modules


def test_a_plugin_that_is_not_loaded_yet_keeps_its_id(package: Path) -> None:
    (package / "limit.py").write_text(GOOD.format(name="Limit"))
    registry = discover_on_demand((), "some_plugins").extended([(Limit, "a folder")])
    (problem,) = registry.problems
    assert problem.message.endswith("(a folder) is already that of another plugin (builtin)")
    assert registry["cp:test.Limit"] is not Limit
    more = registry.extended([(type("More", (Limit,), {"id": "cp:test.More"}), "a folder")])
    assert [plugin.id for plugin in more] == ["cp:test.Limit", "cp:test.More"]
    assert more.origin("cp:test.More") == "a folder"


def test_an_instance_is_made_with_the_effective_config() -> None:
    registry = Registry().extended([(Limit, "here")])
    plugin = registry.make("cp:test.Limit", {})
    assert isinstance(plugin, Limit)
    assert plugin.config == LimitConfig(3)
    assert registry.read_config("cp:test.Limit", {"limit": 5}) == LimitConfig(5)
    assert registry.get("cp:test.Limit") is Limit
    assert registry.get("cp:test.None") is None


def test_a_constructor_that_fails_is_a_config_problem() -> None:
    registry = Registry().extended([(Limit, "here")])
    with pytest.raises(PluginError, match="does not take this config: 13 is unlucky"):
        registry.make("cp:test.Limit", {"limit": 13})


def test_the_first_owner_keeps_an_id() -> None:
    registry = Registry().extended([(Limit, "first")]).extended([(OtherLimit, "second")])
    assert registry.get("cp:test.Limit") is Limit
    (problem,) = registry.problems
    assert problem.message.endswith("(second) is already that of another plugin (first)")


def test_a_description_names_the_origin() -> None:
    registry = Registry().extended([(Limit, "here")])
    assert registry.describe("cp:test.Limit")["origin"] == "here"
    with pytest.raises(KeyError):
        registry.describe("cp:test.None")


def test_a_module_without_plugins_has_none() -> None:
    assert plugins_in(ModuleType("empty")) == ()


def test_a_slip_in_an_id_is_answered_with_the_nearest_one() -> None:
    registry = builtin_plugins()
    hint = registry.hint("cp:otoroshi.next.plugins.OverideHost")
    assert hint.startswith("did you mean cp:otoroshi.next.plugins.OverrideHost?")
    assert registry.hint("cp:my.own.Thing").startswith("install it, put its file")
