"""A connection to a Redis server that is made anew when it broke, and its errors in our words.

With sentinels, or in a cluster, it is found out before each new connection which server has the keys: they all have
one hash tag, so one node of a cluster has them all. When another server becomes the primary, or gets the keys, the
old one says so or breaks the connection, and the next one goes to the right place.

coredis speaks the protocol, with TLS and authentication, and runs on Trio through anyio. Its pool is not
used: requests of all tasks share one connection, which Redis answers in order, so what one task wrote is
there for the next one.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

import trio
from coredis import exceptions
from coredis.connection import TCPConnection, TCPLocation

from oto_trio.control.store.redis_url import MOST_HOSTS, shown_host
from oto_trio.model.errors import StoreClosedError, StoreError, StoreFullError

if TYPE_CHECKING:
    from oto_trio.control.store.redis_url import RedisUrl

__all__ = ["ANSWER_S", "Line", "StoreUnreachableError"]

CONNECT_S: Final = 3.0
"""How long connecting may take."""

ANSWER_S: Final = 10.0
"""How long the server may take for an answer."""

MOST_REQUESTS: Final = 64
"""Requests under way on one connection; more wait for their turn."""

# What goes wrong is raised to whoever asked, in our words; coredis would log tracebacks beside it.
logging.getLogger("coredis").setLevel(logging.CRITICAL)


_MOVED: Final = (
    *(exceptions.MovedError, exceptions.AskError, exceptions.TryAgainError),
    *(exceptions.ClusterDownError, exceptions.ReadOnlyError),
)
"""What says that a command was not carried out because the keys are elsewhere."""


class StoreUnreachableError(StoreError):
    """The server does not answer at present; it may have got the request."""

    code = "store_unreachable"

    is_sent = False
    """Whether the server may have got the request."""


class Line:
    """A connection for requests of many tasks.

    Args:
        url: Where to, and as whom.
        tls: How TLS is spoken; None = not at all.
    """

    def __init__(self, url: RedisUrl, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._tls = tls
        self._nursery: trio.Nursery | None = None
        self._connection: _Connection | None = None
        self._connecting = trio.Lock()
        self._known = url.hosts
        self._places = trio.CapacityLimiter(MOST_REQUESTS)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of the connection until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def ask(self, *words: str | bytes | int, timeout_s: float | None = None) -> Any:
        """Send a command and wait for its answer, for `ANSWER_S` at most unless told otherwise.

        Raises:
            StoreUnreachableError: There is no connection, or it broke, or no answer came.
            StoreError: The server refuses.
            coredis.exceptions.NoScriptError: The script of an EVALSHA is not known.

        Cancellation: the command may or may not be carried out.
        """
        async with self._places:
            connection = await self._connected()
            try:
                return await connection.create_request(
                    str(words[0]).encode(),
                    # A word that cannot be encoded would end the connection; so it is merely not found.
                    *(
                        w.encode("utf-8", "surrogatepass") if isinstance(w, str) else w
                        for w in words[1:]
                    ),
                    decode=False,
                    timeout=timeout_s,
                    disconnect_on_cancellation=words[0] == "XREAD",
                )
            except exceptions.NoScriptError:
                raise
            except TimeoutError as error:
                connection.invalidate("no answer")
                late = StoreUnreachableError(
                    f"{self._url.shown}: no answer within {timeout_s or ANSWER_S:g} s; look at the server's load"
                )
                late.is_sent = True
                raise late from error
            except _MOVED as error:
                # It was not carried out; the next connection goes to where it can be.
                connection.invalidate("not the right server any more")
                raise self._in_our_words(error) from error
            except (exceptions.RedisError, OSError) as error:
                ours = self._in_our_words(error)
                if isinstance(ours, StoreUnreachableError):
                    ours.is_sent = True
                raise ours from error

    async def _connected(self) -> _Connection:
        """Give the connection, a new one if it broke.

        Raises:
            StoreError: There is none to be had.
        """
        async with self._connecting:
            connection = self._connection
            if connection is not None and connection.usable:
                return connection
            if self._nursery is None:
                raise StoreClosedError(f"the store {self._url.shown} is closed")
            try:
                connection = self._new(*await self._find())
                await self._nursery.start(_carry, connection)
            except (exceptions.RedisError, OSError) as error:
                raise self._in_our_words(error) from error
            self._connection = connection
            return connection

    def _new(self, host: str, port: int, *, is_sentinel: bool = False) -> _Connection:
        """Describe a connection that is not made yet."""
        url = self._url
        return _Connection(
            TCPLocation(host, port),
            connect_timeout=CONNECT_S,
            stream_timeout=ANSWER_S,
            username=url.sentinel_username if is_sentinel else url.username,
            password=url.sentinel_password if is_sentinel else url.password,
            db=0 if is_sentinel else url.database,
            client_name="oto-trio",
            ssl_context=self._tls,
        )

    async def _find(self) -> tuple[str, int]:
        """Find the server that has the keys.

        Raises:
            StoreError: Nobody can tell.
        """
        if self._url.kind == "single":
            return self._known[0]
        failures: list[str] = []
        for host, port in self._known:
            try:
                if self._url.kind == "sentinel":
                    return await self._ask_sentinel(host, port)
                return await self._ask_node(host, port)
            except (exceptions.RedisError, OSError, TimeoutError) as error:
                failures.append(f"{shown_host(host, port)}: {str(error) or type(error).__name__}")
        # What was learned may be wrong by now: the next time begins with those that the URL names.
        self._known = self._url.hosts
        who = "sentinel" if self._url.kind == "sentinel" else "node"
        raise StoreUnreachableError(
            f"{self._url.shown}: no {who} tells which server has the keys ({'; '.join(failures)}); start "
            "the servers, or correct the URL of `store`"
        )

    async def _ask_sentinel(self, host: str, port: int) -> tuple[str, int]:
        """Ask a sentinel for the primary, and that one whether it knows."""
        sentinel = self._new(host, port, is_sentinel=True)
        name = str(self._url.master)
        found = await _ask_once(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
        if not found:
            raise exceptions.RedisError(f"the sentinel knows no primary called {name}")
        place = found[0].decode(), int(found[1])
        role = await _ask_once(self._new(*place), "ROLE")
        if role[0] != b"master":
            raise exceptions.ConnectionError(f"{shown_host(*place)} is not the primary yet")
        return place

    async def _ask_node(self, host: str, port: int) -> tuple[str, int]:
        """Ask a node of a cluster who has the keys, and learn who else is in it."""
        key = f"{{{self._url.prefix}}}:facts"
        slot = await _ask_once(self._new(host, port), "CLUSTER", "KEYSLOT", key)
        ranges = await _ask_once(self._new(host, port), "CLUSTER", "SLOTS")
        nodes = [
            # Without a name it is the host that was asked.
            ((entry[2][0] or host.encode()).decode(), int(entry[2][1]))
            for entry in ranges
        ]
        owners = (n for n, entry in zip(nodes, ranges, strict=True) if entry[0] <= slot <= entry[1])
        place = next(owners, None)
        if place is None:
            raise exceptions.RedisError("nobody has the slot of the keys; complete the cluster")
        others = [node for node in (*self._url.hosts, *nodes) if node != place]
        self._known = tuple(dict.fromkeys((place, *others)))[:MOST_HOSTS]
        return place

    def _in_our_words(self, error: Exception) -> StoreError:
        """Say what happened and what to do."""
        where, text = self._url.shown, str(error)
        if isinstance(error, exceptions.AuthenticationError):
            return StoreError(
                f"{where} refuses the user or the password, or asks for one; write both into the URL "
                "of `store`: redis://user:password@host:6379/0"
            )
        if isinstance(error, exceptions.AuthorizationError):
            return StoreError(f"{where}: the user lacks a right: {text}; allow it (ACL SETUSER)")
        if isinstance(error, _MOVED):
            return self._elsewhere(error)
        if isinstance(error, exceptions.BusyLoadingError) or text.startswith("BUSY "):
            return StoreUnreachableError(
                f"{where} reads its data, or makes a large transaction; wait until it has"
            )
        if isinstance(error, (exceptions.ConnectionError, OSError)):
            return self._no_connection(error)
        if text.startswith("OOM") or "OOM command not allowed" in text:
            return StoreFullError(f"{where} has no memory left; raise maxmemory of the server")
        if "MISCONF" in text:
            return StoreFullError(f"{where} cannot save to its disk: {text}; free some space there")
        return StoreError(f"{where} refuses: {text}; look at the server's log")

    def _elsewhere(self, error: Exception) -> StoreError:
        """Say that the keys are in another server."""
        where = self._url.shown
        if self._url.kind != "single":
            return StoreUnreachableError(
                f"{where}: another server has the keys now, or none ({error}); try again"
            )
        if isinstance(error, exceptions.ReadOnlyError):
            return StoreError(f"{where} is a replica; name the primary in the URL of `store`")
        return StoreError(f"{where} is in a cluster; write redis-cluster:// in the URL of `store`")

    def _no_connection(self, error: Exception) -> StoreError:
        """Say why there is no connection."""
        where = self._url.shown
        cause = error.__cause__
        while cause is not None and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ssl.SSLError):
            return StoreError(
                f"{where}: no secure connection: {cause}; correct ca, cert and key in the URL of "
                "`store`, or the server's certificate"
            )
        why = f"{error} ({cause})" if cause is not None and str(cause) else str(error)
        return StoreUnreachableError(
            f"{where} cannot be reached: {why}; start the server, or correct the URL of `store`"
        )


class _Connection(TCPConnection):
    """A connection that leaves nothing open behind; coredis forgets some streams when none is made."""

    def discard(self) -> None:
        """Close the streams that nobody will use any more."""
        for stream in (
            self._push_message_buffer_in,
            self._push_message_buffer_out,
            self._streamed_message_buffer_in,
            self._streamed_message_buffer_out,
            self._write_buffer_in,
            self._write_buffer_out,
        ):
            stream.close()


async def _ask_once(connection: _Connection, *words: str) -> Any:
    """Connect, ask, and close the connection again.

    Raises:
        RedisError: It did not work.
    """
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(_carry, connection)
            command, *rest = words
            answer = await connection.create_request(command.encode(), *rest, decode=False)
        except (exceptions.RedisError, OSError) as error:
            failure: Exception | None = error
            answer = None
        else:
            failure = None
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


class _Start:
    """Tells that a connection is made, and remembers it."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self.is_made = False
        self._status = status

    def started(self, value: None = None) -> None:
        """Be told by coredis."""
        self.is_made = True
        self._status.started(value)


async def _carry(
    connection: _Connection, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Keep a connection until it breaks.

    Raises:
        RedisError: It was not made; later errors reach who waits for an answer.
    """
    start = _Start(task_status)
    try:
        await connection.run(task_status=start)
    except exceptions.RedisError:
        if not start.is_made:
            raise
    finally:
        connection.discard()
