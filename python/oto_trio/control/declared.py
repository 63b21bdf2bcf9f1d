"""Entities declared in a configuration file or by `--route`: how they get into the store, and out again.

There is one place of truth, the store. Declared entities are written to it at start and at each reload,
beside a list of what was declared, and what is listed but no longer declared is removed. So they are seen
in the admin API like any other, and live exactly as long as their declaration. An entity that somebody
else made under the same id is never overwritten: that is a problem. The metadata `oto-trio-declared-by`
tells people where an entity comes from.

Short forms that only declarations have: a route's `frontend` and `backend` may be a text
(`api.localhost/users`, `http://127.0.0.1:9000`), a plugin slot may be the plugin's id, `id` may be left
out where there is a `name`, and the other way round. An API key's id is its `clientId`, its name its
`clientName`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

import msgspec

from oto_trio.control.addresses import UNIX
from oto_trio.control.config_files import DECLARABLE, ConfigFile
from oto_trio.control.store.base import Delete, Put, Record, Store, Write
from oto_trio.gateway.installer import BACKENDS, GLOBAL_CONFIG, ROUTES
from oto_trio.model.api_key import ApiKey
from oto_trio.model.backend import Backend
from oto_trio.model.certificate import Certificate
from oto_trio.model.data_exporter import DataExporter
from oto_trio.model.document import Document, JsonObject, encode_document, inspect_document
from oto_trio.model.errors import GatewayError, Problem
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, GlobalConfig
from oto_trio.model.ids import id_problem
from oto_trio.model.jwt_verifier import JwtVerifier
from oto_trio.model.route import Route
from oto_trio.model.tcp_service import TcpService

__all__ = [
    "MARK",
    "Declaration",
    "DeclarationError",
    "quick_route",
    "read_declared",
    "reconcile",
    "unix_targets",
    "unread_keys",
]

MARK: Final = "oto-trio-declared-by"
"""The metadata key that names the file or flag an entity is declared by."""

LIST_KIND: Final = "oto-trio"
LIST_ID: Final = "declared"

ONLY: Final = (GLOBAL_CONFIG, GLOBAL_CONFIG_ID)
"""What is never removed: the global configuration."""

WALK_FROM: Final = 500
"""From so many declared entities on, the store is walked instead of asked for each one."""

DEFAULT_PLUGINS: Final = ("cp:otoroshi.next.plugins.OverrideHost",)
"""What a quick route gets, as Otoroshi's template of a new route has it."""


class _Kind(NamedTuple):
    """One kind of entities that a file may declare."""

    section: str
    cls: type[Any]
    store_kind: str
    id_key: str = "id"
    name_key: str = "name"
    only_id: str | None = None


_KINDS: Final = (
    _Kind("backends", Backend, BACKENDS),
    _Kind("certificates", Certificate, "certificates"),
    _Kind("jwt-verifiers", JwtVerifier, "jwt-verifiers"),
    _Kind("apikeys", ApiKey, "apikeys", "clientId", "clientName"),
    _Kind("data-exporters", DataExporter, "data-exporters"),
    _Kind("routes", Route, ROUTES),
)

_QUICK = re.compile(r"(?P<frontend>[^=\s]+)=(?P<url>https?://\S+|unix:/\S+)")


class Declaration(msgspec.Struct, frozen=True):
    """A declared entity and where it is declared.

    Attributes:
        entity: The entity, a struct of `oto_trio.model`, marked.
        path: Its path in the file, such as `$.routes[0]`, or the flag.
        kind: The kind under which the store keeps it.
        id: Its id.
        is_only: Whether there is always one of its kind, which is neither made nor removed.
    """

    entity: Any
    path: str
    kind: str
    id: str
    is_only: bool = False


class DeclarationError(GatewayError):
    """A declared entity cannot be taken into the store; nothing was changed."""

    code = "declaration_refused"
    source = "config"
    status = 409


def read_declared(file: ConfigFile) -> tuple[list[Declaration], list[Problem]]:
    """Read the entities of a configuration file.

    Returns:
        The entities that could be read, and every problem.
    """
    declarations: list[Declaration] = []
    problems: list[Problem] = []
    for kind in _kinds_of(file):
        found, wrong = _read_kind(kind, file)
        declarations += found
        problems += wrong
    return declarations, problems


