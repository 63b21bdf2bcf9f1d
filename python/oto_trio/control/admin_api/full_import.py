"""Taking a full export apart: JSON or the raw dump, Otoroshi's or ours, into entities by kind.

Nothing is checked here but the form. What has no place in oto-trio is counted under `FullImport.left_out`,
so that whoever imports can be told: nothing goes missing in silence.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import trio

from oto_trio.control.admin_api.bodies import decode_json
from oto_trio.control.admin_api.export_kinds import CONFIG, EXPORT_KINDS, ExportKind, find_raw_key
from oto_trio.control.admin_api.refusals import bad_request
from oto_trio.model.errors import Problem
from oto_trio.model.wording import json_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MOST_PROBLEMS", "FullImport", "Item", "read_dump", "read_export"]

MOST_PROBLEMS: Final = 1000
"""Problems that are gathered before reading is given up: an answer of some 200 kB."""

READ_AT_ONCE: Final = 200
"""Lines or entities read between two checkpoints: about two milliseconds' work."""

_HEAD: Final = frozenset({"label", "date", "dateRaw", "stats"})
"""Keys that tell of the export itself; an import has no use for them, and neither has Otoroshi's."""

_LISTS: Final = {row.key: row for row in EXPORT_KINDS if row.extension is None}
_EXTENSIONS: Final = {
    (name, row.extension.plural): row
    for row in EXPORT_KINDS
    if row.extension
    for name in (row.extension.id, row.extension.group)
}

_Objects = dict[str, msgspec.Raw]
_objects: Final = msgspec.json.Decoder(_Objects)
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Item(msgspec.Struct, frozen=True):
    """One entity, not yet looked into."""

    row: ExportKind
    path: str
    """Where it was found: ``$.routes[3]`` or ``line 7``."""
    text: bytes | msgspec.Raw
    """JSON text."""


class FullImport(msgspec.Struct):
    """An export, taken apart."""

    items: list[Item] = msgspec.field(default_factory=list[Item])
    left_out: Counter[str] = msgspec.field(default_factory=Counter[str])
    """What has no place here: key → how many."""
    problems: list[Problem] = msgspec.field(default_factory=list[Problem])


def _raw_kind(text: msgspec.Raw) -> str:
    """Say in words what a piece of JSON text is."""
    try:
        return json_kind(msgspec.json.decode(text))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "what is no JSON"


def _top(text: bytes) -> _Objects:
    """Read the outermost object, and nothing below it.

    Raises:
        ApiError: It is no JSON, or no object.
    """
    try:
        return _objects.decode(text)
    except msgspec.ValidationError:
        found = _raw_kind(msgspec.Raw(text))
    except (msgspec.DecodeError, ValueError, RecursionError):
        decode_json(text)  # says where it is wrong
        found = "what is no JSON"
    raise bad_request(f"expected the object of an export, found {found}")


def read_export(text: bytes) -> FullImport:
    """Take a JSON export apart.

    Cost: one pass over the text, about a second a GiB; entities stay text.

    Raises:
        ApiError: It is no JSON object, or none that looks like an export.
    """
    top = _top(text)
    found = FullImport()
    if not top.keys() & {CONFIG.key, *_LISTS}:
        raise bad_request(
            "this is no export: it has neither a global configuration under config nor a list such as "
            "routes; send the answer of GET /api/otoroshi.json"
        )
    for key, value in top.items():
        if key == CONFIG.key:
            if value != b"null":
                found.items.append(Item(CONFIG, f"$.{key}", value))
        elif key in _LISTS:
            _read_list(_LISTS[key], f"$.{key}", value, found)
        elif key == "extensions":
            _read_extensions(value, found)
        elif key not in _HEAD:
            _leave_out(found, key, value)
    return found


def _leave_out(found: FullImport, key: str, value: msgspec.Raw) -> None:
    """Count what has no place here; an empty list is nothing."""
    if count := _length(value):
        found.left_out[key] += count


def _length(value: msgspec.Raw) -> int:
    """Count the elements of a list; anything else is one."""
    try:
        return len(_items.decode(value))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return 1


