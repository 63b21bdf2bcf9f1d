"""NgGenericBlockList."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugins.access_control.ng_generic_block_list import (
    NgGenericBlockList,
    NgGenericBlockListConfig,
)
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("expression", "values", "is_refused"),
    [("a", ("a", "b"), True), ("c", ("a", "b"), False), ("c", (), False), (None, ("a",), False)],
)
async def test_listed_values_are_refused(
    expression: str | None, values: tuple[str, ...], is_refused: bool
) -> None:
    config = NgGenericBlockListConfig(expression, values)
    plugin = NgGenericBlockList(config)
    refusal = Refusal(403, "forbidden", "errors.blocked.expression") if is_refused else None
    assert await play(plugin, FakeExchange()) == refusal
    assert plugin.lower() == (steps.Native("generic_block_list", Phase.ACCESS, config),)


def test_an_expression_too_long_is_named() -> None:
    with pytest.raises(PluginError, match=r"\$\.expression"):
        NgGenericBlockList(NgGenericBlockListConfig("${a}" * 100_000))
