"""The generic dialect: ``/apis/<group>/<version>/<plural>``, the same for every resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, cast

from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer, list_answer
from oto_trio.control.admin_api.bodies import (
    decode_json,
    decode_yaml,
    is_patch_form,
    media_type,
    read_body,
    read_entity,
)
from oto_trio.control.admin_api.bulk import GENERIC_BULK, run_bulk
from oto_trio.control.admin_api.json_patch import (
    JsonPatchError,
    apply_json_patch,
    apply_merge_patch,
)
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.preconditions import digest_of, entity_tag, read_preconditions
from oto_trio.control.admin_api.refusals import ApiError, bad_request
from oto_trio.control.admin_api.resources import BULK_ACTIONS, RESOURCES, VERSION, find_resource
from oto_trio.control.admin_api.schemas import schema_of
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.model.errors import ConflictError

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.admin_api.resources import Action, Resource
    from oto_trio.model.document import JsonObject

__all__ = ["NOT_FOUND", "GenericApi", "patched"]

NOT_FOUND: Final = ("not_found", "resource not found")
NO_LIST: Final = {"X-Pages": "-1"}
MERGE_PATCH: Final = "application/merge-patch+json"
_UNKNOWN_KIND: Final = "proxy.otoroshi.io/Unknown"

Endpoint = Callable[["Request", "Resource"], Awaitable[Response]]


def _not_found() -> ApiError:
    """Make the refusal of an entity that is not there."""
    return ApiError(404, *NOT_FOUND)


def _forbidden_verb() -> ApiError:
    """Make the refusal of a verb that a resource does not have."""
    return ApiError(401, "unauthorized", "you cannot do that")


def _require(resource: Resource, action: Action) -> None:
    """Refuse what may not be done to the entities of a resource.

    Raises:
        ApiError: It may not.
    """
    if action not in resource.actions:
        raise _forbidden_verb()


def patched(kind: str, text: bytes, document: JsonObject) -> JsonObject:
    """Apply the body of a PATCH to a document.

    Raises:
        ApiError: It is no patch, or it fails.
    """
    if is_patch_form(kind):
        return read_entity(kind, text, document)
    if kind == MERGE_PATCH:
        changes = decode_json(text)
        if not isinstance(changes, dict):
            raise bad_request(
                "a merge patch is an object; write the keys to change, null to remove"
            )
        return apply_merge_patch(document, cast("JsonObject", changes))
    patch = decode_yaml(text) if kind.startswith("application/y") else decode_json(text)
    try:
        result = apply_json_patch(document, patch)
    except JsonPatchError as error:
        raise bad_request(str(error)) from None
    if not isinstance(result, dict):
        raise bad_request("the patch leaves no object")
    return cast("JsonObject", result)


class GenericApi:
    """Endpoints of the generic dialect.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths, most special first."""
        base = "/apis/{group}/{version}/{name}"
        collection: dict[str, Endpoint] = {
            "GET": self._list,
            "POST": self._create,
            "DELETE": self._delete_all,
        }
        bulk: dict[str, Endpoint] = {
            "POST": self._bulk,
            "PUT": self._bulk,
            "PATCH": self._bulk,
            "DELETE": self._bulk,
        }
        entity: dict[str, Endpoint] = {
            "GET": self._get,
            "POST": self._upsert,
            "PUT": self._update,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        actions: list[tuple[str, dict[str, Endpoint]]] = [
            (base, collection),
            (f"{base}/_count", {"GET": self._count}),
            (f"{base}/_schema", {"GET": self._schema}),
            (f"{base}/_template", {"GET": self._template}),
            (f"{base}/_bulk", bulk),
            (f"{base}/{{id:path}}", entity),
        ]
        catalogue = Path("/apis/entities", self._catalogue, methods=["GET"])
        return [catalogue, *(Path(p, self._on(verbs), methods=list(verbs)) for p, verbs in actions)]

    def _on(self, actions: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        """Make an endpoint: find the resource, do what the verb says, put refusals into form."""

        async def endpoint(request: Request) -> Response:
            words = request.path_params
            resource = find_resource(words["group"], words["version"], words["name"])
            if resource is None:
                return self._refused(request, _not_found(), _UNKNOWN_KIND)
            verb = "GET" if request.method == "HEAD" else request.method
            try:
                response = await actions[verb](request, resource)
            except ApiError as error:
                response = self._refused(request, error, resource.full_kind)
            if resource.is_deprecated:
                response.headers["Otoroshi-Api-Deprecated"] = "yes"
            return response

        return endpoint

    def _refused(self, request: Request, error: ApiError, kind: str) -> Response:
        """Make the answer for a refusal."""
        return answer(request, error.body(), status=error.answer_status, kind=kind, headers=NO_LIST)

    async def _catalogue(self, request: Request) -> Response:
        """``GET /apis/entities``: what resources there are."""
        with_schema = request.query_params.get("schema") != "false"
        rows: list[JsonObject] = [
            {
                "kind": resource.kind,
                "plural_name": resource.plural,
                "singular_name": resource.singular,
                "group": resource.group,
                "version": {
                    "name": VERSION,
                    "served": True,
                    "deprecated": resource.is_deprecated,
                    "storage": True,
                    **({"schema": schema_of(resource.cls)} if with_schema else {}),
                },
            }
            for resource in RESOURCES
        ]
        return answer(request, {"version": VERSION, "resources": rows})

    async def _list(self, request: Request, resource: Resource) -> Response:
        query = read_list_query(request.query_params)
        listed = await self._entities.list(resource, query)
        headers = {"X-Pages": str(query.pages_of(listed.total))}
        return await list_answer(
            request, listed.documents, kind=resource.full_kind, headers=headers
        )

    async def _count(self, request: Request, resource: Resource) -> Response:
        query = read_list_query(request.query_params)
        if query.needs_all:
            count = (await self._entities.list(resource, query)).total
        else:
            count = await self._entities.count(resource)
        return answer(request, {"count": count}, kind=resource.full_kind, headers=NO_LIST)

    async def _schema(self, request: Request, resource: Resource) -> Response:
        return answer(request, schema_of(resource.cls), headers=NO_LIST)

    async def _template(self, request: Request, resource: Resource) -> Response:
        kind = request.query_params.get("type")
        template = await self._entities.template(resource, kind=kind)
        return answer(request, template, headers=NO_LIST)

    async def _bulk(self, request: Request, resource: Resource) -> Response:
        if resource.only_id is not None:
            raise _forbidden_verb()
        _require(resource, BULK_ACTIONS[request.method])
        return await run_bulk(self._entities, request, resource, GENERIC_BULK)

    async def _get(self, request: Request, resource: Resource) -> Response:
        words = request.path_params
        names_it = words["group"] == resource.group and words["version"] == VERSION
        if resource.lists_by_prefix and names_it:
            query = read_list_query(request.query_params)
            listed = await self._entities.starting_with(resource, words["id"], query)
            return await list_answer(request, listed, headers=NO_LIST)
        conditions = read_preconditions(request)
        found = await self._entities.find(resource, request.path_params["id"])
        if found is None:
            raise _not_found()
        tag = entity_tag(request, found.revision, digest_of(found.document))
        headers = {**NO_LIST, "ETag": tag}
        if conditions.is_unmodified(tag, found.revision):
            return Response(status_code=304, headers=headers)
        shown = read_list_query(request.query_params).project(found.document)
        return answer(request, shown, kind=resource.full_kind, headers=headers)

    async def _body(self, request: Request, resource: Resource) -> JsonObject:
        """Read the entity in the body; patch forms go onto the template."""
        kind = media_type(request)
        text = await read_body(request)
        base = await self._entities.template(resource) if is_patch_form(kind) else {}
        return read_entity(kind, text, base)

    async def _create(self, request: Request, resource: Resource) -> Response:
        _require(resource, "create")
        options = read_write_options(request)
        document = await self._body(request, resource)
        try:
            written = await self._entities.create(
                resource,
                document,
                stamped=True,
                strict=options.is_strict,
                enriched=options.is_enriched,
            )
        except ConflictError:
            raise ApiError(401, "unauthorized", "resource already exists") from None
        headers = await settle(self._entities.gateway, options, written.revision, written.warnings)
        headers["ETag"] = entity_tag(request, written.revision, written.digest)
        return answer(
            request,
            written.document,
            status=201,
            kind=resource.full_kind,
            headers=NO_LIST | headers,
        )

    async def _upsert(self, request: Request, resource: Resource) -> Response:
        if not resource.actions & {"create", "update"}:
            raise _forbidden_verb()
        document = await self._body(request, resource)

        def make(old: JsonObject | None) -> JsonObject:
            if resource.only_id is None:
                _require(resource, "create" if old is None else "update")
            return document

        return await self._change(request, resource, make, tells_update=True)

    async def _update(self, request: Request, resource: Resource) -> Response:
        _require(resource, "update")
        document = await self._body(request, resource)

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise ApiError(401, "unauthorized", "resource does not exists")
            return document

        return await self._change(request, resource, make)

    async def _patch(self, request: Request, resource: Resource) -> Response:
        _require(resource, "update")
        kind = media_type(request)
        if kind not in _PATCH_TYPES:
            raise bad_request("bad content type")
        text = await read_body(request)

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise _not_found()
            return patched(kind, text, old)

        return await self._change(request, resource, make)

    async def _change(
        self,
        request: Request,
        resource: Resource,
        make: Callable[[JsonObject | None], JsonObject],
        *,
        tells_update: bool = False,
    ) -> Response:
        """Store what `make` makes, and answer with it."""
        options = read_write_options(request)
        written = await self._entities.change(
            resource,
            request.path_params["id"],
            make,
            stamped=True,
            strict=options.is_strict,
            enriched=options.is_enriched,
            conditions=read_preconditions(request),
        )
        headers = await settle(self._entities.gateway, options, written.revision, written.warnings)
        headers["ETag"] = entity_tag(request, written.revision, written.digest)
        if tells_update and not written.is_new:
            # Otoroshi's meaning: "true" says that the body equals what was stored.
            headers["Otoroshi-Entity-Updated"] = str(written.is_unchanged).lower()
        return answer(
            request,
            written.document,
            status=201 if tells_update and written.is_new else 200,
            kind=resource.full_kind,
            headers=NO_LIST | headers,
        )

    async def _delete(self, request: Request, resource: Resource) -> Response:
        _require(resource, "delete")
        options = read_write_options(request)
        deleted = await self._entities.delete(
            resource, request.path_params["id"], conditions=read_preconditions(request)
        )
        if deleted is None:
            raise _not_found()
        document, revision = deleted
        headers = await settle(self._entities.gateway, options, revision)
        return answer(request, document, kind=resource.full_kind, headers=NO_LIST | headers)

    async def _delete_all(self, request: Request, resource: Resource) -> Response:
        _require(resource, "delete")
        options = read_write_options(request)
        revision = await self._entities.delete_all(resource)
        headers = await settle(self._entities.gateway, options, revision)
        return Response(status_code=204, headers=NO_LIST | headers)


_PATCH_TYPES: Final = frozenset(
    {
        "application/json",
        "application/json-patch+json",
        MERGE_PATCH,
        "application/yaml",
        "application/yml",
        "application/json+oto-patch",
        "application/x-www-form-urlencoded",
    }
)
