"""Cors."""

import pytest

from oto_trio.plugin_api import PluginError, Refusal, Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.cors import Cors, CorsConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play

CONFIG = CorsConfig(
    allow_origin="https://app.example",
    expose_headers=("X-Total",),
    allow_headers=("X-One",),
    allow_methods=("GET", "PUT"),
    excluded_patterns=("/public/.*",),
    max_age=60,
)
FIELDS = (
    ("Access-Control-Allow-Origin", "https://app.example"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "x-total"),
    ("Access-Control-Allow-Headers", "x-one"),
    ("Access-Control-Allow-Methods", "GET, PUT"),
    ("Access-Control-Max-Age", "60"),
)
ASKED = {
    "Origin": "https://APP.example",
    "Access-Control-Request-Method": "put",
    "Access-Control-Request-Headers": "x-one, X-ONE",
}
REFUSED = Refusal(404, "Cors error", "errors.cors.error")


async def test_an_allowed_preflight_is_answered() -> None:
    exchange = FakeExchange.of("OPTIONS", "http://api.localhost/a", ASKED)
    assert await play(Cors(CONFIG), exchange) == Response(204, FIELDS)


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "https://other.example"},
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Headers": "x-one, x-two"},
    ],
)
async def test_any_other_preflight_is_refused_and_marked(changed: dict[str, str]) -> None:
    exchange = FakeExchange.of("OPTIONS", "http://api.localhost/a", ASKED | changed)
    assert await play(Cors(CONFIG), exchange) == REFUSED
    assert exchange.response is not None
    assert exchange.response.headers.items() == list(FIELDS)


@pytest.mark.parametrize(
    ("credentials", "answer"),
    [({}, 204), ({"Cookie": "a=b"}, 404), ({"Authorization": "x"}, 404)],
)
async def test_a_star_allows_all_headers_without_credentials(
    credentials: dict[str, str], answer: int
) -> None:
    plugin = Cors(CorsConfig(allow_headers=("*",), allow_methods=("PUT",)))
    exchange = FakeExchange.of("OPTIONS", "http://api.localhost/", ASKED | credentials)
    given = await play(plugin, exchange)
    assert isinstance(given, Response | Refusal)
    assert given.status == answer


async def test_every_answer_is_marked() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/a")
    backend = FakeResponseHead(200, {"Access-Control-Allow-Origin": "*"})
    assert await play(Cors(CONFIG), exchange, backend) is None
    assert backend.headers.items() == list(FIELDS)


async def test_excluded_paths_are_left_alone() -> None:
    exchange = FakeExchange.of("OPTIONS", "http://api.localhost/public/a", ASKED)
    assert await play(Cors(CONFIG), exchange) is None
    assert exchange.response is not None
    assert exchange.response.headers.items() == []


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(PluginError, match="unclosed group"):
        read_config(CorsConfig, {"excluded_patterns": ["("]})
