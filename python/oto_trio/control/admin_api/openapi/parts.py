"""What the descriptions of operations are put together from: parameters, bodies, answers.

Everything here is OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.admin_api.answers import NDJSON
from oto_trio.control.admin_api.bulk import MOST_PARALLEL
from oto_trio.control.admin_api.listing import LARGEST_PAGE
from oto_trio.control.admin_api.writing import DEFAULT_WAIT_MS, LONGEST_WAIT_MS
from oto_trio.model.document import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


__all__ = [
    "ANY_OBJECT",
    "FIXED_SCHEMAS",
    "HEADERS",
    "JSON",
    "PARAMETERS",
    "REFUSALS",
    "Operation",
    "answered",
    "array_of",
    "entity_body",
    "json_answer",
    "listed",
    "object_of",
    "parameter",
    "patch_body",
    "path_names",
    "raw_body",
    "reference",
    "refusals",
    "written",
]

JSON: Final = "application/json"
YAML: Final = "application/yaml"
YAML_K8S: Final = "application/yaml+k8s"
FORM: Final = "application/x-www-form-urlencoded"
OTO_PATCH: Final = "application/json+oto-patch"

TEXT: Final[JsonObject] = {"type": "string"}
ANY_OBJECT: Final[JsonObject] = {"type": "object"}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One verb on one path."""

    method: str
    """In upper case."""
    path: str
    """As the document names it."""
    served_by: str
    """The path of the Starlette route that answers it, without convertors."""
    id: str
    """Its name, unlike that of any other."""
    tag: str
    """The group it is listed in."""
    summary: str
    """What it does, in a few words."""
    answers: JsonObject
    """What it answers, by status."""
    description: str = ""
    parameters: tuple[JsonObject, ...] = ()
    """Those of the query; those of the path are added from the path itself."""
    body: JsonObject | None = None
    is_open: bool = False
    """Whether it needs no API key."""
    is_deprecated: bool = False


def reference(name: str, section: str = "schemas") -> JsonObject:
    """Point to a component.

    Args:
        name: Its name.
        section: Its kind of component.
    """
    return {"$ref": f"#/components/{section}/{name}"}


def path_names(path: str) -> list[str]:
    """Give the names of the parameters in a path, in their order."""
    return re.findall(r"\{(\w+)\}", path)


def array_of(items: JsonObject) -> JsonObject:
    """Make the schema of a list."""
    return {"type": "array", "items": items}


def object_of(*required: str, **properties: JsonObject) -> JsonObject:
    """Make the schema of an object.

    Args:
        required: Keys that are always there.
        properties: Schemas by key.
    """
    schema: JsonObject = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


# ------------------------------------------------------------------------------------ parameters


