"""QueryTransformer."""

import pytest

from oto_trio.plugins.transformations.query_transformer import (
    QueryTransformer,
    QueryTransformerConfig,
)
from oto_trio.testing import FakeExchange, play

CONFIG = QueryTransformerConfig(("gone",), {"old": "new é"}, {"tenant": "a&b", "new": "n"})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&gone=2&b", "a=1&b&new=n&tenant=a%26b"),
        ("old=1&old", "new%20%C3%A9=1&new%20%C3%A9&new=n&tenant=a%26b"),
        ("tenant=x&new=y&go%6Ee=z", "new=n&tenant=a%26b"),
        ("", "new=n&tenant=a%26b"),
        ("a=%zz+b&&c", "a=%zz+b&c&new=n&tenant=a%26b"),
    ],
)
async def test_parameters_are_removed_renamed_and_added(query: str, expected: str) -> None:
    exchange = FakeExchange.of("GET", f"http://api.localhost/?{query}")
    exchange.upstream_query = query
    await play(QueryTransformer(CONFIG), exchange)
    assert exchange.upstream_query == expected
    assert exchange.request.query == query, "what the client sent stays"


async def test_by_default_nothing_changes() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/?b=%41&a")
    await play(QueryTransformer(QueryTransformerConfig()), exchange)
    assert exchange.upstream_query == "b=%41&a"
