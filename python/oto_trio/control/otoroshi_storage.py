"""Otoroshi's variables that say where its state is, read as the setting `store`.

``OTOROSHI_STORAGE`` (or ``APP_STORAGE``) names the kind, and others the place: ``OTOROSHI_FILEDB_PATH``,
``OTOROSHI_DB_S3_BUCKET``, ``OTOROSHI_PG_HOST``, ``OTOROSHI_CASSANDRA_HOST``, … Without a kind, only the URL of a Redis server counts.

Source: config.md A.4 and part B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import msgspec

from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STORAGE_SECRETS", "STORAGE_VARIABLES", "Storage", "read_storage"]

STORAGE_VARIABLES: Final = ("OTOROSHI_STORAGE", "APP_STORAGE")
"""The variables that name the kind, the stronger one first."""

STORAGE_SECRETS: Final = (
    *(
        f"{prefix}{name}"
        for prefix in ("OTOROSHI_", "")
        for name in (
            *("DB_S3_ACCESS", "DB_S3_SECRET", "REDIS_PASSWORD", "PG_PASSWORD", "PG_URI"),
            *("CASSANDRA_USERNAME", "CASSANDRA_PASSWORD"),
            *("POSTGRESQL_ADDON_URI", "REDIS_LETTUCE_URI", "REDIS_LETTUCE_URIS", "REDIS_URL"),
        )
    ),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "PGPASSWORD"),
)
"""Variables that may hold a secret; the last ones are read by the libraries of S3 and PostgreSQL themselves."""

_SSL_MODES: Final = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})


_SENTINELS: Final = "redis-sentinel://host:26379/0?sentinelMasterId=name"
_BY_URL: Final = {
    "http": "the URL of the state, http://…",
    "redis-cluster": "redis-cluster://host:6379,other:6379",
    "redis-sentinel": _SENTINELS,
    "redis-sentinel-lf": _SENTINELS,
}
"""Kinds whose places no variables of Otoroshi's say, or not in a way that can be read, and what to write."""


class Storage(msgspec.Struct, frozen=True):
    """What the variables say."""

    url: str | None
    """The setting `store`; None when it cannot be made."""
    variables: tuple[str, ...]
    """The variables it was made of."""
    problem: Problem | None = None


class _Variables:
    """Reads variables, with or without Otoroshi's prefix, and remembers which."""

    def __init__(self, environ: Mapping[str, str], first: str) -> None:
        self._environ = environ
        self.used = [first]

    def get(self, name: str, default: str = "") -> str:
        """Return the value of a variable; the one with the prefix wins, an empty one counts as not set."""
        for variable in (f"OTOROSHI_{name}", name):
            if self._environ.get(variable):
                self.used.append(variable)
                return self._environ[variable]
        return default


def read_storage(environ: Mapping[str, str]) -> Storage | None:
    """Read the variables; None when they name no kind of storage."""
    first = next((name for name in STORAGE_VARIABLES if environ.get(name)), None)
    if first is None:
        return None
    variables = _Variables(environ, first)
    kind = environ[first].strip().lower()
    url, fix = _url(kind, variables)
    problem = None
    if url is None:
        said = f"the storage {kind[:40]!r} has no store here, or not by these variables"
        problem = Problem(f"${first}", said, fix)
    return Storage(url, tuple(variables.used), problem)


def _url(kind: str, variables: _Variables) -> tuple[str | None, str]:
    """Make the URL for a kind of storage; without one, say what to do."""
    match kind:
        case "inmemory" | "memory" | "mem":
            return "memory://", ""
        case "file":
            return _file(variables.get("FILEDB_PATH", "./filedb/state.ndjson")), ""
        case "s3":
            return _s3(variables), ""
        case "lettuce":
            return _lettuce(variables)
        case "redis" | "redis-pool" | "redis-mpool" | "redis-lf":
            return _redis(variables), ""
        case "postgresql" | "pg" | "experimental-pg":
            return _postgresql(variables), ""
        case "cassandra" | "cassandra-naive":
            return _cassandra(variables), ""
        case _ if kind in _BY_URL:
            return None, f"set OTO_TRIO_STORE to {_BY_URL[kind]}"
        case _:
            return None, "use one of inmemory, file, s3, lettuce, redis, postgresql and cassandra"


def _file(path: str) -> str:
    """Make the URL of a file."""
    if path.startswith(("/", "./", "../")):
        return f"file://{quote(path)}"
    return f"file://./{quote(path)}"


def _s3(variables: _Variables) -> str:
    """Make the URL of an object."""
    options = {
        "endpoint": variables.get("DB_S3_ENDPOINT"),
        "region": variables.get("DB_S3_REGION"),
        "acl": variables.get("DB_S3_ACL").lower(),
    }
    every_ms = variables.get("DB_S3_WRITE_EVERY")
    if every_ms.isascii() and every_ms.isdigit():
        options["every"] = f"{int(every_ms) / 1000:g}"
    access, secret = variables.get("DB_S3_ACCESS"), variables.get("DB_S3_SECRET")
    user = f"{quote(access, safe='')}:{quote(secret, safe='')}@" if access or secret else ""
    bucket = variables.get("DB_S3_BUCKET", "otoroshi-states")
    key = variables.get("DB_S3_KEY", "/otoroshi/states/state").lstrip("/")
    query = urlencode({name: value for name, value in options.items() if value})
    return f"s3://{user}{bucket}/{quote(key)}" + (f"?{query}" if query else "")


