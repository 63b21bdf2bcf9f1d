"""The service descriptor: what routes were in older versions of Otoroshi, all in one object.

It is kept exactly, so that older exports and tools work on; its parts are in
`oto_trio.model.service_parts`. A key whose default would let more requests in than what was meant is an
error when it has the wrong type.
"""

from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.model.api_key import Restrictions
from oto_trio.model.backend import LoadBalancing
from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document, JsonObject
from oto_trio.model.global_sections import ChaosSettings, GlobalPlugins, IpFiltering
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location
from oto_trio.model.service_parts import (
    Canary,
    ClientConfig,
    Cors,
    ExposedApi,
    Gzip,
    KeyConstraints,
    MaybeText,
    Redirection,
    SecComHeaders,
    ServiceHealthCheck,
    ServiceScripts,
    ServiceTarget,
    TextMap,
    Texts,
)

__all__ = ["SERVICE_DESCRIPTORS", "ServiceDescriptor", "service_descriptor_template"]

SERVICE_DESCRIPTORS: Final = "service-descriptors"
"""Kind under which the store keeps them."""

_VERSIONS: Final = {"1": "V1", "2": "V2", "v1": "V1", "v2": "V2"}
Algorithm = Annotated[
    dict[str, Any], Meta(description="how tokens are signed, as in a JWT verifier")
]


def _signed_with(secret: str) -> JsonObject:
    """Make the settings of a signature with a shared secret."""
    return {"type": "HSAlgoSettings", "size": 512, "secret": secret, "base64": False}


def _shared_key() -> JsonObject:
    """Make the settings of the exchange protocol, whose secret is that of the installation."""
    return _signed_with("${config.app.claim.sharedKey}")


def _any_secret() -> JsonObject:
    """Make the settings of one direction of the exchange protocol."""
    return _signed_with("secret")


def _no_verifier() -> JsonObject:
    """Make the settings of a service that checks no tokens."""
    return {"type": "ref", "ids": [], "id": None, "enabled": False, "excludedPatterns": []}


def _by_reference(given: JsonObject) -> JsonObject:
    """Complete the settings of verifiers that are referred to; ``id`` is the first, or in older ones all."""
    verifier = {**_no_verifier(), **given}
    only = given.get("id")
    if "ids" not in given and isinstance(only, str):
        verifier["ids"] = [only]
    ids: object = verifier["ids"]
    if isinstance(ids, list):
        verifier["id"] = next(iter(cast("list[object]", ids)), None)
    return verifier


def _texts() -> TextMap:
    """Make an empty object of texts."""
    return {}


