"""Everything in the Redis store, read and written as a whole.

A whole is written beside what is there, under names of its own, and then put in its place by one script: until then
nothing is changed, and a copy that was broken off leaves only keys that the next one removes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.store import redis_scripts as scripts
from oto_trio.control.store.redis_tallies import TALLIES
from oto_trio.control.store.whole import Whole, totals_of
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from oto_trio.control.store.history import Remembered, Revision

    Ask = Callable[..., Awaitable[Any]]

__all__ = ["keys_below", "read_past", "write_whole"]

WORDS_AT_ONCE: Final = 2000
BYTES_AT_ONCE: Final = 4 * 1024 * 1024
"""How much is sent in one command at most; one value is always sent."""

SWAP: Final = scripts.Script("""
-- ARGV: start of the names of the new keys, how many old keys, then the old and the new keys
local old = tonumber(ARGV[2])
local function id() return redis.call('HGET', KEYS[1], 'id') end
for n = old + 3, #ARGV do
  -- All is done already, when this is sent again after a broken connection, or another copy has removed them.
  if redis.call('EXISTS', ARGV[n]) == 0 then return id() end
end
for n = 3, old + 2 do redis.call('UNLINK', ARGV[n]) end
for n = old + 3, #ARGV do
  redis.call('RENAME', ARGV[n], base .. string.sub(ARGV[n], #ARGV[1] + 1))
end
return id()
""")
"""Removes all keys of a store and puts new ones in their place, if all of these are there. Gives the store's id."""


async def keys_below(ask: Ask, start: str) -> list[str]:
    """Give the names of all keys that begin with a text."""
    found: dict[str, None] = {}
    cursor = b"0"
    while True:
        cursor, names = await ask("SCAN", cursor, "MATCH", f"{start}*", "COUNT", 1000)
        found.update((name.decode(), None) for name in names)
        if int(cursor) == 0:
            return list(found)


async def read_past(ask: Ask, base: str, revisions: Iterable[Revision]) -> list[Remembered]:
    """Read what documents were before each of some revisions."""
    history: list[Remembered] = []
    for revision in revisions:
        rows: dict[bytes, bytes] = await ask("HGETALL", f"{base}past:{revision.revision}")
        before: dict[tuple[str, str], bytes | None] = {}
        for member, value in rows.items():
            kind, _, entity_id = member.decode().partition("\n")
            before[kind, entity_id] = value.partition(b"\n")[2] or None
        history.append((revision, before))
    return history


async def write_whole(ask: Ask, base: str, whole: Whole) -> bytes:
    """Write everything, in the place of all there is.

    Args:
        ask: Sends a command.
        base: Start of the store's keys.
        whole: What it is to hold.

    Returns:
        The id that the store has from now on: gateways that knew the old one notice.

    Raises:
        StoreError: It cannot be written, or another copy into the same store got in its way.
    """
    start = f"{base}new:"
    for key in await keys_below(ask, start):
        await ask("UNLINK", key)
    # Counters are many keys, and nobody's once the store has another id: they go afterwards, not in the script.
    counters = f"{base}{TALLIES}"
    old = [key for key in await keys_below(ask, base) if not key.startswith(counters)]
    store_id = secrets.token_hex(16)
    new: dict[str, None] = {}
    for command, name, pairs in _content(whole, store_id):
        for some in _parts(pairs):
            new[start + name] = None
            await ask(command, start + name, *some)
    words = [start, len(old), *old, *new]
    found = await ask("EVAL", SWAP.text, 1, f"{base}facts", *words, timeout_s=60.0)
    if found != store_id.encode():
        raise StoreError(
            "the Redis store was not replaced: another copy was made into it at the same time; copy again, "
            "one at a time"
        )
    gone = await keys_below(ask, counters)
    for first in range(0, len(gone), WORDS_AT_ONCE):
        await ask("UNLINK", *gone[first : first + WORDS_AT_ONCE])
    return store_id.encode()


def _parts(pairs: Iterable[tuple[Any, Any]]) -> Iterator[Sequence[Any]]:
    """Split what is sent."""
    words: list[Any] = []
    size = 0
    for pair in pairs:
        words += pair
        size += sum(len(word) for word in pair if isinstance(word, str | bytes))
        if len(words) >= WORDS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield words
            words, size = [], 0
    if words:
        yield words


def _content(whole: Whole, store_id: str) -> Iterator[tuple[str, str, Iterable[tuple[Any, Any]]]]:
    """Give each key: the command that writes it, its name, and pairs of what it holds."""
    kinds: dict[str, list[Any]] = {}
    for record in whole.records:
        kinds.setdefault(record.kind, []).append(record)
    for kind, records in kinds.items():
        yield (
            *("HSET", f"docs:{kind}"),
            ((r.id, b"%d\n%b" % (r.revision, r.document)) for r in records),
        )
        yield "ZADD", f"ids:{kind}", ((0, r.id) for r in records)
    if whole.records:
        yield "ZADD", "log", ((r.revision, f"{r.kind}\n{r.id}") for r in whole.records)
    if whole.blobs:
        ends = {
            b.name: "" if b.expires_at is None else repr(float(b.expires_at)) for b in whole.blobs
        }
        yield (
            "HSET",
            "blobs",
            ((b.name, ends[b.name].encode() + b"\n" + b.value) for b in whole.blobs),
        )
        yield "ZADD", "blob-names", ((0, b.name) for b in whole.blobs)
        ending = [(end, name) for name, end in ends.items() if end]
        if ending:
            yield "ZADD", "blob-ends", ending
    yield from _history(whole)
    facts = {"id": store_id, "revision": whole.revision, "schema": scripts.SCHEMA}
    # What was removed is not told to gateways that were cut off; none of them knows this store.
    facts["floor"] = whole.revision
    oldest = whole.history[0][0].revision if whole.history else whole.revision + 1
    yield "HSET", "facts", {**facts, "oldest": oldest}.items()


def _history(whole: Whole) -> Iterator[tuple[str, str, Iterable[tuple[Any, Any]]]]:
    """Give the keys of the history."""
    if not whole.history:
        return
    yield (
        *("HSET", "revisions"),
        (
            (
                revision.revision,
                f"{revision.at!r} {revision.changes} {total} {revision.size} ".encode()
                + msgspec.json.encode(revision.origin),
            )
            for revision, total in totals_of(whole.history)
        ),
    )
    # Each version names the revision that wrote it; 0 is some revision before those that are kept.
    written: dict[tuple[str, str], int] = {}
    for revision, before in whole.history:
        rows: list[tuple[str, bytes]] = []
        for key, document in before.items():
            rows.append(("\n".join(key), b"%d\n%b" % (written.get(key, 0), document or b"")))
            written[key] = revision.revision
        yield "HSET", f"past:{revision.revision}", rows
