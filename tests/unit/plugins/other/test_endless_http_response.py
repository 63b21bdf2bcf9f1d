"""EndlessHttpResponse: whom it takes; that it does not end, the engine's tests show."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.other.endless_http_response import (
    EndlessHttpResponse,
    EndlessHttpResponseConfig,
)
from oto_trio.testing import FakeExchange, play

ZEROS = Response(200, (("Content-Type", "application/octet-stream"),), bytes(18))


def plugin(**config: Any) -> EndlessHttpResponse:
    return EndlessHttpResponse(read_config(EndlessHttpResponseConfig, config))


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ({}, None),
        ({"addresses": ["192.0.2.0/24"]}, ZEROS),
        ({"addresses": ["192.0.2.*"], "is_debug": True}, ZEROS),
        ({"addresses": ["10.0.0.7"], "is_debug": True}, None),
        ({"is_debug": True}, ZEROS),
    ],
)
async def test_listed_addresses_get_it(config: dict[str, Any], answer: Response | None) -> None:
    assert await play(plugin(**config), FakeExchange()) == answer


async def test_it_may_be_rude_and_is_native() -> None:
    rude = plugin(finger=True, is_debug=True)
    answer = await play(rude, FakeExchange())
    assert isinstance(answer, Response)
    assert answer.body.decode() == "\U0001f595" * 16
    assert rude.lower() == (steps.Native("endless", Phase.TRANSFORM_REQUEST, rude.config),)


def test_what_is_no_address_is_named() -> None:
    with pytest.raises(PluginError, match=r"addresses\[1\]"):
        read_config(EndlessHttpResponseConfig, {"addresses": ["10.0.0.7", "here"]})
