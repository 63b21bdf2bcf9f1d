"""The plugins that a service descriptor means, in the order that Otoroshi gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.gateway.compile.service_targets import convert_targets
from oto_trio.gateway.compile.words import resolved_keys
from oto_trio.model.errors import Problem
from oto_trio.model.plugin_slot import PluginSlot

if TYPE_CHECKING:
    from oto_trio.model.document import JsonObject
    from oto_trio.model.service_descriptor import ServiceDescriptor
    from oto_trio.model.service_parts import KeyConstraints

__all__ = ["NG", "OPTIONAL", "Surroundings", "service_slots"]

NG: Final = "cp:otoroshi.next.plugins."
"""Where Otoroshi's plugins are."""

OPTIONAL: Final = {
    "GzipResponseCompressor": ("$.gzip", "answers are not compressed"),
    "CanaryMode": ("$.canary", "nobody is sent to the other version"),
    "SnowMonkeyChaos": ("$.chaosConfig", "no faults are put into traffic"),
}
"""Plugins whose absence lets nobody in: where they come from, and what is missing without them."""

_STORE_IT: Final = "store it as a JWT verifier, and refer to that by its id"
_CLEAR: Final = "use a route with the plugins you need, or empty this key"


class Surroundings(msgspec.Struct, frozen=True):
    """What a conversion depends on besides the descriptor.

    Attributes:
        has_plugin: Whether there is a plugin with an id.
        resolve: Gives the value of an expression such as ``config.app.claim.sharedKey``; None when there
            is none. Only keys of the exchange protocol are resolved so.
    """

    has_plugin: Callable[[str], bool]
    resolve: Callable[[str], str | None]


class _Slots:
    """The slots so far, where each comes from, and what is wrong."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.slots: list[PluginSlot] = []
        self.origins: list[str] = []
        self.problems: list[Problem] = []

    def add(
        self,
        name: str,
        origin: str,
        config: JsonObject | None = None,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        """Add a slot of one of Otoroshi's plugins."""
        plugin = name if name.startswith("cp:") else NG + name
        if name in OPTIONAL and not self.surroundings.has_plugin(plugin):
            what = OPTIONAL[name][1]
            told = f"{what}: there is no plugin {plugin}"
            self.problems.append(Problem(origin, told, "disable it", "warning"))
            return
        self.slots.append(
            PluginSlot(
                plugin=plugin, include=tuple(include), exclude=tuple(exclude), config=config or {}
            )
        )
        self.origins.append(origin)

    def refuse(self, origin: str, message: str, fix: str) -> None:
        """Note what closes the service."""
        self.problems.append(Problem(origin, f"{message}; the service answers 503", fix))

    def keys(self, origin: str, algorithm: JsonObject) -> JsonObject:
        """Put the operator's own words into the settings of a signature."""
        keys, problems = resolved_keys(origin, algorithm, self.surroundings.resolve)
        for problem in problems:
            self.refuse(problem.path, problem.message, problem.fix)
        return keys


def service_slots(
    service: ServiceDescriptor, surroundings: Surroundings
) -> tuple[tuple[PluginSlot, ...], tuple[str, ...], list[Problem]]:
    """Return the plugins of a service, where each comes from in the descriptor, and what has no plugin."""
    slots = _Slots(surroundings)
    _first(slots, service)
    _headers(slots, service)
    _checks(slots, service)
    _access(slots, service)
    _traffic(slots, service)
    _legacy_plugins(slots, service)
    return tuple(slots.slots), tuple(slots.origins), slots.problems


