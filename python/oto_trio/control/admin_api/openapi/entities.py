"""The operations that every resource has, in both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.answers import NDJSON
from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    answered,
    entity_body,
    json_answer,
    listed,
    object_of,
    parameter,
    patch_body,
    raw_body,
    refusals,
    written,
)
from oto_trio.control.admin_api.resources import BULK_ACTIONS, CERTIFICATES, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.admin_api.openapi.components import Components
    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.model.document import JsonObject

__all__ = ["generic_operations", "legacy_operations"]

_GENERIC: Final = "/apis/{group}/{version}/{name}"

_CONDITIONS: Final = tuple(map(parameter, ("filter", "filtered")))
_LIST: Final = (*_CONDITIONS, *map(parameter, ("page", "pageSize", "sorted", "fields")))
_FORM: Final = tuple(map(parameter, ("pretty", "envelope")))
_WAIT: Final = tuple(map(parameter, ("wait", "timeout")))
_WRITE: Final = (*_WAIT, parameter("strict"))

_TAGS: Final = tuple(map(parameter, ("ifMatch", "ifNoneMatch")))

_BULK: Final = {
    "POST": ("create", "Create many", "an entity"),
    "PUT": ("update", "Replace many", "an entity with its id"),
    "PATCH": ("patch", "Patch many", 'an object with the id and a JSON Patch under "patch"'),
    "DELETE": ("delete", "Delete many", "an object with the id"),
}


_OF_MANY: Final = frozenset({"list", "count", "delete_all"})
"""Words that go with the plural."""


def _noun(resource: Resource, word: str) -> str:
    """Write a resource's name as part of an operation's id."""
    is_plural = word in _OF_MANY or word.startswith("bulk_")
    return (resource.plural if is_plural else resource.singular).replace("-", "_")


def _write_parameters(resource: Resource) -> tuple[JsonObject, ...]:
    """Give the parameters of a write; what is computed from other keys can be left alone."""
    more = (parameter("enrich"),) if resource is CERTIFICATES else ()
    return (*_WRITE, *more, *_FORM)


class _Dialect:
    """Makes the operations of one resource in one dialect.

    Args:
        resource: The row.
        base: The path of the collection.
        served_by: The same as the Starlette route has it.
        is_generic: Whether it is the generic dialect.
    """

    def __init__(self, resource: Resource, *, base: str, served_by: str, is_generic: bool) -> None:
        self._resource = resource
        self._base = base
        self._served_by = served_by
        self._is_generic = is_generic

    def make(  # noqa: PLR0913 (each part of an operation, by keyword)
        self,
        method: str,
        tail: str,
        word: str,
        summary: str,
        answers: JsonObject,
        *,
        parameters: tuple[JsonObject, ...] = (),
        body: JsonObject | None = None,
        description: str = "",
    ) -> Operation:
        """Make one operation."""
        prefix = "" if self._is_generic else "legacy_"
        tag = self._resource.kind if self._is_generic else f"{self._resource.kind} (legacy)"
        return Operation(
            method=method,
            path=self._base + tail,
            served_by=self._served_by + tail,
            id=f"{prefix}{word}_{_noun(self._resource, word)}",
            tag=tag,
            summary=summary,
            description=description,
            parameters=parameters,
            body=body,
            answers=answers,
        )

    def bulk(self) -> Iterator[Operation]:
        """Make the bulk operations."""
        content: JsonObject = {NDJSON: {"schema": TEXT}}
        for method, (word, summary, line) in _BULK.items():
            if BULK_ACTIONS[method] not in self._resource.actions:
                continue
            yield self.make(
                method,
                "/_bulk",
                f"bulk_{word}",
                f"{summary} {self._resource.plural}",
                {
                    "200": {"description": "One outcome a line.", "content": content},
                    **refusals(body=True, write=True),
                },
                parameters=(parameter("group"), *_WRITE),
                body=raw_body(f"Newline-delimited JSON; each line is {line}.", NDJSON),
                description="Lines are independent: each one is done or refused alone, and says so "
                "in its line of the answer with `status`.",
            )


def generic_operations(resource: Resource, components: Components) -> Iterator[Operation]:
    """Describe a resource in the generic dialect.

    Args:
        resource: The row.
        components: Has its schemas.
    """
    base = f"/apis/{resource.group}/{VERSION}/{resource.plural}"
    dialect = _Dialect(resource, base=base, served_by=_GENERIC, is_generic=True)
    yield from _generic_reads(resource, components, dialect)
    yield from _generic_lifecycle(resource, components, dialect)
    if resource.only_id is None:
        yield from dialect.bulk()
    yield from _generic_changes(resource, components, dialect)


def _generic_reads(
    resource: Resource, components: Components, dialect: _Dialect
) -> Iterator[Operation]:
    """Describe what changes nothing."""
    shown = components.with_kind(resource)
    count = object_of("count", count={"type": "integer", "minimum": 0}, kind=TEXT)
    yield dialect.make(
        "GET",
        "",
        "list",
        f"List {resource.plural}",
        {"200": listed(shown, is_generic=True), **refusals()},
        parameters=(*_LIST, *_FORM),
    )
    yield dialect.make(
        "GET",
        "/_count",
        "count",
        f"Count {resource.plural}",
        {"200": json_answer("How many.", _or_enveloped(count), ("X-Pages",)), **refusals()},
        parameters=(*_CONDITIONS, *_FORM),
    )
    yield dialect.make(
        "GET",
        "/_schema",
        "schema_of",
        f"JSON schema of a {resource.singular}",
        {"200": json_answer("The schema.", ANY_OBJECT, ("X-Pages",)), **refusals()},
        parameters=_FORM,
    )
    if resource.template is not None:
        template = _or_enveloped(components.of(resource.cls))
        yield dialect.make(
            "GET",
            "/_template",
            "template_of",
            f"A new {resource.singular} to start from",
            {"200": json_answer("The template.", template, ("X-Pages",)), **refusals()},
            parameters=_FORM,
        )
    if resource.lists_by_prefix:
        yield dialect.make(
            "GET",
            "/{id}",
            "list_by_prefix",
            f"List the {resource.plural} whose id starts with a text",
            {"200": listed(components.of(resource.cls), is_generic=True), **refusals()},
            parameters=(*map(parameter, ("page", "pageSize", "fields")), *_FORM),
            description=f"`/apis/any/{VERSION}/{resource.plural}/{{id}}` reads one.",
        )
        return
    yield dialect.make(
        "GET",
        "/{id}",
        "get",
        f"Read a {resource.singular}",
        {
            "200": answered("The entity.", shown, is_generic=True),
            "304": {"description": "The reader has it (`If-None-Match`)."},
            **refusals(404, 412),
        },
        parameters=(parameter("fields"), *_FORM, *_TAGS),
    )


def _or_enveloped(schema: JsonObject) -> JsonObject:
    """Allow the envelope around an answer."""
    return {"anyOf": [schema, {"$ref": "#/components/schemas/api.Envelope"}]}


def _generic_lifecycle(
    resource: Resource, components: Components, dialect: _Dialect
) -> Iterator[Operation]:
    """Describe what makes and removes entities."""
    shown = components.with_kind(resource)
    if "create" in resource.actions:
        yield dialect.make(
            "POST",
            "",
            "create",
            f"Create a {resource.singular}",
            {
                "201": written("What was stored.", shown, ("ETag",)),
                **refusals(body=True, write=True),
            },
            parameters=_write_parameters(resource),
            body=entity_body(components.sent(resource)),
            description="It gets an id when it has none, and `metadata.created_at`. An id that exists "
            "is refused with 401.",
        )
    if "delete" not in resource.actions:
        return
    gone: JsonObject = {"description": "There is none left."}
    yield dialect.make(
        "DELETE",
        "",
        "delete_all",
        f"Delete all {resource.plural}",
        {"204": gone, **refusals(write=True)},
        parameters=_WAIT,
        description="All at once: every one is removed, or none.",
    )
    yield dialect.make(
        "DELETE",
        "/{id}",
        "delete",
        f"Delete a {resource.singular}",
        {"200": written("What was removed.", shown), **refusals(404, 409, 412, write=True)},
        parameters=(*_WAIT, *_FORM, *_TAGS),
    )


def _generic_changes(
    resource: Resource, components: Components, dialect: _Dialect
) -> Iterator[Operation]:
    """Describe what changes an entity."""
    shown = components.with_kind(resource)
    stored = written("What was stored.", shown, ("ETag",))
    upserted = written("What was stored.", shown, ("ETag", "Otoroshi-Entity-Updated"))
    made = {"201": stored} if "create" in resource.actions else {}
    changed = {"200": upserted} if "update" in resource.actions else {}
    missing = () if resource.only_id is not None else (404,)
    if resource.actions & {"create", "update"}:
        yield dialect.make(
            "POST",
            "/{id}",
            "upsert",
            f"Create or replace a {resource.singular}",
            {**changed, **made, **refusals(409, 412, body=True, write=True)},
            parameters=(*_write_parameters(resource), *_TAGS),
            body=entity_body(components.sent(resource)),
            description="" if changed else "401 when there is one.",
        )
    if "update" not in resource.actions:
        return
    yield dialect.make(
        "PUT",
        "/{id}",
        "update",
        f"Replace a {resource.singular}",
        {"200": stored, **refusals(409, 412, body=True, write=True)},
        parameters=(*_write_parameters(resource), *_TAGS),
        body=entity_body(components.sent(resource)),
        description="" if resource.only_id else "401 when there is none.",
    )
    yield dialect.make(
        "PATCH",
        "/{id}",
        "patch",
        f"Patch a {resource.singular}",
        {"200": stored, **refusals(*missing, 409, 412, body=True, write=True)},
        parameters=(*_write_parameters(resource), *_TAGS),
        body=patch_body(),
    )


def legacy_operations(resource: Resource, components: Components) -> Iterator[Operation]:
    """Describe a resource in the legacy dialect.

    Args:
        resource: The row.
        components: Has its schemas.
    """
    base = resource.legacy_path
    if base is None:
        return
    dialect = _Dialect(resource, base=base, served_by=base, is_generic=False)
    shown = components.of(resource.cls)
    if resource.has_template_path:
        place = (resource.legacy_template_path or f"{base}/_template").removesuffix("/_template")
        above = _Dialect(resource, base=place, served_by=place, is_generic=False)
        yield above.make(
            "GET",
            "/_template",
            "template_of",
            f"A new {resource.singular} to start from",
            {"200": json_answer("The template.", ANY_OBJECT), **refusals()},
            parameters=(parameter("copied"),),
        )
    if resource.only_id is None:
        yield from _legacy_collection(resource, components, dialect)
        yield from dialect.bulk()
    one = "" if resource.only_id is not None else "/{id}"
    missing = () if resource.only_id is not None else (404,)
    yield dialect.make(
        "GET",
        one,
        "get",
        f"Read a {resource.singular}",
        {"200": answered("The entity.", shown, is_generic=False), **refusals(404)},
        parameters=(parameter("fields"), *_FORM),
    )
    stored = written("What was stored.", shown)
    for method, word, body in (
        ("PUT", "update", entity_body(components.sent(resource))),
        ("PATCH", "patch", patch_body()),
    ):
        yield dialect.make(
            method,
            one,
            word,
            f"{'Replace' if method == 'PUT' else 'Patch'} a {resource.singular}",
            {"200": stored, **refusals(*missing, 409, body=True, write=True)},
            parameters=_write_parameters(resource),
            body=body,
        )


def _legacy_collection(
    resource: Resource, components: Components, dialect: _Dialect
) -> Iterator[Operation]:
    """Describe what the legacy dialect has for all but the one global configuration."""
    shown = components.of(resource.cls)
    keypair: JsonObject = {
        "name": "keypair",
        "in": "query",
        "description": "Only the key pairs.",
        "schema": {"type": "boolean"},
    }
    more = (keypair,) if resource is CERTIFICATES else ()
    yield dialect.make(
        "GET",
        "",
        "list",
        f"List {resource.plural}",
        {"200": listed(shown, is_generic=False), **refusals()},
        parameters=(*_LIST, *more, *_FORM),
    )
    yield dialect.make(
        "POST",
        "",
        "create",
        f"Create a {resource.singular}",
        {"201": written("What was stored.", shown), **refusals(body=True, write=True)},
        parameters=_write_parameters(resource),
        body=entity_body(components.sent(resource)),
        description="It gets an id when it has none. An id that exists is refused with 400.",
    )
    done = object_of("deleted", deleted={"const": True})
    yield dialect.make(
        "DELETE",
        "/{id}",
        "delete",
        f"Delete a {resource.singular}",
        {"200": written("It is gone.", done), **refusals(404, 409, write=True)},
        parameters=(*_WAIT, *_FORM),
    )
