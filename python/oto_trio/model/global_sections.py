"""The typed sections of the global configuration. Keys are camelCase in JSON, as Otoroshi writes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import EVERY_KEY, Document

__all__ = [
    "AutoCertificate",
    "ChaosSettings",
    "GeolocationSettings",
    "GlobalPlugins",
    "GlobalScripts",
    "IpFiltering",
    "LetsEncryptSettings",
    "QuotaAlerts",
    "SnowMonkeySettings",
    "Templates",
    "TlsSettings",
    "UserAgentSettings",
]

Texts = Annotated[tuple[str, ...], Meta(description="a list of texts")]
FreeObject = Annotated[dict[str, Any], Meta(description="a free object, kept verbatim")]
MaybeObject = Annotated[dict[str, Any] | None, Meta(description="a free object, or null")]


class LetsEncryptSettings(Document, frozen=True, kw_only=True, rename="camel"):
    """Account used to order certificates by ACME."""

    enabled: Annotated[bool, Meta(description="order certificates")] = False
    server: Annotated[str, Meta(description="URL of the ACME directory")] = (
        "acme://letsencrypt.org/staging"
    )
    emails: Annotated[Texts, Meta(description="addresses told to the authority")] = ()
    contacts: Annotated[Texts, Meta(description="contact URLs told to the authority")] = ()
    public_key: Annotated[str, Meta(description="public key of the account, PEM")] = ""
    private_key: Annotated[str, Meta(description="private key of the account, PEM")] = ""
    preferred_chain: Annotated[str | None, Meta(description="name of the chain to prefer")] = None


class IpFiltering(Document, frozen=True, kw_only=True):
    """Addresses let in and kept out, for every route."""

    strict_keys = EVERY_KEY

    whitelist: Annotated[
        Texts, Meta(description="addresses or ranges; when given, only these")
    ] = ()
    blacklist: Annotated[Texts, Meta(description="addresses or ranges that are refused")] = ()


class ChaosSettings(Document, frozen=True, kw_only=True, rename="camel"):
    """Faults put into traffic on purpose."""

    enabled: Annotated[bool, Meta(description="put faults into traffic")] = False
    large_request_fault_config: Annotated[
        MaybeObject, Meta(description="make requests larger: ratio, additionalRequestSize")
    ] = None
    large_response_fault_config: Annotated[
        MaybeObject, Meta(description="make responses larger: ratio, additionalResponseSize")
    ] = None
    latency_injection_fault_config: Annotated[
        MaybeObject, Meta(description="wait: ratio, from and to in ms")
    ] = None
    bad_responses_fault_config: Annotated[
        MaybeObject, Meta(description="answer badly: ratio, responses")
    ] = None


class SnowMonkeySettings(Document, frozen=True, kw_only=True, rename="camel"):
    """Planned outages for resilience exercises."""

    enabled: Annotated[bool, Meta(description="run outages")] = False
    outage_strategy: Annotated[
        Literal["OneServicePerGroup", "AllServicesPerGroup"],
        Meta(description="how many services of a group fail at once"),
    ] = "OneServicePerGroup"
    include_user_facing_descriptors: Annotated[
        bool, Meta(description="let user-facing services fail too")
    ] = False
    dry_run: Annotated[bool, Meta(description="announce outages only")] = False
    times_per_day: Annotated[int, Meta(description="outages a day")] = 1
    start_time: Annotated[str, Meta(description="time of day of the first outage")] = "09:00:00.000"
    stop_time: Annotated[str, Meta(description="time of day of the last outage")] = "23:59:59.000"
    outage_duration_from: Annotated[int, Meta(description="shortest outage, ms")] = 600000
    outage_duration_to: Annotated[int, Meta(description="longest outage, ms")] = 3600000
    target_groups: Annotated[Texts, Meta(description="ids of the groups that may fail")] = ()
    chaos_config: Annotated[ChaosSettings, Meta(description="faults during an outage")] = (
        ChaosSettings()
    )


class GlobalScripts(Document, frozen=True, kw_only=True, rename="camel"):
    """Scripts run for every route (legacy)."""

    enabled: Annotated[bool, Meta(description="run them")] = False
    transformers_refs: Annotated[Texts, Meta(description="ids of transformers")] = ()
    transformers_config: Annotated[FreeObject, Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    validator_refs: Annotated[Texts, Meta(description="ids of validators")] = ()
    validator_config: Annotated[FreeObject, Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    pre_route_refs: Annotated[Texts, Meta(description="ids of pre-route scripts")] = ()
    pre_route_config: Annotated[FreeObject, Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    sink_refs: Annotated[Texts, Meta(description="ids of sinks")] = ()
    sink_config: Annotated[FreeObject, Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    job_refs: Annotated[Texts, Meta(description="ids of jobs")] = ()
    job_config: Annotated[FreeObject, Meta(description="their config")] = msgspec.field(
        default_factory=dict[str, Any]
    )


_GEOLOCATION_DEFAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "maxmind": {"enabled": False},
    "ipstack": {"enabled": False, "timeout": 2000},
}


class GeolocationSettings(Document, frozen=True, kw_only=True):
    """Where the position of a client's address is looked up."""

    type: Annotated[
        Literal["none", "maxmind", "ipstack"], Meta(description="source of positions")
    ] = "none"
    path: Annotated[str | UnsetType, Meta(description="maxmind: file or URL")] = UNSET
    apikey: Annotated[str | UnsetType, Meta(description="ipstack: key")] = UNSET
    timeout: Annotated[int | UnsetType, Meta(description="ipstack: longest wait, ms")] = UNSET
    enabled: Annotated[bool | UnsetType, Meta(description="use it")] = UNSET

    def __post_init__(self) -> None:
        """Fill in the keys that Otoroshi writes for the chosen source."""
        for key, value in _GEOLOCATION_DEFAULTS[self.type].items():
            if getattr(self, key) is UNSET:
                msgspec.structs.force_setattr(self, key, value)


