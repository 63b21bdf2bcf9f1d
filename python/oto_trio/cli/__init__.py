"""The command line, `oto-trio`: one file a command.

A command's file is imported when the command is run, so that `oto-trio version` does not load the
gateway and `serve` does not load what only `check` needs.

Exit codes: 0 it worked, 1 it failed or found problems, 2 the command line itself is wrong.
"""

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import click
from typing_extensions import override

__all__ = ["COMMANDS", "main", "program"]

COMMANDS: Final = {
    "serve": "Run the gateway.",
    "check": "Validate configuration files.",
    "config": "Show the settings, and where each value comes from.",
    "lint": "Find what is legal, and dangerous or not meant.",
    "dump": "Write every entity to a folder of YAML, one file each.",
    "diff": "Show what differs between two places, by entity and field.",
    "apply": "Bring the entities of files to a gateway, all of them or none.",
    "history": "Show the revisions of a configuration, and what they mean.",
    "rollback": "Bring the configuration of a revision back.",
    "explain": "Say what becomes of a request, and why.",
    "plugins": "List plugins, or show one.",
    "certs": "List, make, bring in and take out certificates.",
    "export": "Write the whole configuration into a file.",
    "import": "Replace the whole configuration by an export, Otoroshi's or ours.",
    "store": "Copy a store into another one.",
    "version": "Show the version.",
}
"""The commands, in the order of the help; each is `command` in the module of its name."""

_MODULES: Final = {"import": "bring_in"}
"""The modules of commands whose name no module can have."""


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"oto_trio.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near and not args[0].startswith("-"):
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version, as `oto-trio version` does with more beside it."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"oto-trio {importlib.metadata.version('oto-trio')}")
        ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 it worked, 1 it failed or found problems, 2 the command line is wrong. "
        "Completion for your shell: docs/cli.md."
    ),
)
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def program() -> None:
    """oto-trio, an API gateway that speaks Otoroshi.

    \b
    A first route in one line:
      oto-trio serve --dev --route 'api.localhost/users=http://127.0.0.1:9000'
    """  # noqa: D301 (click reads the \b)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: The words after the program's name; those of this process when left out.
    """
    try:
        # What a command raises as `Exit` comes back as its code, and None when it returned.
        sys.exit(program.main(args=arguments, prog_name="oto-trio", standalone_mode=False))
    except click.Abort:
        click.echo("aborted", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`oto-trio plugins list | head`).
        sys.stderr.close()
        sys.exit(1)
