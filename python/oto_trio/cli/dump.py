"""`oto-trio dump`: every entity of a gateway as a folder of YAML, one file each."""

from __future__ import annotations

from pathlib import Path

import click

from oto_trio.cli.places import DEFAULT_PLACE, gather, with_key
from oto_trio.control.documents import KINDS as ROWS
from oto_trio.control.documents.folder import file_texts, stale_files, write_folder

__all__ = ["command"]

KINDS = [row.plural for row in ROWS]
_KIND = click.Choice(KINDS)


@click.command()
@click.argument("place", default=DEFAULT_PLACE)
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; it is made when it is not there.",
)
@click.option(
    "--kind", "kinds", metavar="KIND", multiple=True, type=_KIND, help="Only these. Repeatable."
)
@click.option(
    "--without", metavar="KIND", multiple=True, type=_KIND, help="All but these. Repeatable."
)
@click.option("--prune", is_flag=True, help="Remove the files of entities that are no more.")
@with_key
def command(
    place: str,
    out: Path,
    kinds: tuple[str, ...],
    without: tuple[str, ...],
    prune: bool,
    **key: str | None,
) -> None:
    """Write every entity of a gateway to a folder of YAML, one file each.

    PLACE is the URL of a running gateway's admin API (without one http://127.0.0.1:8081), the data folder of
    a gateway that is not running, the URL of a store, env:NAME for the environment variable that holds one, a
    configuration file or a folder of them.

    The folder is what `serve --config`, `check`, `lint` and `diff` read. The same entities always give the
    same files; what does not change is not written. Secrets of API keys, certificates and verifiers are
    among it, so files can be read by their owner only.

    \b
    Examples:
      oto-trio dump --out conf
      oto-trio dump http://127.0.0.1:8081 --out conf --without apikeys --without certificates
      oto-trio dump oto-data --out conf --prune

    Exit codes: 0 it worked, 1 it failed, 2 the command line is wrong, or the place cannot be read.
    """  # noqa: D301 (click reads the \b)
    gathered = gather(place, **key)
    errors = [str(p) for p in gathered.problems if p.severity == "error"]
    errors += [f"{item.where}: it cannot be read" for item in gathered.items if item.entity is None]
    if errors:
        raise click.ClickException("\n".join(errors))
    wanted = set(kinds or KINDS) - set(without)
    texts = file_texts(item for item in gathered.items if item.resource.plural in wanted)
    try:
        stale = [] if prune else stale_files(out, texts)
        if stale:
            raise click.ClickException(
                f"{out} has files of what is not dumped: {', '.join(stale)}; --prune removes them"
            )
        written = write_folder(out, texts)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error}") from None
    told = f"{len(written.changed)} written, {written.same} as they were"
    click.echo(f"{out}: {told}, {len(written.removed)} removed", err=True)
