"""What the operator configured, for the few texts of older entities that are resolved when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SHARED_KEY", "configured_words"]

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
