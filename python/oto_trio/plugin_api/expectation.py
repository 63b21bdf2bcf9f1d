"""Otoroshi's notation for what a header value must look like: ``Regex(…)``, ``Not(…)``, ``x``.

The engine has its own reader of the same notation; this is its readable twin, and what a plugin
written in Python uses. Patterns are matched against the whole value. The engine's patterns are linear in time
and know no look-around; a config that needs one is refused when the route is compiled.
"""

import re
from collections.abc import Callable

from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.templates import compiled_template

__all__ = ["Expected", "fault_of", "meets"]


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
    name, words = _notation(expectation)
    return value == words if name is None else _FORMS[name](words, value)


def _notation(expectation: str) -> tuple[str | None, str]:
    """Cut ``Form(words)`` apart; what is no such thing has no form and is all words."""
    name, parenthesis, rest = expectation.partition("(")
    if name in _FORMS and parenthesis and rest.endswith(")"):
        return name, rest[:-1]
    return None, expectation


class Expected:
    """An expectation whose words may have expressions in them.

    The notation is read from the config and never from a value: what a client sends into an expression
    cannot turn an equality into ``Not(…)``.

    Args:
        path: Where it stands in the config, such as ``$.headers['x-a']``.
        text: The expectation.

    Raises:
        PluginError: The words cannot be compiled.
    """

    def __init__(self, path: str, text: str) -> None:
        self._name, words = _notation(text)
        self._words = compiled_template(path, words)

    def accepts(self, value: str | None, exchange: Exchange) -> bool:
        """Tell whether a value is as expected of this exchange; an absent one never is.

        Where the words make no pattern, no value is.
        """
        if value is None:
            return False
        words = self._words.render(exchange)
        if self._name is None:
            return value == words
        try:
            return _FORMS[self._name](words, value)
        except re.error:
            return False


def fault_of(expectation: str) -> str | None:
    """Tell what is wrong with the pattern of an expectation; ``None`` when nothing is.

    One with expressions is a pattern only once they have values.
    """
    name, words = _notation(expectation)
    if name not in ("Regex", "RegexNot") or "${" in words:
        return None
    try:
        re.compile(words)
    except re.error as error:
        return str(error)
    return None