class UserAgentSettings(Document, frozen=True, kw_only=True):
    """Whether user agents are taken apart for events."""

    enabled: Annotated[bool, Meta(description="take them apart")] = False


class AutoCertificate(Document, frozen=True, kw_only=True, rename="camel"):
    """Certificates made on the fly for unknown server names."""

    enabled: Annotated[bool, Meta(description="make them")] = False
    reply_nicely: Annotated[bool, Meta(description="answer names that are not allowed")] = False
    ca_ref: Annotated[str | None, Meta(description="id of the signing authority")] = None
    allowed: Annotated[Texts, Meta(description="patterns of names that are allowed")] = ()
    not_allowed: Annotated[Texts, Meta(description="patterns of names that are not")] = ()


class TlsSettings(Document, frozen=True, kw_only=True, rename="camel"):
    """TLS for all listeners."""

    strict_keys = EVERY_KEY

    default_domain: Annotated[
        str | None, Meta(description="name whose certificate serves clients without SNI")
    ] = None
    random_if_not_found: Annotated[
        bool, Meta(description="serve any certificate when none fits")
    ] = False
    include_jdk_ca_server: Annotated[
        bool, Meta(description="trust the system's authorities for client certificates")
    ] = True
    include_jdk_ca_client: Annotated[
        bool, Meta(description="trust the system's authorities for targets")
    ] = True
    trusted_cas_server: Annotated[
        Texts, Meta(description="ids of authorities trusted for client certificates")
    ] = msgspec.field(default=(), name="trustedCAsServer")
    banned_alpn_protocols: Annotated[
        FreeObject, Meta(description="protocols refused, by server name")
    ] = msgspec.field(default_factory=dict[str, Any])
    client_auth: Annotated[
        Literal["None", "Want", "Need"], Meta(description="whether clients need a certificate")
    ] = "None"
    strict_backend_server_validation: Annotated[
        bool, Meta(description="check host names of targets strictly")
    ] = False


class QuotaAlerts(Document, frozen=True, kw_only=True, rename="camel"):
    """When an alert says that a quota is nearly used up."""

    enabled: Annotated[bool, Meta(description="raise alerts")] = False
    daily_quotas_threshold: Annotated[
        int | float, Meta(description="used share of the daily quota, 0 to 1")
    ] = 0.8
    monthly_quotas_threshold: Annotated[
        int | float, Meta(description="used share of the monthly quota, 0 to 1")
    ] = 0.8


class GlobalPlugins(Document, frozen=True, kw_only=True):
    """Plugins run for every route."""

    strict_keys = EVERY_KEY

    enabled: Annotated[bool, Meta(description="run them")] = False
    refs: Annotated[Texts, Meta(description="ids of the plugins")] = ()
    config: Annotated[FreeObject, Meta(description="their config, by plugin")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    excluded: Annotated[Texts, Meta(description="patterns of paths without them")] = ()


class Templates(Document, frozen=True, kw_only=True, rename="camel"):
    """What is merged onto the built-in template of each kind of entity."""

    route: MaybeObject = None
    service: MaybeObject = None
    backend: MaybeObject = None
    target: MaybeObject = None
    descriptor: MaybeObject = None
    apikey: MaybeObject = None
    group: MaybeObject = None
    template: MaybeObject = None
    verifier: MaybeObject = None
    auth_config: MaybeObject = None
    certificate: MaybeObject = None
    script: MaybeObject = None
    draft: MaybeObject = None
    api: MaybeObject = None
    tcp_service: MaybeObject = None
    data_exporter: MaybeObject = None
    tenant: MaybeObject = None
    team: MaybeObject = None
    api_subscription: MaybeObject = None
    route_template: MaybeObject = None
    user_dashboard_template: MaybeObject = None
    user_alert_template: MaybeObject = None
