"""Legacy paths of administrators and of sessions, theirs and those of applications.

Where they are, only an administrator of the tenant gets (`rights.gates`); what of them can be reached is the
scoped store's to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import msgspec
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.admins.passwords import hash_password
from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import media_type, read_body, read_entity
from oto_trio.control.admin_api.listing import read_list_query
from oto_trio.control.admin_api.operations import WALK_PAGE
from oto_trio.control.admin_api.preconditions import read_preconditions
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources.security import (
    ADMIN_SESSIONS,
    ADMINS,
    AUTH_MODULE_USERS,
)
from oto_trio.control.admin_api.rights import Rights, gate_refusal, required_caller, writable
from oto_trio.control.admin_api.rights.locations import WEBAUTHN_ADMINS
from oto_trio.control.admin_api.writing import read_write_options, settle
from oto_trio.control.store import Delete
from oto_trio.model.errors import ConflictError
from oto_trio.model.rights import SUPER_ADMIN, UserRight

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.operations import Entities
    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.model.document import JsonObject

__all__ = ["AdminPaths"]

Endpoint = Callable[["Request"], Awaitable[Response]]

_PASSKEY_ADMINS = replace(
    ADMINS, kind="WebAuthnAdmin", plural=WEBAUTHN_ADMINS, store_kind=WEBAUTHN_ADMINS
)
"""Administrators with passkeys; only the older dialect has them."""

_TOO_MUCH = "you can't set superadmin rights to an admin"


def _text(status: int, text: str) -> ApiError:
    """Make a refusal that is one sentence."""
    return ApiError(status, text, "")


class AdminPaths:
    """Endpoints of administrators, and of everybody's sessions.

    Args:
        entities: What they read and write.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths."""
        base = "/api/admins/simple"
        one = f"{base}/{{username}}"
        actions: list[tuple[str, str, Endpoint]] = [
            ("GET", base, self._list),
            ("POST", base, self._create),
            ("GET", f"{base}/_template", self._template),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
        ]
        passkeys = _PasskeyPaths(self._entities)
        actions += [
            ("GET", "/api/admins/webauthn", passkeys.all),
            ("DELETE", "/api/admins/webauthn/{username}/{id}", passkeys.delete),
        ]
        kinds = (("/api/admin-sessions", ADMIN_SESSIONS), ("/api/apps-sessions", AUTH_MODULE_USERS))
        for path, resource in kinds:
            sessions = _SessionPaths(self._entities, resource)
            actions += [
                ("GET", path, sessions.all),
                ("DELETE", path, sessions.end_all),
                ("DELETE", f"{path}/{{id}}", sessions.end),
            ]
        of_module = _SessionPaths(self._entities, AUTH_MODULE_USERS).end_of_module
        actions.append(("DELETE", "/api/apps-sessions-module/{module}", of_module))
        return [Path(path, _safely(action), methods=[verb]) for verb, path, action in actions]

    async def _list(self, request: Request) -> Response:
        return await _listed(self._entities, ADMINS, request)

    async def _template(self, request: Request) -> Response:
        """``GET …/_template``: with ``?rawPassword=`` its hash, else that of ``password``."""
        template = await self._entities.template(ADMINS)
        params = request.query_params
        raw = params.get("rawPassword")
        if raw is not None:
            template["password"] = await hash_password(raw)
        return _answer(request, template | {k: v for k, v in params.items() if k != "rawPassword"})

    async def _create(self, request: Request) -> Response:
        """``POST /api/admins/simple``: a new one, with a password in clear, its maker's rights and validators."""
        body = await _body(request)
        username, password = body.get("username"), body.get("password")
        if not (isinstance(username, str) and isinstance(password, str) and username and password):
            raise _text(400, "no username or token provided")
        options = read_write_options(request)
        caller = required_caller()
        rights = SUPER_ADMIN
        if not caller.is_super_admin:
            rights = (UserRight(tenant=f"{caller.tenant}:rw", teams=("*:rw",)),)
        label = body.get("label")
        made = {
            "_loc": caller.own_place(),
            "username": username,
            "password": await hash_password(password),
            "label": label if isinstance(label, str) and label else username,
            "metadata": body.get("metadata") or {},
            "rights": [{"tenant": r.tenant, "teams": list(r.teams)} for r in rights],
            "adminEntityValidators": {k: list(v) for k, v in caller.validators.items()},
        }
        try:
            written = await self._entities.create(ADMINS, made, stamped=False, strict=True)
        except ConflictError:
            raise _text(400, "user already exists") from None
        headers = await settle(self._entities.gateway, options, written.revision)
        return _answer(request, {"username": username}, headers=headers)

    async def _get(self, request: Request) -> Response:
        document = await self._entities.get(ADMINS, request.path_params["username"])
        if document is None:
            raise ApiError(404, "not_found", "entity not found")
        return _answer(request, document)

    async def _update(self, request: Request) -> Response:
        """``PUT /api/admins/simple/:username``: the whole entity, with a BCrypt hash as password."""
        body = await _body(request)
        options = read_write_options(request)
        self._check_rights(body)

        def make(old: JsonObject | None) -> JsonObject:
            if old is None:
                raise ApiError(404, "not_found", "entity not found")
            return body

        username = request.path_params["username"]
        written = await self._entities.change(
            ADMINS,
            username,
            make,
            stamped=False,
            strict=True,
            conditions=read_preconditions(request),
        )
        headers = await settle(self._entities.gateway, options, written.revision)
        return _answer(request, written.document, headers=headers)

    def _check_rights(self, body: JsonObject) -> None:
        """Refuse rights that the caller has not, in the words of this path."""
        mine = required_caller().rights
        if mine is None:
            return
        try:
            given = msgspec.convert(body.get("rights", SUPER_ADMIN), tuple[UserRight, ...])
        except msgspec.ValidationError:
            return  # the entity's own check says what is wrong
        if not mine.covers(Rights(given)):
            raise _text(403, _TOO_MUCH)

    async def _delete(self, request: Request) -> Response:
        options = read_write_options(request)
        username = request.path_params["username"]
        conditions = read_preconditions(request)
        deleted = await self._entities.delete(ADMINS, username, conditions=conditions)
        if deleted is None:
            raise ApiError(404, "not_found", "entity not found")
        headers = await settle(self._entities.gateway, options, deleted[1])
        return _answer(request, {"done": True}, headers=headers)


