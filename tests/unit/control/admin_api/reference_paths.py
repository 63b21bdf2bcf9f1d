"""The paths that Otoroshi's admin API has beside the generic ones, with their verbs."""

from typing import Final

__all__ = ["FAMILIES", "PATHS"]

FAMILIES: Final = (
    *("routes", "route-compositions", "backends", "services", "groups", "apikeys"),
    *("certificates", "verifiers", "auths", "client-validators", "scripts", "tcp/services"),
    *("error-templates", "tenants", "teams", "data-exporter-configs"),
)
"""Words of `/api/...` below which there are list, create, get, update, patch, delete and the four bulks."""

_TEMPLATES: Final = (
    *("routes", "route-compositions", "backends", "services", "groups", "apikeys"),
    *("certificates", "verifiers", "auths", "scripts", "tenants", "teams"),
    *("data-exporter-configs", "globalconfig", "admins/simple", "admins/webauthn"),
)

_APIS: Final = "/apis/apis.otoroshi.io/v1/apis"

PATHS: Final[tuple[tuple[str, str], ...]] = (
    # Documents and what is declared before the generic paths.
    ("GET", "/apis/entities"),
    *(("GET", f"/apis/openapi{end}") for end in ("", ".json", ".yaml", ".yml", "/ui")),
    *(("GET", f"/apis/plugins{end}") for end in (".json", ".yaml", ".yml")),
    *(("GET", f"/apis/workflows/doc{end}") for end in ("", ".json", ".yaml", ".yml", ".md")),
    *(("GET", f"/apis/cluster{end}") for end in ("", "/node/infos", "/node/version")),
    *(("GET", f"/apis/cluster{end}") for end in ("/node/health", "/node/metrics")),
    ("GET", "/apis/proxy.otoroshi.io/v1/drafts/x"),
    ("GET", "/apis/proxy.otoroshi.io/v1/drafts/x/live"),
    *(("GET", f"{_APIS}/x/{end}") for end in ("live", "_start", "_stop", "routes/y")),
    ("POST", f"{_APIS}/_openapi"),
    ("GET", f"{_APIS}/x/http-client-settings/_template"),
    ("POST", f"{_APIS}/x/deployments"),
    ("POST", f"{_APIS}/x/plans/y/subscriptions/preview-update"),
    ("POST", f"{_APIS}/x/plans/y/close"),
    ("POST", f"{_APIS}/x/plans/y/subscribe"),
    ("POST", f"{_APIS}/x/subscriptions/y/confirm"),
    ("POST", f"{_APIS}/x/duplicate"),
    ("GET", f"{_APIS}/x/apikeys"),
    ("GET", "/apis/extensions/otoroshi.extensions.workflows/sessions"),
    ("POST", "/api/extensions/remote-catalogs/_deploy"),
    ("POST", "/api/extensions/remote-catalogs/_undeploy"),
    ("GET", "/api/extensions/green-score"),
    # The legacy dialect.
    *((verb, f"/api/{word}") for word in FAMILIES for verb in ("GET", "POST")),
    *((verb, f"/api/{word}/x") for word in FAMILIES for verb in ("GET", "PUT", "PATCH", "DELETE")),
    *(
        (verb, f"/api/{word}/_bulk")
        for word in FAMILIES
        for verb in ("POST", "PUT", "PATCH", "DELETE")
    ),
    *(("GET", f"/api/{word}/_template") for word in _TEMPLATES),
    ("GET", "/api/tcp/_template"),
    *(
        ("POST", f"/api/{word}/_template")
        for word in ("services", "groups", "apikeys", "tenants", "teams", "certificates")
    ),
    *(("POST", f"/api/{word}/_template") for word in ("verifiers", "auths", "scripts")),
    ("POST", "/api/tcp/services/_template"),
    *(("GET", f"/api/{word}/_form") for word in ("routes", "route-compositions", "backends")),
    ("POST", "/api/route-compositions/_openapi"),
    ("GET", "/api/groups/x/services"),
    ("GET", "/api/groups/x/status"),
    ("GET", "/api/apikeys/x/bearer"),
    *((verb, "/api/apikeys/x/quotas") for verb in ("GET", "DELETE")),
    ("POST", "/api/certificates/x/_renew"),
    ("POST", "/api/certificates/_bundle"),
    ("GET", "/api/auths/templates"),
    ("POST", "/api/auths/x/register/start"),
    ("POST", "/api/auths/x/register/finish"),
    ("GET", "/api/scripts/_list"),
    ("POST", "/api/scripts/_compile"),
    *(
        (verb, f"/api/{owner}/x/apikeys")
        for owner in ("services", "routes", "groups")
        for verb in ("GET", "POST")
    ),
    *(
        (verb, f"/api/{owner}/x/apikeys/y")
        for owner in ("services", "routes", "groups")
        for verb in ("GET", "PUT", "PATCH", "DELETE")
    ),
    *(
        (verb, f"/api/{owner}/x/apikeys/y/quotas")
        for owner in ("services", "routes", "groups")
        for verb in ("GET", "DELETE")
    ),
    *((verb, "/api/services/x/targets") for verb in ("GET", "POST", "PATCH", "DELETE")),
    *((verb, "/api/services/x/template") for verb in ("GET", "PUT", "POST", "DELETE")),
    *((verb, "/api/services/x/route") for verb in ("GET", "POST")),
    *((verb, "/api/services/x/canary") for verb in ("GET", "DELETE")),
    ("GET", "/api/services/x/live"),
    ("GET", "/api/services/x/health"),
    ("GET", "/api/live"),
    ("GET", "/api/live/global"),
    ("GET", "/api/lines"),
    ("GET", "/api/lines/x/services"),
    *((verb, "/api/globalconfig") for verb in ("GET", "PUT", "PATCH")),
    ("POST", "/api/snowmonkey/_start"),
    ("POST", "/api/snowmonkey/_stop"),
    *((verb, "/api/snowmonkey/outages") for verb in ("GET", "DELETE")),
    *((verb, "/api/snowmonkey/config") for verb in ("GET", "PUT", "PATCH")),
    *(("POST", f"/api/pki/{end}") for end in ("keys", "cas", "certs", "csrs")),
    *(("POST", f"/api/pki/cas/x/{end}") for end in ("certs", "cas", "certs/_sign")),
    *(("POST", f"/api/pki/certs/{end}") for end in ("_letencrypt", "_p12", "_valid", "_data")),
    *(("GET", f"/api/new/{end}") for end in ("apikey", "service", "tcp/service", "group")),
    ("POST", "/api/new/resources"),
    *(("GET", f"/api/plugins/{end}") for end in ("all", "categories", "steps")),
    ("GET", "/api/forms"),
    ("GET", "/api/forms/_single"),
    ("GET", "/api/entities/jwt-verifiers/x"),
    ("GET", "/api/experimental/certificates/_by_domain"),
    *((verb, "/api/admin-sessions") for verb in ("GET", "DELETE")),
    ("DELETE", "/api/admin-sessions/x"),
    *((verb, "/api/apps-sessions") for verb in ("GET", "DELETE")),
    ("DELETE", "/api/apps-sessions/x"),
    ("DELETE", "/api/apps-sessions-module/x"),
    *((verb, "/api/admins/simple") for verb in ("GET", "POST")),
    *((verb, "/api/admins/simple/x") for verb in ("GET", "PUT", "DELETE")),
    *((verb, "/api/admins/webauthn") for verb in ("GET", "POST")),
    ("DELETE", "/api/admins/webauthn/x/y"),
    ("GET", "/api/audit/events"),
    ("GET", "/api/alert/events"),
    ("GET", "/api/infos"),
    ("GET", "/api/version"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/openapi/ui"),
    ("POST", "/api/privateapps/sessions/x/y"),
    ("GET", "/api/tunnels"),
    ("GET", "/api/tunnels/infos"),
    ("GET", "/api/otoroshi.json"),
    ("POST", "/api/otoroshi.json"),
    ("POST", "/api/import"),
    # Monitoring.
    *(("GET", f"/{word}") for word in ("health", "live", "ready", "startup", "metrics")),
    # Events and analytics.
    *(("GET", f"/api/{word}") for word in ("stats", "stats/global", "events", "status/global")),
    *(("GET", f"/api/services/x/{word}") for word in ("stats", "events", "status", "response")),
    ("POST", "/api/status"),
    ("GET", "/api/events/_template"),
    ("GET", "/api/node/eventstream"),
    ("POST", "/api/analytics/_query"),
    ("GET", "/api/analytics/_schema"),
    ("POST", "/api/analytics/_test-connection"),
    ("POST", "/api/analytics/_set-active-exporter/x"),
    ("POST", "/api/analytics/_migrate"),
    ("POST", "/api/analytics/dashboards/_restore-defaults"),
    ("GET", "/api/analytics/alerts/x/events"),
    # The cluster.
    ("GET", "/api/cluster/state"),
    ("PUT", "/api/cluster/quotas"),
    *((verb, "/api/cluster/members") for verb in ("GET", "DELETE")),
    ("GET", "/api/cluster/live"),
    ("GET", "/api/cluster/sessions/x"),
    ("POST", "/api/cluster/sessions"),
    *((verb, "/api/cluster/login-tokens/x") for verb in ("GET", "POST")),
    ("GET", "/api/cluster/user-tokens/x"),
    ("POST", "/api/cluster/user-tokens"),
    ("POST", "/api/cluster/relay"),
)
"""(verb, path); `x` and `y` stand for ids."""