def _lettuce(variables: _Variables) -> tuple[str | None, str]:
    """Make the URL of Redis, as Lettuce has it."""
    uri = variables.get("REDIS_LETTUCE_URI") or variables.get("REDIS_URL")
    several = [each.strip() for each in variables.get("REDIS_LETTUCE_URIS").split(",")]
    uris = [uri] if uri else [each for each in several if each]
    connection = variables.get("REDIS_LETTUCE_CONNECTION", "default").lower()
    if connection == "cluster" and uris:
        scheme, _, first = uris[0].partition("://")
        rest = [each.partition("://")[2].rpartition("@")[2] for each in uris[1:]]
        hosts = ",".join(each.rstrip("/") for each in (first, *rest))
        return f"{scheme.removesuffix('-cluster')}-cluster://{hosts}", ""
    is_sentinel = bool(uris) and "-sentinel://" in uris[0]
    if connection == "sentinels" and not is_sentinel:
        return None, f"set OTO_TRIO_STORE to {_SENTINELS}"
    if connection == "master-replicas":
        return None, "set OTO_TRIO_STORE to the URL of the primary, or of its sentinels"
    if not uris:
        return None, "set OTOROSHI_REDIS_LETTUCE_URI to redis://user:password@host:6379/0"
    return uris[0], ""


def _redis(variables: _Variables) -> str:
    """Make the URL of Redis from its parts."""
    password = variables.get("REDIS_PASSWORD")
    user = f":{quote(password, safe='')}@" if password else ""
    host = variables.get("REDIS_HOST", "localhost")
    return f"redis://{user}{host}:{variables.get('REDIS_PORT', '6379')}/0"


def _postgresql(variables: _Variables) -> str:
    """Make the URL of PostgreSQL."""
    uri = variables.get("PG_URI") or variables.get("POSTGRESQL_ADDON_URI")
    if uri:
        return uri
    user = quote(variables.get("PG_USER", "otoroshi"), safe="")
    password = quote(variables.get("PG_PASSWORD", "otoroshi"), safe="")
    where = f"{variables.get('PG_HOST', 'localhost')}:{variables.get('PG_PORT', '5432')}"
    url = (
        f"postgresql://{user}:{password}@{where}/{quote(variables.get('PG_DATABASE', 'otoroshi'))}"
    )
    if variables.get("PG_SSL_ENABLED").lower() != "true":
        return url
    mode = variables.get("PG_SSL_MODE", "verify_ca").lower().replace("_", "-")
    options = {"sslmode": mode if mode in _SSL_MODES else "verify-full"}
    for option, name in (("sslrootcert", "TRUSTED"), ("sslcert", "CLIENT")):
        path = variables.get(f"PG_SSL_{name}_CERT_PATH")
        if path:
            options[option] = path
    return f"{url}?{urlencode(options)}"


def _cassandra(variables: _Variables) -> str:
    """Make the URL of Cassandra. A quorum is always asked; of one datacenter, if conditions hold in one only."""
    user = quote(variables.get("CASSANDRA_USERNAME"), safe="")
    password = quote(variables.get("CASSANDRA_PASSWORD"), safe="")
    port = variables.get("CASSANDRA_PORT", "9042")
    names = variables.get("CASSANDRA_HOSTS") or variables.get("CASSANDRA_HOST", "127.0.0.1")
    hosts = [each.strip() for each in names.split(",")]
    where = ",".join(each if ":" in each else f"{each}:{port}" for each in hosts if each)
    is_local = variables.get("CASSANDRA_SERIAL_CONSISTENCY").upper() == "LOCAL_SERIAL"
    options = {
        "datacenter": variables.get("CASSANDRA_LOCAL_DATACENTER"),
        "consistency": "local_quorum" if is_local else "",
        "replicationStrategy": variables.get("CASSANDRA_REPLICATION_STRATEGY"),
        "replicationFactor": variables.get("CASSANDRA_REPLICATION_FACTOR"),
        "replicationOptions": variables.get("CASSANDRA_REPLICATION_OPTIONS"),
        "durableWrites": variables.get("CASSANDRA_DURABLE_WRITES"),
    }
    if options["replicationStrategy"] not in {"SimpleStrategy", "NetworkTopologyStrategy"}:
        del options["replicationStrategy"]  # "none" is what Otoroshi calls the simple one
    query = urlencode({name: value for name, value in options.items() if value})
    keyspace = variables.get("CASSANDRA_SESSION_KEYSPACE")
    known = f"{user}:{password}@" if user or password else ""
    return f"cassandra://{known}{where}/{quote(keyspace, safe='')}" + (f"?{query}" if query else "")
