"""Settings from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from oto_trio.control.credentials import AdminCredentials
from oto_trio.control.environment import ALIASES, origins, read_environment
from oto_trio.control.settings import Settings as All


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    workers: int | None = None
    drain_timeout_s: Annotated[float, Meta(ge=0)] = 10.0
    log_format: Literal["text", "json"] = "text"
    health_access_key: str | None = None
    trust: bool = True
    engine: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


def read(**environ: str) -> dict[str, object]:
    environment = read_environment(Settings, environ)
    assert environment.problems == []
    return environment.values


def test_every_setting_has_a_variable() -> None:
    assert read(
        OTO_TRIO_HTTP_PORT="9000",
        OTO_TRIO_WORKERS="2",
        OTO_TRIO_DRAIN_TIMEOUT_S="1.5",
        OTO_TRIO_LOG_FORMAT="json",
        OTO_TRIO_HEALTH_ACCESS_KEY="12345",
        OTO_TRIO_TRUST="false",
        OTO_TRIO_ENGINE='{"head_timeout_s": 5}',
        PATH="/bin",
    ) == {
        "http_port": 9000,
        "workers": 2,
        "drain_timeout_s": 1.5,
        "log_format": "json",
        "health_access_key": "12345",
        "trust": False,
        "engine": {"head_timeout_s": 5},
    }


def test_null_is_a_value_where_null_is_allowed() -> None:
    assert read(OTO_TRIO_WORKERS="null") == {"workers": None}


def test_otoroshis_names_are_understood_and_ours_win() -> None:
    names = ["PORT", "HTTP_PORT", "OTOROSHI_PORT", "OTOROSHI_HTTP_PORT", "OTO_TRIO_HTTP_PORT"]
    given: dict[str, str] = {}
    for port, name in enumerate(names, start=1):
        given[name] = str(port)
        assert read(**given) == {"http_port": port}
    assert read(HEALTH_ACCESS_KEY="k") == {"health_access_key": "k"}


def test_otoroshis_names_of_certificates_are_understood() -> None:
    given = {
        "OTOROSHI_HTTPS_PORT": "8443",
        "OTOROSHI_DOMAIN": "gateway.localhost",
        "OTOROSHI_SSL_OUTSIDE_CLIENT_AUTH": "Need",
        "OTOROSHI_SSL_ROOTCA_CERT": "root.pem",
        "OTOROSHI_SSL_ROOTCA_KEY": "root.key",
        "OTOROSHI_SSL_ROOTCA_IMPORTCA": "true",
        "INITIAL_CACERT": "ca.pem",
        "OTOROSHI_INITIAL_CERT": "-----BEGIN CERTIFICATE-----",
        "INITIAL_CERT_KEY": "key.pem",
        "OTO_TRIO_INITIAL_CERTS": '[{"cert": "c", "key": "k"}]',
        "OTO_TRIO_WILDCARD_CERTIFICATE": "false",
    }
    environment = read_environment(All, given)
    assert environment.problems == []
    found = environment.values
    assert (found["https_port"], found["domain"]) == (8443, "gateway.localhost")
    assert (found["client_auth"], found["wildcard_certificate"]) == ("Need", False)
    assert (found["root_ca_cert"], found["root_ca_key"]) == ("root.pem", "root.key")
    assert found["root_ca_import_ca"] is True
    assert (found["initial_cacert"], found["initial_cert_key"]) == ("ca.pem", "key.pem")
    assert found["initial_cert"] == "-----BEGIN CERTIFICATE-----"
    wrong = read_environment(All, {"OTO_TRIO_INITIAL_CERTS": "[{]"})
    assert [p.path for p in wrong.problems] == ["$OTO_TRIO_INITIAL_CERTS"]


OTOROSHI_NAMES = [
    # Otoroshi's names, the strongest first, with a value and what it sets here.
    ("http_port", ["OTOROSHI_HTTP_PORT", "OTOROSHI_PORT", "PORT"], "1", 1),
    ("https_port", ["OTOROSHI_HTTPS_PORT", "HTTPS_PORT"], "2", 2),
    ("exposed_https_port", ["OTOROSHI_EXPOSED_PORTS_HTTPS", "APP_EXPOSED_PORTS_HTTPS"], "3", 3),
    ("http3", ["OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_ENABLED"], "true", True),
    ("http3_port", ["OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_PORT"], "5", 5),
    (
        "http3_exposed_port",
        ["OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_EXPOSED_PORT"],
        "4",
        4,
    ),
    (
        "http2",
        [
            "OTOROSHI_HTTP2_ENABLED",
            "HTTP2_ENABLED",
            "OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP2_ENABLED",
        ],
        "false",
        False,
    ),
    ("h2c", ["OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP2_H2C"], "false", False),
    (
        "http_listeners",
        ["OTOROSHI_HTTP_LISTENERS", "OTOROSHI_ADMIN_EXTENSIONS_HTTPLISTENERS_LISTENERS"],
        '[{"id": "l", "port": 81}]',
        ({"id": "l", "port": 81},),
    ),
    ("claim_shared_key", ["OTOROSHI_CLAIM_SHAREDKEY", "CLAIM_SHAREDKEY"], "k", "k"),
    ("domain", ["OTOROSHI_DOMAIN", "APP_DOMAIN"], "a.test", "a.test"),
    ("admin_api_exposed", ["OTOROSHI_ADMIN_API_EXPOSED", "ADMIN_API_EXPOSED"], "false", False),
    (
        "admin_api_subdomain",
        ["OTOROSHI_ADMIN_API_EXPOSED_SUBDOMAIN", "ADMIN_API_EXPOSED_SUBDOMAIN"],
        "api",
        "api",
    ),
    (
        "admin_api_domains",
        [
            "OTOROSHI_ADMIN_API_EXPOSED_DOMAINS",
            "ADMIN_API_EXPOSED_DOMAINS",
            "OTOROSHI_ADMIN_API_ADDITIONAL_EXPOSED_DOMAIN",
            "ADMIN_API_ADDITIONAL_EXPOSED_DOMAIN",
        ],
        "a.test, b.test",
        ("a.test", "b.test"),
    ),
    (
        "store",
        ["OTOROSHI_REDIS_LETTUCE_URI", "OTOROSHI_REDIS_URL"],
        "redis://h:6379",
        "redis://h:6379",
    ),
    ("throttling_window_s", ["OTOROSHI_THROTTLING_WINDOW", "THROTTLING_WINDOW"], "30", 30.0),
    ("health_access_key", ["OTOROSHI_HEALTH_ACCESS_KEY", "HEALTH_ACCESS_KEY"], "k", "k"),
    ("metrics_access_key", ["OTOROSHI_METRICS_ACCESS_KEY"], "k", "k"),
    (
        "client_auth",
        ["OTOROSHI_SSL_OUTSIDE_CLIENT_AUTH", "SSL_OUTSIDE_CLIENT_AUTH"],
        "Want",
        "Want",
    ),
    ("root_ca_ca", ["OTOROSHI_SSL_ROOTCA_CA"], "ca.pem", "ca.pem"),
    ("root_ca_cert", ["OTOROSHI_SSL_ROOTCA_CERT"], "c.pem", "c.pem"),
    ("root_ca_key", ["OTOROSHI_SSL_ROOTCA_KEY"], "k.pem", "k.pem"),
    ("root_ca_import_ca", ["OTOROSHI_SSL_ROOTCA_IMPORTCA"], "true", True),
    *[
        (
            name.lower(),
            [
                f"OTOROSHI_{name}",
                name,
                f"OTOROSHI_CLUSTER_WORKER_{name}",
                f"CLUSTER_WORKER_{name}",
            ],
            "x.pem",
            "x.pem",
        )
        for name in ("INITIAL_CACERT", "INITIAL_CERT", "INITIAL_CERT_KEY")
    ],
    ("initial_cert_import_ca", ["OTOROSHI_INITIAL_CERT_IMPORTCA"], "true", True),
    ("vaults_enabled", ["OTOROSHI_VAULTS_ENABLED"], "false", False),
    ("vaults_secrets_ttl_ms", ["OTOROSHI_VAULTS_SECRETS_TTL"], "5000", 5000),
    ("vaults_secrets_error_ttl_ms", ["OTOROSHI_VAULTS_SECRETS_ERROR_TTL"], "900", 900),
    ("vaults_cached_secrets", ["OTOROSHI_VAULTS_CACHED_SECRETS"], "7", 7),
    (
        "vaults_read_timeout_ms",
        ["OTOROSHI_VAULTS_READ_TIMEOUT", "OTOROSHI_VAULTS_READ_TTL"],
        "8",
        8,
    ),
    ("vaults_parallel_fetches", ["OTOROSHI_VAULTS_PARALLEL_FETCHS"], "9", 9),
    ("initial_admin_login", ["OTOROSHI_INITIAL_ADMIN_LOGIN"], "ann", "ann"),
    ("initial_admin_password", ["OTOROSHI_INITIAL_ADMIN_PASSWORD"], "pw", "pw"),
    ("hide_initial_admin_password", ["OTOROSHI_HIDE_INITIAL_ADMIN_PASSWORD"], "true", True),
    (
        "write_initial_admin_password_to_file",
        ["OTOROSHI_WRITE_INITIAL_ADMIN_PASSWORD_TO_FILE"],
        "true",
        True,
    ),
    ("initial_admin_password_file", ["OTOROSHI_INITIAL_ADMIN_PASSWORD_FILE"], "f", "f"),
    (
        "backoffice_session_ms",
        ["OTOROSHI_BACKOFFICE_SESSION_EXP", "APP_BACKOFFICE_SESSION_EXP"],
        "5000",
        5000,
    ),
    ("session_name", ["OTOROSHI_SESSION_NAME", "SESSION_NAME"], "sid", "sid"),
    (
        "session_secure_only",
        ["OTOROSHI_SESSION_SECURE_ONLY", "SESSION_SECURE_ONLY"],
        "true",
        True,
    ),
    ("vaults_env_prefix", ["OTOROSHI_VAULTS_ENV_PREFIX"], "P_", "P_"),
    ("vaults_local_root", ["OTOROSHI_VAULTS_LOCAL_ROOT"], "/a", "/a"),
]


@pytest.mark.parametrize(
    ("setting", "names", "text", "value"), OTOROSHI_NAMES, ids=[row[0] for row in OTOROSHI_NAMES]
)
def test_otoroshis_names_of_every_setting_we_have(
    setting: str, names: list[str], text: str, value: object
) -> None:
    given: dict[str, str] = {}
    for name in reversed(names):
        # Each is stronger than all that were there before.
        environment = read_environment(All, {**given, name: text})
        assert environment.problems == []
        assert environment.values == {setting: value}
        assert environment.variables == {setting: name}
        given[name] = text
    ours = f"OTO_TRIO_{setting.upper()}"
    assert read_environment(All, {**given, ours: text}).variables == {setting: ours}


def test_the_table_of_otoroshis_names_is_whole_and_in_the_docs() -> None:
    known = {name: set(names) - {"HTTP_PORT"} for name, names in ALIASES.items()}
    assert {row[0]: set(row[1]) for row in OTOROSHI_NAMES} == known
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    table = text.partition("| setting | Otoroshi's variables |")[2].partition("\n\n")[0]
    assert {name for name in ALIASES if f"`{name}`" not in table} == set()


def test_an_empty_variable_is_not_set() -> None:
    assert read(OTO_TRIO_HTTP_PORT="", PORT="7") == {"http_port": 7}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTO_TRIO_HTTP_PORT", "http"),
        ("OTO_TRIO_HTTP_PORT", "70000"),
        ("PORT", "-1"),
        ("OTO_TRIO_WORKERS", "many"),
        ("OTO_TRIO_DRAIN_TIMEOUT_S", "-1"),
        ("OTO_TRIO_LOG_FORMAT", "xml"),
        ("OTO_TRIO_TRUST", "maybe"),
        ("OTO_TRIO_ENGINE", "{"),
        ("OTO_TRIO_ENGINE", "[1]"),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(variable: str, text: str) -> None:
    environment = read_environment(Settings, {variable: text})
    assert environment.values == {}
    assert [p.path for p in environment.problems] == [f"${variable}"]
    assert environment.problems[0].severity == "error"
    assert "correct it" in environment.problems[0].fix


def test_a_value_is_never_repeated_in_a_problem() -> None:
    environment = read_environment(Settings, {"OTO_TRIO_LOG_FORMAT": "s3cr3t"})
    assert environment.problems[0].message == "expected one of 'text', 'json'"
    environment = read_environment(Settings, {"OTO_TRIO_WORKERS": "s3cr3t"})
    assert "s3cr3t" not in str(environment.problems[0])


def test_a_variable_that_nothing_reads_is_a_warning_with_the_likely_name() -> None:
    environment = read_environment(
        Settings,
        {
            "OTO_TRIO_HTTP_PROT": "1",
            "OTO_TRIO_QQ": "1",
            "OTO_TRIO_ADMIN_API_CLIENT_SECERT": "s",
        },
    )
    assert [(p.path, p.severity, p.fix) for p in environment.problems] == [
        (
            "$OTO_TRIO_ADMIN_API_CLIENT_SECERT",
            "warning",
            "write OTO_TRIO_ADMIN_API_CLIENT_SECRET",
        ),
        ("$OTO_TRIO_HTTP_PROT", "warning", "write OTO_TRIO_HTTP_PORT"),
        ("$OTO_TRIO_QQ", "warning", "remove it"),
    ]


@pytest.mark.parametrize("prefix", ["OTO_TRIO_", "OTOROSHI_", ""])
def test_the_key_of_the_admin_api(prefix: str) -> None:
    environ = {
        f"{prefix}ADMIN_API_CLIENT_ID": "id",
        f"{prefix}ADMIN_API_CLIENT_SECRET": "secret",
    }
    environment = read_environment(Settings, environ)
    assert environment.credentials == AdminCredentials(client_id="id", client_secret="secret")
    assert environment.problems == []


@pytest.mark.parametrize(
    "environ",
    [
        {"ADMIN_API_CLIENT_ID": "id"},
        {"OTOROSHI_ADMIN_API_SECRET": "secret"},
        {"ADMIN_API_CLIENT_ID": "i:d", "ADMIN_API_CLIENT_SECRET": "secret"},
    ],
)
def test_half_a_key_or_a_bad_one_is_refused_without_showing_it(environ: dict[str, str]) -> None:
    environment = read_environment(Settings, environ)
    assert environment.credentials is None
    assert len(environment.problems) == 1
    assert "secret" not in str(environment.problems[0]).replace("SECRET", "")


def test_each_value_remembers_where_it_came_from() -> None:
    environment = read_environment(Settings, {"PORT": "1", "OTO_TRIO_WORKERS": "2"})
    found = origins(
        Settings,
        file=("gateway.yaml", {"workers": 3, "log_format": "json", "trust": False}),
        environment=environment,
        flags={"log_format": "text", "health_access_key": "x"},
    )
    assert found == {
        "http_port": "$PORT",
        "workers": "$OTO_TRIO_WORKERS",
        "drain_timeout_s": "default",
        "log_format": "--log-format",
        "health_access_key": "--health-access-key",
        "trust": "gateway.yaml",
        "engine": "default",
    }
