"""The parts of a service descriptor, in the older words of Otoroshi's JSON."""

from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.backend import HealthCheck, Predicate
from oto_trio.model.client_settings import UpstreamProxy, Whole
from oto_trio.model.document import EVERY_KEY, Document, JsonObject
from oto_trio.model.mtls_config import MtlsConfig

__all__ = [
    "Canary",
    "ClientConfig",
    "Cors",
    "ExposedApi",
    "Gzip",
    "KeyConstraints",
    "KeyHeaders",
    "KeyPlaces",
    "KeyRouting",
    "KeyTokens",
    "Redirection",
    "SecComHeaders",
    "ServiceConnectionCache",
    "ServiceHealthCheck",
    "ServiceScripts",
    "ServiceTarget",
    "ServiceTimeouts",
]

Texts = Annotated[tuple[str, ...], Meta(description="a list of texts")]
TextMap = Annotated[dict[str, str], Meta(description="texts by name")]
MaybeText = Annotated[str | None, Meta(description="a text, or null")]

_PROTOCOLS: Final = {p.lower(): p for p in ("HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0")}


class ServiceTarget(Document, frozen=True, kw_only=True, rename="camel"):
    """One upstream server of a service."""

    host: Annotated[str, Meta(description="host name and port of the upstream")]
    scheme: Annotated[str, Meta(description="http or https")] = "https"
    weight: Annotated[Whole, Meta(description="share of calls relative to the others")] = 1
    mtls_config: Annotated[MtlsConfig, Meta(description="TLS towards the target")] = MtlsConfig()
    tags: Annotated[Texts, Meta(description="free labels")] = ()
    metadata: Annotated[TextMap, Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    protocol: Annotated[
        Literal["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"],
        Meta(description="protocol spoken to the target"),
    ] = "HTTP/1.1"
    predicate: Annotated[Predicate, Meta(description="when it may be used")] = Predicate()
    backup: Annotated[bool, Meta(description="used when every other is unavailable")] = False
    ip_address: Annotated[MaybeText, Meta(description="address instead of resolving")] = None

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the protocol in any case."""
        protocol = raw.get("protocol")
        if isinstance(protocol, str):
            return {**raw, "protocol": _PROTOCOLS.get(protocol.lower(), protocol)}
        return raw


class SecComHeaders(Document, frozen=True, kw_only=True, rename="camel"):
    """Names of the headers of the exchange protocol; null = those of the settings."""

    claim_request_name: Annotated[MaybeText, Meta(description="header of the info token")] = None
    state_request_name: Annotated[MaybeText, Meta(description="header of the challenge")] = None
    state_response_name: Annotated[MaybeText, Meta(description="header of its answer")] = None


class ExposedApi(Document, frozen=True, kw_only=True, rename="camel"):
    """Whether the service is documented."""

    expose_api: Annotated[bool, Meta(description="show its description")] = False
    open_api_descriptor_url: Annotated[MaybeText, Meta(description="where that is")] = None


class ServiceHealthCheck(HealthCheck, frozen=True, kw_only=True, rename="camel"):
    """Active health checks of the targets."""

    url: Annotated[str, Meta(description="path or URL to call")] = "/"


class ServiceTimeouts(Document, frozen=True, kw_only=True, rename="camel"):
    """Other timeouts for some paths, ms. Otoroshi reads ``idleTimeout`` from another key, here it is kept."""

    path: Annotated[str, Meta(description="wildcard pattern of the path they hold for")] = "*"
    call_timeout: Annotated[Whole, Meta(description="one attempt, up to the head")] = 30000
    call_and_stream_timeout: Annotated[Whole, Meta(description="one attempt, whole")] = 3600000
    connection_timeout: Annotated[Whole, Meta(description="connecting")] = 10000
    idle_timeout: Annotated[Whole, Meta(description="silence on the connection")] = 60000
    global_timeout: Annotated[Whole, Meta(description="all attempts together")] = 30000


class ServiceConnectionCache(Document, frozen=True, kw_only=True, rename="camel"):
    """Otoroshi's cache of upstream connections."""

    enabled: Annotated[bool, Meta(description="use the cache")] = False
    queue_size: Annotated[Whole, Meta(description="calls that may wait")] = 2048


class ClientConfig(Document, frozen=True, kw_only=True, rename="camel"):
    """How the upstream client behaves; times in ms."""

    use_circuit_breaker: Annotated[bool, Meta(description="stop calling what fails")] = True
    retries: Annotated[Whole, Meta(description="attempts in all")] = 1
    max_errors: Annotated[Whole, Meta(description="failures that open the breaker")] = 20
    retry_initial_delay: Annotated[Whole, Meta(description="wait before the second attempt")] = 50
    backoff_factor: Annotated[Whole, Meta(description="growth of the wait per attempt")] = 2
    call_timeout: Annotated[Whole, Meta(description="one attempt, up to the head")] = 30000
    call_and_stream_timeout: Annotated[Whole, Meta(description="one attempt, whole")] = 120000
    connection_timeout: Annotated[Whole, Meta(description="connecting")] = 10000
    idle_timeout: Annotated[Whole, Meta(description="silence on the connection")] = 60000
    global_timeout: Annotated[Whole, Meta(description="all attempts together")] = 30000
    sample_interval: Annotated[Whole, Meta(description="time until an open breaker tries")] = 2000
    proxy: Annotated[UpstreamProxy, Meta(description="proxy towards the target")] = UpstreamProxy()
    custom_timeouts: Annotated[
        tuple[ServiceTimeouts, ...], Meta(description="other timeouts for some paths")
    ] = ()
    cache_connection_settings: Annotated[
        ServiceConnectionCache, Meta(description="Otoroshi's connection cache")
    ] = ServiceConnectionCache()


class Canary(Document, frozen=True, kw_only=True, rename="camel"):
    """Another version, which some of the clients see."""

    enabled: Annotated[bool, Meta(description="send some clients there")] = False
    traffic: Annotated[int | float, Meta(description="share of clients, 0 to 1")] = 0.2
    targets: Annotated[tuple[ServiceTarget, ...], Meta(description="its servers")] = ()
    root: Annotated[str, Meta(description="path put before the request's path")] = "/"

    def __post_init__(self) -> None:
        """Hold a whole share as such, so that 1.0 is written as 1."""
        if isinstance(self.traffic, float) and self.traffic.is_integer():
            msgspec.structs.force_setattr(self, "traffic", int(self.traffic))


class Gzip(Document, frozen=True, kw_only=True, rename="camel"):
    """Compression of answers."""

    enabled: Annotated[bool, Meta(description="compress answers")] = False
    excluded_patterns: Annotated[Texts, Meta(description="paths without it")] = ()
    white_list: Annotated[Texts, Meta(description="media types with it; empty = all")] = ()
    black_list: Annotated[Texts, Meta(description="media types without it")] = ()
    buffer_size: Annotated[Whole, Meta(description="bytes held back")] = 8192
    chunked_threshold: Annotated[Whole, Meta(description="bytes from which it is chunked")] = 102400
    compression_level: Annotated[Whole, Meta(description="effort, 0 to 9")] = 5


_CORS_KEYS: Final = {
    "allow_origin": "allowOrigin",
    "expose_headers": "exposeHeaders",
    "allow_headers": "allowHeaders",
    "allow_methods": "allowMethods",
    "excluded_patterns": "excludedPatterns",
    "max_age": "maxAge",
    "allow_credentials": "allowCredentials",
}


class Cors(Document, frozen=True, kw_only=True, rename="camel"):
    """Which pages of other origins may call the service. Names of headers are held in lower case."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="answer browsers that ask")] = False
    allow_origin: Annotated[str, Meta(description="origin that may call; * = any")] = "*"
    expose_headers: Annotated[Texts, Meta(description="headers a page may read")] = ()
    allow_headers: Annotated[Texts, Meta(description="headers a page may send")] = ()
    allow_methods: Annotated[Texts, Meta(description="methods a page may use")] = ()
    excluded_patterns: Annotated[Texts, Meta(description="paths without it")] = ()
    max_age: Annotated[Whole | None, Meta(description="how long an answer holds, s")] = None
    allow_credentials: Annotated[bool, Meta(description="cookies may be sent")] = True

    def __post_init__(self) -> None:
        """Hold names of headers in lower case."""
        for key in ("expose_headers", "allow_headers"):
            names = tuple(name.lower() for name in cast("tuple[str, ...]", getattr(self, key)))
            msgspec.structs.force_setattr(self, key, names)

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the keys in snake_case."""
        full = {_CORS_KEYS.get(key, key): value for key, value in raw.items()}
        return full | {key: value for key, value in raw.items() if key in _CORS_KEYS.values()}


class Redirection(Document, frozen=True, kw_only=True):
    """Where requests are sent instead."""

    enabled: Annotated[bool, Meta(description="redirect every request")] = False
    code: Annotated[Whole, Meta(description="status of the answer")] = 303
    to: Annotated[str, Meta(description="where to")] = "https://www.otoroshi.io"


_PLACES: Final = {"cookie_name": "cookieName", "path_name": "pathName"}


class KeyPlaces(Document, frozen=True, kw_only=True, rename="camel"):
    """Where an API key is looked for; null = the usual place."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="take keys given so")] = True
    header_name: Annotated[MaybeText, Meta(description="header")] = None
    query_name: Annotated[MaybeText, Meta(description="query parameter")] = None
    cookie_name: Annotated[MaybeText, Meta(description="cookie")] = None
    path_name: Annotated[MaybeText, Meta(description="parameter of the path")] = None

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept two of the keys in snake_case."""
        full = {_PLACES.get(key, key): value for key, value in raw.items()}
        return full | {key: value for key, value in raw.items() if key in _PLACES.values()}


class KeyHeaders(Document, frozen=True, kw_only=True, rename="camel"):
    """In which two headers an API key is looked for; null = the usual ones."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="take keys given so")] = True
    client_id_header_name: Annotated[MaybeText, Meta(description="header of the id")] = None
    client_secret_header_name: Annotated[MaybeText, Meta(description="header of the secret")] = None


class KeyTokens(KeyPlaces, frozen=True, kw_only=True, rename="camel"):
    """Where a token signed with an API key is looked for, and what it must be."""

    secret_signed: Annotated[bool, Meta(description="signed with the secret")] = True
    key_pair_signed: Annotated[bool, Meta(description="signed with a key pair")] = True
    include_request_attributes: Annotated[bool, Meta(description="bound to the request")] = False
    max_jwt_lifespan_secs: Annotated[Whole | None, Meta(description="longest life, s")] = None


class KeyRouting(Document, frozen=True, kw_only=True, rename="camel"):
    """Which API keys come here, by their tags and metadata."""

    strict_keys = EVERY_KEY

    none_tag_in: Annotated[Texts, Meta(description="tags none of which it may have")] = ()
    one_tag_in: Annotated[Texts, Meta(description="tags one of which it must have")] = ()
    all_tags_in: Annotated[Texts, Meta(description="tags it must have")] = ()
    none_meta_in: Annotated[TextMap, Meta(description="metadata it may not have")] = msgspec.field(
        default_factory=dict[str, str]
    )
    one_meta_in: Annotated[TextMap, Meta(description="metadata, one of them")] = msgspec.field(
        default_factory=dict[str, str]
    )
    all_meta_in: Annotated[TextMap, Meta(description="metadata it must have")] = msgspec.field(
        default_factory=dict[str, str]
    )
    none_meta_keys_in: Annotated[Texts, Meta(description="names it may not have")] = ()
    one_meta_key_in: Annotated[Texts, Meta(description="names, one of them")] = ()
    all_meta_keys_in: Annotated[Texts, Meta(description="names it must have")] = ()


class KeyConstraints(Document, frozen=True, kw_only=True, rename="camel"):
    """How API keys are given, and which ones come here."""

    strict_keys = EVERY_KEY

    basic_auth: Annotated[KeyPlaces, Meta(description="as basic credentials")] = KeyPlaces()
    custom_headers_auth: Annotated[KeyHeaders, Meta(description="in two headers")] = KeyHeaders()
    oto_bearer_auth: Annotated[KeyPlaces, Meta(description="as a bearer")] = KeyPlaces()
    client_id_auth: Annotated[KeyPlaces, Meta(description="as the client id alone")] = KeyPlaces()
    jwt_auth: Annotated[KeyTokens, Meta(description="as a signed token")] = KeyTokens()
    routing: Annotated[KeyRouting, Meta(description="which keys come here")] = KeyRouting()


class ServiceScripts(Document, frozen=True, kw_only=True, rename="camel"):
    """Scripts that judge or prepare requests (legacy)."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="run them")] = False
    refs: Annotated[Texts, Meta(description="ids of the scripts")] = ()
    config: Annotated[dict[str, Any], Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    excluded_patterns: Annotated[Texts, Meta(description="paths without them")] = ()

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept one script under ``ref``."""
        if "ref" not in raw:
            return raw
        full = {key: value for key, value in raw.items() if key != "ref"}
        return {"refs": [raw["ref"]], **full} if isinstance(raw["ref"], str) else full
