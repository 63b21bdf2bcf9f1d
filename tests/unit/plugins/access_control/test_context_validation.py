"""ContextValidation."""

from typing import Any

import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import PluginError, Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.context_validation import (
    ContextValidation,
    ContextValidationConfig,
)
from oto_trio.testing import FakeExchange, play


def plugin(*validators: dict[str, Any]) -> ContextValidation:
    config = read_config(ContextValidationConfig, {"validators": list(validators)})
    return ContextValidation(config)


@pytest.mark.parametrize(
    ("path", "value", "holds"),
    [
        ("$.request.method", "POST", True),
        ("$.req.path", "Regex(/a/[0-9]+)", True),
        ("$.request.query.page", "2", True),
        ("$.request.headers.X-Kind", "ContainedIn(a, b)", True),
        ("$.request.cookies[?(@.name == 'c')].value", "Contains(d)", True),
        ("$.request.domain", "Not(api.test)", False),
        ("$.request.tls", True, True),
        ("$.request.tls", "true", True),
        ("$.user", None, True),
        ("$.apikey.clientId", "c", True),
        ("$.apikey.clientSecret", "NotDefined()", True),
        ("$.token.payload.sub", "bob", True),
        ("$.token.payload.scope", "Contains(write)", True),
        ("$.token.payload.scope[?(@ == 'admin')]", False, True),
        ("$.route.id", "route_1", True),
        ("$.global_config.colour", "blue", True),
        ("$.config.validators", "Size(1)", True),
        ("$.nowhere", "IsDefined()", False),
        ("$.nowhere", "x", False),
    ],
)
async def test_a_validator_looks_into_the_context(path: str, value: object, holds: bool) -> None:
    fields = {"X-Kind": "b", "Cookie": "a=b; c=d"}
    exchange = FakeExchange.of("POST", "https://api.test/a/7?page=2", fields)
    exchange.token = {"header": {}, "payload": {"sub": "bob", "scope": ["read", "write"]}}
    exchange.plugins_config = {"colour": "blue"}
    exchange.apikey = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n"}')
    answer = await play(plugin({"path": path, "value": value}), exchange)
    assert answer == (None if holds else Refusal(403, "forbidden"))


async def test_every_validator_must_hold() -> None:
    right = {"path": "$.request.method", "value": "GET"}
    wrong = {"path": "$.request.method", "value": "PUT"}
    exchange = FakeExchange()
    assert await play(plugin(), exchange) is None
    assert await play(plugin(right, right), exchange) is None
    assert await play(plugin(right, wrong), exchange) == Refusal(403, "forbidden")


@pytest.mark.parametrize(
    ("validator", "words"),
    [
        ({"path": "$.[", "value": 1}, r"validators\[0\]\.path: not a JSONPath"),
        ({"path": "$.a", "value": "Regex(()"}, r"validators\[0\]\.value: not a pattern"),
        ({"path": "$.a", "value": "Contains(Regex(())"}, r"validators\[0\]\.value: not a pattern"),
        ({"value": 1}, "path"),
    ],
)
def test_nonsense_is_named_when_the_config_is_read(validator: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        plugin(validator)
