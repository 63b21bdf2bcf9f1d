"""`oto-trio history`: the revisions of a gateway's configuration, what they changed, and their names."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import click

from oto_trio.cli.changes import entity_lines, traffic_lines
from oto_trio.cli.places import DEFAULT_PLACE, with_key
from oto_trio.cli.store_client import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.cli.admin_client import AdminClient

__all__ = ["command"]

PAGE = 1000

_AGO: Final = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@click.command()
@click.argument("place", default=DEFAULT_PLACE)
@click.option(
    "--limit", default=20, show_default=True, help="Revisions shown.", type=click.IntRange(1)
)
@click.option(
    "--entity", metavar="KIND[/ID]", help="Only what changed these: routes, routes/users."
)
@click.option("--actor", metavar="WHO", help="Only what this key or user changed.")
@click.option(
    "--since", "from_time", metavar="TIME", help="Only from this time on: 2026-03-01, 3d."
)
@click.option("--until", "to_time", metavar="TIME", help="Only what is older than this time.")
@click.option("--show", metavar="REVISION", help="Show what one revision changed.")
@click.option("--diff", "since", metavar="REVISION", help="Show what changed since a revision, ...")
@click.option("--to", "until", metavar="REVISION", help="... up to this one.  [default: now]")
@click.option("--tag", metavar="NAME", help="Name a revision, the latest or that of --show.")
@click.option("--untag", metavar="NAME", help="Forget the name of a revision.")
@click.option("--tags", "wants_tags", is_flag=True, help="List the names of revisions.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON of the admin API.")
@with_key
def command(  # noqa: PLR0913, PLR0917 (one for each option)
    place: str,
    limit: int,
    entity: str | None,
    actor: str | None,
    from_time: str | None,
    to_time: str | None,
    show: str | None,
    since: str | None,
    until: str | None,
    tag: str | None,
    untag: str | None,
    wants_tags: bool,
    as_json: bool,
    client_id: str | None,
    client_secret: str | None,
) -> None:
    """Show the revisions of a gateway's configuration, what they changed, and what that means for requests.

    PLACE is the URL of a running gateway's admin API (without one http://127.0.0.1:8081), the data folder of a
    gateway that is not running, the URL of a store, or env:NAME for the environment variable that holds one. A REVISION is a number, the name of a tag, or latest. A TIME is in ISO 8601,
    UTC unless it says otherwise, or so many minutes, hours or days ago: 30m, 12h, 7d.

    \b
    Examples:
      oto-trio history
      oto-trio history oto-data --show 12
      oto-trio history --diff release-3
      oto-trio history --diff 12 --to 17
      oto-trio history --entity routes/users --since 7d
      oto-trio history --tag release-4

    Exit codes: 0 it worked, 1 it failed, 2 the command line is wrong, or the place cannot be read.
    """  # noqa: D301 (click reads the \b)
    if sum(word is not None for word in (since, tag or show, untag)) + wants_tags > 1:
        raise click.UsageError("ask for one thing: --show, --diff, --tag, --untag or --tags")
    if until is not None and since is None:
        raise click.UsageError("--to says where --diff ends; give --diff too")
    search = {
        "entity": entity,
        "actor": actor,
        "since": _time("--since", from_time),
        "until": _time("--until", to_time),
    }
    query = {name: text for name, text in search.items() if text}
    if query and any((show, since, tag, untag, wants_tags)):
        raise click.UsageError("--entity, --actor, --since and --until choose what is listed")
    api = client_of(place, client_id, client_secret)
    if tag is not None:
        body = {"revision": show or "latest"}
        told = api.ask(f"/api/history/tags/{_quoted(tag)}", verb="PUT", body=body)
        lines = [f"{told['name']} is revision {told['revision']}"]
    elif untag is not None:
        told = api.ask(f"/api/history/tags/{_quoted(untag)}", verb="DELETE")
        lines = [f"{untag} is no name any more"]
    elif wants_tags:
        told = api.ask("/api/history/tags")
        lines = list(_tag_lines(told))
    elif show is not None:
        told = _whole(api, show)
        lines = [*_revision_lines(told), *entity_lines(told["entities"])]
    elif since is not None:
        end = urlencode({"to": until or "now"})
        told = api.ask(f"/api/history/{_quoted(since)}/_diff?{end}")
        lines = [
            *entity_lines(told["entities"], told["entities_left_out"]),
            *traffic_lines(told["traffic"]),
        ]
    else:
        told = _listed(api, limit, query)
        lines = [line for revision in told for line in _revision_lines(revision)]
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(lines))


def _quoted(text: str) -> str:
    """Make a text a segment of a path."""
    return quote(text, safe="")


def _time(option: str, text: str | None) -> str | None:
    """Read a time: of so long ago, or as it is written."""
    ago = _AGO.fullmatch(text or "")
    if ago is None:
        return text
    try:
        then = datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
    except OverflowError:
        raise click.UsageError(f"{option} {text}: nothing is as old as that") from None
    return then.isoformat().replace("+00:00", "Z")


def _listed(api: AdminClient, limit: int, search: dict[str, str]) -> list[dict[str, Any]]:
    """Read the newest revisions, of those that are looked for."""
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        size = min(limit - len(found), PAGE)
        query: dict[str, Any] = {**search, "pageSize": size}
        if found:
            query["before"] = found[-1]["revision"]
        some = api.ask(f"/api/history?{urlencode(query)}")
        found += some
        if len(some) < size:
            break
    return found


def _whole(api: AdminClient, revision: str) -> dict[str, Any]:
    """Read a revision with all it changed."""
    base = f"/api/history/{_quoted(revision)}?pageSize={PAGE}"
    told: dict[str, Any] = api.ask(base)
    page = 1
    while page * PAGE < told["changes"]:
        page += 1
        told["entities"] += api.ask(f"{base}&page={page}")["entities"]
    return told


def _revision_lines(revision: dict[str, Any]) -> Iterator[str]:
    """Show a revision."""
    tags = f"  [{', '.join(revision['tags'])}]" if revision["tags"] else ""
    count = revision["changes"]
    changes = f"{count} change" if count == 1 else f"{count} changes"
    actor = revision["actor"] or "-"
    yield f"{revision['revision']:>6}  {revision['at']}  {actor}  {changes}{tags}"
    if revision["message"]:
        yield f"        {revision['message']}"


def _tag_lines(tags: list[dict[str, Any]]) -> Iterator[str]:
    for tag in tags:
        lost = "" if tag["is_remembered"] else "  (not remembered any more)"
        yield f"{tag['name']}  revision {tag['revision']}  {tag['tagged_at']}{lost}"
