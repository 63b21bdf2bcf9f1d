"""Connections to a PostgreSQL server. All of this blocks, and runs in a worker thread of its own limiter.

A `Link` is one connection that is made when it is first needed, and made anew when it broke: a restart of
the server costs a repetition, not a restart of the gateway.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import psycopg
import trio
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from oto_trio.model.errors import StoreClosedError, StoreError, StoreFileError, StoreFullError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Connection", "Link", "Target", "target_of"]

Connection = psycopg.Connection[tuple[Any, ...]]

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 5
"""How long one address of the server may take to accept a connection, unless the url says it."""

STATEMENT_TIMEOUT_MS: Final = 30_000
"""How long the server may work on one statement, or wait for a lock of another gateway's."""

SILENCE_MS: Final = 15_000
"""How long a server may leave what we sent unacknowledged before the connection counts as broken."""

LOOKS: Final = 9
"""After so many looks at it, a piece of work that has not ended is broken off (`Link.look`)."""

OLDEST_SERVER: Final = 130_000
"""PostgreSQL 13: the first that tells what became of a transaction by `pg_xact_status`."""


class Target(msgspec.Struct, frozen=True):
    """The server and database a url names."""

    shown: str
    """The url without password and options, for messages."""
    conninfo: str
    """What libpq is given; secret."""


def target_of(url: str) -> Target:
    """Read a url of PostgreSQL.

    Raises:
        StoreFileError: It is none. The message repeats nothing of it: a password may stand anywhere.
    """
    try:
        told = conninfo_to_dict(url)
    except psycopg.Error:
        # Without the cause: libpq's own words may repeat a password that was written wrongly.
        raise StoreFileError(
            "the setting store is no url of PostgreSQL; write it like "
            "postgresql://user@host:5432/database?sslmode=verify-full, with %-escapes for / @ : ? # "
            "in a name or password"
        ) from None
    user = f"{told['user']}@" if told.get("user") else ""
    port = f":{told['port']}" if told.get("port") else ""
    shown = f"postgresql://{user}{told.get('host', '')}{port}/{told.get('dbname', '')}"
    options: dict[str, str | int] = {
        "application_name": "oto-trio",
        "connect_timeout": CONNECT_TIMEOUT_S,
        # After a failover, or with several hosts in the url: never a server that only reads.
        "target_session_attrs": "read-write",
        "tcp_user_timeout": SILENCE_MS,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
    }
    options.update({name: value for name, value in told.items() if value is not None})
    options["client_encoding"] = "utf8"
    return Target(shown, make_conninfo("", **options))


@contextmanager
def store_errors(target: Target) -> Generator[None]:
    """Turn psycopg's errors into ours, naming the server and the fix."""
    try:
        yield
    except psycopg.Error as error:
        raise _translate(error, target.shown) from error


def _translate(error: psycopg.Error, shown: str) -> StoreError:
    """Say in our words what psycopg and the server say. Neither repeats a password."""
    said = " ".join(str(error).split()) or type(error).__name__
    match error:
        case errors.DiskFull():
            return StoreFullError(f"{shown}: the disk of the server is full; free some space")
        case errors.InsufficientPrivilege():
            return StoreError(
                f"{shown}: the user lacks a right ({said}); let it create the schema oto_trio "
                "(GRANT CREATE ON DATABASE), or make it the schema's owner"
            )
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return StoreError(
                f"{shown}: the server did not answer in time ({said}); look for a long transaction "
                "in pg_stat_activity"
            )
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return StoreError(
                f"{shown}: a table of the schema oto_trio is gone ({said}); restore a backup, or "
                "restart the gateway to make it anew"
            )
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return StoreError(
                f"{shown} cannot be used ({said}); check that the server runs, that the url is right "
                "and that the server lets this user in"
            )
        case _:
            return StoreError(f"{shown}: PostgreSQL failed: {said} ({type(error).__name__})")