def _read_list(row: ExportKind, path: str, value: msgspec.Raw, found: FullImport) -> None:
    """Take a list of entities apart; null is none."""
    if value == b"null":
        return
    try:
        items = _items.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        complaint = f"expected a list of entities, found {_raw_kind(value)}"
        found.problems.append(Problem(path, complaint, "write a list, or leave the key out"))
        return
    found.items += [Item(row, f"{path}[{place}]", item) for place, item in enumerate(items)]


def _read_extensions(value: msgspec.Raw, found: FullImport) -> None:
    """Take the entities of extensions apart: id or group → plural → list."""
    path = "$.extensions"
    for group, inner in _read_object(path, value, found).items():
        for plural, listed in _read_object(f"{path}.{group}", inner, found).items():
            row = _EXTENSIONS.get((group, plural))
            if row is None:
                _leave_out(found, f"extensions.{group}.{plural}", listed)
            else:
                _read_list(row, f"{path}.{group}.{plural}", listed, found)


def _read_object(path: str, value: msgspec.Raw, found: FullImport) -> _Objects:
    """Read an object whose values stay text; null is an empty one."""
    try:
        return _objects.decode(value) if value != b"null" else {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        complaint = f"expected an object, found {_raw_kind(value)}"
        found.problems.append(Problem(path, complaint, "write an object, or leave the key out"))
        return {}


class _Line(msgspec.Struct):
    """One line of the raw dump."""

    k: Annotated[str, msgspec.Meta(description="the key in the data store")]
    v: msgspec.Raw
    t: Annotated[int, msgspec.Meta(description="end of its life in ms since 1970, or -1")] = -1
    w: Annotated[str, msgspec.Meta(description="type of the value")] = "string"


_line: Final = msgspec.json.Decoder(_Line)
_text: Final = msgspec.json.Decoder(str)


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the lines that are not blank, with their numbers from 1."""
    start, number = 0, 1
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line:
            yield number, line
        start, number = end + 1, number + 1


async def read_dump(text: bytes) -> FullImport:
    """Take a raw dump apart. The root of its keys is read from the key of its global configuration.

    Raises:
        ApiError: There is no line in it.

    Cancellation: a checkpoint each `READ_AT_ONCE` lines.
    """
    found = FullImport()
    lines: list[tuple[int, _Line]] = []
    for number, line in _lines(text):
        if len(lines) % READ_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        try:
            lines.append((number, _line.decode(line)))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            fix = 'write {"k": key, "v": value, "t": -1, "w": "string"}, one object a line'
            found.problems.append(
                Problem(f"line {number}", f"this is no line of a raw dump ({error})", fix)
            )
            if len(found.problems) >= MOST_PROBLEMS:
                return found
    if not lines and not found.problems:
        raise bad_request("the body is empty; send the lines of a raw dump")
    root = _root_of(lines)
    for place, (number, entry) in enumerate(lines):
        if place % READ_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        _read_entry(root, number, entry, found)
    return found


def _root_of(lines: list[tuple[int, _Line]]) -> str:
    """Find what all keys start with: Otoroshi's ``app.storageRoot``."""
    end = f":{CONFIG.raw}"
    named = next((entry.k for _, entry in lines if entry.k.endswith(end)), None)
    if named is not None:
        return named.removesuffix(end)
    return lines[0][1].k.partition(":")[0] if lines else ""


def _read_entry(root: str, number: int, entry: _Line, found: FullImport) -> None:
    """Sort one line: an entity, or something that has no place here."""
    path = f"line {number}"
    key = entry.k.removeprefix(f"{root}:")
    place = find_raw_key(key) if key != entry.k else None
    if place is None:
        # Counters, sessions and the like: told by the first two words, which hold no id.
        found.left_out[
            ":".join(key.split(":")[:2]) if key.count(":") > 1 else key.split(":")[0]
        ] += 1
        return
    row, _ = place
    if entry.t >= 0:
        found.left_out[f"{row.key} that expire"] += 1
        return
    value: Any = None
    if entry.w == "string":
        try:
            value = _text.decode(entry.v)
        except (msgspec.DecodeError, ValueError):
            value = None
    if value is None:
        complaint = f"the value of {entry.k[:200]} is no text with an entity in it"
        found.problems.append(Problem(path, complaint, "write the entity's JSON as a text"))
        return
    found.items.append(Item(row, path, value.encode("utf-8", "surrogatepass")))
