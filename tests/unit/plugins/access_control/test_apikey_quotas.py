"""ApikeyQuotas; that it counts is tested with its native twin."""

from oto_trio.plugin_api import Native, Phase
from oto_trio.plugins.access_control.apikey_quotas import ApikeyQuotas
from oto_trio.testing import FakeExchange, play


async def test_without_a_key_nothing_happens() -> None:
    assert await play(ApikeyQuotas(None), FakeExchange.of("GET", "http://api.localhost/")) is None


def test_it_is_native() -> None:
    assert ApikeyQuotas(None).lower() == (Native("apikey_quotas", Phase.ACCESS),)
