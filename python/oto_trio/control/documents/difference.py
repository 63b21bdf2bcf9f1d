"""What differs between the entities of two places, by entity and field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oto_trio.control.documents.item import Item
    from oto_trio.model.document import JsonObject

__all__ = ["SECRETS", "Difference", "FieldChange", "differences", "field_changes", "undated"]

SECRETS: Final = frozenset(
    {
        *("clientSecret", "nextSecret", "privateKey", "password", "secret", "bearer"),
        *("client_secret", "private_key", "passphrase", "token"),
    }
)
"""Keys whose texts are not shown."""

HIDDEN: Final = "***"

DATES: Final = ("created_at", "updated_at")
"""Metadata that the admin API writes itself; a gateway's copy of a file differs in them at once."""


class FieldChange(msgspec.Struct, frozen=True):
    """One field that differs.

    Attributes:
        path: The path in the document, such as `$.backend.targets[0].port`.
        before: Its value in the first place; not there when UNSET.
        after: Its value in the second.
    """

    path: str
    before: Any = UNSET
    after: Any = UNSET


class Difference(msgspec.Struct, frozen=True):
    """One entity that differs.

    Attributes:
        change: added, when the second place alone has it; removed, when the first alone; changed.
        kind: Its kind, such as `routes`.
        id: Its id.
        fields: What differs in it; empty unless it is changed.
    """

    change: Literal["added", "removed", "changed"]
    kind: str
    id: str
    fields: list[FieldChange]


def differences(before: Iterable[Item], after: Iterable[Item]) -> list[Difference]:
    """Compare the entities of two places.

    Returns:
        What differs, by kind and id, but for `DATES`. Texts under `SECRETS` are `***`, whatever they are.
    """
    old = {(item.resource.plural, item.id): undated(item.document) for item in before}
    new = {(item.resource.plural, item.id): undated(item.document) for item in after}
    found: list[Difference] = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            found.append(Difference("added", *key, []))
        elif key not in new:
            found.append(Difference("removed", *key, []))
        else:
            fields = field_changes(old[key], new[key])
            if fields:
                found.append(Difference("changed", *key, fields))
    return found


def undated(document: JsonObject) -> JsonObject:
    """Leave out of a document's metadata what is not anybody's to write."""
    metadata: object = document.get("metadata")
    if not isinstance(metadata, dict):
        return document
    members = cast("JsonObject", metadata)
    kept = {key: value for key, value in members.items() if key not in DATES}
    return {**document, "metadata": kept}


def field_changes(before: JsonObject, after: JsonObject) -> list[FieldChange]:
    """Return what differs between two documents, in the order of their keys; secrets are hidden."""
    return list(_fields(before, after, "$", ""))


def _fields(before: Any, after: Any, path: str, key: str) -> Iterator[FieldChange]:
    """Walk what differs between two values."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("JsonObject", before), cast("JsonObject", after)
        for name in dict.fromkeys((*old, *new)):
            one, other = old.get(name, UNSET), new.get(name, UNSET)
            yield from _fields(one, other, f"{path}.{name}", name)
    elif isinstance(before, list) and isinstance(after, list):
        left, right = cast("list[object]", before), cast("list[object]", after)
        for index in range(max(len(left), len(right))):
            one = left[index] if index < len(left) else UNSET
            other = right[index] if index < len(right) else UNSET
            yield from _fields(one, other, f"{path}[{index}]", key)
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield FieldChange(path, _shown(before, key), _shown(after, key))


def _shown(value: Any, key: str) -> Any:
    """Return a value as it may be shown: texts of secrets are hidden, in what was added too."""
    if isinstance(value, str):
        return HIDDEN if key in SECRETS and value else value
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        return {name: _shown(inner, name) for name, inner in members}
    if isinstance(value, list):
        return [_shown(inner, key) for inner in cast("list[object]", value)]
    return value
