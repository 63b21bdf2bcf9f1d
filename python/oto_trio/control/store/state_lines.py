"""The state of a store as lines of text: Otoroshi's raw dump, with what a store needs beside it.

One JSON object a line: ``{"k": key, "v": value, "t": end of its life in ms or -1, "w": type}``. An entity
stands under Otoroshi's key, ``otoroshi:routes:route_1``, as a ``string`` with its JSON text, so that Otoroshi
reads the state as its own, and its state is read here. What Otoroshi has no place for stands under
``otoroshi:oto-trio:`` as hashes, which Otoroshi keeps and does not look into:

``facts``
    Version of this form, and the revision. Always the first line.
``revisions:N``
    The revisions of entities, by their keys, a thousand in a hash.
``documents:N``
    A document of a kind that Otoroshi has no key for, or that is no text.
``blobs:N``
    A blob; its bytes in Base64.
``history:N``
    A revision that is remembered, under ``revision``, and what documents were before it: ``text``, kind and id in
    lines with the document, ``base64``, or ``none`` when there was none. They stand in the order of revisions.

Lines that are neither, such as Otoroshi's counters and sessions, are kept as they came until they expire.

Source: admin_api.md §4, engine_cluster_tunnels.md §3.
"""

from __future__ import annotations

import base64
import binascii
import math
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.history import Remembered, Revision
from oto_trio.model.errors import StoreFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ROOT",
    "STATE_VERSION",
    "State",
    "document_of",
    "read_state",
    "state_key",
    "write_state",
]

STATE_VERSION: Final = 1
"""The version of the form that this version writes, and the newest it reads."""

ROOT: Final = "otoroshi"
"""What keys start with. Source: Otoroshi's ``app.storageRoot``."""

OURS: Final = "oto-trio:"

_REVISIONS_A_LINE: Final = 1000
_LINES_A_PIECE: Final = 200


class State(msgspec.Struct):
    """Everything that a store holds."""

    revision: int = 0
    records: list[Record] = msgspec.field(default_factory=list[Record])
    blobs: list[Blob] = msgspec.field(default_factory=list[Blob])
    others: list[tuple[int, bytes]] = msgspec.field(default_factory=list[tuple[int, bytes]])
    """Lines that have no place here, each with its end in milliseconds since 1970, or -1."""
    root: str = ROOT
    history: list[Remembered] = msgspec.field(default_factory=list[Remembered])


class _Line(msgspec.Struct):
    k: str
    v: msgspec.Raw
    t: int = -1
    w: str = "string"


_line: Final = msgspec.json.Decoder(_Line)
_text: Final = msgspec.json.Decoder(str)
_hash: Final = msgspec.json.Decoder(dict[str, str])
_revision: Final = msgspec.json.Decoder(Revision)


def state_key(kind: str, entity_id: str) -> str | None:
    """Return Otoroshi's key of a document, without the root; None when it has none."""
    from oto_trio.control.admin_api.export_kinds import (  # noqa: PLC0415 (it brings every kind in)
        CONFIG,
        store_kinds,
    )

    row = store_kinds().get(kind)
    if row is None:
        return None
    key = row.raw if row is CONFIG else row.raw + entity_id
    return key if document_of(key) == (kind, entity_id) else None


def document_of(key: str) -> tuple[str, str] | None:
    """Return the kind and the id that a key of Otoroshi, without its root, stands for; None for none."""
    from oto_trio.control.admin_api.export_kinds import (  # noqa: PLC0415 (it brings every kind in)
        find_raw_key,
    )

    found = find_raw_key(key)
    if found is None:
        return None
    row, entity_id = found
    return _kinds()[row], entity_id


@cache
def _kinds() -> dict[tuple[object, ...], str]:
    """Give the store's kind of each row of Otoroshi's kinds."""
    from oto_trio.control.admin_api.export_kinds import (  # noqa: PLC0415 (it brings every kind in)
        store_kinds,
    )

    return {row: kind for kind, row in store_kinds().items()}


