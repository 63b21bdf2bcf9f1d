"""Bulk actions: newline-delimited JSON in, one line with the outcome of each out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio

from oto_trio.control.admin_api.answers import NDJSON, ndjson_answer
from oto_trio.control.admin_api.bodies import decode_json, media_type, read_body
from oto_trio.control.admin_api.json_patch import JsonPatchError, apply_json_patch
from oto_trio.control.admin_api.preconditions import refuse_preconditions
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.model.document import JsonObject
from oto_trio.model.errors import ConflictError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.admin_api.resources import Resource

__all__ = ["GENERIC_BULK", "LEGACY_BULK", "BulkDialect", "run_bulk"]

MOST_PARALLEL: Final = 10
"""Highest ``_group``: lines handled at the same time."""


class BulkDialect(msgspec.Struct, frozen=True):
    """What differs between the two dialects."""

    names_id_field: bool
    """Whether outcomes say ``id_field``, and errors give the line back as ``entity``."""
    is_stamped: bool
    """Whether metadata get their dates."""


GENERIC_BULK: Final = BulkDialect(names_id_field=True, is_stamped=True)
LEGACY_BULK: Final = BulkDialect(names_id_field=False, is_stamped=False)


class _Line(msgspec.Struct):
    """One line on its way, and the revision it got."""

    entity: JsonObject
    id_key: str
    outcome: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    revision: int = 0

    @property
    def entity_id(self) -> str:
        """The id in the line; empty when it has none."""
        entity_id = self.entity.get(self.id_key)
        return entity_id if isinstance(entity_id, str) else ""


def _lines(text: bytes, id_key: str) -> list[_Line]:
    """Take a body apart; lines that are no object are left out, as Otoroshi does."""
    lines: list[_Line] = []
    for part in text.splitlines():
        try:
            value = decode_json(part) if part.strip() else None
        except ApiError:
            continue
        if isinstance(value, dict):
            lines.append(_Line(cast("JsonObject", value), id_key))
    return lines


class _Bulk:
    """One bulk request."""

    def __init__(
        self, entities: Entities, resource: Resource, dialect: BulkDialect, *, strict: bool
    ) -> None:
        self._entities = entities
        self._resource = resource
        self._dialect = dialect
        self._strict = strict

    async def run(self, verb: str, line: _Line) -> None:
        """Do what the verb says to one line, and note the outcome."""
        action = {
            "POST": self._create,
            "PUT": self._update,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }[verb]
        try:
            await action(line)
        except ApiError as error:
            self._note_error(line, error.answer_status, error.error, error.description)

    def _note(self, line: _Line, status: int, word: str, entity_id: str, revision: int) -> None:
        """Note a success."""
        line.revision = revision
        line.outcome = {"status": status, word: True, "id": entity_id}
        if self._dialect.names_id_field:
            line.outcome["id_field"] = self._resource.id_key

    def _note_error(self, line: _Line, status: int, error: str, description: object) -> None:
        """Note a refusal."""
        line.outcome = {"status": status, "error": error, "error_description": description}
        if self._dialect.names_id_field:
            line.outcome["entity"] = line.entity
        else:
            line.outcome["id"] = line.entity_id

    async def _create(self, line: _Line) -> None:
        try:
            written = await self._entities.create(
                self._resource,
                line.entity,
                stamped=self._dialect.is_stamped,
                strict=self._strict,
            )
        except ConflictError:
            self._note_error(line, 400, "bad_entity", "entity already exists")
        else:
            self._note(
                line, 201, "created", written.document[self._resource.id_key], written.revision
            )

    async def _change(self, line: _Line, missing: ApiError, changed: JsonObject | None) -> None:
        """Replace an entity that is there by `changed`, or by the line's patch of it."""

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise missing
            if changed is not None:
                return changed
            try:
                result = apply_json_patch(old, line.entity.get("patch"))
            except JsonPatchError as error:
                raise bad_request(str(error)) from None
            if not isinstance(result, dict):
                raise bad_request("the patch leaves no object")
            return cast("JsonObject", result)

        if not line.entity_id:
            raise bad_request(f'the line has no text under "{line.id_key}"; add it')
        written = await self._entities.change(
            self._resource,
            line.entity_id,
            make,
            stamped=self._dialect.is_stamped,
            strict=self._strict,
        )
        self._note(line, 200, "updated", line.entity_id, written.revision)

    async def _update(self, line: _Line) -> None:
        missing = ApiError(404, "not_found", "entity does not exists")
        await self._change(line, missing, line.entity)

    async def _patch(self, line: _Line) -> None:
        missing = ApiError(400, "bad_entity", "entity not found")
        try:
            await self._change(line, missing, None)
        except ApiError as error:
            if error is not missing:
                raise
            words: object = error.description
            if self._dialect.names_id_field:
                # In Otoroshi too this one is an object.
                words = {"error": words}
            self._note_error(line, error.answer_status, error.error, words)

    async def _delete(self, line: _Line) -> None:
        deleted = await self._entities.delete(self._resource, line.entity_id)
        if deleted is None:
            self._note_error(line, 404, "not_found", "entity does not exists")
        else:
            self._note(line, 200, "deleted", line.entity_id, deleted[1])


async def run_bulk(
    entities: Entities, request: Request, resource: Resource, dialect: BulkDialect
) -> Response:
    """Answer a ``_bulk`` request.

    Raises:
        ApiError: The body is no newline-delimited JSON, or there are conditions, which lines cannot have.
    """
    refuse_preconditions(request)
    kind = media_type(request)
    if request.method == "DELETE":  # clients that may not send a type with DELETE say it here
        kind = request.headers.get("x-content-type", kind)
    if kind != NDJSON:
        raise ApiError(400, "bad_content_type", "Unsupported content type")
    group = request.query_params.get("_group", "1")
    if not (
        group.isascii() and group.isdigit() and len(group) < 3 and 1 <= int(group) <= MOST_PARALLEL
    ):
        raise bad_request(f"_group={group!r} is no number from 1 to {MOST_PARALLEL}")
    options = read_write_options(request)
    lines = _lines(await read_body(request), resource.id_key)
    bulk = _Bulk(entities, resource, dialect, strict=options.is_strict)
    todo = iter(lines)

    async def work() -> None:
        for line in todo:
            await bulk.run(request.method, line)

    async with trio.open_nursery() as nursery:
        for _ in range(min(int(group), len(lines))):
            nursery.start_soon(work)
    last = max((line.revision for line in lines), default=0)
    headers = await settle(entities.gateway, options, last) if last else {}
    return ndjson_answer([line.outcome for line in lines], headers)
