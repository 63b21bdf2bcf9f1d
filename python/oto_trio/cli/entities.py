"""Where a command gets entities from: a configuration file, a store at rest, or a running gateway."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import click
import msgspec

from oto_trio.cli.admin_client import AdminClient
from oto_trio.cli.at_rest import store_at_rest
from oto_trio.control.config_files import read_config_file
from oto_trio.control.declared import read_declared
from oto_trio.control.store.base import Snapshot
from oto_trio.control.store.whole import CopiedStore
from oto_trio.gateway.compile import DERIVED_KINDS
from oto_trio.gateway.installer import BACKENDS, GLOBAL_CONFIG, KINDS, ROUTES
from oto_trio.model.backend import Backend, read_backend
from oto_trio.model.document import write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.global_config import GlobalConfig, read_global_config
from oto_trio.model.route import Route, read_route
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS

__all__ = [
    "Entities",
    "from_admin_api",
    "from_config",
    "from_data",
]

T = TypeVar("T")

_LISTS: Final = {
    SERVICE_DESCRIPTORS: "/api/services",
    ROUTE_COMPOSITIONS: "/api/route-compositions",
}
"""Where the admin API lists what becomes routes, by kind."""


class Entities(msgspec.Struct, frozen=True):
    """The entities that decide what becomes of a request.

    Attributes:
        routes: The routes.
        backends: The stored backends by id.
        global_config: The global config; None when there is none.
        others: Kind and document of what becomes routes: services and compositions.
    """

    routes: list[Route]
    backends: Mapping[str, Backend]
    global_config: GlobalConfig | None
    others: Sequence[tuple[str, object]] = ()


def from_config(path: Path) -> Entities:
    """Read the entities that a configuration file declares.

    Raises:
        ClickException: The file, or an entity in it, cannot be read.
    """
    file = read_config_file(path)
    declarations, problems = read_declared(file)
    errors = [p for p in (*file.problems, *problems) if p.severity == "error"]
    if errors:
        raise click.ClickException("\n".join(f"{path}: {problem}" for problem in errors))
    entities = [declaration.entity for declaration in declarations]
    return Entities(
        [entity for entity in entities if isinstance(entity, Route)],
        {entity.id: entity for entity in entities if isinstance(entity, Backend)},
        next((entity for entity in entities if isinstance(entity, GlobalConfig)), None),
        [
            (declaration.kind, write_document(declaration.entity))
            for declaration in declarations
            if declaration.kind in DERIVED_KINDS
        ],
    )


def from_data(text: str) -> Entities:
    """Read the entities in a store that is opened without a gateway.

    Args:
        text: The value of ``--data``.

    Raises:
        UsageError: It names no store.
        ClickException: There is no store, or it cannot be read; a running gateway holds it.
    """
    snapshot = store_at_rest(text, called="--data").run(
        _read_store,
        running="of a running gateway, ask the admin API: --admin http://127.0.0.1:8081",
    )
    documents: dict[str, list[object]] = {kind: [] for kind in KINDS}
    for record in snapshot.records:
        documents[record.kind].append(json.loads(record.document))
    configs = documents[GLOBAL_CONFIG]
    others = [(kind, document) for kind in DERIVED_KINDS for document in documents[kind]]
    config = configs[0] if configs else None
    return _entities(documents[ROUTES], documents[BACKENDS], config, others)


async def _read_store(store: CopiedStore) -> Snapshot:
    return await store.snapshot(KINDS)


def from_admin_api(url: str, client_id: str | None, client_secret: str | None) -> Entities:
    """Ask the admin API of a running gateway.

    Args:
        url: Its base URL.
        client_id: Id of its key; the well-known one when left out.
        client_secret: The secret of that key.

    Raises:
        ClickException: It cannot be reached, or refuses.
    """
    api = AdminClient(url, client_id, client_secret, instead="--config and --data work without one")
    others = [(kind, document) for kind, path in _LISTS.items() for document in api.walk(path)]
    return _entities(
        list(api.walk("/api/routes")),
        list(api.walk("/api/backends")),
        api.ask("/api/globalconfig"),
        others,
    )


def _entities(
    routes: Iterable[object],
    backends: Iterable[object],
    config: object | None,
    others: Sequence[tuple[str, object]],
) -> Entities:
    """Read documents; one that cannot be read is told and left out, as a worker does."""
    return Entities(
        list(_readable(read_route, routes)),
        {backend.id: backend for backend in _readable(read_backend, backends)},
        next(_readable(read_global_config, [] if config is None else [config]), None),
        others,
    )


def _readable(read: Callable[[object], T], documents: Iterable[object]) -> Iterator[T]:
    """Walk the documents that can be read, as entities."""
    for document in documents:
        try:
            yield read(document)
        except EntityError as error:
            click.echo(str(error), err=True)
