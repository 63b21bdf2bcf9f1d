"""`oto-trio config`: what the settings are, and who says so."""

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

import click
import msgspec

from oto_trio.cli.options import dev_flags, given_flags, setting_options
from oto_trio.control.config_files import read_config_file
from oto_trio.control.configuration import Source
from oto_trio.control.environment import read_environment
from oto_trio.control.settings import Settings
from oto_trio.control.shown_settings import ShownSetting, shown_settings

__all__ = ["command"]

LONGEST_VALUE: Final = 60
"""Characters of a value that the text form shows; JSON shows all of it."""


@click.group()
def command() -> None:
    """Show the settings, and where each value comes from.

    \b
    Examples:
      oto-trio config show
      oto-trio config show --config gateway.yaml --http-port 9000
      oto-trio config show --format json
    """  # noqa: D301 (click reads the \b)


@command.command("show")
@setting_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the answer.",
)
def show(
    dev: bool,
    config: Path | None,
    quick_routes: tuple[str, ...],
    form: Literal["text", "json"],
    **options: Any,
) -> None:
    """Show every setting as `serve` with the same options would have it here.

    For each: its value, where that comes from (a flag, an environment variable, the configuration file,
    or the default), and which other ones it overrules. Secrets are shown as ***. Nothing is started and
    nothing is written.

    Ends with 1 when `serve` would refuse them; the reasons go to standard error.
    """
    given = given_flags(options)
    implied = dev_flags(dev=dev)
    configuration = Source(config, {**implied, **given}, quick_routes, os.environ).judge()
    file = None if config is None else read_config_file(config)
    flags = dict.fromkeys(implied, "--dev")
    flags |= {name: "--" + name.replace("_", "-") for name in given}
    flags = {name: flag.removesuffix("-s") for name, flag in flags.items()}
    shown = shown_settings(
        configuration.settings,
        file=None if file is None else (file.path, file.settings),
        environ=os.environ,
        variables=read_environment(Settings, os.environ).variables,
        flags=flags,
    )
    problems = configuration.warnings
    if form == "json":
        answer = {
            "settings": msgspec.to_builtins(shown),
            "problems": [msgspec.to_builtins(problem) for problem in problems],
        }
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(shown)
    for problem in problems:
        click.echo(f"{problem.severity}: {problem}", err=True)
    if any(problem.severity == "error" for problem in problems):
        raise click.exceptions.Exit(1)


def _print(shown: list[ShownSetting]) -> None:
    """Print the settings as a table."""
    rows = [("setting", "value", "from")]
    for setting in shown:
        value = json.dumps(msgspec.to_builtins(setting.value), ensure_ascii=False)
        if len(value) > LONGEST_VALUE:
            value = value[: LONGEST_VALUE - 1] + "…"
        origin = str(setting.source)
        if setting.overrules:
            origin += f" (over {', '.join(map(str, setting.overrules))})"
        rows.append((setting.name, value, origin))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}")
