"""The legacy dialect: ``/api/<plural>``, and the global configuration at ``/api/globalconfig``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer, list_answer
from oto_trio.control.admin_api.bodies import media_type, read_body, read_entity
from oto_trio.control.admin_api.bulk import LEGACY_BULK, run_bulk
from oto_trio.control.admin_api.generic import patched
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.preconditions import read_preconditions
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.model.errors import ConflictError

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.model.document import JsonObject

__all__ = ["LegacyApi"]

Endpoint = Callable[["Request"], Awaitable[Response]]


def _in_legacy_words(error: ApiError, word: str, text: str) -> ApiError:
    """Say the refusal of an entity in the words of this dialect, and keep what is wrong with it."""
    if error.answer_status != 400:
        return error
    problems = error.extra.get("problems", error.description)
    return ApiError(400, word, text, problems=problems)


class _Legacy:
    """Endpoints of one resource."""

    def __init__(self, entities: Entities, resource: Resource, base: str) -> None:
        self._entities = entities
        self._resource = resource
        self._base = base

    def paths(self) -> list[Path]:
        """Give the paths of this resource, most special first."""
        base = self._base
        actions: list[tuple[str, dict[str, Endpoint]]] = []
        if self._resource.has_template_path:
            place = self._resource.legacy_template_path or f"{base}/_template"
            actions.append((place, {"GET": self._template}))
        change: dict[str, Endpoint] = {"GET": self._get, "PUT": self._update, "PATCH": self._patch}
        entity: dict[str, Endpoint] = {**change, "DELETE": self._delete}
        collection: dict[str, Endpoint] = {"GET": self._list, "POST": self._create}
        bulk: dict[str, Endpoint] = {
            "POST": self._bulk,
            "PUT": self._bulk,
            "PATCH": self._bulk,
            "DELETE": self._bulk,
        }
        if self._resource.only_id is not None:
            actions.append((base, change))
        else:
            actions += [
                (base, collection),
                (f"{base}/_bulk", bulk),
                (f"{base}/{{id:path}}", entity),
            ]
        return [Path(path, self._on(verbs), methods=list(verbs)) for path, verbs in actions]

    def _on(self, verbs: dict[str, Endpoint]) -> Endpoint:
        """Make an endpoint: do what the verb says, put refusals into form."""

        async def endpoint(request: Request) -> Response:
            try:
                return await verbs["GET" if request.method == "HEAD" else request.method](request)
            except ApiError as error:
                return self._answer(request, error.body(), status=error.answer_status)

        return endpoint

    def _answer(
        self,
        request: Request,
        value: dict[str, Any],
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Make an answer: compact, without ``kind``."""
        return answer(request, value, status=status, headers=headers, pretty_by_default=False)

    def _id(self, request: Request) -> str:
        """Give the id a path names."""
        return self._resource.only_id or request.path_params["id"]

    async def _list(self, request: Request) -> Response:
        query = read_list_query(request.query_params)
        listed = await self._entities.list(self._resource, query)
        headers = {
            "X-Count": str(listed.total),
            "X-Offset": str(query.offset),
            "X-Page": str(query.page),
            "X-Page-Size": str(query.page_size),
        }
        return await list_answer(
            request, listed.documents, headers=headers, pretty_by_default=False
        )

    async def _template(self, request: Request) -> Response:
        params = request.query_params
        kind = params.get("mod-type", params.get("type"))
        template = await self._entities.template(self._resource, is_legacy=True, kind=kind)
        asked = {k: v for k, v in request.query_params.items() if k != "rawPassword"}
        return self._answer(request, template | asked)

    async def _get(self, request: Request) -> Response:
        document = await self._entities.get(self._resource, self._id(request))
        if document is None:
            raise ApiError(404, "not_found", "entity not found")
        return self._answer(request, read_list_query(request.query_params).project(document))

    async def _body(self, request: Request) -> JsonObject:
        """Read the entity in the body."""
        kind = media_type(request)
        return read_entity(kind, await read_body(request), {})

    async def _create(self, request: Request) -> Response:
        options = read_write_options(request)
        document = await self._body(request)
        try:
            written = await self._entities.create(
                self._resource,
                document,
                stamped=False,
                strict=options.is_strict,
                enriched=options.is_enriched,
            )
        except ConflictError:
            raise ApiError(400, "not_found", "Entity already exists") from None
        except ApiError as error:
            raise _in_legacy_words(error, "bad_format", "Bad entity format") from None
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return self._answer(request, written.document, status=201, headers=headers)

    async def _update(self, request: Request) -> Response:
        document = await self._body(request)
        return await self._change(request, lambda _old: document)

    async def _patch(self, request: Request) -> Response:
        kind = media_type(request)
        text = await read_body(request)
        return await self._change(request, lambda old: patched(kind, text, old))

    async def _change(self, request: Request, make: Callable[[JsonObject], JsonObject]) -> Response:
        """Store what `make` makes of the entity, and answer with it."""
        options, conditions = read_write_options(request), read_preconditions(request)

        def make_from(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise ApiError(404, "not_found", "Entity not found")
            return make(old)

        try:
            written = await self._entities.change(
                self._resource,
                self._id(request),
                make_from,
                stamped=False,
                strict=options.is_strict,
                enriched=options.is_enriched,
                conditions=conditions,
            )
        except ApiError as error:
            raise _in_legacy_words(error, "bad_entity", "Bad entity format") from None
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return self._answer(request, written.document, headers=headers)

    async def _delete(self, request: Request) -> Response:
        options = read_write_options(request)
        deleted = await self._entities.delete(
            self._resource, self._id(request), conditions=read_preconditions(request)
        )
        if deleted is None:
            raise ApiError(404, "delete_error", "Entity not found")
        headers = await settle(self._entities.gateway, options, deleted[1])
        return self._answer(request, {"deleted": True}, headers=headers)

    async def _bulk(self, request: Request) -> Response:
        return await run_bulk(self._entities, request, self._resource, LEGACY_BULK)


class LegacyApi:
    """Endpoints of the legacy dialect, for every resource.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._rows = [
            _Legacy(entities, resource, resource.legacy_path)
            for resource in LEGACY_RESOURCES
            if resource.legacy_path is not None
        ]

    def paths(self) -> list[Path]:
        """Give the paths of every resource."""
        return [path for row in self._rows for path in row.paths()]
