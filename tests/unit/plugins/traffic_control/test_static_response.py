"""StaticResponse."""

from typing import Any

import pytest

from oto_trio.plugin_api import PluginError, Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.traffic_control.static_response import StaticResponse, StaticResponseConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("config", "response"),
    [
        ({}, Response(200)),
        (
            {"status": 201, "headers": {"X-A": "b"}, "body": "${req.path}", "apply_el": True},
            Response(201, (("X-A", "b"),), b"/"),
        ),
        ({"body": "${req.path}"}, Response(200, (), b"${req.path}")),
        ({"body": "Base64(JHtub3d9)", "apply_el": True}, Response(200, (), b"${now}")),
        ({"body": "Base64(AAE=)"}, Response(200, (), b"\x00\x01")),
        ({"headers": {"Content-Length": "7", "": "x"}}, Response(200)),
    ],
)
async def test_the_configured_response_is_given(config: dict[str, Any], response: Response) -> None:
    plugin = StaticResponse(read_config(StaticResponseConfig, config))
    assert await play(plugin, FakeExchange()) == response


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"status": 99}, "$.status"),
        ({"status": 600}, "$.status"),
        ({"body": "Base64(*)"}, "$"),
        ({"headers": {"a:b": "c"}}, '$.headers["a:b"]'),
    ],
)
def test_a_response_that_cannot_be_sent_is_refused(config: dict[str, Any], path: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(StaticResponseConfig, config)
    assert caught.value.problems[0].path == path


def test_it_runs_in_python() -> None:
    assert StaticResponse(StaticResponseConfig()).lower() is None
