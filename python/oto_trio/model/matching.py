"""The match language: predicates on JSON values, as filters of exporters and validators write them.

A predicate is a JSON object whose keys must all match. A boolean, number or text stands for equality, an array
for exact equality, an object with one key that starts with ``$`` for an operator, and any other object looks
into the field of that name. A predicate that is one operator itself looks at the whole value.

Everything is a pure function. Regular expressions run in linear time (`oto_trio._core.Pattern`), because the
texts they meet come from clients.

Source: Otoroshi's match language; what it leaves open is said at the operator.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from oto_trio._core import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import TypeIs

__all__ = [
    "MISSING",
    "OPERATORS",
    "Json",
    "is_array",
    "is_object",
    "is_same",
    "is_wildcard_match",
    "matches",
    "predicate_faults",
    "value_at",
]

Json: TypeAlias = object
"""A decoded JSON value: dict with text keys, list, text, number, boolean or None."""

_MAX_DEPTH: Final = 64
"""Predicates nested deeper than this match nothing, and `predicate_faults` says so."""


class _Missing:
    """The type of `MISSING`."""

    __slots__ = ()


MISSING: Final = _Missing()
"""What stands where a document has no value; different from every JSON value, null too."""


def is_object(value: object) -> TypeIs[dict[str, Json]]:
    """Tell whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeIs[list[Json]]:
    """Tell whether a decoded JSON value is an array."""
    return isinstance(value, list)


def value_at(document: Json, path: str) -> Json:
    """Follow a path of keys.

    Args:
        document: Where to look.
        path: A key, or keys joined by dots. A key that has dots itself is found first. A number is the place in
            an array.

    Returns:
        The value, or `MISSING`.
    """
    if is_object(document):
        found: Json = document.get(path, MISSING)
        if found is not MISSING or "." not in path:
            return found
    here = document
    for key in path.split("."):
        if is_object(here):
            here = here.get(key, MISSING)
        elif is_array(here):
            items = here
            is_place = key.isascii() and key.isdigit() and len(key) <= 9
            here = items[int(key)] if is_place and int(key) < len(items) else MISSING
        else:
            return MISSING
    return here


def is_same(one: Json, other: Json) -> bool:
    """Tell whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if is_object(one) and is_object(other):
        left, right = one, other
        return left.keys() == right.keys() and all(is_same(left[key], right[key]) for key in left)
    if is_array(one) and is_array(other):
        a, b = one, other
        return len(a) == len(b) and all(map(is_same, a, b))
    return bool(one == other)


def is_wildcard_match(pattern: str, text: str) -> bool:
    """Tell whether the whole text matches a pattern in which ``*`` stands for any text, also none.

    Cost: the product of both lengths at worst.
    """
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    last = pieces.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in pieces:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def matches(source: Json, predicate: Json) -> bool:
    """Tell whether a value matches a predicate. Never raises; what cannot be understood matches nothing.

    Args:
        source: The value.
        predicate: An object; see the module.
    """
    return is_object(predicate) and _matches(source, predicate, _MAX_DEPTH)


# ------------------------------------------------------------------------- how it is done


def _operator(predicate: Json) -> tuple[str, Json] | None:
    """Return the operator that an object is, with its argument."""
    if is_object(predicate):
        items = predicate
        if len(items) == 1:
            ((name, argument),) = items.items()
            if name.startswith("$"):
                return name, argument
    return None


def _matches(source: Json, predicate: dict[str, Json], depth: int) -> bool:
    if depth == 0:
        return False
    operator = _operator(predicate)
    if operator is not None:
        return _apply(source, *operator, depth - 1)
    return all(
        _value_matches(value_at(source, key), wanted, depth - 1)
        for key, wanted in predicate.items()
    )


def _value_matches(value: Json, wanted: Json, depth: int) -> bool:
    """Tell whether a field's value is as a predicate wants it."""
    if is_object(wanted):
        inner = wanted
        if _operator(inner) is not None:
            return _matches(value, inner, depth)
        return is_object(value) and _matches(value, inner, depth)
    return value is not MISSING and is_same(value, wanted)


def _apply(value: Json, name: str, argument: Json, depth: int) -> bool:
    if depth == 0:
        return False
    operator = _OPERATORS.get(name)
    return operator is not None and operator(value, argument, depth)


