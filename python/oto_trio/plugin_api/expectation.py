"""Otoroshi's notation for what a header value must look like: ``Regex(…)``, ``Not(…)``, ``x``.

The engine has its own reader of the same notation; this is its readable twin, and what a plugin
written in Python uses. Patterns are matched against the whole value. The engine's patterns are linear in time
and know no look-around; a config that needs one is refused when the route is compiled.
"""

import re
from collections.abc import Callable

__all__ = ["fault_of", "meets"]


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _matches_wildcard(pattern: str, value: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None


# The longer name of two with the same beginning needs no precedence: "(" must follow the name.
_FORMS: dict[str, Callable[[str, str], bool]] = {
    "Regex": lambda pattern, value: re.fullmatch(pattern, value) is not None,
    "RegexNot": lambda pattern, value: re.fullmatch(pattern, value) is None,
    "Wildcard": _matches_wildcard,
    "WildcardNot": lambda pattern, value: not _matches_wildcard(pattern, value),
    "Contains": lambda part, value: part in value,
    "ContainsNot": lambda part, value: part not in value,
    "ContainedIn": lambda items, value: value in _items(items),
    "NotContainedIn": lambda items, value: value not in _items(items),
    "Not": lambda unwanted, value: value != unwanted,
}


def meets(expectation: str, value: str | None) -> bool:
    """Tell whether a value is what is expected; an absent one (``None``) never is.

    Args:
        expectation: ``Regex(…)``, ``RegexNot(…)``, ``Wildcard(…)``, ``WildcardNot(…)``,
            ``Contains(…)``, ``ContainsNot(…)``, ``ContainedIn(a,b)``, ``NotContainedIn(a,b)``,
            ``Not(…)``; anything else must be equal.
        value: The value, or ``None``.

    Source: Otoroshi's HeadersValidation plugin.
    """
    if value is None:
        return False
    name, parenthesis, rest = expectation.partition("(")
    form = _FORMS.get(name)
    if form is None or not parenthesis or not rest.endswith(")"):
        return value == expectation
    return form(rest[:-1], value)


def fault_of(expectation: str) -> str | None:
    """Tell what is wrong with the pattern of an expectation; ``None`` when nothing is."""
    name, _, rest = expectation.partition("(")
    if name not in ("Regex", "RegexNot") or not rest.endswith(")"):
        return None
    try:
        re.compile(rest[:-1])
    except re.error as error:
        return str(error)
    return None