def _first(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add what looks at each request as it is."""
    if service.force_https:
        slots.add("ForceHttpsTraffic", "$.forceHttps")
    if service.override_host:
        slots.add("OverrideHost", "$.overrideHost")
    if service.headers_verification:
        headers: JsonObject = {"headers": service.headers_verification}
        slots.add("HeadersValidation", "$.headersVerification", headers)
    if service.maintenance_mode:
        slots.add("MaintenanceMode", "$.maintenanceMode")
    if service.build_mode:
        slots.add("BuildMode", "$.buildMode")
    if not service.allow_http10:
        slots.add("DisableHttp10", "$.allowHttp10")
    if service.read_only:
        slots.add("ReadOnlyCalls", "$.readOnly")
    slots.add("OtoroshiHeadersIn", "$")
    _addresses(slots, service)


def _addresses(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add what looks at the caller's address, and what sends everybody elsewhere."""
    blocked, allowed = service.ip_filtering.blacklist, service.ip_filtering.whitelist
    if blocked:
        slots.add("IpAddressBlockList", "$.ipFiltering.blacklist", {"addresses": list(blocked)})
    if allowed:
        slots.add("IpAddressAllowedList", "$.ipFiltering.whitelist", {"addresses": list(allowed)})
    if service.redirection.enabled:
        redirection = service.redirection
        config: JsonObject = {"code": redirection.code, "to": redirection.to}
        slots.add("Redirection", "$.redirection", config)


def _headers(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add what sets and removes headers."""
    for name, key, texts in (
        ("AdditionalHeadersIn", "additionalHeaders", service.additional_headers),
        ("AdditionalHeadersOut", "additionalHeadersOut", service.additional_headers_out),
        ("MissingHeadersIn", "missingOnlyHeadersIn", service.missing_only_headers_in),
        ("MissingHeadersOut", "missingOnlyHeadersOut", service.missing_only_headers_out),
    ):
        if texts:
            slots.add(name, f"$.{key}", {"headers": texts})
    for name, key, names in (
        ("RemoveHeadersIn", "removeHeadersIn", service.remove_headers_in),
        ("RemoveHeadersOut", "removeHeadersOut", service.remove_headers_out),
    ):
        if names:
            slots.add(name, f"$.{key}", {"header_names": list(names)})
    if service.send_otoroshi_headers_back:
        slots.add("SendOtoroshiHeadersBack", "$.sendOtoroshiHeadersBack")
    if service.x_forwarded_headers:
        slots.add("XForwardedHeaders", "$.xForwardedHeaders")


def _checks(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add what judges tokens, paths, the backend and pages of other origins."""
    _jwt(slots, service.jwt_verifier)
    limits = service.restrictions
    if limits.enabled:
        config: JsonObject = {"allow_last": limits.allow_last}
        for key, listed in (
            ("allowed", limits.allowed),
            ("forbidden", limits.forbidden),
            ("not_found", limits.not_found),
        ):
            config[key] = [{"method": one.method, "path": one.path} for one in listed]
        slots.add("RoutingRestrictions", "$.restrictions", config)
    if service.enforce_secure_communication and service.send_state_challenge:
        _challenge(slots, service)
    cors = service.cors
    if cors.enabled:
        config = {
            "allow_origin": cors.allow_origin,
            "expose_headers": list(cors.expose_headers),
            "allow_headers": list(cors.allow_headers),
            "allow_methods": list(cors.allow_methods),
            "excluded_patterns": list(cors.excluded_patterns),
            "max_age": cors.max_age,
            "allow_credentials": cors.allow_credentials,
        }
        slots.add("Cors", "$.cors", config, exclude=cors.excluded_patterns)


def _jwt(slots: _Slots, verifier: JsonObject) -> None:
    """Add the check of tokens. What would be read as none, or as one of nothing, closes the service."""
    at = "$.jwtVerifier"
    is_reference = verifier.get("type", "ref") == "ref"
    is_on = verifier.get("enabled", verifier.get("type") == "global")
    if is_on is False:
        return
    if is_on is not True:
        slots.refuse(f"{at}.enabled", "expected true or false", "write true or false")
    elif not is_reference:
        slots.refuse(at, "verifiers that are written in place cannot be used", _STORE_IT)
    else:
        ids, excluded = verifier.get("ids", []), verifier.get("excludedPatterns", [])
        for key, listed in (("ids", ids), ("excludedPatterns", excluded)):
            if not _are_texts(listed):
                slots.refuse(f"{at}.{key}", "expected a list of texts", "write a list of texts")
                return
        slots.add("JwtVerification", at, {"verifiers": ids}, exclude=excluded)


def _are_texts(value: object) -> bool:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )


def _challenge(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add the exchange protocol's challenge."""
    same = "$.secComSettings", service.sec_com_settings
    to = from_ = same
    if not service.sec_com_use_same_algo:
        to = "$.secComAlgoChallengeOtoToBack", service.sec_com_algo_challenge_oto_to_back
        from_ = "$.secComAlgoChallengeBackToOto", service.sec_com_algo_challenge_back_to_oto
    headers = service.sec_com_headers
    config: JsonObject = {
        "version": service.sec_com_version,
        "ttl": service.sec_com_ttl // 1000,
        "request_header_name": headers.state_request_name or "Otoroshi-State",
        "response_header_name": headers.state_response_name or "Otoroshi-State-Resp",
        "algo_to_backend": slots.keys(*to),
        "algo_from_backend": slots.keys(*from_),
    }
    slots.add(
        "OtoroshiChallenge",
        "$.enforceSecureCommunication",
        config,
        exclude=service.sec_com_excluded_patterns,
    )


def _access(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add who is let in: users who log in, and API keys."""
    public, private = list(service.public_patterns), list(service.private_patterns)
    if service.private_app:
        # Without an auth module, too: Otoroshi's conversion then opens the public paths to everybody.
        slots.add(
            "NgLegacyAuthModuleCall",
            "$.privateApp" if service.auth_config_ref is None else "$.authConfigRef",
            {
                "public_patterns": public,
                "private_patterns": private,
                "pass_with_apikey": not service.strictly_private,
                "auth_module": service.auth_config_ref,
            },
            exclude=service.security_excluded_patterns,
        )
    if service.client_validator_ref:
        what = "client certificates cannot be validated by a remote service"
        slots.refuse("$.clientValidatorRef", what, "use a plugin that looks at client certificates")
    keys = _key_config(service.api_key_constraints)
    if not service.strictly_private:
        patterns: JsonObject = {"public_patterns": public, "private_patterns": private}
        slots.add("NgLegacyApikeyCall", "$.apiKeyConstraints", {**patterns, **keys})
        return
    # A user who is logged in passes the plugin for services; here the key is asked for all the same.
    slots.add("ApikeyCalls", "$.strictlyPrivate", keys, exclude=public)
    if public and private:
        slots.add("ApikeyCalls", "$.strictlyPrivate", keys, include=private)


def _key_config(constraints: KeyConstraints) -> JsonObject:
    """Return how API keys are given, and which ones come here, as the plugin reads it."""
    places = {
        name: {
            "enabled": given.enabled,
            "header_name": given.header_name,
            "query_name": given.query_name,
            "cookie_name": given.cookie_name,
            "path_name": given.path_name,
        }
        for name, given in (
            ("basic", constraints.basic_auth),
            ("client_id", constraints.client_id_auth),
            ("jwt", constraints.jwt_auth),
            ("oto_bearer", constraints.oto_bearer_auth),
        )
    }
    custom, jwt, routing = (
        constraints.custom_headers_auth,
        constraints.jwt_auth,
        constraints.routing,
    )
    asked: dict[str, Any] = {
        name: value
        for name in routing.__struct_fields__
        if name != "unknown" and (value := msgspec.to_builtins(getattr(routing, name)))
    }
    return {
        "extractors": {
            "basic": places["basic"],
            "custom_headers": {
                "enabled": custom.enabled,
                "client_id_header_name": custom.client_id_header_name,
                "client_secret_header_name": custom.client_secret_header_name,
            },
            "client_id": places["client_id"],
            "jwt": {
                **places["jwt"],
                "secret_signed": jwt.secret_signed,
                "keypair_signed": jwt.key_pair_signed,
                "include_request_attrs": jwt.include_request_attributes,
                "max_jwt_lifespan_sec": jwt.max_jwt_lifespan_secs,
            },
            "oto_bearer": places["oto_bearer"],
        },
        "routing": {"enabled": bool(asked), **asked},
        "validate": True,
        "mandatory": True,
        "pass_with_user": False,
        "wipe_backend_request": True,
        "update_quotas": True,
    }


def _traffic(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add what shapes traffic, and what the backend is told of the caller."""
    gzip = service.gzip
    if gzip.enabled:
        config: JsonObject = {
            "excluded_patterns": list(gzip.excluded_patterns),
            "allowed_list": list(gzip.white_list),
            "blocked_list": list(gzip.black_list),
            "buffer_size": gzip.buffer_size,
            "chunked_threshold": gzip.chunked_threshold,
            "compression_level": gzip.compression_level,
        }
        slots.add("GzipResponseCompressor", "$.gzip", config, exclude=gzip.excluded_patterns)
    canary = service.canary
    if canary.enabled:
        targets, wrong = convert_targets("$.canary.targets", canary.targets)
        slots.problems += wrong
        config = {
            "traffic": canary.traffic,
            "targets": msgspec.to_builtins(targets),
            "root": canary.root,
        }
        slots.add("CanaryMode", "$.canary", config)
    chaos = service.chaos_config
    if chaos.enabled:
        config = {
            "large_request_fault": chaos.large_request_fault_config,
            "large_response_fault": chaos.large_response_fault_config,
            "latency_injection_fault": chaos.latency_injection_fault_config,
            "bad_responses_fault": chaos.bad_responses_fault_config,
        }
        slots.add("SnowMonkeyChaos", "$.chaosConfig", config)
    if service.tcp_udp_tunneling:
        is_udp = any(target.scheme.lower().startswith("udp") for target in service.targets)
        slots.add("UdpTunnel" if is_udp else "TcpTunnel", "$.tcpUdpTunneling")
    if service.send_info_token:
        algorithm = "$.secComSettings", service.sec_com_settings
        if not service.sec_com_use_same_algo:
            algorithm = "$.secComAlgoInfoToken", service.sec_com_algo_info_token
        config = {
            "version": service.sec_com_info_token_version,
            "ttl": service.sec_com_ttl // 1000,
            "header_name": service.sec_com_headers.claim_request_name or "Otoroshi-Claim",
            "algo": slots.keys(*algorithm),
        }
        slots.add("OtoroshiInfos", "$.sendInfoToken", config)


def _legacy_plugins(slots: _Slots, service: ServiceDescriptor) -> None:
    """Add the plugins that are named; those of the older kinds have no equivalent, and may be checks."""
    plugins = service.plugins
    for place, plugin in enumerate(plugins.refs if plugins.enabled else ()):
        origin = f"$.plugins.refs[{place}]"
        if slots.surroundings.has_plugin(plugin):
            config: object = plugins.config.get(plugin.rpartition(".")[2], {})
            if isinstance(config, dict):
                settings = cast("JsonObject", config)
                slots.add(plugin, origin, settings, exclude=plugins.excluded)
            else:
                where = f"$.plugins.config.{plugin.rpartition('.')[2]}"
                slots.refuse(where, "expected an object", "write an object")
        else:
            slots.refuse(origin, f"there is no plugin {plugin}", _CLEAR)
    for key, scripts in (
        ("accessValidator", service.access_validator),
        ("preRouting", service.pre_routing),
    ):
        if scripts.enabled and scripts.refs:
            what = f"scripts cannot be run ({', '.join(scripts.refs)})"
            slots.refuse(f"$.{key}.refs", what, _CLEAR)
    transformers = service.transformer_refs or (
        () if service.transformer_ref is None else (service.transformer_ref,)
    )
    if transformers:
        key = "transformerRefs" if service.transformer_refs else "transformerRef"
        slots.refuse(f"$.{key}", f"scripts cannot be run ({', '.join(transformers)})", _CLEAR)