def _number(value: Json) -> int | float | None:
    """Return a number as such; true and false are none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _compare(holds: Callable[[float, float], bool]) -> Callable[[Json, Json, int], bool]:
    def operator(value: Json, argument: Json, _depth: int) -> bool:
        left, right = _number(value), _number(argument)
        return left is not None and right is not None and holds(left, right)

    return operator


def _between(holds: Callable[[float, float], bool]) -> Callable[[Json, Json, int], bool]:
    def operator(value: Json, argument: Json, _depth: int) -> bool:
        number = _number(value)
        if number is None or not is_object(argument):
            return False
        bounds = argument
        least, most = _number(bounds.get("min")), _number(bounds.get("max"))
        if least is None or most is None:
            return False
        return holds(least, number) and holds(number, most)

    return operator


@lru_cache(maxsize=1024)
def _pattern(source: str) -> Pattern | None:
    """Compile an expression once; None when it cannot be run."""
    try:
        return Pattern(source)
    except ValueError:
        return None


def _regex(value: Json, argument: Json, _depth: int) -> bool:
    if not isinstance(value, str) or not isinstance(argument, str):
        return False
    try:
        pattern = _pattern(argument)
        return pattern is not None and pattern.matches(value)
    except UnicodeEncodeError:  # a lone surrogate is in no language
        return False


def _wildcard(value: Json, argument: Json, _depth: int) -> bool:
    return (
        isinstance(value, str) and isinstance(argument, str) and is_wildcard_match(argument, value)
    )


def _items_match(value: Json, argument: list[Json], depth: int) -> Iterator[bool]:
    """Walk whether the value matches each item of a list of literals or predicates."""
    for item in argument:
        yield _value_matches(value, item, depth)


def _and(value: Json, argument: Json, depth: int) -> bool:
    return is_array(argument) and all(_items_match(value, argument, depth))


def _or(value: Json, argument: Json, depth: int) -> bool:
    return is_array(argument) and any(_items_match(value, argument, depth))


def _nor(value: Json, argument: Json, depth: int) -> bool:
    return is_array(argument) and not any(_items_match(value, argument, depth))


def _in(value: Json, argument: Json, _depth: int) -> bool:
    return (
        is_array(argument)
        and value is not MISSING
        and any(is_same(value, item) for item in argument)
    )


def _not_in(value: Json, argument: Json, depth: int) -> bool:
    return is_array(argument) and not _in(value, argument, depth)


def _size(value: Json, argument: Json, _depth: int) -> bool:
    return is_array(value) and is_same(len(value), argument)


def _contains(value: Json, argument: Json, _depth: int) -> bool:
    """An array contains the argument; or an object has ``{key, value}``."""
    if is_array(value):
        return any(is_same(item, argument) for item in value)
    if is_object(value) and is_object(argument):
        wanted, fields = argument, value
        key = wanted.get("key")
        return (
            isinstance(key, str)
            and "value" in wanted
            and key in fields
            and is_same(fields[key], wanted["value"])
        )
    return False


def _all(value: Json, argument: Json, depth: int) -> bool:
    return (
        is_array(value)
        and is_array(argument)
        and all(_contains(value, item, depth) for item in argument)
    )


def _not(value: Json, argument: Json, depth: int) -> bool:
    """Negate an operator, or another predicate; what is neither matches nothing."""
    return is_object(argument) and not _matches(value, argument, depth)


def _equal(value: Json, argument: Json, _depth: int) -> bool:
    return value is not MISSING and is_same(value, argument)


def _not_equal(value: Json, argument: Json, depth: int) -> bool:
    """Whatever is not equal, a missing value too."""
    return not _equal(value, argument, depth)


def _exists(value: Json, argument: Json, _depth: int) -> bool:
    return (
        is_object(value) and isinstance(argument, str) and value_at(value, argument) is not MISSING
    )


_OPERATORS: Final[dict[str, Callable[[Json, Json, int], bool]]] = {
    "$wildcard": _wildcard,
    "$regex": _regex,
    "$between": _between(lambda least, most: least < most),
    "$betweene": _between(lambda least, most: least <= most),
    "$gt": _compare(lambda value, bound: value > bound),
    "$gte": _compare(lambda value, bound: value >= bound),
    "$lt": _compare(lambda value, bound: value < bound),
    "$lte": _compare(lambda value, bound: value <= bound),
    "$and": _and,
    "$or": _or,
    "$nor": _nor,
    "$in": _in,
    "$nin": _not_in,
    "$size": _size,
    "$contains": _contains,
    "$all": _all,
    "$not": _not,
    "$eq": _equal,
    "$ne": _not_equal,
    "$exists": _exists,
}

OPERATORS: Final = frozenset(_OPERATORS)
"""The names of all operators."""


def predicate_faults(
    predicate: Json, path: str = "$", depth: int = _MAX_DEPTH
) -> Iterator[tuple[str, str]]:
    """Walk what a predicate has that can never match, for whoever writes one.

    Args:
        predicate: The predicate.
        path: Where it stands.
        depth: How deep it may still be nested.

    Returns:
        Pairs of a path and what is wrong there.
    """
    operator = _operator(predicate)
    if depth == 0:
        yield path, f"is nested deeper than {_MAX_DEPTH} levels and matches nothing"
    elif not is_object(predicate):
        yield path, "is no object and matches nothing; write keys with what they must be"
    elif operator is not None:
        yield from _operator_faults(*operator, f"{path}.{operator[0]}", depth - 1)
    else:
        for key, value in predicate.items():
            if is_object(value):
                yield from predicate_faults(value, f"{path}.{key}", depth - 1)


def _operator_faults(name: str, argument: Json, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if name not in _OPERATORS:
        yield path, f"no such operator; there are {', '.join(sorted(_OPERATORS))}"
    elif name == "$regex":
        yield from _regex_faults(argument, path)
    elif name == "$not":
        yield from predicate_faults(argument, path, depth)
    elif name in ("$and", "$or", "$nor"):
        if not is_array(argument):
            yield path, "needs a list of values and predicates"
            return
        for at, item in enumerate(argument):
            if is_object(item):
                yield from predicate_faults(item, f"{path}[{at}]", depth)


def _regex_faults(source: Json, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(source, str):
        yield path, "needs a text"
        return
    try:
        Pattern(source)
    except (ValueError, UnicodeEncodeError) as error:
        yield path, str(error)
