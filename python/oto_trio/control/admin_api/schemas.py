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
    variants = cls.variants()
    schema = msgspec.json.schema(cls) if len(variants) == 1 else _schema_of_one(cls, variants)
    for part in schema.get("$defs", {}).values():
        cast("dict[str, Any]", part).get("properties", {}).pop(UNKNOWN_KEY, None)
    return schema


def _schema_of_one(cls: type[Document], variants: tuple[type[Document], ...]) -> JsonObject:
    """Make the schema of an entity that is one of several structs."""
    places, parts = msgspec.json.schema_components(variants, ref_template="#/$defs/{name}")
    whole: JsonObject = {"title": cls.__name__, "anyOf": list(places)}
    return {"$ref": f"#/$defs/{cls.__name__}", "$defs": {**parts, cls.__name__: whole}}
