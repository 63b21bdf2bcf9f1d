"""Legacy paths of API keys: the keys of a group, service or route, bearers, and templates.

The keys themselves are a resource like any other (`resources`); these are the older ways to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import media_type, read_body, read_entity
from oto_trio.control.admin_api.generic import patched
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.operations import WALK_PAGE
from oto_trio.control.admin_api.preconditions import read_preconditions
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import (
    API_KEYS,
    ROUTE_COMPOSITIONS,
    ROUTES,
    SERVICE_DESCRIPTORS,
)
from oto_trio.control.admin_api.rights import required_caller
from oto_trio.control.admin_api.sentences import in_sentences, sentence
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.vaults.references import refers_to_secret
from oto_trio.model.api_key import (
    api_key_bearer,
    api_key_template,
    new_client_id,
    new_client_secret,
    write_api_key,
)
from oto_trio.model.errors import ConflictError
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities, Written
    from oto_trio.control.admin_api.writing import WriteOptions
    from oto_trio.model.document import JsonObject

__all__ = ["ApiKeyPaths", "has_owner"]

Endpoint = Callable[["Request"], Awaitable[Response]]

_OWNERS: Final = {"groups": "group", "services": "service", "routes": "route"}
"""Whose keys: word of the path → kind of authorisation."""

_TITLES: Final = {"group": "ServiceGroup", "service": "Service", "route": "Route"}

_FILTERS: Final = ("clientId", "name", "group", "enabled")
"""Query parameters of a list; one that holds is enough. Source: Otoroshi's admin API."""


def _no_key(client_id: str) -> ApiError:
    """Make the refusal of a key that is not there."""
    return sentence(404, f"ApiKey with clientId '{client_id}' not found")


def _authorises(document: JsonObject, spelling: str) -> bool:
    """Tell whether a key may call what `spelling` names."""
    return spelling in document.get("authorizedEntities", ())


def _passes(document: JsonObject, filters: JsonObject) -> bool:
    """Tell whether one of a list's filters holds for a key, or there is none."""
    if not filters:
        return True
    found = {
        "clientId": document["clientId"],
        "name": document["clientName"],
        "enabled": str(document["enabled"]).lower(),
    }
    groups = [text for text in document["authorizedEntities"] if text.startswith("group_")]
    return any(
        f"group_{wanted}" in groups if name == "group" else found[name] == wanted
        for name, wanted in filters.items()
    )


async def has_owner(entities: Entities, kind: str, owner: str) -> bool:
    """Tell whether there is a route or service whose keys are meant.

    A service is also what a route was called before; a route may be a composition.
    """
    others = {"service": SERVICE_DESCRIPTORS, "route": ROUTE_COMPOSITIONS}
    if id_problem(owner):
        return False
    return any(
        [
            await entities.store.get(resource.store_kind, owner) is not None
            for resource in (ROUTES, others[kind])
        ]
    )


