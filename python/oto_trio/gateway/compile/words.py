"""What the operator configured, for the keys of the exchange protocol: they are resolved when they are read.

Other texts are expressions that the engine evaluates for each request; a key is needed before there is one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oto_trio.model.document import JsonObject

__all__ = ["SHARED_KEY", "configured_words", "resolved_keys", "resolved_slot", "unjudged"]

_EXPRESSION: Final = re.compile(r"\$\{((?:config|env)\.[^}]+)\}")

_WITH_KEYS: Final = {
    "cp:otoroshi.next.plugins.OtoroshiChallenge": ("algo_to_backend", "algo_from_backend"),
    "cp:otoroshi.next.plugins.OtoroshiInfos": ("algo",),
}
"""Plugins of the exchange protocol, and which keys of their config say how something is signed."""

SHARED_KEY: Final = "config.app.claim.sharedKey"
"""What older services name as the key of the exchange protocol: the installation's own."""


def configured_words(
    expressions: Mapping[str, Any], shared_key: str | None
) -> Callable[[str], str | None]:
    """Return what gives the value of ``config.PATH`` and ``env.NAME``, with ``:DEFAULT`` or without.

    Args:
        expressions: What expressions may read in every route; see `oto_trio.gateway.frames.Start`.
        shared_key: The value of `SHARED_KEY` unless ``config`` has one; None when there is none.

    Returns:
        A function from the words between ``${`` and ``}`` to the text, or None.
    """

    def resolve(words: str) -> str | None:
        path, colon, default = words.partition(":")
        value: object = expressions
        for part in path.split("."):
            if not isinstance(value, dict):
                value = None
                break
            value = cast("dict[str, object]", value).get(part)
        if isinstance(value, str):
            return value
        if path == SHARED_KEY and shared_key is not None:
            return shared_key
        return default if colon else None

    return resolve


def unjudged(_words: str) -> str:
    """Stand for the value of every reference, for a check where nobody knows them."""
    return "known where it runs"


def resolved_keys(
    path: str, algorithm: JsonObject, resolve: Callable[[str], str | None]
) -> tuple[JsonObject, list[Problem]]:
    """Put the operator's values into the settings of a signature.

    Args:
        path: Where they stand.
        algorithm: The settings; a text that is all ``${config.PATH}`` or ``${env.NAME}`` is resolved.
        resolve: As `configured_words` makes it.

    Returns:
        The settings, and what has no value: to sign with the expression itself would be no secret.
    """
    keys = dict(algorithm)
    problems: list[Problem] = []
    for key, text in algorithm.items():
        if not isinstance(text, str) or (found := _EXPRESSION.fullmatch(text)) is None:
            continue
        value = resolve(found[1])
        if value is not None:
            keys[key] = value
            continue
        told = f"the key refers to {found[1]}, which has no value"
        fix = "name it in the setting expression_config, or write the key"
        problems.append(Problem(f"{path}.{key}", told, fix))
    return keys, problems


def resolved_slot(
    plugin: str, config: JsonObject, resolve: Callable[[str], str | None]
) -> tuple[JsonObject, list[Problem]]:
    """Put the operator's values into the config of a plugin of the exchange protocol; leave any other.

    Returns:
        The config, and what has no value; paths start at the slot.
    """
    problems: list[Problem] = []
    for name in _WITH_KEYS.get(plugin, ()):
        algorithm: object = config.get(name)
        if isinstance(algorithm, dict):
            at = f"$.config.{name}"
            keys, wrong = resolved_keys(at, cast("JsonObject", algorithm), resolve)
            config = {**config, name: keys}
            problems += wrong
    return config, problems
