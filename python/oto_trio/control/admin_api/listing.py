"""Lists: filtering, sorting, paging and projection of entities, as query parameters ask for it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from oto_trio.control.admin_api.json_patch import json_equal
from oto_trio.control.admin_api.refusals import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import QueryParams

    from oto_trio.model.document import JsonObject

__all__ = ["ListQuery", "contains", "equals", "read_list_query", "values_at"]

T = TypeVar("T")

LARGEST_PAGE: Final = 1_000_000
"""Largest pageSize; otoroshictl asks for 99999 to get everything."""

MOST_CONDITIONS: Final = 32
"""Filters and sort keys taken from one request."""

_PATH_STEP = re.compile(r"\.?([A-Za-z0-9_\-:]+)|\.?\*|\[(\d{1,9})\]|\[\*\]|\['([^']*)'\]")


class ListQuery(msgspec.Struct, frozen=True):
    """What a request asks of a list."""

    page: int
    """Page wanted, from 1."""
    page_size: int
    """Entities a page, at most `LARGEST_PAGE`."""
    equal: tuple[tuple[tuple[str | int, ...], str], ...]
    """(path, value): the entity must have this value there; in a list, among others."""
    containing: tuple[tuple[tuple[str | int, ...], tuple[str, ...]], ...]
    """(path, texts): the value there must contain one of the texts, whatever the case."""
    order: tuple[tuple[tuple[str | int, ...], bool], ...]
    """(path, ascending): what to sort by, most important first."""
    fields: tuple[tuple[tuple[str | int, ...], str], ...]
    """(path, its text) of the keys to keep; empty = all."""

    @property
    def offset(self) -> int:
        """How many entities come before the page."""
        return (self.page - 1) * self.page_size

    @property
    def needs_all(self) -> bool:
        """Whether every entity must be looked at to know which ones the page has."""
        return bool(self.equal or self.containing or self.order)

    @property
    def keys(self) -> frozenset[str]:
        """The outermost keys that filters and sorting look at; ``*`` is all of them."""
        paths = (path for path, _ in (*self.equal, *self.containing, *self.order))
        return frozenset(str(path[0]) for path in paths)

    def pages_of(self, count: int) -> int:
        """How many pages so many entities fill."""
        return -(-count // self.page_size)

    def matches(self, document: JsonObject) -> bool:
        """Tell whether an entity passes all filters."""
        return all(
            any(equals(value, text) for value in values_at(document, path))
            for path, text in self.equal
        ) and all(
            any(contains(value, texts) for value in values_at(document, path))
            for path, texts in self.containing
        )

    def keys_of(self, document: JsonObject) -> tuple[object, ...]:
        """Give the values that an entity is sorted by, most important first."""
        return tuple(next(iter(values_at(document, path)), None) for path, _ in self.order)

    def sort(self, keyed: list[tuple[tuple[object, ...], T]]) -> None:
        """Sort things in place by the keys of their entities (`keys_of`)."""
        for position, (_, ascending) in reversed(list(enumerate(self.order))):
            if {type(values[position]) for values, _ in keyed} == {str}:
                keyed.sort(key=partial(_text_key, position), reverse=not ascending)
                continue
            first = next((k[position] for k, _ in keyed if k[position] is not None), None)
            numeric = isinstance(first, int | float) and not isinstance(first, bool)
            keyed.sort(key=partial(_sort_key, position, numeric=numeric), reverse=not ascending)

    def project(self, document: JsonObject) -> JsonObject:
        """Keep only the fields asked for; what an entity has not is left out."""
        if not self.fields:
            return document
        kept: JsonObject = {}
        for path, text in self.fields:
            found = values_at(document, path)
            if not found:
                continue
            spot: object = kept
            *outer, last = text.split(".")
            for key in outer:
                spot = _below(spot, key)
            if type(spot) is dict:
                cast("JsonObject", spot)[last] = found[0]
        return kept


def _below(spot: object, key: str) -> object:
    """Give the object under a key, made when missing; None where a value is in the way."""
    return cast("JsonObject", spot).setdefault(key, {}) if type(spot) is dict else None


def _text_key(position: int, item: tuple[tuple[object, ...], object]) -> Any:
    """Give a value that sorts by itself."""
    return item[0][position]


def _sort_key(position: int, item: tuple[tuple[object, ...], object], *, numeric: bool) -> Any:
    """Make a key that sorts values of one kind, with the others behind them."""
    value = item[0][position]
    if numeric:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (0, value) if is_number else (1, 0)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def equals(value: object, text: str) -> bool:
    """Compare a value with the text of a filter; a list is equal if an item is."""
    if isinstance(value, list):
        return any(equals(item, text) for item in cast("list[object]", value))
    if isinstance(value, str):
        return value == text
    try:
        return json_equal(value, msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return False


def contains(value: object, texts: Iterable[str]) -> bool:
    """Tell whether a value, written as text, contains one of some lower-case texts."""
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    lowered = shown.lower()
    return any(text in lowered for text in texts)


def values_at(document: object, path: tuple[str | int, ...]) -> list[object]:
    """Find the values at a path; ``*`` in it stands for every child."""
    found: list[object] = [document]
    for step in path:
        below: list[object] = []
        for value in found:
            if isinstance(value, dict):
                children = cast("dict[str, object]", value)
                if step == "*":
                    below.extend(children.values())
                elif str(step) in children:
                    below.append(children[str(step)])
            elif isinstance(value, list):
                items = cast("list[object]", value)
                if step == "*":
                    below.extend(items)
                elif str(step).isascii() and str(step).isdigit() and int(step) < len(items):
                    below.append(items[int(step)])
        found = below
    return found


def _path(text: str, name: str) -> tuple[str | int, ...]:
    """Read a path: plain, dotted, ``/json/pointer`` or ``$.json[0].path``."""
    if text.startswith("/"):
        return tuple(t.replace("~1", "/").replace("~0", "~") for t in text[1:].split("/"))
    if not text.startswith("$"):
        return tuple(text.split("."))
    steps: list[str | int] = []
    place = 1
    while place < len(text):
        match = _PATH_STEP.match(text, place)
        if match is None:
            raise bad_request(
                f"{name}: the path {text!r} is not understood; write a.b.c, /a/b/c, or $.a.b[0].c "
                "with [*] for any child"
            )
        key, index, quoted = match.groups()
        steps.append(key or quoted or (int(index) if index else "*"))
        place = match.end()
    if not steps:
        raise bad_request(f"{name}: the path {text!r} names no key; write $.a or $['a']")
    return tuple(steps)


def _number(params: QueryParams, name: str, default: int, largest: int) -> int:
    """Read a whole number from 1 to a bound."""
    text = params.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= 12
    if not is_number or not 1 <= int(text) <= largest:
        raise bad_request(f"{name}={text!r} is no number from 1 to {largest}; correct it")
    return int(text)


def _pairs(text: str | None, name: str) -> list[tuple[str, str]]:
    """Read ``key:value,key:value``."""
    pairs: list[tuple[str, str]] = []
    for part in (text or "").split(","):
        if not part.strip():
            continue
        key, colon, value = part.rpartition(":")
        if not colon or not key.strip():
            raise bad_request(f"{name}: {part!r} is not of the form path:value; correct it")
        pairs.append((key.strip(), value.strip()))
    return pairs


def read_list_query(params: QueryParams) -> ListQuery:
    """Read what a request asks of a list.

    Raises:
        ApiError: A parameter cannot be understood; the message names it.
    """
    equal = [
        (_path(key.removeprefix("filter."), key), value)
        for key, value in params.multi_items()
        if key.startswith("filter.") and key != "filter."
    ]
    containing = [
        (_path(key, "filtered"), tuple(t.lower() for t in value.split("|")))
        for key, value in _pairs(params.get("filtered"), "filtered")
    ]
    order = [
        (_path(key, "sorted"), value.lower() != "false")
        for key, value in _pairs(params.get("sorted"), "sorted")
    ]
    fields = [f.strip() for f in params.get("fields", "").split(",") if f.strip()]
    if max(len(equal), len(containing), len(order), len(fields) // 8) > MOST_CONDITIONS:
        raise bad_request(f"more than {MOST_CONDITIONS} conditions; ask for less at once")
    return ListQuery(
        page=_number(params, "page", 1, 1_000_000_000),
        page_size=_number(params, "pageSize", LARGEST_PAGE, LARGEST_PAGE),
        equal=tuple(equal),
        containing=tuple(containing),
        order=tuple(order),
        fields=tuple(
            (_path(f, "fields"), f.removeprefix("$.").replace("/", ".").strip(".")) for f in fields
        ),
    )
