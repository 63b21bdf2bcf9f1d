"""SecurityHeadersPlugin."""

from typing import Any

import pytest

from oto_trio.plugin_api import PluginError
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.security.security_headers_plugin import (
    SecurityHeadersPlugin,
    SecurityHeadersPluginConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, play

ALL = {
    "frame_options": "DENY",
    "xss_protection": "BLOCK",
    "content_type_options": True,
    "hsts": {"enabled": True, "include_subdomains": True, "preload": True},
    "csp": {"mode": "ENABLED", "csp": "default-src 'self'"},
    "referrer_policy": "no-referrer",
    "permissions_policy": {"enabled": True, "policy": "camera=()"},
}
EXPECTED = [
    ("X-Frame-Options", "DENY"),
    ("X-XSS-Protection", "1; mode=block"),
    ("X-Content-Type-Options", "nosniff"),
    ("Strict-Transport-Security", "max-age=3600; includeSubDomains; preload"),
    ("Content-Security-Policy", "default-src 'self'"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=()"),
]


async def answered(
    config: dict[str, Any], url: str, backend: FakeResponseHead
) -> list[tuple[str, str]]:
    plugin = SecurityHeadersPlugin(read_config(SecurityHeadersPluginConfig, config))
    assert await play(plugin, FakeExchange.of("GET", url), backend) is None
    return backend.headers.items()


async def test_every_header_is_sent() -> None:
    assert await answered(ALL, "https://a.localhost/", FakeResponseHead()) == EXPECTED


async def test_hsts_is_for_https_unless_told_otherwise() -> None:
    plain = [field for field in EXPECTED if not field[0].startswith("Strict")]
    assert await answered(ALL, "http://a.localhost/", FakeResponseHead()) == plain
    told = {"hsts": {"enabled": True, "on_http": True, "max_age": 1}}
    sent = await answered(told, "http://a.localhost/", FakeResponseHead())
    assert sent == [("Strict-Transport-Security", "max-age=1")]


async def test_an_option_that_is_off_takes_the_backends_header_away() -> None:
    backend = FakeResponseHead(200, [(name.lower(), "x") for name, _ in EXPECTED])
    backend.headers.add("Via", "b")
    assert await answered({}, "https://a.localhost/", backend) == [("Via", "b")]


async def test_a_policy_can_be_for_reports_only() -> None:
    config = {"csp": {"mode": "REPORT_ONLY", "csp": "default-src *"}}
    backend = FakeResponseHead(200, {"Content-Security-Policy": "x"})
    sent = await answered(config, "https://a.localhost/", backend)
    assert sent == [("Content-Security-Policy-Report-Only", "default-src *")]


@pytest.mark.parametrize(
    "config", [{"frame_options": "MAYBE"}, {"csp": {"csp": "a\r\nb"}}, {"hsts": {"max_age": -1}}]
)
def test_a_wrong_option_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(PluginError):
        read_config(SecurityHeadersPluginConfig, config)
