"""NgUserAgentInfoHeader."""

from oto_trio.plugin_api.user_agents import ATTRIBUTE
from oto_trio.plugins.headers.ng_user_agent_info_header import (
    NgUserAgentInfoHeader,
    NgUserAgentInfoHeaderConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play


async def test_the_header_says_what_was_found() -> None:
    exchange = FakeExchange(FakeRequest(headers=[("x-info", "forged")]))
    exchange.attrs[ATTRIBUTE] = {"browser": "cURL"}
    plugin = NgUserAgentInfoHeader(NgUserAgentInfoHeaderConfig(header_name="X-Info"))
    assert await play(plugin, exchange) is None
    assert exchange.request.headers.get_all("x-info") == ['{"browser":"cURL"}']


async def test_a_client_cannot_say_it_itself() -> None:
    exchange = FakeExchange(FakeRequest(headers=[("X-User-Agent-Info", "forged")]))
    assert await play(NgUserAgentInfoHeader(NgUserAgentInfoHeaderConfig()), exchange) is None
    assert "X-User-Agent-Info" not in exchange.request.headers