class _PasskeyPaths:
    """Endpoints of administrators who logged in with passkeys to the Otoroshi that they were imported from.

    Here nobody logs in as one of them; they can be looked at and removed.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def all(self, request: Request) -> Response:
        """List them."""
        return await _listed(self._entities, _PASSKEY_ADMINS, request)

    async def delete(self, request: Request) -> Response:
        """``DELETE /api/admins/webauthn/:username/:id``: the whole administrator, whatever the id says.

        Source: ``UsersController.webAuthnDeleteAdmin`` of Otoroshi.
        """
        options = read_write_options(request)
        username, conditions = request.path_params["username"], read_preconditions(request)
        deleted = await self._entities.delete(_PASSKEY_ADMINS, username, conditions=conditions)
        if deleted is None:
            raise _text(404, "User not found !")
        headers = await settle(self._entities.gateway, options, deleted[1])
        return _answer(request, {"done": True}, headers=headers)


class _SessionPaths:
    """Endpoints of one kind of sessions."""

    def __init__(self, entities: Entities, resource: Resource) -> None:
        self._entities = entities
        self._resource = resource

    async def all(self, request: Request) -> Response:
        """List them."""
        return await _listed(self._entities, self._resource, request)

    async def end(self, request: Request) -> Response:
        """End one."""
        session, conditions = request.path_params["id"], read_preconditions(request)
        if await self._entities.delete(self._resource, session, conditions=conditions) is None:
            raise _text(404, "Session not found !")
        return _answer(request, {"done": True})

    async def end_all(self, request: Request) -> Response:
        """End every one of them; a super admin's."""
        if not required_caller().is_super_admin:
            raise gate_refusal()
        await self._entities.delete_all(self._resource)
        return _answer(request, {"done": True})

    async def end_of_module(self, request: Request) -> Response:
        """End those that an auth module began."""
        await self._entities.check_writable(self._resource)
        module = request.path_params["module"]
        store = self._entities.store
        found = [
            record
            async for record in store.walk(self._resource.store_kind, page=WALK_PAGE)
            if cast("JsonObject", msgspec.json.decode(record.document)).get("authConfigId")
            == module
        ]
        await store.transact([Delete(r.kind, r.id) for r in writable(store, found)])
        return _answer(request, {"done": True})


async def _listed(entities: Entities, resource: Resource, request: Request) -> Response:
    """Answer a page of a list."""
    listed = await entities.list(resource, read_list_query(request.query_params))
    documents = [document async for document in listed.documents]
    return Response(msgspec.json.encode(documents), media_type="application/json")


async def _body(request: Request) -> JsonObject:
    """Read the entity in the body."""
    return read_entity(media_type(request), await read_body(request), {})


def _answer(
    request: Request, value: dict[str, Any], *, headers: dict[str, str] | None = None
) -> Response:
    """Make an answer: compact, without ``kind``."""
    return answer(request, value, headers=headers, pretty_by_default=False)


def _safely(action: Endpoint) -> Endpoint:
    """Make an endpoint that puts refusals into form."""

    async def endpoint(request: Request) -> Response:
        try:
            return await action(request)
        except ApiError as error:
            return answer(
                request, error.body(), status=error.answer_status, pretty_by_default=False
            )

    return endpoint
