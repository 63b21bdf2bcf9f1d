"""The operations on the whole configuration: the full export, and the import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.export_kinds import CONFIG, EXPORT_KINDS
from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    array_of,
    json_answer,
    object_of,
    parameter,
    raw_body,
    reference,
    refusals,
)

if TYPE_CHECKING:
    from oto_trio.model.document import JsonObject

__all__ = ["whole_operations"]

_TAG: Final = "Whole configuration"
_COUNT: Final[JsonObject] = {"type": "integer", "minimum": 0}
_DUMP: Final = "application/x-ndjson"
_DRY_RUN: Final[JsonObject] = {
    "name": "dry_run",
    "in": "query",
    "description": "`true` says what would change, and changes nothing.",
    "schema": {"type": "boolean"},
}


def whole_operations() -> list[Operation]:
    """Describe the full export, the import in its two spellings, and the transaction over many entities."""
    return [
        _apply(),
        _export(),
        _import("/api/otoroshi.json", "import_all", "Replace everything by a full export"),
        _import("/api/import", "import_all_of_upload", "Replace everything by an uploaded export"),
    ]


def _apply() -> Operation:
    """Describe the transaction over many entities of any kinds."""
    outcomes = ("created", "updated", "unchanged", "deleted")
    yes: JsonObject = {"const": True}
    change = object_of("path", path=TEXT, before={}, after={})
    result = object_of(
        *("document", "kind", "status", "id", "id_field"),
        document={**_COUNT, "description": "its place in the body, from 0"},
        kind=TEXT,
        status={"enum": [200, 201]},
        id=TEXT,
        id_field={**TEXT, "description": "the key that holds the id"},
        diff=array_of(change),
        diff_left_out={**_COUNT, "description": "how many more fields change"},
        **dict.fromkeys(outcomes, yes),
    )
    schema = object_of(
        *("dry_run", "revision", *outcomes, "results", "warnings"),
        dry_run={"type": "boolean"},
        revision=_COUNT,
        results=array_of(result),
        warnings=array_of(TEXT),
        **dict.fromkeys(outcomes, _COUNT),
    )
    whole: JsonObject = {"anyOf": [schema, reference("api.Envelope")]}
    entity: JsonObject = object_of(
        "kind",
        kind={
            **TEXT,
            "description": "a kind, with or without its group, a plural or a singular name",
        },
        _action={"type": "string", "enum": ["upsert", "delete"]},
    )
    anything: JsonObject = {"anyOf": [array_of(entity), entity]}
    body = raw_body(
        "Entities with their kind, or in a Kubernetes envelope; `_action: delete` removes one.",
        "application/json",
        "application/yaml",
        schema=anything,
    )
    body["content"][_DUMP] = {"schema": TEXT}
    path = "/apis/_apply"
    return Operation(
        method="POST",
        path=path,
        served_by=path,
        id="apply",
        tag=_TAG,
        summary="Make, change and remove many entities at once",
        description=(
            "All or nothing, in one revision. What is stored already as it is wanted is left alone. "
            "A refusal names the entity by its place in the body, `document`, and the field."
        ),
        answers={
            "200": json_answer(
                "What became of each.", whole, ("Oto-Trio-Revision", "Oto-Trio-Applied")
            ),
            **refusals(409, 412, body=True, write=True),
        },
        parameters=(
            _DRY_RUN,
            *map(parameter, ("at", "wait", "timeout", "strict", "enrich", "pretty", "envelope")),
        ),
        body=body,
    )


def _lists() -> JsonObject:
    """Make the schemas of the lists of an export, by key."""
    rows = [row for row in EXPORT_KINDS if row.extension is None]
    return {row.key: array_of(ANY_OBJECT) for row in rows}


def _export() -> Operation:
    """Describe the full export."""
    always = [row.key for row in EXPORT_KINDS if row.extension is None and not row.is_optional]
    schema = object_of(
        "label",
        "dateRaw",
        "date",
        "stats",
        CONFIG.key,
        *always,
        "extensions",
        label=TEXT,
        dateRaw=_COUNT,
        date=TEXT,
        stats=object_of("calls", "dataIn", "dataOut", calls=_COUNT, dataIn=_COUNT, dataOut=_COUNT),
        config=ANY_OBJECT,
        extensions={"type": "object", "additionalProperties": ANY_OBJECT},
        **_lists(),
    )
    answer = json_answer("Everything.", schema, ("Oto-Trio-Revision",))
    content = {"application/json": {"schema": schema}, _DUMP: {"schema": TEXT}}
    path = "/api/otoroshi.json"
    return Operation(
        method="GET",
        path=path,
        served_by=path,
        id="export_all",
        tag=_TAG,
        summary="Everything in one document: the full export",
        description=f"With `Accept: {_DUMP}` it is Otoroshi's raw dump, one key a line.",
        answers={"200": {**answer, "content": content}, **refusals()},
        parameters=(parameter("pretty"),),
    )


def _import(path: str, name: str, summary: str) -> Operation:
    """Describe an import."""
    ids = array_of(TEXT)
    change = object_of(
        "created",
        "updated",
        "deleted",
        "unchanged",
        created=ids,
        updated=ids,
        deleted=ids,
        unchanged=_COUNT,
    )
    counts: JsonObject = {"type": "object", "additionalProperties": _COUNT}
    schema = object_of(
        "done",
        done={"type": "boolean"},
        dry_run={"type": "boolean"},
        changes={"type": "object", "additionalProperties": change},
        kept=counts,
        left_out=counts,
        warnings=array_of(TEXT),
    )
    whole: JsonObject = {"anyOf": [schema, reference("api.Envelope")]}
    headers = (
        "Oto-Trio-Revision",
        "Oto-Trio-Warnings",
        "Oto-Trio-Applied",
        "Oto-Trio-Kept",
        "Oto-Trio-Left-Out",
    )
    return Operation(
        method="POST",
        path=path,
        served_by=path,
        id=name,
        tag=_TAG,
        summary=summary,
        description=(
            "All or nothing, in one revision. "
            + (
                f"`X-Content-Type: {_DUMP}` says that it is a raw dump."
                if path == "/api/import"
                else "Everything that it does not hold is removed."
            )
        ),
        answers={
            "200": json_answer("It is stored; or what would be.", whole, headers),
            **refusals(409, body=True, write=True),
        },
        parameters=(
            _DRY_RUN,
            *map(parameter, ("wait", "timeout", "strict", "pretty", "envelope")),
        ),
        body=raw_body("A full export.", "application/json", _DUMP, schema=ANY_OBJECT),
    )
