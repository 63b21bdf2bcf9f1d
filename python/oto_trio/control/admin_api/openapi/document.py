"""Puts the OpenAPI document together: what is described, as far as it is served."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from starlette.routing import Route as Path

from oto_trio.control.admin_api.openapi.components import Components
from oto_trio.control.admin_api.openapi.entities import generic_operations, legacy_operations
from oto_trio.control.admin_api.openapi.further import further_operations
from oto_trio.control.admin_api.openapi.parts import (
    HEADERS,
    OF_PATHS,
    PARAMETERS,
    REFUSALS,
    path_names,
)
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from starlette.routing import BaseRoute

    from oto_trio.control.admin_api.openapi.parts import Operation
    from oto_trio.model.document import JsonObject

__all__ = ["all_operations", "openapi_document", "served_verbs"]

_INFO: Final = """\
Everything a gateway serves can be read and changed while it runs.

Entities have two dialects: `/apis/<group>/v1/<plural>`, where group and version may also be `any` or \
`all` and the kind may stand for the plural, and the older `/api/<plural>`. `HEAD` is answered wherever \
`GET` is. Unknown keys of an entity are kept. Every answer echoes the header `Otoroshi-State` in \
`Otoroshi-State-Resp`."""

_SECURITY_SCHEMES: Final[JsonObject] = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Client id and secret of the API key.",
    },
    "otoroshiAuthorization": {
        "type": "apiKey",
        "in": "header",
        "name": "Otoroshi-Authorization",
        "description": "`Basic` and base64 of client-id:client-secret, as in `Authorization`.",
    },
    "clientId": {"type": "apiKey", "in": "header", "name": "Otoroshi-Client-Id"},
    "clientSecret": {"type": "apiKey", "in": "header", "name": "Otoroshi-Client-Secret"},
}

_SECURITY: Final[list[dict[str, list[str]]]] = [
    {"basic": []},
    {"clientId": [], "clientSecret": []},
    {"otoroshiAuthorization": []},
]


def served_verbs(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """Collect what an application serves: (path without convertors, method), HEAD left out."""
    return {
        (re.sub(r":\w+\}", "}", route.path), method)
        for route in routes
        if isinstance(route, Path)
        for method in route.methods or ()
        if method != "HEAD"
    }


def all_operations(components: Components) -> Iterator[Operation]:
    """Give every operation that is described, served or not.

    Args:
        components: Has the schemas of `LEGACY_RESOURCES`.
    """
    for resource in RESOURCES:
        yield from generic_operations(resource, components)
    for resource in LEGACY_RESOURCES:
        yield from legacy_operations(resource, components)
    yield from further_operations(components)


def openapi_document(routes: Sequence[BaseRoute]) -> JsonObject:
    """Make the OpenAPI 3.1 document of the admin API.

    Args:
        routes: Those of the application; what they do not serve is left out.

    Cost: tens of milliseconds; make it in a thread, and once.
    """
    components = Components(LEGACY_RESOURCES)
    served = served_verbs(routes)
    paths: JsonObject = {}
    tags: dict[str, None] = {}
    for operation in all_operations(components):
        if (operation.served_by, operation.method) not in served:
            continue
        item = paths.setdefault(operation.path, _path_item(operation.path))
        item[operation.method.lower()] = _written_operation(operation)
        tags[operation.tag] = None
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "oto-trio admin API",
            "version": version("oto-trio"),
            "description": _INFO,
        },
        "servers": [{"url": "/"}],
        "security": _SECURITY,
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "parameters": dict(PARAMETERS),
            "headers": dict(HEADERS),
            "responses": dict(REFUSALS),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _path_item(path: str) -> JsonObject:
    """Start the entry of a path with its parameters."""
    names = path_names(path)
    if not names:
        return {}
    return {
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": OF_PATHS[name],
                "schema": {"type": "string", "minLength": 1},
            }
            for name in names
        ]
    }


def _written_operation(operation: Operation) -> JsonObject:
    """Write an operation as the document has it."""
    written: JsonObject = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if operation.description:
        written["description"] = operation.description
    if operation.parameters:
        written["parameters"] = list(operation.parameters)
    if operation.body is not None:
        written["requestBody"] = operation.body
    written["responses"] = operation.answers
    if operation.is_open:
        written["security"] = []
    return written
