"""MockResponses."""

from typing import Any

import pytest

from oto_trio.plugin_api import PluginError, Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.traffic_control.mock_responses import MockResponses, MockResponsesConfig
from oto_trio.testing import FakeExchange, play

RESPONSES = [
    {"path": "/", "body": "root"},
    {"path": "/users", "method": "post", "status": 201, "headers": {"X-A": "b", "": "x"}},
    {"path": "/users/:id", "body": "user ${req.pathparams.id}"},
    {"path": "/users/me", "body": "never"},
    {"path": "/raw/:id", "body": "Base64(AAE=)"},
    {
        "path": "/x/:a/:b",
        "body": "${req.pathparams.b} ${req.pathparams.v} ${req.pathparams.n} ${req.pathparams.n:d} "
        "${req.method} ${route.id} ${nothing || req.path}",
    },
    {"path": "/evil/:a", "body": "${req.pathparams.a}"},
]


async def answer(method: str, path: str, **config: Any) -> Any:
    settings = read_config(MockResponsesConfig, {"responses": RESPONSES, **config})
    exchange = FakeExchange.of(method, f"http://api.localhost{path}")
    exchange.matched_path, exchange.path_params = "/v1", {"v": "v1"}
    return await play(MockResponses(settings), exchange)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/", Response(200, (), b"root")),
        ("POST", "/v1/users", Response(201, (("X-A", "b"),), b"")),
        ("GET", "/v1/users/7", Response(200, (), b"user 7")),
        ("GET", "/v1/users/me", Response(200, (), b"user me")),
        ("GET", "/v1/raw/1", Response(200, (), b"\x00\x01")),
        ("GET", "/v1/x/1/2", Response(200, (), b"2 v1 no-path-param-n d GET route_1 /v1/x/1/2")),
        ("GET", "/v1/evil/${req.method}", Response(200, (), b"${req.method}")),
        ("GET", "/v1/users", None),
        ("GET", "/v1/users/7/8", None),
        ("DELETE", "/v1/", None),
    ],
)
async def test_the_first_endpoint_that_matches_answers(
    method: str, path: str, expected: Response | None
) -> None:
    assert await answer(method, path) == expected


async def test_without_pass_through_the_others_get_404() -> None:
    refused = await answer("GET", "/v1/nothing", pass_through=False)
    assert refused.status == 404
    assert refused.body == b'{"error":"resource not found !"}'
    assert ("Content-Type", "application/json") in refused.headers


def test_form_data_of_otoroshis_console_is_ignored() -> None:
    assert read_config(MockResponsesConfig, {"form_data": {"x": 1}}) == MockResponsesConfig()


def test_a_body_that_is_no_base64_is_refused_with_its_place() -> None:
    with pytest.raises(PluginError, match=r"\$\.responses\[1\]: the body is no base64"):
        read_config(MockResponsesConfig, {"responses": [{}, {"body": "Base64(*)"}]})
