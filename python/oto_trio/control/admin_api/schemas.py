"""JSON schemas of entities, made from their structs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import msgspec

from oto_trio.model.document import UNKNOWN_KEY

if TYPE_CHECKING:
    from oto_trio.model.document import Document, JsonObject

__all__ = ["schema_of"]


@cache
def schema_of(cls: type[Document]) -> JsonObject:
    """Make the JSON schema (2020-12) of an entity; unknown keys are allowed everywhere."""
    schema = msgspec.json.schema(cls)
    for part in schema.get("$defs", {}).values():
        cast("dict[str, Any]", part).get("properties", {}).pop(UNKNOWN_KEY, None)
    return schema
