"""What must be shown of every plugin: its behaviour over real sockets, and that its native step is its twin.

The end-to-end cases are the table of ``tests/integration/plugins/cases``, which
``tests/integration/plugins/test_every_plugin.py`` plays with and without each plugin. The twins are those of
``tests/conformance/test_plugin_twins.py``, which draws both the configuration and the requests.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from oto_trio.plugin_api.inspection import is_native, phases_of
from oto_trio.plugin_api.phases import Phase as Sink
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.plugin_api.websockets import WebSocketPlugin
from tests.conformance import test_plugin_twins as twins
from tests.integration.plugins import test_every_plugin as end_to_end
from tests.integration.plugins.cases.table import CASES, TABLES
from tests.integration.protocols import test_websocket_plugins as websockets
from tests.meta.plugin_facts import IMPLEMENTED

NATIVE = sorted(
    plugin.id.removeprefix(twins.NG) for plugin in builtin_plugins() if is_native(plugin)
)

SINKS = {"NgClientCredentials"}
"""Plugins without a route, which are shown in ``tests/integration/plugins/test_request_sinks.py``."""


SOCKETS = websockets.CASES.keys() | websockets.OTHERS
"""Plugins for messages of WebSockets, which have a table of cases of their own."""


def is_sink(name: str) -> bool:
    """Tell whether a plugin acts where no route takes the request, and nowhere else."""
    return phases_of(twins.BUILTIN.plugins[twins.NG + name]) == (Sink.SINK,)


def test_every_plugin_has_a_case_that_is_played_over_sockets() -> None:
    assert set(CASES) == set(IMPLEMENTED) - SINKS - SOCKETS
    looking = {plugin.id for plugin in builtin_plugins() if issubclass(plugin, WebSocketPlugin)}
    assert {twins.NG + name for name in SOCKETS} == looking
    assert {name for name in IMPLEMENTED if is_sink(name)} == SINKS
    assert vars(end_to_end)["CASES"] is CASES


def test_no_two_files_hold_a_case_of_the_same_plugin() -> None:
    assert sum(map(len, TABLES)) == len(CASES)


def test_every_case_shows_the_plugin_act_and_leave_alone() -> None:
    for name, case in CASES.items():
        assert {ask.is_acted_on for ask in case.asks} == {True, False}, name


def test_every_native_plugin_is_compared_with_its_hooks() -> None:
    assert sorted({*twins.CONFIGS, *twins.DECIDING_AGAIN}) == NATIVE


@pytest.mark.parametrize("name", sorted(twins.CONFIGS))
def test_the_twins_of_a_plugin_are_given_many_configurations(name: str) -> None:
    """A plugin that has a configuration is tried with more than one, and each is its own."""
    plugin = twins.BUILTIN.plugins[twins.NG + name]
    if plugin.Config is None:
        return
    drawn: list[str] = []

    @settings(
        max_examples=20,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
    )
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        drawn.append(repr(data.draw(twins.CONFIGS[name])))

    draw()
    assert len(set(drawn)) > 1
