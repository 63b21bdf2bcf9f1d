"""Require an API key, or take one when it is there.

Phases: match_route, access, transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ApikeyCalls``.
"""

from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Answer,
    ApiKey,
    Config,
    Exchange,
    Native,
    Phase,
    Plugin,
    Refusal,
    Response,
    Step,
)
from oto_trio.plugin_api.api_keys import Credential, find_credential, wipe_credential

__all__ = [
    "ApikeyCalls",
    "ApikeyCallsConfig",
    "CustomHeaders",
    "Extractors",
    "Jwt",
    "Places",
    "Routing",
]

_KEPT = "cp:otoroshi.next.plugins.ApikeyCalls/kept"
_FOUND = "cp:otoroshi.next.plugins.ApikeyCalls/found"
_USUAL = ("Otoroshi-Client-Id", "Otoroshi-Client-Secret")


class Places(msgspec.Struct, frozen=True):
    """Where one kind of credential is looked for."""

    enabled: Annotated[bool, Meta(description="Look for it.")] = True
    header_name: Annotated[str | None, Meta(description="Header; null = the usual name.")] = None
    query_name: Annotated[
        str | None, Meta(description="Query parameter; null = the usual name.")
    ] = None
    cookie_name: Annotated[str | None, Meta(description="Cookie; null = the usual name.")] = None
    path_name: Annotated[str | None, Meta(description="Path parameter; null = the usual name.")] = (
        None
    )


class CustomHeaders(msgspec.Struct, frozen=True):
    """The pair of headers that hold a client's id and secret."""

    enabled: Annotated[bool, Meta(description="Look for them.")] = True
    client_id_header_name: Annotated[
        str | None, Meta(description="Header of the id; null = Otoroshi-Client-Id.")
    ] = None
    client_secret_header_name: Annotated[
        str | None, Meta(description="Header of the secret; null = Otoroshi-Client-Secret.")
    ] = None


class Jwt(msgspec.Struct, frozen=True):
    """Tokens that clients sign, where they are looked for and what they must be."""

    enabled: Annotated[bool, Meta(description="Look for them.")] = True
    secret_signed: Annotated[bool, Meta(description="Take those signed by the secret.")] = True
    keypair_signed: Annotated[
        bool, Meta(description="Take those signed by a key pair among the certificates.")
    ] = True
    include_request_attrs: Annotated[
        bool, Meta(description="Require the claims httpPath, httpVerb and httpHost.")
    ] = False
    max_jwt_lifespan_sec: Annotated[
        float | None, Meta(description="Longest exp - iat in seconds; null or negative = any.")
    ] = None
    header_name: Annotated[str | None, Meta(description="Header; null = the usual name.")] = None
    query_name: Annotated[
        str | None, Meta(description="Query parameter; null = the usual name.")
    ] = None
    cookie_name: Annotated[str | None, Meta(description="Cookie; null = the usual name.")] = None
    path_name: Annotated[str | None, Meta(description="Path parameter; null = the usual name.")] = (
        None
    )


class Extractors(msgspec.Struct, frozen=True):
    """The kinds of credentials."""

    basic: Annotated[Places, Meta(description="Basic authentication.")] = Places()
    custom_headers: Annotated[CustomHeaders, Meta(description="Id and secret in headers.")] = (
        CustomHeaders()
    )
    client_id: Annotated[Places, Meta(description="The id alone, for keys that allow it.")] = (
        Places()
    )
    jwt: Annotated[Jwt, Meta(description="A signed token.")] = Jwt()
    oto_bearer: Annotated[Places, Meta(description="The key's own token, otoapk_….")] = Places()


