"""The gate of the admin API: nothing gets in without a caller, and everything behind it acts for that caller."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response

from oto_trio.control.admin_api.refusals import ApiError, gateway_error
from oto_trio.control.admin_api.rights.caller import acting_as
from oto_trio.control.admin_api.rights.callers import KeyRefusedError, not_authorized
from oto_trio.control.admin_api.rights.gates import check_gates
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from oto_trio.control.admin_api.gateway_claims import GatewayClaims
    from oto_trio.control.admin_api.rights.caller import Caller
    from oto_trio.control.admin_api.rights.callers import Callers

__all__ = ["CallerGuard"]

logger = logging.getLogger(__name__)


class CallerGuard:
    """ASGI middleware: finds out who asks, and refuses who may not.

    Args:
        app: What is guarded.
        callers: Finds out who asks.
        is_open: Tells whether a path is open to all; behind it nobody is the caller, and the scoped store
            refuses everything.
        claims: Tells who calls through the gateway itself; None when nobody can.
    """

    def __init__(
        self,
        app: ASGIApp,
        callers: Callers,
        is_open: Callable[[str], bool],
        claims: GatewayClaims | None = None,
    ) -> None:
        self._app = app
        self._callers = callers
        self._is_open = is_open
        self._claims = claims

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on or refuse."""
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = await self._identify(scope, headers)
            check_gates(caller, scope["path"])
        except KeyRefusedError as refusal:
            response = gateway_error(
                refusal.status, refusal.message, refusal.cause, accept=headers.get("accept")
            )
            await response(scope, receive, send)
            return
        except ApiError as error:
            text = msgspec.json.encode(error.body())
            answer = Response(text, error.answer_status, media_type="application/json")
            await answer(scope, receive, send)
            return
        except StoreError as error:
            logger.error("%s %s: %s", scope["method"], scope["path"], error.message)
            response = gateway_error(
                error.status,
                "The store cannot be read now, so nobody's key can be checked.",
                f"errors.{error.code.replace('_', '.')}",
                accept=headers.get("accept"),
            )
            await response(scope, receive, send)
            return
        with acting_as(caller):
            await self._app(scope, receive, send)

    async def _identify(self, scope: Scope, headers: Headers) -> Caller:
        """Find out who asks: by the request's own key, or by what the gateway's worker claims."""
        method, path = scope["method"], scope["path"]
        if self._claims is None or not self._claims.is_from_worker(scope):
            caller = await self._callers.identify(headers, method, path)
            client = scope.get("client")
            return msgspec.structs.replace(caller, address=client[0] if client else "")
        claimed = self._claims.caller(headers)
        if claimed is None:
            raise not_authorized(method, path)
        caller = await self._callers.identify(headers, method, path, vouched=claimed.client_id)
        return msgspec.structs.replace(caller, address=claimed.address)
