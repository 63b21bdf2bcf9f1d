"""Paths that need more than rights on an entity: they concern the whole gateway, or a whole tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.refusals import ApiError

if TYPE_CHECKING:
    from oto_trio.control.admin_api.rights.caller import Caller

__all__ = ["check_gates", "gate_refusal"]

_SUPER_ADMIN: Final = (
    "/api/otoroshi.json",
    "/api/import",
    "/api/history",
    "/api/globalconfig",
    "/api/audit/events",
    "/api/alert/events",
    "/api/node/eventstream",
    "/api/cluster",
    "/apis/cluster",
    "/api/snowmonkey",
    "/api/stats/global",
    "/api/status/global",
)
"""Where only a super admin goes, with everything below. Source: Otoroshi's admin API."""

_TENANT_ADMIN: Final = (
    "/api/admins",
    "/api/admin-sessions",
    "/api/apps-sessions",
    "/api/apps-sessions-module",
)
"""Where only an administrator of the tenant goes."""

_OPEN: Final = "/apis/cluster/node/"
"""Below a gate, and open to every caller: what a node says of itself is the same as ``/api/infos``."""


def gate_refusal() -> ApiError:
    """Make the refusal of somebody who may not come here at all."""
    return ApiError(403, "You're not authorized here !", "")


def check_gates(caller: Caller, path: str) -> None:
    """Refuse a path to a caller without the rank that it needs.

    Raises:
        ApiError: The caller has not.
    """
    if _is_below(path, _SUPER_ADMIN) and not caller.is_super_admin:
        raise gate_refusal()
    if _is_below(path, _TENANT_ADMIN) and not caller.is_tenant_admin:
        raise gate_refusal()


def _is_below(path: str, places: tuple[str, ...]) -> bool:
    """Tell whether a path is one of these, or below one. `_template` paths and `_OPEN` are open to all."""
    if path.endswith("/_template") or path.startswith(_OPEN):
        return False
    return any(path == place or path.startswith(f"{place}/") for place in places)
