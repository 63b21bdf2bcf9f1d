"""The auth module: how people prove who they are, by a list of users, a directory or a provider.

There is one struct for each kind, chosen by ``type``; all have the keys of `AuthModule`. A key of the
wrong type is an error, as its default might let people in who were meant to stay out.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.auth_parts import (
    AuthUser,
    FreeObject,
    GroupFilter,
    Pkce,
    RemoteValidator,
    SamlCredentials,
    SamlSignature,
    SessionCookie,
    Texts,
)
from oto_trio.model.client_settings import UpstreamProxy, Whole
from oto_trio.model.document import EVERY_KEY, Document, JsonObject
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location
from oto_trio.model.mtls_config import MtlsConfig

if TYPE_CHECKING:
    import builtins

__all__ = [
    "AUTH_KINDS",
    "AUTH_MODULES",
    "AuthModule",
    "BasicAuth",
    "LdapAuth",
    "OAuth1Auth",
    "OAuth2Auth",
    "SamlAuth",
    "WasmAuth",
    "WorkflowAuth",
    "auth_module_template",
]

AUTH_MODULES: Final = "auth-modules"
"""Kind under which the store keeps them."""

_CALLBACK: Final = "http://privateapps.oto.tools:8080/privateapps/generic/callback"
_PROVIDER: Final = "http://localhost:8082"


class AuthModule(Document, frozen=True, kw_only=True, rename="camel"):
    """What every auth module has (``security.otoroshi.io/AuthModule``)."""

    strict_keys = EVERY_KEY

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    type: Annotated[
        Literal["basic", "ldap", "oauth2", "oauth1", "saml", "wasm", "workflow"],
        Meta(description="kind of the module"),
    ]
    id: Annotated[str, Meta(description="id of the module")]
    name: Annotated[str, Meta(description="name of the module")]
    desc: Annotated[str, Meta(description="what it is for")] = "--"
    client_side_session_enabled: Annotated[
        bool, Meta(description="keep the session in the browser")
    ] = True
    session_max_age: Annotated[Whole, Meta(description="how long a session lasts, s")] = 86400
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[Texts, Meta(description="free labels")] = ()
    session_cookie_values: Annotated[
        SessionCookie, Meta(description="attributes of the session's cookie")
    ] = SessionCookie()
    user_validators: Annotated[
        tuple[dict[str, Any], ...], Meta(description="what must hold for a user's profile")
    ] = ()
    remote_validators: Annotated[
        tuple[RemoteValidator, ...], Meta(description="services that are asked about a user")
    ] = ()
    allowed_users: Annotated[Texts, Meta(description="who may come in; empty = everybody")] = ()
    denied_users: Annotated[Texts, Meta(description="who may not come in")] = ()

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the older name of OAuth 2."""
        return {**raw, "type": "oauth2"} if raw.get("type") == "oauth2-global" else raw

    @classmethod
    @override
    def variant(cls, raw: JsonObject) -> "builtins.type[Document]":
        """Choose the struct by ``type``; a type nobody knows leaves it to the common keys to refuse."""
        kind = raw.get("type")
        return AUTH_KINDS.get(kind, cls) if isinstance(kind, str) else cls

    @classmethod
    @override
    def variants(cls) -> "tuple[builtins.type[Document], ...]":
        """Name the struct of each kind."""
        return tuple(dict.fromkeys(AUTH_KINDS.values()))


