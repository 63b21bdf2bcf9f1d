"""A route's metadata is kept as it came, so it must be what events can show: an object."""

from __future__ import annotations

import msgspec
import pytest

from oto_trio import _core


def lowered(metadata: object) -> bytes:
    route = {"id": "r", "frontend": {"domains": ["a.test"]}, "metadata": metadata}
    return msgspec.json.encode(route)


@pytest.mark.parametrize("metadata", [None, {}, {"a": "b"}, {"a": {"b": [1, None]}}])
def test_an_object_or_nothing_is_taken(metadata: object) -> None:
    assert len(_core.Snapshot().apply([lowered(metadata)], [])) == 1


@pytest.mark.parametrize("metadata", ["text", 1, [], [{"a": "b"}], True])
def test_anything_else_refuses_the_route(metadata: object) -> None:
    with pytest.raises(ValueError, match="route"):
        _core.Snapshot().apply([lowered(metadata)], [])
