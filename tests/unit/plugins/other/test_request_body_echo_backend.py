"""RequestBodyEchoBackend."""

import pytest

from oto_trio.plugin_api import Response
from oto_trio.plugins.other.request_body_echo_backend import (
    RequestBodyEchoBackend,
    RequestBodyEchoBackendConfig,
)
from oto_trio.testing import FakeExchange, play

PLUGIN = RequestBodyEchoBackend(RequestBodyEchoBackendConfig(3))


@pytest.mark.parametrize(
    ("headers", "body", "response"),
    [
        ({}, b"", Response(204)),
        ({"Content-Type": "a/b"}, b"abc", Response(200, (("Content-Type", "a/b"),), b"abc")),
        ({}, b"a", Response(200, (("Content-Type", "application/octet-stream"),), b"a")),
    ],
)
async def test_the_body_comes_back(
    headers: dict[str, str], body: bytes, response: Response
) -> None:
    exchange = FakeExchange.of("POST", "http://api.localhost/", headers, body)
    assert await play(PLUGIN, exchange) == response


async def test_a_body_that_is_too_large_is_refused() -> None:
    answer = await play(PLUGIN, FakeExchange.of("POST", "http://api.localhost/", {}, b"abcd"))
    assert isinstance(answer, Response)
    assert answer.status == 413
    assert b"maximum allowed size of 3 bytes" in answer.body
