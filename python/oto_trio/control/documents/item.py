"""One entity of a place, in its canonical form: every key, and nothing that says where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.admin_api.resources import LEGACY_RESOURCES, Resource
from oto_trio.control.declared import MARK
from oto_trio.model.document import JsonObject, inspect_document, write_document
from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oto_trio.control.declared import Declaration

__all__ = ["KINDS", "Item", "by_plural", "declared_items", "item_of"]

KINDS: Final = tuple(
    {row.store_kind: row for row in reversed(LEGACY_RESOURCES) if row.template is not None}.values()
)[::-1]
"""The kinds that are configuration, each once: sessions, which have no template, are not."""


class Item(msgspec.Struct, frozen=True):
    """An entity, or what should be one.

    Attributes:
        resource: The row of its kind.
        id: Its id; empty when it has none.
        entity: The entity; None when it cannot be read.
        document: Its document in canonical form; as it is when it cannot be read.
        where: Where it stands, for people.
        problems: What is wrong with the document, warnings included.
    """

    resource: Resource
    id: str
    entity: Any
    document: JsonObject
    where: str
    problems: tuple[Problem, ...] = ()

    @property
    def label(self) -> str:
        """Kind and id, such as `route users`."""
        return f"{self.resource.singular} {self.id}"


def item_of(resource: Resource, raw: JsonObject, where: str) -> Item:
    """Read a document as a place holds it, short forms aside."""
    entity, problems = inspect_document(resource.cls, raw)
    found: object = raw.get(resource.id_key)
    entity_id = resource.only_id or (found if isinstance(found, str) else "")
    if entity is None:
        return Item(resource, entity_id, None, raw, where, tuple(problems))
    return Item(resource, entity_id, entity, _canonical(entity), where, tuple(problems))


def declared_items(declarations: Iterable[Declaration], place: str) -> list[Item]:
    """Take the declared entities of a configuration file or folder.

    Args:
        declarations: What was read.
        place: Name of the file or folder, before each one's path.
    """
    rows = {row.store_kind: row for row in KINDS}
    return [
        Item(rows[d.kind], d.id, d.entity, _canonical(d.entity), f"{place}: {d.path}")
        for d in declarations
        if d.kind in rows
    ]


def by_plural(name: str) -> Resource | None:
    """Find the row of a kind by its name in files: `routes`."""
    return next((row for row in KINDS if row.plural == name), None)


def _canonical(entity: Any) -> JsonObject:
    """Write an entity, without the mark of a declaration: that says where it is, not what."""
    document = write_document(entity)
    metadata: object = document.get("metadata")
    if isinstance(metadata, dict):
        cast("JsonObject", metadata).pop(MARK, None)
    return document
