"""The admin API as one ASGI application."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Match
from starlette.routing import Route as Path
from starlette.status import HTTP_405_METHOD_NOT_ALLOWED

from oto_trio import _core
from oto_trio.control.admin_api.about import AboutPaths
from oto_trio.control.admin_api.absent import AbsentParts
from oto_trio.control.admin_api.access import StateEcho
from oto_trio.control.admin_api.admins import SessionCookie, Sessions
from oto_trio.control.admin_api.admins.legacy import AdminPaths
from oto_trio.control.admin_api.admins.login import LOGIN_PATH, LoginPaths
from oto_trio.control.admin_api.admins.sessions import DAY_MS
from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.api_keys import ApiKeyPaths
from oto_trio.control.admin_api.apply import ApplyPath
from oto_trio.control.admin_api.audit_trail import AuditActor, AuditedStore
from oto_trio.control.admin_api.certificates import CertificatePaths
from oto_trio.control.admin_api.event_lists import EventLists
from oto_trio.control.admin_api.full_state import FullState
from oto_trio.control.admin_api.generic import GenericApi
from oto_trio.control.admin_api.legacy import LegacyApi
from oto_trio.control.admin_api.live import LiveNumbers
from oto_trio.control.admin_api.older_templates import OlderTemplates
from oto_trio.control.admin_api.openapi import OpenApiPaths, is_docs_path
from oto_trio.control.admin_api.operations import Entities
from oto_trio.control.admin_api.pki import PkiApi
from oto_trio.control.admin_api.plugin_list import PluginPaths
from oto_trio.control.admin_api.probes import Probes, is_probe_path
from oto_trio.control.admin_api.quotas import QuotaPaths
from oto_trio.control.admin_api.refusals import ApiError, gateway_error
from oto_trio.control.admin_api.rights import CallerGuard, Callers, ScopedStore
from oto_trio.control.admin_api.rights.validators import EntityValidators
from oto_trio.control.admin_api.service_paths import ServicePaths
from oto_trio.model.errors import (
    GatewayError,
    StoreError,
    StoreOutcomeUnknownError,
    StoreTooLargeError,
)
from oto_trio.model.simple_admin import now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from oto_trio.control.admin_api.audit_trail import AuditTrail
    from oto_trio.control.admin_api.gateway_claims import GatewayClaims
    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.control.credentials import AdminCredentials
    from oto_trio.control.limits import LimitsTable
    from oto_trio.control.store import Store
    from oto_trio.model.rights import Validators

__all__ = ["build_app"]

logger = logging.getLogger(__name__)


def build_app(  # noqa: PLR0913 (every part of the API that can differ, by keyword)
    store: Store,
    credentials: Sequence[AdminCredentials],
    gateway: GatewayControl,
    *,
    env: str = "prod",
    health_access_key: str | None = None,
    metrics_access_key: str | None = None,
    aia_base: str | None = None,
    more_routes: Sequence[BaseRoute] = (),
    limits: LimitsTable | None = None,
    trail: AuditTrail | None = None,
    bypass_rights: bool = False,
    session_ms: int = DAY_MS,
    cookie: SessionCookie | None = None,
    entity_validators: Validators | None = None,
    claims: GatewayClaims | None = None,
    admin_names: Sequence[str] = (),
) -> Starlette:
    """Build the admin API.

    Args:
        store: Where entities are kept; should hold a global configuration (`bootstrap`).
        credentials: API keys that may use it; with none, nobody may.
        gateway: What serves the entities.
        env: Name of the environment, part of new ids unless it is ``prod``.
        health_access_key: Key the probes ask for; None leaves them open.
        metrics_access_key: Key ``/metrics`` asks for; None takes the key of the probes.
        aia_base: Base URL under which certificates that are made here say their issuer is found;
            None leaves that out.
        limits: The counters that the workers share; None serves no path about quotas.
        more_routes: Further paths, looked at first and guarded by the API key too.
        trail: Told of every write; None keeps no audit.
        bypass_rights: Whether every accepted key may do everything, whatever rights it has.
        session_ms: How long an administrator stays logged in.
        cookie: How the session is kept by a browser; None as by default.
        entity_validators: What the writes of every user must look like, by kind of entity or ``all``.
        claims: Tells who calls through the gateway itself; None when nobody can.
        admin_names: Host names under which the gateway serves this API; only a super admin may give
            them to another route.
    """
    # It looks at resources, which the package brings in before this module is done.
    from oto_trio.control.admin_api.history import HistoryPaths  # noqa: PLC0415

    audited = store if trail is None else AuditedStore(store, trail)
    sessions = Sessions(audited, now_ms, lifetime_ms=session_ms)
    cookie = cookie or SessionCookie()
    callers = Callers(credentials, store, bypass=bypass_rights, sessions=sessions, cookie=cookie)
    # What endpoints get is the caller's view of the store; the store itself is for finding out who that
    # is, and for the probes.
    scoped = ScopedStore(audited, EntityValidators(entity_validators).inspect, admin_names)
    entities = Entities(scoped, gateway, env=env)
    adorned = Entities(scoped, gateway, env=env, adorned=True)
    probes = Probes(
        store,
        gateway,
        health_access_key=health_access_key,
        metrics_access_key=metrics_access_key,
    )
    redaction = _core.Redaction(b"{}") if trail is None else trail.redaction
    app = Starlette(
        routes=[
            *more_routes,
            *OpenApiPaths(lambda: app.routes).paths(),
            *probes.paths(),
            *AboutPaths(entities).paths(),
            *PluginPaths(gateway).paths(),
            *ApplyPath(entities).paths(),
            *GenericApi(adorned).paths(),
            *([] if limits is None else QuotaPaths(entities, limits, trail).paths()),
            *([] if trail is None else EventLists(trail.audits, trail.alerts).paths()),
            *FullState(entities, trail).paths(),
            *LoginPaths(sessions, cookie, trail).paths(),
            *AdminPaths(entities).paths(),
            *HistoryPaths(entities, redaction).paths(),
            *ApiKeyPaths(entities).paths(),
            *LiveNumbers(gateway, entities).paths(),
            *ServicePaths(entities).paths(),
            *OlderTemplates(entities).paths(),
            *AbsentParts(entities).paths(),
            *CertificatePaths(entities).paths(),
            *PkiApi(entities, aia_base=aia_base).paths(),
            *LegacyApi(entities).paths(),
        ],
        middleware=[
            Middleware(StateEcho),
            Middleware(CallerGuard, callers=callers, is_open=_is_open, claims=claims),
            *([] if trail is None else [Middleware(AuditActor, trail=trail)]),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        ],
        exception_handlers={
            HTTPException: _unknown_path,
            ApiError: _refused,
            StoreError: _store_failed,
            Exception: _failed,
        },
    )
    return app


def _is_open(path: str) -> bool:
    """Tell whether a path needs no API key."""
    return is_probe_path(path) or is_docs_path(path) or path == LOGIN_PATH


def _accept(request: Request) -> str | None:
    """Give the Accept header, if there is one."""
    return request.headers.get("accept")


async def _unknown_path(request: Request, error: Exception) -> Response:
    """Answer a path or verb that is not served."""
    assert isinstance(error, HTTPException), "registered for this class only"
    headers = dict(error.headers or {})
    if error.status_code == HTTP_405_METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_verbs_of(request)))
    return gateway_error(
        error.status_code,
        f"Client Error: an error occurred on {request.url.path} ({error.status_code})",
        "errors.client.error",
        accept=_accept(request),
        headers=headers,
    )


def _verbs_of(request: Request) -> set[str]:
    """Collect the methods of a path; Starlette tells only those of the first route that has it."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Path) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


async def _refused(request: Request, error: Exception) -> Response:
    """Answer a refusal that an endpoint has no words of its own for."""
    assert isinstance(error, ApiError), "registered for this class only"
    return answer(request, error.body(), status=error.answer_status, pretty_by_default=False)


async def _store_failed(request: Request, error: Exception) -> Response:
    """Answer while the store cannot do its work; the operator finds the reason in the log."""
    assert isinstance(error, GatewayError), "registered for this class only"
    logger.error("%s %s: %s", request.method, request.url.path, error.message)
    if isinstance(error, StoreOutcomeUnknownError):
        what = "The store went away meanwhile: all of this was kept, or nothing. Read it again."
    elif isinstance(error, StoreTooLargeError):
        what = f"{error.message}."
    else:
        what = "The store cannot do this now; nothing was changed."
    return gateway_error(
        error.status,
        f"{what} The gateway's log says why.",
        f"errors.{error.code.replace('_', '.')}",
        accept=_accept(request),
    )


async def _failed(request: Request, error: Exception) -> Response:
    """Answer when something went wrong that should not have; the server logs the traceback."""
    logger.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    return gateway_error(
        500,
        "An error occurred. The gateway's log says what.",
        "errors.server.error",
        accept=_accept(request),
    )