# -------------------------------------------------------------------------------------- writing


def write_state(state: State, now_ms: int) -> Iterator[bytes]:
    """Write a state, a piece at a time.

    Args:
        state: What to write; nothing of it may change meanwhile.
        now_ms: Unix time; what ended before is left out.
    """
    lines: list[bytes] = []
    for line in _lines(state, now_ms):
        lines.append(line)
        if len(lines) == _LINES_A_PIECE:
            yield b"\n".join((*lines, b""))
            lines.clear()
    if lines:
        yield b"\n".join((*lines, b""))


def _lines(state: State, now_ms: int) -> Iterator[bytes]:
    """Write each line, without its end."""
    root = state.root
    yield _hash_line(
        f"{root}:{OURS}facts", {"version": str(STATE_VERSION), "revision": str(state.revision)}
    )
    revisions: dict[str, str] = {}
    foreign, number = 0, 0
    for record in state.records:
        key = state_key(record.kind, record.id)
        try:
            text: str | None = record.document.decode()
        except UnicodeDecodeError:
            text = None
        if key is None or text is None:
            yield _hash_line(f"{root}:{OURS}documents:{foreign}", _foreign(record, text))
            foreign += 1
            continue
        yield msgspec.json.encode({"k": f"{root}:{key}", "v": text, "t": -1, "w": "string"})
        revisions[key] = str(record.revision)
        if len(revisions) == _REVISIONS_A_LINE:
            yield _hash_line(f"{root}:{OURS}revisions:{number}", revisions)
            revisions, number = {}, number + 1
    if revisions:
        yield _hash_line(f"{root}:{OURS}revisions:{number}", revisions)
    yield from _blob_lines(state, now_ms)
    for revision, before in state.history:
        key = f"{root}:{OURS}history:{revision.revision}"
        yield _hash_line(key, _remembered(revision, before))
    for ends_ms, line in state.others:
        if ends_ms < 0 or ends_ms > now_ms:
            yield line


def _blob_lines(state: State, now_ms: int) -> Iterator[bytes]:
    for place, blob in enumerate(state.blobs):
        end = blob.expires_at
        if end is not None and end * 1000 <= now_ms:
            continue
        value = {"name": blob.name, "value": base64.b64encode(blob.value).decode()}
        if end is not None:
            value["expires_at"] = repr(float(end))
        ends_ms = -1 if end is None else min(math.ceil(end * 1000), 2**62)
        yield _hash_line(f"{state.root}:{OURS}blobs:{place}", value, ends_ms)


def _remembered(
    revision: Revision, before: Mapping[tuple[str, str], bytes | None]
) -> dict[str, str]:
    """Write a revision that is remembered."""
    value = {"revision": msgspec.json.encode(revision).decode()}
    for (kind, entity_id), document in before.items():
        if document is None:
            value[f"none\n{kind}\n{entity_id}"] = ""
            continue
        try:
            value[f"text\n{kind}\n{entity_id}"] = document.decode()
        except UnicodeDecodeError:
            value[f"base64\n{kind}\n{entity_id}"] = base64.b64encode(document).decode()
    return value


def _hash_line(key: str, value: Mapping[str, str], ends_ms: int = -1) -> bytes:
    return msgspec.json.encode({"k": key, "v": value, "t": ends_ms, "w": "hash"})


def _foreign(record: Record, text: str | None) -> dict[str, str]:
    """Write a document under its own kind and id."""
    value = {"kind": record.kind, "id": record.id, "revision": str(record.revision)}
    if text is None:
        return {**value, "base64": base64.b64encode(record.document).decode()}
    return {**value, "document": text}


# -------------------------------------------------------------------------------------- reading


