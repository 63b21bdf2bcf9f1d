"""`oto-trio version`: what is installed."""

import json
import platform
from importlib.metadata import version

import click

__all__ = ["command"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show the versions of oto-trio, its engine, Python and Trio."""
    from oto_trio import _core  # noqa: PLC0415 (a broken engine must not break --help)

    versions = {
        "oto-trio": version("oto-trio"),
        "engine": _core.__version__,
        "python": platform.python_version(),
        "trio": version("trio"),
    }
    if as_json:
        click.echo(json.dumps(versions))
        return
    for name, number in versions.items():
        click.echo(f"{name:<9} {number}")