class BasicAuth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users that are kept in the module itself. A user without ``rights`` has none."""

    type: Annotated[Literal["basic"], Meta(description="kind of the module")] = "basic"
    basic_auth: Annotated[bool, Meta(description="let browsers ask for the password")] = False
    webauthn: Annotated[bool, Meta(description="passkeys as well")] = False
    users: Annotated[tuple[AuthUser, ...], Meta(description="the users")] = ()


class LdapAuth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users of a directory that speaks LDAP."""

    type: Annotated[Literal["ldap"], Meta(description="kind of the module")] = "ldap"
    basic_auth: Annotated[bool, Meta(description="let browsers ask for the password")] = False
    allow_empty_password: Annotated[bool, Meta(description="try to bind without one")] = False
    server_urls: Annotated[Texts, Meta(description="URLs of the servers")] = ()
    search_base: Annotated[str, Meta(description="where users and groups are looked for")]
    user_base: Annotated[str | None, Meta(description="where users are, below that")] = None
    group_filters: Annotated[
        tuple[GroupFilter, ...], Meta(description="which groups make which teams")
    ] = ()
    search_filter: Annotated[str, Meta(description="filter that finds a user")]
    admin_username: Annotated[str | None, Meta(description="name that may search")] = None
    admin_password: Annotated[str | None, Meta(description="password of that name")] = None
    name_field: Annotated[str, Meta(description="attribute with the name")]
    email_field: Annotated[str, Meta(description="attribute with the address")]
    metadata_field: Annotated[str | None, Meta(description="attribute with metadata")] = None
    extra_metadata: Annotated[FreeObject, Meta(description="metadata of every user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    super_admins: Annotated[bool, Meta(description="every user may do everything")] = False
    extract_profile: Annotated[bool, Meta(description="keep the user's attributes")] = False
    extract_profile_filter: Annotated[Texts, Meta(description="attributes that are kept")] = ()
    extract_profile_filter_not: Annotated[Texts, Meta(description="ones that are not")] = ()
    rights_override: Annotated[FreeObject, Meta(description="rights by address")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    data_override: Annotated[FreeObject, Meta(description="data by address")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    group_rights: Annotated[FreeObject, Meta(description="rights and users by group")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    admin_entity_validators_override: Annotated[
        FreeObject, Meta(description="what users may write, by address and kind of entity")
    ] = msgspec.field(default_factory=dict[str, Any])

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept one server under ``serverUrl``, and one filter under ``groupFilter``."""
        full = dict(raw)
        server, group = full.pop("serverUrl", None), full.pop("groupFilter", None)
        if "serverUrls" not in full and isinstance(server, str):
            full["serverUrls"] = [server]
        if "groupFilters" not in full and isinstance(group, str):
            full["groupFilters"] = GroupFilter.of_text(group, raw.get("_loc"))
        return full


class OAuth2Auth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users of a provider that speaks OAuth 2, or OpenID Connect.

    As in Otoroshi, a document without ``superAdmins`` makes every user one; it is from before there
    were rights.
    """

    type: Annotated[Literal["oauth2"], Meta(description="kind of the module")] = "oauth2"
    client_id: Annotated[str, Meta(description="id of this client")] = "client"
    client_secret: Annotated[str, Meta(description="its secret")] = "secret"  # noqa: S105
    authorize_url: Annotated[str, Meta(description="where a user consents")] = (
        f"{_PROVIDER}/oauth/authorize"
    )
    token_url: Annotated[str, Meta(description="where codes become tokens")] = (
        f"{_PROVIDER}/oauth/token"
    )
    user_info_url: Annotated[str, Meta(description="where the user is told")] = (
        f"{_PROVIDER}/userinfo"
    )
    introspection_url: Annotated[str, Meta(description="where tokens are judged")] = (
        f"{_PROVIDER}/token/introspect"
    )
    login_url: Annotated[str, Meta(description="where a user logs in")] = f"{_PROVIDER}/login"
    logout_url: Annotated[str, Meta(description="where a user logs out")] = f"{_PROVIDER}/logout"
    scope: Annotated[str, Meta(description="scopes asked for")] = "openid profile email name"
    claims: Annotated[str, Meta(description="claims asked for")] = "email name"
    use_cookie: Annotated[bool, Meta(description="keep the state in a cookie")] = False
    use_json: Annotated[bool, Meta(description="send JSON, not forms")] = False
    pkce: Annotated[Pkce | None, Meta(description="proof key of the code")] = None
    no_wildcard_redirect_uri: Annotated[
        bool, Meta(description="name the callback exactly, without parameters")
    ] = msgspec.field(default=False, name="noWildcardRedirectURI")
    read_profile_from_token: Annotated[bool, Meta(description="take the user from the token")] = (
        False
    )
    access_token_field: Annotated[str, Meta(description="where the token is in the answer")] = (
        "access_token"  # noqa: S105
    )
    jwt_verifier: Annotated[
        dict[str, Any] | None, Meta(description="whose key tokens have, as in a JWT verifier")
    ] = None
    name_field: Annotated[str, Meta(description="where the name is")] = "name"
    email_field: Annotated[str, Meta(description="where the address is")] = "email"
    api_key_meta_field: Annotated[str, Meta(description="where an API key's metadata are")] = (
        "apkMeta"
    )
    api_key_tags_field: Annotated[str, Meta(description="where an API key's tags are")] = "apkTags"
    otoroshi_data_field: Annotated[str, Meta(description="where the user's metadata are")] = (
        "app_metadata | otoroshi_data"
    )
    callback_url: Annotated[str, Meta(description="where the provider sends users back")] = (
        _CALLBACK
    )
    oid_config: Annotated[str | None, Meta(description="where the provider describes itself")] = (
        None
    )
    mtls_config: Annotated[MtlsConfig, Meta(description="TLS towards the provider")] = MtlsConfig()
    proxy: Annotated[UpstreamProxy | None, Meta(description="proxy towards the provider")] = None
    extra_metadata: Annotated[FreeObject, Meta(description="metadata of every user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    refresh_tokens: Annotated[bool, Meta(description="renew tokens during a session")] = False
    super_admins: Annotated[bool, Meta(description="every user may do everything")] = True
    rights_override: Annotated[FreeObject, Meta(description="rights by address")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    data_override: Annotated[FreeObject, Meta(description="data by address")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    otoroshi_rights_field: Annotated[str, Meta(description="where the user's rights are")] = (
        "otoroshi_rights"
    )
    admin_entity_validators_override: Annotated[
        FreeObject, Meta(description="what users may write, by address and kind of entity")
    ] = msgspec.field(default_factory=dict[str, Any])


class OAuth1Auth(AuthModule, frozen=True, kw_only=True):
    """Users of a provider that speaks OAuth 1."""

    type: Annotated[Literal["oauth1"], Meta(description="kind of the module")] = "oauth1"
    consumer_key: Annotated[str, Meta(description="key of this consumer")] = msgspec.field(
        name="consumerKey"
    )
    consumer_secret: Annotated[str, Meta(description="its secret")] = msgspec.field(
        name="consumerSecret"
    )
    request_token_url: Annotated[str, Meta(description="where a login begins")] = msgspec.field(
        name="requestTokenURL"
    )
    authorize_url: Annotated[str, Meta(description="where a user consents")] = msgspec.field(
        name="authorizeURL"
    )
    access_token_url: Annotated[str, Meta(description="where the token is got")] = msgspec.field(
        name="accessTokenURL"
    )
    profile_url: Annotated[str, Meta(description="where the user is told")] = msgspec.field(
        default="https://api.clever-cloud.com/v2/self", name="profileURL"
    )
    callback_url: Annotated[str, Meta(description="where the provider sends users back")] = (
        msgspec.field(default=_CALLBACK, name="callbackURL")
    )
    http_method: Annotated[Literal["get", "post"], Meta(description="method of the calls")] = (
        msgspec.field(default="get", name="httpMethod")
    )
    rights_override: Annotated[FreeObject, Meta(description="rights by address")] = msgspec.field(
        default_factory=dict[str, Any], name="rightsOverride"
    )
    admin_entity_validators_override: Annotated[
        FreeObject, Meta(description="what users may write, by address and kind of entity")
    ] = msgspec.field(default_factory=dict[str, Any], name="adminEntityValidatorsOverride")


_NAME_FORMATS: Final = (
    *("persistent", "transient", "kerberos", "entity", "emailAddress", "unspecified"),
)
_BINDINGS: Final = {
    "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST": "post",
    "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect": "redirect",
}


class SamlAuth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users of a provider that speaks SAML 2.

    Otoroshi never reads the tenant and teams of such a module; here they are kept.
    """

    type: Annotated[Literal["saml"], Meta(description="kind of the module")] = "saml"
    single_sign_on_url: Annotated[str, Meta(description="where a user logs in")]
    single_logout_url: Annotated[str | None, Meta(description="where a user logs out")] = None
    credentials: Annotated[SamlCredentials, Meta(description="with what messages are signed")]
    extra_metadata: Annotated[FreeObject, Meta(description="metadata of every user")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    issuer: Annotated[str, Meta(description="name of this gateway at the provider")]
    validating_certificates: Annotated[Texts, Meta(description="the provider's, PEM")] = ()
    validate_signature: Annotated[bool, Meta(description="check signatures of messages")]
    validate_assertions: Annotated[bool, Meta(description="check signatures of assertions")]
    signature: Annotated[SamlSignature, Meta(description="how messages are signed")]
    name_id_format: Annotated[
        Literal["persistent", "transient", "kerberos", "entity", "emailAddress", "unspecified"],
        Meta(description="what kind of name users have"),
    ] = msgspec.field(default="transient", name="nameIDFormat")
    sso_protocol_binding: Annotated[
        Literal["post", "redirect"], Meta(description="how a login is sent")
    ] = "redirect"
    single_logout_protocol_binding: Annotated[
        Literal["post", "redirect"], Meta(description="how a logout is sent")
    ] = "redirect"
    used_name_id_as_email: Annotated[bool, Meta(description="the name is the address")] = (
        msgspec.field(default=True, name="usedNameIDAsEmail")
    )
    email_attribute_name: Annotated[str | None, Meta(description="attribute with the address")] = (
        None
    )
    admin_entity_validators_override: Annotated[
        FreeObject, Meta(description="what users may write, by address and kind of entity")
    ] = msgspec.field(default_factory=dict[str, Any])

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept bindings by their URI; a format of names that nobody knows is ``unspecified``."""
        full = dict(raw)
        for key in ("ssoProtocolBinding", "singleLogoutProtocolBinding"):
            binding = full.get(key)
            if isinstance(binding, str):
                full[key] = _BINDINGS.get(binding, binding)
        names = full.get("nameIDFormat")
        if isinstance(names, str) and names not in _NAME_FORMATS:
            full["nameIDFormat"] = "unspecified"
        return full


class WasmAuth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users that a WASM plugin knows."""

    type: Annotated[Literal["wasm"], Meta(description="kind of the module")] = "wasm"
    wasm_ref: Annotated[str | None, Meta(description="id of the plugin")] = None


class WorkflowAuth(AuthModule, frozen=True, kw_only=True, rename="camel"):
    """Users that a workflow knows."""

    type: Annotated[Literal["workflow"], Meta(description="kind of the module")] = "workflow"
    workflow_ref: Annotated[str | None, Meta(description="id of the workflow")] = None


AUTH_KINDS: Final[dict[str, type[AuthModule]]] = {
    "basic": BasicAuth,
    "ldap": LdapAuth,
    "oauth2": OAuth2Auth,
    "oauth2-global": OAuth2Auth,
    "oauth1": OAuth1Auth,
    "saml": SamlAuth,
    "wasm": WasmAuth,
    "workflow": WorkflowAuth,
}
"""The struct of each ``type``, the older name of OAuth 2 included."""


def auth_module_template(kind: str = "basic", *, env: str = "prod") -> AuthModule:
    """Make the module that ``_template`` answers with, under a new id.

    Args:
        kind: Its type; one that nobody knows makes a ``basic`` one, as in Otoroshi.
        env: Environment name of this gateway.
    """
    known: dict[str, Any] = {
        "id": named_id("auth_mod", env=env),
        "name": "New auth. module",
        "desc": "New auth. module",
    }
    if kind in ("oauth2", "oauth2-global"):
        return OAuth2Auth(**known)
    if kind == "wasm":
        return WasmAuth(**known)
    if kind == "workflow":
        return WorkflowAuth(**known)
    if kind == "ldap":
        return LdapAuth(
            **known,
            server_urls=("ldap://ldap.example.com:389",),
            search_base="dc=example,dc=com",
            search_filter="(mail=${username})",
            name_field="cn",
            email_field="mail",
        )
    if kind == "oauth1":
        return OAuth1Auth(
            **known,
            consumer_key="key",
            consumer_secret="secret",  # noqa: S106
            request_token_url="https://provider.example.com/oauth/request_token",  # noqa: S106
            authorize_url="https://provider.example.com/oauth/authorize",
            access_token_url="https://provider.example.com/oauth/access_token",  # noqa: S106
        )
    if kind == "saml":
        return SamlAuth(
            **known,
            single_sign_on_url="https://provider.example.com/sso",
            credentials=SamlCredentials(),
            issuer="otoroshi",
            validate_signature=True,
            validate_assertions=True,
            signature=SamlSignature(),
        )
    return BasicAuth(**known)
