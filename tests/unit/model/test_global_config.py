"""The global configuration in Otoroshi's JSON."""

from __future__ import annotations

import pytest

from oto_trio.model.document import inspect_document
from oto_trio.model.errors import EntityError
from oto_trio.model.global_config import (
    GlobalConfig,
    first_global_config,
    read_global_config,
    write_global_config,
)

KEYS = [
    "tags",
    "metadata",
    "env",
    "extensions",
    "letsEncryptSettings",
    "lines",
    "anonymousReporting",
    "initWithNewEngine",
    "maintenanceMode",
    "enableEmbeddedMetrics",
    "streamEntityOnly",
    "autoLinkToDefaultGroup",
    "useCircuitBreakers",
    "trustXForwarded",
    "limitConcurrentRequests",
    "maxConcurrentRequests",
    "maxHttp10ResponseSize",
    "apiReadOnly",
    "u2fLoginOnly",
    "logAnalyticsOnServer",
    "useAkkaHttpClient",
    "middleFingers",
    "ipFiltering",
    "throttlingQuota",
    "perIpThrottlingQuota",
    "analyticsWebhooks",
    "alertsWebhooks",
    "elasticWritesConfigs",
    "elasticReadsConfig",
    "alertsEmails",
    "endlessIpAddresses",
    "statsdConfig",
    "kafkaConfig",
    "backOfficeAuthRef",
    "mailerSettings",
    "cleverSettings",
    "maxWebhookSize",
    "maxLogsSize",
    "otoroshiId",
    "snowMonkeyConfig",
    "scripts",
    "geolocationSettings",
    "userAgentSettings",
    "autoCert",
    "tlsSettings",
    "quotasSettings",
    "plugins",
    "wasmoSettings",
    "templates",
]


def test_every_key_of_otoroshi_is_written() -> None:
    assert list(write_global_config(GlobalConfig())) == KEYS


def test_the_cluster_gets_an_id_once() -> None:
    config = read_global_config({})
    assert config.otoroshi_id.startswith("otoroshi_")
    assert read_global_config(write_global_config(config)) == config


def test_sections_have_otoroshis_keys_and_defaults() -> None:
    written = write_global_config(GlobalConfig())
    assert written["tlsSettings"] == {
        "defaultDomain": None,
        "randomIfNotFound": False,
        "includeJdkCaServer": True,
        "includeJdkCaClient": True,
        "trustedCAsServer": [],
        "bannedAlpnProtocols": {},
        "clientAuth": "None",
        "strictBackendServerValidation": False,
    }
    assert written["quotasSettings"] == {
        "enabled": False,
        "dailyQuotasThreshold": 0.8,
        "monthlyQuotasThreshold": 0.8,
    }
    assert written["autoCert"] == {
        "enabled": False,
        "replyNicely": False,
        "caRef": None,
        "allowed": [],
        "notAllowed": [],
    }
    assert written["snowMonkeyConfig"]["chaosConfig"]["badResponsesFaultConfig"] is None
    assert len(written["templates"]) == 22
    assert written["throttlingQuota"] == written["perIpThrottlingQuota"] == 10000000


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ({"type": "none"}, {"type": "none"}),
        ({"type": "maxmind", "path": "p"}, {"type": "maxmind", "path": "p", "enabled": False}),
        (
            {"type": "ipstack", "apikey": "k"},
            {"type": "ipstack", "apikey": "k", "timeout": 2000, "enabled": False},
        ),
    ],
)
def test_geolocation_writes_the_keys_of_its_type(
    raw: dict[str, object], written: dict[str, object]
) -> None:
    config = read_global_config({"geolocationSettings": raw})
    assert write_global_config(config)["geolocationSettings"] == written


def test_a_new_installation_starts_strict() -> None:
    config = first_global_config()
    assert config.tls_settings.strict_backend_server_validation
    assert config.init_with_new_engine
    assert (config.throttling_quota, config.per_ip_throttling_quota) == (10000000, 10000000)


def test_a_wrong_value_is_warned_about_by_its_json_key() -> None:
    config, problems = inspect_document(GlobalConfig, {"maxLogsSize": "many"})
    assert config is not None
    assert config.max_logs_size == 10000
    assert [(p.path, p.severity) for p in problems] == [("$.maxLogsSize", "warning")]


@pytest.mark.parametrize(
    ("document", "path", "named"),
    [
        ({"tlsSettings": {"clientAuth": "Maybe"}}, "$.tlsSettings.clientAuth", "'Want'"),
        ({"throttlingQuota": "100"}, "$.throttlingQuota", "a whole number"),
        ({"perIpThrottlingQuota": [5]}, "$.perIpThrottlingQuota", "a whole number"),
        ({"ipFiltering": {"whitelist": "10.0.0.1"}}, "$.ipFiltering.whitelist", "a list of texts"),
        ({"maintenanceMode": "yes"}, "$.maintenanceMode", "true or false"),
    ],
)
def test_a_bound_of_the_wrong_type_is_refused_and_not_forgotten(
    document: dict[str, object], path: str, named: str
) -> None:
    with pytest.raises(EntityError) as refused:
        read_global_config(document)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert named in problem.message


def test_a_bound_that_is_null_is_the_default() -> None:
    assert read_global_config({"throttlingQuota": None}).throttling_quota == 10000000


def test_a_list_is_no_global_configuration() -> None:
    with pytest.raises(EntityError, match="expected an object, found a list"):
        read_global_config([])