def _query(name: str, schema: JsonObject, description: str, **more: Any) -> JsonObject:
    """Make a query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _condition(name: str, description: str) -> JsonObject:
    """Make a header parameter with entity tags."""
    schema: JsonObject = {"type": "string", "pattern": r'^(\*|"[0-9a-f-]{1,40}")$'}
    return {"name": name, "in": "header", "description": description, "schema": schema}


_YES_NO: Final[JsonObject] = {"type": "boolean"}

_WAIT: Final[JsonObject] = {
    "type": "integer",
    "minimum": 1,
    "maximum": LONGEST_WAIT_MS,
    "default": DEFAULT_WAIT_MS,
}

PARAMETERS: Final[Mapping[str, JsonObject]] = {
    "at": _query(
        "at",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "The revision that the whole configuration must have, as a dry run answered it; 412 otherwise.",
    ),
    "page": _query(
        "page",
        {"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1},
        "Page of the list, from 1.",
    ),
    "pageSize": _query(
        "pageSize",
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": LARGEST_PAGE},
        "Entities on a page.",
    ),
    "filter": _query(
        "filter",
        {
            "type": "object",
            "propertyNames": {"pattern": r"^filter\.[A-Za-z0-9_]"},
            "additionalProperties": TEXT,
            "maxProperties": 32,
        },
        "Only entities with these values, each written as `filter.<key>=value`. The key is `a.b`, "
        "`/a/b` or `$.a[0].b`; in a list, one item must have the value.",
        style="form",
        explode=True,
    ),
    "filtered": _query(
        "filtered",
        {"type": "string", "pattern": "^([^,:]*[^,: ][^,:]*:[^,]*(,|$))*$"},
        "Only entities whose values contain these texts, in any case: `a:x|y,b.c:z`.",
    ),
    "sorted": _query(
        "sorted",
        {"type": "string", "pattern": "^([A-Za-z0-9_.]+:(true|false)(,|$))*$"},
        "What to sort by: `a:true,b.c:false`; true = ascending.",
    ),
    "fields": _query("fields", TEXT, "Only these keys, separated by commas: `id,a.b`."),
    "pretty": _query("pretty", _YES_NO, "Whether JSON is indented."),
    "envelope": _query("envelope", _YES_NO, 'Whether the answer is put into `{"data": …}`.'),
    "strict": _query(
        "strict",
        _YES_NO,
        "Refuse keys of the wrong type, rather than reading them as absent.",
    ),
    "enrich": _query(
        "enrich", _YES_NO, "Compute what can be read from other keys; true when left out."
    ),
    "wait": _query(
        "wait", {"type": "string", "enum": ["applied"]}, "Answer when every worker serves it."
    ),
    "timeout": _query("timeout", _WAIT, "How long `wait=applied` waits, in milliseconds."),
    "group": _query(
        "_group",
        {"type": "integer", "minimum": 1, "maximum": MOST_PARALLEL, "default": 1},
        "Lines that are handled at the same time.",
    ),
    "copied": _query(
        "copied",
        {"type": "object", "additionalProperties": TEXT},
        "Every parameter but `rawPassword` is copied into the answer, as a text.",
        style="form",
        explode=True,
    ),
    "ifMatch": _condition(
        "If-Match", "Only when the entity has one of these tags; `*` = when there is one."
    ),
    "ifNoneMatch": _condition(
        "If-None-Match", "Only when the entity has none of these tags; `*` = when there is none."
    ),
    "accessKey": _query("access_key", TEXT, "The access key, when one is set."),
}
"""Parameters that several operations have, by the name of their component."""

OF_PATHS: Final[Mapping[str, str]] = {
    "id": "Id of the entity.",
    "key": "Client id of the API key.",
    "username": "Name of the administrator.",
    "module": "Id of the auth module.",
    "owner": "Id of what the keys may call.",
    "revision": "Number of a revision, the name of a tag, `latest` or `now`.",
    "tag": "Name of a tag: a letter, then letters, digits, `.`, `_` and `-`.",
    "ca": "Id or serial number of the authority's certificate.",
    "service": "Id of the service.",
    "group": "Id of the group.",
    "line": "Name of the line, such as `prod`.",
    "entity": "Plural name of a kind, such as `jwt-verifiers`.",
}
"""What the parameters of paths mean."""


def parameter(name: str) -> JsonObject:
    """Point to a parameter that several operations have."""
    return reference(name, "parameters")


# --------------------------------------------------------------------------------------- answers


def _header(description: str, schema: JsonObject = TEXT) -> JsonObject:
    """Make the description of a header."""
    return {"description": description, "schema": schema}


_COUNTER: Final[JsonObject] = {"type": "integer"}

HEADERS: Final[Mapping[str, JsonObject]] = {
    "X-Pages": _header("Pages of the list; -1 on everything else.", _COUNTER),
    "X-Count": _header("Entities on all pages.", _COUNTER),
    "X-Offset": _header("Entities before this page.", _COUNTER),
    "X-Page": _header("This page, from 1.", _COUNTER),
    "X-Page-Size": _header("Entities on a page.", _COUNTER),
    "ETag": _header("Tag of the entity: its revision, and a digest of what is answered."),
    "Oto-Trio-Revision": _header("The store's revision with this change.", _COUNTER),
    "Oto-Trio-Warnings": _header("Keys that were read otherwise than they were written."),
    "Oto-Trio-Applied": _header("`true` once every worker serves it (`wait=applied`)."),
    "Oto-Trio-Kept": _header("Entities that are kept and not served, by kind: `teams=2`."),
    "Oto-Trio-Left-Out": _header("What has no place here, and how much of it."),
    "Retry-After": _header("Seconds until the next attempt.", _COUNTER),
    "Otoroshi-Entity-Updated": _header("`true` when the body says what was stored already."),
}
"""Headers of answers, by name."""


def _headers(names: Iterable[str]) -> JsonObject:
    """Point to headers."""
    return {name: reference(name, "headers") for name in names}


_OF_WRITES: Final = ("Oto-Trio-Revision", "Oto-Trio-Warnings", "Oto-Trio-Applied")


def json_answer(description: str, schema: JsonObject, headers: Iterable[str] = ()) -> JsonObject:
    """Describe an answer that is JSON, or YAML for who takes no JSON.

    Args:
        description: What it is.
        schema: Of the JSON.
        headers: Names of its headers.
    """
    content: JsonObject = {
        JSON: {"schema": schema},
        YAML: {"schema": schema},
        NDJSON: {"schema": TEXT},
        YAML_K8S: {"schema": TEXT},
    }
    answer: JsonObject = {"description": description, "content": content}
    named = _headers(headers)
    return {**answer, "headers": named} if named else answer


def answered(description: str, schema: JsonObject, *, is_generic: bool) -> JsonObject:
    """Describe the answer that is one entity, or a part of it when `fields` asks for that."""
    some: JsonObject = {"anyOf": [schema, reference("api.Part")]}
    return json_answer(description, some, ("X-Pages", "ETag") if is_generic else ())


def listed(schema: JsonObject, *, is_generic: bool) -> JsonObject:
    """Describe the answer that is a list of entities."""
    items = array_of({"anyOf": [schema, reference("api.Part")]})
    names = ("X-Pages",) if is_generic else ("X-Count", "X-Offset", "X-Page", "X-Page-Size")
    whole: JsonObject = {"anyOf": [items, reference("api.Envelope")]}
    return json_answer("A page of the list.", whole, names)


def written(description: str, schema: JsonObject, more: Iterable[str] = ()) -> JsonObject:
    """Describe the answer to a write, with its revision.

    Args:
        description: What it is.
        schema: Of the JSON.
        more: Names of further headers.
    """
    whole: JsonObject = {"anyOf": [schema, reference("api.Envelope")]}
    return json_answer(description, whole, (*_OF_WRITES, *more))


def _refusal(description: str) -> JsonObject:
    """Describe a refusal: of an action, or of the gateway before it."""
    schema: JsonObject = {"anyOf": [reference("api.Refusal"), reference("api.Envelope")]}
    content: JsonObject = {
        JSON: {"schema": schema},
        YAML: {"schema": schema},
        "text/html": {"schema": TEXT},
        NDJSON: {"schema": TEXT},
        YAML_K8S: {"schema": TEXT},
    }
    return {"description": description, "content": content}


REFUSALS: Final[Mapping[str, JsonObject]] = {
    "400": _refusal("The request, or the entity in it, cannot be used; or there is no API key."),
    "401": _refusal(
        "The API key is wrong, the API is read-only, or (generic dialect) the caller may not reach this "
        "entity, or the verb is not possible for it: it exists already, or it does not exist."
    ),
    "403": _refusal("The caller's rights do not reach so far."),
    "404": _refusal("There is no such entity."),
    "408": _refusal("The body did not arrive in time."),
    "409": _refusal("Others keep changing this entity."),
    "412": _refusal("A condition (`If-Match`, `If-None-Match`) does not hold."),
    "413": _refusal("The body is too long."),
    "500": _refusal("Something went wrong that should not have; the gateway's log says what."),
    "503": _refusal("The store cannot work now; the message says whether anything was changed."),
    "504": _refusal("It is stored, but not every worker served it in time (`wait=applied`)."),
    "507": _refusal("The disk is full; nothing was changed."),
}
"""How the API refuses, by status."""

_ALWAYS: Final = (400, 401, 403, 500, 503)
_WITH_BODY: Final = (408, 413)
_WITH_WRITE: Final = (504, 507)


def refusals(*statuses: int, body: bool = False, write: bool = False) -> JsonObject:
    """Point to the refusals that an operation may answer.

    Args:
        statuses: Beyond those that every operation may answer.
        body: Whether it reads a body.
        write: Whether it changes the store.
    """
    every = {*_ALWAYS, *statuses, *(_WITH_BODY if body else ()), *(_WITH_WRITE if write else ())}
    return {str(status): reference(str(status), "responses") for status in sorted(every)}


# ---------------------------------------------------------------------------------------- bodies


def entity_body(schema: JsonObject) -> JsonObject:
    """Describe a body that is an entity."""
    content: JsonObject = {
        JSON: {"schema": schema},
        YAML: {"schema": {"anyOf": [schema, reference("api.KubernetesResource")]}},
        OTO_PATCH: {"schema": array_of(reference("api.OtoPatchEntry"))},
        FORM: {"schema": {"type": "object", "additionalProperties": TEXT}},
    }
    return {
        "description": "The entity. Short forms and older spellings of its keys are read too; "
        "an oto-patch and a form are laid over the template.",
        "required": True,
        "content": content,
    }


def patch_body() -> JsonObject:
    """Describe a body that is a patch."""
    patch: JsonObject = {"schema": array_of(reference("api.JsonPatchOperation"))}
    content: JsonObject = {
        JSON: patch,
        "application/json-patch+json": patch,
        "application/merge-patch+json": {"schema": {"type": "object"}},
        YAML: patch,
        OTO_PATCH: {"schema": array_of(reference("api.OtoPatchEntry"))},
        FORM: {"schema": {"type": "object", "additionalProperties": TEXT}},
    }
    return {
        "description": "A JSON Patch (RFC 6902), a merge patch (RFC 7396), or an oto-patch that is laid "
        "over the entity.",
        "required": True,
        "content": content,
    }


def raw_body(description: str, *media_types: str, schema: JsonObject = TEXT) -> JsonObject:
    """Describe a body of another form.

    Args:
        description: What it is.
        media_types: How it may be named.
        schema: Of the decoded body.
    """
    content: JsonObject = {kind: {"schema": schema} for kind in media_types}
    return {"description": description, "required": True, "content": content}


_POINTER: Final[JsonObject] = {
    "type": "string",
    "pattern": "^(/([^/~]|~[01])*)*$",
    "description": "a JSON pointer (RFC 6901)",
}

FIXED_SCHEMAS: Final[Mapping[str, JsonObject]] = {
    "api.Refusal": object_of(
        "error",
        error={**TEXT, "description": "a short name of what went wrong, or a sentence"},
        error_description={
            "anyOf": [TEXT, array_of(TEXT)],
            "description": "a sentence, or one for each problem",
        },
        problems={
            "anyOf": [TEXT, array_of({"anyOf": [TEXT, reference("api.Problem")]})],
            "description": "what is wrong, and what to write instead",
        },
        kind={**TEXT, "description": "kind of the entity (generic dialect)"},
        document={**_COUNTER, "description": "place in the body of the entity that is refused"},
        revision={**_COUNTER, "description": "the revision that is stored but not served yet"},
    ),
    "api.Problem": object_of(
        "path",
        "message",
        "fix",
        path={**TEXT, "description": "where, such as `$.backend.targets[0].port`"},
        message=TEXT,
        fix={**TEXT, "description": "what to write instead"},
    ),
    "api.Part": {
        "type": "object",
        "description": "Only the keys that `fields` asks for; with `envelope`, under `data`.",
    },
    "api.Envelope": {
        "type": "object",
        "required": ["data"],
        "properties": {"data": {}},
        "description": "The answer when `envelope=true`.",
    },
    "api.KubernetesResource": object_of(
        "apiVersion",
        "spec",
        apiVersion=TEXT,
        kind=TEXT,
        metadata=object_of(name=TEXT),
        spec={"type": "object", "description": "the entity"},
    ),
    "api.JsonPatchOperation": {
        **object_of(
            "op",
            "path",
            op={"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
            path=_POINTER,
            value={"description": "for add, replace and test"},
            **{"from": {**_POINTER, "description": "for move and copy"}},
        ),
        "description": "One operation of a JSON Patch (RFC 6902).",
    },
    "api.OtoPatchEntry": object_of(
        "path",
        "value",
        path={**TEXT, "minLength": 1, "description": "dotted, such as `backend.targets.0.port`"},
        value={"description": "a text that spells another JSON value stands for that value"},
    ),
}
"""Schemas beside those of the entities. No struct can have such a name: they have a dot."""
