"""Patches of JSON documents: RFC 6902, and Otoroshi's shorter form, a list of {path, value}."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, cast

import msgspec

__all__ = [
    "JsonPatchError",
    "apply_json_patch",
    "apply_merge_patch",
    "apply_oto_patch",
    "json_equal",
]

LARGEST_INDEX = 10_000
"""Highest list index that an oto-patch may create, so that one line cannot ask for a huge list."""


class JsonPatchError(Exception):
    """A patch cannot be applied. Its text names the operation and the reason."""


def json_equal(left: object, right: object) -> bool:
    """Compare two JSON values; unlike in Python, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        ours, theirs = cast("dict[str, object]", left), cast("dict[str, object]", right)
        return ours.keys() == theirs.keys() and all(
            json_equal(value, theirs[key]) for key, value in ours.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        first, second = cast("list[object]", left), cast("list[object]", right)
        return len(first) == len(second) and all(map(json_equal, first, second))
    return left == right


def apply_merge_patch(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay changes over a document, object by object; null removes a key (RFC 7396).

    Args:
        document: The document; not changed.
        changes: What is to be another.

    Returns:
        A new document.
    """
    merged = dict(document)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below: object = merged.get(key)
            inner = cast("dict[str, Any]", below) if isinstance(below, dict) else {}
            merged[key] = apply_merge_patch(inner, cast("dict[str, Any]", value))
        else:
            merged[key] = value
    return merged


def _tokens(pointer: object, what: str) -> list[str]:
    """Take a JSON pointer apart (RFC 6901)."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise JsonPatchError(f'"{what}" must be a JSON pointer such as /backend/root')
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]


def _index(token: str, length: int, *, adding: bool) -> int:
    """Read a list index (RFC 6901 §4: no leading zeros; ``-`` is the place after the end)."""
    if adding and token == "-":  # noqa: S105 (a place, no secret)
        return length
    if not (token.isascii() and token.isdigit()) or (len(token) > 1 and token[0] == "0"):
        raise JsonPatchError(f"{token!r} is no index of a list")
    index = int(token) if len(token) < 10 else length + 1
    if index > length - (0 if adding else 1):
        raise JsonPatchError(f"index {token} is beyond the end of a list of {length}")
    return index


def _child(parent: object, token: str) -> object:
    """Step down by one token."""
    if isinstance(parent, dict):
        children = cast("dict[str, object]", parent)
        if token not in children:
            raise JsonPatchError(f"there is no key {token!r}")
        return children[token]
    if isinstance(parent, list):
        items = cast("list[object]", parent)
        return items[_index(token, len(items), adding=False)]
    raise JsonPatchError(f"cannot step into a value by {token!r}")


def _look(document: object, tokens: list[str]) -> object:
    """Follow tokens down from the root."""
    for token in tokens:
        document = _child(document, token)
    return document


def _add(document: object, tokens: list[str], value: object) -> object:
    """Add a value; an existing key is replaced, list items move on (RFC 6902 §4.1)."""
    if not tokens:
        return value
    parent = _look(document, tokens[:-1])
    if isinstance(parent, dict):
        parent[tokens[-1]] = value
    elif isinstance(parent, list):
        items = cast("list[object]", parent)
        items.insert(_index(tokens[-1], len(items), adding=True), value)
    else:
        raise JsonPatchError(f"cannot add {tokens[-1]!r} to a value")
    return document


def _remove(document: object, tokens: list[str]) -> object:
    """Remove a value that must be there (RFC 6902 §4.2)."""
    if not tokens:
        raise JsonPatchError("the whole document cannot be removed")
    parent = _look(document, tokens[:-1])
    _child(parent, tokens[-1])
    if isinstance(parent, dict):
        del parent[tokens[-1]]
    else:
        del cast("list[object]", parent)[int(tokens[-1])]
    return document


def _replace(document: object, tokens: list[str], value: object) -> object:
    """Put a value in the place of one that must be there (RFC 6902 §4.3)."""
    if not tokens:
        return value
    parent = _look(document, tokens[:-1])
    _child(parent, tokens[-1])
    if isinstance(parent, dict):
        parent[tokens[-1]] = value
    else:
        cast("list[object]", parent)[int(tokens[-1])] = value
    return document


def _transfer(document: object, operation: dict[str, Any], path: list[str]) -> object:
    """Move or copy a value (RFC 6902 §4.4, §4.5)."""
    source = _tokens(operation.get("from"), "from")
    value = deepcopy(_look(document, source))
    if operation["op"] == "move":
        if path[: len(source)] == source and path != source:
            raise JsonPatchError("a value cannot be moved into itself")
        document = _remove(document, source)
    return _add(document, path, value)


def _apply_one(document: object, operation: dict[str, Any]) -> object:
    """Apply one operation; the document may be changed in place."""
    op = operation.get("op")
    path = _tokens(operation.get("path"), "path")
    if op == "remove":
        return _remove(document, path)
    if op in ("move", "copy"):
        return _transfer(document, operation, path)
    if op not in ("add", "replace", "test"):
        raise JsonPatchError('"op" must be add, remove, replace, move, copy or test')
    if "value" not in operation:
        raise JsonPatchError(f'"{op}" needs a "value"')
    value = deepcopy(operation["value"])
    if op == "add":
        return _add(document, path, value)
    if op == "replace":
        return _replace(document, path, value)
    if not json_equal(_look(document, path), value):
        raise JsonPatchError("the value found is another")
    return document


def apply_json_patch(document: object, patch: object) -> object:
    """Apply an RFC 6902 patch.

    Args:
        document: The JSON document; it is not changed.
        patch: The decoded patch, a list of operations. Otoroshi's optional ``old`` is ignored.

    Returns:
        The patched document.

    Raises:
        JsonPatchError: It is no patch, or an operation fails.
    """
    if not isinstance(patch, list):
        raise JsonPatchError(
            'a JSON Patch (RFC 6902) is a list such as [{"op":"replace","path":"/name","value":"n"}]'
        )
    patched = deepcopy(document)
    for number, operation in enumerate(cast("list[object]", patch)):
        if not isinstance(operation, dict):
            raise JsonPatchError(f"operation {number} is no object")
        try:
            patched = _apply_one(patched, cast("dict[str, Any]", operation))
        except JsonPatchError as error:
            path = cast("dict[str, Any]", operation).get("path")
            raise JsonPatchError(f"operation {number} at {path!r}: {error}") from None
    return patched


def _coerced(value: object) -> object:
    """Read a text as the JSON value it spells: null, booleans, numbers, objects and lists."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text in ("null", "true", "false") or (text and (text[0] in "{[-" or text[0].isdigit())):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


def _set(parent: object, tokens: list[str], value: object) -> object:
    """Set a value below a node, making objects and list places on the way; gives the node back."""
    if not tokens:
        return value
    token, rest = tokens[0], tokens[1:]
    if isinstance(parent, list) and token.isascii() and token.isdigit():
        items = cast("list[object]", parent)
        index = int(token) if len(token) < 6 else LARGEST_INDEX + 1
        if index > LARGEST_INDEX:
            raise JsonPatchError(f"list index {token} is too large")
        items.extend([None] * (index + 1 - len(items)))
        items[index] = _set(items[index], rest, value)
        return items
    node = cast("dict[str, object]", parent) if isinstance(parent, dict) else {}
    node[token] = _set(node.get(token), rest, value)
    return node


def apply_oto_patch(document: object, patch: object) -> object:
    """Apply Otoroshi's short patch: a list of {path, value} with dotted paths.

    Texts that spell another JSON value are read as that value. Missing objects are made.

    Args:
        document: The JSON document; it is not changed.
        patch: The decoded patch.

    Raises:
        JsonPatchError: It is no such patch.
    """
    if not isinstance(patch, list):
        raise JsonPatchError('an oto-patch is a list such as [{"path":"a.b","value":"c"}]')
    patched = deepcopy(document)
    for number, entry in enumerate(cast("list[object]", patch)):
        fields = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
        path = fields.get("path")
        if not isinstance(path, str) or not path or "value" not in fields:
            raise JsonPatchError(f'entry {number} needs a text "path" and a "value"')
        tokens = path.split(".")
        if len(tokens) > 32:
            raise JsonPatchError(f"entry {number}: the path is deeper than 32 keys")
        patched = _set(patched, tokens, _coerced(fields["value"]))
    return patched
