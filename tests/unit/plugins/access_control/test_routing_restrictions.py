"""RoutingRestrictions."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.routing_restrictions import (
    RoutingRestrictions,
    RoutingRestrictionsConfig,
)
from oto_trio.testing import FakeExchange, play

HIDDEN = Refusal(404, "Not Found", "errors.not.found")
FORBIDDEN = Refusal(403, "Forbidden", "errors.forbidden")
LISTS: dict[str, Any] = {
    "allowed": [{"method": "get", "path": "/open/.*"}],
    "forbidden": [{"method": "DELETE", "path": "/.*"}, {"method": "*", "path": "x[.]test/.*"}],
    "not_found": [{"method": "*", "path": "/hidden"}],
}


def plugin(**config: Any) -> RoutingRestrictions:
    return RoutingRestrictions(read_config(RoutingRestrictionsConfig, config))


@pytest.mark.parametrize(
    ("allow_last", "method", "url", "answer"),
    [
        (True, "GET", "http://api.test/other", None),
        (True, "DELETE", "http://api.test/open/a", FORBIDDEN),
        (True, "GET", "http://x.test/open/a", FORBIDDEN),
        (True, "DELETE", "http://api.test/hidden", HIDDEN),
        (True, "GET", "http://api.test/hidden/more", None),
        (False, "GET", "http://x.test/open/a", None),
        (False, "DELETE", "http://api.test/open/a", FORBIDDEN),
        (False, "GET", "http://api.test/other", HIDDEN),
    ],
)
async def test_lists_decide_in_their_order(
    allow_last: bool, method: str, url: str, answer: Refusal | None
) -> None:
    exchange = FakeExchange.of(method, url, {"Accept": "*/*"})
    restricted = plugin(allow_last=allow_last, **LISTS)
    assert await play(restricted, exchange) == answer
    native = steps.Native("routing_restrictions", Phase.ACCESS, restricted.config)
    assert restricted.lower() == (native,)


async def test_a_browser_gets_an_empty_page() -> None:
    exchange = FakeExchange.of("GET", "http://api.test/hidden", {"Accept": "text/html"})
    answer = await play(plugin(**LISTS), exchange)
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (404, b"")
    assert dict(answer.headers)["Otoroshi-Error-Msg"] == "Not Found"


def test_a_bad_pattern_is_named_when_the_config_is_read() -> None:
    with pytest.raises(
        PluginError, match=r"forbidden\[0\]\.path: a look-around|forbidden\[0\]\.path"
    ):
        plugin(forbidden=[{"method": "*", "path": "/(?=a)"}])
