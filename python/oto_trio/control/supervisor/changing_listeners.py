"""Follows the entities that ask for listeners, and has the workers accept on what they ask for.

    follow          as long as the gateway runs
    ├─ reconcile    for each change: the workers let go of what is gone, it is closed; what goes other ways is told;
    │               what is new is opened once the workers know what becomes of its connections, and handed to them
    └─ let go, one a worker and listener    until the worker has let go of it, and closed its UDP sockets, however long that takes

To add a kind of entity that asks for listeners: a row in `WANTED_BY`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Final, Protocol

import msgspec
import trio

from oto_trio.control.store.base import Store
from oto_trio.control.supervisor.http_listeners import wanted_by_http_listener
from oto_trio.control.supervisor.listeners import ListenerSet, WantedListener
from oto_trio.control.supervisor.listening import Listener
from oto_trio.gateway.compile.tcp import tcp_address
from oto_trio.gateway.tcp_ports import read_tcp_service
from oto_trio.model.errors import EntityError, StoreError
from oto_trio.model.http_listener import HTTP_LISTENERS
from oto_trio.model.tcp_service import TCP_SERVICES

__all__ = ["KNOWN_S", "RETRY_S", "WANTED_BY", "ChangingListeners", "Hearer"]

logger = logging.getLogger(__name__)

RETRY_S: Final = 2.0
"""Seconds until an address that could not be opened is tried again."""

STORE_RETRY_S: Final = 0.5
"""Pause after the store could not be read."""

KNOWN_S: Final = 5.0
"""How long a worker is waited for to know what becomes of a listener's connections."""

RELEASE_S: Final = 1.0
"""How long workers may take to let go of a listener before it is closed; they are told all the same."""


def _by_tcp_service(document: bytes) -> tuple[WantedListener, ...]:
    address = tcp_address(read_tcp_service(document))
    if address is None:
        return ()
    return (WantedListener(address.name, address.host, address.port, is_tcp=True),)


_SETTINGS: Final = "settings"
"""What stands for a kind with listeners that no entity asks for."""

WANTED_BY: Final[Mapping[str, Callable[[bytes], tuple[WantedListener, ...]]]] = {
    HTTP_LISTENERS: wanted_by_http_listener,
    TCP_SERVICES: _by_tcp_service,
}
"""What entities of a kind ask for, by the store's name of the kind; they raise `EntityError`."""


class Hearer(Protocol):
    """A worker, as far as listeners go."""

    async def listen(self, listener: Listener) -> None:
        """Have it accept connections of a listener, unless it does."""
        ...

    async def retune(self, listener: Listener) -> None:
        """Tell it what clients may speak on a listener now, unless it does not have it."""
        ...

    async def wait_retuned(self) -> None:
        """Wait until all that it was told by `retune` is so, or it has ended."""
        ...

    async def unlisten(self, listener: Listener) -> None:
        """Have it accept what is queued and let go of a listener; returns once it has, or has ended."""
        ...

    async def wait_closed(self, listener: Listener) -> None:
        """Wait until it has closed the UDP sockets of a listener that it let go of, or has ended."""
        ...

    async def wait_known(self, revision: int) -> None:
        """Wait until a revision is live in it, or it has ended."""
        ...


