"""What changed between two revisions, entity by entity and field by field. Secrets are never shown."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET

from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.documents.difference import FieldChange, field_changes
from oto_trio.control.history.tags import TAGS
from oto_trio.telemetry.events.admin_writes import shown_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from oto_trio._core import Redaction
    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.control.store.history import Changed

__all__ = ["EntityChange", "changed_how", "compare", "is_configuration", "resource_of_kind"]

MOST_FIELDS: Final = 500
"""Fields told of one entity."""

HIDDEN: Final = "***"


class EntityChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one entity."""

    change: Literal["created", "updated", "deleted"]
    kind: str
    """Its kind, such as ``routes``."""
    id: str
    revision: int
    """The last revision of the span that changed it."""
    fields: tuple[FieldChange, ...] = ()
    """What differs in it; of an updated one only."""
    fields_left_out: int = 0
    """Fields beyond `MOST_FIELDS`."""


@cache
def _resources() -> Mapping[str, Resource]:
    return {resource.store_kind: resource for resource in LEGACY_RESOURCES}


def resource_of_kind(kind: str) -> Resource | None:
    """Find the resource of a kind of the store; None for what is only kept."""
    return _resources().get(kind)


def is_configuration(kind: str) -> bool:
    """Tell whether documents of a kind are configuration: sessions and tags are not."""
    if kind == TAGS:
        return False
    resource = resource_of_kind(kind)
    return resource is None or resource.template is not None


def changed_how(changed: Changed) -> Literal["created", "updated", "deleted"] | None:
    """Say in a word what became of a document; None when it is what it was."""
    if changed.before == changed.after:
        return None
    if changed.before is None:
        return "created"
    return "deleted" if changed.after is None else "updated"


def compare(changes: Iterable[Changed], redaction: Redaction) -> Iterator[EntityChange]:
    """Compare documents before and after; what is equal is left out.

    Args:
        changes: The documents.
        redaction: The rules of every event: what they hide is not shown here either.

    Cost: some 100 µs for an entity that was updated; take them a few at a time.
    """
    for changed in changes:
        how = changed_how(changed)
        if how is None:
            continue
        resource = resource_of_kind(changed.kind)
        kind = changed.kind if resource is None else resource.plural
        fields: list[FieldChange] = []
        if changed.before is not None and changed.after is not None:
            fields = _fields(changed.before, changed.after, redaction)
        yield EntityChange(
            how,
            kind,
            changed.id,
            changed.revision,
            tuple(fields[:MOST_FIELDS]),
            max(len(fields) - MOST_FIELDS, 0),
        )


def _fields(before: bytes, after: bytes, redaction: Redaction) -> list[FieldChange]:
    """Compare two documents; of a field whose value is hidden, only that it differs is told."""
    shown = {
        field.path: field
        for field in field_changes(
            _object(shown_document(before, redaction)), _object(shown_document(after, redaction))
        )
    }
    return [
        shown.get(field.path, FieldChange(field.path, _hidden(field.before), _hidden(field.after)))
        for field in field_changes(_members(before), _members(after))
    ]


def _hidden(value: object) -> object:
    return UNSET if value is UNSET else HIDDEN


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _members(document: bytes) -> dict[str, Any]:
    """Decode a document; one that is no object is taken as the only member of one."""
    value: object = msgspec.json.decode(document)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"": value}
