"""`oto-trio check`: everything that is wrong with configuration files, before a gateway sees them."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from oto_trio.control.checking import check_engine_settings, check_entity
from oto_trio.control.config_files import ConfigFile, read_config_file, with_overrides
from oto_trio.control.declared import Declaration, read_declared, unread_keys
from oto_trio.control.settings import settings_problems
from oto_trio.control.vaults import vault_problems
from oto_trio.model.backend import Backend
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.plugin_api.config import unread_config_keys
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import Registry, discover

__all__ = ["check_file", "command"]


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--plugins",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of user plugins that the routes may use.  [default: as the file says]",
)
@click.option("--strict", is_flag=True, help="Let warnings fail, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each problem.")
def command(
    files: tuple[Path, ...],
    folder: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Validate configuration files, as `serve --config` takes them.

    Every problem is shown with its file, its path in the file and a fix. Settings, routes and backends
    are read, plugins and their configs looked up, and each route compiled for the engine.

    Ends with 1 when there is an error; with --strict also when there is a warning.

    \b
    Examples:
      oto-trio check gateway.yaml
      oto-trio check --strict --plugins ./plugins conf/*.yaml
    """  # noqa: D301 (click reads the \b)
    has_failed = False
    for path in files:
        file = read_config_file(path)
        declarations, problems = check_file(file, folder)
        for problem in problems:
            has_failed = has_failed or strict or problem.severity == "error"
            click.echo(_line(path, problem, as_json=as_json))
        if not problems and not as_json:
            counts = Counter(d.path.rpartition("$.")[2].split("[")[0] for d in declarations)
            counted = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
            click.echo(f"{path}: ok ({counted or 'nothing declared'})")
    if has_failed:
        raise click.exceptions.Exit(1)


def check_file(file: ConfigFile, folder: Path | None) -> tuple[list[Declaration], list[Problem]]:
    """Find everything that is wrong with a configuration file.

    Args:
        file: The file, read.
        folder: The folder of user plugins; None takes the one that the file names.

    Returns:
        Its entities that could be read, and the problems, warnings included.
    """
    problems = list(file.problems)
    settings, _ = with_overrides(file, {}, {})
    problems += settings_problems(settings)
    problems += vault_problems(settings.all_vaults, "$.settings.vaults")
    wrong_engine = check_engine_settings(settings.engine_json)
    if wrong_engine is not None:
        problems.append(
            Problem("$.settings.engine", wrong_engine, "see docs/operations.md for the names")
        )
    if folder is None and settings.plugins is not None and Path(settings.plugins).is_dir():
        folder = Path(settings.plugins)
    registry = discover()
    if folder is not None:
        registry = with_folder(registry, FolderPlugins(folder).poll())
    problems += registry.problems
    declarations, wrong = read_declared(file)
    problems += wrong
    problems += _entity_problems(declarations, registry)
    return declarations, problems


def _entity_problems(declarations: Iterable[Declaration], registry: Registry) -> Iterable[Problem]:
    """Walk what keeps declared entities from working."""
    declarations = list(declarations)
    backends = {d.entity.id: d.entity for d in declarations if isinstance(d.entity, Backend)}
    for declaration in declarations:
        yield from unread_keys(declaration)
        problems = check_entity(declaration.entity, registry, backends)
        if isinstance(declaration.entity, Route):
            problems += _unread_configs(declaration.entity, registry)
        for problem in problems:
            where = declaration.path + problem.path.removeprefix("$")
            yield msgspec.structs.replace(problem, path=where)


def _unread_configs(route: Route, registry: Registry) -> Iterable[Problem]:
    """Walk the keys of a route's plugin configs that nothing reads."""
    for place, slot in enumerate(route.plugins):
        plugin = registry.get(slot.plugin)
        if plugin is None or plugin.Config is None:
            continue
        try:
            registry.read_config(slot.plugin, slot.config)
        except PluginError:
            continue  # told already, where the slot is enabled
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(plugin.Config))
        for key in unread_config_keys(plugin.Config, slot.config):
            fix = f"remove it, or write one of {known}"
            yield Problem(
                f"$.plugins[{place}].config.{key}", "nothing reads this key", fix, "warning"
            )


def _line(path: Path, problem: Problem, *, as_json: bool) -> str:
    """Show one problem."""
    if as_json:
        return json.dumps(
            {
                "file": str(path),
                "path": problem.path,
                "severity": problem.severity,
                "message": problem.message,
                "fix": problem.fix,
            }
        )
    return f"{path}: {problem.path}: {problem.severity}: {problem.message}; {problem.fix}"
