"""ForceHttpsTraffic."""

import pytest

from oto_trio.plugin_api import Response, steps
from oto_trio.plugins.traffic_control.force_https_traffic import ForceHttpsTraffic
from oto_trio.testing import FakeExchange, play

PLUGIN = ForceHttpsTraffic(None)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://API.localhost:8080/a/b?c=d", "https://api.localhost/a/b?c=d"),
        ("http://api.localhost", "https://api.localhost/"),
    ],
)
async def test_plain_http_is_sent_to_https(url: str, location: str) -> None:
    answer = await play(PLUGIN, FakeExchange.of("GET", url))
    assert answer == Response(303, (("Location", location),))


async def test_https_passes() -> None:
    assert await play(PLUGIN, FakeExchange.of("GET", "https://api.localhost/")) is None


def test_it_is_native() -> None:
    assert PLUGIN.lower() == (steps.ForceHttps(),)
