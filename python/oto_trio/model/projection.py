"""The projection language: what of a JSON document goes on, and under which names.

A blueprint is an object, carried out key by key:

* ``true`` copies the field (null when there is none), ``false`` takes it out of the result, a text copies it under
  that name;
* ``"$spread": true`` copies every field first;
* an object with one key that starts with ``$`` is an operator, and its value becomes the field;
* any other object is a blueprint for the field of that name, or for the same document when there is none.

A blueprint that is one operator itself gives that operator's value. Everything is a pure function and none
raises for what a document holds; `blueprint_faults` tells what a blueprint has that cannot work.

The filters of ``$jq`` and ``$jqIf`` run elsewhere (`oto_trio.jq.projected`): here they are handed to whoever projects. What they
give is never the document of another operator, so they can all be known before one of them is run.

Source: Otoroshi's projection language.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from oto_trio._core import Pattern
from oto_trio.model.java_date import DEFAULT_PATTERN, DatePatternError, format_date
from oto_trio.model.json_path import JsonPathError, compile_path
from oto_trio.model.matching import (
    MISSING,
    Json,
    is_array,
    is_object,
    is_same,
    is_wildcard_match,
    value_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "OPERATORS",
    "CheckFilter",
    "Expand",
    "RunFilter",
    "blueprint_faults",
    "has_filters",
    "project",
    "value_at_pointer",
]

Expand: TypeAlias = "Callable[[str], str]"
"""Puts values into the ``${…}`` of a text."""

RunFilter: TypeAlias = "Callable[[str, Json], Json]"
"""Gives what a jq filter makes of a document."""

CheckFilter: TypeAlias = "Callable[[str], str | None]"
"""Tells what is wrong with a jq filter; None when nothing is."""

_MAX_DEPTH: Final = 32
"""Blueprints nested deeper than this give null, and `blueprint_faults` says so."""

_KEY_FILTERS: Final = ("$includeAllKeysMatching", "$excludeAllKeysMatching")


def _unchanged(text: str) -> str:
    return text


def _null(filter_text: str, source: Json) -> None:
    del filter_text, source


def project(
    source: Json, blueprint: Json, expand: Expand = _unchanged, run_filter: RunFilter = _null
) -> Json:
    """Project a document.

    Args:
        source: The document; it is not changed, and parts of it are shared with the result.
        blueprint: What of it goes on. An empty one, or one that is no object, gives the document as it is.
        expand: Puts values into ``${…}`` of the texts of ``$compose``.
        run_filter: Gives the value of a jq filter, in the order of the blueprint; without it that is null.

    Returns:
        The projected document.
    """
    if not is_object(blueprint) or not blueprint:
        return source
    return _Projection(expand, run_filter).run(source, blueprint, _MAX_DEPTH)


def has_filters(blueprint: Json) -> bool:
    """Tell whether a blueprint may have jq filters to run."""
    waiting = [blueprint]
    while waiting:
        here = waiting.pop()
        if is_object(here):
            if "$jq" in here or "$jqIf" in here:
                return True
            waiting += here.values()
        elif is_array(here):
            waiting += here
    return False


def value_at_pointer(document: Json, pointer: str) -> Json:
    """Follow a JSON pointer (RFC 6901).

    Returns:
        The value, or `MISSING`.
    """
    if not pointer:
        return document
    if not pointer.startswith("/"):
        return MISSING
    here = document
    for part in pointer[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if is_object(here):
            here = here.get(key, MISSING)
        elif is_array(here):
            is_index = key.isascii() and key.isdigit() and (key == "0" or key[0] != "0")
            here = (
                here[int(key)] if is_index and len(key) < 10 and int(key) < len(here) else MISSING
            )
        else:
            return MISSING
    return here


# ------------------------------------------------------------------------- how it is done


def _operator(instruction: Json) -> tuple[str, Json] | None:
    if is_object(instruction) and len(instruction) == 1:
        ((name, argument),) = instruction.items()
        if name.startswith("$") and name != "$spread" and name not in _KEY_FILTERS:
            return name, argument
    return None


def _key_filter(key: str, instruction: Json) -> tuple[str, list[Json]] | None:
    """Return a filter of keys, which may stand for itself or under any key."""
    if key in _KEY_FILTERS and is_array(instruction):
        return key, instruction
    if is_object(instruction) and len(instruction) == 1:
        ((name, argument),) = instruction.items()
        if name in _KEY_FILTERS and is_array(argument):
            return name, argument
    return None


def _or_null(value: Json) -> Json:
    return None if value is MISSING else value


class _Projection:
    """One projection under way."""

    def __init__(self, expand: Expand, run_filter: RunFilter) -> None:
        self._expand = expand
        self._run_filter = run_filter

    def run(self, source: Json, blueprint: dict[str, Json], depth: int) -> Json:
        if depth == 0:
            return None
        whole = _operator(blueprint)
        if whole is not None:
            return _or_null(self.operate(source, *whole, depth - 1))
        result: dict[str, Json] = {}
        if blueprint.get("$spread") is True and is_object(source):
            result.update(source)
        for key, instruction in blueprint.items():
            keys = _key_filter(key, instruction)
            if keys is not None:
                result = _filtered(result, *keys)
            elif key != "$spread":
                self._put(result, source, key, instruction, depth - 1)
        return result

    def _put(
        self, result: dict[str, Json], source: Json, key: str, instruction: Json, depth: int
    ) -> None:
        """Carry out one key of a blueprint."""
        operator = _operator(instruction)
        if instruction is True:
            result[key] = _or_null(value_at(source, key))
        elif instruction is False:
            result.pop(key, None)
        elif isinstance(instruction, str):
            result[instruction] = _or_null(value_at(source, key))
        elif operator is not None:
            name, argument = operator
            if name == "$remove":
                if argument is True:
                    result.pop(key, None)
                return
            value = self.operate(source, name, argument, depth)
            if value is not MISSING:
                result[key] = value
        elif is_object(instruction):
            inner = value_at(source, key)
            result[key] = self.run(source if inner is MISSING else inner, instruction, depth)

    def operate(self, source: Json, name: str, argument: Json, depth: int) -> Json:
        """Return what an operator gives; `MISSING` when it gives no field."""
        if depth <= 0:
            return None
        if name == "$value":
            return argument
        if name == "$compose":
            return self._compose(source, argument, depth)
        if name in _FILTERS:
            return self._filter(source, name, argument)
        operate = _OPERATORS.get(name)
        return MISSING if operate is None else operate(source, argument)

    def _filter(self, source: Json, name: str, argument: Json) -> Json:
        """Run a jq filter; with ``$jqIf``, if another thing has a value, else there is no field."""
        if name == "$jqIf":
            if not is_object(argument) or not _holds(value_at, "path", source, argument):
                return MISSING
            argument = argument.get("filter")
        return self._run_filter(argument, source) if isinstance(argument, str) else None

    def _compose(self, source: Json, template: Json, depth: int) -> Json:
        """Fill a template: texts are expanded, operators carried out, the rest copied."""
        if depth <= 0:
            return None
        if isinstance(template, str):
            return self._expand(template)
        if is_array(template):
            return [self._compose(source, item, depth - 1) for item in template]
        if is_object(template):
            operator = _operator(template)
            if operator is not None and operator[0] in OPERATORS:
                return _or_null(self.operate(source, *operator, depth - 1))
            return {key: self._compose(source, item, depth - 1) for key, item in template.items()}
        return template


def _at_path(source: Json, path: str) -> Json:
    try:
        return compile_path(path).value(source)
    except JsonPathError:
        return MISSING


def _look(find: Callable[[Json, str], Json]) -> Callable[[Json, Json], Json]:
    """Make an operator of a way to find things: its argument is a path, or ``{path, default}``."""

    def operate(source: Json, argument: Json) -> Json:
        default: Json = None
        path = argument
        if is_object(argument):
            default, path = argument.get("default"), argument.get("path")
        found = find(source, path) if isinstance(path, str) else MISSING
        return default if found is MISSING else found

    return operate


def _look_if(find: Callable[[Json, str], Json], key: str) -> Callable[[Json, Json], Json]:
    """Make an operator that finds a thing if another one has a value; else there is no field."""
    look = _look(find)

    def operate(source: Json, argument: Json) -> Json:
        is_given = is_object(argument) and _holds(find, key, source, argument)
        return look(source, argument) if is_given else MISSING

    return operate


def _holds(
    find: Callable[[Json, str], Json], key: str, source: Json, argument: dict[str, Json]
) -> bool:
    """Tell whether what an operator's predicate names has its value."""
    predicate = argument.get("predicate")
    if not is_object(predicate):
        return False
    where = predicate.get(key)
    found = find(source, where) if isinstance(where, str) else MISSING
    return is_same(_or_null(found), predicate.get("value"))


