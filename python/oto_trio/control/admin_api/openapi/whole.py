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


def whole_operations() -> list[Operation]:
    """Describe the full export, and the import in its two spellings."""
    return [
        _export(),
        _import("/api/otoroshi.json", "import_all", "Replace everything by a full export"),
        _import("/api/import", "import_all_of_upload", "Replace everything by an uploaded export"),
    ]


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
    dry: JsonObject = {
        "name": "dry_run",
        "in": "query",
        "description": "`true` says what would change, and changes nothing.",
        "schema": {"type": "boolean"},
    }
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
            dry,
            *map(parameter, ("wait", "timeout", "strict", "pretty", "envelope")),
        ),
        body=raw_body("A full export.", "application/json", _DUMP, schema=ANY_OBJECT),
    )
