"""Rules about the built-in plugins: one file each, in its place, with Otoroshi's id and a test."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api.inspection import describe
from oto_trio.plugin_api.registry import PluginClass, plugins_in
from tests.meta.plugin_facts import IMPLEMENTED

OWN: Any = {"cp:oto_trio.plugins.Mount": ({"kind": "asgi"}, ("Other",))}
"""The plugins that Otoroshi does not have, with their default config and their categories."""

PLUGINS = Path("python/oto_trio/plugins")
TESTS = Path("tests/unit/plugins")


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def plugin_files(tracked: list[Path]) -> list[Path]:
    return [
        path
        for path in tracked
        if path.is_relative_to(PLUGINS) and path.suffix == ".py" and path.name != "__init__.py"
    ]


def plugins_of(path: Path) -> tuple[PluginClass, ...]:
    name = ".".join(path.relative_to("python").with_suffix("").parts)
    return plugins_in(importlib.import_module(name))


def test_every_file_holds_one_plugin_named_after_it(tracked: list[Path]) -> None:
    files = plugin_files(tracked)
    assert files
    for path in files:
        (plugin,) = plugins_of(path)
        assert path.stem == snake(plugin.__name__), path
        assert path.parent.name == snake(plugin.categories[0]).replace(" ", "_"), path


def test_ids_defaults_and_categories_are_otoroshis(tracked: list[Path]) -> None:
    found = {
        plugin.id: (describe(plugin)["default_config"], plugin.categories)
        for path in plugin_files(tracked)
        for plugin in plugins_of(path)
    }
    assert (
        found
        == {f"cp:otoroshi.next.plugins.{name}": facts for name, facts in IMPLEMENTED.items()} | OWN
    )


def test_every_plugin_has_a_test_beside_it(tracked: list[Path]) -> None:
    tests = {path for path in tracked if path.is_relative_to(TESTS)}
    wanted = {TESTS / path.parent.name / f"test_{path.name}" for path in plugin_files(tracked)}
    assert wanted <= tests, sorted(map(str, wanted - tests))


def test_every_docstring_says_phases_and_id(tracked: list[Path], texts: dict[Path, str]) -> None:
    for path in plugin_files(tracked):
        (plugin,) = plugins_of(path)
        docstring = ast.get_docstring(ast.parse(texts[path])) or ""
        described = describe(plugin)
        native = r" Native[.;][^\n]*" if described["native"] else ""
        phases = re.escape(f"Phases: {', '.join(described['phases'])}.")
        assert re.search(f"{phases}{native}\n", docstring), path
        whose = "Otoroshi" if plugin.id.startswith("cp:otoroshi.") else "Our own"
        assert f"{whose}: ``{plugin.id}``." in docstring, path


def test_every_config_field_is_described(tracked: list[Path]) -> None:
    for path in plugin_files(tracked):
        (plugin,) = plugins_of(path)
        if plugin.Config is None:
            continue
        schema = msgspec.json.schema(plugin.Config)
        for struct in schema["$defs"].values():
            for name, field in struct["properties"].items():
                assert field.get("description"), f"{path}: {struct['title']}.{name}"


def test_a_plugin_knows_the_plugin_api_and_nothing_else(texts: dict[Path, str]) -> None:
    known = ("oto_trio.plugin_api", "oto_trio.plugins")
    for path, text in texts.items():
        if path.is_relative_to(PLUGINS):
            imported = [
                node.module or ""
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ImportFrom)
            ]
            ours = [name for name in imported if name.startswith("oto_trio")]
            assert all(name.startswith(known) for name in ours), path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("OverrideHost", "override_host"),
        ("XForwardedHeaders", "x_forwarded_headers"),
        ("OIDCHeaders", "oidc_headers"),
    ],
)
def test_names_are_turned_into_snake_case(name: str, wanted: str) -> None:
    assert snake(name) == wanted