def _kinds_of(file: ConfigFile) -> list[_Kind]:
    """Return the kinds that may be declared, and those others that a file does declare."""
    kinds = list(_KINDS)
    if file.entities.keys() <= set(DECLARABLE):
        return kinds
    # Looked at late: the table comes with the whole admin API, which most files do not need.
    from oto_trio.control.admin_api.resources import LEGACY_RESOURCES  # noqa: PLC0415 (see above)

    return kinds + [
        _Kind(
            row.plural,
            row.cls,
            row.store_kind,
            row.id_key,
            "name" if _has_key(row.cls, "name") else "",
            row.only_id,
        )
        for row in LEGACY_RESOURCES
        if row.plural in file.entities and row.plural not in DECLARABLE
    ]


def _has_key(cls: type[Any], key: str) -> bool:
    """Tell whether a struct's document has a key."""
    return any(field.encode_name == key for field in msgspec.structs.fields(cls))


def unread_keys(declaration: Declaration) -> list[Problem]:
    """Return the keys that nothing reads: in a file written by hand they are slips of the pen."""
    return list(_unknown_keys(declaration.entity, declaration.path))


def _read_kind(kind: _Kind, file: ConfigFile) -> tuple[list[Declaration], list[Problem]]:
    """Read the entities of one kind."""
    declarations: list[Declaration] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for index, raw in enumerate(file.entities.get(kind.section, [])):
        path = file.place(kind.section, index)
        entity: Any
        entity, wrong = inspect_document(kind.cls, _expanded(raw, kind))
        problems += [msgspec.structs.replace(p, path=path + p.path[1:]) for p in wrong]
        if entity is None:
            continue
        entity_id: str = entity.id if kind.only_id is None else kind.only_id
        bad_id = id_problem(entity_id)
        if bad_id is not None:
            problems.append(Problem(f"{path}.{kind.id_key}", *bad_id))
        elif entity_id in seen:
            problems.append(
                Problem(
                    f"{path}.{kind.id_key}",
                    f"the id {entity_id!r} is that of {seen[entity_id]} already",
                    "give each one an id of its own",
                )
            )
        elif isinstance(entity, GlobalConfig) and not _names_cluster(raw):
            problems.append(
                Problem(
                    f"{path}.otoroshiId",
                    "this key is required: a new one would be made at every reload",
                    "copy it from `oto-trio dump`, or choose a text",
                )
            )
        else:
            seen[entity_id] = path
            marked = _marked(entity, str(file.path))
            is_only = kind.only_id is not None
            declarations.append(Declaration(marked, path, kind.store_kind, entity_id, is_only))
    return declarations, problems


def _names_cluster(raw: object) -> bool:
    """Tell whether a declared global configuration has the id of its cluster."""
    return isinstance(raw, dict) and bool(cast("JsonObject", raw).get("otoroshiId"))


def quick_route(text: str) -> tuple[Declaration | None, list[Problem]]:
    """Read a `--route 'host/path=http://target:port/root'` or `--route 'host/path=unix:/run/app.sock'`.

    Returns:
        The route, with the plugins every new route has, or what is wrong.
    """
    match = _QUICK.fullmatch(text.strip())
    if match is None:
        problem = Problem(
            f"--route {text!r}",
            "it is not FRONTEND=URL with an http or https URL, or unix: and a path",
            "write it like 'api.localhost/users=http://127.0.0.1:9000'",
        )
        return None, [problem]
    frontend, url = match["frontend"], match["url"]
    raw = {
        "id": f"route_{_slug(frontend)}",
        "name": frontend,
        "frontend": frontend,
        "backend": url,
        "plugins": list(DEFAULT_PLUGINS),
    }
    route, problems = inspect_document(Route, _expanded(raw, _KINDS[-1]))
    named = [msgspec.structs.replace(p, path=f"--route {text!r}") for p in problems]
    if route is None:
        return None, named
    marked = _marked(route, "command line")
    return Declaration(marked, f"--route {text!r}", ROUTES, route.id), named


def unix_targets(declarations: Iterable[Declaration]) -> tuple[str, ...]:
    """Return the Unix sockets that declared routes, backends and TCP services have for targets."""
    paths: list[str] = []
    for declaration in declarations:
        entity = declaration.entity
        if isinstance(entity, Route | Backend):
            addresses = [target.ip_address for target in entity.backend.targets]
        elif isinstance(entity, TcpService):
            rules = [target.ip for rule in entity.rules for target in rule.targets]
            addresses = [*rules, entity.sni.forwards_to.ip]
        else:
            continue
        paths += [at.removeprefix(UNIX) for at in addresses if at and at.startswith(f"{UNIX}/")]
    return tuple(dict.fromkeys(paths))


