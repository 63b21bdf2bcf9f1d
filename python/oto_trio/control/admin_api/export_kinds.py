"""The table of what a full export holds: one row for each kind of entity that Otoroshi exports.

A kind that has a row in `resources` is *served*: its entities are read and checked by an import. Any other
kind of the table is *kept*: its entities are stored as they came, shown by no path of the API but the
export, and exported as they came. Once a version serves the kind it finds them in the store, provided that
the kind's store name is the plural, as it is for all kinds so far.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS, LEGACY_RESOURCES

if TYPE_CHECKING:
    from oto_trio.control.admin_api.resources import Resource

__all__ = [
    "CONFIG",
    "EXPORT_KINDS",
    "NOT_EXPORTED",
    "ExportKind",
    "Extension",
    "find_raw_key",
    "resource_of",
    "store_kinds",
]


class Extension(NamedTuple):
    """Where the entities of an extension are in an export: below ``extensions``."""

    id: str
    """The extension, as Otoroshi spells it in keys: lower case, with ``_`` for ``.``."""
    plural: str
    group: str
    """Of the kind in the API. Earlier versions of oto-trio wrote it where the extension's id belongs."""


class ExportKind(NamedTuple):
    """One kind of entity of an export."""

    kind: str
    """Name of the kind, as in `Resource.kind`."""
    plural: str
    """Store kind of its entities while no resource says another."""
    key: str
    """Key of its list in the JSON export; of an extension, how it is spoken of."""
    raw: str
    """Start of its keys in Otoroshi's data store, behind the root: ``routes:``."""
    id_key: str = "id"
    """The key that holds the id."""
    is_optional: bool = False
    """Whether the list is left out when it is empty; for those that older versions of Otoroshi lack."""
    extension: Extension | None = None
    """Where its list is, when it belongs to an extension."""


def _extension(kind: str, group: str, plural: str, raw: str) -> ExportKind:
    """Make the row of an extension's kind.

    Args:
        kind: Its name.
        group: Its group in the API.
        plural: Its plural there.
        raw: Name of the extension, and of the kind in its keys of the data store.
    """
    extension = Extension(f"otoroshi_extensions_{raw.partition(':')[0]}", plural, group)
    return ExportKind(
        kind,
        plural,
        f"extensions.{extension.id}.{plural}",
        f"extensions:otoroshi_extensions_{raw}:",
        extension=extension,
    )


CONFIG: Final = ExportKind("GlobalConfig", GLOBAL_CONFIGS.store_kind, "config", "config:global")
"""The global configuration: one document, not a list."""

EXPORT_KINDS: Final = (
    ExportKind("WebAuthnAdmin", "webauthn-admins", "admins", "webauthn:admins:", "username"),
    ExportKind("SimpleAdminUser", "admins", "simpleAdmins", "admins:", "username"),
    ExportKind("ServiceGroup", "service-groups", "serviceGroups", "sgroup:"),
    ExportKind("Apikey", "apikeys", "apiKeys", "apikey:coll:", "clientId"),
    ExportKind("ServiceDescriptor", "service-descriptors", "serviceDescriptors", "desc:"),
    ExportKind("ErrorTemplate", "error-templates", "errorTemplates", "templates:", "serviceId"),
    ExportKind("JwtVerifier", "jwt-verifiers", "jwtVerifiers", "jwt:verifiers:"),
    ExportKind("AuthModule", "auth-modules", "authConfigs", "auth:configs:"),
    ExportKind("Certificate", "certificates", "certificates", "certs:"),
    ExportKind(
        "ClientValidator", "client-validators", "clientValidators", "certificates:validators:"
    ),
    ExportKind("Script", "scripts", "scripts", "scripts:"),
    ExportKind("TcpService", "tcp-services", "tcpServices", "tcp:services:"),
    ExportKind("DataExporter", "data-exporters", "dataExporters", "data-exporters:"),
    ExportKind("Tenant", "tenants", "tenants", "tenants:"),
    ExportKind("Team", "teams", "teams", "teams:"),
    ExportKind("Route", "routes", "routes", "routes:"),
    ExportKind("RouteComposition", "route-compositions", "routeCompositions", "ngroutecomps:"),
    ExportKind("Backend", "backends", "backends", "backends:"),
    ExportKind("WasmPlugin", "wasm-plugins", "wasmPlugins", "wasm-plugins:"),
    ExportKind("Draft", "drafts", "drafts", "drafts:"),
    ExportKind("Api", "apis", "apis", "apis:", is_optional=True),
    ExportKind(
        "ApiSubscription",
        "apisubscriptions",
        "apiSubscriptions",
        "apisubscriptions:",
        is_optional=True,
    ),
    ExportKind(
        "RouteTemplate", "route-templates", "routeTemplates", "route-templates:", is_optional=True
    ),
    ExportKind(
        "UserDashboard", "user-dashboards", "userDashboards", "user-dashboards:", is_optional=True
    ),
    ExportKind("UserAlert", "user-alerts", "userAlerts", "user-alerts:", is_optional=True),
    _extension("Workflow", "plugins.otoroshi.io", "workflows", "workflows:workflows"),
    _extension(
        "CorazaConfig", "coraza-waf.extensions.otoroshi.io", "coraza-configs", "corazawaf:configs"
    ),
    _extension(
        "RemoteCatalog", "catalogs.otoroshi.io", "remote-catalogs", "remotecatalogs:remote-catalogs"
    ),
    _extension(
        "HttpListener",
        "http-listeners.proxy.otoroshi.io",
        "http-listeners",
        "httplisteners:httplisteners",
    ),
    _extension(
        "GreenScore",
        "green-score.extensions.otoroshi.io",
        "green-scores",
        "greenscore:greenscores",
    ),
)
"""Every kind but the global configuration, in the order of the export.

Otoroshi exports neither route templates nor dashboards nor user alerts as JSON, and APIs with their
subscriptions in its latest version only; keys that a version of it does not know do it no harm.
"""

NOT_EXPORTED: Final = frozenset({"AdminSession", "AuthModuleUser", "Organization"})
"""Kinds that need no row: sessions are nobody's configuration, and an organization is a tenant."""

_RESOURCES: Final = {resource.kind: resource for resource in LEGACY_RESOURCES}


def resource_of(row: ExportKind) -> Resource | None:
    """Find the resource that serves a kind; None when its entities are only kept."""
    return _RESOURCES.get(row.kind)


@cache
def store_kinds() -> dict[str, ExportKind]:
    """Give every row by the kind under which the store keeps its entities."""
    rows = (CONFIG, *EXPORT_KINDS)
    return {(r.store_kind if (r := resource_of(row)) else row.plural): row for row in rows}


def find_raw_key(key: str) -> tuple[ExportKind, str] | None:
    """Find the kind and the id that a key of Otoroshi's data store stands for.

    Args:
        key: The key without its root: ``routes:route_1``.

    Returns:
        None when it is the key of no entity: a counter, a session, an index.
    """
    if key == CONFIG.raw:
        return CONFIG, "global"
    for row in EXPORT_KINDS:
        if key.startswith(row.raw) and len(key) > len(row.raw):
            return row, key[len(row.raw) :]
    return None
