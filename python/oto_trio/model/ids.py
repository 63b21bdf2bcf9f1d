"""Ids of entities: their types, how new ones are made, and what a client may choose.

Otoroshi takes any non-empty text as an id. oto-trio does too, within a bound on its length and
without control characters, so that an id is always safe in a log line, a header and a key.
"""

from __future__ import annotations

import secrets
from typing import NewType

__all__ = ["MAX_ID_BYTES", "BackendId", "RouteId", "id_problem", "named_id", "new_uuid"]

RouteId = NewType("RouteId", str)
"""Id of a route."""
BackendId = NewType("BackendId", str)
"""Id of a stored backend."""

MAX_ID_BYTES = 512
"""Longest id accepted, in UTF-8 bytes. Otoroshi's own ids have about 50."""


def new_uuid() -> str:
    """Make a random uuid of 37 characters, nine of them in the first group.

    Returns:
        Such as ``9c1d24f0a-33b1-4c7e-9d0f-0d7f7e3c52aa``.

    Source: Otoroshi's id generator, whose first group has nine hex digits; tools compare lengths.
    """
    bits = secrets.token_hex(16)
    variant = secrets.choice("89ab")
    last = secrets.token_hex(6)
    return f"{bits[:9]}-{bits[9:13]}-4{bits[13:16]}-{variant}{bits[16:19]}-{last}"


def named_id(prefix: str, *, env: str = "prod") -> str:
    """Make a new id for an entity.

    Args:
        prefix: Singular name of the entity, such as ``"route"``.
        env: Environment name of this gateway; anything but ``"prod"`` is written into the id.

    Returns:
        Such as ``route_9c1d24f0a-…`` or ``route_dev_9c1d24f0a-…``.
    """
    return f"{prefix}_{new_uuid()}" if env == "prod" else f"{prefix}_{env}_{new_uuid()}"


def id_problem(entity_id: str) -> tuple[str, str] | None:
    """Say what is wrong with an id chosen by a client.

    Returns:
        (message, fix), or None when the id is fine.
    """
    if not entity_id:
        return "the id is empty", "give an id, or leave the key out to get a new one"
    if len(entity_id.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        return (
            f"the id is longer than {MAX_ID_BYTES} bytes",
            "choose a shorter id",
        )
    if not entity_id.isprintable() or entity_id != entity_id.strip():
        return (
            "the id has control characters, or space at its ends",
            "use letters, digits, '-', '_', '.' or other visible characters",
        )
    return None
