"""`oto-trio store`: stores as a whole."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from oto_trio.cli.at_rest import StoreAtRest, named, run_expecting, store_at_rest
from oto_trio.cli.bring_in import told_changes
from oto_trio.control.admin_api.full_import import read_dump
from oto_trio.control.admin_api.import_plan import plan_import
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.checking import check_entity
from oto_trio.control.store.whole import CopyError, copy_store
from oto_trio.model.errors import StoreError
from oto_trio.plugin_api.registry import discover

__all__ = ["command"]

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
    source_value, target_value = named(source), named(target)
    if source_value == target_value:
        raise click.UsageError("FROM and TO are the same")
    if target_value.startswith(OTOROSHI):
        raise click.UsageError("Otoroshi's database is only read; name another TO")
    filled = store_at_rest(target, called="TO", is_there=False)
    if source_value.startswith(OTOROSHI):
        work = partial(_bring_in, source_value, filled, replace=replace)
    else:
        work = partial(_copy, _source(source), filled, replace=replace)
    try:
        run_expecting(work, ApiError, CopyError)
    except (ApiError, StoreError, CopyError) as error:
        raise click.ClickException(_message(error)) from None


def _message(error: Exception) -> str:
    """Say what went wrong; of a refused import, one problem a line."""
    if isinstance(error, ApiError):
        said = error.description
        return said if isinstance(said, str) else "\n".join(said)
    return str(error)


def _source(text: str) -> StoreAtRest:
    """Find the store to copy; one that is not there is a wrong command line."""
    try:
        return store_at_rest(text, called="FROM")
    except click.UsageError:
        raise
    except click.ClickException as error:
        raise click.UsageError(error.message) from None


async def _copy(source: StoreAtRest, target: StoreAtRest, *, replace: bool) -> None:
    """Copy from store to store."""
    async with await source.open() as taken, await target.open() as filled:
        whole = await copy_store(taken, filled, replace=replace, progress=click.echo)
    for kind, count in whole.counts.items():
        click.echo(f"  {count:>9,}  {kind}")
    click.echo(f"copied up to revision {whole.revision}")


async def _bring_in(source: str, target: StoreAtRest, *, replace: bool) -> None:
    """Copy from Otoroshi's Redis."""
    # The library of Redis is an extra.
    from oto_trio.control.store.otoroshi_redis import read_otoroshi  # noqa: PLC0415

    click.echo("reading the database of Otoroshi")
    dump = await read_dump(await read_otoroshi(source))
    registry = discover()
    async with await target.open() as filled:
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
