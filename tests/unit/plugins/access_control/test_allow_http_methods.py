"""AllowHttpMethods."""

import pytest

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.access_control.allow_http_methods import (
    AllowHttpMethods,
    AllowHttpMethodsConfig,
)
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(405, "Method not allowed", "errors.method.not.allowed")


@pytest.mark.parametrize(
    ("allowed", "forbidden", "method", "answer"),
    [
        ((), (), "GET", REFUSED),
        (("GET",), (), "GET", None),
        (("get",), (), "GET", None),
        (("GET",), (), "POST", REFUSED),
        (("GET", "POST"), ("post",), "POST", REFUSED),
        ((), ("POST",), "GET", REFUSED),
    ],
)
async def test_a_method_must_be_allowed_and_not_forbidden(
    allowed: tuple[str, ...], forbidden: tuple[str, ...], method: str, answer: Refusal | None
) -> None:
    plugin = AllowHttpMethods(AllowHttpMethodsConfig(allowed, forbidden))
    assert await play(plugin, FakeExchange.of(method, "http://api.localhost/")) == answer
    assert plugin.lower() == (steps.AllowMethods(allowed, forbidden),)
