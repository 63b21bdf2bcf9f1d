"""The table of resources: one row for each kind of entity, and everything that differs between them.

To serve another kind of entity, add its struct to `oto_trio.model`, a row to the file of its API group
here, and the row to `RESOURCES`.
"""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.analytics import USER_ALERTS, USER_DASHBOARDS
from oto_trio.control.admin_api.resources.apim import API_KEYS
from oto_trio.control.admin_api.resources.apis import API_SUBSCRIPTIONS, APIS
from oto_trio.control.admin_api.resources.config import GLOBAL_CONFIGS
from oto_trio.control.admin_api.resources.events import DATA_EXPORTERS
from oto_trio.control.admin_api.resources.extensions import (
    CORAZA_CONFIGS,
    GREEN_SCORES,
    HTTP_LISTENERS,
    REMOTE_CATALOGS,
)
from oto_trio.control.admin_api.resources.organize import (
    ORGANIZATIONS,
    SERVICE_GROUPS,
    TEAMS,
    TENANTS,
)
from oto_trio.control.admin_api.resources.pki import CERTIFICATES, CLIENT_VALIDATORS
from oto_trio.control.admin_api.resources.plugins import SCRIPTS, WASM_PLUGINS, WORKFLOWS
from oto_trio.control.admin_api.resources.proxy import (
    BACKENDS,
    DRAFTS,
    ERROR_TEMPLATES,
    ROUTE_COMPOSITIONS,
    ROUTE_TEMPLATES,
    ROUTES,
    SERVICE_DESCRIPTORS,
    TCP_SERVICES,
)
from oto_trio.control.admin_api.resources.resource import (
    BULK_ACTIONS,
    RESERVED_IDS,
    VERSION,
    Action,
    Resource,
)
from oto_trio.control.admin_api.resources.security import (
    ADMIN_SESSIONS,
    ADMINS,
    AUTH_MODULE_USERS,
    AUTH_MODULES,
    JWT_VERIFIERS,
)

__all__ = [
    "API_KEYS",
    "BULK_ACTIONS",
    "CERTIFICATES",
    "ERROR_TEMPLATES",
    "GLOBAL_CONFIGS",
    "JWT_VERIFIERS",
    "LEGACY_RESOURCES",
    "RESERVED_IDS",
    "RESOURCES",
    "ROUTES",
    "ROUTE_COMPOSITIONS",
    "SERVICE_DESCRIPTORS",
    "SERVICE_GROUPS",
    "TCP_SERVICES",
    "VERSION",
    "Action",
    "Resource",
    "find_resource",
]

RESOURCES: Final[tuple[Resource, ...]] = (
    ROUTES,
    BACKENDS,
    ROUTE_COMPOSITIONS,
    SERVICE_DESCRIPTORS,
    TCP_SERVICES,
    ERROR_TEMPLATES,
    API_KEYS,
    CERTIFICATES,
    JWT_VERIFIERS,
    AUTH_MODULES,
    ADMIN_SESSIONS,
    ADMINS,
    AUTH_MODULE_USERS,
    SERVICE_GROUPS,
    ORGANIZATIONS,
    TENANTS,
    TEAMS,
    DATA_EXPORTERS,
    SCRIPTS,
    WASM_PLUGINS,
    GLOBAL_CONFIGS,
    DRAFTS,
    APIS,
    API_SUBSCRIPTIONS,
    ROUTE_TEMPLATES,
    USER_DASHBOARDS,
    USER_ALERTS,
    WORKFLOWS,
    CORAZA_CONFIGS,
    REMOTE_CATALOGS,
    HTTP_LISTENERS,
    GREEN_SCORES,
)
"""Every resource, in the order in which Otoroshi's ``/apis/entities`` lists them."""

LEGACY_RESOURCES: Final = (*RESOURCES, CLIENT_VALIDATORS)
"""Every resource of the legacy dialect; Otoroshi has some there only."""


def find_resource(group: str, version: str, name: str) -> Resource | None:
    """Find a resource by the words of a path.

    Args:
        group: Its group, or ``any`` or ``all``.
        version: ``v1``, or ``any`` or ``all``.
        name: Its plural name or its kind.
    """
    if version not in (VERSION, "any", "all"):
        return None
    for resource in RESOURCES:
        if group in (resource.group, "any", "all") and name in (resource.plural, resource.kind):
            return resource
    return None
