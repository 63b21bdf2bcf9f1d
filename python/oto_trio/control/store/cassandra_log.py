"""How a transaction is written to the Cassandra store and read again. All of this runs in worker threads.

What transactions change is written first, in parts that nobody looks for. Then one conditional batch in the
partition of the revisions commits them: it moves the revision from what the writer knows to the next, and
adds the rows that say where the parts are. Paxos lets one of several writers win; the others read what it
wrote and try again on top of it. So a transaction of any size is there whole or not at all.

When no answer comes, the rows are read at the serial level, which decides what is under way. A batch that is
not there may still be carried out later by a server that was slow. It is therefore sent again as it was, under
the same name: whichever of the two is carried out, the other one's condition does not hold any more.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.cassandra_link import UNSURE
from oto_trio.control.store.cassandra_schema import PART
from oto_trio.control.store.cassandra_state import Altered, LogRow
from oto_trio.model.errors import StoreError, StoreOutcomeUnknownError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from oto_trio.control.store.cassandra_link import CassandraLink, Question, Talk
    from oto_trio.control.store.cassandra_state import Plan

__all__ = ["GoneError", "News", "commit", "read_bodies", "read_news", "read_rows", "write_body"]

ROWS_AT_ONCE: Final = 500
"""Rows of revisions read by one question."""

OUTCOME_ATTEMPTS: Final = 12
"""How often a commit without an answer is looked for and sent again."""

OUTCOME_PAUSE_S: Final = 0.5
"""The pause between these attempts: servers that restart are waited for about six seconds."""

_COLUMNS: Final = (
    "revision, base, place, parts, attempt, at, actor, request_id, message, changes, size, total"
)
INSERT_ROW: Final = (
    f"INSERT INTO oto_revisions (store, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
)
_SELECT_ROWS: Final = f"SELECT {_COLUMNS}, floor FROM oto_revisions WHERE store = ? AND revision > ? LIMIT {ROWS_AT_ONCE}"  # noqa: S608
_INSERT_PART: Final = (
    "INSERT INTO oto_bodies (store, base, part, attempt, parts, body) VALUES (?, ?, ?, ?, ?, ?)"
)
_SELECT_PART: Final = (
    "SELECT body FROM oto_bodies WHERE store = ? AND base = ? AND part = ? AND attempt = ?"
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[list[Altered]])


class GoneError(Exception):
    """What is needed to follow the revisions was removed meanwhile: all has to be read anew."""


class News(msgspec.Struct):
    """Revisions that follow the known one."""

    floor: int
    rows: list[LogRow]
    entries: list[list[Altered]]


def write_body(
    talk: Talk, store: str, base: int, attempt: str, entries: Sequence[Sequence[Altered]]
) -> int:
    """Write what transactions change; return the number of parts.

    The first part is written before all others: whoever removes a base finds there how many there are.
    """
    packed = zlib.compress(_encoder.encode(entries), 1)
    parts = [packed[start : start + PART] for start in range(0, len(packed), PART)]
    questions = [
        (_INSERT_PART, (store, base, number, attempt, len(parts), part))
        for number, part in enumerate(parts)
    ]
    talk.write_all(questions[:1])
    talk.write_all(questions[1:])
    return len(parts)


def read_bodies(
    talk: Talk, store: str, rows: Iterable[LogRow]
) -> dict[tuple[int, str], list[list[Altered]]]:
    """Read what transactions changed, by the base and the attempt of their rows.

    Raises:
        GoneError: A part is not there.
    """
    wanted = {(row.base, row.attempt): row.parts for row in rows}
    questions: list[Question] = [
        (_SELECT_PART, (store, base, part, attempt))
        for (base, attempt), parts in wanted.items()
        for part in range(parts)
    ]
    answers = talk.ask_all(questions)
    bodies: dict[tuple[int, str], list[list[Altered]]] = {}
    for key, parts in wanted.items():
        found = [next(answers) for _ in range(parts)]
        if not all(found):
            raise GoneError
        packed = b"".join(answer[0][0] for answer in found)
        bodies[key] = _decoder.decode(zlib.decompress(packed))
    return bodies


def read_rows(talk: Talk, store: str, after: int) -> tuple[list[LogRow], int]:
    """Read the rows of all revisions that are greater than one, after deciding what is under way.

    Returns:
        The rows, and the oldest revision that is remembered; 0 when there are none.
    """
    rows: list[LogRow] = []
    floor = 0
    while True:
        answer = talk.ask_serial(_SELECT_ROWS, store, after)
        rows += [LogRow(*row[:-1]) for row in answer]
        if answer:
            floor, after = answer[-1][-1], rows[-1].revision
        if len(answer) < ROWS_AT_ONCE:
            return rows, floor


def read_head(talk: Talk, store: str, known: int, shown: str) -> tuple[int, int]:
    """Read the latest revision and the oldest that is remembered.

    Raises:
        StoreError: The store is gone, or went back behind what is known.
    """
    rows = talk.ask("SELECT head, floor FROM oto_revisions WHERE store = ? LIMIT 1", store)
    if not rows or rows[0][0] is None:
        raise StoreError(
            f"{shown} was emptied, or holds another store; restart the gateways to go on with what is there"
        )
    head, floor = rows[0]
    if head < known:
        raise StoreError(
            f"{shown} stands at revision {head}, but stood at {known} before: the servers lost what they "
            "had acknowledged, or a backup was restored; restart every gateway that uses it"
        )
    return head, floor


def read_news(talk: Talk, store: str, known: int, shown: str) -> News:
    """Read all revisions after the known one.

    Raises:
        GoneError: Some were removed.
        StoreError: The store is gone, or went back.
    """
    head, floor = read_head(talk, store, known, shown)
    if head == known:
        return News(floor, [], [])
    rows, floor = read_rows(talk, store, known)
    if [row.revision for row in rows] != [*range(known + 1, known + len(rows) + 1)]:
        raise GoneError
    if known + len(rows) < head:
        raise GoneError
    bodies = read_bodies(talk, store, rows)
    return News(floor, rows, [bodies[row.base, row.attempt][row.place] for row in rows])


def commit(
    link: CassandraLink, store: str, plan: Plan, trim: int | None, give_up: threading.Event
) -> bool:
    """Commit a plan. In a thread.

    Args:
        link: The connections.
        store: Generation of the store.
        plan: What to commit; its rows get the number of parts.
        trim: Rows of smaller revisions are removed with it.
        give_up: Set when the store is being closed.

    Returns:
        Whether it was committed; else something newer is there.

    Raises:
        StoreError: It was not, and nothing else either.
        StoreOutcomeUnknownError: The servers went away meanwhile.
    """
    talk = link.connect()
    parts = write_body(talk, store, plan.known + 1, plan.attempt, plan.entries)
    plan.rows = [msgspec.structs.replace(row, parts=parts) for row in plan.rows]
    head = plan.known + len(plan.rows)
    questions: list[Question] = [
        (
            "UPDATE oto_revisions SET head = ?, floor = ? WHERE store = ? IF head = ?",
            (head, plan.floor, store, plan.known),
        ),
        *((INSERT_ROW, (store, *msgspec.structs.astuple(row))) for row in plan.rows),
    ]
    if trim is not None:
        questions.append(
            ("DELETE FROM oto_revisions WHERE store = ? AND revision < ?", (store, trim))
        )
    cause: Exception | None = None
    for _ in range(OUTCOME_ATTEMPTS):
        try:
            if cause is not None:
                talk = link.renew(talk, cause)
            if talk.decide(questions):
                return True
            found = _attempt_after(talk, store, plan.known)
            if found is not None:
                return found == plan.attempt
            if read_head(talk, store, plan.known, link.url.shown)[0] > plan.known:
                break  # so much was written meanwhile that the row was removed again
        except UNSURE as error:
            cause = error
            if give_up.wait(OUTCOME_PAUSE_S):
                break
    raise StoreOutcomeUnknownError(
        f"the servers of {link.url.shown} went away while a change was committed, and cannot tell whether it "
        "was kept; read it again before you repeat it"
    ) from cause


def _attempt_after(talk: Talk, store: str, known: int) -> str | None:
    """Return whose revision follows the known one; None when there is none."""
    rows = talk.ask_serial(
        "SELECT attempt FROM oto_revisions WHERE store = ? AND revision = ?", store, known + 1
    )
    return str(rows[0][0]) if rows else None
