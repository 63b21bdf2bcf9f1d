"""What the legacy dialect has below ``/api/services`` and beside it: parts of a service, lines, groups.

The services themselves are a resource like any other (`resources`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio import jq
from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import decode_json, media_type, read_body, read_entity
from oto_trio.control.admin_api.json_patch import JsonPatchError, apply_json_patch
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.operations import WALK_PAGE
from oto_trio.control.admin_api.preconditions import read_preconditions
from oto_trio.control.admin_api.refusals import ApiError, refused_entity
from oto_trio.control.admin_api.resources import (
    ERROR_TEMPLATES,
    JWT_VERIFIERS,
    ROUTES,
    SERVICE_DESCRIPTORS,
    SERVICE_GROUPS,
)
from oto_trio.control.admin_api.rights import denied, global_config_of, required_caller, writable
from oto_trio.control.admin_api.sentences import in_sentences, sentence
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.store import Put
from oto_trio.gateway.compile import Surroundings, convert_service
from oto_trio.model.document import encode_document, read_document
from oto_trio.model.errors import ConflictError, Problem
from oto_trio.model.ids import id_problem
from oto_trio.model.route import write_route
from oto_trio.model.service_descriptor import ServiceDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.store import Record
    from oto_trio.model.document import JsonObject

__all__ = ["ServicePaths"]

_AS_WRITTEN: Final = Surroundings(lambda _: True, lambda words: f"${{{words}}}")
"""Everything is converted, and keys stay the expressions that they are: nobody is shown the operator's."""


