"""Robots."""

from oto_trio.plugin_api import Response
from oto_trio.plugins.other.robots import Robots, RobotsConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play

TEXT = Response(200, (("Content-Type", "text/plain"),), b"User-agent: *\nDisallow: /\n")


async def test_crawlers_get_their_file() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/robots.txt")
    assert await play(Robots(RobotsConfig()), exchange) == TEXT


async def test_responses_are_marked() -> None:
    backend = FakeResponseHead(200, {"X-Robots-Tag": "all"})
    assert await play(Robots(RobotsConfig()), FakeExchange(), backend) is None
    assert backend.headers.items() == [("X-Robots-Tag", "noindex, nofollow, noarchive")]


async def test_what_is_off_is_left_to_the_backend() -> None:
    plugin = Robots(RobotsConfig(robot_txt_enabled=False, header_enabled=False))
    exchange = FakeExchange.of("GET", "http://api.localhost/robots.txt")
    backend = FakeResponseHead(200, {"X-Robots-Tag": "all"})
    assert await play(plugin, exchange, backend) is None
    assert backend.headers.items() == [("X-Robots-Tag", "all")]
