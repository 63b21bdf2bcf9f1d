"""Requests to a Cassandra cluster. All of this blocks, and runs in worker threads of one limiter.

The client keeps threads and connections of its own. Nothing of ours is called from them: a request is made
and waited for in a worker thread, so no callback ever meets Trio.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from oto_trio.model.errors import StoreClosedError, StoreError, StoreFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from oto_trio.control.store.cassandra_url import CassandraUrl

__all__ = ["UNSURE", "Answer", "CassandraLink", "Question", "Talk"]

T = TypeVar("T")

Question = tuple[str, tuple[Any, ...]]
"""A statement of CQL, one of fixed texts, and the values for its question marks."""

Answer = list[tuple[Any, ...]]
"""Rows."""

THREADS: Final = 6
"""Requests, or series of requests, that are under way at once; more wait."""

TOGETHER: Final = 48
"""Requests of one series that are on their way at once."""

CONNECT_TIMEOUT_S: Final = 5.0

HEARTBEAT_S: Final = 5.0
"""How often an idle connection is tried, and how long it may leave that unanswered."""

OLDEST_SERVER: Final = (4, 0)
"""The first whose serial reads tell for good what became of a conditional write."""


def _part(module: str) -> Any:
    """Import a part of the client, which is an extra and has no types.

    Raises:
        ImportError: It is not there, or finds no event loop.
    """
    try:
        return importlib.import_module(f"cassandra{module}")
    except Exception as error:
        if isinstance(error, ImportError):
            raise
        raise ImportError(str(error)) from error


_client: Final = _part("")
_cluster: Final = _part(".cluster")
_policies: Final = _part(".policies")
_query: Final = _part(".query")
_auth: Final = _part(".auth")
_connection: Final = _part(".connection")
_protocol: Final = _part(".protocol")

# What goes wrong comes to us as exceptions, and is said in words of ours; the client logs it with tracebacks too.
logging.getLogger("cassandra").setLevel(logging.CRITICAL)

_Errors = tuple[type[Exception], ...]
_AWAY: Final[_Errors] = (_cluster.NoHostAvailable, _connection.ConnectionException)
_LATE: Final[_Errors] = (
    *(_client.OperationTimedOut, _client.Timeout, _client.CoordinationFailure),
    _client.Unavailable,
)
_ERRORS: Final[_Errors] = (
    *(*_AWAY, _client.DriverException),
    _protocol.ErrorMessage,
)

UNSURE: Final[_Errors] = (*_AWAY, *_LATE)
"""Errors after which nobody knows whether something was done, or will be."""


@contextmanager
def store_errors(shown: str) -> Generator[None]:
    """Turn the client's errors into ours, naming the store and the fix."""
    try:
        yield
    except _ERRORS as error:
        raise _translated(error, shown) from error


def _translated(error: BaseException, shown: str) -> StoreError:
    """Say in our words what the client and the servers say. Neither repeats a password."""
    if isinstance(error, _cluster.NoHostAvailable):
        found = getattr(error, "errors", None)  # errors by host, or hosts that were left out
        causes: list[Any] = [*found.values()] if isinstance(found, dict) else []
        refused = [cause for cause in causes if isinstance(cause, _client.AuthenticationFailed)]
        if refused:
            return StoreError(
                f"{shown}: the server refuses the user or the password ({_said(refused[0])}); "
                "write them into the URL"
            )
        causes = [each for each in causes if not isinstance(each, _connection.ConnectionException)]
        if causes and isinstance(causes[0], _client.DriverException):
            return _translated(causes[0], shown)
        said = "; ".join(sorted({_said(cause) for cause in causes})) or "no connection"
        return StoreError(
            f"no server of {shown} can be reached ({said}); check that one runs, and the hosts, the "
            "datacenter and TLS in the URL"
        )
    if isinstance(error, _client.Unavailable):
        return StoreError(
            f"{shown}: too few servers have the data ({_said(error)}); start those that are down"
        )
    if isinstance(error, _client.Unauthorized):
        return StoreError(
            f"{shown}: the user lacks a right ({_said(error)}); grant it CREATE, SELECT and MODIFY "
            "on the keyspace"
        )
    if isinstance(error, (*_LATE, _connection.ConnectionException)):
        return StoreError(
            f"{shown}: the servers did not answer in time ({_said(error)}); look at their load"
        )
    return StoreError(f"{shown}: the server failed: {_said(error)} ({type(error).__name__})")


