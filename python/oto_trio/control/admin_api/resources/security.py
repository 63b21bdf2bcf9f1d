"""Rows of who may call, and how that is proved: ``security.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.admin_session import ADMIN_SESSIONS as ADMIN_SESSION_KIND
from oto_trio.model.admin_session import AdminSession
from oto_trio.model.auth_module import AUTH_MODULES as AUTH_MODULE_KIND
from oto_trio.model.auth_module import AuthModule, auth_module_template
from oto_trio.model.auth_module_user import AUTH_MODULE_USERS as AUTH_MODULE_USER_KIND
from oto_trio.model.auth_module_user import AuthModuleUser
from oto_trio.model.ids import named_id
from oto_trio.model.jwt_verifier import JwtVerifier, jwt_verifier_template
from oto_trio.model.simple_admin import SIMPLE_ADMINS, SimpleAdmin, simple_admin_template

__all__ = ["ADMINS", "ADMIN_SESSIONS", "AUTH_MODULES", "AUTH_MODULE_USERS", "JWT_VERIFIERS"]

JWT_VERIFIERS: Final = Resource(
    kind="JwtVerifier",
    plural="jwt-verifiers",
    singular="jwt-verifier",
    group="security.otoroshi.io",
    legacy_path="/api/verifiers",
    store_kind="jwt-verifiers",
    cls=JwtVerifier,
    template=lambda _env: jwt_verifier_template(),
    template_key="verifier",
    new_id=lambda: named_id("jwt_verifier"),
)

AUTH_MODULES: Final = Resource(
    kind="AuthModule",
    plural="auth-modules",
    singular="auth-module",
    group="security.otoroshi.io",
    legacy_path="/api/auths",
    store_kind=AUTH_MODULE_KIND,
    cls=AuthModule,
    template=lambda env: auth_module_template(env=env),
    typed_template=lambda kind, env: auth_module_template(kind, env=env),
    template_key="authConfig",
)

ADMIN_SESSIONS: Final = Resource(
    kind="AdminSession",
    plural="admin-sessions",
    singular="admin-session",
    group="security.otoroshi.io",
    legacy_path=None,
    store_kind=ADMIN_SESSION_KIND,
    cls=AdminSession,
    template=None,
    template_key="",
    actions=frozenset({"delete"}),
    id_key="randomId",
)

ADMINS: Final = Resource(
    kind="SimpleAdminUser",
    plural="admins",
    singular="admins",
    group="security.otoroshi.io",
    legacy_path=None,
    store_kind=SIMPLE_ADMINS,
    cls=SimpleAdmin,
    template=lambda _env: simple_admin_template(),
    template_key="",
    actions=frozenset({"create", "delete"}),
    id_key="username",
)

AUTH_MODULE_USERS: Final = Resource(
    kind="AuthModuleUser",
    plural="auth-module-users",
    singular="auth-module-user",
    group="security.otoroshi.io",
    legacy_path=None,
    store_kind=AUTH_MODULE_USER_KIND,
    cls=AuthModuleUser,
    template=None,
    template_key="",
    actions=frozenset({"delete"}),
    id_key="randomId",
)
