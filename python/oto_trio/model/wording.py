"""Types and values in words, for messages that people read."""

from __future__ import annotations

import types
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UnsetType

__all__ = ["broken_bound", "describe_type", "in_words", "json_kind", "unwrap"]

_BOUNDS: Final = {
    ">=": "at least",
    "<=": "at most",
}

_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    tuple: "a list",
}


def json_kind(value: object) -> str:
    """Name the JSON type of a decoded value, with its article: ``a text``, ``null``, ``a list``."""
    if value is None:
        return "null"
    return _WORDS.get(type(value), f"a {type(value).__name__}")


def in_words(hint: Any) -> str:
    """Name a leaf type for people."""
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if origin is dict:
        key_value = get_args(hint)
        return "an object of texts" if key_value[-1] is str else "an object"
    if origin in (tuple, list):
        return f"a list of {in_words(get_args(hint)[0]).removeprefix('a ')}s"
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(a) for a in get_args(hint) if a is not UnsetType)
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "an object"
    return _WORDS.get(hint, "a value")


def unwrap(hint: Any) -> tuple[Any, str, bool]:
    """Strip Annotated, UNSET and null from a field's type.

    Returns:
        (bare type, description, whether null is allowed).
    """
    description = ""
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            description = meta.description
    bare = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    nullable = False
    if get_origin(bare) in (Union, types.UnionType):
        parts = [a for a in get_args(bare) if a is not UnsetType and a is not type(None)]
        nullable = type(None) in get_args(bare)
        if len(parts) == 1:
            bare = parts[0].__origin__ if hasattr(parts[0], "__metadata__") else parts[0]
    return bare, description, nullable


def describe_type(hint: Any) -> str:
    """Name the type of a field for people: ``a whole number or null``, ``one of 'a', 'b'``."""
    return in_words(unwrap(hint)[0])


def broken_bound(error: msgspec.ValidationError, expected: str, found: str) -> str | None:
    """Say in words which bound a value of the right type breaks; None when the type is wrong.

    Args:
        error: What msgspec says of the value.
        expected: The type wanted, in words.
        found: The type of the value, in words.
    """
    if expected != found:
        return None
    reason = str(error).split(" - at")[0].replace("`", "")
    if "length >= 1" in reason:
        return "must not be empty"
    if "matching regex" in reason:
        return "has not the form it must have"
    for sign, words in _BOUNDS.items():
        if sign in reason:
            return f"must be {words} {reason.rpartition(' ')[2]}"
    return reason[:1].lower() + reason[1:]