def _said(error: BaseException) -> str:
    """Return the words of an error, on one line and not too many."""
    return " ".join(str(error).split())[:300] or type(error).__name__


class Talk:
    """A session with a cluster, in the keyspace of the store.

    Any number of threads may use one.

    Args:
        session: The client's.
        serial: The level that conditional writes are decided on, and read at.
    """

    def __init__(self, session: Any, serial: int) -> None:
        self._session = session
        self._serial = serial
        self._prepared: dict[str, Any] = {}

    def define(self, statement: str) -> None:
        """Do something that changes the schema, and wait until all servers know."""
        self._session.execute(statement, timeout=60.0)

    def _bound(self, question: Question) -> Any:
        text, values = question
        prepared = self._prepared.get(text)
        if prepared is None:
            prepared = self._prepared[text] = self._session.prepare(text)
        bound = prepared.bind(values)
        bound.is_idempotent = True
        return bound

    def ask(self, text: str, *values: Any) -> Answer:
        """Ask a quorum, or write to one."""
        return [*self._session.execute(self._bound((text, values)))]

    def ask_serial(self, text: str, *values: Any) -> Answer:
        """Ask for rows of one partition, after deciding what is under way there."""
        bound = self._bound((text, values))
        bound.consistency_level = self._serial
        return [*self._session.execute(bound)]

    def ask_all(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """Ask many questions, several at once; give the answers in their order."""
        return self._all(self._bound(question) for question in questions)

    def _all(self, statements: Iterable[Any]) -> Iterator[Answer]:
        waiting: deque[Any] = deque()
        for statement in statements:
            waiting.append(self._session.execute_async(statement))
            if len(waiting) >= TOGETHER:
                yield [*waiting.popleft().result()]
        while waiting:
            yield [*waiting.popleft().result()]

    def write_all(self, questions: Iterable[Question]) -> None:
        """Write many rows, several at once."""
        for _ in self.ask_all(questions):
            pass

    def write_batches(self, batches: Iterable[Sequence[Question]]) -> None:
        """Write rows, several batches at once; those of a batch are of one partition, and all or none."""
        for _ in self._all(self._batch(questions) for questions in batches):
            pass

    def write_together(self, questions: Sequence[Question]) -> None:
        """Write rows of one partition, all or none."""
        self._session.execute(self._batch(questions))

    def decide(self, questions: Sequence[Question]) -> bool:
        """Write rows of one partition, all or none, on a condition that is among them.

        Returns:
            Whether the condition held. It may be this very write, made before, that ended it.
        """
        applied: bool = self._session.execute(self._batch(questions)).was_applied
        return applied

    def _batch(self, questions: Sequence[Question]) -> Any:
        batch = _query.BatchStatement(batch_type=_query.BatchType.UNLOGGED)
        for question in questions:
            batch.add(self._bound(question))
        return batch


class CassandraLink:
    """The connections to a cluster, made when they are first needed, and anew when all were lost.

    Args:
        url: Where it is.
    """

    def __init__(self, url: CassandraUrl) -> None:
        self.url = url
        self.limiter = trio.CapacityLimiter(THREADS)
        self._lock = threading.Lock()
        self._cluster: Any = None
        self._talk: Talk | None = None
        self._closed = False

    async def run(self, work: Callable[[Talk], T]) -> T:
        """Do something in a worker thread; once more, with new connections, when all old ones are lost.

        Args:
            work: What to do; doing it twice must be doing it once.

        Raises:
            StoreClosedError: The link was closed.
            StoreError: It did not work; the message names the servers and the fix.

        Cancellation: checked before the thread starts; what it does is always finished, which the
        timeouts bound.
        """
        return await trio.to_thread.run_sync(
            self._run, work, limiter=self.limiter, thread_name="oto-trio cassandra"
        )

    def _run(self, work: Callable[[Talk], T]) -> T:
        with store_errors(self.url.shown):
            known = self._talk
            talk = self.connect()
            try:
                return work(talk)
            except _AWAY:
                self.check_open()
                if talk is not known:
                    raise
            return work(self.reconnect(talk))

    def check_open(self) -> None:
        """Raise `StoreClosedError` when the link was closed."""
        if self._closed:
            raise StoreClosedError(f"the store {self.url.shown} is closed")

    def connect(self) -> Talk:
        """Return the session, made anew when there is none. In a thread only."""
        with self._lock:
            self.check_open()
            if self._talk is None:
                self._talk = self._made()
            return self._talk

    def reconnect(self, lost: Talk) -> Talk:
        """Return another session than one that is lost. In a thread only."""
        with self._lock:
            if self._talk is lost:
                self._drop()
        return self.connect()

    def renew(self, talk: Talk, error: Exception) -> Talk:
        """Return the session to go on with after an error. In a thread only."""
        return self.reconnect(talk) if isinstance(error, _AWAY) else talk

    def _drop(self) -> None:
        """Close what there is. The caller holds the lock."""
        cluster, self._cluster, self._talk = self._cluster, None, None
        if cluster is not None:
            cluster.shutdown()

    def _made(self) -> Talk:
        """Connect. The caller holds the lock."""
        url = self.url
        level, serial = _client.ConsistencyLevel.QUORUM, _client.ConsistencyLevel.SERIAL
        if url.is_local:
            level = _client.ConsistencyLevel.LOCAL_QUORUM
            serial = _client.ConsistencyLevel.LOCAL_SERIAL
        profile = _cluster.ExecutionProfile(
            load_balancing_policy=_policies.DCAwareRoundRobinPolicy(url.datacenter or ""),
            consistency_level=level,
            serial_consistency_level=serial,
            request_timeout=url.timeout_s,
            row_factory=_query.tuple_factory,
        )
        try:
            context = url.tls_context()
        except OSError as error:
            raise StoreFileError(
                f"{url.shown}: a file of ca, cert and key cannot be used ({error}); correct the URL"
            ) from error
        self._cluster = _cluster.Cluster(
            url.hosts,
            auth_provider=url.username and _auth.PlainTextAuthProvider(url.username, url.password),
            ssl_context=context,
            protocol_version=4,
            execution_profiles={_cluster.EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=_policies.ConstantReconnectionPolicy(1.0, None),
            connect_timeout=CONNECT_TIMEOUT_S,
            control_connection_timeout=CONNECT_TIMEOUT_S,
            idle_heartbeat_interval=HEARTBEAT_S,
            idle_heartbeat_timeout=HEARTBEAT_S,
            schema_metadata_enabled=False,
            token_metadata_enabled=False,
        )
        try:
            session = self._cluster.connect()
            _check_version(session, url.shown)
            _enter_keyspace(session, url)
        except BaseException:
            self._drop()
            raise
        return Talk(session, serial)

    async def aclose(self) -> None:
        """Close for good; what is under way fails. Closing again does nothing.

        Cancellation: checked before the thread starts.
        """
        self._closed = True

        def close() -> None:
            with self._lock, suppress(*_ERRORS):
                self._drop()

        # A limiter of its own: threads that wait for servers must not keep it from ending them.
        await trio.to_thread.run_sync(
            close, limiter=trio.CapacityLimiter(1), thread_name="oto-trio cassandra close"
        )


def _check_version(session: Any, shown: str) -> None:
    """Refuse servers that are too old."""
    (row,) = session.execute("SELECT release_version FROM system.local")
    version = str(row[0])
    numbers = tuple(
        int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:2] if part.isdigit()
    )
    if numbers < OLDEST_SERVER:
        raise StoreFileError(f"{shown} is Cassandra {version}; upgrade it to 4.0 or newer")


def _enter_keyspace(session: Any, url: CassandraUrl) -> None:
    """Use the keyspace, and make it when it is missing. Its parts were checked: nothing needs quotes."""
    found = session.execute(
        "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s", [url.keyspace]
    )
    if not [*found]:
        replication = f"'class': 'SimpleStrategy', 'replication_factor': {url.factor}"
        if url.replication:
            datacenters = ", ".join(f"'{name}': {count}" for name, count in url.replication)
            replication = f"'class': 'NetworkTopologyStrategy', {datacenters}"
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {url.keyspace} WITH replication = {{{replication}}} "
            f"AND durable_writes = {str(url.has_durable_writes).lower()}",
            timeout=60.0,
        )
    session.set_keyspace(url.keyspace)
