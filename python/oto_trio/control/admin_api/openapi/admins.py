"""The operations on administrators, logins and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    TEXT,
    Operation,
    array_of,
    entity_body,
    json_answer,
    object_of,
    parameter,
    refusals,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.model.document import JsonObject

__all__ = ["admin_operations"]

_TAG: Final = "Administrators and sessions"
_SIMPLE: Final = "/api/admins/simple"
_PASSKEYS: Final = "/api/admins/webauthn"
_DONE: Final = object_of("done", done={"type": "boolean"})
_PAGE: Final = tuple(map(parameter, ("page", "pageSize", "fields", "filtered", "sorted", "filter")))
_WAIT: Final = tuple(map(parameter, ("wait", "timeout")))
_REFUSAL: Final = object_of("error", error=TEXT)


def _make(  # noqa: PLR0913 (each part of an operation, by keyword)
    method: str,
    path: str,
    name: str,
    summary: str,
    schema: JsonObject,
    *,
    statuses: tuple[int, ...] = (),
    parameters: tuple[JsonObject, ...] = (),
    body: JsonObject | None = None,
) -> Operation:
    """Describe one operation."""
    return Operation(
        method=method,
        path=path,
        served_by=path,
        id=name,
        tag=_TAG,
        summary=summary,
        answers={
            "200": json_answer("Done.", schema),
            **refusals(*statuses, body=body is not None, write=method != "GET"),
        },
        parameters=parameters,
        body=body,
    )


def admin_operations() -> Iterator[Operation]:
    """Describe them."""
    entity = ANY_OBJECT
    new = object_of("username", "password", username=TEXT, password=TEXT, label=TEXT)
    one = f"{_SIMPLE}/{{username}}"
    yield _make(
        "GET",
        _SIMPLE,
        "list_simple_admins",
        "List the administrators",
        array_of(entity),
        parameters=_PAGE,
    )
    yield _make(
        "POST",
        _SIMPLE,
        "create_simple_admin",
        "Make an administrator, with a password in clear and the rights of its maker",
        object_of("username", username=TEXT),
        parameters=_WAIT,
        body=entity_body(new),
    )
    yield _make("GET", f"{_SIMPLE}/_template", "template_simple_admin", "Get a template", entity)
    yield _make("GET", one, "get_simple_admin", "Get an administrator", entity, statuses=(404,))
    yield _make(
        "PUT",
        one,
        "update_simple_admin",
        "Replace an administrator; the password is a BCrypt hash",
        entity,
        statuses=(404,),
        parameters=_WAIT,
        body=entity_body(entity),
    )
    yield _make(
        "DELETE",
        one,
        "delete_simple_admin",
        "Remove an administrator; its sessions end",
        _DONE,
        statuses=(404,),
        parameters=_WAIT,
    )
    yield _make(
        "GET",
        _PASSKEYS,
        "list_webauthn_admins",
        "List the imported administrators who have passkeys",
        array_of(entity),
        parameters=_PAGE,
    )
    yield _make(
        "DELETE",
        f"{_PASSKEYS}/{{username}}/{{id}}",
        "delete_webauthn_admin",
        "Remove an imported administrator; the id is not looked at",
        _DONE,
        statuses=(404,),
        parameters=_WAIT,
    )
    for path, name in (("/api/admin-sessions", "admin"), ("/api/apps-sessions", "app")):
        yield _make(
            "GET",
            path,
            f"list_{name}_sessions_legacy",
            "List sessions",
            array_of(entity),
            parameters=_PAGE,
        )
        yield _make("DELETE", path, f"end_{name}_sessions", "End all sessions", _DONE)
        yield _make(
            "DELETE",
            f"{path}/{{id}}",
            f"end_{name}_session",
            "End a session",
            _DONE,
            statuses=(404,),
        )
    yield _make(
        "DELETE",
        "/api/apps-sessions-module/{module}",
        "end_app_sessions_of_module",
        "End the sessions that an auth module began",
        _DONE,
    )
    yield from _logins()


def _logins() -> Iterator[Operation]:
    """Describe logging in and out."""
    session = "/bo/simple/session"
    yield Operation(
        method="POST",
        path="/bo/simple/login",
        served_by="/bo/simple/login",
        id="login",
        tag="Login",
        summary="Log in with name and password",
        description="The answer sets the cookie of a session, which opens the admin API.",
        answers={
            "200": json_answer("Logged in.", object_of("username", username=TEXT)),
            "400": json_answer("The body cannot be read.", _REFUSAL),
            "401": json_answer("Name or password are wrong.", _REFUSAL),
            "408": json_answer("The body did not arrive in time.", _REFUSAL),
            "413": json_answer("The body is too long.", _REFUSAL),
            "429": json_answer("Too many attempts failed.", _REFUSAL, ("Retry-After",)),
            "503": json_answer("The store does not answer.", _REFUSAL),
        },
        body=entity_body(object_of("username", "password", username=TEXT, password=TEXT)),
        is_open=True,
    )
    yield _make("GET", session, "get_session", "Who is logged in", ANY_OBJECT, statuses=(404,))
    yield _make("DELETE", session, "logout", "Log out", _DONE, statuses=(404,))
