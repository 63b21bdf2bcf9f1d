"""Everything in one document: the full export, in the two forms that Otoroshi reads and writes.

* JSON: one object with a list for each kind (`oto_trio.control.admin_api.export_kinds`);
* NDJSON: Otoroshi's raw dump of its data store, one key a line:
  ``{"k": "otoroshi:routes:route_1", "v": "<the entity as JSON text>", "t": -1, "w": "string"}``.

Both are the store at one revision, sorted by kind and id, each document as it is stored.

Quirk: Otoroshi writes the hour of ``date`` from 1 to 12 without saying which half of the day. Here it is
from 0 to 23, in UTC; nothing reads it but people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.admin_api.export_kinds import (
    CONFIG,
    EXPORT_KINDS,
    ExportKind,
    store_kinds,
)
from oto_trio.control.store import Record
from oto_trio.model.document import encode_document
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, first_global_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.store import Snapshot, Store

__all__ = ["ROOT", "FullExport", "take_export"]

ROOT: Final = "otoroshi"
"""What the keys of the raw dump start with. Source: Otoroshi's ``app.storageRoot``."""

_PIECE: Final = 50
"""Entities in a piece of text: about two milliseconds' work."""


class FullExport(msgspec.Struct, frozen=True):
    """Every entity of a store, at one revision."""

    revision: int
    config: bytes
    """The global configuration, JSON text."""
    entities: Mapping[str, Sequence[Record]]
    """The records of each row, by its `ExportKind.key`; every row has an entry."""

    @property
    def counts(self) -> dict[str, int]:
        """How many entities of each kind there are; kinds without any are left out."""
        return {key: len(records) for key, records in self.entities.items() if records}

    def json(self, *, stats: Mapping[str, int], now_ms: int, pretty: bool) -> Iterator[bytes]:
        """Write the JSON form, a piece at a time.

        Args:
            stats: ``calls``, ``dataIn`` and ``dataOut``.
            now_ms: The time of the export, in milliseconds since 1970.
            pretty: Whether it is indented.
        """
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
        head = {
            "label": "Otoroshi export",
            "dateRaw": now_ms,
            "date": at.strftime("%Y-%m-%d %H:%M:%S"),
            "stats": stats,
            "config": msgspec.Raw(self.config),
        }
        step = 2 if pretty else 0
        whole = _encode(head, step, 0)
        yield whole[: whole.rindex(b"}")].rstrip()
        for row in EXPORT_KINDS:
            records = self.entities[row.key]
            if row.extension is None and (records or not row.is_optional):
                yield _comma(step, 1) + _encode(row.key, 0, 0) + _colon(step)
                yield from _listed(records, step, 1)
        yield _comma(step, 1) + b'"extensions"' + _colon(step)
        yield from self._extensions(step)
        yield b"\n}\n" if step else b"}\n"

    def _extensions(self, step: int) -> Iterator[bytes]:
        """Write the entities of extensions: id → plural → list."""
        groups: dict[str, list[ExportKind]] = {}
        for row in EXPORT_KINDS:
            if row.extension is not None and self.entities[row.key]:
                groups.setdefault(row.extension.id, []).append(row)
        if not groups:
            yield b"{}"
            return
        for place, (group, rows) in enumerate(groups.items()):
            yield (_comma(step, 2) if place else b"{" + _line(step, 2))
            yield _encode(group, 0, 0) + _colon(step)
            for inner, row in enumerate(rows):
                yield (_comma(step, 3) if inner else b"{" + _line(step, 3))
                yield _encode(row.extension.plural if row.extension else "", 0, 0) + _colon(step)
                yield from _listed(self.entities[row.key], step, 3)
            yield _line(step, 2) + b"}"
        yield _line(step, 1) + b"}"

    def ndjson(self) -> Iterator[bytes]:
        """Write the raw dump, a piece at a time."""
        yield _dump_line(CONFIG.raw, self.config)
        for row in EXPORT_KINDS:
            records = self.entities[row.key]
            for start in range(0, len(records), _PIECE):
                part = records[start : start + _PIECE]
                yield b"".join(_dump_line(row.raw + r.id, r.document) for r in part)


def _dump_line(key: str, document: bytes) -> bytes:
    """Write one line of the raw dump."""
    line = {"k": f"{ROOT}:{key}", "v": document.decode(), "t": -1, "w": "string"}
    return msgspec.json.encode(line) + b"\n"


def _encode(value: object, step: int, depth: int) -> bytes:
    """Write JSON text; indented by `step` blanks a level, when that is not 0."""
    text = msgspec.json.encode(value)
    if step:
        # No JSON text has a raw line feed inside a string, so lines can be moved as a whole.
        text = msgspec.json.format(text, indent=step).replace(b"\n", _line(step, depth))
    return text


def _line(step: int, depth: int) -> bytes:
    """Start a new line, when the text is indented."""
    return b"\n" + b" " * (step * depth) if step else b""


def _comma(step: int, depth: int) -> bytes:
    return b"," + _line(step, depth)


def _colon(step: int) -> bytes:
    return b": " if step else b":"


def _listed(records: Sequence[Record], step: int, depth: int) -> Iterator[bytes]:
    """Write a list of stored documents."""
    if not records:
        yield b"[]"
        return
    for start in range(0, len(records), _PIECE):
        part = records[start : start + _PIECE]
        texts = (_encode(msgspec.Raw(r.document), step, depth + 1) for r in part)
        yield (_comma(step, depth + 1) if start else b"[" + _line(step, depth + 1)) + _comma(
            step, depth + 1
        ).join(texts)
    yield _line(step, depth) + b"]"


async def take_export(store: Store) -> FullExport:
    """Read everything that an export holds, at one revision.

    Cost: every document as text in memory until the export is written.

    Raises:
        StoreError: The store cannot be read.
    """
    return sorted_out(await store.snapshot(tuple(store_kinds())))


def sorted_out(snapshot: Snapshot) -> FullExport:
    """Sort the records of a snapshot of `store_kinds` by the rows of the table."""
    rows = store_kinds()
    entities: dict[str, list[Record]] = {row.key: [] for row in EXPORT_KINDS}
    config = encode_document(first_global_config())
    for record in snapshot.records:
        row = rows[record.kind]
        if row is not CONFIG:
            entities[row.key].append(record)
        elif record.id == GLOBAL_CONFIG_ID:
            config = record.document
    return FullExport(snapshot.revision, config, entities)
