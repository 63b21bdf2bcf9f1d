"""What holds for all routes of a snapshot."""

from __future__ import annotations

import pytest

from oto_trio.gateway.compile.settings import snapshot_settings
from oto_trio.gateway.frames import ListenerWays
from oto_trio.model.global_config import GlobalConfig
from oto_trio.plugin_api.registry import Registry


@pytest.mark.parametrize("config", [None, GlobalConfig()])
def test_each_listener_has_a_port_for_http3_of_its_own(config: GlobalConfig | None) -> None:
    ways = {
        "a": ListenerWays(secured=True, exposed_port=1),
        "b": ListenerWays(secured=True, exposed_port=2),
        "c": ListenerWays(secured=True),
    }
    settings, problems = snapshot_settings(config, Registry(), http3=ways)
    assert settings["http3_ports"] == {"a": 1, "b": 2}
    assert not problems