def _header(source: Json, argument: Json) -> Json:
    """Return the first header of a name in an array of ``{key, value}``; letter case does not matter."""
    if not is_object(argument):
        return None
    path, name = argument.get("path"), argument.get("name")
    fields = value_at(source, path) if isinstance(path, str) else MISSING
    if is_array(fields) and isinstance(name, str):
        for field in fields:
            key = field.get("key") if is_object(field) else None
            if is_object(field) and isinstance(key, str) and key.lower() == name.lower():
                return field.get("value")
    return argument.get("default")


def _date(source: Json, argument: Json) -> Json:
    """Write milliseconds since 1970 as a date, in UTC."""
    path, pattern = argument, DEFAULT_PATTERN
    if is_object(argument):
        path = argument.get("path")
        given = argument.get("pattern", DEFAULT_PATTERN)
        if not isinstance(given, str):
            return None
        pattern = given
    millis = value_at(source, path) if isinstance(path, str) else MISSING
    if isinstance(millis, bool) or not isinstance(millis, int | float):
        return None
    try:
        return format_date(millis, pattern)
    except (DatePatternError, OverflowError, ValueError):
        return None


def _filtered(result: dict[str, Json], name: str, filters: list[Json]) -> dict[str, Json]:
    tests = [_key_test(text) for text in filters if isinstance(text, str)]
    keeps = name == "$includeAllKeysMatching"
    return {k: v for k, v in result.items() if any(test(k) for test in tests) is keeps}


