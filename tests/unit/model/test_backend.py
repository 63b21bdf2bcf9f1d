"""Backends, targets, balancing and client settings in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.backend import (
    BackendSettings,
    LoadBalancing,
    Target,
    backend_template,
    read_backend,
    write_backend,
)
from oto_trio.model.document import read_document, write_document
from oto_trio.model.errors import EntityError


def settings(**raw: Any) -> BackendSettings:
    return read_document(BackendSettings, raw)


def test_an_empty_backend_is_written_with_every_default_in_otoroshis_order() -> None:
    assert list(write_document(settings()).items()) == [
        ("targets", []),
        ("root", "/"),
        ("rewrite", False),
        ("load_balancing", {"type": "RoundRobin"}),
        (
            "client",
            {
                "retries": 1,
                "max_errors": 20,
                "retry_initial_delay": 50,
                "backoff_factor": 2,
                "call_timeout": 30000,
                "call_and_stream_timeout": 120000,
                "connection_timeout": 10000,
                "idle_timeout": 60000,
                "global_timeout": 30000,
                "sample_interval": 2000,
                "proxy": {},
                "custom_timeouts": [],
                "cache_connection_settings": {"enabled": False, "queue_size": 2048},
            },
        ),
        ("health_check", None),
    ]


def test_a_target_is_written_with_every_default() -> None:
    target = read_document(Target, {"hostname": "h", "port": 80})
    assert write_document(target) == {
        "id": "http://h:80",
        "hostname": "h",
        "port": 80,
        "tls": False,
        "weight": 1,
        "backup": False,
        "predicate": {"type": "AlwaysMatch"},
        "protocol": "HTTP/1.1",
        "ip_address": None,
        "tls_config": {
            "certs": [],
            "trusted_certs": [],
            "enabled": False,
            "loose": False,
            "trust_all": False,
        },
    }


def test_the_id_of_a_target_comes_from_its_address() -> None:
    raw = {"hostname": "h", "port": 8443, "tls": True, "ip_address": "10.0.0.1"}
    assert read_document(Target, raw).id == "https://h@10.0.0.1:8443"
    assert read_document(Target, {**raw, "id": "mine"}).id == "mine"


@pytest.mark.parametrize(
    ("url", "hostname", "port", "tls", "root"),
    [
        ("http://h", "h", 80, False, "/"),
        ("https://h/a/b", "h", 443, True, "/a/b"),
        ("http://h:9000/", "h", 9000, False, "/"),
        ("h:9000", "h", 9000, False, "/"),
        ("http://[::1]:9000", "::1", 9000, False, "/"),
    ],
)
@pytest.mark.parametrize("key", ["url", "target", "target_url"])
def test_a_url_makes_one_target(
    key: str, url: str, hostname: str, port: int, tls: bool, root: str
) -> None:
    backend = settings(**{key: url})
    assert [(t.hostname, t.port, t.tls) for t in backend.targets] == [(hostname, port, tls)]
    assert backend.root == root


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h:99999", "http://[::1", ""])
def test_a_url_that_is_none_is_an_error_that_shows_one(url: str) -> None:
    with pytest.raises(EntityError) as caught:
        settings(url=url)
    assert [p.path for p in caught.value.problems] == ["$.url"]
    assert "http://host:port" in caught.value.problems[0].fix


def test_a_single_certificate_id_is_accepted() -> None:
    for key in ("certId", "cert_id"):
        target = read_document(Target, {"hostname": "h", "port": 1, "tls_config": {key: "c"}})
        assert target.tls_config.certs == ("c",)


@pytest.mark.parametrize("spelling", ["http/2.0", "HTTP/2.0", "Http/2.0"])
def test_the_protocol_is_read_in_any_case(spelling: str) -> None:
    target = read_document(Target, {"hostname": "h", "port": 1, "protocol": spelling})
    assert target.protocol == "HTTP/2.0"


def test_an_unknown_protocol_predicate_or_balancing_falls_back() -> None:
    raw = {
        "hostname": "h",
        "port": 1,
        "protocol": "SPDY",
        "predicate": {"type": "Moon"},
    }
    backend = settings(targets=[raw], load_balancing={"type": "Best"})
    assert backend.targets[0].protocol == "HTTP/1.1"
    assert backend.targets[0].predicate.type == "AlwaysMatch"
    assert backend.load_balancing.type == "RoundRobin"


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ({"type": "Random"}, {"type": "Random"}),
        ({"type": "WeightedBestResponseTime"}, {"type": "WeightedBestResponseTime", "ratio": 0.5}),
        ({"type": "HeaderHash"}, {"type": "HeaderHash", "header_name": "session-id"}),
        (
            {"type": "CookieHash", "cookie_name": "c"},
            {"type": "CookieHash", "cookie_name": "c"},
        ),
        ({"type": "QueryHash"}, {"type": "QueryHash", "query_name": "session-id"}),
    ],
)
def test_balancing_keeps_its_options(raw: dict[str, Any], written: dict[str, Any]) -> None:
    assert write_document(read_document(LoadBalancing, raw)) == written


def test_a_network_predicate_is_written_with_its_nulls() -> None:
    raw = {"hostname": "h", "port": 1, "predicate": {"type": "NetworkLocationMatch", "zone": "z"}}
    assert write_document(read_document(Target, raw))["predicate"] == {
        "type": "NetworkLocationMatch",
        "provider": None,
        "region": None,
        "zone": "z",
        "dc": None,
        "rack": None,
    }


def test_positions_of_a_geolocation_predicate_round_trip() -> None:
    predicate = {"type": "GeolocationMatch", "positions": ["48.8;2.3;50"]}
    raw = {"hostname": "h", "port": 1, "predicate": predicate}
    assert write_document(read_document(Target, raw))["predicate"] == predicate


def test_a_proxy_with_a_host_is_written_with_its_nulls() -> None:
    written = write_document(settings(client={"proxy": {"host": "p", "port": 3128}}))
    assert written["client"]["proxy"] == {
        "host": "p",
        "port": 3128,
        "protocol": None,
        "principal": None,
        "password": None,
        "ntlmDomain": None,
        "encoding": None,
        "nonProxyHosts": None,
    }


def test_custom_timeouts_have_defaults_and_a_blank_path_means_all() -> None:
    backend = settings(
        client={"custom_timeouts": [{"path": "  "}, {"path": "/a", "idle_timeout": 1}]}
    )
    first, second = backend.client.custom_timeouts
    assert write_document(first) == {
        "path": "*",
        "call_timeout": 30000,
        "call_and_stream_timeout": 3600000,
        "connection_timeout": 10000,
        "idle_timeout": 60000,
        "global_timeout": 30000,
    }
    assert (second.path, second.idle_timeout) == ("/a", 1)


def test_health_checks_are_camel_case() -> None:
    assert write_document(settings(health_check={"blockOnRed": True}))["health_check"] == {
        "enabled": False,
        "url": "",
        "timeout": 5000,
        "healthyStatuses": [],
        "unhealthyStatuses": [],
        "blockOnRed": True,
        "logicCheck": True,
        "healthyRegexChecks": [],
        "unhealthyRegexChecks": [],
    }


def test_a_stored_backend_needs_id_name_and_backend() -> None:
    with pytest.raises(EntityError) as caught:
        read_backend({})
    assert [p.path for p in caught.value.problems] == ["$.id", "$.name", "$.backend"]


def test_the_template_is_otoroshis() -> None:
    written = write_backend(backend_template())
    assert list(written) == ["_loc", "id", "name", "description", "tags", "metadata", "backend"]
    assert written["id"].startswith("backend_")
    assert (written["name"], written["backend"]["targets"]) == ("New backend", [])
