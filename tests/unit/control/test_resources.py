"""The table of resources against Otoroshi's: names, groups, id keys, verbs, and the keys of each entity."""

from __future__ import annotations

import msgspec
import pytest

from oto_trio.control.admin_api.resources import RESOURCES, Resource, find_resource
from oto_trio.control.admin_api.schemas import schema_of
from oto_trio.model.document import UNKNOWN_KEY, inspect_document, write_document
from oto_trio.model.global_sections import Templates

NAMES = [
    line.split()
    for line in """
    Route               routes             route             proxy.otoroshi.io     id
    Backend             backends           backend           proxy.otoroshi.io     id
    RouteComposition    route-compositions route-composition proxy.otoroshi.io     id
    ServiceDescriptor   service-descriptors service-descriptor proxy.otoroshi.io   id
    TcpService          tcp-services       tcp-service       proxy.otoroshi.io     id
    ErrorTemplate       error-templates    error-templates   proxy.otoroshi.io     serviceId
    Apikey              apikeys            apikey            apim.otoroshi.io      clientId
    Certificate         certificates       certificate       pki.otoroshi.io       id
    JwtVerifier         jwt-verifiers      jwt-verifier      security.otoroshi.io  id
    AuthModule          auth-modules       auth-module       security.otoroshi.io  id
    AdminSession        admin-sessions     admin-session     security.otoroshi.io  randomId
    SimpleAdminUser     admins             admins            security.otoroshi.io  username
    AuthModuleUser      auth-module-users  auth-module-user  security.otoroshi.io  randomId
    ServiceGroup        service-groups     service-group     organize.otoroshi.io  id
    Organization        organizations      organization      organize.otoroshi.io  id
    Tenant              tenants            tenant            organize.otoroshi.io  id
    Team                teams              team              organize.otoroshi.io  id
    DataExporter        data-exporters     data-exporter     events.otoroshi.io    id
    Script              scripts            script            plugins.otoroshi.io   id
    WasmPlugin          wasm-plugins       wasm-plugin       plugins.otoroshi.io   id
    GlobalConfig        global-configs     global-config     config.otoroshi.io    id
    Draft               drafts             draft             proxy.otoroshi.io     id
    Api                 apis               api               apis.otoroshi.io      id
    ApiSubscription     apisubscriptions   apisubscription   apis.otoroshi.io      id
    RouteTemplate       route-templates    route-template    proxy.otoroshi.io     id
    UserDashboard       user-dashboards    user-dashboard    analytics.otoroshi.io id
    UserAlert           user-alerts        user-alert        analytics.otoroshi.io id
    Workflow            workflows          workflow          plugins.otoroshi.io   id
    CorazaConfig        coraza-configs     coraza-config     coraza-waf.extensions.otoroshi.io id
    RemoteCatalog       remote-catalogs    remote-catalog    catalogs.otoroshi.io  id
    HttpListener        http-listeners     http-listener     http-listeners.proxy.otoroshi.io id
    GreenScore          green-scores       green-score       green-score.extensions.otoroshi.io id
    """.strip().splitlines()
]
"""Otoroshi's table, in the order in which ``/apis/entities`` lists it: kind, plural, singular, group, key
of the id."""

KEYS = {
    "Route": "_loc id name description tags metadata enabled debug_flow export_reporting capture groups"
    " bound_listeners frontend backend backend_ref plugins",
    "Backend": "_loc id name description tags metadata backend",
    "RouteComposition": "_loc id name description tags metadata enabled debug_flow export_reporting"
    " capture groups routes client plugins",
    "RouteTemplate": "location id name description tags metadata route",
    "TcpService": "_loc id name description enabled tls sni clientAuth port interface rules metadata tags",
    "ErrorTemplate": "_loc serviceId name description metadata tags template40x template50x"
    " templateBuild templateMaintenance genericTemplates messages",
    "Draft": "_loc id name description content kind metadata tags",
    "ServiceGroup": "_loc id name description tags metadata",
    "Organization": "id name description metadata tags",
    "Tenant": "id name description metadata tags",
    "Team": "id tenant name description metadata tags",
    "SimpleAdminUser": "_loc username password label createdAt type metadata tags rights"
    " adminEntityValidators",
    "AdminSession": "_loc randomId name email authConfigId profile token simpleLogin createdAt expiredAt"
    " lastRefresh metadata tags rights adminEntityValidators",
    "AuthModuleUser": "_loc randomId name email authConfigId profile token realm otoroshiData createdAt"
    " expiredAt lastRefresh metadata tags",
    "AuthModule": "_loc type id name desc clientSideSessionEnabled sessionMaxAge metadata tags"
    " sessionCookieValues userValidators remoteValidators allowedUsers deniedUsers",
    "Script": "_loc id name desc code type metadata tags",
    "WasmPlugin": "_loc id name description config steps metadata tags",
    "Api": "_loc kind id name description domain contextPath metadata tags visibility owner members"
    " version debug_flow capture export_reporting groups state enabled blueprint plans routes backends"
    " flows clients_backend_config documentation deployments versions testing clients hooks",
    "ApiSubscription": "location id name description tags metadata status dates owner_ref plan_ref"
    " payment_ref api_ref subscription_kind token_refs",
    "UserDashboard": "_loc id name description tags metadata enabled widgets defaults",
    "UserAlert": "_loc id name description tags metadata enabled windowSeconds"
    " evaluationIntervalSeconds cooldownSeconds severity message combine conditions",
    "Workflow": "_loc id name description metadata tags config test_payload orphans job functions notes",
    "CorazaConfig": "_loc id name description metadata tags inspect_in_body inspect_out_body"
    " is_blocking_mode include_owasp_crs directives pool_capacity",
    "RemoteCatalog": "_loc id name description metadata tags enabled source_kind source_config"
    " scheduling test_deploy_args",
    "HttpListener": "_loc id name description config metadata tags",
    "GreenScore": "_loc id name description metadata tags routes thresholds efficiency",
}
"""Keys of the documents, in the order in which Otoroshi writes them."""

