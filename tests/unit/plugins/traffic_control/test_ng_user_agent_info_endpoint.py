"""NgUserAgentInfoEndpoint."""

import msgspec
import pytest

from oto_trio.plugin_api import Response
from oto_trio.plugin_api.user_agents import ATTRIBUTE
from oto_trio.plugins.traffic_control.ng_user_agent_info_endpoint import NgUserAgentInfoEndpoint
from oto_trio.testing import FakeExchange, play

URL = "http://api.localhost/.well-known/otoroshi/plugins/user-agent"


async def test_one_path_shows_what_was_found() -> None:
    exchange = FakeExchange.of("GET", URL)
    exchange.attrs[ATTRIBUTE] = {"browser": "cURL"}
    answer = await play(NgUserAgentInfoEndpoint(None), exchange)
    assert isinstance(answer, Response)
    assert (answer.status, msgspec.json.decode(answer.body)) == (200, {"browser": "cURL"})


@pytest.mark.parametrize(("method", "url"), [("POST", URL), ("GET", URL + "/x")])
async def test_other_requests_pass(method: str, url: str) -> None:
    exchange = FakeExchange.of(method, url)
    exchange.attrs[ATTRIBUTE] = {"browser": "cURL"}
    assert await play(NgUserAgentInfoEndpoint(None), exchange) is None


async def test_without_facts_the_backend_is_asked() -> None:
    assert await play(NgUserAgentInfoEndpoint(None), FakeExchange.of("GET", URL)) is None
