"""Writes docs/plugin_reference.md from the built-in plugins; `--check` only tells whether it is current.

What a page says of a plugin is what its file says: the docstring of the class, the description of each
config field, its default and its bounds.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from oto_trio.plugin_api.inspection import describe
from oto_trio.plugin_api.registry import PluginClass, builtin_plugins

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plugin_reference.md"

OPENING = """\
# Plugin reference

<!-- Written by tools/plugin_reference.py; change the plugin's file and run it again. -->

Every built-in plugin, by its first category. *Native* plugins run inside the engine and cost no Python;
the others run their hooks in the worker. How slots, filters and order work is in [](plugins.md).
"""

BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}


def main() -> int:
    """Write or check the page; the exit code is 1 when it is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when out of date")
    arguments = parser.parse_args()
    page = render(list(builtin_plugins()))
    if not arguments.check:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is out of date: run python tools/plugin_reference.py", file=sys.stderr)
    return 1


def render(plugins: list[PluginClass]) -> str:
    """Return the whole page."""
    categories = sorted({plugin.categories[0] for plugin in plugins})
    parts = [OPENING]
    for category in categories:
        parts.append(f"## {category}\n")
        of_category = [plugin for plugin in plugins if plugin.categories[0] == category]
        parts.extend(entry(plugin) for plugin in sorted(of_category, key=lambda p: p.name))
    return "\n".join(parts)


def entry(plugin: PluginClass) -> str:
    """Return the section of one plugin."""
    facts = describe(plugin)
    phases = ", ".join(f"`{phase}`" for phase in facts["phases"])
    native = ", native" if facts["native"] else ""
    lines = [f"### {facts['name']}\n", f"`{facts['id']}` · {phases}{native}\n"]
    paragraphs = (plugin.__doc__ or "").replace("``", "`").split("\n\n")
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in paragraphs]
    if facts["config_schema"] is None:
        lines.append("No config.\n")
    else:
        lines.extend(tables(facts["config_schema"]))
    return "\n".join(lines)


def tables(schema: dict[str, Any]) -> list[str]:
    """Return one table of fields for each struct of a config."""
    found: list[str] = []
    top = schema["$ref"].rpartition("/")[2]
    for name, struct in sorted(schema["$defs"].items(), key=lambda item: item[0] != top):
        if name != top:
            found.append(f"Each `{name}`:\n")
        found.append("| Field | Type | Default | |\n|---|---|---|---|")
        for field, facts in struct["properties"].items():
            default = msgspec.json.encode(facts["default"]).decode() if "default" in facts else "—"
            described = "; ".join(
                [facts.get("description", "").rstrip(".")]
                + [text.format(facts[key]) for key, text in BOUNDS.items() if key in facts]
            )
            found.append(f"| `{field}` | {kind(facts)} | `{default}` | {described}. |")
        found.append("")
    return found


def kind(facts: dict[str, Any]) -> str:
    """Return a field's type in words."""
    if "$ref" in facts:
        return f"`{facts['$ref'].rpartition('/')[2]}`"
    if "anyOf" in facts:
        return " or ".join(kind(one) for one in facts["anyOf"])
    if facts.get("type") == "array":
        return f"list of {kind(facts.get('items', {}))}"
    if facts.get("type") == "object":
        return f"object of {kind(facts.get('additionalProperties') or {})}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return words.get(str(facts.get("type")), "anything")


if __name__ == "__main__":
    raise SystemExit(main())
