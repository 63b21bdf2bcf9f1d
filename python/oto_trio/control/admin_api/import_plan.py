"""What an import would do to a store: everything checked, and every change known, before one is made.

An import replaces the whole configuration, as Otoroshi's does: what it does not hold is removed. But it is
all or nothing: any problem with any entity refuses all of it, and what it changes is one transaction.
Entities that are stored already as they are in the import are not written again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio

from oto_trio.control.admin_api.bodies import decode_json
from oto_trio.control.admin_api.export_kinds import CONFIG, ExportKind, resource_of, store_kinds
from oto_trio.control.admin_api.full_import import MOST_PROBLEMS, FullImport, Item
from oto_trio.control.admin_api.reading import inspect_entity
from oto_trio.control.admin_api.refusals import ApiError, refused_entity
from oto_trio.control.admin_route import ADMIN_ROUTE
from oto_trio.control.store import Delete, Put, Write
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.document import encode_document
from oto_trio.model.errors import Problem
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, first_global_config
from oto_trio.model.ids import id_problem
from oto_trio.model.wording import json_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.store import Store
    from oto_trio.model.document import Document, JsonObject

__all__ = ["ImportPlan", "KindChanges", "plan_import"]

CHECKED_AT_ONCE: Final = 20
"""Entities checked between two checkpoints: about two milliseconds' work, certificates more."""


class KindChanges(msgspec.Struct):
    """What becomes of the entities of one kind; ids."""

    created: list[str] = msgspec.field(default_factory=list[str])
    updated: list[str] = msgspec.field(default_factory=list[str])
    deleted: list[str] = msgspec.field(default_factory=list[str])
    unchanged: int = 0


class ImportPlan(msgspec.Struct, frozen=True):
    """What an import does. Made by `plan_import`."""

    writes: tuple[Write, ...]
    changes: dict[str, KindChanges]
    """By `ExportKind.key`; kinds of which there is nothing are left out."""
    kept: dict[str, int]
    """Entities of kinds that this version keeps and does not serve: `ExportKind.key` → how many."""
    left_out: dict[str, int]
    """What has no place here: key of the import → how many."""
    warnings: tuple[Problem, ...]
    """Keys that are read otherwise than they are written."""

    def told(self) -> dict[str, Any]:
        """Say what it does, as JSON values."""
        return {
            "changes": {key: msgspec.to_builtins(change) for key, change in self.changes.items()},
            "kept": self.kept,
            "left_out": self.left_out,
            "warnings": [str(problem) for problem in self.warnings],
        }


class _Reader:
    """Checks the entities of an import, one by one."""

    def __init__(self, source: FullImport, check: Callable[[Document], list[Problem]]) -> None:
        self.documents: dict[tuple[str, str], bytes] = {}
        """(store kind, id) → the text to store."""
        self.kept: Counter[str] = Counter()
        self.problems = list(source.problems)
        self.warnings: list[Problem] = []
        self.references: list[tuple[str, str]] = []
        """(path, id) of the backends that routes refer to."""
        self._check = check

    async def read(self, item: Item) -> None:
        """Check one entity and note what to store for it."""
        try:
            raw: object = decode_json(bytes(item.text))
        except ApiError as error:
            self._refuse(item, Problem("$", str(error.description), "write the entity as JSON"))
            return
        if not isinstance(raw, dict):
            complaint = f"expected an object, found {json_kind(raw)}"
            self._refuse(item, Problem("$", complaint, "write an object"))
            return
        document = cast("JsonObject", raw)
        resource = resource_of(item.row)
        if resource is None:
            entity_id = document.get(item.row.id_key)
            if not isinstance(entity_id, str):
                entity_id = ""
            fault = id_problem(entity_id)
            if fault is not None:
                fix = "set it to the id of the entity, a text of visible characters"
                self._refuse(item, Problem(f"$.{item.row.id_key}", fault[0], fix))
                return
            self._note(item, item.row.plural, entity_id, msgspec.json.encode(document))
            self.kept[item.row.key] += 1
            return
        entity, problems = await inspect_entity(resource, document, self._check, enriched=True)
        ref: object = document.get("backend_ref")
        if item.row.kind == "Route" and isinstance(ref, str) and ref:
            # The check knows the backends that are stored now, not those that come with the import.
            problems = [p for p in problems if p.path != "$.backend_ref"]
            self.references.append((item.path, ref))
        for problem in problems:
            self._refuse(item, problem)
        if entity is not None:
            entity_id = resource.only_id or cast("Any", entity).id
            self._note(item, resource.store_kind, entity_id, encode_document(entity))

    def _note(self, item: Item, kind: str, entity_id: str, text: bytes) -> None:
        """Note what to store; an entity may come once."""
        if (kind, entity_id) in self.documents:
            complaint = f"{item.row.kind} {entity_id} is in the import twice"
            self._refuse(item, Problem(f"$.{item.row.id_key}", complaint, "remove one of them"))
            return
        self.documents[kind, entity_id] = text

    def _refuse(self, item: Item, problem: Problem) -> None:
        """Note a problem, or a warning, where it is in the import."""
        inner = problem.path.removeprefix("$")
        where = item.path + (inner if item.path.startswith("$") or not inner else f" ${inner}")
        told = msgspec.structs.replace(problem, path=where)
        (self.problems if problem.severity == "error" else self.warnings).append(told)

    def check_references(self) -> None:
        """Warn of routes that refer to a backend which is not in the import."""
        for path, ref in self.references:
            if ("backends", ref) not in self.documents:
                self.warnings.append(
                    Problem(
                        f"{path}.backend_ref",
                        f"there is no backend {ref} in the import; the route answers 503",
                        "import that backend too, or write the backend inline",
                        "warning",
                    )
                )