@lru_cache(maxsize=512)
def _key_test(text: str) -> Callable[[str], bool]:
    """Make a test of keys: ``StartsWith(x)``, ``Regex(x)``, ``Wildcard(x)``, or equality."""
    name, parenthesis, rest = text.partition("(")
    if parenthesis and rest.endswith(")"):
        inside = rest[:-1]
        if name == "StartsWith":
            return lambda key: key.startswith(inside)
        if name == "Wildcard":
            return lambda key: is_wildcard_match(inside, key)
        if name == "Regex":
            try:
                return Pattern(inside).matches
            except ValueError:
                return lambda _key: False
    return lambda key: key == text


_OPERATORS: Final[dict[str, Callable[[Json, Json], Json]]] = {
    "$at": _look(value_at),
    "$atIf": _look_if(value_at, "at"),
    "$pointer": _look(value_at_pointer),
    "$pointerIf": _look_if(value_at_pointer, "pointer"),
    "$path": _look(_at_path),
    "$pathIf": _look_if(_at_path, "path"),
    "$header": _header,
    "$date_from_unix_fmt": _date,
}

_FILTERS: Final = frozenset({"$jq", "$jqIf"})

OPERATORS: Final = frozenset({*_OPERATORS, *_FILTERS, "$value", "$compose", "$remove"})
"""The names of the operators that make one value."""


# ------------------------------------------------------------------------- faults


