"""Header fields in configs: what a name and a value may hold, and which fields nobody may set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from oto_trio.plugin_api.exchange import Exchange, Headers

__all__ = [
    "ENGINE_FIELDS",
    "HEADER_NAME_PATTERN",
    "HEADER_VALUE_PATTERN",
    "HeaderName",
    "HeaderValue",
    "shorten_fields",
    "writable_fields",
    "writable_name",
]

# A pattern is searched, not matched, and `$` also matches before a last newline: hence the anchors.
HEADER_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*(?!\n)$"
HEADER_VALUE_PATTERN = r"^[\t\x20-\x7e\x80-\xff]*(?!\n)$"

HeaderName = Annotated[str, msgspec.Meta(pattern=HEADER_NAME_PATTERN, description="A header name.")]
"""A header name (RFC 9110 token). ``""``, as Otoroshi's console leaves behind, means nothing."""

HeaderValue = Annotated[
    str, msgspec.Meta(pattern=HEADER_VALUE_PATTERN, description="A header value.")
]
"""A header value: latin-1 text without control characters, so a config cannot split a message."""

ENGINE_FIELDS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Fields that frame a message, in lower case; the engine writes them itself."""


def writable_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields a plugin may write: without empty names and without the engine's own.

    They come in the order of their names, as the engine writes them, so that of two names that differ
    in case the same one wins on both sides.
    """
    return {
        name: fields[name] for name in sorted(fields) if name and name.lower() not in ENGINE_FIELDS
    }


def writable_name(key: str, name: str) -> None:
    """Refuse, when a config is read, the name of a field that only the engine writes.

    Args:
        key: The config's key, for the message.
        name: The name; ``""`` stands for a default.

    Raises:
        ValueError: The field frames the message.
    """
    if name.lower() in ENGINE_FIELDS:
        raise ValueError(f"{key}: the gateway writes {name} itself; choose another header")


def shorten_fields(
    exchange: "Exchange", headers: "Headers", limit_bytes: int, *, cut: bool
) -> None:
    """Drop the fields whose value is too long, or cut them; raise an alert for each name.

    The values of such a field that stay go to the end of the head, in their order. The fields the
    engine writes itself stay as they are.

    Args:
        exchange: For the alerts; they do not have the values.
        headers: The fields to look at.
        limit_bytes: The longest value.
        cut: Whether a longer value is cut to ``limit_bytes - 1``, as Otoroshi does, or dropped.
    """
    names: dict[str, str] = {}
    for name, value in headers.items():
        if len(value) > limit_bytes and name.lower() not in ENGINE_FIELDS:
            names.setdefault(name.lower(), name)
    for name in names.values():
        values = headers.get_all(name)
        headers.remove(name)
        for value in values:
            if len(value) <= limit_bytes:
                headers.add(name, value)
            elif cut:
                headers.add(name, value[: max(limit_bytes - 1, 0)].rstrip(" \t"))
        facts = {
            "header": name,
            "length": max(map(len, values)),
            "max": limit_bytes,
            "removed": not cut,
        }
        exchange.alert("HeaderTooLongAlert", facts)
