"""TimeRestrictedAccessPlugin."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from oto_trio.plugin_api import Phase, PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.time_restricted_access_plugin import (
    TimeRestrictedAccessConfig,
    TimeRestrictedAccessPlugin,
)
from oto_trio.testing import FakeExchange, play

WORK = {"time_start": "08:00:00.000", "time_end": "20:00", "day_start": 1, "day_end": 5}


def plugin(**config: Any) -> TimeRestrictedAccessPlugin:
    return TimeRestrictedAccessPlugin(read_config(TimeRestrictedAccessConfig, config))


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-01-05T08:00:00.000", False),
        ("2026-01-05T08:00:00.001", True),
        ("2026-01-09T19:59:59.999", True),
        ("2026-01-09T20:00:00.000", False),
        ("2026-01-10T12:00:00.000", False),
    ],
)
async def test_a_route_is_open_within_a_rule(now: str, is_open: bool) -> None:
    exchange = FakeExchange()
    zone = ZoneInfo("Europe/Paris")
    exchange.unix_time = datetime.fromisoformat(now).replace(tzinfo=zone).timestamp()
    restricted = plugin(rules=[WORK], timezone="Europe/Paris")
    answer = await play(restricted, exchange)
    assert (answer is None) == is_open
    if answer is not None:
        assert isinstance(answer, Response)
        assert answer.status == 403
        assert msgspec.json.decode(answer.body) == {
            "error": "forbidden",
            "error_description": "You cannot access this resource right now",
        }
    native = steps.Native("time_restriction", Phase.ACCESS, restricted.config)
    assert restricted.lower() == (native,)


async def test_without_rules_it_is_never_open() -> None:
    assert await play(plugin(), FakeExchange()) is not None


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"rules": [{"time_start": "8"}]}, r"rules\[0\]\.time_start: '8' is no time"),
        ({"rules": [WORK, {"time_end": "24:00"}]}, r"rules\[1\]\.time_end: '24:00' is no time"),
        ({"rules": [{"day_end": 8}]}, r"\$\.rules\[0\]\.day_end|\$\.rules\[\.\.\.\]\.day_end"),
        ({"timezone": "Mars/Olympus"}, "timezone: there is no zone 'Mars/Olympus'"),
        ({"timezone": "../../etc/passwd"}, "timezone: there is no zone"),
    ],
)
def test_nonsense_is_named_when_the_config_is_read(config: dict[str, Any], path: str) -> None:
    with pytest.raises(PluginError, match=path):
        plugin(**config)
