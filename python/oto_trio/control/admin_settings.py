"""The static settings of administrators and of what rights do: a part of `Settings`."""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

__all__ = ["SECRET", "AdminSettings"]

SECRET: Final = {"secret": True}
"""Marks a setting whose value is never shown: `extra` of its `Meta`."""


class AdminSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who administrates a gateway, and how long they stay logged in."""

    initial_admin_login: Annotated[
        str, Meta(min_length=1, description="name of the first administrator")
    ] = "admin@otoroshi.io"
    initial_admin_password: Annotated[
        str | None, Meta(description="its password; null makes one up", extra=SECRET)
    ] = None
    hide_initial_admin_password: Annotated[
        bool, Meta(description="do not show the password that was made up")
    ] = False
    write_initial_admin_password_to_file: Annotated[
        bool, Meta(description="write it to a file instead, which the next start removes")
    ] = False
    initial_admin_password_file: Annotated[str, Meta(description="that file")] = (
        "/etc/otoroshi/initial_admin_password"  # noqa: S105 (a place, no password)
    )
    backoffice_session_ms: Annotated[
        int,
        Meta(ge=1000, le=31_536_000_000, description="how long an administrator stays logged in"),
    ] = 86_400_000
    session_name: Annotated[
        str, Meta(pattern="^[A-Za-z0-9_-]+$", description="cookie of that session")
    ] = "otoroshi-session"
    session_secure_only: Annotated[
        bool, Meta(description="let browsers send that cookie over HTTPS only")
    ] = False
    bypass_user_rights_check: Annotated[
        bool, Meta(description="let every key of the admin API do everything, whatever its rights")
    ] = False
    entity_validators: Annotated[
        dict[str, tuple[dict[str, Any], ...]],
        Meta(description="checks of what users write, by kind of entity or all"),
    ] = msgspec.field(default_factory=dict[str, tuple[dict[str, Any], ...]])
