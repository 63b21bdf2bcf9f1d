"""`oto-trio apply`: bring the entities of files to a gateway, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import click
import msgspec

from oto_trio.cli.at_rest import PLUGINS
from oto_trio.cli.changes import (
    CHANGES_CODE,
    Shown,
    change_options,
    detailed_codes,
    entity_lines,
    traffic_lines,
)
from oto_trio.cli.places import DEFAULT_PLACE, Gathered, gather, with_key
from oto_trio.cli.store_client import client_of
from oto_trio.control.admin_route import ADMIN_GROUP, ADMIN_ROUTE
from oto_trio.control.documents.difference import undated
from oto_trio.control.history.meaning import TRAFFIC_KINDS, Traffic, compare_traffic
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.organization import TENANTS
from oto_trio.model.service_group import SERVICE_GROUPS
from oto_trio.model.team import TEAMS
from oto_trio.plugin_api.registry import discover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from oto_trio.cli.admin_client import AdminClient
    from oto_trio.control.documents import Item

__all__ = ["command"]

OUTCOMES: Final = ("created", "updated", "deleted")

OWN: Final = frozenset(
    {
        (ROUTES, ADMIN_ROUTE),
        *((kind, "default") for kind in (SERVICE_GROUPS, TENANTS, TEAMS)),
        (SERVICE_GROUPS, ADMIN_GROUP),
    }
)
"""What a gateway makes at its first start, and is never pruned."""


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("place", default=DEFAULT_PLACE)
@click.option(
    "--kind", "kinds", metavar="KIND", multiple=True, help="Only these, such as routes. Repeatable."
)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove what FROM does not have, of the kinds that it has or --kind names.",
)
@change_options
@PLUGINS
@with_key
def command(  # noqa: PLR0913, PLR0917 (one for each option)
    source: str,
    place: str,
    kinds: tuple[str, ...],
    prune: bool,
    dry_run: bool,
    yes: bool,
    message: str,
    detailed: bool,
    client_id: str | None,
    client_secret: str | None,
    plugins: Path | None,
) -> None:
    """Bring the entities of files to a gateway: all of them or none, as one revision.

    FROM is a configuration file or a folder of them; PLACE the URL of a running gateway's admin API (without
    one http://127.0.0.1:8081), the data folder of a gateway that is not running, the URL of a store, or env:NAME for
    the environment variable that holds one.

    What changes is printed first, by field, with what it means for requests. What is there already as FROM
    has it is left alone; what FROM does not have stays, unless --prune removes it.

    \b
    Examples:
      oto-trio apply conf --dry-run
      oto-trio apply conf http://127.0.0.1:8081 --yes --message 'release 4'
      oto-trio apply routes.yaml oto-data --prune

    Exit codes: 0 it worked, or there was nothing to do; 1 it failed, or was not wanted; 2 the command line is
    wrong, or a place cannot be read. With --detailed-exitcode: 0 nothing to change, 2 changed or to be
    changed, 1 it failed.
    """  # noqa: D301 (click reads the \b)
    with detailed_codes(is_wanted=detailed):
        files = _wanted(gather(source, client_id, client_secret), kinds)
        application = _Application(
            files,
            client_of(place, client_id, client_secret, message=message, plugins=plugins),
            lambda: gather(place, client_id, client_secret).items,
            Shown(is_sure=yes),
            kinds=frozenset(kinds) if prune else None,
            message=message,
            is_dry=dry_run,
        )
        is_changed = application.shown.until_settled(application.attempt)
    if detailed and is_changed:
        raise click.exceptions.Exit(CHANGES_CODE)


class _Application:
    """Brings files to a place.

    Args:
        files: What is to be there.
        api: Where.
        stored: Reads what is there.
        shown: Tells what would change.
        kinds: What is not in the files goes, of these kinds or, when there are none, of those that they have;
            None = it stays.
        message: Why.
        is_dry: Whether nothing is to be changed.
    """

    def __init__(
        self,
        files: list[Item],
        api: AdminClient,
        stored: Callable[[], list[Item]],
        shown: Shown,
        *,
        kinds: frozenset[str] | None,
        message: str,
        is_dry: bool,
    ) -> None:
        self.shown = shown
        self._files = files
        self._api = api
        self._stored = stored
        self._kinds = kinds
        self._message = message
        self._is_dry = is_dry

    def attempt(self) -> bool:
        """Look, show, ask, and change what was looked at; returns whether there was anything to change.

        Raises:
            OutdatedError: Somebody else changed it meanwhile; nothing was done.
        """
        # Asked for before anything is read, so that what is read is at least as new.
        at = _apply(self._api, [], {"dry_run": "true"})["revision"]
        stored = self._stored()
        gone = [] if self._kinds is None else _gone(self._files, stored, set(self._kinds))
        wanted = _different(self._files, stored)
        body = _body(wanted, gone)
        told = _apply(self._api, body, {"dry_run": "true", "at": at})
        told["unchanged"] += len(self._files) - len(wanted)
        changed = list(_changed(told["results"], [*wanted, *gone]))
        if self.shown.show(
            [*entity_lines(changed), *traffic_lines(_traffic(stored, wanted, gone))]
        ):
            for warning in told["warnings"]:
                click.echo(f"warning: {warning}", err=True)
        if not changed:
            click.echo(f"nothing to do: {told['unchanged']} entities are as they should be")
            return False
        counts = ", ".join(f"{told[outcome]} {outcome}" for outcome in (*OUTCOMES, "unchanged"))
        if self._is_dry:
            click.echo(f"{counts}; nothing was changed (--dry-run)")
            return True
        self.shown.confirm(f"{counts}. Apply?")
        why = {"message": self._message} if self._message else {}
        done = _apply(self._api, body, {"at": at, **why})
        click.echo(f"{counts}; applied as revision {done['revision']}")
        return True


def _body(wanted: Iterable[Item], gone: Iterable[Item]) -> list[dict[str, Any]]:
    """Make what is sent."""
    body = [{**item.document, "kind": item.resource.full_kind} for item in wanted]
    for item in gone:
        names = {"kind": item.resource.full_kind, item.resource.id_key: item.id}
        body.append({**names, "_action": "delete"})
    return body


def _wanted(gathered: Gathered, kinds: tuple[str, ...]) -> list[Item]:
    """Return what is to be there; every one of it must be readable."""
    errors = [str(p) for p in gathered.problems if p.severity == "error"]
    errors += [
        f"{item.where}: {problem}"
        for item in gathered.items
        for problem in item.problems
        if problem.severity == "error"
    ]
    if errors:
        raise click.ClickException("\n".join(errors))
    return [item for item in gathered.items if not kinds or item.resource.plural in kinds]


def _different(wanted: Iterable[Item], stored: Iterable[Item]) -> list[Item]:
    """Return what is not there as it is wanted: the API need not be asked to leave the rest alone.

    It would refuse some of it, such as administrators, whatever is to be done to them.
    """
    known = {(item.resource.plural, item.id): undated(item.document) for item in stored}
    return [
        item
        for item in wanted
        if known.get((item.resource.plural, item.id)) != undated(item.document)
    ]


def _gone(wanted: Iterable[Item], stored: Iterable[Item], kinds: set[str]) -> list[Item]:
    """Return what is there and is not wanted, of the kinds that are spoken of."""
    keys = {(item.resource.plural, item.id) for item in wanted}
    of = kinds or {plural for plural, _ in keys}
    return [
        item
        for item in stored
        if item.resource.plural in of
        and not _is_own(item)
        and (item.resource.plural, item.id) not in keys
    ]


def _is_own(item: Item) -> bool:
    """Tell whether the gateway cannot do without an entity: it makes it itself, or is managed by it."""
    if item.resource.only_id is not None or (item.resource.store_kind, item.id) in OWN:
        return True
    authorized: object = item.document.get("authorizedEntities")
    return isinstance(authorized, list) and f"group_{ADMIN_GROUP}" in authorized


def _apply(api: AdminClient, body: list[dict[str, Any]], query: dict[str, Any]) -> dict[str, Any]:
    """Send everything."""
    told: dict[str, Any] = api.ask(f"/apis/_apply?{urlencode(query)}", verb="POST", body=body)
    return told


def _changed(results: list[dict[str, Any]], items: list[Item]) -> Iterator[dict[str, Any]]:
    """Return what became of the entities that change, as all commands show it."""
    for result in results:
        outcome = next((word for word in OUTCOMES if result.get(word)), None)
        if outcome is not None:
            place: int = result["document"]
            yield {
                "change": outcome,
                "kind": items[place].resource.plural,
                "id": result["id"],
                "fields": result.get("diff", []),
                "fields_left_out": result.get("diff_left_out", 0),
            }


def _traffic(
    stored: Iterable[Item], wanted: Iterable[Item], gone: Iterable[Item]
) -> dict[str, Any] | None:
    """Say what it means for requests; None when nothing that decides about them is spoken of."""
    before = _documents(stored)
    after = {**before, **_documents(wanted)}
    for item in gone:
        after.pop((item.resource.store_kind, item.id), None)
    if before == after:
        return None
    registry = discover()
    meaning = compare_traffic(Traffic(before, registry), Traffic(after, registry))
    told: dict[str, Any] = msgspec.to_builtins(meaning)
    return told


def _documents(items: Iterable[Item]) -> dict[tuple[str, str], bytes]:
    return {
        (item.resource.store_kind, item.id): msgspec.json.encode(item.document)
        for item in items
        if item.resource.store_kind in TRAFFIC_KINDS
    }
