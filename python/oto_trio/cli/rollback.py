"""`oto-trio rollback`: bring the configuration of a revision back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import click

from oto_trio.cli.at_rest import PLUGINS
from oto_trio.cli.changes import (
    CHANGES_CODE,
    Shown,
    change_options,
    detailed_codes,
    entity_lines,
    traffic_lines,
)
from oto_trio.cli.places import DEFAULT_PLACE, with_key
from oto_trio.cli.store_client import client_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command()
@click.argument("revision")
@click.argument("place", default=DEFAULT_PLACE)
@click.option(
    "--kind", "kinds", metavar="KIND", multiple=True, help="Only these, such as routes. Repeatable."
)
@change_options
@PLUGINS
@with_key
def command(  # noqa: PLR0913, PLR0917 (one for each option)
    revision: str,
    place: str,
    kinds: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    message: str,
    detailed: bool,
    client_id: str | None,
    client_secret: str | None,
    plugins: Path | None,
) -> None:
    """Bring the configuration of a revision back, all of it or nothing, as a new revision.

    REVISION is a number, or the name of a tag. PLACE is the URL of a running gateway's admin API (without one
    http://127.0.0.1:8081), the data folder of a gateway that is not running, the URL of a store, or env:NAME for the
    environment variable that holds one.

    What changes is printed first, with what it means for requests. Sessions and tags stay as they are.

    \b
    Examples:
      oto-trio rollback 12 --dry-run
      oto-trio rollback release-3 --yes --message 'the new backends lose requests'
      oto-trio rollback 12 oto-data --kind routes

    Exit codes: 0 it worked, or there was nothing to do; 1 it failed, or was not wanted; 2 the command line is
    wrong, or the place cannot be read. With --detailed-exitcode: 0 nothing to change, 2 changed or to be
    changed, 1 it failed.
    """  # noqa: D301 (click reads the \b)
    with detailed_codes(is_wanted=detailed):
        api = client_of(place, client_id, client_secret, message=message, plugins=plugins)
        base = f"/api/history/{quote(revision, safe='')}/_rollback"
        chosen = {"kinds": ",".join(kinds)} if kinds else {}
        shown = Shown(is_sure=yes)

        def attempt() -> bool:
            told = api.ask(f"{base}?{urlencode({**chosen, 'dry_run': 'true'})}", verb="POST")
            lines = entity_lines(told["entities"], told["entities_left_out"])
            shown.show([*lines, *traffic_lines(told["traffic"])])
            if not told["entities"]:
                click.echo(f"nothing to do: it is as it was at revision {told['to']}")
                return False
            if dry_run:
                click.echo("nothing was changed (--dry-run)")
                return True
            shown.confirm(f"Bring revision {told['to']} back?")
            query = {**chosen, "at": told["revision"], **({"message": message} if message else {})}
            done = api.ask(f"{base}?{urlencode(query)}", verb="POST")
            click.echo(f"revision {told['to']} is back, as revision {done['revision']}")
            return True

        is_changed = shown.until_settled(attempt)
    if detailed and is_changed:
        raise click.exceptions.Exit(CHANGES_CODE)