class Link:
    """One connection, used by one thread at a time.

    Args:
        target: Where it goes.
        purpose: What it is for; it names the thread.
        on_connect: Run on each new connection, before anything else.
    """

    def __init__(
        self,
        target: Target,
        purpose: str,
        on_connect: Callable[[Connection], None] | None = None,
    ) -> None:
        self.target = target
        self.limiter = trio.CapacityLimiter(1)
        self._purpose = purpose
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._closed = False
        self._turn = 0  # odd while a thread works
        self._looked_at = (0, 0)

    @property
    def descriptor(self) -> int | None:
        """The socket, to wait for news on it; None while there is no connection."""
        connection = self._connection
        return None if connection is None or connection.closed else connection.fileno()

    async def run(self, work: Callable[[Connection], T], *, again: bool = True) -> T:
        """Do something with the connection, alone, in a worker thread.

        Args:
            work: What to do. Outside a transaction of its own, each statement is one.
            again: Whether to repeat it once, with a new connection, when an old one proves broken.

        Raises:
            StoreClosedError: The link was closed.
            StoreError: It did not work; the message names the server and the fix.

        Cancellation: checked before the thread starts; what it does is always finished, which the
        timeouts above bound.
        """

        def run() -> T:
            with store_errors(self.target):
                return self._run(work, again=again)

        return await trio.to_thread.run_sync(
            run, limiter=self.limiter, thread_name=f"oto-trio pg {self._purpose}"
        )

    def _run(self, work: Callable[[Connection], T], *, again: bool) -> T:
        self._turn += 1
        try:
            return self._attempts(work, again=again)
        finally:
            self._turn += 1

    def _attempts(self, work: Callable[[Connection], T], *, again: bool) -> T:
        is_old = self._connection is not None
        try:
            return self._attempt(work)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not (again and is_old and self._connection is None):
                raise
        return self._attempt(work)

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        connection = self.connect()
        try:
            return work(connection)
        except errors.ReadOnlySqlTransaction:
            self.drop()  # the server was made a standby; the next connection finds the primary
            raise
        except BaseException:
            if not connection.closed:
                with suppress(psycopg.Error):
                    connection.rollback()
            if connection.closed:
                self.drop()
            raise

    def connect(self) -> Connection:
        """Return the connection, made anew when there is none. In the thread only."""
        if self._closed:
            raise StoreClosedError(f"the store {self.target.shown} is closed")
        if self._connection is not None and self._connection.closed:
            self.drop()
        if self._connection is None:
            # Known at once: the set-up may have to be broken off too.
            self._connection = psycopg.connect(self.target.conninfo, autocommit=True)
            try:
                if self._closed:
                    raise StoreClosedError(f"the store {self.target.shown} is closed")
                _set_up(self._connection, self.target.shown)
                if self._on_connect is not None:
                    self._on_connect(self._connection)
            except BaseException:
                self.drop()
                raise
        return self._connection

    def drop(self) -> None:
        """Close the connection; the next use makes a new one. In the thread only."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def look(self) -> None:
        """Break off what has been under way for `LOOKS` looks: a server that froze answers nothing.

        Its kernel still acknowledges what we send, so no timeout of TCP's ends the wait.
        """
        turn, looks = self._looked_at
        if self._turn % 2 == 0 or self._turn != turn:
            self._looked_at = (self._turn, 0)
            return
        self._looked_at = (turn, looks + 1)
        if looks + 1 >= LOOKS:
            self.break_off()

    def break_off(self, *, for_good: bool = False) -> None:
        """End the wait of a thread for the server: it gets an error as if the server had gone.

        Args:
            for_good: Whether no new connection may be made, because the link is being closed.
        """
        self._closed = self._closed or for_good
        descriptor = self.descriptor
        if descriptor is not None and self._turn % 2:
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connected:
                connected.shutdown(socket.SHUT_RDWR)

    async def aclose(self) -> None:
        """Close for good, after what is under way; closing again does nothing.

        Cancellation: checked before the thread starts.
        """

        def close() -> None:
            self._closed = True
            self.drop()

        await trio.to_thread.run_sync(
            close, limiter=self.limiter, thread_name=f"oto-trio pg {self._purpose}"
        )


def _set_up(connection: Connection, shown: str) -> None:
    """Check the server and set what the promises of the store rest on."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise StoreFileError(
            f"{shown} is PostgreSQL {version // 10_000}; upgrade it to 13 or newer"
        )
    connection.execute(
        "SELECT set_config('statement_timeout', %s, false)", [str(STATEMENT_TIMEOUT_MS)]
    )
    # An acknowledged write must be on disk; a stronger setting, such as remote_apply, is left alone.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
