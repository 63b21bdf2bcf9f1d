"""NgUserAgentExtractor, and the facts it finds."""

import logging
import time

import pytest

from oto_trio.plugin_api.user_agents import parse_user_agent, user_agent_info
from oto_trio.plugins.other.ng_user_agent_extractor import (
    NgUserAgentExtractor,
    NgUserAgentExtractorConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = (
    f"{MOZILLA} (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
)

MAC = f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
            ("Chrome", "Browser", "124", "Desktop", "Win10", "10.0"),
        ),
        (
            f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51",
            ("Edge", "Browser", "124", "Desktop", "Win10", "10.0"),
        ),
        (
            f"{MOZILLA} (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
            ("Firefox", "Browser", "125", "Desktop", "Linux", "Unknown"),
        ),
        (
            f"{MAC} Version/17.4.1 Safari/605.1.15",
            ("Safari", "Browser", "17", "Desktop", "MacOSX", "10.15"),
        ),
        (
            f"{IPHONE} Version/17.4 Mobile/15E148 Safari/604.1",
            ("Safari", "Browser", "17", "Mobile Phone", "iOS", "17.4"),
        ),
        (
            f"{IPHONE} CriOS/124.0.6367.62 Mobile/15E148 Safari/604.1",
            ("Chrome", "Browser", "124", "Mobile Phone", "iOS", "17.4"),
        ),
        (
            f"{MOZILLA} (Linux; Android 14; Pixel 8) {WEBKIT} Chrome/124.0.0.0 Mobile Safari/537.36",
            ("Chrome", "Browser", "124", "Mobile Phone", "Android", "14"),
        ),
        (
            f"{MOZILLA} (Linux; Android 13; SM-X700) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
            ("Chrome", "Browser", "124", "Tablet", "Android", "13"),
        ),
        (
            f"{MOZILLA} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ("Google Bot", "Bot/Crawler", "2", "Unknown", "Unknown", "Unknown"),
        ),
        (
            f"{MOZILLA} (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
            ("IE", "Browser", "11", "Desktop", "Win7", "6.1"),
        ),
        ("curl/8.5.0", ("cURL", "Application", "8", "Unknown", "Unknown", "Unknown")),
        ("", ("Unknown",) * 6),
    ],
)
def test_browsers_are_told_apart(text: str, facts: tuple[str, ...]) -> None:
    names = dict(parse_user_agent(""))
    assert parse_user_agent(text) == tuple(zip(names, facts, strict=True))


async def test_the_facts_are_left_for_others(caplog: pytest.LogCaptureFixture) -> None:
    plugin = NgUserAgentExtractor(NgUserAgentExtractorConfig(log=True))
    exchange = FakeExchange(FakeRequest(headers=[("user-agent", "curl/8.5.0")]))
    with caplog.at_level(logging.INFO):
        assert await play(plugin, exchange) is None
    assert (user_agent_info(exchange) or {})["browser"] == "cURL"
    assert exchange.context["useragent.browserMajorVersion"] == "8"
    assert "cURL" in caplog.text


async def test_without_the_field_there_is_nothing() -> None:
    exchange = FakeExchange()
    assert await play(NgUserAgentExtractor(NgUserAgentExtractorConfig()), exchange) is None
    assert user_agent_info(exchange) is None
    assert exchange.context == {}


def test_hostile_texts_cost_little() -> None:
    began = time.thread_time()
    for text in (
        "Android " * 64,
        "Trident/" * 64,
        "bot" * 170,
        "Windows Phone " * 36,
        "iPad" * 128,
    ):
        parse_user_agent(text[:512])
    assert time.thread_time() - began < 0.2
