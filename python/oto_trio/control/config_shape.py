"""What a configuration file is not: a list, a text, or a full export of Otoroshi."""

from __future__ import annotations

from typing import Final, cast

from oto_trio.model.errors import Problem

__all__ = ["shape_problem"]

OF_EXPORTS: Final = frozenset({"config", "apiKeys", "serviceGroups", "serviceDescriptors"})
"""Keys of a full export that no configuration file has; an export has all or most of them."""


def shape_problem(document: object) -> Problem | None:
    """Say why a decoded file cannot be a configuration as a whole; None when it can.

    Args:
        document: The file, decoded; None when it is empty.
    """
    if document is None:
        return None
    if not isinstance(document, dict):
        return Problem("$", "expected an object", "write the keys settings, routes and backends")
    if len(OF_EXPORTS & cast("dict[object, object]", document).keys()) > 1:
        return Problem(
            "$",
            "this is a full export, no configuration file",
            "bring it in with oto-trio import, which with --dry-run says what is wrong with it; then judge "
            "the gateway, or make files of it with oto-trio dump",
        )
    return None
