"""What the audit tells of a write: the document before and after it, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    from oto_trio._core import Redaction

__all__ = ["LARGEST_SHOWN", "changed_keys", "shown_document"]

LARGEST_SHOWN: Final = 64 * 1024
"""Bytes of a document that are told before or after a write; of a larger one, only its size is."""

MASK: Final = "***"

_PASSWORDS_BY_NAME: Final = ("users", "simple_basic_auth_global_users")
"""Members that hold passwords under the users' names, in SimpleBasicAuth and its global settings."""

_PRIVATE_JWK: Final = frozenset({"k", "d", "p", "q", "dp", "dq", "qi", "oth"})
"""Members of a JSON Web Key that only its owner may know. Source: RFC 7518, section 6."""


def shown_document(document: bytes | None, redaction: Redaction) -> object:
    """Make a stored document as the audit may tell it.

    Args:
        document: Its JSON text; None when there is none.
        redaction: The rules of every event.

    Returns:
        The document without secrets, ``{"bytes": n}`` for one over `LARGEST_SHOWN`, or None.
    """
    if document is None:
        return None
    if len(document) > LARGEST_SHOWN:
        return {"bytes": len(document)}
    try:
        shown: object = msgspec.json.decode(redaction.json(document))
    except (ValueError, RecursionError):
        return {"bytes": len(document)}
    return _without_odd_secrets(shown)


def changed_keys(before: bytes | None, after: bytes | None) -> list[str]:
    """Name the members of a document that a write changed, secret ones too; sorted."""
    if before is None or after is None:
        return []
    old, new = _members(before), _members(after)
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _members(document: bytes) -> dict[str, Any]:
    value: object = msgspec.json.decode(document)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _without_odd_secrets(value: object) -> object:
    """Mask the secrets whose own names do not say that they are: passwords by user, keys' numbers."""
    if isinstance(value, list):
        return [_without_odd_secrets(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    is_key = "kty" in members
    told: dict[str, object] = {}
    for name, inner in members.items():
        if name in _PASSWORDS_BY_NAME and isinstance(inner, dict):
            told[name] = dict.fromkeys(cast("dict[str, object]", inner), MASK)
        elif is_key and name in _PRIVATE_JWK:
            told[name] = MASK
        else:
            told[name] = _without_odd_secrets(inner)
    return told
