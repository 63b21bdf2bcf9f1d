"""What listeners of entities and of the settings ask for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from oto_trio.control.supervisor.http_listeners import wanted_by_http_listener, wanted_by_settings
from oto_trio.control.supervisor.listeners import WantedListener
from oto_trio.gateway.frames import ListenerWays

CASES: list[tuple[dict[str, Any], ListenerWays]] = [
    ({}, ListenerWays(secured=True, client_auth="None", http2=True)),
    ({"http2": False, "h2c": True}, ListenerWays(secured=True, client_auth="None")),
    ({"clientAuth": "Need"}, ListenerWays(secured=True, client_auth="Need", http2=True)),
    ({"http1": False}, ListenerWays(secured=True, client_auth="None", http1=False, http2=True)),
    ({"tls": False}, ListenerWays(client_auth="None")),
    ({"tls": False, "h2c": True}, ListenerWays(client_auth="None", http2=True)),
    (
        {"exclusive": True},
        ListenerWays(secured=True, client_auth="None", http2=True, exclusive=True),
    ),
    (
        {"tls": False, "accessLog": True},
        ListenerWays(client_auth="None", access_log=True),
    ),
]


@pytest.mark.parametrize(("config", "ways"), CASES)
def test_entities_and_settings_ask_for_the_same(config: dict[str, Any], ways: ListenerWays) -> None:
    ways = msgspec.structs.replace(ways, exposed_port=81)
    expected = WantedListener("l", "::", 81, ways)
    body = {"host": "[::]", "port": 81, "enabled": True, **config}
    entity = {"id": "l", "name": "l", "description": "", "config": body}
    assert wanted_by_http_listener(json.dumps(entity).encode()) == (expected,)
    row = {"id": "l", "host": "[::]", "port": 81, **config}
    assert wanted_by_settings([row]) == ({"l": (expected,)}, [])
    # It is the place that has a socket, whatever is spoken there.
    assert expected.place == WantedListener("l", "::", 81)
    off = {"id": "l", "name": "l", "description": "", "config": {**body, "enabled": False}}
    assert wanted_by_http_listener(json.dumps(off).encode()) == ()
    assert wanted_by_settings([{**row, "enabled": False}]) == ({}, [])


@pytest.mark.parametrize("has_tcp", [True, False])
def test_a_listener_with_http3_asks_for_a_port_of_udp_beside_that_of_tcp(has_tcp: bool) -> None:
    row = {
        "id": "l",
        "port": 81,
        "exposedPort": 443,
        "http1": False,
        "http2": has_tcp,
        "http3": True,
        "clientAuth": "Want",
        "exclusive": True,
    }
    ways = ListenerWays(True, "Want", http1=False, exclusive=True, exposed_port=443)
    datagrams = WantedListener("l", "0.0.0.0", 81, ways, is_datagrams=True)
    stream = msgspec.structs.replace(
        datagrams, ways=msgspec.structs.replace(ways, http2=True), is_datagrams=False
    )
    expected = (stream, datagrams) if has_tcp else (datagrams,)
    assert wanted_by_settings([row]) == ({"l": expected}, [])
    assert datagrams.place != stream.place


def test_there_is_no_http3_without_tls(caplog: pytest.LogCaptureFixture) -> None:
    wanted, problems = wanted_by_settings([{"id": "l", "tls": False, "http3": True}])
    assert [it.is_datagrams for it in wanted["l"]] == [False]
    assert not problems
    assert "set tls to true" in caplog.text
    row = {"id": "l", "tls": False, "http1": False, "http3": True}
    assert "http1 and h2c are all false" in wanted_by_settings([row])[1][0].message


@pytest.mark.parametrize(
    ("row", "path", "told"),
    [
        ({"port": 81}, "[1].id", "has to have an id"),
        ({"id": ""}, "[1].id", "has to have an id"),
        ({"id": "first"}, "[1].id", "has to have an id"),
        ({"id": "l", "prot": 81}, "[1].prot", "there is no such key"),
        ({"id": "l", "port": 0}, "[1].port", "at least 1"),
        ({"id": "l", "http1": "no"}, "[1].http1", "true or false"),
        ({"id": "l", "clientAuth": "Maybe"}, "[1].clientAuth", "Need"),
        ({"id": "l", "tls": False, "http1": False}, "[1].http1", "nothing is spoken"),
        ({"id": "l", "host": "nowhere"}, "[1].host", "is no address to listen on"),
    ],
)
def test_a_mistake_in_the_settings_is_an_error_that_says_where(
    row: dict[str, Any], path: str, told: str
) -> None:
    _, problems = wanted_by_settings([{"id": "first"}, row])
    assert [problem.path for problem in problems] == [path]
    assert told in f"{problems[0].message} {problems[0].fix}"
    assert problems[0].severity == "error"
