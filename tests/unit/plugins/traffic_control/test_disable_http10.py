"""DisableHttp10."""

import pytest

from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugins.traffic_control.disable_http10 import DisableHttp10
from oto_trio.testing import FakeExchange, FakeRequest, play


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        ("1.0", Refusal(503, "HTTP/1.0 not allowed", "errors.http.1_0.not.allowed")),
        ("1.1", None),
        ("2.0", None),
    ],
)
async def test_http_1_0_is_refused(version: str, answer: Refusal | None) -> None:
    plugin = DisableHttp10(None)
    assert await play(plugin, FakeExchange(FakeRequest(version=version))) == answer
    assert plugin.lower() == (steps.Native("disable_http10", Phase.ACCESS),)