class ChangingListeners:
    """Keeps the listeners in step with the store.

    Args:
        store: Holds the entities.
        listeners: The sockets.
        hearers: Returns the workers there are.
        on_change: Told whenever `settled` may have changed.
        given: What the settings ask for, by its id; wanted until they ask for something else, see `give`.
    """

    def __init__(
        self,
        store: Store,
        listeners: ListenerSet,
        hearers: Callable[[], Iterable[Hearer]],
        on_change: Callable[[], None],
        given: Mapping[str, tuple[WantedListener, ...]] | None = None,
    ) -> None:
        self._store = store
        self._listeners = listeners
        self._hearers = hearers
        self._on_change = on_change
        self._wanted = {(_SETTINGS, name): wanted for name, wanted in (given or {}).items()}
        self._reconciling = trio.Lock()
        self._waiting = trio.CancelScope()
        self._has_closed = False
        """A worker has closed sockets since the last try: their port may be free."""
        self._releasing: trio.Nursery | None = None
        self.settled = -1
        """The newest revision whose listeners are open or were tried, go their ways, and whose others are closed; -1
        before the first."""

    async def run(self) -> None:
        """Follow the store until cancelled, or until it is closed."""
        async with trio.open_nursery() as nursery:
            self._releasing = nursery
            try:
                await self._follow()
            finally:
                self._releasing = None
            nursery.cancel_scope.cancel()

    async def give(self, given: Mapping[str, tuple[WantedListener, ...]]) -> None:
        """Take over what the settings ask for now; returns once it is open or was tried, and the rest is closed.

        Args:
            given: What they ask for, by its id, in place of what they asked for before.
        """
        async with self._reconciling:
            for key in [key for key in self._wanted if key[0] == _SETTINGS]:
                del self._wanted[key]
            self._wanted.update({(_SETTINGS, name): wanted for name, wanted in given.items()})
            if self._releasing is None:
                return  # it has not begun, or the gateway drains
            await self._reconcile(self.settled)
            if self._listeners.failures:
                # Whoever waits for the next change has to wake for the next try.
                due = trio.current_time() + RETRY_S
                self._waiting.deadline = min(self._waiting.deadline, due)

    async def _follow(self) -> None:
        """Act on each change of the store until it is closed."""
        with self._store.watch() as changes:
            revision = await self._read()
            async with self._reconciling:
                await self._reconcile(revision)
            self._settle(revision)
            while True:
                retry_s = float("inf")
                if self._listeners.failures:
                    retry_s = 0.0 if self._has_closed else RETRY_S
                batch = None
                with trio.move_on_after(retry_s) as self._waiting:
                    try:
                        batch = await changes.__anext__()
                    except StopAsyncIteration:
                        return
                if batch is None:
                    async with self._reconciling:
                        await self._reconcile(revision)
                    continue
                if batch.revision <= revision:
                    continue
                revision = batch.revision
                async with self._reconciling:
                    noted = [
                        self._note(change.kind, change.id, change.document)
                        for change in batch.changes
                        if change.kind in WANTED_BY
                    ]
                    if any(noted):
                        await self._reconcile(revision)
                self._settle(revision)

    def _settle(self, revision: int) -> None:
        self.settled = revision
        self._on_change()

    async def _read(self) -> int:
        """Read what is wanted from the store, again and again until it works; return its revision."""
        while True:
            try:
                snapshot = await self._store.snapshot(tuple(WANTED_BY))
            except StoreError as error:
                logger.error("listeners cannot be read yet: %s", error)
                await trio.sleep(STORE_RETRY_S)
            else:
                for record in snapshot.records:
                    self._note(record.kind, record.id, record.document)
                return snapshot.revision

    def _note(self, kind: str, entity_id: str, document: bytes | None) -> bool:
        """Take one entity over, and tell whether anything else is wanted now."""
        before = self._wanted.pop((kind, entity_id), ())
        wanted: tuple[WantedListener, ...] = ()
        if document is not None:
            try:
                wanted = WANTED_BY[kind](document)
            except (EntityError, msgspec.DecodeError) as error:
                logger.error("%s %s opens no port: %s", kind, entity_id, error)
        if wanted:
            self._wanted[kind, entity_id] = wanted
        return wanted != before

    async def _reconcile(self, revision: int) -> None:
        """Open and close what differs."""
        self._has_closed = False
        wanted = chain.from_iterable(self._wanted.values())
        changes = self._listeners.compare(wanted)
        if changes.gone:
            await self._release(changes.gone)
        retuned = [self._listeners.retune(wanted) for wanted in changes.changed]
        tried = [self._listeners.open(wanted) for wanted in changes.missing]
        opened = [listener for listener in tried if listener is not None]
        if opened or retuned:
            async with trio.open_nursery() as nursery:
                for worker in self._hearers():
                    nursery.start_soon(self._hand, worker, opened, retuned, revision)

    async def _release(self, gone: Iterable[Listener]) -> None:
        """Have the workers let go of listeners, for some time, and close them.

        A worker that has no time for it now, because it installs a hundred thousand routes, keeps the port open
        until it has: so the order outlives the waiting. It ends with the worker, which is ended when it hangs.
        """
        assert self._releasing is not None, "`run` opened it"
        releases: list[trio.Event] = []
        for worker in self._hearers():
            for listener in gone:
                is_released = trio.Event()
                releases.append(is_released)
                self._releasing.start_soon(self._let_go, worker, listener, is_released)
        with trio.move_on_after(RELEASE_S):
            for is_released in releases:
                await is_released.wait()
        for listener in gone:
            self._listeners.close(listener)

    async def _let_go(self, worker: Hearer, listener: Listener, is_released: trio.Event) -> None:
        """Have one worker let go of a listener; once its last connections have, what wants its port is tried again."""
        await worker.unlisten(listener)
        is_released.set()
        if listener.is_datagrams:
            await worker.wait_closed(listener)
            self._has_closed = True
            if self._listeners.failures:
                self._waiting.cancel()

    async def _hand(
        self, worker: Hearer, opened: list[Listener], retuned: list[Listener], revision: int
    ) -> None:
        """Hand listeners to a worker once it knows what becomes of their connections."""
        with trio.move_on_after(KNOWN_S):
            await worker.wait_known(revision)
        for listener in retuned:
            await worker.retune(listener)
        for listener in opened:
            await worker.listen(listener)
        # It was told; one that has no time for it is waited for no longer.
        with trio.move_on_after(KNOWN_S):
            await worker.wait_retuned()