class Routing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key must carry to suit the route; a list that is empty asks nothing."""

    enabled: Annotated[bool | None, Meta(description="Apply these.")] = None
    none_tag_in: Annotated[tuple[str, ...], Meta(description="None of these tags.")] = ()
    one_tag_in: Annotated[tuple[str, ...], Meta(description="One of these tags.")] = ()
    all_tags_in: Annotated[tuple[str, ...], Meta(description="All of these tags.")] = ()
    none_meta_in: Annotated[dict[str, str], Meta(description="None of these metadata.")] = {}
    one_meta_in: Annotated[dict[str, str], Meta(description="One of these metadata.")] = {}
    all_meta_in: Annotated[dict[str, str], Meta(description="All of these metadata.")] = {}
    none_meta_keys_in: Annotated[
        tuple[str, ...], Meta(description="No metadata of these names.")
    ] = ()
    one_meta_key_in: Annotated[
        tuple[str, ...], Meta(description="Metadata of one of these names.")
    ] = ()
    all_meta_keys_in: Annotated[
        tuple[str, ...], Meta(description="Metadata of all these names.")
    ] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return not any(getattr(self, name) for name in self.__struct_fields__ if name != "enabled")

    def admits(self, key: ApiKey) -> bool:
        """Tell whether a key suits."""
        if self.is_empty:
            return not key.is_constrained
        tags, metadata = set(key.tags), key.metadata
        pairs, names = metadata.items(), metadata.keys()
        return (
            not tags & set(self.none_tag_in)
            and (not self.one_tag_in or bool(tags & set(self.one_tag_in)))
            and tags >= set(self.all_tags_in)
            and not pairs & self.none_meta_in.items()
            and (not self.one_meta_in or bool(pairs & self.one_meta_in.items()))
            and pairs >= self.all_meta_in.items()
            and not names & set(self.none_meta_keys_in)
            and (not self.one_meta_key_in or bool(names & set(self.one_meta_key_in)))
            and names >= set(self.all_meta_keys_in)
        )


_CAMEL = {
    "noneTagIn": "none_tag_in",
    "none_tagIn": "none_tag_in",
    "oneTagIn": "one_tag_in",
    "allTagsIn": "all_tags_in",
    "noneMetaIn": "none_meta_in",
    "oneMetaIn": "one_meta_in",
    "allMetaIn": "all_meta_in",
    "noneMetaKeysIn": "none_meta_keys_in",
    "oneMetaKeyIn": "one_meta_key_in",
    "allMetaKeysIn": "all_meta_keys_in",
}


def snake_routing(raw: dict[str, Any]) -> dict[str, Any]:
    """Return constraints with the names that are read: Otoroshi writes one otherwise, legacy all."""
    return {_CAMEL.get(name, name): value for name, value in raw.items()}


class ApikeyCallsConfig(Config, frozen=True):
    """Which keys are taken, and what becomes of callers without one."""

    extractors: Annotated[Extractors, Meta(description="Where credentials are looked for.")] = (
        Extractors()
    )
    routing: Annotated[Routing, Meta(description="What a key must carry to suit the route.")] = (
        Routing(enabled=False)
    )
    validate: Annotated[bool, Meta(description="Check the key.")] = True
    mandatory: Annotated[bool, Meta(description="Refuse callers without a key.")] = True
    pass_with_user: Annotated[bool, Meta(description="Let logged-in users in without.")] = False
    wipe_backend_request: Annotated[
        bool, Meta(description="Take the credential away before the backend gets the request.")
    ] = True
    update_quotas: Annotated[bool, Meta(description="Count the call, else only check.")] = True

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the names of constraints that Otoroshi writes but does not read."""
        routing = raw.get("routing")
        if isinstance(routing, dict):
            raw["routing"] = snake_routing(cast("dict[str, Any]", routing))
        return raw


class _DeniedError(Exception):
    """The caller is not let in."""

    def __init__(
        self, answer: Answer, reason: str = "", *, absent: bool = False, key: ApiKey | None = None
    ) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason
        self.is_absence = absent
        self.key = key


