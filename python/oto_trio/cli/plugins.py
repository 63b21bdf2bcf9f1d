"""`oto-trio plugins`: which plugins there are, and what each takes."""

import json
from pathlib import Path
from typing import Any, cast

import click

from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import Registry, discover

__all__ = ["command"]

_FOLDER = click.option(
    "--plugins",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also look into this folder of user plugins.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """List plugins, or show one.

    \b
    Examples:
      oto-trio plugins list
      oto-trio plugins list --json --plugins ./plugins
      oto-trio plugins show cp:otoroshi.next.plugins.Redirection
      oto-trio plugins show Redirection
    """  # noqa: D301 (click reads the \b)


@command.command("list")
@_FOLDER
@_JSON
def list_plugins(folder: Path | None, as_json: bool) -> None:
    """List every plugin: built in, from installed distributions, and from a folder.

    Ends with 1 when a plugin could not be loaded.
    """
    registry = _registry(folder)
    if as_json:
        described = [registry.describe(plugin.id) for plugin in registry]
        click.echo(json.dumps(described))
    else:
        width = max((len(plugin.id) for plugin in registry), default=0)
        for plugin in registry:
            click.echo(f"{plugin.id:<{width}}  {plugin.description}")
    for problem in registry.problems:
        click.echo(str(problem), err=True)
    if registry.problems:
        raise click.exceptions.Exit(1)


@command.command("show")
@click.argument("plugin_id", metavar="ID")
@_FOLDER
@_JSON
def show_plugin(plugin_id: str, folder: Path | None, as_json: bool) -> None:
    """Show one plugin: its phases, its config and the defaults of it.

    ID is the plugin's id, or the end of it after a dot when only one ends so.
    """
    registry = _registry(folder)
    found = [
        plugin.id
        for plugin in registry
        if plugin.id == plugin_id or plugin.id.lower().endswith(f".{plugin_id.lower()}")
    ]
    if len(found) != 1:
        reason = "is not the id of a plugin" if not found else f"may be {' or '.join(found)}"
        raise click.ClickException(f"{plugin_id} {reason}; `oto-trio plugins list` shows the ids")
    described = registry.describe(found[0])
    if as_json:
        click.echo(json.dumps(described))
        return
    for key, value in described.items():
        click.echo(f"{key}: {_shown(value)}")


def _shown(value: Any) -> str:
    """Show one fact about a plugin: a text as it is, everything else as indented JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(item, str) for item in items):
            return ", ".join(map(str, items)) or "none"
    return json.dumps(value, indent=2)


def _registry(folder: Path | None) -> Registry:
    """Return every plugin there is."""
    registry = discover()
    return registry if folder is None else with_folder(registry, FolderPlugins(folder).poll())
