"""NgExpectedConsumer."""

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Refusal
from oto_trio.plugins.authentication.ng_expected_consumer import NgExpectedConsumer
from oto_trio.testing import FakeExchange, play

KEY = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n"}')


async def test_a_key_or_a_user_passes_and_nobody_else() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/")
    plugin = NgExpectedConsumer(None)
    assert await play(plugin, exchange) == Refusal(
        401, "You're not authorized here !", "errors.auth.unauthorized"
    )
    exchange.user = {"email": "a@b.test"}
    assert await play(plugin, exchange) is None
    exchange.user, exchange.apikey = None, KEY
    assert await play(plugin, exchange) is None
