"""The global configuration: what holds for the whole gateway. There is one, under the id ``global``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document, JsonObject, read_document, write_document
from oto_trio.model.global_sections import (
    AutoCertificate,
    FreeObject,
    GeolocationSettings,
    GlobalPlugins,
    GlobalScripts,
    IpFiltering,
    LetsEncryptSettings,
    MaybeObject,
    QuotaAlerts,
    SnowMonkeySettings,
    Templates,
    Texts,
    TlsSettings,
    UserAgentSettings,
)
from oto_trio.model.ids import named_id

__all__ = [
    "GLOBAL_CONFIG_ID",
    "GlobalConfig",
    "first_global_config",
    "read_global_config",
    "write_global_config",
]

GLOBAL_CONFIG_ID = "global"
"""The one id of the global configuration."""


class GlobalConfig(Document, frozen=True, kw_only=True, rename="camel"):
    """The global configuration (``config.otoroshi.io/GlobalConfig``)."""

    strict_keys = frozenset(
        {
            "throttlingQuota",
            "perIpThrottlingQuota",
            "limitConcurrentRequests",
            "maxConcurrentRequests",
            "apiReadOnly",
            "maintenanceMode",
            "ipFiltering",
            "tlsSettings",
            "plugins",
        }
    )

    tags: Annotated[Texts, Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    env: Annotated[FreeObject, Meta(description="values behind the vault named local")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    extensions: Annotated[FreeObject, Meta(description="settings of extensions, by id")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    lets_encrypt_settings: Annotated[
        LetsEncryptSettings, Meta(description="certificates ordered by ACME")
    ] = LetsEncryptSettings()
    lines: Annotated[Texts, Meta(description="names of environments")] = ("prod",)
    anonymous_reporting: Annotated[bool, Meta(description="kept; oto-trio reports nothing")] = False
    init_with_new_engine: Annotated[bool, Meta(description="kept from Otoroshi")] = False
    maintenance_mode: Annotated[bool, Meta(description="answer 503 on every route")] = False
    enable_embedded_metrics: Annotated[bool, Meta(description="collect metrics")] = True
    stream_entity_only: Annotated[bool, Meta(description="kept; bodies always stream")] = True
    auto_link_to_default_group: Annotated[
        bool, Meta(description="put new entities into the default group")
    ] = True
    use_circuit_breakers: Annotated[
        bool, Meta(description="retries, breakers and timeouts towards targets")
    ] = True
    trust_x_forwarded: Annotated[bool, Meta(description="believe X-Forwarded-* headers")] = (
        msgspec.field(default=True, name="trustXForwarded")
    )
    limit_concurrent_requests: Annotated[
        bool, Meta(description="bound the requests handled at once")
    ] = False
    max_concurrent_requests: Annotated[int, Meta(description="that bound")] = 1000
    max_http10_response_size: Annotated[
        int, Meta(description="longest body sent to an HTTP/1.0 client, bytes")
    ] = 4194304
    api_read_only: Annotated[bool, Meta(description="refuse writes through the admin API")] = False
    u2f_login_only: Annotated[bool, Meta(description="console logins by security key only")] = False
    log_analytics_on_server: Annotated[bool, Meta(description="log events too")] = False
    use_akka_http_client: Annotated[bool, Meta(description="kept from Otoroshi")] = False
    middle_fingers: Annotated[
        bool, Meta(description="whether endless responses are rude instead of zeros")
    ] = False
    ip_filtering: Annotated[IpFiltering, Meta(description="addresses let in and kept out")] = (
        IpFiltering()
    )
    throttling_quota: Annotated[
        int,
        Meta(description="calls in a throttling window (10 seconds) in all; 10000000 is no limit"),
    ] = 10000000
    per_ip_throttling_quota: Annotated[
        int, Meta(description="calls in a throttling window per address; 10000000 is no limit")
    ] = 10000000
    analytics_webhooks: Annotated[
        tuple[dict[str, Any], ...], Meta(description="webhooks that get events")
    ] = ()
    alerts_webhooks: Annotated[
        tuple[dict[str, Any], ...], Meta(description="webhooks that get alerts")
    ] = ()
    elastic_writes_configs: Annotated[
        tuple[dict[str, Any], ...], Meta(description="Elasticsearch clusters that get events")
    ] = ()
    elastic_reads_config: Annotated[
        MaybeObject, Meta(description="Elasticsearch cluster that answers statistics")
    ] = None
    alerts_emails: Annotated[
        tuple[Any, ...], Meta(description="addresses that get alerts by mail")
    ] = ()
    endless_ip_addresses: Annotated[
        Texts, Meta(description="addresses that get an endless response")
    ] = ()
    statsd_config: Annotated[MaybeObject, Meta(description="statsd: host, port, datadog")] = None
    kafka_config: Annotated[MaybeObject, Meta(description="Kafka cluster that gets events")] = None
    back_office_auth_ref: Annotated[
        str | None, Meta(description="id of the auth module of the console")
    ] = None
    mailer_settings: Annotated[MaybeObject, Meta(description="how mail is sent")] = None
    clever_settings: Annotated[MaybeObject, Meta(description="Clever Cloud account")] = None
    max_webhook_size: Annotated[int, Meta(description="events in one webhook call")] = 100
    max_logs_size: Annotated[int, Meta(description="audit and alert events kept")] = 10000
    otoroshi_id: Annotated[str, Meta(description="id of this cluster; made when left out")] = ""
    snow_monkey_config: Annotated[SnowMonkeySettings, Meta(description="planned outages")] = (
        SnowMonkeySettings()
    )
    scripts: Annotated[GlobalScripts, Meta(description="scripts for every route")] = GlobalScripts()
    geolocation_settings: Annotated[
        GeolocationSettings, Meta(description="where positions are looked up")
    ] = GeolocationSettings()
    user_agent_settings: Annotated[
        UserAgentSettings, Meta(description="whether user agents are taken apart")
    ] = UserAgentSettings()
    auto_cert: Annotated[AutoCertificate, Meta(description="certificates made on the fly")] = (
        AutoCertificate()
    )
    tls_settings: Annotated[TlsSettings, Meta(description="TLS for all listeners")] = TlsSettings()
    quotas_settings: Annotated[QuotaAlerts, Meta(description="alerts about quotas")] = QuotaAlerts()
    plugins: Annotated[GlobalPlugins, Meta(description="plugins for every route")] = GlobalPlugins()
    wasmo_settings: Annotated[MaybeObject, Meta(description="Wasmo server")] = None
    templates: Annotated[Templates, Meta(description="changes to the built-in templates")] = (
        Templates()
    )

    def __post_init__(self) -> None:
        """Make the id of the cluster when there is none."""
        if not self.otoroshi_id:
            msgspec.structs.force_setattr(self, "otoroshi_id", named_id("otoroshi"))


def read_global_config(raw: object) -> GlobalConfig:
    """Read the global configuration from its decoded JSON document.

    Raises:
        EntityError: The document is not an object.
    """
    return read_document(GlobalConfig, raw)


def write_global_config(config: GlobalConfig) -> JsonObject:
    """Write the global configuration as its JSON document."""
    return write_document(config)


def first_global_config() -> GlobalConfig:
    """Make the global configuration of a new installation.

    Unlike Otoroshi's it throttles nobody: 500 calls in ten seconds from one address are a load test, or
    one proxy.
    """
    return GlobalConfig(
        init_with_new_engine=True,
        tls_settings=TlsSettings(strict_backend_server_validation=True),
    )
