"""Which store a gateway uses: the scheme of the setting ``store`` names the driver.

A driver and its client library are imported only when a setting asks for them; a library that is not there
is an error with the extra that brings it.
"""

from __future__ import annotations

import fcntl
import logging
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from oto_trio.control.store.cassandra_url import cassandra_url_problem
from oto_trio.control.store.history import DEFAULT_BOUNDS, HistoryBounds
from oto_trio.control.store.memory import MemoryStore
from oto_trio.control.store.redis_url import redis_url_problem
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.control.store.state_url import (
    FileUrl,
    HttpUrl,
    MemoryUrl,
    StateUrlError,
    read_state_url,
    state_url_problem,
)
from oto_trio.model.errors import StoreError, StoreFileError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from pathlib import Path

    from oto_trio.control.store.base import Store

__all__ = ["NODE_FILE", "counting_name", "node_name", "open_store", "store_url_problem"]

logger = logging.getLogger(__name__)

MOST_REVISIONS_IN_STATE: Final = 1000
"""Revisions that a store in memory remembers at most when its state is saved again and again, as a whole."""

MOST_HISTORY_IN_STATE: Final = 16 * 1024 * 1024
"""Bytes of their documents."""

NODE_FILE: Final = "node"
"""Name of the file in the data folder that tells this gateway from others on the same store."""


async def open_store(
    url: str | None, file: Path, *, history: HistoryBounds = DEFAULT_BOUNDS
) -> Store:
    """Open the store that a setting names.

    Args:
        url: The setting; None = the embedded store.
        file: The file of the embedded store; its folder is made in any case.
        history: How much the store remembers of its revisions.

    Raises:
        StoreError: It cannot be opened; the message names it, without a password, and the fix.
    """
    if url is None:
        return await SqliteStore.open(file, history=history)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFileError(
            f"{file.parent} cannot be made ({error.strerror}); choose another --data folder"
        ) from error
    return await _DRIVERS[_scheme(url)](url, history)


def node_name(url: str | None, folder: Path) -> str:
    """Return what tells this gateway from others on the same store: kept in its data folder.

    Args:
        url: The setting; None = the embedded store.
        folder: The data folder; it is made when missing.

    Returns:
        A random name, the same at every start; empty with a store that only one gateway uses.

    Raises:
        StoreFileError: The file cannot be read or written, or holds something else.
    """
    if url is None or _scheme(url) in _ALONE:
        return ""
    path = folder / NODE_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            name = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            name = secrets.token_hex(8)
            new = path.with_suffix(".new")
            new.write_text(f"{name}\n", encoding="ascii")
            new.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise StoreFileError(
            f"{path} cannot be used ({error}); make the folder writable, or remove the file"
        ) from error
    if not (name.isalnum() and len(name) <= 64):
        raise StoreFileError(f"{path} holds no name of a gateway; remove it to get a new one")
    return name


@contextmanager
def counting_name(node: str, folder: Path) -> Generator[str]:
    """Hold the name under which this gateway tells others what it counts; no two that run have the same one.

    It is the gateway's own, unless another process uses the same data folder now: two that told their counts
    under one name would overwrite each other's, and let through twice what a quota allows.

    Args:
        node: As `node_name` gave it; empty with a store that only one gateway uses.
        folder: The data folder.

    Raises:
        StoreFileError: The file cannot be read.
    """
    if not node:
        yield node
        return
    path = folder / NODE_FILE
    try:
        file = path.open("rb")
    except OSError as error:
        raise StoreFileError(f"{path} cannot be used ({error}); make it readable") from error
    with file:
        name = node
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            name = f"{node}{secrets.token_hex(8)}"
            logger.warning(
                "another gateway uses the data folder %s; this one counts under a name for this run",
                folder,
            )
        except OSError as error:  # a file system without locks
            logger.warning("%s cannot be locked (%s); give each gateway a folder", path, error)
        try:
            yield name
        finally:
            # A process that is being started has a duplicate, with which closing alone would leave the lock.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def store_url_problem(url: str) -> tuple[str, str] | None:
    """Say what is wrong with the setting ``store``, and what to write; None = nothing that shows.

    The text itself is not repeated: it may hold a password.
    """
    if _scheme(url).startswith("redis"):
        return redis_url_problem(url)
    if _scheme(url) == "cassandra":
        return cassandra_url_problem(url)
    if _scheme(url) in _ALONE:
        return state_url_problem(url)
    if _scheme(url) in _DRIVERS:
        return None
    schemes = ", ".join(f"{scheme}://" for scheme in _DRIVERS)
    return (
        "no store has such a url",
        f"begin it with {schemes}, or leave it out to use the embedded store",
    )


