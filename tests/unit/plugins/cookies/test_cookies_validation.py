"""CookiesValidation."""

import pytest

from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugins.cookies.cookies_validation import CookiesValidation, CookiesValidationConfig
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(400, "bad request")


@pytest.mark.parametrize(
    ("cookies", "answer"),
    [
        ("a=1; b=2", None),
        ('b="2"; a=1; c=3', None),
        ("a=1", REFUSED),
        ("a=1; b=3", REFUSED),
        ("a=1; b=2; b=3", REFUSED),
        ("a=1; b=2; b=2", None),
        ("a=1; B=2", REFUSED),
        ("", REFUSED),
    ],
)
async def test_every_cookie_must_have_its_value(cookies: str, answer: Refusal | None) -> None:
    config = CookiesValidationConfig({"a": "1", "b": "2"})
    plugin = CookiesValidation(config)
    exchange = FakeExchange.of("GET", "http://api.localhost/", {"Cookie": cookies})
    assert await play(plugin, exchange) == answer
    assert plugin.lower() == (steps.Native("require_cookies", Phase.ACCESS, config),)


async def test_without_expectations_everything_passes() -> None:
    assert await play(CookiesValidation(CookiesValidationConfig()), FakeExchange()) is None
