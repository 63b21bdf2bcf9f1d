"""The worked example does what it says, and a folder of plugins takes it as it is."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import Registry
from oto_trio.testing import FakeExchange, play

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quiet_hours", EXAMPLES / "quiet_hours.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("begins", "ends", "hour", "is_night"),
    [(22, 6, 23, True), (22, 6, 5, True), (22, 6, 6, False), (8, 10, 9, True), (8, 10, 10, False)],
)
async def test_a_write_at_night_is_refused(
    example: ModuleType, begins: int, ends: int, hour: int, is_night: bool
) -> None:
    config = example.QuietHoursConfig(from_hour=begins, to_hour=ends)
    plugin = example.QuietHours(config, lambda: hour)
    answer = await play(plugin, FakeExchange.of("POST", "http://api.localhost/"))
    expected = Refusal(503, "No writes at night", "errors.quiet.hours") if is_night else None
    assert answer == expected
    assert plugin.seen == {"POST": 1}


async def test_a_read_passes_and_learns_the_time_of_day(example: ModuleType) -> None:
    plugin = example.QuietHours(example.QuietHoursConfig(), lambda: 23)
    exchange = FakeExchange.of("GET", "http://api.localhost/")
    assert await play(plugin, exchange) is None
    assert exchange.response is not None
    assert exchange.response.headers.get("X-Quiet") == "yes"


def test_the_folder_takes_it() -> None:
    folder = FolderPlugins(EXAMPLES).poll()
    assert folder.all_problems == ()
    registry = with_folder(Registry(), folder)
    described = registry.describe("cp:example.QuietHours")
    assert described["phases"] == ["access", "transform_response", "done"]
    assert described["default_config"] == {"from_hour": 22, "to_hour": 6}
    assert described["origin"] == str(EXAMPLES / "quiet_hours.py")