def blueprint_faults(
    blueprint: Json, check_filter: CheckFilter, path: str = "$", depth: int = _MAX_DEPTH
) -> Iterator[tuple[str, str]]:
    """Walk what a blueprint has that cannot work, for whoever writes one.

    Args:
        blueprint: The blueprint.
        check_filter: Tells what is wrong with a jq filter.
        path: Where it is.
        depth: How deep it may be nested.

    Returns:
        Pairs of a path and what is wrong there.
    """
    if depth == 0:
        yield path, f"is nested deeper than {_MAX_DEPTH} levels"
        return
    if not is_object(blueprint):
        yield path, "is no object; write keys with true, false, a new name or an operator"
        return
    whole = _operator(blueprint)
    if whole is not None:
        yield from _operator_faults(*whole, f"{path}.{whole[0]}", check_filter, depth - 1)
        return
    for key, instruction in blueprint.items():
        here = f"{path}.{key}"
        if key == "$spread" or _key_filter(key, instruction) is not None:
            continue
        if key in _KEY_FILTERS:
            yield here, "needs a list of keys, StartsWith(…), Regex(…) or Wildcard(…)"
        elif is_object(instruction):
            yield from blueprint_faults(instruction, check_filter, here, depth - 1)
        elif not isinstance(instruction, bool | str):
            yield here, "needs true, false, a new name, an operator or an object"


def _operator_faults(
    name: str, argument: Json, path: str, check_filter: CheckFilter, depth: int
) -> Iterator[tuple[str, str]]:
    if name in _FILTERS:
        yield from _filter_faults(name, argument, path, check_filter)
    elif name == "$compose":
        yield from _template_faults(argument, path, check_filter, depth)
    elif name not in OPERATORS:
        yield path, f"no such operator; there are {', '.join(sorted(OPERATORS))}"
    elif name in ("$path", "$pathIf"):
        yield from _path_faults(argument, path)
    elif name == "$date_from_unix_fmt" and is_object(argument):
        try:
            format_date(0, str(argument.get("pattern", DEFAULT_PATTERN)))
        except DatePatternError as error:
            yield f"{path}.pattern", str(error)


def _template_faults(
    template: Json, path: str, check_filter: CheckFilter, depth: int
) -> Iterator[tuple[str, str]]:
    """Walk the jq filters in a template; everything else gives null or is copied when it cannot work."""
    if depth <= 0:
        yield path, f"is nested deeper than {_MAX_DEPTH} levels"
    elif is_array(template):
        for at, item in enumerate(template):
            yield from _template_faults(item, f"{path}[{at}]", check_filter, depth - 1)
    elif is_object(template):
        operator = _operator(template)
        if operator is not None and operator[0] in _FILTERS:
            yield from _filter_faults(*operator, f"{path}.{operator[0]}", check_filter)
            return
        for key, item in template.items():
            yield from _template_faults(item, f"{path}.{key}", check_filter, depth - 1)


def _filter_faults(
    name: str, argument: Json, path: str, check_filter: CheckFilter
) -> Iterator[tuple[str, str]]:
    text = argument
    if name == "$jqIf":
        if not is_object(argument):
            yield path, "needs an object with filter and predicate"
            return
        predicate = argument.get("predicate")
        if not is_object(predicate) or not isinstance(predicate.get("path"), str):
            yield f"{path}.predicate", "needs an object with path, as text, and value"
        path, text = f"{path}.filter", argument.get("filter")
    if not isinstance(text, str):
        yield path, "needs a jq filter as text"
        return
    fault = check_filter(text)
    if fault is not None:
        yield path, f"not a jq filter: {fault}"


def _path_faults(argument: Json, path: str) -> Iterator[tuple[str, str]]:
    places: list[tuple[str, Json]] = [(path, argument)]
    if is_object(argument):
        places = [(f"{path}.path", argument.get("path"))]
        predicate = argument.get("predicate")
        if is_object(predicate):
            places.append((f"{path}.predicate.path", predicate.get("path")))
    for place, source in places:
        if not isinstance(source, str):
            yield place, "needs a JSONPath as text"
            continue
        try:
            compile_path(source)
        except JsonPathError as error:
            yield place, str(error)
