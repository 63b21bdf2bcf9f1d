"""Otoroshi's notation for what a JSON value must be: predicates of validators that look at a JSONPath."""

import re
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.json_path import JsonPath, JsonPathError, compile_path
from oto_trio.model.matching import MISSING, Json, is_array, is_same
from oto_trio.plugin_api.expectation import fault_of, meets

__all__ = ["JsonPathError", "JsonPathValidator", "compile_path", "has_match", "value_meets"]

_OPERATOR = re.compile(r"([A-Za-z]+)\((.*)\)", re.DOTALL)


class JsonPathValidator(msgspec.Struct, frozen=True):
    """What the value at a path must be."""

    path: Annotated[str, Meta(description="A JSONPath into the context; ${…} is evaluated.")]
    value: Annotated[
        Json,
        Meta(
            description="What must be there: a JSON value, or a text such as Regex(…), Contains(…), "
            "Size(…), IsDefined(), NotDefined(); ${…} is evaluated in texts."
        ),
    ] = None
    error: Annotated[str | None, Meta(description="Kept; Otoroshi shows it nowhere.")] = None

    def fault(self) -> str | None:
        """Tell what is wrong with it as far as that is known before a request comes."""
        if "${" not in self.path:
            try:
                compile_path(self.path)
            except JsonPathError as error:
                return f"path: {error}"
        if isinstance(self.value, str) and "${" not in self.value:
            inner = _OPERATOR.fullmatch(self.value)
            found = fault_of(self.value) or (fault_of(inner[2]) if inner else None)
            if found is not None:
                return f"value: not a pattern: {found}"
        return None


def has_match(path: JsonPath, document: Json) -> bool:
    """Tell whether a path leads to something: a value that is not null, or a list with items."""
    value = path.value(document)
    return value is not MISSING and value is not None and value != []


def value_meets(path: JsonPath, document: Json, expected: Json) -> bool:
    """Tell whether the value at a path is what is expected.

    ``NotDefined()`` and ``IsDefined()`` ask whether there is one. A path with a filter (``[?(…)]``) and
    an expected boolean ask whether it finds anything. Numbers and booleans compare as text with an
    expected text, an object and null as JSON.

    Source: Otoroshi's ``json-path-validator``.
    """
    found = path.value(document)
    is_there = found is not MISSING and (path.is_definite or found != [])
    if expected in ("NotDefined()", "IsDefined()"):
        return is_there == (expected == "IsDefined()")
    if isinstance(expected, bool) and not path.is_definite:
        return is_there == expected
    if not is_there:
        return False
    if is_array(found):
        return _array_meets(found, expected)
    if isinstance(expected, str):
        return meets(expected, _text(found))
    return is_same(found, expected)


def _text(value: Json) -> str:
    """Return a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _array_meets(items: list[Json], expected: Json) -> bool:
    """Tell whether an array is what is expected; what is no text must be one of its items."""
    if not isinstance(expected, str):
        return any(is_same(item, expected) for item in items) or is_same(items, expected)
    operator = _OPERATOR.fullmatch(expected)
    form = None if operator is None else _FORMS.get(operator[1])
    if operator is None or form is None:
        return is_same(items, _json(expected))
    return form(items, operator[2])


def _json(text: str) -> Json:
    """Read JSON; `MISSING` for what is none, which equals nothing."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return MISSING


def _sized(holds: Callable[[int, int], bool]) -> Callable[[list[Json], str], bool]:
    def form(items: list[Json], bound: str) -> bool:
        text = bound.strip()
        return text.isascii() and text.isdigit() and holds(len(items), int(text[:18]))

    return form


def _contains(items: list[Json], wanted: str) -> bool:
    """An item is this text, or is as ``Regex(…)`` and ``Wildcard(…)`` say."""
    operator = _OPERATOR.fullmatch(wanted)
    if operator is None or operator[1] not in ("Regex", "Wildcard"):
        return any(_text(item) == wanted for item in items)
    return any(meets(wanted, _text(item)) for item in items)


def _contains_json(items: list[Json], wanted: str) -> bool:
    """An item is this JSON value, or its JSON text is as ``Regex(…)`` and ``Wildcard(…)`` say."""
    operator = _OPERATOR.fullmatch(wanted)
    if operator is not None and operator[1] in ("Regex", "Wildcard"):
        return any(meets(wanted, msgspec.json.encode(item).decode()) for item in items)
    value = _json(wanted)
    return any(is_same(item, value) for item in items)


def _starts_with(items: list[Json], wanted: str) -> bool:
    """An item begins with this text."""
    return any(_text(item).startswith(wanted) for item in items)


def _negated(
    form: Callable[[list[Json], str], bool],
) -> Callable[[list[Json], str], bool]:
    return lambda items, text: not form(items, text)


_FORMS: dict[str, Callable[[list[Json], str], bool]] = {
    "Size": _sized(lambda size, bound: size == bound),
    "SizeNot": _sized(lambda size, bound: size != bound),
    "SizeLt": _sized(lambda size, bound: size < bound),
    "SizeGt": _sized(lambda size, bound: size > bound),
    "SizeLte": _sized(lambda size, bound: size <= bound),
    "SizeGte": _sized(lambda size, bound: size >= bound),
    "Contains": _contains,
    "ContainsNot": _negated(_contains),
    "JsonContains": _contains_json,
    "JsonContainsNot": _negated(_contains_json),
    "StartsWith": _starts_with,
    "DontStartsWith": _negated(_starts_with),
}
