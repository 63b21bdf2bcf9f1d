"""Filtering, sorting, paging and projection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from oto_trio.control.admin_api.listing import ListQuery, read_list_query
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.scanning import scanner

ROUTES: list[dict[str, Any]] = [
    {"id": "a", "name": "Users", "n": 10, "on": True, "tags": ["x", "y"], "o": {"k": "v"}},
    {"id": "b", "name": "orders", "n": 9, "on": False, "tags": [], "o": {"k": "w"}},
    {"id": "c", "name": "items", "n": 100, "on": True, "l": [{"p": 1}, {"p": 2}]},
]


def query(text: str) -> ListQuery:
    return read_list_query(QueryParams(text))


def as_in_whole(
    asked: ListQuery, documents: list[dict[str, Any]]
) -> list[tuple[object, ...] | None]:
    """What a scan should come to."""
    return [asked.keys_of(each) if asked.matches(each) else None for each in documents]


def ids(text: str) -> list[str]:
    asked = query(text)
    found = [(asked.keys_of(r), r) for r in ROUTES if asked.matches(r)]
    # What reads only the keys that are looked at comes to the same.
    scan = scanner(asked)
    assert [scan(msgspec.json.encode(r)) for r in ROUTES] == as_in_whole(asked, ROUTES)
    asked.sort(found)
    return [r["id"] for _, r in found[asked.offset : asked.offset + asked.page_size]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("filter.name=Users", ["a"]),
        ("filter.name=users", []),
        ("filter.n=9", ["b"]),
        ("filter.n=9.0", ["b"]),
        ("filter.on=true", ["a", "c"]),
        ("filter.on=1", []),
        ("filter.tags=y", ["a"]),
        ("filter.o.k=w", ["b"]),
        ("filter./o/k=w", ["b"]),
        ("filter.$.o.k=w", ["b"]),
        ("filter.$.l[1].p=2", ["c"]),
        ("filter.$.l[*].p=2", ["c"]),
        ("filter.l.0.p=1", ["c"]),
        ("filter.$['o']['k']=v", ["a"]),
        ("filter.on=true&filter.n=100", ["c"]),
        ("filtered=name:ER", ["a", "b"]),
        ("filtered=name:ers,o.k:w", ["b"]),
        ("filtered=name:item|user", ["a", "c"]),
        ("filtered=n:10", ["a", "c"]),
        ("sorted=name:true", ["a", "c", "b"]),
        ("sorted=name:false", ["b", "c", "a"]),
        ("sorted=n:true", ["b", "a", "c"]),
        ("sorted=on:true,n:false", ["b", "c", "a"]),
        ("sorted=o.k:true", ["c", "a", "b"]),
        ("sorted=on:true,o.k:false", ["b", "a", "c"]),
        ("filter.$.*.k=w", ["b"]),
        ('filter./a"b=1', []),
        ("filter./a%5Cb=1&filter.n=9", []),
        ("filter./=1", []),
        ("page=2&pageSize=2", ["c"]),
        ("page=3&pageSize=2", []),
        ("pageSize=99999&page=1", ["a", "b", "c"]),
    ],
)
def test_what_a_list_has(text: str, expected: list[str]) -> None:
    assert ids(text) == expected


def test_pages_are_counted() -> None:
    assert [query("pageSize=10").pages_of(n) for n in (0, 1, 10, 11)] == [0, 1, 1, 2]
    assert query("").pages_of(5) == 1


def test_fields_are_kept_in_their_place() -> None:
    assert query("fields=name,o.k").project(ROUTES[0]) == {"name": "Users", "o": {"k": "v"}}
    assert query("fields=none").project(ROUTES[0]) == {}
    assert query("fields=name,name.x").project(ROUTES[0]) == {"name": "Users"}


@pytest.mark.parametrize(
    "text",
    [
        "page=0",
        "page=-1",
        "page=x",
        "pageSize=0",
        "pageSize=1.5",
        "pageSize=99999999999999999999",
        "pageSize=\u0661",
        "filter.$.a[?(@.b)]=1",
        "filter.$=1",
        "sorted=$:true",
        "filtered=name",
        "sorted=name",
        "&".join(f"filter.k{n}=1" for n in range(50)),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        query(text)
    assert caught.value.answer_status == 400


KEYS = st.sampled_from(["a", "b", "0", "1", 'q"'])
LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "B", "ab"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
PATHS: st.SearchStrategy[tuple[str | int, ...]] = st.lists(
    KEYS | st.just("*") | st.integers(0, 2), min_size=1, max_size=3
).map(tuple)
EQUAL = st.lists(st.tuples(PATHS, st.sampled_from(["a", "1", "true", "null", "{}"])), max_size=2)
CONTAINING = st.lists(
    st.tuples(PATHS, st.lists(st.sampled_from(["a", "1", ""]), min_size=1).map(tuple)), max_size=2
)
ORDER = st.lists(st.tuples(PATHS, st.booleans()), max_size=2)


@given(st.dictionaries(KEYS, VALUES, max_size=4), EQUAL, CONTAINING, ORDER)
def test_a_scan_finds_what_is_found_in_whole_documents(
    document: dict[str, Any], equal: Any, containing: Any, order: Any
) -> None:
    asked = ListQuery(1, 10, tuple(equal), tuple(containing), tuple(order), ())
    assert [scanner(asked)(msgspec.json.encode(document))] == as_in_whole(asked, [document])


@pytest.mark.parametrize("is_ascending", [True, False])
def test_texts_alone_are_sorted_as_beside_other_values(is_ascending: bool) -> None:
    words = ["b", "c", "a", "", "ä", "B"]
    asked = ListQuery(1, 10, (), (), ((("w",), is_ascending),), ())
    alone: list[tuple[tuple[object, ...], str | None]] = [((word,), word) for word in words]
    mixed: list[tuple[tuple[object, ...], str | None]] = [*alone, ((None,), None)]
    asked.sort(alone)
    asked.sort(mixed)
    assert [word for _, word in alone] == sorted(words, reverse=not is_ascending)
    assert [word for _, word in mixed if word is not None] == [word for _, word in alone]
