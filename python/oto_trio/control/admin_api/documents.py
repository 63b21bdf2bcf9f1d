"""A body that holds many entities of any kinds: a JSON list, YAML documents, or a line for each.

An entity stands there as the API shows it, with its ``kind``, or in a Kubernetes envelope (``apiVersion``,
``kind``, ``metadata``, ``spec``). ``_action: delete`` beside its keys asks for its removal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec

from oto_trio.control.admin_api.answers import NDJSON
from oto_trio.control.admin_api.bodies import (
    YAML_TYPES,
    decode_json,
    decode_yaml_documents,
    without_envelope,
)
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.control.admin_api.resources import RESOURCES, Resource
from oto_trio.model.document import JsonObject
from oto_trio.model.errors import Problem
from oto_trio.model.wording import json_kind

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["MOST_DOCUMENTS", "Wanted", "read_documents", "wanted_of"]

MOST_DOCUMENTS: Final = 10_000
"""Entities taken from one body."""

ACTION: Final = "_action"
"""The key that says what is to become of an entity."""

_LISTS: Final = frozenset({"List", "v1/List"})
"""Kinds of a Kubernetes list, whose ``items`` are meant."""


class Wanted(msgspec.Struct, frozen=True):
    """What is wanted of one entity."""

    place: int
    """Its place in the body, from 0."""
    resource: Resource
    entity_id: str
    document: JsonObject
    """Its document; for a removal, whatever came with the id."""
    action: Literal["upsert", "delete"]


def read_documents(kind: str, text: bytes) -> list[object]:
    """Take a body apart.

    Args:
        kind: Its media type.
        text: The body.

    Raises:
        ApiError: The media type is not known, the body is not what it says, or has too many entities.
    """
    if kind == "application/json":
        found = _items(decode_json(text))
    elif kind in YAML_TYPES:
        found = [item for value in decode_yaml_documents(text) for item in _items(value)]
    elif kind == NDJSON:
        found = list(_lines(text))
    else:
        raise bad_request(f"bad content type; send application/json, application/yaml or {NDJSON}")
    if len(found) > MOST_DOCUMENTS:
        raise ApiError(
            413,
            "too_many",
            f"more than {MOST_DOCUMENTS} entities; send them in parts, or import them",
        )
    return found


def _lines(text: bytes) -> Iterator[object]:
    """Decode each line that is not blank."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield decode_json(line)
        except ApiError as error:
            raise bad_request(f"line {number}: {error.description}") from None


def _items(value: object) -> list[object]:
    """Give the entities of a value: of a list its items, of a Kubernetes list its ``items``."""
    if isinstance(value, list):
        return cast("list[object]", value)
    if isinstance(value, dict):
        whole = cast("JsonObject", value)
        items: object = whole.get("items")
        if whole.get("kind") in _LISTS and isinstance(items, list):
            return cast("list[object]", items)
    return [value]


def _by_name() -> dict[str, Resource]:
    """Index the resources by every name that a ``kind`` may have."""
    found: dict[str, Resource] = {}
    for resource in RESOURCES:
        for name in (resource.full_kind, resource.kind, resource.singular, resource.plural):
            found.setdefault(name, resource)
    return found


_RESOURCES: Final = _by_name()


def wanted_of(place: int, item: object) -> Wanted | Problem:
    """Find out what is wanted of one entity.

    Returns:
        That, or what is wrong; the path starts at the entity.
    """
    if not isinstance(item, dict):
        return Problem("$", f"expected an object, found {json_kind(item)}", "write an entity")
    whole = cast("dict[str, Any]", item)
    action: object = whole.get(ACTION, "upsert")
    if action not in ("upsert", "delete"):
        return Problem(f"$.{ACTION}", "expected upsert or delete", "correct it, or leave it out")
    kind: object = whole.get("kind")
    resource = _RESOURCES.get(kind) if isinstance(kind, str) else None
    if resource is None:
        shown = "this key is required" if kind is None else f"there is no kind {kind!r}"
        return Problem("$.kind", shown, "set it to a kind of /apis/entities, such as Route")
    plain = {key: value for key, value in whole.items() if key != ACTION}
    document = without_envelope(plain)
    if document is plain:
        # What the answers add; a draft's own kind is under it, and cannot be told here.
        document = {key: value for key, value in plain.items() if key != "kind"}
    if resource.only_id is not None:
        return Wanted(place, resource, resource.only_id, document, action)
    entity_id: object = document.get(resource.id_key)
    if not isinstance(entity_id, str) or not entity_id:
        where = "$.spec" if "spec" in whole and "apiVersion" in whole else "$"
        complaint = "a text is required: without an id each time would make another entity"
        return Problem(f"{where}.{resource.id_key}", complaint, "set it to the entity's id")
    return Wanted(place, resource, entity_id, document, action)
