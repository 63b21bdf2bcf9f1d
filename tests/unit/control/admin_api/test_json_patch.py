"""JSON Patch against the examples of RFC 6902, and Otoroshi's short form."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.control.admin_api.json_patch import (
    JsonPatchError,
    apply_json_patch,
    apply_oto_patch,
    json_equal,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~0", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


def pointer_of(*tokens: str) -> str:
    return "".join("/" + t.replace("~", "~0").replace("/", "~1") for t in tokens)


@pytest.mark.parametrize(
    ("document", "patch", "patched"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "q"}], {"foo": "bar", "baz": "q"}),
        ({"f": [1, 3]}, [{"op": "add", "path": "/f/1", "value": 2}], {"f": [1, 2, 3]}),
        ({"f": [1]}, [{"op": "add", "path": "/f/-", "value": [2]}], {"f": [1, [2]]}),
        ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
        ({"a": 1}, [{"op": "add", "path": "", "value": {"b": 1}}], {"b": 1}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"f": [1, 2, 3]}, [{"op": "remove", "path": "/f/1"}], {"f": [1, 3]}),
        ({"f": [1, 2]}, [{"op": "replace", "path": "/f/0", "value": 9}], {"f": [9, 2]}),
        ({"a": {"b": 1}}, [{"op": "replace", "path": "/a/b", "value": None}], {"a": {"b": None}}),
        (
            {"foo": {"bar": 1}, "qux": {}},
            [{"op": "move", "from": "/foo/bar", "path": "/qux/thud"}],
            {"foo": {}, "qux": {"thud": 1}},
        ),
        ({"f": [1, 2, 3]}, [{"op": "move", "from": "/f/1", "path": "/f/2"}], {"f": [1, 3, 2]}),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
        (
            {"a": [1, {"b": 2}]},
            [{"op": "test", "path": "/a/1/b", "value": 2.0}],
            {"a": [1, {"b": 2}]},
        ),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        (
            {"a": 1},
            [{"op": "replace", "path": "/a", "value": 2, "old": 1, "xyz": 1}],
            {"a": 2},
        ),
    ],
)
def test_rfc_6902(document: Any, patch: Any, patched: Any) -> None:
    before = copy.deepcopy(document)
    assert apply_json_patch(document, patch) == patched
    assert document == before


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ({}, "RFC 6902"),
        (None, "RFC 6902"),
        ([1], "operation 0 is no object"),
        ([{}], "JSON pointer"),
        ([{"op": "add", "path": "a", "value": 1}], "JSON pointer"),
        ([{"op": "add", "path": 3, "value": 1}], "JSON pointer"),
        ([{"op": "add", "path": "/x"}], 'needs a "value"'),
        ([{"op": "jump", "path": "/a"}], '"op" must be'),
        ([{"op": "remove", "path": "/none"}], "no key 'none'"),
        ([{"op": "remove", "path": ""}], "whole document"),
        ([{"op": "replace", "path": "/none", "value": 1}], "no key 'none'"),
        ([{"op": "add", "path": "/none/b", "value": 1}], "no key 'none'"),
        ([{"op": "add", "path": "/a/b", "value": 1}], "cannot add"),
        ([{"op": "add", "path": "/f/3", "value": 1}], "beyond the end"),
        ([{"op": "add", "path": "/f/99999999999999999999", "value": 1}], "beyond the end"),
        ([{"op": "add", "path": "/f/01", "value": 1}], "no index"),
        ([{"op": "add", "path": "/f/-1", "value": 1}], "no index"),
        ([{"op": "add", "path": "/f/\u0661", "value": 1}], "no index"),
        ([{"op": "remove", "path": "/f/-"}], "no index"),
        ([{"op": "remove", "path": "/f/2"}], "beyond the end"),
        ([{"op": "test", "path": "/a", "value": True}], "another"),
        ([{"op": "test", "path": "/a", "value": "1"}], "another"),
        ([{"op": "move", "from": "/o", "path": "/o/p"}], "into itself"),
        ([{"op": "move", "path": "/o"}], '"from" must be'),
        ([{"op": "copy", "from": "/a/b", "path": "/c"}], "cannot step"),
    ],
)
def test_a_patch_that_fails_says_where_and_why(patch: Any, reason: str) -> None:
    document = {"a": 1, "f": [1, 2], "o": {"p": 1}}
    with pytest.raises(JsonPatchError) as caught:
        apply_json_patch(document, patch)
    assert reason in str(caught.value)
    assert document == {"a": 1, "f": [1, 2], "o": {"p": 1}}


@given(values, values, st.lists(st.text("ab/~", max_size=2), max_size=3))
def test_a_value_that_was_added_is_found_there(
    document: Any, value: Any, tokens: list[str]
) -> None:
    path = pointer_of(*tokens)
    try:
        patched = apply_json_patch(document, [{"op": "add", "path": path, "value": value}])
    except JsonPatchError:
        return
    check = [{"op": "test", "path": path, "value": value}]
    assert json_equal(apply_json_patch(patched, check), patched)


def test_true_is_not_one() -> None:
    assert not json_equal({"a": [True]}, {"a": [1]})
    assert json_equal({"a": 1.0, "b": None}, {"b": None, "a": 1})
    assert not json_equal([1], [1, 2])
    assert not json_equal({"a": 1}, ["a"])


def test_oto_patches_set_dotted_paths_and_read_texts() -> None:
    patched = apply_oto_patch(
        {"name": "old", "list": [{"a": 1}], "o": {"x": 1}},
        [
            {"path": "name", "value": "new"},
            {"path": "enabled", "value": "false"},
            {"path": "list.0.a", "value": "2"},
            {"path": "list.1.b", "value": "null"},
            {"path": "o.y.z", "value": '{"deep":[1]}'},
            {"path": "version", "value": "1.2.3"},
            {"path": "port", "value": "8080"},
            {"path": "plain", "value": 5},
        ],
    )
    assert patched == {
        "name": "new",
        "list": [{"a": 2}, {"b": None}],
        "o": {"x": 1, "y": {"z": {"deep": [1]}}},
        "enabled": False,
        "version": "1.2.3",
        "port": 8080,
        "plain": 5,
    }


@pytest.mark.parametrize(
    "patch",
    [
        {},
        [1],
        [{"path": "a"}],
        [{"value": 1}],
        [{"path": "", "value": 1}],
        [{"path": "l.100000000", "value": 1}],
        [{"path": ".".join("a" * 40), "value": 1}],
    ],
)
def test_an_oto_patch_that_is_none_is_refused(patch: Any) -> None:
    with pytest.raises(JsonPatchError):
        apply_oto_patch({"l": []}, patch)
