"""The operations on the history: revisions, differences, the way back, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    array_of,
    json_answer,
    listed,
    object_of,
    parameter,
    raw_body,
    reference,
    refusals,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.model.document import JsonObject

__all__ = ["history_operations"]

_TAG: Final = "History"
_COUNT: Final[JsonObject] = {"type": "integer", "minimum": 0}
_YES_NO: Final[JsonObject] = {"type": "boolean"}
_OR_NULL: Final[JsonObject] = {"type": ["string", "null"]}
_WAIT: Final = tuple(map(parameter, ("wait", "timeout")))
_FORM: Final = tuple(map(parameter, ("pretty", "envelope")))
_PAGE: Final = tuple(map(parameter, ("page", "pageSize")))


def _query(name: str, description: str, schema: JsonObject = TEXT) -> JsonObject:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_MESSAGE: Final = _query("message", "Why: it is remembered with the revision.")


def _revision(**more: JsonObject) -> JsonObject:
    """Make the schema of a revision."""
    properties: dict[str, JsonObject] = {
        "revision": _COUNT,
        "at": TEXT,
        "actor": TEXT,
        "request_id": TEXT,
        "message": TEXT,
        "changes": _COUNT,
        "tags": array_of(TEXT),
        **more,
    }
    return object_of(*properties, **properties)


def _entities() -> JsonObject:
    """Make the schema of what became of entities."""
    field = object_of("path", path=TEXT)
    return array_of(
        object_of(
            "change",
            "kind",
            "id",
            "revision",
            change={"enum": ["created", "updated", "deleted"]},
            kind=TEXT,
            id=TEXT,
            revision=_COUNT,
            fields=array_of(field),
            fields_left_out=_COUNT,
        )
    )


def _traffic() -> JsonObject:
    """Make the schema of what a change means for requests."""
    request = object_of("method", "url", method=TEXT, url=TEXT, listener=TEXT)
    moved = object_of("request", request=request, before=_OR_NULL, after=_OR_NULL)
    plan = object_of("route", route=TEXT, steps=array_of(ANY_OBJECT), also=array_of(TEXT))
    return object_of(
        "requests",
        "plans",
        "routes_left_out",
        requests=array_of(moved),
        plans=array_of(plan),
        routes_left_out=_COUNT,
        owners={"type": "object", "additionalProperties": TEXT},
    )


def _or_enveloped(schema: JsonObject) -> JsonObject:
    return {"anyOf": [schema, reference("api.Envelope")]}


def history_operations() -> Iterator[Operation]:
    """Describe every path below ``/api/history``."""
    base = "/api/history"
    yield _make(
        "GET",
        base,
        "list_revisions",
        "List the revisions that are remembered, newest first",
        {"200": listed(_revision(), is_generic=False), **refusals()},
        (
            *_PAGE,
            _query("entity", "Only those that changed entities of a kind, or one: `routes/users`."),
            _query("actor", "Only those that this client id, or user, made."),
            _query("since", "Only those made at this time or later, such as `2026-03-01`."),
            _query("until", "Only those made before this time."),
            _query("before", "Only those older than this revision.", _COUNT),
        ),
        description="With anything but a page asked for, how many there are is not counted: go on with `before`.",
    )
    one = _revision(entities=_entities())
    yield _make(
        "GET",
        f"{base}/{{revision}}",
        "get_revision",
        "Read a revision, and what it changed",
        {"200": json_answer("The revision.", _or_enveloped(one)), **refusals(404)},
        (*_PAGE, *_FORM),
    )
    difference = {
        "entities": _entities(),
        "entities_left_out": _COUNT,
        "traffic": _traffic(),
    }
    compared = object_of("from", "to", "entities", to=_COUNT, **{"from": _COUNT}, **difference)
    yield _make(
        "GET",
        f"{base}/{{revision}}/_diff",
        "compare_revisions",
        "Compare a revision with another one, or with now",
        {"200": json_answer("What differs.", _or_enveloped(compared)), **refusals(404)},
        (
            _query("to", "The other revision; `now` when it is left out."),
            _query(
                "semantic", "`false` leaves `traffic` out: what it means for requests.", _YES_NO
            ),
            *_FORM,
        ),
        description="Secrets are hidden. `traffic` tells, by examples, which requests another route takes, and which routes "
        "do something else.",
    )
    back = object_of(
        "dry_run", "to", "revision", dry_run=_YES_NO, to=_COUNT, revision=_COUNT, **difference
    )
    yield _make(
        "POST",
        f"{base}/{{revision}}/_rollback",
        "roll_back",
        "Bring the state of a revision back, as a new revision",
        {
            "200": written("What came back, or would.", _or_enveloped(back)),
            **refusals(404, 409, 412, body=True, write=True),
        },
        (
            _query("dry_run", "`true` says what would change, and changes nothing.", _YES_NO),
            _query("kinds", "Only these kinds, such as `routes,backends`."),
            _MESSAGE,
            parameter("at"),
            *_WAIT,
            *_FORM,
        ),
        description="All or nothing. It is refused with 409, naming each reason, when what was stored then could not be "
        "served now. Sessions and tags stay as they are.",
    )
    yield from _tags(f"{base}/tags")


def _tags(base: str) -> Iterator[Operation]:
    """Describe the names of revisions."""
    tag = {"name": TEXT, "revision": _COUNT, "tagged_at": TEXT}
    shown = object_of(*tag, **tag)
    yield _make(
        "GET",
        base,
        "list_tags",
        "List the names of revisions",
        {"200": json_answer("The tags.", array_of(shown)), **refusals()},
        (),
    )
    stored = written("The tag.", _or_enveloped(shown))
    yield _make(
        "PUT",
        f"{base}/{{tag}}",
        "tag_revision",
        "Name a revision, or move a name to it",
        {"200": stored, "201": stored, **refusals(404, body=True, write=True)},
        (_MESSAGE, *_WAIT, *_FORM),
        description='The revision is a number, the name of a tag, or `latest`: `{"revision": 12}`.',
        body=raw_body("Which revision.", "application/json", schema=ANY_OBJECT),
    )
    done = object_of("deleted", deleted={"const": True})
    yield _make(
        "DELETE",
        f"{base}/{{tag}}",
        "delete_tag",
        "Forget the name of a revision",
        {"200": written("It is gone.", _or_enveloped(done)), **refusals(404, write=True)},
        (_MESSAGE, *_WAIT, *_FORM),
    )


def _make(  # noqa: PLR0913 (each part of an operation)
    method: str,
    path: str,
    name: str,
    summary: str,
    answers: JsonObject,
    parameters: tuple[JsonObject, ...],
    *,
    description: str = "",
    body: JsonObject | None = None,
) -> Operation:
    """Make an operation whose path the document and the server name alike."""
    return Operation(
        method=method,
        path=path,
        served_by=path,
        id=name,
        tag=_TAG,
        summary=summary,
        answers=answers,
        parameters=parameters,
        body=body,
        description=description,
    )
