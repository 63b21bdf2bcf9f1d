"""The history of the Redis store: what is sent with a transaction, and how it is read back.

The scripts in `redis_scripts` keep it; what they give is put together here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.store import redis_scripts as scripts
from oto_trio.control.store.history import (
    CHANGE_BYTES,
    Changed,
    Difference,
    HistoryBounds,
    Origin,
    Revision,
    check_span,
)
from oto_trio.model.errors import RevisionUnknownError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oto_trio.control.store.history import Sought

__all__ = ["RedisHistory", "history_word"]

PAGE_BYTES: Final = 8 * 1024 * 1024
"""From so many bytes on an answer ends, and the rest is asked for."""

DOCUMENTS_AT_ONCE: Final = 500
"""Documents whose older states are asked for at once."""

REVISIONS_AT_ONCE: Final = 500
"""Revisions looked at by one script at most."""

MEMBERS_AT_ONCE: Final = 20_000
"""Changed documents looked at by one script, beyond those of one revision."""

_origin: Final = msgspec.json.Decoder(Origin)


def history_word(origin: Origin, bounds: HistoryBounds) -> bytes:
    """Return what the script of a transaction has to know to remember it."""
    now = datetime.now(UTC).timestamp()
    too_old = -1.0 if bounds.age_s is None else now - bounds.age_s
    return msgspec.msgpack.encode(
        (
            repr(now),
            msgspec.json.encode(origin).decode(),
            bounds.revisions,
            too_old,
            bounds.size,
            CHANGE_BYTES,
        )
    )


def _revision(number: int, row: bytes) -> Revision:
    """Read what is known of a revision."""
    at, changes, _, size, origin = row.split(b" ", 4)
    return Revision(number, float(at), _origin.decode(origin), int(changes), int(size))


def _text(value: bytes) -> bytes | None:
    """Return the document of a value; None when there was none."""
    return value.partition(b"\n")[2] or None


class RedisHistory:
    """Reads the history of a store.

    Args:
        run: Runs a script with the store's id before the other arguments.
    """

    def __init__(self, run: Callable[..., Awaitable[list[Any]]]) -> None:
        self._run = run

    async def revisions(self, before: int | None, limit: int) -> Sequence[Revision]:
        """Read some revisions; see `Store.revisions`."""
        newest = "" if before is None else before - 1
        _, _, _, *rows = await self._run(scripts.REVISIONS, newest, limit)
        return [_revision(rows[n], rows[n + 1]) for n in range(0, len(rows), 2)]

    async def find(self, sought: Sought, before: int | None, limit: int) -> list[Revision]:
        """Read some revisions that are looked for; see `Store.find_revisions`."""
        found: list[Revision] = []
        newest, kind, entity_id = "" if before is None else before - 1, sought.kind, sought.id
        while len(found) < limit:
            oldest, *rows = await self._run(
                *(scripts.SOUGHT, newest, REVISIONS_AT_ONCE, MEMBERS_AT_ONCE),
                *("" if kind is None else kind, "" if entity_id is None else entity_id),
            )
            some = [_revision(rows[n], rows[n + 1]) for n in range(0, len(rows), 2)]
            found += [revision for revision in some if sought.has_origin(revision)]
            if not oldest:
                break
            newest = oldest - 1
        return found[:limit]

    async def difference(self, since: int, until: int | None) -> Difference:
        """Read what changed; see `Store.difference`."""
        _, latest, oldest = await self._run(scripts.REVISIONS, "", 0)
        newer = check_span(since, until, oldest - 1, latest)
        members: set[bytes] = set()
        told = since
        while told < newer:
            told, *some = await self._asked(
                since, latest, scripts.TOUCHED, told + 1, newer, DOCUMENTS_AT_ONCE
            )
            members.update(some)
        ordered = sorted(members)
        changed: list[Changed] = []
        while len(changed) < len(ordered):
            some = ordered[len(changed) : len(changed) + DOCUMENTS_AT_ONCE]
            rows = await self._asked(since, latest, scripts.STATES, since, newer, PAGE_BYTES, *some)
            for n in range(0, len(rows), 3):
                kind, _, entity_id = some[n // 3].decode().partition("\n")
                before, after, revision = rows[n : n + 3]
                changed.append(Changed(kind, entity_id, _text(before), _text(after), revision))
        changed.sort(key=lambda one: (one.kind, one.id))
        return Difference(since, newer, tuple(changed))

    async def _asked(self, since: int, latest: int, *words: Any) -> list[Any]:
        """Run a script that needs the states since a revision.

        Raises:
            RevisionUnknownError: They were forgotten meanwhile.
        """
        word, *answer = await self._run(*words)
        if word == b"forgotten":
            raise RevisionUnknownError(since, since + 1, latest)
        return answer
