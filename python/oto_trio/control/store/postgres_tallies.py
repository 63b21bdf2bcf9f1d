"""Counters in the PostgreSQL store: a row for each part. All of this runs in the thread of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.store.postgres_link import Connection
    from oto_trio.control.store.tallies import Tally

__all__ = ["TALLY_TABLES", "tally"]

TALLY_TABLES: Final = """
CREATE TABLE IF NOT EXISTS oto_trio.tallies (
    counter text COLLATE "C" NOT NULL,
    part text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    ends_at double precision NOT NULL,
    PRIMARY KEY (counter, part)
);
CREATE INDEX IF NOT EXISTS tallies_by_end ON oto_trio.tallies (ends_at);
"""
"""A table that databases of version 2 have or not."""

SWEPT: Final = 1000
"""Parts that ended and are removed at once."""

GRACE_S: Final = 60.0
"""Seconds that a part is kept longer than it counts, for writers whose clocks lag."""


def tally(
    connection: Connection, told: Sequence[Tally], counters: Sequence[str], now: float
) -> Mapping[str, Mapping[str, int]]:
    """Tell parts in one statement, and read counters.

    Args:
        connection: Where to ask.
        told: The parts; each at most once.
        counters: All counters to read, those of the parts among them.
        now: Unix time.
    """
    if told:
        # In order, so that two gateways that write the same part never wait for each other.
        rows = sorted(told, key=lambda one: (one.counter, one.part))
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO oto_trio.tallies SELECT * FROM "
            "unnest(%s::text[], %s::text[], %s::int8[], %s::float8[]) "
            "ON CONFLICT (counter, part) DO UPDATE "
            "SET count = EXCLUDED.count, ends_at = EXCLUDED.ends_at",
            (
                [one.counter for one in rows],
                [one.part for one in rows],
                [one.count for one in rows],
                [one.ends_at for one in rows],
            ),
        )
        connection.execute(
            # By their places, of which there are few or none: a join would go through the whole table.
            "DELETE FROM oto_trio.tallies WHERE ctid = ANY(ARRAY(SELECT ctid "
            "FROM oto_trio.tallies WHERE ends_at <= %s LIMIT %s FOR UPDATE SKIP LOCKED))",
            (now - GRACE_S, SWEPT),
            prepare=False,  # see below
        )
        connection.execute("COMMIT")
    found: dict[str, dict[str, int]] = {counter: {} for counter in counters}
    answer = connection.execute(
        "SELECT counter, part, count FROM oto_trio.tallies "
        "WHERE counter = ANY(%s::text[]) AND ends_at > %s",
        ([*counters], now),
        binary=True,
        # A plan made while the table was small, which goes through all of it, would be kept as it grows.
        prepare=False,
    )
    for counter, part, count in answer:
        found[counter][part] = count
    return found