class ApikeyCalls(Plugin[ApikeyCallsConfig]):
    """Lets callers in by their API key.

    A credential is taken away from where it was found, all of it: Otoroshi forgets the secret's
    header under a name of its own, and takes some tokens for headers that stood in a query or
    cookie. What names no key of ours is left alone when keys are optional: it may be the backend's.
    The basic cookie goes by ``cookie_name``, which Otoroshi mistakes for ``path_name``.

    A key opens routes of its own tenant only; Otoroshi lets it into a group of the same name elsewhere.
    """

    id = "cp:otoroshi.next.plugins.ApikeyCalls"
    name = "Apikeys"
    description = "Lets callers in by their API key."
    categories: ClassVar[tuple[str, ...]] = ("AccessControl",)

    @override
    def match_route(self, exchange: Exchange) -> bool:
        routing = self.config.routing
        if not routing.enabled or routing.is_empty:
            return True
        key = exchange.apikey
        if key is None:
            credential = self._find(exchange)
            if credential is None:
                return True
            try:
                key = self._identify(exchange, credential)
            except _DeniedError:
                return False
        return routing.admits(key)

    @override
    def access(self, exchange: Exchange) -> Answer:
        config = self.config
        if not config.wipe_backend_request:
            self._keep(exchange)
        if (
            exchange.apikey is not None
            or (config.pass_with_user and exchange.user is not None)
            or (not config.validate and config.mandatory)
        ):
            return None
        try:
            self._admit(exchange)
        except _DeniedError as denied:
            if not config.mandatory and (not config.validate or denied.is_absence):
                return None
            if denied.reason:
                exchange.note("apikey_rejection_reason", denied.reason)
            return denied.answer
        return None

    @override
    def transform_request(self, exchange: Exchange) -> Answer:
        credential = exchange.attrs.pop(_FOUND, None)
        if isinstance(credential, Credential):
            wipe_credential(exchange, credential, self._custom)
        kept = exchange.attrs.pop(_KEPT, None)
        if isinstance(kept, dict):
            for name, value in cast("dict[str, str]", kept).items():
                exchange.request.headers.set(name, value)
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        phases = [Phase.ACCESS, Phase.TRANSFORM_REQUEST]
        if self.config.routing.enabled and not self.config.routing.is_empty:
            phases.insert(0, Phase.MATCH_ROUTE)
        return tuple(Native("apikey_calls", phase, self.config) for phase in phases)

    @property
    def _custom(self) -> tuple[str | None, str | None] | None:
        """The names of the headers for id and secret; None when they are not looked at."""
        custom = self.config.extractors.custom_headers
        names = (custom.client_id_header_name, custom.client_secret_header_name)
        return names if custom.enabled else None

    def _find(self, exchange: Exchange) -> Credential | None:
        """Find the caller's credential."""
        extractors = self.config.extractors
        return find_credential(
            exchange,
            {
                "client_id": extractors.client_id,
                "jwt": extractors.jwt,
                "basic": extractors.basic,
                "oto_bearer": extractors.oto_bearer,
            },
            self._custom,
        )

    def _keep(self, exchange: Exchange) -> None:
        """Keep the usual headers, which the gateway takes away before the backend's turn comes."""
        custom = self.config.extractors.custom_headers
        names = (custom.client_id_header_name, custom.client_secret_header_name)
        kept = {
            usual: value
            for usual, name in zip(_USUAL, names, strict=True)
            if (not name or not name.strip() or name.lower() == usual.lower())
            and (value := exchange.request.headers.get(usual)) is not None
        }
        if kept:
            exchange.attrs[_KEPT] = kept

    def _identify(self, exchange: Exchange, credential: Credential) -> ApiKey:
        """Return the caller's key.

        Raises:
            _DeniedError: It is not known, may not call this route, or is not the caller's.
        """
        key = exchange.find_api_key(credential.client_id)
        if key is not None and self.config.wipe_backend_request:
            exchange.attrs[_FOUND] = credential
        if key is None or not key.may_call(exchange.native()):
            raise _DeniedError(
                Refusal(400, "invalid apikey tuple", "errors.invalid.api.key.tuple"),
                f"apikey '{credential.client_id}' not found in datastore",
                absent=True,
            )
        is_enabled = key.is_enabled(exchange.unix_time)
        jwt = self.config.extractors.jwt
        match credential.kind:
            case "client_id":
                is_good = key.allows_client_id_only and is_enabled
            case "oto_bearer":
                is_good = key.has_bearer(credential.proof) and is_enabled
            case "jwt":
                limit = jwt.max_jwt_lifespan_sec
                is_good = key.has_signed(
                    exchange.native(),
                    credential.proof,
                    secret_signed=jwt.secret_signed,
                    keypair_signed=jwt.keypair_signed,
                    include_request_attrs=jwt.include_request_attrs,
                    max_lifespan_s=limit if limit is not None and limit >= 0 else None,
                )
            case _:
                is_good = key.has_secret(credential.proof) and is_enabled
        if not is_good:
            raise _DeniedError(
                Refusal(401, "bad apikey", "errors.bad.api.key"),
                f"apikey {credential.client_id}' did not prove itself",
                key=key,
            )
        return key

    def _admit(self, exchange: Exchange) -> None:
        """Let the caller in by its key.

        Raises:
            _DeniedError: It is not.
        """
        credential = self._find(exchange)
        if credential is None:
            raise _DeniedError(
                Refusal(400, "no apikey", "errors.no.api.key"),
                "no apikey detected in the http request",
                absent=True,
            )
        key = self._identify(exchange, credential)
        routing = self.config.routing
        if not (routing if routing.enabled else Routing()).admits(key):
            raise _DeniedError(
                Refusal(401, "invalid apikey", "errors.invalid.api.key"),
                f"apikey '{key.client_id}' routing did not match",
            )
        native = exchange.native()
        restricted = key.restricted(native)
        if restricted is not None:
            raise _DeniedError(_restricted(exchange, restricted))
        exchange.apikey = key
        if not key.count_call(native, update=self.config.update_quotas):
            exchange.apikey = None
            key.tell_broken_quota(native)
            raise _DeniedError(
                Refusal(429, "You performed too much requests", "errors.too.much.requests"),
                f"apikey '{key.client_id}' quotas exceeded",
            )


def _restricted(exchange: Exchange, status: int) -> Answer:
    """Return the answer to a call that the key's restrictions refuse; browsers get no body."""
    message, cause = (
        ("Not Found", "errors.not.found") if status == 404 else ("Forbidden", "errors.forbidden")
    )
    accept = exchange.request.headers.get("Accept")
    if accept is not None and "text/html" not in accept.split(","):
        return Refusal(status, message, cause)
    state = exchange.request.headers.get("Otoroshi-State")
    fields = (
        ("Otoroshi-Error", "true"),
        ("Otoroshi-Error-Msg", message),
        ("Otoroshi-State-Resp", "--" if state is None else state),
        ("Content-Type", "text/html; charset=utf-8"),
    )
    return Response(status, fields)
