"""`oto-trio export`: the whole configuration into a file."""

import os
from pathlib import Path
from typing import Any

import click

from oto_trio.cli.whole import DUMP, JSON, place_options, whole_of

__all__ = ["command"]


@click.command()
@click.option(
    "--file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A new file, which nobody else may read.  [default: standard output]",
)
@click.option(
    "--ndjson", is_flag=True, help="Write Otoroshi's raw dump, one key a line, and not JSON."
)
@place_options
def command(file: Path | None, ndjson: bool, **places: Any) -> None:
    """Write the whole configuration, as Otoroshi's full export.

    It holds the secrets of keys and certificates in clear. Otoroshi imports it, and so does `oto-trio import`.

    \b
    Examples:
      oto-trio export --file export.json
      oto-trio export --ndjson --data oto-data > export.ndjson
    """  # noqa: D301 (click reads the \b)
    if file is not None and file.exists():
        raise click.ClickException(f"{file} is there already; remove it, or choose another")
    content = whole_of(**places).take(DUMP if ndjson else JSON)
    if file is None:
        click.echo(content, nl=False)
        return
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as opened:
            opened.write(content)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"exported to {file}")