class ServicePaths:
    """Endpoints for parts of a service, and for what is found by a line, a group or a verifier.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resources themselves."""
        one = "/api/services/{service}"
        table: list[tuple[str, dict[str, Callable[[Request], Any]]]] = [
            (
                f"{one}/targets",
                {
                    "GET": self._targets,
                    "POST": partial(self._change_targets, _added),
                    "DELETE": partial(self._change_targets, _removed),
                    "PATCH": partial(self._change_targets, _patched),
                },
            ),
            (
                f"{one}/template",
                {
                    "GET": self._template,
                    "POST": self._create_template,
                    "PUT": self._update_template,
                    "DELETE": self._delete_template,
                },
            ),
            (f"{one}/route", {"GET": self._as_route, "POST": self._become_route}),
            ("/api/lines", {"GET": self._lines}),
            ("/api/lines/{line}/services", {"GET": self._services_of_line}),
            ("/api/groups/{group}/services", {"GET": self._services_of_group}),
            ("/api/entities/{entity}/{id}", {"GET": self._users_of}),
        ]
        return [
            Path(path, in_sentences(partial(_dispatch, verbs)), methods=list(verbs))
            for path, verbs in table
        ]

    # ------------------------------------------------------------------------------- the service

    async def _service(
        self, request: Request, *, to_write: bool = False
    ) -> tuple[Record, ServiceDescriptor]:
        """Read the service that a path names.

        Raises:
            ApiError: There is none, or it is out of the caller's reach.
        """
        service_id = request.path_params["service"]
        record = None
        if not id_problem(service_id):
            record = await self._entities.store.get(SERVICE_DESCRIPTORS.store_kind, service_id)
        if record is None:
            raise sentence(404, f"Service with id: '{service_id}' not found")
        if to_write:
            await self._entities.check_writable(SERVICE_DESCRIPTORS)
            if not writable(self._entities.store, [record]):
                raise denied(required_caller())
        return record, read_document(ServiceDescriptor, msgspec.json.decode(record.document))

    async def _targets(self, request: Request) -> Response:
        _, service = await self._service(request)
        return _answered(request, [f"{t.scheme}://{t.host}" for t in service.targets])

    async def _change_targets(
        self, change: Callable[[list[JsonObject], object], list[JsonObject]], request: Request
    ) -> Response:
        """Store the service with other targets; answers all that it has then."""
        body: object = decode_json(await read_body(request))
        options, conditions = read_write_options(request), read_preconditions(request)
        await self._service(request, to_write=True)

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                service_id = request.path_params["service"]
                raise sentence(404, f"Service with id: '{service_id}' not found")
            return {**old, "targets": change(old["targets"], body)}

        written = await self._entities.change(
            SERVICE_DESCRIPTORS,
            request.path_params["service"],
            make,
            stamped=False,
            strict=options.is_strict,
            conditions=conditions,
        )
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        targets = [_word(target) for target in written.document["targets"]]
        return Response(msgspec.json.encode(targets), 200, headers, media_type="application/json")

    # ----------------------------------------------------------------------------- its error pages

    async def _template(self, request: Request) -> Response:
        record, _ = await self._service(request)
        document = await self._entities.get(ERROR_TEMPLATES, record.id)
        if document is None:
            raise sentence(404, "template not found")
        return answer(request, document, pretty_by_default=False)

    async def _template_body(self, request: Request, service_id: str) -> JsonObject:
        """Read the error template in the body; it is always that of the service in the path."""
        document = read_entity(media_type(request), await read_body(request), {})
        return {**document, "serviceId": service_id}

    async def _create_template(self, request: Request) -> Response:
        record, _ = await self._service(request, to_write=True)
        options = read_write_options(request)
        document = await self._template_body(request, record.id)
        try:
            written = await self._entities.create(
                ERROR_TEMPLATES, document, stamped=False, strict=options.is_strict
            )
        except ConflictError:
            raise sentence(400, "ErrorTemplate already exists") from None
        except ApiError as error:
            raise _bad_template(error) from None
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return answer(request, written.document, headers=headers, pretty_by_default=False)

    async def _update_template(self, request: Request) -> Response:
        record, _ = await self._service(request, to_write=True)
        options, conditions = read_write_options(request), read_preconditions(request)
        document = await self._template_body(request, record.id)

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise sentence(404, "ErrorTemplate does not exists")
            return document

        try:
            written = await self._entities.change(
                ERROR_TEMPLATES,
                record.id,
                make,
                stamped=False,
                strict=options.is_strict,
                conditions=conditions,
            )
        except ApiError as error:
            raise _bad_template(error) from None
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return answer(request, written.document, headers=headers, pretty_by_default=False)

    async def _delete_template(self, request: Request) -> Response:
        record, _ = await self._service(request, to_write=True)
        options = read_write_options(request)
        deleted = await self._entities.delete(
            ERROR_TEMPLATES, record.id, conditions=read_preconditions(request)
        )
        if deleted is None:
            raise sentence(404, "template not found")
        headers = await settle(self._entities.gateway, options, deleted[1])
        return answer(request, {"done": True}, headers=headers, pretty_by_default=False)

    # ------------------------------------------------------------------------------- as a route

    async def _as_route(self, request: Request) -> Response:
        _, service = await self._service(request, to_write=True)
        converted = convert_service(service, _AS_WRITTEN)
        return answer(request, write_route(converted.route), pretty_by_default=False)

    async def _become_route(self, request: Request) -> Response:
        """Keep the route that a service means, and disable the service, both or neither.

        A service that asks for what a route has no plugin for is refused: its route would be open. So is one
        whose id a route has already, as after a first request: that route may have been changed since, and
        what the disabled service means would disable it. Otoroshi overwrites it.
        """
        record, service = await self._service(request, to_write=True)
        options = read_write_options(request)
        read_preconditions(request).check_write(record.revision)
        converted = convert_service(service, _AS_WRITTEN)
        route = converted.route
        found = await jq.judge_aside(partial(self._entities.gateway.check, route))
        problems = [*converted.problems, *found]
        errors: list[Problem] = [p for p in problems if p.severity == "error"]
        if errors:
            raise refused_entity(errors)
        disabled = msgspec.structs.replace(service, enabled=False)
        if await self._entities.store.get(ROUTES.store_kind, route.id) is not None:
            raise _has_route(route.id)
        try:
            revision = await self._entities.store.transact(
                [
                    Put(ROUTES.store_kind, route.id, encode_document(route), expect="absent"),
                    Put(record.kind, record.id, encode_document(disabled), record.revision),
                ]
            )
        except ConflictError:
            raise sentence(409, "others changed the service or its route; try again") from None
        headers = await settle(self._entities.gateway, options, revision, problems)
        base = str(request.base_url).rstrip("/")
        urls = {
            "resource_url": f"{base}/api/routes/{route.id}",
            "resource_ui_url": f"{base}/bo/dashboard/routes/{route.id}",
        }
        return answer(
            request, {**write_route(route), **urls}, headers=headers, pretty_by_default=False
        )

    # ------------------------------------------------------------------------ found by other words

    async def _services(self, request: Request, wanted: Callable[[JsonObject], bool]) -> Response:
        """List the services that are wanted."""
        found: list[JsonObject] = []
        walk = self._entities.store.walk(SERVICE_DESCRIPTORS.store_kind, page=WALK_PAGE)
        async for record in walk:
            document = await self._entities.document_of(SERVICE_DESCRIPTORS, record)
            if wanted(document):
                found.append(document)
        return _page(request, found)

    async def _lines(self, request: Request) -> Response:
        """List the lines: those of the global configuration, and those that services are on."""
        lines: set[str] = set()
        record = await global_config_of(self._entities.store)
        if record is not None:
            config: JsonObject = msgspec.json.decode(record.document)
            lines.update(cast("list[str]", config.get("lines", [])))
        walk = self._entities.store.walk(SERVICE_DESCRIPTORS.store_kind, page=WALK_PAGE)
        async for service in walk:
            document: JsonObject = msgspec.json.decode(service.document)
            lines.add(document["env"])
        return _answered(request, sorted(lines))

    async def _services_of_line(self, request: Request) -> Response:
        line = request.path_params["line"]
        return await self._services(request, lambda document: document["env"] == line)

    async def _services_of_group(self, request: Request) -> Response:
        group = request.path_params["group"]
        if await self._entities.get(SERVICE_GROUPS, group) is None:
            raise sentence(404, f"ServiceGroup with id: '{group}' not found")
        return await self._services(request, lambda document: group in document["groups"])

    async def _users_of(self, request: Request) -> Response:
        """Answer the routes whose plugins name a JWT verifier; of other entities nothing is asked."""
        word = JWT_VERIFIERS.plural
        if request.path_params["entity"] != word:
            return answer(request, {}, pretty_by_default=False)
        quoted = msgspec.json.encode(request.path_params["id"])
        found: list[JsonObject] = []
        async for record in self._entities.store.walk(ROUTES.store_kind, page=WALK_PAGE):
            if quoted not in record.document:
                continue  # not decoded: with 10,000 routes this is what the time would go into
            document = await self._entities.document_of(ROUTES, record)
            configs = [slot["config"] for slot in document["plugins"]]
            if quoted in msgspec.json.encode(configs):
                found.append(document)
        return answer(request, {"routes": found}, pretty_by_default=False)


