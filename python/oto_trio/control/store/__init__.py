"""Where entities are kept: one small interface and its drivers.

`base` says what a store must do, `memory`, `sqlite`, `postgres`, `redis` and `cassandra` do it, `opening` chooses one by its url,
`feed` tells others what changed. Every
driver passes the same kit, `oto_trio.testing.check_store`.
"""

from oto_trio.control.store.base import (
    Batch,
    Change,
    Delete,
    Expectation,
    Put,
    Record,
    Seen,
    Snapshot,
    Store,
    Write,
)
from oto_trio.control.store.feed import Feed
from oto_trio.control.store.memory import MemoryStore
from oto_trio.control.store.sqlite import SqliteStore

__all__ = [
    "Batch",
    "Change",
    "Delete",
    "Expectation",
    "Feed",
    "MemoryStore",
    "Put",
    "Record",
    "Seen",
    "Snapshot",
    "SqliteStore",
    "Store",
    "Write",
]