def read_state(text: bytes, shown: str) -> State:
    """Read a state, ours or Otoroshi's. Of lines with the same key the later one counts.

    Args:
        text: The lines.
        shown: What it was read from, for messages.

    Raises:
        StoreFileError: It is no state, or one of a newer version; the message names the line.
    """
    reader = _Reader(shown)
    start, number = 0, 1
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line:
            reader.read(number, line)
        start, number = end + 1, number + 1
    return reader.state()


class _Reader:
    """Reads lines one by one."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._root: str | None = None
        self._revision: int | None = None
        self._documents: dict[tuple[str, str], bytes] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._blobs: dict[str, Blob] = {}
        self._others: dict[str, tuple[int, bytes]] = {}
        self._history: list[Remembered] = []

    def read(self, number: int, line: bytes) -> None:
        """Read one line."""
        try:
            entry = _line.decode(line)
            root, colon, key = entry.k.partition(":")
            if not colon:
                raise ValueError(f"the key {entry.k[:100]!r} has no root")
            if self._root is None:
                self._root = root
            if root == self._root and key.startswith(OURS):
                self._read_ours(key.removeprefix(OURS), entry)
            elif root == self._root and (found := self._entity(key, entry)) is not None:
                self._documents[found] = _text.decode(entry.v).encode()
            else:
                self._others[entry.k] = (entry.t, line)
        except (msgspec.DecodeError, ValueError, KeyError, RecursionError) as error:
            raise StoreFileError(
                f"{self._shown}: line {number} is no line of a state ({error}); restore a backup, or "
                "move it away to start with an empty store"
            ) from error

    def _entity(self, key: str, entry: _Line) -> tuple[str, str] | None:
        """Return kind and id of the entity in a line; None when there is none that stays."""
        return document_of(key) if entry.w == "string" and entry.t < 0 else None

    def _read_ours(self, key: str, entry: _Line) -> None:
        """Read what only oto-trio writes."""
        value: dict[str, str] = _hash.decode(entry.v)
        what = key.partition(":")[0]
        if what == "facts":
            if int(value["version"]) > STATE_VERSION:
                raise StoreFileError(
                    f"{self._shown} was written by a newer oto-trio (version {value['version']}; this "
                    f"one knows {STATE_VERSION}); install that version, or restore an older backup"
                )
            self._revision = int(value["revision"])
        elif what == "revisions":
            for each, revision in value.items():
                found = document_of(each)
                if found is not None:
                    self._revisions[found] = int(revision)
        elif what == "documents":
            place = value["kind"], value["id"]
            self._documents[place] = _bytes(value)
            self._revisions[place] = int(value["revision"])
        elif what == "blobs":
            end = value.get("expires_at")
            blob = Blob(
                value["name"], _decoded(value["value"]), None if end is None else float(end)
            )
            self._blobs[blob.name] = blob
        elif what == "history":
            self._history.append(_read_remembered(value))
        else:
            self._others[entry.k] = (entry.t, msgspec.json.encode(entry))

    def state(self) -> State:
        """Return what was read. A document without a revision, as Otoroshi writes it, is a new one."""
        known = self._revision or 0
        is_new = any(place not in self._revisions for place in self._documents)
        revision = known + 1 if is_new else known
        records = [
            Record(*place, min(self._revisions.get(place, revision), revision), document)
            for place, document in self._documents.items()
        ]
        blobs = list(self._blobs.values())
        others = list(self._others.values())
        history = sorted(self._history, key=lambda it: it[0].revision)
        return State(revision, records, blobs, others, self._root or ROOT, history)


def _read_remembered(value: dict[str, str]) -> Remembered:
    """Read a revision that is remembered."""
    revision = _revision.decode(value.pop("revision"))
    before: dict[tuple[str, str], bytes | None] = {}
    for key, text in value.items():
        form, kind, entity_id = key.split("\n", 2)
        document = _decoded(text) if form == "base64" else text.encode()
        before[kind, entity_id] = None if form == "none" else document
    return revision, before


def _bytes(value: dict[str, str]) -> bytes:
    return _decoded(value["base64"]) if "base64" in value else value["document"].encode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("a value is no Base64") from error
