"""RemoveHeadersOut."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.headers.remove_headers_out import RemoveHeadersOut, RemoveHeadersOutConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play

FIELDS = [("X-One", "1"), ("X-Two", "2"), ("x-one", "3")]


async def test_every_field_of_the_name_goes_whatever_its_case() -> None:
    plugin = RemoveHeadersOut(RemoveHeadersOutConfig(("X-ONE", "X-Absent", "")))
    exchange = FakeExchange()
    await play(plugin, exchange, FakeResponseHead(200, FIELDS))
    assert exchange.response is not None
    assert exchange.response.headers.items() == [("X-Two", "2")]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ()),
        ({"header_names": ["a"], "headers": ["b"]}, ("a",)),
        ({"header_names": [], "headers": ["b"], "names": ["c"]}, ("b",)),
        ({"headers": [], "names": ["c"]}, ("c",)),
    ],
)
def test_the_first_list_that_is_not_empty_counts(
    config: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert read_config(RemoveHeadersOutConfig, config).header_names == names


def test_it_is_native() -> None:
    plugin = RemoveHeadersOut(RemoveHeadersOutConfig(("a", "")))
    assert plugin.lower() == (steps.RemoveHeaders(("a",), Phase.TRANSFORM_RESPONSE),)
