"""`oto-trio store`: stores as a whole."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final, cast

import click
import trio

from oto_trio.app import STORE_FILE
from oto_trio.cli.bring_in import told_changes
from oto_trio.control.admin_api.full_import import read_dump
from oto_trio.control.admin_api.import_plan import plan_import
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.checking import check_entity
from oto_trio.control.store.opening import open_store, store_url_problem
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.control.store.whole import CopiedStore, CopyError, copy_store
from oto_trio.model.errors import StoreError
from oto_trio.plugin_api.registry import discover

__all__ = ["command"]

VARIABLE: Final = "env:"
"""What a place begins with that is named by an environment variable."""

OTOROSHI: Final = "otoroshi+"


@click.group()
def command() -> None:
    """Work with stores as a whole.

    \b
    Examples:
      oto-trio store copy oto-data postgresql://oto@db.example.com/oto
      oto-trio store copy env:OLD_STORE env:NEW_STORE --replace
      oto-trio store copy otoroshi+redis://redis.example.com/0 oto-data
    """  # noqa: D301 (click reads the \b)


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--replace", is_flag=True, help="Remove what TO holds.")
def copy(source: str, target: str, *, replace: bool) -> None:
    """Copy everything that a store holds into another one: entities, counters and history.

    FROM and TO are a data folder, the file of an embedded store, the URL of a store as --store of `serve`
    takes it, or env:NAME for the environment variable that holds a URL with a password. FROM may also be
    the Redis database of an Otoroshi, otoroshi+redis://…; its entities are checked as `import` does it.

    No gateway may use either of them meanwhile. TO must be empty, unless --replace is given. What was
    written is read back and compared.

    \b
    Exit codes: 0 copied, 1 not copied, 2 the command line is wrong.
    """  # noqa: D301 (click reads the \b)
    source, target = _named(source), _named(target)
    if source == target:
        raise click.UsageError("FROM and TO are the same")
    if target.startswith(OTOROSHI):
        raise click.UsageError("Otoroshi's database is only read; name another TO")
    filled = _place(target, is_source=False)
    if source.startswith(OTOROSHI):
        work = partial(_bring_in, source, filled, replace=replace)
    else:
        work = partial(_copy, _place(source, is_source=True), filled, replace=replace)
    try:
        trio.run(work)
    except (ApiError, StoreError, CopyError) as error:
        raise click.ClickException(_message(error)) from None
    except ExceptionGroup as group:
        expected = _expected(group)
        if expected is None:
            raise
        raise click.ClickException(_message(expected)) from None


def _message(error: Exception) -> str:
    """Say what went wrong; of a refused import, one problem a line."""
    if isinstance(error, ApiError):
        said = error.description
        return said if isinstance(said, str) else "\n".join(said)
    return str(error)


def _expected(group: ExceptionGroup[Exception]) -> Exception | None:
    """Return the first error in a group that is ours."""
    ours = group.subgroup((ApiError, StoreError, CopyError))
    while ours is not None:
        first = ours.exceptions[0]
        if not isinstance(first, ExceptionGroup):
            return first
        ours = cast("ExceptionGroup[Exception]", first)
    return None


def _named(place: str) -> str:
    """Return a place; the value of a variable for one that is named by it."""
    if not place.startswith(VARIABLE):
        return place
    name = place.removeprefix(VARIABLE)
    value = os.environ.get(name)
    if not value:
        raise click.UsageError(f"the environment variable {name} is not set")
    return value


def _place(text: str, *, is_source: bool) -> str | Path:
    """Return the URL or the file of a store.

    Raises:
        UsageError: The text names none.
    """
    if text.startswith(OTOROSHI):
        return text
    if "://" not in text:
        path = Path(text)
        path = path / STORE_FILE if path.is_dir() or not path.suffix else path
        if is_source and not path.is_file():
            raise click.UsageError(f"FROM: there is no store at {path}")
        return path
    problem = store_url_problem(text)
    if problem is not None:
        raise click.UsageError(f"{'FROM' if is_source else 'TO'}: {'; '.join(problem)}")
    if text.lower().startswith("memory:"):
        raise click.UsageError("memory:// keeps nothing; name a store that does")
    return text


async def _open(place: str | Path) -> CopiedStore:
    """Open a store.

    Raises:
        StoreError: It cannot be opened.
    """
    if isinstance(place, Path):
        return await SqliteStore.open(place)
    return cast("CopiedStore", await open_store(place, Path(STORE_FILE)))


async def _copy(source: str | Path, target: str | Path, *, replace: bool) -> None:
    """Copy from store to store."""
    async with await _open(source) as taken, await _open(target) as filled:
        whole = await copy_store(taken, filled, replace=replace, progress=click.echo)
    for kind, count in whole.counts.items():
        click.echo(f"  {count:>9,}  {kind}")
    click.echo(f"copied up to revision {whole.revision}")


async def _bring_in(source: str, target: str | Path, *, replace: bool) -> None:
    """Copy from Otoroshi's Redis."""
    # The library of Redis is an extra.
    from oto_trio.control.store.otoroshi_redis import read_otoroshi  # noqa: PLC0415

    click.echo("reading the database of Otoroshi")
    dump = await read_dump(await read_otoroshi(source))
    registry = discover()
    async with await _open(target) as filled:
        if not replace and (filled.revision or await filled.load_blobs("")):
            raise CopyError(
                f"{filled.name} is at revision {filled.revision}, not empty; give --replace to replace "
                "its configuration, or name another target"
            )
        plan = await plan_import(dump, filled, lambda entity: check_entity(entity, registry, {}))
        for line in told_changes(plan.told()):
            click.echo(line)
        revision = await filled.transact(plan.writes)
        there = {(write.kind, write.id) for write in plan.writes}
        found = await filled.snapshot(sorted({kind for kind, _ in there}))
        kept = sum((record.kind, record.id) in there for record in found.records)
    click.echo(f"copied {kept} entities as revision {revision}")
