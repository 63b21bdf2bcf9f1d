"""The plugin slot of a route: its eight keys and the nine places of plugin_index."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.document import inspect_document, read_document, write_document
from oto_trio.model.errors import EntityError
from oto_trio.model.plugin_slot import PluginSlot

PLACES = [
    "sink",
    "pre_route",
    "validate_access",
    "transform_request",
    "transform_response",
    "match_route",
    "handles_tunnel",
    "handles_websocket",
    "call_backend",
]


def slot(**raw: Any) -> PluginSlot:
    return read_document(PluginSlot, {"plugin": "cp:x", **raw})


def test_defaults_and_order() -> None:
    assert list(write_document(slot()).items()) == [
        ("enabled", True),
        ("debug", False),
        ("plugin", "cp:x"),
        ("include", []),
        ("exclude", []),
        ("config", {}),
        ("bound_listeners", []),
    ]


def test_the_plugin_is_required_and_must_be_a_text() -> None:
    for raw in ({}, {"plugin": None}, {"plugin": 3}):
        with pytest.raises(EntityError) as caught:
            read_document(PluginSlot, raw)
        assert [p.path for p in caught.value.problems] == ["$.plugin"]


@pytest.mark.parametrize(
    ("key", "wrong", "default"),
    [
        ("enabled", "false", True),
        ("debug", 1, False),
        ("include", "/a", ()),
        ("include", [1], ()),
        ("exclude", {}, ()),
        ("config", None, {}),
        ("bound_listeners", "a", ()),
    ],
)
def test_a_key_of_the_wrong_type_falls_back(key: str, wrong: object, default: object) -> None:
    read, problems = inspect_document(PluginSlot, {"plugin": "cp:x", key: wrong})
    assert read is not None
    assert getattr(read, key) == default
    assert [p.severity for p in problems] == ["warning"]


def test_the_config_is_kept_verbatim() -> None:
    config = {"a": None, "b": [1, {"c": 1.5}], "$unknown": {"x": 1}, "1": False}
    assert write_document(slot(config=config))["config"] == config


@pytest.mark.parametrize("place", PLACES)
def test_each_place_of_plugin_index_is_kept_alone(place: str) -> None:
    assert write_document(slot(plugin_index={place: 2}))["plugin_index"] == {place: 2}


def test_a_whole_place_is_written_without_fraction_and_others_with() -> None:
    index = write_document(slot(plugin_index={"sink": 2.0, "pre_route": 2.5}))["plugin_index"]
    assert repr(index) == "{'sink': 2, 'pre_route': 2.5}"


def test_an_empty_plugin_index_stays_empty() -> None:
    assert write_document(slot(plugin_index={}))["plugin_index"] == {}


def test_a_place_of_the_wrong_type_is_left_out() -> None:
    index = write_document(slot(plugin_index={"sink": "first", "pre_route": 1}))["plugin_index"]
    assert index == {"pre_route": 1}
