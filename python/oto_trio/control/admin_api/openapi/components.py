"""The schemas of entities, and of what bodies ask for, as components of the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.admin_api.openapi.parts import FIXED_SCHEMAS, TEXT, reference
from oto_trio.model.document import UNKNOWN_KEY
from oto_trio.pki import CsrQuery
from oto_trio.pki.queries import KeyQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.model.document import Document, JsonObject

__all__ = ["Components"]

_TEMPLATE: Final = "#/components/schemas/{name}"


class Components:
    """The schemas of a document.

    Args:
        resources: The rows whose entities are described.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        structs = [*dict.fromkeys(resource.cls for resource in resources), KeyQuery, CsrQuery]
        roots, parts = msgspec.json.schema_components(structs, ref_template=_TEMPLATE)
        found: dict[str, Any] = parts
        for part in found.values():
            part.get("properties", {}).pop(UNKNOWN_KEY, None)
        self._names = {
            struct: cast("str", root["$ref"]).rpartition("/")[2]
            for struct, root in zip(structs, roots, strict=True)
        }
        self.schemas: JsonObject = {**found, **FIXED_SCHEMAS}
        """Every schema by name."""
        for resource in resources:
            if resource.has_own_kind:
                # Answers of the generic dialect put theirs in its place.
                properties: JsonObject = self.schemas[self._names[resource.cls]]["properties"]
                description: object = properties["kind"].get("description", "")
                properties["kind"] = {**TEXT, "description": description}
            if resource.actions & {"create", "update"}:
                self._add_input(resource)

    def _add_input(self, resource: Resource) -> None:
        """Add the schema of what a client sends: the same without a required id, which is made."""
        name = self._names[resource.cls]
        schema: JsonObject = self.schemas[name]
        required = [key for key in schema.get("required", ()) if key != resource.id_key]
        sent = {key: value for key, value in schema.items() if key != "required"}
        title = f"{schema.get('title', name)} as it is sent"
        self.schemas[f"{name}.Input"] = {
            **sent,
            **({"required": required} if required else {}),
            "title": title,
        }

    def of(self, struct: type[Document]) -> JsonObject:
        """Point to the schema of a struct."""
        return reference(self._names[struct])

    def sent(self, resource: Resource) -> JsonObject:
        """Point to the schema of an entity as a client sends it."""
        return reference(f"{self._names[resource.cls]}.Input")

    def with_kind(self, resource: Resource) -> JsonObject:
        """Make the schema of an entity as the generic dialect answers it."""
        kind: JsonObject = {"const": resource.full_kind}
        more: JsonObject = {"bearer": TEXT} if resource.adorned is not None else {}
        return {
            **self.of(resource.cls),
            "properties": {"kind": kind, **more},
            "required": ["kind"],
        }