async def _dispatch(verbs: dict[str, Callable[[Request], Any]], request: Request) -> Response:
    """Do what the verb says."""
    response: Response = await verbs["GET" if request.method == "HEAD" else request.method](request)
    return response


def _has_route(service_id: str) -> ApiError:
    """Make the refusal of a service whose route is there."""
    return sentence(
        409,
        f"there is a route with id: '{service_id}' already; delete it first if the service's is to replace it",
    )


def _page(request: Request, found: list[JsonObject]) -> Response:
    """Answer a page of documents, with the headers of the legacy dialect."""
    query = read_list_query(request.query_params)
    keyed = [(query.keys_of(document), document) for document in found if query.matches(document)]
    query.sort(keyed)
    return _answered(request, [query.project(document) for _, document in keyed])


def _answered(request: Request, found: list[Any]) -> Response:
    """Answer the page of a list that was asked for."""
    query = read_list_query(request.query_params)
    headers = {
        "X-Count": str(len(found)),
        "X-Offset": str(query.offset),
        "X-Page": str(query.page),
        "X-Page-Size": str(query.page_size),
    }
    page = found[query.offset : query.offset + query.page_size]
    return Response(msgspec.json.encode(page), 200, headers, media_type="application/json")


def _word(target: JsonObject) -> str:
    """Write a target as these paths do: ``scheme://host``."""
    return f"{target['scheme']}://{target['host']}"


def _target_of(word: object) -> JsonObject:
    """Read ``scheme://host``.

    Raises:
        ApiError: It is none.
    """
    scheme, found, host = word.partition("://") if isinstance(word, str) else ("", "", "")
    if not (found and scheme and host):
        raise sentence(400, f"{word!r} is no target; write scheme://host")
    return {"scheme": scheme, "host": host}


def _asked(body: object) -> JsonObject:
    """Read the one target of a body ``{"target": "scheme://host"}``."""
    if not isinstance(body, dict):
        raise sentence(400, 'write {"target": "scheme://host"}')
    return _target_of(cast("JsonObject", body).get("target"))


def _added(targets: list[JsonObject], body: object) -> list[JsonObject]:
    """Add a target, unless it is there."""
    target = _asked(body)
    return targets if _word(target) in map(_word, targets) else [*targets, target]


def _removed(targets: list[JsonObject], body: object) -> list[JsonObject]:
    """Remove a target. Otoroshi removes only one that says nothing else; here its address counts."""
    word = _word(_asked(body))
    return [target for target in targets if _word(target) != word]


def _patched(targets: list[JsonObject], body: object) -> list[JsonObject]:
    """Patch the list of addresses. Targets that stay keep what else they say, which Otoroshi drops."""
    if not isinstance(body, list):
        raise sentence(400, "write a JSON patch: a list of operations")
    try:
        words = apply_json_patch([_word(target) for target in targets], cast("list[object]", body))
    except JsonPatchError as error:
        raise sentence(400, str(error)) from None
    if not isinstance(words, list):
        raise sentence(400, "the patch leaves no list of targets")
    known = {_word(target): target for target in targets}
    return [
        known[word] if isinstance(word, str) and word in known else _target_of(word)
        for word in cast("list[object]", words)
    ]


def _bad_template(error: ApiError) -> ApiError:
    """Say the refusal of an error template in the words of these paths."""
    if error.answer_status != 400:
        return error
    problems = error.extra.get("problems", error.description)
    return sentence(400, "Bad ErrorTemplate format", problems=problems)