class ServiceDescriptor(Document, frozen=True, kw_only=True, rename="camel"):
    """A service descriptor (``proxy.otoroshi.io/ServiceDescriptor``)."""

    strict_keys = frozenset(
        {
            *("privateApp", "strictlyPrivate", "detectApiKeySooner", "readOnly"),
            *("maintenanceMode", "buildMode", "enforceSecureCommunication", "forceHttps"),
            *("securityExcludedPatterns", "publicPatterns", "privatePatterns"),
            *("headersVerification", "matchingHeaders", "ipFiltering", "jwtVerifier"),
            *("cors", "apiKeyConstraints", "authConfigRef", "clientValidatorRef"),
            *("restrictions", "accessValidator", "preRouting", "plugins", "secComExcludedPatterns"),
        }
    )

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the service")]
    group_id: Annotated[MaybeText, Meta(description="its first group, for older tools")] = None
    groups: Annotated[
        Texts | UnsetType, Meta(description="ids of its groups; default when left out")
    ] = UNSET
    name: Annotated[str, Meta(description="name of the service; its id when left out")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    env: Annotated[str, Meta(description="line of the service, such as prod")] = "prod"
    domain: Annotated[str, Meta(description="domain of the service")]
    subdomain: Annotated[str, Meta(description="name before the domain")]
    tags: Annotated[Texts, Meta(description="free labels")] = ()
    metadata: Annotated[TextMap, Meta(description="free texts by name")] = msgspec.field(
        default_factory=_texts
    )

    targets_load_balancing: Annotated[LoadBalancing, Meta(description="how one is chosen")] = (
        LoadBalancing()
    )
    targets: Annotated[tuple[ServiceTarget, ...], Meta(description="the upstream servers")] = ()
    root: Annotated[str, Meta(description="path put before the request's path")] = "/"
    matching_root: Annotated[MaybeText, Meta(description="path that requests begin with")] = None
    strip_path: Annotated[bool, Meta(description="remove that path")] = True
    local_host: Annotated[str, Meta(description="upstream while redirectToLocal")] = (
        "localhost:8080"
    )
    local_scheme: Annotated[str, Meta(description="its scheme")] = "http"
    redirect_to_local: Annotated[bool, Meta(description="call the local upstream")] = False

    enabled: Annotated[bool, Meta(description="take requests")] = True
    user_facing: Annotated[bool, Meta(description="people use it in a browser")] = False
    private_app: Annotated[bool, Meta(description="ask users to log in")] = False
    force_https: Annotated[bool, Meta(description="redirect to https")] = True
    log_analytics_on_server: Annotated[bool, Meta(description="write events to the log")] = False
    use_akka_http_client: Annotated[bool, Meta(description="kept; there is one client")] = False
    use_new_ws_client: Annotated[bool, Meta(description="kept; there is one client")] = (
        msgspec.field(default=False, name="useNewWSClient")
    )
    tcp_udp_tunneling: Annotated[bool, Meta(description="tunnel TCP and UDP")] = False
    detect_api_key_sooner: Annotated[bool, Meta(description="route by API key")] = False
    maintenance_mode: Annotated[bool, Meta(description="answer that it is maintained")] = False
    build_mode: Annotated[bool, Meta(description="answer that it is being built")] = False
    strictly_private: Annotated[bool, Meta(description="users need an API key too")] = False
    enforce_secure_communication: Annotated[bool, Meta(description="exchange protocol")] = True
    send_info_token: Annotated[bool, Meta(description="tell the backend who calls")] = True
    send_state_challenge: Annotated[bool, Meta(description="challenge the backend")] = True
    send_otoroshi_headers_back: Annotated[bool, Meta(description="tell times and ids")] = True
    read_only: Annotated[bool, Meta(description="take GET, HEAD and OPTIONS only")] = False
    x_forwarded_headers: Annotated[bool, Meta(description="send X-Forwarded-*")] = False
    override_host: Annotated[bool, Meta(description="send the target's host name")] = True
    allow_http10: Annotated[bool, Meta(description="take HTTP/1.0")] = True
    lets_encrypt: Annotated[bool, Meta(description="order a certificate by ACME")] = False
    handle_legacy_domain: Annotated[bool, Meta(description="answer domain and subdomain")] = True
    issue_cert: Annotated[bool, Meta(description="issue a certificate")] = False
    issue_cert_ca: Annotated[MaybeText, Meta(description="id of the authority")] = msgspec.field(
        default=None, name="issueCertCA"
    )

    sec_com_headers: Annotated[SecComHeaders, Meta(description="names of its headers")] = (
        SecComHeaders()
    )
    sec_com_ttl: Annotated[Whole, Meta(description="life of its tokens, ms")] = 30000
    sec_com_version: Annotated[Literal["V1", "V2"], Meta(description="version of it")] = "V1"
    sec_com_info_token_version: Annotated[
        Literal["Legacy", "Latest", "Url"], Meta(description="version of the info token")
    ] = "Legacy"  # noqa: S105 - a version, no password
    sec_com_excluded_patterns: Annotated[Texts, Meta(description="paths without it")] = ()
    sec_com_settings: Annotated[Algorithm, Meta(description="its signature")] = msgspec.field(
        default_factory=_shared_key
    )
    sec_com_use_same_algo: Annotated[bool, Meta(description="one for everything")] = True
    sec_com_algo_challenge_oto_to_back: Annotated[
        Algorithm, Meta(description="signature of challenges")
    ] = msgspec.field(default_factory=_any_secret)
    sec_com_algo_challenge_back_to_oto: Annotated[
        Algorithm, Meta(description="signature of their answers")
    ] = msgspec.field(default_factory=_any_secret)
    sec_com_algo_info_token: Annotated[Algorithm, Meta(description="that of the info token")] = (
        msgspec.field(default_factory=_any_secret)
    )

    security_excluded_patterns: Annotated[Texts, Meta(description="paths without checks")] = ()
    public_patterns: Annotated[Texts, Meta(description="paths for everybody")] = ()
    private_patterns: Annotated[Texts, Meta(description="paths that need an API key")] = ()

    additional_headers: Annotated[TextMap, Meta(description="sent to backends")] = msgspec.field(
        default_factory=_texts
    )
    additional_headers_out: Annotated[TextMap, Meta(description="sent to clients")] = msgspec.field(
        default_factory=_texts
    )
    missing_only_headers_in: Annotated[TextMap, Meta(description="to backends, if missing")] = (
        msgspec.field(default_factory=_texts)
    )
    missing_only_headers_out: Annotated[TextMap, Meta(description="to clients, if missing")] = (
        msgspec.field(default_factory=_texts)
    )
    headers_verification: Annotated[TextMap, Meta(description="headers a request must have")] = (
        msgspec.field(default_factory=_texts)
    )
    matching_headers: Annotated[TextMap, Meta(description="headers it is chosen by")] = (
        msgspec.field(default_factory=_texts)
    )
    remove_headers_in: Annotated[Texts, Meta(description="kept from backends")] = ()
    remove_headers_out: Annotated[Texts, Meta(description="kept from clients")] = ()

    ip_filtering: Annotated[IpFiltering, Meta(description="addresses let in")] = IpFiltering()
    api: Annotated[ExposedApi, Meta(description="whether it is documented")] = ExposedApi()
    health_check: Annotated[ServiceHealthCheck, Meta(description="active health checks")] = (
        ServiceHealthCheck()
    )
    client_config: Annotated[ClientConfig, Meta(description="retries and timeouts")] = (
        ClientConfig()
    )
    canary: Annotated[Canary, Meta(description="another version of it")] = Canary()
    gzip: Annotated[Gzip, Meta(description="compression of answers")] = Gzip(
        white_list=("text/*", "application/javascript", "application/json")
    )
    chaos_config: Annotated[ChaosSettings, Meta(description="faults on purpose")] = ChaosSettings()
    jwt_verifier: Annotated[
        dict[str, Any], Meta(description="which tokens it checks, by reference or in place")
    ] = msgspec.field(default_factory=_no_verifier)
    cors: Annotated[Cors, Meta(description="pages of other origins")] = Cors()
    redirection: Annotated[Redirection, Meta(description="where requests are sent instead")] = (
        Redirection()
    )
    api_key_constraints: Annotated[KeyConstraints, Meta(description="which API keys")] = (
        KeyConstraints()
    )

    auth_config_ref: Annotated[MaybeText, Meta(description="id of its auth module")] = None
    client_validator_ref: Annotated[MaybeText, Meta(description="id of its validator")] = None
    transformer_ref: Annotated[MaybeText, Meta(description="id of its transformer, older")] = None
    transformer_refs: Annotated[Texts, Meta(description="ids of its transformers")] = ()
    transformer_config: Annotated[dict[str, Any], Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    restrictions: Annotated[Restrictions, Meta(description="which paths may be called")] = (
        Restrictions()
    )
    access_validator: Annotated[ServiceScripts, Meta(description="scripts that let in")] = (
        ServiceScripts()
    )
    pre_routing: Annotated[ServiceScripts, Meta(description="scripts that come first")] = (
        ServiceScripts()
    )
    plugins: Annotated[GlobalPlugins, Meta(description="its plugins")] = GlobalPlugins()
    hosts: Annotated[Texts, Meta(description="more domains")] = ()
    paths: Annotated[Texts, Meta(description="more paths")] = ()

    def __post_init__(self) -> None:
        """Fill in what follows from other keys: the older group, the name, and a verifier's."""
        groups = (self.group_id or "default",) if self.groups is UNSET else self.groups
        msgspec.structs.force_setattr(self, "groups", groups)
        msgspec.structs.force_setattr(self, "group_id", groups[0] if groups else None)
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.id)
        if self.jwt_verifier.get("type", "ref") == "ref":
            msgspec.structs.force_setattr(self, "jwt_verifier", _by_reference(self.jwt_verifier))

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept ``tcpTunneling``, and versions of the exchange protocol as numbers."""
        full = dict(raw)
        tunneling = full.pop("tcpTunneling", None)
        if "tcpUdpTunneling" not in full and isinstance(tunneling, bool):
            full["tcpUdpTunneling"] = tunneling
        version = full.get("secComVersion")
        if isinstance(version, str | int) and not isinstance(version, bool):
            full["secComVersion"] = _VERSIONS.get(str(version).lower(), version)
        return full


def service_descriptor_template(*, env: str = "prod") -> ServiceDescriptor:
    """Make the service that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return ServiceDescriptor(
        id=named_id("service", env=env),
        name="my-service",
        description="a service",
        domain="oto.tools",
        subdomain="myservice",
        targets=(ServiceTarget(host="changeme.cleverapps.io"),),
        force_https=False,
        enforce_secure_communication=False,
        send_otoroshi_headers_back=False,
    )
