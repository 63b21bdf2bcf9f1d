"""What becomes of the environment variables that Otoroshi knows."""

from __future__ import annotations

import pytest

from oto_trio.control.environment import ALIASES, CLIENT_ID, CLIENT_SECRET, read_environment
from oto_trio.control.otoroshi_storage import STORAGE_VARIABLES
from oto_trio.control.otoroshi_variables import OTOROSHI_VARIABLES
from oto_trio.control.settings import Settings as All

SAMPLES = ("200", "5000", "true", "Want", "gateway.localhost", '{"type": "env"}', "[]")
"""One of these fits whatever a variable sets."""


def test_every_variable_of_otoroshi_is_read_or_named_in_a_warning() -> None:
    keys = {*CLIENT_ID, *CLIENT_SECRET, *STORAGE_VARIABLES}
    read = {*(name for names in ALIASES.values() for name in names), *keys}
    for name in sorted(OTOROSHI_VARIABLES):
        found = (read_environment(All, {name: text}) for text in SAMPLES)
        if name not in read:
            environment = next(found)
            assert environment.values == {}
            assert [(p.path, p.severity) for p in environment.problems] == [(f"${name}", "warning")]
        elif name in keys:
            # One half of a key, or no storage: refused by name.
            assert [(p.path, p.severity) for p in next(found).problems] == [(f"${name}", "error")]
        else:
            assert any(e.variables and not e.problems for e in found), name


def test_a_warning_does_not_repeat_the_value() -> None:
    (problem,) = read_environment(All, {"OTOROSHI_CLUSTER_LEADER_CLIENT_SECRET": "hush"}).problems
    assert "hush" not in str(problem)


def test_otoroshis_variables_are_known() -> None:
    assert len(OTOROSHI_VARIABLES) > 520
    assert {
        *("PORT", "OTOROSHI_HTTP_PORT", "APP_STORAGE", "OTOROSHI_STORAGE", "REDIS_URL"),
        *("CLUSTER_MODE", "OTOROSHI_CLUSTER_MODE", "OTOROSHI_DB_S3_BUCKET", "PG_HOST"),
        *("OTOROSHI_NEXT_EXPERIMENTAL_NETTY_SERVER_HTTP3_PORT", "OTOROSHI_JMX_PORT"),
    } <= OTOROSHI_VARIABLES


@pytest.mark.parametrize(
    ("variable", "instead"),
    [
        ("OTOROSHI_CLUSTER_MODE", "share a store"),
        ("CLUSTER_LEADER_URL", "share a store"),
        ("REDIS_LETTUCE_POOLING_ENABLED", "OTO_TRIO_STORE"),
        ("OTOROSHI_PG_POOL_SIZE", "OTO_TRIO_STORE"),
        ("APP_IMPORT_FROM", "oto-trio import"),
        ("OTOROSHI_OPTIONS_TRUST_XFORWARDED", "trustXForwarded"),
        ("OTOROSHI_LOGGERS_otoroshi_env", "OTO_TRIO_LOG_LEVEL"),
        ("OTOROSHI_OPEN_TELEMETRY_SERVER_LOGS_ENABLED", "remove it"),
        ("OTOROSHI_JMX_ENABLED", "remove it"),
    ],
)
def test_the_warning_says_what_to_do_instead(variable: str, instead: str) -> None:
    (problem,) = read_environment(All, {variable: "value"}).problems
    assert (problem.path, problem.severity) == (f"${variable}", "warning")
    assert instead in problem.fix


def test_variables_of_others_are_nobodys_business() -> None:
    given = {"OTOROSHI_MY_SECRET": "x", "REDIS_TLS": "1", "OTOROSHI_JMX_ENABLED": ""}
    assert read_environment(All, given).problems == []


def test_what_the_store_is_made_of_is_read_and_the_rest_is_not() -> None:
    given = {
        "APP_STORAGE": "lettuce",
        "OTOROSHI_STORAGE": "pg",
        "PG_HOST": "db",
        "PG_POOL_SIZE": "5",
        "REDIS_HOST": "cache",
        "OTOROSHI_REDIS_URL": "redis://cache",
    }
    environment = read_environment(All, given)
    assert [p.path for p in environment.problems] == ["$PG_POOL_SIZE", "$REDIS_HOST"]
    assert environment.variables == {"store": "OTOROSHI_STORAGE, $PG_HOST"}
