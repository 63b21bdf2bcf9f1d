"""OverrideLocationHeader."""

import pytest

from oto_trio.plugins.headers.override_location_header import (
    OverrideLocationHeader,
    OverrideLocationHeaderConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, play


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        (302, "http://backend.internal:9000/api/x?y", "https://api.localhost:8443/x?y"),
        (201, "HTTPS://BACKEND.internal/other", "https://api.localhost:8443/other"),
        (308, "http://backend.internal/apiary", "https://api.localhost:8443/apiary"),
        (303, "http://user@alias.internal", "https://api.localhost:8443"),
        (302, "http://elsewhere.example/api", "http://elsewhere.example/api"),
        (302, "/api/x", "/api/x"),
        (302, "ftp://backend.internal/", "ftp://backend.internal/"),
        (200, "http://backend.internal/api", "http://backend.internal/api"),
        (400, "http://backend.internal/api", "http://backend.internal/api"),
    ],
)
async def test_a_location_at_the_backend_is_rewritten(
    status: int, location: str, expected: str
) -> None:
    plugin = OverrideLocationHeader(OverrideLocationHeaderConfig(("alias.internal",)))
    exchange = FakeExchange.of("GET", "https://api.localhost:8443/")
    exchange.backend_root = "/api"
    backend = FakeResponseHead(status, {"Location": location})
    await play(plugin, exchange, backend)
    assert backend.headers.get_all("Location") == [expected]


async def test_without_a_location_nothing_happens() -> None:
    backend = FakeResponseHead(302)
    await play(OverrideLocationHeader(OverrideLocationHeaderConfig()), FakeExchange(), backend)
    assert backend.headers.items() == []
