"""The projection language: a table for every operator, and what must never happen."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.model.java_date import DatePatternError, format_date
from oto_trio.model.json_path import JsonPathError, compile_path
from oto_trio.model.projection import (
    OPERATORS,
    blueprint_faults,
    has_filters,
    project,
    value_at_pointer,
)

EVENT: dict[str, Any] = {
    "@type": "GatewayEvent",
    "@timestamp": 1793356200123,
    "status": 200,
    "identity": {"label": "mobile", "tags": ["a", "b"]},
    "headers": [{"key": "Host", "value": "x"}, {"key": "X-Id", "value": "7"}],
    "a/b": {"~": 1},
}

TABLE: list[tuple[Any, Any]] = [
    ({}, EVENT),
    (3, EVENT),
    ({"status": True}, {"status": 200}),
    ({"absent": True}, {"absent": None}),
    ({"identity.label": True}, {"identity.label": "mobile"}),
    ({"@type": "type"}, {"type": "GatewayEvent"}),
    ({"$spread": True}, EVENT),
    ({"$spread": True, "headers": False}, {k: v for k, v in EVENT.items() if k != "headers"}),
    ({"status": True, "$spread": True}, EVENT),
    ({"$spread": False, "status": True}, {"status": 200}),
    ({"identity": {"label": True}}, {"identity": {"label": "mobile"}}),
    ({"who": {"status": True}}, {"who": {"status": 200}}),
    ({"x": {"$value": {"$at": 1}}}, {"x": {"$at": 1}}),
    ({"x": {"$at": "identity.label"}}, {"x": "mobile"}),
    ({"x": {"$at": "identity.tags.1"}}, {"x": "b"}),
    ({"x": {"$at": "none"}}, {"x": None}),
    ({"x": {"$at": {"path": "none", "default": 3}}}, {"x": 3}),
    ({"x": {"$at": {"path": "status", "default": 3}}}, {"x": 200}),
    (
        {"x": {"$atIf": {"path": "identity.label", "predicate": {"at": "status", "value": 200}}}},
        {"x": "mobile"},
    ),
    ({"x": {"$atIf": {"path": "status", "predicate": {"at": "status", "value": 201}}}}, {}),
    (
        {"x": {"$atIf": {"path": "q", "predicate": {"at": "status", "value": 200}, "default": 1}}},
        {"x": 1},
    ),
    ({"x": {"$atIf": 3}}, {}),
    ({"x": {"$pointer": "/a~1b/~0"}}, {"x": 1}),
    ({"x": {"$pointer": {"path": "/nope", "default": 2}}}, {"x": 2}),
    (
        {
            "x": {
                "$pointerIf": {"path": "/status", "predicate": {"pointer": "/@type", "value": "q"}}
            }
        },
        {},
    ),
    (
        {
            "x": {
                "$pointerIf": {"path": "/status", "predicate": {"pointer": "/status", "value": 200}}
            }
        },
        {"x": 200},
    ),
    ({"x": {"$path": "$.identity.label"}}, {"x": "mobile"}),
    ({"x": {"$path": "identity.label"}}, {"x": "mobile"}),
    ({"x": {"$path": "$.headers[?(@.key =~ /X.*/)].value"}}, {"x": ["7"]}),
    ({"x": {"$path": "$.none"}}, {"x": None}),
    ({"x": {"$path": {"path": "$.none", "default": 5}}}, {"x": 5}),
    ({"x": {"$path": "$["}}, {"x": None}),
    (
        {"x": {"$pathIf": {"path": "$.status", "predicate": {"path": "$.status", "value": 200}}}},
        {"x": 200},
    ),
    ({"x": {"$pathIf": {"path": "$.a", "predicate": {"path": "$.status", "value": 1}}}}, {}),
    ({"x": {"$header": {"path": "headers", "name": "host"}}}, {"x": "x"}),
    ({"x": {"$header": {"path": "headers", "name": "no", "default": "d"}}}, {"x": "d"}),
    ({"x": {"$header": {"path": "status", "name": "host"}}}, {"x": None}),
    (
        {
            "$spread": True,
            "headers": {"$remove": True},
            "a/b": False,
            "@timestamp": False,
            "identity": False,
        },
        {"@type": "GatewayEvent", "status": 200},
    ),
    ({"status": True, "x": {"$remove": False}}, {"status": 200}),
    (
        {"x": {"$compose": {"a": {"$at": "status"}, "b": [{"$path": "$.identity.label"}, 1, "t"]}}},
        {"x": {"a": 200, "b": ["mobile", 1, "t"]}},
    ),
    ({"$compose": {"s": {"$pointer": "/status"}}}, {"s": 200}),
    ({"x": {"$compose": "in ${status}"}}, {"x": "in <status>"}),
    ({"t": {"$date_from_unix_fmt": "@timestamp"}}, {"t": "2026-10-30T10:30:00.123+0000"}),
    (
        {"t": {"$date_from_unix_fmt": {"path": "@timestamp", "pattern": "dd/MM/yy HH'h'"}}},
        {"t": "30/10/26 10h"},
    ),
    ({"t": {"$date_from_unix_fmt": "@type"}}, {"t": None}),
    (
        {"$spread": True, "$includeAllKeysMatching": ["StartsWith(@)", "stat"]},
        {"@type": "GatewayEvent", "@timestamp": EVENT["@timestamp"]},
    ),
    (
        {
            "$spread": True,
            "_": {"$excludeAllKeysMatching": ["Regex(@.*)", "Wildcard(*a*)", "identity"]},
        },
        {},
    ),
    ({"x": {"$jq": ".status"}}, {"x": ["filtered", ".status", 200]}),
    ({"$jq": ".status"}, ["filtered", ".status", 200]),
    ({"x": {"$jq": 3}}, {"x": None}),
    ({"identity": {"x": {"$jq": "."}}}, {"identity": {"x": ["filtered", ".", None]}}),
    ({"x": {"$compose": [{"$jq": "."}]}}, {"x": [["filtered", ".", 200]]}),
    (
        {"x": {"$jqIf": {"filter": ".", "predicate": {"path": "status", "value": 200}}}},
        {"x": ["filtered", ".", 200]},
    ),
    ({"x": {"$jqIf": {"filter": ".", "predicate": {"path": "status", "value": 201}}}}, {}),
    ({"x": {"$jqIf": {"filter": "."}}}, {}),
    ({"x": {"$jqIf": "."}}, {}),
    ({"x": {"$unknown": 1}}, {}),
    ({"x": 3}, {}),
]


def _filtered(text: str, source: Any) -> Any:
    return ["filtered", text, source.get("status")]


def _fault(text: str) -> str | None:
    return f"{text} is odd" if text == "odd" else None


def _shown(text: str) -> str:
    return text.replace("${", "<").replace("}", ">")


@pytest.mark.parametrize(("blueprint", "expected"), TABLE, ids=lambda value: str(value)[:60])
def test_the_table(blueprint: Any, expected: Any) -> None:
    before = copy.deepcopy(EVENT)
    assert project(EVENT, blueprint, _shown, _filtered) == expected
    assert before == EVENT


def test_every_operator_is_in_the_table() -> None:
    for name in OPERATORS:
        assert any(f"'{name}'" in str(blueprint) for blueprint, _ in TABLE), name


def test_faults_name_their_place() -> None:
    blueprint = {
        "a": {"$jq": "odd"},
        "a1": {"$jq": "."},
        "a2": {"$jq": 3},
        "a3": {"$jqIf": {"filter": "odd", "predicate": {"path": 3}}},
        "a4": {"$jqIf": "."},
        "a5": {"$compose": [{"x": {"$jq": "odd"}}, {"$path": {"at": "$["}}]},
        "b": {"$nope": 1},
        "c": {"d": {"$path": "$["}},
        "e": 3,
        "f": {"$date_from_unix_fmt": {"path": "x", "pattern": "QQ"}},
        "$includeAllKeysMatching": "x",
        "g": {"$pathIf": {"path": "$.a", "predicate": {"path": "$["}}},
    }
    found = dict(blueprint_faults(blueprint, _fault))
    assert set(found) == {
        "$.a.$jq",
        "$.a2.$jq",
        "$.a3.$jqIf.filter",
        "$.a3.$jqIf.predicate",
        "$.a4.$jqIf",
        "$.a5.$compose[0].x.$jq",
        "$.b.$nope",
        "$.c.d.$path",
        "$.e",
        "$.f.$date_from_unix_fmt.pattern",
        "$.$includeAllKeysMatching",
        "$.g.$pathIf.predicate.path",
    }
    assert found["$.a.$jq"] == "not a jq filter: odd is odd"


def test_without_whoever_runs_them_filters_give_null() -> None:
    assert project({"a": 1}, {"a": True, "b": {"$jq": "."}}) == {"a": 1, "b": None}


WITH_FILTERS: list[tuple[Any, bool]] = [
    ({}, False),
    ({"a": {"$at": "$jq"}}, False),
    ({"a": {"b": [{"$jqIf": {}}]}}, True),
    ({"$jq": "."}, True),
]


@pytest.mark.parametrize(("blueprint", "has"), WITH_FILTERS)
def test_blueprints_with_filters_are_known(blueprint: Any, *, has: bool) -> None:
    assert has_filters(blueprint) is has


def test_blueprints_that_work_have_no_faults() -> None:
    odd = ("$unknown", "$[", ": 3}", "$atIf': 3", "$jqIf': {'filter': '.'}", "$jqIf': '.'")
    for blueprint, _ in TABLE:
        text = str(blueprint)
        if text.startswith("{") and not any(part in text for part in odd):
            assert not list(blueprint_faults(blueprint, _fault)), text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "$spread", *sorted(OPERATORS)]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(json_values, json_values)
def test_nothing_raises(value: Any, blueprint: Any) -> None:
    project(value, blueprint)
    list(blueprint_faults(blueprint, _fault))
    has_filters(blueprint)


def test_a_path_in_a_filter_takes_no_time_and_deep_documents_break_nothing() -> None:
    path = compile_path("$.a[?match(@, '(a+)+b')]")
    assert path.find({"a": ["a" * 50_000]}) == []
    assert compile_path("$.a[?search(@, 'b+')]").find({"a": ["abc", "x"]}) == ["abc"]
    deep: Any = 1
    for _ in range(3000):
        deep = {"a": deep}
    compile_path("$..b").find(deep)


@pytest.mark.parametrize("bad", ["", "$[", "$.a[?(", "x" * 5000])
def test_bad_paths_are_refused(bad: str) -> None:
    with pytest.raises(JsonPathError):
        compile_path(bad)


def test_pointers_follow_rfc_6901() -> None:
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8}
    for pointer, expected in (
        ("", document),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/m~0n", 8),
    ):
        assert value_at_pointer(document, pointer) == expected
    assert project(document, {"x": {"$pointer": "/foo/01"}}) == {"x": None}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "2026-10-30T10:30:00.123+00:00"),
        ("E, d MMM yyyy h:mm a z", "Fri, 30 Oct 2026 10:30 AM UTC"),
        ("EEEE MMMM", "Friday October"),
        ("yyyy''D", "2026'303"),
        ("kk KK ee", "10 10 05"),
    ],
)
def test_date_patterns(pattern: str, expected: str) -> None:
    assert format_date(1793356200123, pattern) == expected


def test_a_letter_that_is_none_is_refused() -> None:
    with pytest.raises(DatePatternError, match="'Q' is no letter"):
        format_date(0, "yyyy Q")