def _scheme(url: str) -> str:
    """Return the scheme of a url; empty when it has none."""
    scheme, mark, _ = url.partition("://")
    return scheme.lower() if mark else ""


async def _open_postgres(url: str, history: HistoryBounds) -> Store:
    try:
        from oto_trio.control.store.postgres import PostgresStore  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise _missing("PostgreSQL", "postgresql", error) from error
    return await PostgresStore.open(url, history=history)


async def _open_redis(url: str, history: HistoryBounds) -> Store:
    try:
        from oto_trio.control.store.redis import RedisStore  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise _missing("Redis", "redis", error) from error
    return await RedisStore.open(url, history=history)


async def _open_cassandra(url: str, history: HistoryBounds) -> Store:
    try:
        from oto_trio.control.store.cassandra import CassandraStore  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise _missing("Cassandra", "cassandra", error) from error
    return await CassandraStore.open(url, history=history)


async def _open_state(url: str, history: HistoryBounds) -> Store:
    """Open a store in memory, with what keeps its state."""
    from oto_trio.control.store.persisted import PersistedStore  # noqa: PLC0415 (few ask for it)
    from oto_trio.control.store.state_http import HttpPlace, S3Place  # noqa: PLC0415
    from oto_trio.control.store.state_places import FilePlace  # noqa: PLC0415

    try:
        read = read_state_url(url)
    except StateUrlError as error:
        raise StoreError(f"the URL of `store`: {error}") from None
    kept = HistoryBounds(
        revisions=min(history.revisions, MOST_REVISIONS_IN_STATE),
        age_s=history.age_s,
        size=min(history.size, MOST_HISTORY_IN_STATE),
    )
    match read:
        case MemoryUrl():
            return MemoryStore(history=history)
        case FileUrl():
            return await PersistedStore.open(FilePlace(read), history=kept)
        case HttpUrl():
            return await PersistedStore.open(HttpPlace(read), history=kept)
        case _:
            try:
                place = S3Place(read)
            except ImportError as error:
                raise _missing("S3", "s3", error) from error
            return await PersistedStore.open(place, history=kept)


def _missing(what: str, extra: str, error: ImportError) -> StoreFileError:
    """Describe a client library that cannot be imported."""
    return StoreFileError(
        f"a store in {what} needs a library that cannot be imported ({error}); install "
        f"oto-trio[{extra}]"
    )


_DRIVERS: Final[Mapping[str, Callable[[str, HistoryBounds], Awaitable[Store]]]] = {
    "postgresql": _open_postgres,
    "postgres": _open_postgres,
    "redis": _open_redis,
    "rediss": _open_redis,
    "redis-sentinel": _open_redis,
    "rediss-sentinel": _open_redis,
    "redis-cluster": _open_redis,
    "rediss-cluster": _open_redis,
    "cassandra": _open_cassandra,
    "memory": _open_state,
    "file": _open_state,
    "http": _open_state,
    "https": _open_state,
    "s3": _open_state,
}
"""What opens a url, by its scheme."""

_ALONE: Final = frozenset({"memory", "file", "http", "https", "s3"})
"""Schemes of stores in memory, which one gateway uses."""
