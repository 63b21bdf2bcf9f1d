"""The older ways to templates: ``/api/new/…``, several at once, and storing what is laid over one.

The templates themselves are those of the resources (`Entities.template`).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import decode_json, decode_yaml, read_body
from oto_trio.control.admin_api.operations import merge_documents
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import (
    LEGACY_RESOURCES,
    RESOURCES,
    SERVICE_DESCRIPTORS,
    SERVICE_GROUPS,
    TCP_SERVICES,
    Resource,
)
from oto_trio.control.admin_api.sentences import in_sentences, sentence
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.model.errors import ConflictError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.model.document import JsonObject

__all__ = ["STORED_OVER", "OlderTemplates"]

_NEW: Final = {
    "/api/new/service": SERVICE_DESCRIPTORS,
    "/api/new/tcp/service": TCP_SERVICES,
    "/api/new/group": SERVICE_GROUPS,
}
"""Templates under their older names; that of an API key is in `api_keys`."""

STORED_OVER: Final = (
    *("services", "groups", "apikeys", "tenants", "teams", "certificates", "verifiers"),
    *("auths", "scripts", "tcp/services"),
)
"""Entities that are stored by a POST to their ``_template``: words of the path below ``/api``.
Otoroshi's list has the global configuration too, which is never new."""

MOST_AT_ONCE: Final = 1000
"""Templates made by one request at most."""

_AUTH_TYPES: Final = {
    "basic": "In memory auth. provider",
    "ldap": "Ldap auth. provider",
    "oauth1": "OAuth1 provider",
    "oauth2": "OAuth2 / OIDC provider",
    "saml": "SAML v2 provider",
    "wasm": "Wasm auth. module provider",
    "workflow": "Workflow auth. module provider",
}
"""Types of auth modules that there are templates for, and what people call them."""


class OlderTemplates:
    """Endpoints for templates.

    Args:
        entities: What they are made of and stored in.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resources themselves."""
        rows = {row.legacy_path: row for row in LEGACY_RESOURCES}
        paths = [
            Path(path, in_sentences(partial(self._template, row)), methods=["GET"])
            for path, row in _NEW.items()
        ]
        for word in STORED_OVER:
            row = rows[f"/api/{word}"]
            endpoint = in_sentences(partial(self._store_over, row))
            paths.append(Path(f"/api/{word}/_template", endpoint, methods=["POST"]))
        return [
            *paths,
            Path("/api/new/resources", in_sentences(self._several), methods=["POST"]),
            Path("/api/auths/templates", in_sentences(self._auth_types), methods=["GET"]),
        ]

    async def _template(self, resource: Resource, request: Request) -> Response:
        template = await self._entities.template(resource, is_legacy=True)
        asked = {k: v for k, v in request.query_params.items() if k != "rawPassword"}
        return answer(request, template | asked, pretty_by_default=False)

    async def _store_over(self, resource: Resource, request: Request) -> Response:
        """Store a new entity: the template, with the body laid over it."""
        options = read_write_options(request)
        body: object = decode_json(await read_body(request))
        if not isinstance(body, dict):
            raise sentence(400, "bad entity: expected an object")
        template = await self._entities.template(resource, is_legacy=True)
        document = merge_documents(template, cast("JsonObject", body))
        try:
            written = await self._entities.create(
                resource,
                document,
                stamped=False,
                strict=options.is_strict,
                enriched=options.is_enriched,
            )
        except ConflictError:
            raise sentence(400, "bad entity: Entity already exists") from None
        except ApiError as error:
            if error.answer_status != 400:
                raise
            problems = error.extra.get("problems", error.description)
            raise sentence(400, "bad entity format", problems=problems) from None
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return answer(
            request, written.document, status=201, headers=headers, pretty_by_default=False
        )

    async def _several(self, request: Request) -> Response:
        """Make entities of the documents in the body: each laid over its template, none stored."""
        body: object = decode_json(await read_body(request))
        content: object = (
            cast("JsonObject", body).get("content") if isinstance(body, dict) else None
        )
        if isinstance(content, list):
            made: Any = await self._made(cast("list[object]", content))
        elif isinstance(content, dict):
            (made,) = await self._made([content])
        elif isinstance(content, str):
            texts = re.split(r"(?m)^---[ \t]*$", content)
            documents = [decode_yaml(text.encode()) for text in texts if text.strip()]
            made = await self._made(documents)
            if len(texts) == 1 and made:
                (made,) = made
        else:
            raise sentence(400, "Can't create resources")
        return answer(request, {"created": made}, pretty_by_default=False)

    async def _made(self, documents: list[object]) -> list[JsonObject]:
        if len(documents) > MOST_AT_ONCE:
            raise sentence(400, f"more than {MOST_AT_ONCE} resources; ask for them in parts")
        return [await self._one(document) for document in documents]

    async def _one(self, document: object) -> JsonObject:
        """Lay one document over its template; what is no resource is told in its place."""
        if not isinstance(document, dict):
            return {"error": "expected an object", "name": "Unknown"}
        given = cast("JsonObject", document)
        spec: object = given.get("spec")
        inner = cast("JsonObject", spec) if isinstance(spec, dict) else given
        kind = given.get("kind", inner.get("kind"))
        name = inner.get("name", given.get("name", "Unknown"))
        resource = _resource_named(kind) if isinstance(kind, str) else None
        if resource is None:
            return {"error": f"resource kind '{kind}' unknown", "name": name}
        try:
            template = await self._entities.template(resource)
        except ApiError:
            return {"error": f"resource kind '{kind}' has no template", "name": name}
        asked = {key: value for key, value in inner.items() if key != "kind"}
        return {**merge_documents(template, asked), "kind": resource.full_kind}

    async def _auth_types(self, request: Request) -> Response:
        types = [{"type": name, "label": label} for name, label in _AUTH_TYPES.items()]
        return answer(request, {"templates": types}, pretty_by_default=False)


def _resource_named(kind: str) -> Resource | None:
    """Find a resource by ``group/Kind``, or by the kind alone."""
    group, slash, name = kind.rpartition("/")
    for resource in RESOURCES:
        if name == resource.kind and (not slash or group == resource.group):
            return resource
    return None