REQUIRED = {
    "Route": "id name",
    "Backend": "id name backend",
    "RouteComposition": "id name",
    "RouteTemplate": "location id name description",
    "TcpService": "id name description port",
    "ErrorTemplate": "serviceId template40x template50x templateBuild templateMaintenance",
    "Draft": "id name description",
    "ServiceGroup": "id name",
    "Organization": "id",
    "Tenant": "id",
    "Team": "id tenant",
    "SimpleAdminUser": "username password label",
    "AdminSession": "randomId name email",
    "AuthModuleUser": "randomId name email authConfigId profile realm createdAt expiredAt lastRefresh",
    "AuthModule": "type id name",
    "Script": "id name desc code type",
    "WasmPlugin": "id name description",
    "Api": "id name description",
    "ApiSubscription": "location id name description dates owner_ref plan_ref api_ref"
    " subscription_kind",
    "UserDashboard": "id",
    "UserAlert": "id",
    "Workflow": "id name description",
    "CorazaConfig": "id",
    "RemoteCatalog": "id name",
    "HttpListener": "id name description",
    "GreenScore": "id",
}
"""Keys without which Otoroshi reads no document."""

UNTEMPLATED = {"AdminSession", "AuthModuleUser"}
BY_KIND = {resource.kind: resource for resource in RESOURCES}


def test_the_rows_stand_in_otoroshis_order_each_once() -> None:
    order = [kind for kind, *_ in NAMES]
    kinds = [resource.kind for resource in RESOURCES]
    assert kinds == [kind for kind in order if kind in kinds]


@pytest.mark.parametrize("row", [row for row in NAMES if row[0] in BY_KIND], ids=lambda row: row[0])
def test_each_row_has_otoroshis_names(row: list[str]) -> None:
    found = BY_KIND[row[0]]
    assert [found.kind, found.plural, found.singular, found.group, found.id_key] == row


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_has_every_key_in_otoroshis_order(kind: str) -> None:
    fields = msgspec.structs.fields(BY_KIND[kind].cls)
    named = [field.encode_name for field in fields if field.encode_name != UNKNOWN_KEY]
    # What Otoroshi has no keys for comes behind all of its own.
    own = ["settings"] if kind == "TcpService" else []
    assert named == [*KEYS[kind].split(), *own]
    assert [field.encode_name for field in fields if field.required] == REQUIRED[kind].split()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_each_template_is_an_entity_with_an_id_and_a_schema(resource: Resource) -> None:
    if resource.template is None:
        assert resource.kind in UNTEMPLATED
        return
    written = write_document(resource.template("dev"))
    entity, problems = inspect_document(resource.cls, written)
    assert entity is not None
    assert problems == []
    if resource.only_id is None:
        assert written[resource.id_key]
    assert schema_of(resource.cls)["$ref"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_each_key_of_a_template_is_one_of_the_global_configuration(resource: Resource) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(Templates)}
    assert resource.template_key in known | {""}


def test_only_some_verbs_are_there_for_some_kinds() -> None:
    limited = {r.kind: set(r.actions) for r in RESOURCES if len(r.actions) < 3}
    assert limited == {
        "GlobalConfig": {"update"},
        "AdminSession": {"delete"},
        "AuthModuleUser": {"delete"},
        "SimpleAdminUser": {"create", "delete"},
    }


def test_every_resource_of_otoroshi_is_there() -> None:
    assert set(BY_KIND) == {kind for kind, *_ in NAMES}


def test_scripts_and_wasm_plugins_are_deprecated() -> None:
    assert {r.kind for r in RESOURCES if r.is_deprecated} == {"Script", "WasmPlugin"}


def test_the_schema_of_auth_modules_has_every_kind() -> None:
    schema = schema_of(BY_KIND["AuthModule"].cls)
    assert [ref["$ref"].rpartition("/")[2] for ref in schema["$defs"]["AuthModule"]["anyOf"]] == [
        *("BasicAuth", "LdapAuth", "OAuth2Auth", "OAuth1Auth", "SamlAuth", "WasmAuth"),
        "WorkflowAuth",
    ]
    assert "serverUrls" in schema["$defs"]["LdapAuth"]["properties"]
    assert UNKNOWN_KEY not in schema["$defs"]["LdapAuth"]["properties"]


def test_two_names_of_one_store_are_both_found() -> None:
    one = find_resource("organize.otoroshi.io", "v1", "organizations")
    other = find_resource("any", "all", "Tenant")
    assert one is not None
    assert other is not None
    assert (one.kind, other.kind) == ("Organization", "Tenant")
    assert one.store_kind == other.store_kind
    assert find_resource("security.otoroshi.io", "v1", "teams") is None
