"""`oto-trio import`: the whole configuration out of a file."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from oto_trio.cli.at_rest import PLUGINS
from oto_trio.cli.whole import DUMP, JSON, place_options, whole_of

__all__ = ["command", "told_changes"]

MOST_IDS: Final = 10
"""Ids that are shown of one kind of change."""


@click.command(name="import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--strict", is_flag=True, help="Let warnings refuse it, too.")
@place_options
@PLUGINS
def command(file: Path, dry_run: bool, strict: bool, **places: Any) -> None:
    """Replace the whole configuration by a full export, Otoroshi's or ours, JSON or raw dump.

    What the export does not hold is removed. It is all or nothing: when any entity cannot be served, every
    problem is shown and nothing is changed. What changes is printed first.

    \b
    Examples:
      oto-trio import export.json --dry-run
      oto-trio import export.json --data oto-data
      oto-trio import export.json --data redis://redis.example.com/0 --plugins plugins
    """  # noqa: D301 (click reads the \b)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
    form = DUMP if _is_dump(content) else JSON
    whole = whole_of(**places)
    told = whole.put(content, form, is_strict=strict, is_dry=True)
    for line in told_changes(told):
        click.echo(line)
    if dry_run:
        click.echo("nothing was changed (--dry-run)")
        return
    done = whole.put(content, form, is_strict=strict, is_dry=False)
    click.echo(f"imported as revision {done['revision']}")


def _is_dump(content: bytes) -> bool:
    """Tell the raw dump from JSON by its first line, which is an object with a key."""
    first = content.lstrip().partition(b"\n")[0]
    try:
        line: object = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(line, dict) and "k" in line


def told_changes(told: dict[str, Any]) -> Iterable[str]:
    """Say what an import changes, a line for each kind."""
    changes: dict[str, dict[str, Any]] = told["changes"]
    for key, change in changes.items():
        parts = [
            _counted(word, change[word])
            for word in ("created", "updated", "deleted")
            if change[word]
        ]
        if change["unchanged"]:
            parts.append(f"{change['unchanged']} unchanged")
        yield f"{key}: {', '.join(parts)}"
    for key, count in told["kept"].items():
        yield f"kept, but not served by this version: {count} of {key}"
    for key, count in told["left_out"].items():
        yield f"left out: {count} of {key}"
    for warning in told["warnings"]:
        yield f"warning: {warning}"


def _counted(word: str, ids: Sequence[str]) -> str:
    """Say how many there are, and name the first."""
    more = f", and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
    return f"{len(ids)} {word} ({', '.join(ids[:MOST_IDS])}{more})"
