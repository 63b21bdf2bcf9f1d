"""The documents of the Cassandra store as a whole: loaded, brought up to date, copied. All of this runs in worker threads.

``oto_documents`` is behind the revisions by a second or so. Each row has the number of its revision as its
timestamp, so that writing a row again, late, or from two gateways at once never puts an older document in
the place of a newer one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.cassandra_log import (
    INSERT_ROW,
    GoneError,
    read_bodies,
    read_head,
    read_rows,
    write_body,
)
from oto_trio.control.store.cassandra_schema import BUCKETS, bucket_of, new_generation
from oto_trio.control.store.cassandra_state import Altered, LogRow, Replica, loose_size
from oto_trio.control.store.whole import Whole, totals_of
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from oto_trio.control.store.cassandra_link import Question, Talk

__all__ = [
    "blob_questions",
    "load",
    "mark_settled",
    "read_blobs",
    "read_past",
    "read_settled",
    "remove_bodies",
    "settle",
    "write_whole",
]

LOAD_ATTEMPTS: Final = 5
"""How often loading begins anew because others wrote, and removed, faster than it read."""

BODY: Final = 4 * 1024 * 1024
"""Bytes of documents that a copy puts into one body, unless one revision has more."""

_LONGEST_TTL_S: Final = 10 * 365 * 86_400
"""Blobs that end later than this are not removed by the servers; they are left out all the same."""


_INSERT: Final = (
    "INSERT INTO oto_documents (store, bucket, kind, id, revision, document) "
    "VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)
_DELETE: Final = (
    "DELETE FROM oto_documents USING TIMESTAMP ? "
    "WHERE store = ? AND bucket = ? AND kind = ? AND id = ?"
)
_INSERT_BLOB: Final = (
    "INSERT INTO oto_blobs (store, name, value, expires_at) VALUES (?, ?, ?, ?) USING TTL ?"
)


def read_settled(talk: Talk, store: str) -> int:
    """Read up to which revision ``oto_documents`` has everything."""
    rows = talk.ask("SELECT value FROM oto_marks WHERE store = ? AND name = 'settled'", store)
    return int(rows[0][0]) if rows else 0


def load(talk: Talk, store: str, shown: str) -> Replica:
    """Read everything, as it is at one revision.

    Raises:
        StoreError: It cannot be read.
    """
    for _ in range(LOAD_ATTEMPTS):
        try:
            return _loaded(talk, store, shown)
        except GoneError:
            continue
    raise StoreError(
        f"{shown} changes faster than this gateway reads it; start it again when there are fewer writes"
    )


def _loaded(talk: Talk, store: str, shown: str) -> Replica:
    replica = Replica()
    settled = read_settled(talk, store)
    answers = talk.ask_all(
        (
            "SELECT kind, id, revision, document FROM oto_documents WHERE store = ? AND bucket = ?",
            (store, bucket),
        )
        for bucket in range(BUCKETS)
    )
    replica.fill(Record(*row) for answer in answers for row in answer)
    rows, floor = read_rows(talk, store, 0)
    head, head_floor = read_head(talk, store, 0, shown)
    # Documents may be newer than what was settled before they were read: the rows since then are put over
    # all of them again, which ends with the latest of each.
    newer = [row for row in rows if row.revision > settled]
    latest = rows[-1].revision if rows else 0
    if latest < head or len(newer) != latest - min(settled, latest):
        raise GoneError
    replica.rows = {row.revision: row for row in rows if row.revision <= settled}
    replica.floor = floor or head_floor
    replica.revision = min(settled, latest)
    bodies = read_bodies(talk, store, newer)
    for row in newer:
        replica.apply(row, bodies[row.base, row.attempt][row.place])
    return replica


def settle(talk: Talk, store: str, documents: Iterable[tuple[str, str, int, bytes | None]]) -> None:
    """Bring some documents up to date.

    Args:
        talk: Where to write.
        store: Generation of the store.
        documents: Kind, id, revision, and JSON text; None = removed.
    """
    talk.write_all(_settling(store, documents))


def _settling(
    store: str, documents: Iterable[tuple[str, str, int, bytes | None]]
) -> Iterator[Question]:
    for kind, entity_id, revision, document in documents:
        bucket = bucket_of(kind, entity_id)
        if document is None:
            yield (
                _DELETE,
                (revision, store, bucket, kind, entity_id),
            )
        else:
            yield (
                _INSERT,
                (store, bucket, kind, entity_id, revision, document, revision),
            )


def mark_settled(talk: Talk, store: str, revision: int) -> None:
    """Say that ``oto_documents`` has everything up to a revision; a smaller one changes nothing."""
    talk.ask(
        "INSERT INTO oto_marks (store, name, value) VALUES (?, 'settled', ?) USING TIMESTAMP ?",
        *(store, revision, revision),
    )


def remove_bodies(talk: Talk, store: str, bases: Sequence[int]) -> None:
    """Remove what was written under some bases, also by attempts that came to nothing."""
    answers = talk.ask_all(
        ("SELECT parts FROM oto_bodies WHERE store = ? AND base = ? AND part = 0", (store, base))
        for base in bases
    )
    counts = [max((row[0] for row in answer), default=1) for answer in answers]
    # The first part last: it says how many there are, should this break off.
    talk.write_all(
        ("DELETE FROM oto_bodies WHERE store = ? AND base = ? AND part = ?", (store, base, part))
        for base, count in zip(bases, counts, strict=True)
        for part in reversed(range(count))
    )


def read_past(talk: Talk, store: str, rows: Sequence[LogRow]) -> list[list[Altered]]:
    """Read what some revisions changed.

    Raises:
        GoneError: Some of it was removed.
    """
    bodies = read_bodies(talk, store, rows)
    return [bodies[row.base, row.attempt][row.place] for row in rows]


# -------------------------------------------------------------------------------------- blobs


def read_blobs(talk: Talk, store: str, prefix: str) -> list[Blob]:
    """Read blobs; see `Store.load_blobs`."""
    rows = talk.ask(
        "SELECT name, value, expires_at FROM oto_blobs WHERE store = ? AND name >= ? AND name <= ?",
        *(store, prefix, prefix + "\U0010ffff"),
    )
    now = datetime.now(UTC).timestamp()
    blobs = (Blob(*row) for row in rows)
    return [blob for blob in blobs if blob.expires_at is None or blob.expires_at > now]


def blob_questions(store: str, blobs: Iterable[Blob]) -> list[Question]:
    """Return what writes blobs; the servers forget them some seconds after their end."""
    now = datetime.now(UTC).timestamp()
    questions: list[Question] = []
    for blob in blobs:
        left_s = 0 if blob.expires_at is None else max(1, int(blob.expires_at - now) + 5)
        questions.append(
            (
                _INSERT_BLOB,
                (
                    *(store, blob.name, blob.value, blob.expires_at),
                    left_s if left_s <= _LONGEST_TTL_S else 0,
                ),
            )
        )
    return questions


# --------------------------------------------------------------------------------------- copies


def write_whole(talk: Talk, name: str, old: str, whole: Whole, attempt: str) -> str:
    """Write everything under a new generation, and put it in the place of the old one.

    Returns:
        The new generation.

    Raises:
        StoreError: Another one was put there meanwhile.
    """
    store = new_generation(name)
    rows = _past_rows(whole, attempt)
    floor = rows[0].revision if rows else whole.revision + 1
    talk.ask(
        "INSERT INTO oto_revisions (store, head, floor) VALUES (?, ?, ?) IF NOT EXISTS",
        *(store, whole.revision, floor),
    )
    settle(talk, store, ((r.kind, r.id, r.revision, r.document) for r in whole.records))
    talk.write_all(blob_questions(store, whole.blobs))
    entries = _entries(whole)
    start = 0
    while start < len(rows):
        end = _end_of_body(entries, start)
        base = rows[start].revision
        parts = write_body(talk, store, base, attempt, entries[start:end])
        for place, row in enumerate(rows[start:end]):
            placed = msgspec.structs.replace(row, base=base, place=place, parts=parts)
            rows[start + place] = placed
        start = end
    talk.write_all((INSERT_ROW, (store, *msgspec.structs.astuple(row))) for row in rows)
    mark_settled(talk, store, whole.revision)
    if not talk.decide(
        [
            (
                "UPDATE oto_stores SET generation = ? WHERE name = ? IF generation = ?",
                (store, name, old),
            )
        ]
    ):
        raise StoreError(f"another copy was put into the store {name} meanwhile; copy again")
    _remove(talk, old)
    return store


def _past_rows(whole: Whole, attempt: str) -> list[LogRow]:
    """Return a row for each revision that is remembered, each committed by itself."""
    pairs = zip(totals_of(whole.history), whole.history, strict=True)
    return [
        LogRow(
            revision=revision.revision,
            base=revision.revision,
            place=0,
            parts=0,
            attempt=attempt,
            at=revision.at,
            actor=revision.origin.actor,
            request_id=revision.origin.request_id,
            message=revision.origin.message,
            changes=revision.changes,
            size=revision.size,
            total=total,
        )
        for (revision, total), _ in pairs
    ]


def _end_of_body(entries: Sequence[Sequence[Altered]], start: int) -> int:
    """Return where a body ends that begins with a revision: it holds at least one."""
    size, end = loose_size(entries[start]), start + 1
    while end < len(entries) and size < BODY:
        size += loose_size(entries[end])
        end += 1
    return end


def _entries(whole: Whole) -> list[list[Altered]]:
    """Say what each revision changed, from what documents were before and are now: backwards."""
    now: dict[tuple[str, str], bytes | None] = {
        (record.kind, record.id): record.document for record in whole.records
    }
    entries: list[list[Altered]] = []
    for _, before in reversed(whole.history):
        entries.append([Altered(*key, text, now.get(key)) for key, text in before.items()])
        now.update(before)
    return entries[::-1]


def _remove(talk: Talk, store: str) -> None:
    """Remove a generation that nobody uses any more."""
    rows, _ = read_rows(talk, store, 0)
    remove_bodies(talk, store, sorted({row.base for row in rows}))
    talk.write_all(
        ("DELETE FROM oto_documents WHERE store = ? AND bucket = ?", (store, bucket))
        for bucket in range(BUCKETS)
    )
    for table in ("oto_marks", "oto_blobs", "oto_revisions"):
        talk.ask(f"DELETE FROM {table} WHERE store = ?", store)  # noqa: S608 (fixed names)