class ApiKeyPaths:
    """Endpoints of the legacy dialect that concern keys.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resource itself."""
        paths = [
            Path("/api/apikeys/_template", in_sentences(self._template), methods=["GET"]),
            Path("/api/new/apikey", in_sentences(self._template), methods=["GET"]),
            Path("/api/apikeys/{key}/bearer", in_sentences(self._bearer), methods=["GET"]),
        ]
        for word, kind in _OWNERS.items():
            base = f"/api/{word}/{{owner}}/apikeys"
            collection = {"GET": self._list, "POST": self._create}
            one = {
                "GET": self._get,
                "PUT": self._update,
                "PATCH": self._patch,
                "DELETE": self._delete,
            }
            for path, verbs in ((base, collection), (f"{base}/{{key}}", one)):
                endpoint = in_sentences(partial(self._dispatch, kind, verbs))
                paths.append(Path(path, endpoint, methods=list(verbs)))
        return paths

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

    async def _dispatch(
        self, kind: str, verbs: Mapping[str, Callable[..., Awaitable[Response]]], request: Request
    ) -> Response:
        """Check whose keys are meant, then do what the verb says."""
        owner = request.path_params["owner"]
        # Groups are names that routes carry.
        if kind != "group" and not await has_owner(self._entities, kind, owner):
            raise sentence(404, f"{_TITLES[kind]} with id: '{owner}' not found")
        verb = "GET" if request.method == "HEAD" else request.method
        return await verbs[verb](request, f"{kind}_{owner}")

    # ---------------------------------------------------------------- templates and bearers

    async def _template(self, request: Request) -> Response:
        group = request.query_params.get("groupId", "default")
        template = write_api_key(api_key_template(group)) | {"_loc": required_caller().own_place()}
        asked = {k: v for k, v in request.query_params.items() if k != "rawPassword"}
        return self._answer(request, template | asked)

    async def _bearer(self, request: Request) -> Response:
        client_id = request.path_params["key"]
        document = await self._entities.get(API_KEYS, client_id)
        if document is None:
            raise _no_key(client_id)
        if refers_to_secret(document["clientSecret"]):
            # A bearer made of the reference opens nothing: the workers know the key by what the vault has.
            raise sentence(400, f"the secret of ApiKey '{client_id}' is in a vault")
        bearers = {"bearer": api_key_bearer(client_id, document["clientSecret"])}
        rotation = document["rotation"]
        next_secret = rotation["nextSecret"] if rotation["enabled"] else None
        if next_secret and not refers_to_secret(next_secret):
            bearers["bearer_next"] = api_key_bearer(client_id, next_secret)
        new_secret = request.query_params.get("newSecret")
        if new_secret:
            bearers["bearer_new"] = api_key_bearer(client_id, new_secret)
        return self._answer(request, bearers)

    # ---------------------------------------------------------------- the keys of an owner

    async def _owned(self, request: Request, spelling: str) -> JsonObject:
        """Read the key that a path names.

        Raises:
            ApiError: There is none, or it may not call its owner.
        """
        client_id = request.path_params["key"]
        document = await self._entities.get(API_KEYS, client_id)
        if document is None or not _authorises(document, spelling):
            raise _no_key(client_id)
        return document

    async def _list(self, request: Request, spelling: str) -> Response:
        query = read_list_query(request.query_params)
        filters = {k: v for k in _FILTERS if (v := request.query_params.get(k)) is not None}
        needle = msgspec.json.encode(spelling)
        skip, room = query.offset, query.page_size
        found: list[JsonObject] = []
        total = 0
        async for record in self._entities.store.walk(API_KEYS.store_kind, page=WALK_PAGE):
            if needle not in record.document:
                continue  # not decoded: with 100,000 keys this is what the time would go into
            document = await self._entities.document_of(API_KEYS, record)
            if not _authorises(document, spelling) or not _passes(document, filters):
                continue
            total += 1
            if skip < total <= skip + room:
                found.append(query.project(document))
        headers = {
            "X-Count": str(total),
            "X-Offset": str(skip),
            "X-Page": str(query.page),
            "X-Page-Size": str(query.page_size),
        }
        text = msgspec.json.encode(found)
        return Response(text, 200, headers, media_type="application/json")

    async def _get(self, request: Request, spelling: str) -> Response:
        document = await self._owned(request, spelling)
        return self._answer(request, read_list_query(request.query_params).project(document))

    async def _create(self, request: Request, spelling: str) -> Response:
        options = read_write_options(request)
        document = read_entity(media_type(request), await read_body(request), {})
        made = {
            **document,
            "clientId": document.get("clientId") or new_client_id(),
            "clientSecret": document.get("clientSecret") or new_client_secret(),
        }
        listed = made.get("authorizedEntities")
        made["authorizedEntities"] = [*(listed if isinstance(listed, list) else []), spelling]
        try:
            written = await self._entities.create(
                API_KEYS, made, stamped=False, strict=options.is_strict
            )
        except ConflictError:
            raise sentence(400, "Apikey already exists") from None
        except ApiError as error:
            raise _bad_format(error) from None
        return await self._written(request, options, written, status=201)

    async def _update(self, request: Request, spelling: str) -> Response:
        await self._owned(request, spelling)
        document = read_entity(media_type(request), await read_body(request), {})
        return await self._change(request, lambda _old: document)

    async def _patch(self, request: Request, spelling: str) -> Response:
        await self._owned(request, spelling)
        kind, text = media_type(request), await read_body(request)
        return await self._change(request, lambda old: patched(kind, text, old))

    async def _change(self, request: Request, make: Callable[[JsonObject], JsonObject]) -> Response:
        """Store what `make` makes of a key, and answer with it."""
        options, conditions = read_write_options(request), read_preconditions(request)
        client_id = request.path_params["key"]

        def make_from(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise _no_key(client_id)
            return make(old)

        try:
            written = await self._entities.change(
                API_KEYS,
                client_id,
                make_from,
                stamped=False,
                strict=options.is_strict,
                conditions=conditions,
            )
        except ApiError as error:
            raise _bad_format(error) from None
        return await self._written(request, options, written)

    async def _written(
        self, request: Request, options: WriteOptions, written: Written, *, status: int = 200
    ) -> Response:
        """Wait as asked, and answer with what was stored."""
        gateway = self._entities.gateway
        headers = await settle(gateway, options, written.revision, written.warnings)
        return self._answer(request, written.document, status=status, headers=headers)

    async def _delete(self, request: Request, spelling: str) -> Response:
        document = await self._owned(request, spelling)
        options = read_write_options(request)
        deleted = await self._entities.delete(
            API_KEYS, document["clientId"], conditions=read_preconditions(request)
        )
        if deleted is None:
            raise _no_key(document["clientId"])
        headers = await settle(self._entities.gateway, options, deleted[1])
        return self._answer(request, {"deleted": True}, headers=headers)


def _bad_format(error: ApiError) -> ApiError:
    """Say the refusal of a document in the words of these paths, and keep what is wrong with it."""
    if error.answer_status != 400:
        return error
    problems = error.extra.get("problems", error.description)
    return sentence(400, "Bad ApiKey format", problems=problems)
