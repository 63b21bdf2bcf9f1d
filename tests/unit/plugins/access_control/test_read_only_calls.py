"""ReadOnlyCalls."""

import pytest

from oto_trio.plugin_api import Refusal, steps
from oto_trio.plugins.access_control.read_only_calls import ReadOnlyCalls
from oto_trio.testing import FakeExchange, play

PLUGIN = ReadOnlyCalls(None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_passes(method: str) -> None:
    assert await play(PLUGIN, FakeExchange.of(method, "http://api.localhost/")) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY", "TRACE"])
async def test_everything_else_is_refused(method: str) -> None:
    answer = await play(PLUGIN, FakeExchange.of(method, "http://api.localhost/"))
    assert answer == Refusal(405, "Method not allowed", "errors.method.not.allowed")


def test_it_is_native() -> None:
    assert PLUGIN.lower() == (steps.AllowMethods(("GET", "HEAD", "OPTIONS")),)
