"""Service descriptors become routes: every key has a row that says what it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from oto_trio import _core
from oto_trio.gateway.compile import (
    ConvertedService,
    Hooks,
    RouteCompiler,
    Surroundings,
    check_route,
    configured_words,
    convert_service,
    service_path,
)
from oto_trio.gateway.compile.service_slots import NG, OPTIONAL
from oto_trio.model.document import read_document
from oto_trio.model.route import read_route, write_route
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.plugin_api.registry import builtin_plugins
from tests.unit.gateway.compile.service_parts_table import PARTS, TOLD, Told
from tests.unit.gateway.compile.service_slots_table import CHALLENGE, HS, SLOTS

if TYPE_CHECKING:
    from oto_trio.model.errors import Problem

REGISTRY = builtin_plugins()
BARE = {"id": "s", "domain": "oto.tools", "subdomain": "api"}
QUIET: dict[str, Any] = {
    **BARE,
    "forceHttps": False,
    "overrideHost": False,
    "enforceSecureCommunication": False,
    "sendInfoToken": False,
    "sendOtoroshiHeadersBack": False,
}
"""A descriptor that asks for nothing."""

ALWAYS = {"OtoroshiHeadersIn", "NgLegacyApikeyCall"}
EVERYTHING = Surroundings(lambda _: True, configured_words({}, "shared"))
HERE = Surroundings(REGISTRY.__contains__, configured_words({}, "shared"))


def convert(keys: dict[str, Any], surroundings: Surroundings = EVERYTHING) -> ConvertedService:
    return convert_service(read_document(ServiceDescriptor, {**QUIET, **keys}), surroundings)


def shown(keys: dict[str, Any]) -> dict[str, Any]:
    return write_route(convert(keys).route)


def slot(keys: dict[str, Any], name: str) -> dict[str, Any]:
    found: list[dict[str, Any]]
    found = [s for s in shown(keys)["plugins"] if s["plugin"] == NG + name]
    assert len(found) == 1
    return found[0]


def named(keys: dict[str, Any]) -> list[str]:
    return [s["plugin"].removeprefix(NG) for s in shown(keys)["plugins"]]


# ---------------------------------------------------------------- keys that become parts of the route


@pytest.mark.parametrize(
    ("keys", "where", "value"),
    [
        pytest.param(*row, id=f"{key}-{n}")
        for key, rows in PARTS.items()
        for n, row in enumerate(rows)
    ],
)
def test_a_key_becomes_a_part_of_the_route(keys: dict[str, Any], where: str, value: Any) -> None:
    found: Any = shown(keys)
    for part in where.split("."):
        found = found[part]
    assert found == value


# ------------------------------------------------------------------------- keys that become plugins


@pytest.mark.parametrize(
    ("keys", "name", "config", "more"),
    [
        pytest.param(*row, id=f"{key}-{n}")
        for key, rows in SLOTS.items()
        for n, row in enumerate(rows)
    ],
)
def test_a_key_becomes_a_plugin(
    keys: dict[str, Any], name: str, config: dict[str, Any], more: dict[str, Any]
) -> None:
    found = slot(keys, name)
    assert {key: found["config"].get(key) for key in config} == config
    assert found["exclude"] == more.get("exclude", [])
    if name not in ALWAYS:
        assert name not in named({})


# ---------------------------------------------------------- keys that have, or may have, no equivalent


def told(problems: tuple[Problem, ...]) -> list[Told]:
    return sorted((problem.severity, problem.path) for problem in problems)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        pytest.param(*row, id=f"{key}-{n}")
        for key, rows in TOLD.items()
        for n, row in enumerate(rows)
    ],
)
def test_what_has_no_equivalent_is_told_and_closes_what_it_would_open(
    keys: dict[str, Any], wanted: list[Told]
) -> None:
    problems = convert(keys, HERE).problems
    assert told(problems) == sorted(wanted)
    for problem in problems:
        assert ("answers 503" in problem.message) is (problem.severity == "error")


ELSEWHERE = {
    # Keys whose rows are tests of their own below.
    "targets",
    "clientConfig",
    "sendStateChallenge",
    "strictlyPrivate",
}


def test_every_key_of_a_descriptor_has_a_row() -> None:
    keys = {
        field.encode_name
        for field in msgspec.structs.fields(ServiceDescriptor)
        if field.name != "unknown"
    }
    rows = PARTS.keys() | SLOTS.keys() | TOLD.keys() | ELSEWHERE
    assert keys - rows == set()
    assert rows - keys == set()


# -------------------------------------------------------------------------------- with more to say


def test_targets_keep_what_they_say() -> None:
    tls = {"certs": ["c"], "trustedCerts": ["t"], "mtls": True, "loose": True, "trustAll": True}
    (target,) = shown(
        {
            "targets": [
                {
                    "host": "h:8443",
                    "scheme": "https",
                    "weight": 3,
                    "mtlsConfig": tls,
                    "tags": ["first", "second"],
                    "protocol": "HTTP/1.0",
                    "predicate": {"type": "NetworkLocationMatch", "zone": "z"},
                    "backup": True,
                    "ipAddress": "10.0.0.1",
                }
            ]
        }
    )["backend"]["targets"]
    assert target == {
        "id": "first",
        "hostname": "h",
        "port": 8443,
        "tls": True,
        "weight": 3,
        "backup": True,
        "predicate": {
            "type": "NetworkLocationMatch",
            "provider": None,
            "region": None,
            "zone": "z",
            "dc": None,
            "rack": None,
        },
        "protocol": "HTTP/1.0",
        "ip_address": "10.0.0.1",
        "tls_config": {
            "certs": ["c"],
            "trusted_certs": ["t"],
            "enabled": True,
            "loose": True,
            "trust_all": True,
        },
    }


@pytest.mark.parametrize(
    ("host", "scheme", "address"),
    [
        ("h", "http", ("h", 80, False)),
        ("h", "https", ("h", 443, True)),
        ("h", "HTTPS", ("h", 443, True)),
        ("h", "tcp", ("h", 80, False)),
        ("h:81", "http", ("h", 81, False)),
        ("[::1]:81", "http", ("::1", 81, False)),
        ("[::1]", "http", ("::1", 80, False)),
    ],
)
def test_a_targets_address_is_taken_apart(
    host: str, scheme: str, address: tuple[str, int, bool]
) -> None:
    (target,) = convert({"targets": [{"host": host, "scheme": scheme}]}).route.backend.targets
    assert (target.hostname, target.port, target.tls) == address
    assert target.id == host


def test_every_setting_of_the_client_is_kept() -> None:
    config = {
        "retries": 2,
        "maxErrors": 3,
        "retryInitialDelay": 4,
        "backoffFactor": 5,
        "callTimeout": 6,
        "callAndStreamTimeout": 7,
        "connectionTimeout": 8,
        "idleTimeout": 9,
        "globalTimeout": 10,
        "sampleInterval": 11,
        "proxy": {"host": "p", "port": 1, "principal": "u"},
        "customTimeouts": [
            {
                "path": "/p",
                "callTimeout": 12,
                "callAndStreamTimeout": 13,
                "connectionTimeout": 14,
                "idleTimeout": 15,
                "globalTimeout": 16,
            }
        ],
        "cacheConnectionSettings": {"enabled": True, "queueSize": 17},
    }
    client = shown({"clientConfig": config})["backend"]["client"]
    assert client["proxy"].pop("host") == "p"
    assert client["proxy"].pop("principal") == "u"
    assert client == {
        "retries": 2,
        "max_errors": 3,
        "retry_initial_delay": 4,
        "backoff_factor": 5,
        "call_timeout": 6,
        "call_and_stream_timeout": 7,
        "connection_timeout": 8,
        "idle_timeout": 9,
        "global_timeout": 10,
        "sample_interval": 11,
        "proxy": {
            "port": 1,
            "protocol": None,
            "password": None,
            "ntlmDomain": None,
            "encoding": None,
            "nonProxyHosts": None,
        },
        "custom_timeouts": [
            {
                "path": "/p",
                "call_timeout": 12,
                "call_and_stream_timeout": 13,
                "connection_timeout": 14,
                "idle_timeout": 15,
                "global_timeout": 16,
            }
        ],
        "cache_connection_settings": {"enabled": True, "queue_size": 17},
    }


def test_no_challenge_without_one_of_its_two_switches() -> None:
    assert "OtoroshiChallenge" not in named({**CHALLENGE, "sendStateChallenge": False})
    assert "OtoroshiChallenge" not in named({"sendStateChallenge": True})


def test_strictly_private_asks_users_for_a_key_too() -> None:
    keys = {"strictlyPrivate": True, "publicPatterns": ["/a", "/b"], "privatePatterns": ["/b"]}
    slots = [s for s in shown(keys)["plugins"] if "pikey" in s["plugin"].lower()]
    assert [s["plugin"].removeprefix(NG) for s in slots] == ["ApikeyCalls", "ApikeyCalls"]
    assert [(s["include"], s["exclude"]) for s in slots] == [([], ["/a", "/b"]), (["/b"], [])]
    assert all(s["config"]["mandatory"] and not s["config"]["pass_with_user"] for s in slots)
    private_app = {**keys, "privateApp": True, "authConfigRef": "m"}
    assert slot(private_app, "NgLegacyAuthModuleCall")["config"]["pass_with_apikey"] is False


def test_plugins_come_in_otoroshis_order() -> None:
    every: dict[str, Any] = {"plugins": {"enabled": True, "refs": [f"{NG}StaticResponse"]}}
    for key, rows in SLOTS.items():
        if key != "plugins":
            for keys, *_ in rows:
                every.update(keys)
    every["enforceSecureCommunication"] = True
    assert named(every) == [
        *("ForceHttpsTraffic", "OverrideHost", "HeadersValidation", "MaintenanceMode", "BuildMode"),
        *("DisableHttp10", "ReadOnlyCalls", "OtoroshiHeadersIn", "IpAddressBlockList"),
        *("IpAddressAllowedList", "Redirection", "AdditionalHeadersIn", "AdditionalHeadersOut"),
        *("MissingHeadersIn", "MissingHeadersOut", "RemoveHeadersIn", "RemoveHeadersOut"),
        *("SendOtoroshiHeadersBack", "XForwardedHeaders", "JwtVerification"),
        *("RoutingRestrictions", "OtoroshiChallenge", "Cors", "NgLegacyAuthModuleCall"),
        *("NgLegacyApikeyCall", "GzipResponseCompressor", "CanaryMode", "SnowMonkeyChaos"),
        *("UdpTunnel", "OtoroshiInfos", "StaticResponse"),
    ]


def test_only_optional_plugins_are_left_out_when_they_are_not_there() -> None:
    nothing = Surroundings(lambda _: False, lambda _: None)
    asked = {
        "gzip": {"enabled": True},
        "canary": {"enabled": True},
        "chaosConfig": {"enabled": True},
    }
    converted = convert({**asked, "privateApp": True, "tcpUdpTunneling": True}, nothing)
    names = [s.plugin.removeprefix(NG) for s in converted.route.plugins]
    assert set(names) == ALWAYS | {"NgLegacyAuthModuleCall", "TcpTunnel"}
    assert {p.severity for p in converted.problems} == {"warning"}
    assert len(converted.problems) == len(OPTIONAL)


def test_each_plugin_knows_where_it_comes_from() -> None:
    converted = convert({"cors": {"enabled": True}, "maintenanceMode": True})
    places = {
        slot.plugin.removeprefix(NG): service_path(converted, f"$.plugins[{n}].config.x")
        for n, slot in enumerate(converted.route.plugins)
    }
    assert places == {
        "MaintenanceMode": "$.maintenanceMode",
        "OtoroshiHeadersIn": "$",
        "Cors": "$.cors",
        "NgLegacyApikeyCall": "$.apiKeyConstraints",
    }
    assert service_path(converted, "$.backend.targets[0].x") == "$.targets"
    assert service_path(converted, "$.name") == "$.name"


def test_what_is_here_compiles_and_the_engine_takes_it() -> None:
    here = [
        row[0]
        for key, rows in SLOTS.items()
        if key not in {"privateApp", "authConfigRef", "securityExcludedPatterns"}
        for row in rows
        if row[1] not in {*OPTIONAL, "NgLegacyAuthModuleCall"}
    ]
    for keys in here:
        converted = convert(keys, HERE)
        lowered = RouteCompiler(REGISTRY, Hooks()).compile(converted.route, {})
        assert [p for p in lowered.problems if p.severity == "error"] == [], keys
        _core.Snapshot().apply([lowered.document], [])


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("config.a.b", "c"),
        ("config.a", None),
        ("config.a.b.c", None),
        ("config.x:else", "else"),
        ("env.HOME", "/h"),
        ("config.app.claim.sharedKey", "shared"),
    ],
)
def test_words_of_the_operator_are_resolved(words: str, value: str | None) -> None:
    known = {"config": {"a": {"b": "c"}}, "env": {"HOME": "/h"}}
    assert configured_words(known, "shared")(words) == value


def test_the_configured_shared_key_wins() -> None:
    known = {"config": {"app": {"claim": {"sharedKey": "own"}}}}
    assert configured_words(known, "shared")("config.app.claim.sharedKey") == "own"


def test_keys_of_a_routes_plugins_are_resolved_too() -> None:
    route = read_route(
        {
            "id": "r",
            "name": "r",
            "plugins": [
                {
                    "plugin": f"{NG}OtoroshiInfos",
                    "config": {"algo": {**HS, "secret": "${config.app.claim.sharedKey}"}},
                }
            ],
        }
    )
    known = RouteCompiler(REGISTRY, Hooks(), resolve=configured_words({}, "shared"))
    lowered = known.compile(route, {})
    assert lowered.problems == ()
    assert b'"secret":"shared"' in lowered.document
    unknown = RouteCompiler(REGISTRY, Hooks(), resolve=configured_words({}, None))
    (problem,) = unknown.compile(route, {}).problems
    assert problem.path == "$.plugins[0].config.algo.secret"
    assert b"sharedKey" not in unknown.compile(route, {}).document
    assert check_route(route, {}, REGISTRY) == []
