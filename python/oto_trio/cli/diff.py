"""`oto-trio diff`: what differs between two places, by entity and field."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec
from msgspec import UNSET

from oto_trio.cli.places import Gathered, PlaceError, gather, with_key
from oto_trio.control.documents.difference import Difference, differences

__all__ = ["command"]

SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option(
    "--kind",
    "kinds",
    metavar="KIND",
    multiple=True,
    help="Compare only these kinds, such as routes. Repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints one list of entities that differ.",
)
@with_key
def command(before: str, after: str, kinds: tuple[str, ...], form: str, **key: str | None) -> None:
    """Show what differs between two places, by entity and field.

    A and B are each a configuration file, a folder of them, the data folder of a gateway that is not
    running, the URL of a running gateway's admin API or of a store, or env:NAME for the variable that holds one. What one writes in a short form and the other in
    full is the same. Secrets are never shown, only that they differ.

    \b
    Examples:
      oto-trio diff http://127.0.0.1:8081 conf/
      oto-trio diff conf-before/ conf/ --kind routes --format json
      oto-trio diff http://ID:SECRET@staging:8081 http://ID:SECRET@production:8081

    Exit codes: 0 nothing differs, 1 something does, 2 the command line is wrong, or a place cannot be read.
    """  # noqa: D301 (click reads the \b)
    found = differences(*(_items(place, kinds, key) for place in (before, after)))
    if form == "json":
        click.echo(msgspec.json.encode(found).decode())
    else:
        for difference in found:
            click.echo("\n".join(_lines(difference)))
    if found:
        raise click.exceptions.Exit(1)


def _items(place: str, kinds: tuple[str, ...], key: dict[str, str | None]) -> list[Any]:
    """Read a place; what cannot be read whole cannot be compared."""
    gathered: Gathered = gather(place, **key)
    errors = [p for p in gathered.problems if p.severity == "error"]
    if errors:
        raise PlaceError("\n".join(f"{gathered.name}: {problem}" for problem in errors))
    return [item for item in gathered.items if not kinds or item.resource.plural in kinds]


def _lines(difference: Difference) -> list[str]:
    """Show an entity that differs."""
    lines = [f"{SIGNS[difference.change]} {difference.kind} {difference.id}"]
    for field in difference.fields:
        lines += [f"    {field.path}"]
        lines += [f"      - {_value(field.before)}"] if field.before is not UNSET else []
        lines += [f"      + {_value(field.after)}"] if field.after is not UNSET else []
    return lines


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
