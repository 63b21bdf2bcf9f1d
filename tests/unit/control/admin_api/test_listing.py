"""Filtering, sorting, paging and projection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from starlette.datastructures import QueryParams

from oto_trio.control.admin_api.listing import ListQuery, read_list_query
from oto_trio.control.admin_api.refusals import ApiError

ROUTES: list[dict[str, Any]] = [
    {"id": "a", "name": "Users", "n": 10, "on": True, "tags": ["x", "y"], "o": {"k": "v"}},
    {"id": "b", "name": "orders", "n": 9, "on": False, "tags": [], "o": {"k": "w"}},
    {"id": "c", "name": "items", "n": 100, "on": True, "l": [{"p": 1}, {"p": 2}]},
]


def query(text: str) -> ListQuery:
    return read_list_query(QueryParams(text))


def ids(text: str) -> list[str]:
    asked = query(text)
    found = [(asked.keys_of(r), r) for r in ROUTES if asked.matches(r)]
    # What reads only the keys that are looked at comes to the same.
    parts = [asked.reader()(msgspec.json.encode(r)) for r in ROUTES]
    assert [(asked.keys_of(p), asked.matches(p)) for p in parts] == [
        (asked.keys_of(r), asked.matches(r)) for r in ROUTES
    ]
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
        "filtered=name",
        "sorted=name",
        "&".join(f"filter.k{n}=1" for n in range(50)),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        query(text)
    assert caught.value.answer_status == 400
