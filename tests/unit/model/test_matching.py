"""The match language: a table for every operator, and what must never happen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.model.matching import (
    MISSING,
    OPERATORS,
    is_same,
    is_wildcard_match,
    matches,
    predicate_faults,
    value_at,
)

EVENT: dict[str, Any] = {
    "@type": "GatewayEvent",
    "status": 404,
    "duration": 12.5,
    "err": True,
    "identity": {"label": "mobile", "tags": ["a", "b"], "metadata": {"plan": "gold"}},
    "headers": [{"key": "Host", "value": "x"}, 3, [1]],
    "empty": [],
    "nothing": None,
    "a.b": "dotted",
}

TABLE: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"@type": "GatewayEvent"}, True),
    ({"@type": "AlertEvent"}, False),
    ({"@type": "GatewayEvent", "status": 200}, False),
    ({"status": 404.0}, True),
    ({"status": "404"}, False),
    ({"err": True}, True),
    ({"err": 1}, False),
    ({"nothing": None}, True),
    ({"absent": None}, False),
    ({"identity": {"label": "mobile"}}, True),
    ({"identity": {"label": "web"}}, False),
    ({"identity": {}}, True),
    ({"status": {"x": 1}}, False),
    ({"identity.label": "mobile"}, True),
    ({"identity.tags.1": "b"}, True),
    ({"identity.tags.7": "b"}, False),
    ({"a.b": "dotted"}, True),
    ({"identity": {"tags": ["a", "b"]}}, True),
    ({"identity": {"tags": ["b", "a"]}}, False),
    ({"@type": {"$wildcard": "Gate*"}}, True),
    ({"@type": {"$wildcard": "Gate"}}, False),
    ({"status": {"$wildcard": "*"}}, False),
    ({"@type": {"$regex": "(Gateway|Alert).*"}}, True),
    ({"@type": {"$regex": "Gateway"}}, False),
    ({"@type": {"$regex": "("}}, False),
    ({"@type": {"$regex": "(?=a)"}}, False),
    ({"status": {"$between": {"min": 404, "max": 500}}}, False),
    ({"status": {"$between": {"min": 403, "max": 405}}}, True),
    ({"status": {"$betweene": {"min": 404, "max": 404}}}, True),
    ({"status": {"$betweene": {"min": 405, "max": 500}}}, False),
    ({"status": {"$between": {"min": 1}}}, False),
    ({"status": {"$between": 3}}, False),
    ({"status": {"$gt": 403}}, True),
    ({"status": {"$gt": 404}}, False),
    ({"status": {"$gte": 404}}, True),
    ({"duration": {"$lt": 12.6}}, True),
    ({"duration": {"$lt": 12.5}}, False),
    ({"duration": {"$lte": 12.5}}, True),
    ({"duration": {"$lte": 12.4}}, False),
    ({"status": {"$gte": 405}}, False),
    ({"@type": {"$gt": 1}}, False),
    ({"err": {"$gt": 0}}, False),
    ({"status": {"$and": [{"$gt": 400}, {"$lt": 500}]}}, True),
    ({"status": {"$and": [{"$gt": 400}, {"$lt": 404}]}}, False),
    ({"status": {"$and": []}}, True),
    ({"status": {"$or": [200, 404]}}, True),
    ({"status": {"$or": [200, {"$lt": 300}]}}, False),
    ({"status": {"$or": []}}, False),
    ({"status": {"$nor": [200, {"$lt": 300}]}}, True),
    ({"status": {"$nor": [404]}}, False),
    ({"status": {"$or": 404}}, False),
    ({"status": {"$in": [200, 404]}}, True),
    ({"status": {"$in": [200]}}, False),
    ({"identity": {"$in": [{"$exists": "label"}]}}, False),
    ({"status": {"$nin": [200]}}, True),
    ({"status": {"$nin": [404]}}, False),
    ({"absent": {"$nin": [404]}}, True),
    ({"headers": {"$size": 3}}, True),
    ({"headers": {"$size": 2}}, False),
    ({"status": {"$size": 3}}, False),
    ({"identity": {"tags": {"$contains": "a"}}}, True),
    ({"identity": {"tags": {"$contains": "c"}}}, False),
    ({"headers": {"$contains": {"key": "Host", "value": "x"}}}, True),
    ({"headers": {"$contains": [1]}}, True),
    ({"identity": {"metadata": {"$contains": {"key": "plan", "value": "gold"}}}}, True),
    ({"identity": {"metadata": {"$contains": {"key": "plan", "value": "free"}}}}, False),
    ({"identity": {"metadata": {"$contains": {"key": "none", "value": None}}}}, False),
    ({"identity": {"tags": {"$all": ["b", "a"]}}}, True),
    ({"identity": {"tags": {"$all": ["a", "c"]}}}, False),
    ({"status": {"$not": {"$gt": 500}}}, True),
    ({"status": {"$not": {"$gt": 400}}}, False),
    ({"status": {"$not": 3}}, False),
    ({"status": {"$eq": 404}}, True),
    ({"status": {"$eq": "404"}}, False),
    ({"absent": {"$eq": None}}, False),
    ({"status": {"$ne": 200}}, True),
    ({"status": {"$ne": 404}}, False),
    ({"identity": {"$exists": "label"}}, True),
    ({"identity": {"$exists": "label2"}}, False),
    ({"@type": {"$exists": "x"}}, False),
    ({"$exists": "status"}, True),
    ({"$or": [{"@type": "AlertEvent"}, {"status": 404}]}, True),
    ({"$and": [{"@type": "AlertEvent"}, {"status": 404}]}, False),
    ({"$not": {"status": 404}}, False),
    ({"status": {"$unknown": 404}}, False),
    ({"$unknown": 404}, False),
]


@pytest.mark.parametrize(("predicate", "expected"), TABLE, ids=lambda value: str(value)[:60])
def test_the_table(predicate: dict[str, Any], *, expected: bool) -> None:
    assert matches(EVENT, predicate) is expected


def test_every_operator_says_yes_and_no_in_the_table() -> None:
    for name in OPERATORS:
        answers = {expected for predicate, expected in TABLE if f"'{name}'" in str(predicate)}
        assert answers == {True, False}, name


def test_the_reference_operators_are_all_there() -> None:
    listed = "wildcard regex between betweene gt gte lt lte and or nor in nin size contains all not eq ne exists"
    assert {f"${name}" for name in listed.split()} == OPERATORS


@pytest.mark.parametrize("predicate", [None, 3, "x", [], True])
def test_what_is_no_object_matches_nothing(predicate: object) -> None:
    assert not matches(EVENT, predicate)


def test_deep_nesting_neither_matches_nor_breaks() -> None:
    predicate: Any = {"$eq": 1}
    for _ in range(5000):
        predicate = {"$not": predicate}
    matches(1, predicate)
    faults = list(predicate_faults(predicate))
    assert "nested deeper" in faults[0][1]


def test_an_expensive_expression_takes_no_time() -> None:
    assert not matches("a" * 50_000 + "b", {"$regex": "(a+)+"})


def test_faults_name_their_place() -> None:
    predicate = {
        "a": {"$regex": "(?=x)"},
        "b": {"$nope": 1},
        "c": {"$or": [1, {"d": {"$regex": 1}}]},
        "e": {"$not": 3},
    }
    found = dict(predicate_faults(predicate))
    assert set(found) == {"$.a.$regex", "$.b.$nope", "$.c.$or[1].d.$regex", "$.e.$not"}
    assert "look-ahead" in found["$.a.$regex"]
    assert not list(predicate_faults({"a": {"$regex": ".*"}, "b": {"c": [1]}}))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc$"), inner, max_size=3)
    ),
    max_leaves=8,
)
operators = st.dictionaries(st.sampled_from(sorted(OPERATORS)), json_values, min_size=1, max_size=1)


@given(json_values, json_values | operators)
def test_nothing_raises(value: Any, predicate: Any) -> None:
    assert matches(value, predicate) in (True, False)
    list(predicate_faults(predicate))


@given(json_values, operators)
def test_not_is_the_opposite(value: Any, predicate: Any) -> None:
    assert matches(value, {"$not": predicate}) is not matches(value, predicate)


@given(json_values)
def test_every_value_is_itself(value: Any) -> None:
    assert is_same(value, value)
    assert matches({"k": value}, {"k": {"$eq": value}})


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_wildcards_mean_what_a_plain_search_says(pattern: str, text: str) -> None:
    def slow(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(slow(pattern[1:], text[at:]) for at in range(len(text) + 1))
        return bool(text) and text[0] == pattern[0] and slow(pattern[1:], text[1:])

    assert is_wildcard_match(pattern, text) is slow(pattern, text)


def test_paths_walk_objects_and_arrays() -> None:
    assert value_at(EVENT, "identity.metadata.plan") == "gold"
    assert value_at(EVENT, "headers.0.key") == "Host"
    assert value_at(EVENT, "a.b") == "dotted"
    for path in ("", "x", "status.x", "headers.x", "headers.9", "headers.²"):
        assert value_at(EVENT, path) is MISSING
