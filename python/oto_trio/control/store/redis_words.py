"""Documents, writes and facts as a Redis server has them, and how much it takes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.base import (
    Blob,
    Change,
    Put,
    Record,
    Seen,
    Write,
    check_expectation,
    check_revision,
)
from oto_trio.model.errors import ConflictError, StoreFileError, StoreTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "blobs_of",
    "change_of",
    "check_server",
    "conflict_of",
    "info_of",
    "loss_of",
    "record_of",
    "words_of",
    "words_of_blobs",
]

LARGEST_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one document, or of one blob, at most."""

MOST_WRITES: Final = 200_000
"""Writes of one transaction at most: the server does nothing else meanwhile."""

LARGEST_TRANSACTION_BYTES: Final = 256 * 1024 * 1024
"""Bytes of all documents of one transaction, or of all blobs saved together, at most."""


BLOBS_DROPPED: Final = 1000
"""Expired blobs dropped when some are saved."""


def record_of(kind: str, entity_id: str, value: bytes) -> Record:
    """Read a stored value: the revision, a line feed and the document."""
    revision, _, document = value.partition(b"\n")
    return Record(kind, entity_id, int(revision), document)


def change_of(write: Write, revision: int) -> Change:
    """Return what a write changed."""
    document = write.document if isinstance(write, Put) else None
    return Change(revision, write.kind, write.id, document)


def blobs_of(rows: Sequence[bytes]) -> list[Blob]:
    """Read names and stored values, in turn: the end, a line feed and the bytes."""
    blobs: list[Blob] = []
    for n in range(0, len(rows), 2):
        end, _, value = rows[n + 1].partition(b"\n")
        blobs.append(Blob(rows[n].decode(), value, float(end) if end else None))
    return blobs


def words_of_blobs(blobs: Sequence[Blob]) -> list[str | bytes | int]:
    """Return blobs as the script that saves them reads them.

    Raises:
        StoreTooLargeError: They are more than the store takes at once.
    """
    words: list[str | bytes | int] = [BLOBS_DROPPED]
    for blob in blobs:
        end = "" if blob.expires_at is None else repr(float(blob.expires_at))
        words += [blob.name, end, blob.value]
    _check_sizes([(blob.name, len(blob.value)) for blob in blobs])
    return words


def conflict_of(
    numbers: Sequence[int], writes: Sequence[Write], at: int | None, seen: Sequence[Seen]
) -> ConflictError:
    """Make the error of a transaction that the server refused.

    Args:
        numbers: What it answered: the revision of the store, or the number of the write whose expectation
            does not hold and the revision of its document (0 = there is none).
        writes: What was to be written.
        at: The revision at which the store was expected.
        seen: What was to be as it was.
    """
    try:
        match numbers:
            case [found]:
                check_revision(at, found)
            case _:
                number, found = numbers
                check_expectation((*writes, *seen)[number], found or None)
    except ConflictError as error:
        return error
    raise AssertionError("the server and we agree on what a transaction expects")


def words_of(writes: Sequence[Write], at: int | None, seen: Sequence[Seen]) -> list[bytes]:
    """Return writes, and what else a transaction expects, as its script reads them.

    Raises:
        StoreTooLargeError: They are more than the store takes at once.
    """
    _check_sizes(
        [
            (f"{w.kind} {w.id}", len(w.document) if isinstance(w, Put) else 0)
            for w in (*writes, *seen)
        ]
    )
    heads: list[tuple[str, str, str, str]] = []
    documents: list[bytes] = []
    for write in (*writes, *seen):
        match write.expect:
            case None:
                expect = ""
            case "absent" | "present":
                expect = write.expect[0]
            case revision:
                expect = str(revision)
        if isinstance(write, Put):
            heads.append(("p", write.kind, write.id, expect))
            documents.append(write.document)
        elif isinstance(write, Seen):
            heads.append(("s", write.kind, write.id, expect))
        else:
            heads.append(("d", write.kind, write.id, expect))
            documents.append(b"")
    return [msgspec.msgpack.encode(("" if at is None else str(at), heads)), *documents]


def _check_sizes(sizes: Sequence[tuple[str, int]]) -> None:
    """Refuse what the server would refuse, or be blocked by.

    Raises:
        StoreTooLargeError: It is too much at once.
    """
    if len(sizes) > MOST_WRITES:
        raise StoreTooLargeError(
            f"{len(sizes)} entities in one transaction; the Redis store takes {MOST_WRITES}, write "
            "them in parts"
        )
    for name, size in sizes:
        if size > LARGEST_DOCUMENT_BYTES:
            raise StoreTooLargeError(
                f"{name} has {size} bytes; the Redis store takes {LARGEST_DOCUMENT_BYTES} for one"
            )
    total = sum(size for _, size in sizes)
    if total > LARGEST_TRANSACTION_BYTES:
        raise StoreTooLargeError(
            f"{total} bytes in one transaction; the Redis store takes {LARGEST_TRANSACTION_BYTES}, "
            "write them in parts"
        )


def info_of(info: bytes | str) -> dict[str, str]:
    """Read what INFO tells, by name."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else info
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon}


def check_server(info: Mapping[str, str], where: str) -> None:
    """Refuse a server that cannot hold a store.

    Args:
        info: What INFO tells.
        where: The server.

    Raises:
        StoreFileError: It is too old, or drops what it holds.
    """
    version = info.get("redis_version", "")
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < 7:
        raise StoreFileError(f"{where} is Redis {version or '?'}; install version 7 or later")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        raise StoreFileError(
            f"{where} drops any key when memory is short (maxmemory-policy {policy}); set it to "
            "noeviction"
        )


def loss_of(answer: Sequence[object], where: str, known: int, removals_kept: int) -> str:
    """Say why a gateway must not go on with what a server holds.

    Args:
        answer: What a script answered.
        where: The server.
        known: The revision that the gateway knows.
        removals_kept: How many removals a server remembers.
    """
    if answer[0] == b"gap":
        what = (
            f"more than {removals_kept} entities were removed while this gateway was cut off "
            f"from {where}"
        )
    elif answer[0] == b"back":
        what = (
            f"{where} is at revision {answer[1]}, but {known} was there before: the server "
            "lost writes, or an older state was restored"
        )
    else:
        what = f"{where} was emptied, or holds another store than before"
    return f"{what}; restart this gateway to go on with what is there"
