"""NgGenericAllowedList."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugins.access_control.ng_generic_allowed_list import (
    NgGenericAllowedList,
    NgGenericAllowedListConfig,
)
from oto_trio.testing import FakeExchange, play

# Expressions that need an exchange are compared with the engine's in tests/conformance.


@pytest.mark.parametrize(
    ("expression", "values", "cause"),
    [
        ("a", ("a", "b"), None),
        ("c", ("a", "b"), "errors.unallowed.expression"),
        ("c", (), "errors.no.allowed.values"),
        (None, (), None),
    ],
)
async def test_only_listed_values_pass(
    expression: str | None, values: tuple[str, ...], cause: str | None
) -> None:
    config = NgGenericAllowedListConfig(expression, values)
    plugin = NgGenericAllowedList(config)
    refusal = None if cause is None else Refusal(403, "forbidden", cause)
    assert await play(plugin, FakeExchange()) == refusal
    assert plugin.lower() == (steps.Native("generic_allowed_list", Phase.ACCESS, config),)


def test_an_expression_too_long_is_named() -> None:
    with pytest.raises(PluginError, match=r"\$\.expression"):
        NgGenericAllowedList(NgGenericAllowedListConfig("${a}" * 100_000))
