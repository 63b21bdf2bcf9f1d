"""Header fields in configs: what a name and a value may hold, and which fields nobody may set."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

__all__ = [
    "ENGINE_FIELDS",
    "HEADER_NAME_PATTERN",
    "HEADER_VALUE_PATTERN",
    "HeaderName",
    "HeaderValue",
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
