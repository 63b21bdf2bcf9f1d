"""Logging in with name and password: ``POST /bo/simple/login``, and what is known of the session after it.

The path and its answers are Otoroshi's; ``/bo/simple/session`` is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from starlette.routing import Route as Path

from oto_trio.control.admin_api.admins.attempts import Attempts
from oto_trio.control.admin_api.admins.passwords import check_password
from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import decode_json, read_body
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.rights import required_caller
from oto_trio.model.document import write_document
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.admins.cookies import SessionCookie
    from oto_trio.control.admin_api.admins.sessions import Sessions
    from oto_trio.control.admin_api.audit_trail import AuditTrail
    from oto_trio.model.document import JsonObject

__all__ = ["LOGIN_PATH", "LoginPaths"]

LOGIN_PATH: Final = "/bo/simple/login"
"""Open to all: it is where one becomes a caller."""

SESSION_PATH: Final = "/bo/simple/session"

MOST_AT_ONCE: Final = 8
"""Logins handled at the same time; more are refused, for each takes a core's time."""

MOST_BODY_BYTES: Final = 16 * 1024


class LoginPaths:
    """Endpoints of logging in and out.

    Args:
        sessions: Keeps the sessions.
        cookie: How their tokens are given to clients.
        trail: Told who logged in; None keeps no audit.
    """

    def __init__(
        self, sessions: Sessions, cookie: SessionCookie, trail: AuditTrail | None = None
    ) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._trail = trail
        self._attempts = Attempts(trio.current_time)
        self._under_way = 0

    def paths(self) -> list[Path]:
        """Give the paths."""
        return [
            Path(LOGIN_PATH, _safely(self._login), methods=["POST"]),
            Path(SESSION_PATH, _safely(self._show), methods=["GET"]),
            Path(SESSION_PATH, _safely(self._logout), methods=["DELETE"]),
        ]

    async def _login(self, request: Request) -> Response:
        """``POST /bo/simple/login``: name and password for a session."""
        name, password = _given(decode_json(await read_body(request, most_bytes=MOST_BODY_BYTES)))
        address = request.client.host if request.client else ""
        wait_s = self._attempts.wait_s(name, address)
        if wait_s > 0 or self._under_way >= MOST_AT_ONCE:
            return _too_many(request, wait_s or 1.0)
        self._under_way += 1
        try:
            admin = None if id_problem(name) else await self._sessions.admin(name)
            is_right = await check_password(password, None if admin is None else admin.password)
        finally:
            self._under_way -= 1
        if admin is None or not is_right:
            self._attempts.note_failure(name, address)
            self._tell("ADMIN_LOGIN_FAILED", "A login failed", {"username": name[:200]})
            raise ApiError(401, "not authorized", "")
        self._attempts.note_success(name, address)
        token = await self._sessions.open(admin)
        self._alert("AdminLoggedInAlert", admin.label, admin.username)
        response = _answer(request, {"username": admin.username})
        self._cookie.set_on(response, token, lifetime_ms=self._sessions.lifetime_ms)
        return response

    async def _show(self, request: Request) -> Response:
        """``GET /bo/simple/session``: who is logged in, and what that user may do."""
        session, admin = await self._current(request)
        shown = {
            "name": admin.label,
            "email": admin.username,
            "rights": write_document(admin)["rights"],
            "createdAt": session.created_at,
            "expiredAt": session.expired_at,
            "isSuperAdmin": required_caller().is_super_admin,
        }
        return _answer(request, shown)

    async def _logout(self, request: Request) -> Response:
        """``DELETE /bo/simple/session``: end it."""
        session, admin = await self._current(request)
        await self._sessions.close(session.random_id)
        self._alert("AdminLoggedOutAlert", admin.label, admin.username)
        response = _answer(request, {"done": True})
        self._cookie.remove_from(response)
        return response

    async def _current(self, request: Request) -> Any:
        """Find the session of a request.

        Raises:
            ApiError: It came with an API key, not with a session.
        """
        token = self._cookie.token(request.headers) if required_caller().session else None
        found = None if token is None else await self._sessions.find(token)
        if found is None:
            raise ApiError(404, "Session not found !", "")
        return found

    def _tell(self, action: str, message: str, metadata: dict[str, Any]) -> None:
        if self._trail is not None:
            self._trail.note(action, message, metadata)

    def _alert(self, name: str, user: str, email: str) -> None:
        if self._trail is not None:
            self._trail.note_alert(name, {"userName": user, "userEmail": email})


def _given(body: object) -> tuple[str, str]:
    """Read name and password.

    Raises:
        ApiError: One of them is not there.
    """
    found: JsonObject = cast("JsonObject", body) if isinstance(body, dict) else {}
    name, password = found.get("username"), found.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise ApiError(401, "not authorized", "")
    return name, password


def _too_many(request: Request, wait_s: float) -> Response:
    """Refuse an attempt for now."""
    headers = {"Retry-After": str(math.ceil(wait_s))}
    refusal = {"error": "too many attempts to log in; try again later"}
    return answer(request, refusal, status=429, headers=headers, pretty_by_default=False)


def _answer(request: Request, value: dict[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store"}
    return answer(request, value, headers=headers, pretty_by_default=False)


def _safely(action: Callable[[Request], Awaitable[Response]]) -> Any:
    """Make an endpoint that puts refusals into form."""

    async def endpoint(request: Request) -> Response:
        try:
            return await action(request)
        except ApiError as error:
            return answer(
                request, error.body(), status=error.answer_status, pretty_by_default=False
            )

    return endpoint
