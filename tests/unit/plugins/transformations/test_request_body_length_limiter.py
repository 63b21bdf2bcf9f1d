"""RequestBodyLengthLimiter."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.transformations.request_body_length_limiter import (
    RequestBodyLengthLimiter,
    RequestBodyLengthLimiterConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, play

REFUSED = Refusal(413, "Response entity too large", "errors.failed.response.entityTooLarge")


@pytest.mark.parametrize(
    ("most", "fail", "length", "answer"),
    [
        (4, True, "5", REFUSED),
        (4, True, "4", None),
        (4, False, "5", None),
        (None, True, "4194305", REFUSED),
        (None, True, "4194304", None),
    ],
)
async def test_a_body_that_says_it_is_too_long_is_refused(
    most: int | None, fail: bool, length: str, answer: Refusal | None
) -> None:
    config = RequestBodyLengthLimiterConfig(most, fail)
    plugin = RequestBodyLengthLimiter(config)
    fields = {"Content-Length": length}
    exchange = FakeExchange.of("POST", "http://api.localhost/", fields)
    head = FakeResponseHead(200)
    assert await play(plugin, exchange, head) == answer
    assert plugin.lower() == (steps.Native("body_length", Phase.TRANSFORM_REQUEST, config),)


def test_a_negative_length_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match=r"\$\.max_length"):
        read_config(RequestBodyLengthLimiterConfig, {"max_length": -1})
