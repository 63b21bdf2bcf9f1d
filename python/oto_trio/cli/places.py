"""Where `lint`, `dump` and `diff` get entities from: one word names the place.

A URL of HTTP is a running gateway's admin API, any other one a store that is opened here, without a gateway. A
folder with a store in it is the data folder of a gateway that is not running; any other folder is a tree of
configuration files; a file is one of them. ``env:NAME`` is what the environment variable holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import click
import msgspec

from oto_trio.app import STORE_FILE
from oto_trio.cli.admin_client import AdminClient
from oto_trio.cli.at_rest import is_store_url, named, store_at_rest
from oto_trio.control.admin_api.resources import VERSION
from oto_trio.control.config_files import read_config_file
from oto_trio.control.declared import read_declared
from oto_trio.control.documents import KINDS, Item, declared_items, item_of
from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.store.base import Snapshot
    from oto_trio.control.store.whole import CopiedStore

__all__ = [
    "DEFAULT_PLACE",
    "PLACES_HELP",
    "Gathered",
    "PlaceError",
    "admin_client_of",
    "gather",
    "with_key",
]

DEFAULT_PLACE: Final = "http://127.0.0.1:8081"
"""The admin API of a gateway on this machine."""

PLACES_HELP: Final = (
    "a configuration file, a folder of them, a data folder, or the URL of an admin API or a store"
)


class PlaceError(click.ClickException):
    """A place cannot be read: the command line names the wrong one, or the wrong key for it."""

    exit_code = 2


class Gathered(msgspec.Struct, frozen=True):
    """What a place holds.

    Attributes:
        name: The place as it may be shown; a URL without its key.
        items: The entities.
        problems: What is wrong with its files, and with entities that could not be read at all.
        plugins: The folder of user plugins that a configuration names.
    """

    name: str
    items: list[Item]
    problems: list[Problem]
    plugins: Path | None = None


def with_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that hold the key of an admin API."""
    for name, what in (("--client-secret", "Its secret."), ("--client-id", "Id of its key.")):
        text = f"{what}  [default: the well-known one; also http://ID:SECRET@host in the URL]"
        function = click.option(name, help=text)(function)
    return function


def gather(place: str, client_id: str | None, client_secret: str | None) -> Gathered:
    """Read the entities of a place.

    Args:
        place: What the command line says.
        client_id: Id of the admin API's key; a key in the URL wins.
        client_secret: Its secret.

    Raises:
        PlaceError: The place cannot be read.
    """
    try:
        said, place = place, named(place)
        if place.startswith(("http://", "https://")):
            return _of_gateway(place, client_id, client_secret)
        path = Path(place)
        if is_store_url(place) or (path / STORE_FILE).is_file():
            return _of_store(said)
        if not path.exists():
            raise click.ClickException(f"there is no {place}; name {PLACES_HELP}")
        return _of_files(path)
    except click.ClickException as error:
        raise PlaceError(error.message) from None


def _of_files(path: Path) -> Gathered:
    """Read a configuration file, or a folder of them."""
    file = read_config_file(path)
    declarations, problems = read_declared(file)
    named: object = file.settings.get("plugins")
    folder = Path(named) if isinstance(named, str) and Path(named).is_dir() else None
    items = declared_items(declarations, str(path))
    return Gathered(str(path), items, [*file.problems, *problems], folder)


def _of_store(place: str) -> Gathered:
    """Read a store that is opened here: of a data folder, or behind a URL."""
    resting = store_at_rest(place, called="PLACE")
    name, snapshot = resting.run(_snapshot, running="of a running gateway, name its URL")
    if isinstance(resting.place, Path):
        name = resting.shown
    rows = {row.store_kind: row for row in KINDS}
    items = [
        item_of(
            rows[record.kind],
            json.loads(record.document),
            f"{name}: {rows[record.kind].plural} {record.id}",
        )
        for record in snapshot.records
    ]
    return Gathered(name, items, [], resting.plugins)


async def _snapshot(store: CopiedStore) -> tuple[str, Snapshot]:
    return store.name, await store.snapshot([row.store_kind for row in KINDS])


def admin_client_of(url: str, client_id: str | None, client_secret: str | None) -> AdminClient:
    """Return what asks the admin API at a URL; a key in the URL wins.

    Raises:
        ClickException: It is no URL.
    """
    try:
        parts = urlsplit(url)
        host, user, secret = parts.netloc.rpartition("@")[2], parts.username, parts.password
    except ValueError:
        raise click.ClickException("this is no URL; write it like http://127.0.0.1:8081") from None
    base = urlunsplit((parts.scheme, host, parts.path, "", "")).rstrip("/")
    return AdminClient(
        base,
        client_id if user is None else unquote(user),
        client_secret if secret is None else unquote(secret),
        instead="a file or a folder works without one",
    )


def _of_gateway(url: str, client_id: str | None, client_secret: str | None) -> Gathered:
    """Ask the admin API of a running gateway; of Otoroshi too, for the paths are its own."""
    api = admin_client_of(url, client_id, client_secret)
    base = api.base
    items: list[Item] = []
    for row in KINDS:
        generic = f"/apis/{row.group}/{VERSION}/{row.plural}"
        path = generic if row.legacy_path is None else row.legacy_path
        if row.only_id is not None:
            only = api.ask(path, may_lack=True)
            found = [] if only is None else [only]
        else:
            found = list(api.walk(path, may_lack=True))
        for raw in found:
            if row.legacy_path is None and raw.get("kind") == row.full_kind:
                del raw["kind"]  # the generic dialect adds it
            item = item_of(row, raw, "")
            items.append(msgspec.structs.replace(item, where=f"{base}{path}/{item.id}"))
    return Gathered(base, items, [])
