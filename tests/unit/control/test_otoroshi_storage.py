"""Where Otoroshi's variables say that its state is."""

from __future__ import annotations

import pytest

from oto_trio.control.environment import read_environment
from oto_trio.control.settings import Settings, settings_problems

CASES = [
    ({"OTOROSHI_STORAGE": "inmemory"}, "memory://"),
    ({"APP_STORAGE": "file"}, "file://./filedb/state.ndjson"),
    ({"APP_STORAGE": "file", "FILEDB_PATH": "a b/s.ndjson"}, "file://./a%20b/s.ndjson"),
    ({"OTOROSHI_STORAGE": "file", "OTOROSHI_FILEDB_PATH": "/x/s"}, "file:///x/s"),
    (
        {
            "OTOROSHI_STORAGE": "s3",
            "APP_STORAGE": "file",
            "OTOROSHI_DB_S3_ACCESS": "AK",
            "OTOROSHI_DB_S3_SECRET": "s/e",
            "OTOROSHI_DB_S3_ENDPOINT": "https://s3.local",
            "OTOROSHI_DB_S3_WRITE_EVERY": "1500",
        },
        (
            "s3://AK:s%2Fe@otoroshi-states/otoroshi/states/state"
            "?endpoint=https%3A%2F%2Fs3.local&every=1.5"
        ),
    ),
    ({"OTOROSHI_STORAGE": "lettuce", "REDIS_URL": "redis://h:1"}, "redis://h:1"),
    (
        {
            "OTOROSHI_STORAGE": "lettuce",
            "REDIS_LETTUCE_CONNECTION": "cluster",
            "REDIS_LETTUCE_URIS": "rediss://:p@a:1/, rediss://:p@b:2",
        },
        "rediss-cluster://:p@a:1,b:2",
    ),
    (
        {
            "OTOROSHI_STORAGE": "lettuce",
            "OTOROSHI_REDIS_LETTUCE_CONNECTION": "sentinels",
            "OTOROSHI_REDIS_LETTUCE_URI": "redis-sentinel://a,b/0?sentinelMasterId=m",
        },
        "redis-sentinel://a,b/0?sentinelMasterId=m",
    ),
    (
        {"OTOROSHI_STORAGE": "redis", "REDIS_HOST": "h", "REDIS_PASSWORD": "p@"},
        "redis://:p%40@h:6379/0",
    ),
    ({"OTOROSHI_STORAGE": "pg", "PG_URI": "postgresql://u@h/d"}, "postgresql://u@h/d"),
    (
        {
            "OTOROSHI_STORAGE": "postgresql",
            "OTOROSHI_PG_HOST": "h",
            "PG_PASSWORD": "p:",
            "PG_SSL_ENABLED": "true",
            "PG_SSL_TRUSTED_CERT_PATH": "/ca.pem",
        },
        "postgresql://otoroshi:p%3A@h:5432/otoroshi?sslmode=verify-ca&sslrootcert=%2Fca.pem",
    ),
    ({"OTOROSHI_STORAGE": "cassandra"}, "cassandra://127.0.0.1:9042/"),
    (
        {
            "APP_STORAGE": "cassandra-naive",
            "CASSANDRA_HOSTS": "a, b:9043",
            "OTOROSHI_CASSANDRA_PORT": "9044",
            "CASSANDRA_USERNAME": "u",
            "OTOROSHI_CASSANDRA_PASSWORD": "p@:",
            "CASSANDRA_REPLICATION_STRATEGY": "NetworkTopologyStrategy",
            "CASSANDRA_REPLICATION_OPTIONS": "'dc1': 3, 'dc2': 2",
            "CASSANDRA_DURABLE_WRITES": "false",
            "OTOROSHI_CASSANDRA_LOCAL_DATACENTER": "dc1",
            "OTOROSHI_CASSANDRA_SERIAL_CONSISTENCY": "LOCAL_SERIAL",
            "OTOROSHI_CASSANDRA_SESSION_KEYSPACE": "gateways",
        },
        (
            "cassandra://u:p%40%3A@a:9044,b:9043/gateways?datacenter=dc1&consistency=local_quorum"
            "&replicationStrategy=NetworkTopologyStrategy"
            "&replicationOptions=%27dc1%27%3A+3%2C+%27dc2%27%3A+2&durableWrites=false"
        ),
    ),
    (
        {
            "OTOROSHI_STORAGE": "cassandra",
            "CASSANDRA_REPLICATION_FACTOR": "3",
            "CASSANDRA_REPLICATION_STRATEGY": "none",
        },
        "cassandra://127.0.0.1:9042/?replicationFactor=3",
    ),
]


@pytest.mark.parametrize(("environ", "url"), CASES)
def test_the_store_that_variables_name(environ: dict[str, str], url: str) -> None:
    read = read_environment(Settings, environ)
    assert read.problems == []
    assert read.values["store"] == url
    assert settings_problems(Settings(store=url)) == []


@pytest.mark.parametrize("kind", ["http", "mongo", "redis-sentinel", "lettuce", "odd"])
def test_a_storage_that_is_none_here_is_named(kind: str) -> None:
    (problem,) = read_environment(Settings, {"OTOROSHI_STORAGE": kind}).problems
    assert problem.path == "$OTOROSHI_STORAGE"
    assert kind in problem.message
    assert problem.fix


def test_our_own_variable_wins_and_none_changes_nothing() -> None:
    environ = {"OTO_TRIO_STORE": "memory://", "OTOROSHI_STORAGE": "mongo"}
    read = read_environment(Settings, environ)
    assert (read.values["store"], read.problems) == ("memory://", [])
    assert "store" not in read_environment(Settings, {"REDIS_HOST": "h"}).values
    read = read_environment(Settings, {"OTOROSHI_REDIS_URL": "redis://h"})
    assert read.values["store"] == "redis://h"
