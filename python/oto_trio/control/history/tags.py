"""Names for revisions: documents of a kind of their own, which no rollback touches."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MOST_TAGS", "RESERVED", "TAGS", "tag_problem"]

TAGS: Final = "history-tags"
"""Kind under which the store keeps tags; the id is the name."""

MOST_TAGS: Final = 1000
"""Tags of one store at most."""

RESERVED: Final = frozenset({"latest", "now", "tags"})
"""Words of the API that no tag may be called."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")


def tag_problem(name: str) -> tuple[str, str] | None:
    """Say what is wrong with the name of a tag, and what to write; None when nothing is."""
    if name in RESERVED:
        return f"{name!r} is a word of the API", "choose another name"
    if _NAME.fullmatch(name) is None:
        return (
            f"{name[:100]!r} is no name of a tag",
            "begin it with a letter, and use letters, digits, '.', '_' and '-', 100 at most",
        )
    return None
