"""NgApikeyMandatoryTags."""

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Refusal
from oto_trio.plugins.access_control.ng_apikey_mandatory_tags import (
    NgApikeyMandatoryTags,
    NgApikeyMandatoryTagsConfig,
)
from oto_trio.testing import FakeExchange, play

KEY = ApiKey.read(
    b'{"clientId":"c","clientSecret":"s","clientName":"n","tags":["a","b"],"metadata":{"k":"v"}}'
)
HELD = NgApikeyMandatoryTags(NgApikeyMandatoryTagsConfig(tags=("a",)))
MISSING = NgApikeyMandatoryTags(NgApikeyMandatoryTagsConfig(tags=("a", "z")))


def exchange(key: ApiKey | None) -> FakeExchange:
    made = FakeExchange.of("GET", "http://api.localhost/")
    made.apikey = key
    return made


async def test_a_key_must_carry_them_all() -> None:
    assert await play(HELD, exchange(KEY)) is None
    assert await play(MISSING, exchange(KEY)) == Refusal(
        403, "forbidden", "errors.no.matching.tags"
    )


async def test_without_a_key_everybody_passes() -> None:
    assert await play(MISSING, exchange(None)) is None