async def plan_import(
    source: FullImport,
    store: Store,
    check: Callable[[Document], list[Problem]],
    *,
    strict: bool = False,
) -> ImportPlan:
    """Check an import and find out what it changes.

    An entity that somebody else creates between this and the transaction stays: it counts as created
    after the import.

    Args:
        source: The import, taken apart.
        store: What it is compared with.
        check: Says why an entity could not be served.
        strict: Whether warnings refuse it too.

    Raises:
        ApiError: Some entity is refused; tells every problem of every entity, `MOST_PROBLEMS` at most.
        StoreError: The store cannot be read.

    Cancellation: a checkpoint each `CHECKED_AT_ONCE` entities.
    """
    reader = _Reader(source, check)
    for place, item in enumerate(source.items):
        if place % CHECKED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        await reader.read(item)
        if len(reader.problems) >= MOST_PROBLEMS:
            break
    reader.check_references()
    refusing = reader.problems + (reader.warnings if strict else [])
    if refusing:
        raise refused_entity(refusing[:MOST_PROBLEMS])
    config = (store_kind_of(CONFIG), GLOBAL_CONFIG_ID)
    reader.documents.setdefault(config, encode_document(first_global_config()))
    writes, changes = await _compare(reader.documents, store)
    return ImportPlan(
        writes, changes, dict(reader.kept), dict(source.left_out), tuple(reader.warnings)
    )


def store_kind_of(row: ExportKind) -> str:
    """Give the kind under which the store keeps the entities of a row."""
    resource = resource_of(row)
    return row.plural if resource is None else resource.store_kind


async def _compare(
    documents: dict[tuple[str, str], bytes], store: Store
) -> tuple[tuple[Write, ...], dict[str, KindChanges]]:
    """Find the writes that make a store hold these documents and no other."""
    rows = store_kinds()
    snapshot = await store.snapshot(tuple(rows))
    changes = {row.key: KindChanges() for row in rows.values()}
    writes: list[Write] = []
    stored: set[tuple[str, str]] = set()
    for record in snapshot.records:
        change = changes[rows[record.kind].key]
        stored.add((record.kind, record.id))
        text = documents.get((record.kind, record.id))
        if text is None and (record.kind, record.id) == (ROUTES, ADMIN_ROUTE):
            # An import that came through the gateway must not close the door behind itself.
            change.unchanged += 1
        elif text is None:
            change.deleted.append(record.id)
            writes.append(Delete(record.kind, record.id))
        elif text == record.document:
            change.unchanged += 1
        else:
            change.updated.append(record.id)
            writes.append(Put(record.kind, record.id, text))
    for (kind, entity_id), text in documents.items():
        if (kind, entity_id) not in stored:
            changes[rows[kind].key].created.append(entity_id)
            writes.append(Put(kind, entity_id, text))
    nothing = KindChanges()
    return tuple(writes), {key: change for key, change in changes.items() if change != nothing}
