"""RemoveHeadersIn."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.headers.remove_headers_in import RemoveHeadersIn, RemoveHeadersInConfig
from oto_trio.testing import FakeExchange, FakeRequest, play

FIELDS = [("X-One", "1"), ("X-Two", "2"), ("x-one", "3")]


async def test_every_field_of_the_name_goes_whatever_its_case() -> None:
    plugin = RemoveHeadersIn(RemoveHeadersInConfig(("X-ONE", "X-Absent", "")))
    exchange = FakeExchange(FakeRequest(headers=FIELDS))
    await play(plugin, exchange)
    assert exchange.request.headers.items() == [("X-Two", "2")]


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
    assert read_config(RemoveHeadersInConfig, config).header_names == names


def test_it_is_native() -> None:
    plugin = RemoveHeadersIn(RemoveHeadersInConfig(("a", "")))
    assert plugin.lower() == (steps.RemoveHeaders(("a",), Phase.TRANSFORM_REQUEST),)