async def reconcile(store: Store, declarations: Sequence[Declaration]) -> int:
    """Make the store hold what is declared, and nothing that was declared once and is no more.

    The global configuration is there without a declaration: it is overwritten, and stays as it is once it
    is declared no more.

    Args:
        store: The store.
        declarations: Everything that is declared now, from every source.

    Returns:
        How many entities were written or removed, in one transaction.

    Raises:
        DeclarationError: An id belongs to an entity that was not declared.
        StoreError: The store could not be read or written.
    """
    wanted = {(d.kind, d.id): d for d in declarations}
    record = await store.get(LIST_KIND, LIST_ID)
    listed = _listed(record)
    gone = listed - wanted.keys() - {ONLY}
    writes: list[Write] = [Delete(*key) for key in sorted(gone)]
    stored = await _stored(store, wanted)
    for key, declaration in wanted.items():
        present = stored.get(key)
        if present is not None and key not in listed and not declaration.is_only:
            raise DeclarationError(
                f"{declaration.path}: there is a {key[0][:-1]} {key[1]!r} in the store that was made "
                "through the admin API; remove it there, or declare this one under another id"
            )
        document = encode_document(declaration.entity)
        if document != present:
            writes.append(Put(*key, document, expect=None if present is not None else "absent"))
    changes = len(writes)
    if listed != wanted.keys():
        writes.append(Put(LIST_KIND, LIST_ID, msgspec.json.encode(sorted(wanted))))
    if writes:
        await store.transact(writes)
    return changes


def _listed(record: Record | None) -> set[tuple[str, str]]:
    """Return the (kind, id) pairs that were declared the last time."""
    if record is None:
        return set()
    return set(msgspec.json.decode(record.document, type=list[tuple[str, str]]))


async def _stored(store: Store, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Read the documents under some (kind, id) pairs."""
    found: dict[tuple[str, str], bytes] = {}
    if len(keys) < WALK_FROM:
        for key in keys:
            record = await store.get(*key)
            if record is not None:
                found[key] = record.document
        return found
    for kind in {kind for kind, _ in keys}:
        async for record in store.walk(kind):
            if (kind, record.id) in keys:
                found[kind, record.id] = record.document
    return found


def _marked(entity: Any, source: str) -> Any:
    """Return an entity with the mark of where it is declared."""
    if not hasattr(entity, "metadata"):
        return entity
    return msgspec.structs.replace(entity, metadata={**entity.metadata, MARK: source})


def _slug(text: str) -> str:
    """Turn a text into the tail of an id."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


def _expanded(raw: object, kind: _Kind) -> object:
    """Return a declaration without its short forms."""
    if not isinstance(raw, dict):
        return raw
    entity = dict(cast("JsonObject", raw))
    is_route = kind.cls is Route
    if kind.id_key not in entity and isinstance(entity.get(kind.name_key), str):
        singular = kind.section.removesuffix("s").replace("-", "_")
        entity[kind.id_key] = f"{singular}_{_slug(entity[kind.name_key])}"
    if kind.name_key:
        entity.setdefault(kind.name_key, entity.get(kind.id_key))
    if is_route and isinstance(entity.get("frontend"), str):
        entity["frontend"] = {"domains": [entity["frontend"]]}
    if kind.cls in (Route, Backend) and isinstance(entity.get("backend"), str):
        entity["backend"] = {"url": entity["backend"]}
    slots = entity.get("plugins")
    if is_route and isinstance(slots, list):
        entity["plugins"] = [
            {"plugin": slot} if isinstance(slot, str) else slot
            for slot in cast("list[object]", slots)
        ]
    return entity


def _unknown_keys(entity: Document, path: str) -> Iterator[Problem]:
    """Walk the unknown keys of a document and of those in it."""
    if isinstance(entity.unknown, dict):
        for key in entity.unknown:
            yield Problem(
                f"{path}.{key}", "nothing reads this key", "correct or remove it", "warning"
            )
    for name, written in _names(type(entity)):
        value: object = getattr(entity, name)
        inner = f"{path}.{written}"
        if isinstance(value, Document):
            yield from _unknown_keys(value, inner)
        elif isinstance(value, tuple):
            for index, item in enumerate(cast("tuple[object, ...]", value)):
                if isinstance(item, Document):
                    yield from _unknown_keys(item, f"{inner}[{index}]")


@cache
def _names(cls: type[Document]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a document, each with its key: to ask msgspec takes half a millisecond."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(cls))


assert tuple(kind.section for kind in _KINDS) == DECLARABLE, "every section has its kind"
