"""Which listening sockets a worker has, and on which of them it accepts.

It is born with those that there were when it was started. Later ones come through the handover socket, one stream of
descriptors beside the link, and may be taken away again.
"""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from oto_trio.gateway.engine import Clock, Event
from oto_trio.gateway.frames import (
    HANDOVER_BYTES,
    InheritedListener,
    Listen,
    ListenerWays,
    Retune,
    Start,
)
from oto_trio.gateway.listener_frames import SocketsClosed
from oto_trio.gateway.loading import HTTP3_LISTENERS, load

__all__ = ["Adopting", "AdoptingEngine", "DatagramServer"]


class AdoptingEngine(Protocol):
    """What is needed of an engine."""

    def adopt(
        self,
        fd: int,
        listener: str,
        secured: bool,  # noqa: FBT001 (as the compiled module has it)
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT001, FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        /,
    ) -> int:
        """See `Engine.adopt`."""
        ...

    def retune(
        self,
        handle: int,
        secured: bool,  # noqa: FBT001 (as the compiled module has it)
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT001, FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as the compiled module has it)
        /,
    ) -> None:
        """See `Engine.retune`."""
        ...

    def log_access(self, listeners: set[str], /) -> None:
        """See `Engine.log_access`."""
        ...

    def adopt_tcp(self, fd: int, listener: str, /) -> int:
        """See `Engine.adopt_tcp`."""
        ...

    def release(self, handle: int, now: float, tunnels_s: float, /) -> list[Event]:
        """See `Engine.release`."""
        ...


class DatagramServer(Protocol):
    """What takes the UDP sockets."""

    def listen(
        self,
        sock: socket.socket,
        name: str,
        *,
        exclusive: bool = False,
        client_auth: str = "Dynamic",
    ) -> Any:
        """See `Http3Server.listen`."""
        ...

    def retune(self, path: Any, *, exclusive: bool, client_auth: str) -> None:
        """See `Http3Server.retune`."""
        ...

    def unlisten(
        self, path: Any, *, tunnels_s: float, on_closed: Callable[[], None]
    ) -> list[Event]:
        """See `Http3Server.unlisten`."""
        ...


class Adopting:
    """The listening sockets of a worker, which owns their descriptors.

    Args:
        start: Names those that it inherited, and the handover socket.
        engine: Accepts on them.
        clock: Reads the Trio clock.
    """

    def __init__(self, start: Start, engine: AdoptingEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._tunnels_s = start.drain_timeout_s
        self._listeners = list(start.listeners)
        self._slots: set[int] = set()
        self._handles: dict[int, list[int]] = {}
        self.make_datagrams: Callable[[], DatagramServer] | None = None
        """Makes what takes the UDP sockets, with the first of them: most workers never see one."""
        self._datagrams: DatagramServer | None = None
        self._paths: dict[int, list[Any]] = {}
        self._closing: dict[int, int] = {}
        """How many UDP sockets of listeners that were let go of are open, by their tokens."""
        self.report: Callable[[SocketsClosed], object] = lambda _: None
        """Told when the last UDP socket of a listener that was let go of is closed."""
        self._handover: socket.socket | None = None
        if start.handover >= 0:
            self._handover = socket.socket(fileno=start.handover)
            self._handover.settimeout(0)
        self._log_access()

    @property
    def slots(self) -> frozenset[int]:
        """The slots whose connections are accepted."""
        return frozenset(self._slots)

    @property
    def http3(self) -> dict[str, ListenerWays]:
        """What clients may speak on the listeners that take HTTP/3, by their names."""
        return {it.name: it.ways for it in self._listeners if it.is_datagrams}

    def adopt(self, slot: int) -> None:
        """Accept the connections that the kernel queues for a slot."""
        if slot in self._slots:
            return
        self._slots.add(slot)
        for listener in self._listeners:
            if listener.slot == slot:
                self._accept_on(listener)

    async def prepare(self, order: Listen) -> None:
        """Load what a listener takes, before `take`: in a thread, as requests go on meanwhile.

        Cancellation: waits until it is loaded.
        """
        if order.is_datagrams and self._datagrams is None:
            await load([HTTP3_LISTENERS])

    def take(self, order: Listen) -> None:
        """Take the sockets of one more listener, and accept on those of the slots that are served.

        Raises:
            OSError: Some are not there, or cannot be accepted on; those of the next order are all the same.
        """
        if self._handover is None:
            return
        # All are taken before any is used: what were left in the stream would be taken for the next listener's.
        taken: list[InheritedListener] = []
        for slot in range(order.slots):
            _, descriptors, _, _ = socket.recv_fds(self._handover, HANDOVER_BYTES, 1)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # noqa: FBT003 (its only parameter)
                taken.append(
                    InheritedListener(
                        descriptor,
                        order.name,
                        order.ways,
                        slot,
                        order.is_tcp,
                        order.token,
                        order.is_datagrams,
                    )
                )
        self._listeners += taken
        self._log_access()
        for listener in taken:
            if listener.slot in self._slots:
                self._accept_on(listener)
        if len(taken) < order.slots:
            # The kernel drops them silently when the process may open no more.
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def retune(self, order: Retune) -> None:
        """Have the connections that a listener accepts from now on go other ways.

        Raises:
            OSError: Its sockets cannot be watched again: nothing is accepted on them.
        """
        for at, listener in enumerate(self._listeners):
            if listener.token == order.token:
                self._listeners[at] = msgspec.structs.replace(listener, ways=order.ways)
        self._log_access()
        for handle in self._handles.get(order.token, []):
            self._engine.retune(handle, *_positional(order.ways))
        for path in self._paths.get(order.token, []):
            assert self._datagrams is not None, "it gave the path"
            ways = order.ways
            self._datagrams.retune(path, exclusive=ways.exclusive, client_auth=ways.client_auth)

    def drop(self, token: int, settle: Callable[[list[Event], float], None]) -> str | None:
        """Accept what is queued on a listener, and let go of it; its tunnels end with the drain time-out.

        Args:
            token: Names it.
            settle: Acts on what that raised, given the time.

        Returns:
            The name of the listener, when it takes HTTP over TCP: its connections are to end when they have their
            answers. Those of HTTP/3 were told so.
        """
        for handle in self._handles.pop(token, []):
            now = self._clock()
            settle(self._engine.release(handle, now, self._tunnels_s), now)
        paths = self._paths.pop(token, [])
        self._closing[token] = len(paths) + 1  # and what is inherited
        for path in paths:
            assert self._datagrams is not None, "it gave the path"
            closed = partial(self._closed, token)
            events = self._datagrams.unlisten(path, tunnels_s=self._tunnels_s, on_closed=closed)
            settle(events, self._clock())
        name = None
        for listener in [it for it in self._listeners if it.token == token]:
            self._listeners.remove(listener)
            os.close(listener.fd)
            name = None if listener.is_tcp or listener.is_datagrams else listener.name
        self._closed(token)
        return name

    def _closed(self, token: int) -> None:
        """Note that one more of the sockets that were let go of is closed."""
        self._closing[token] -= 1
        if not self._closing[token]:
            del self._closing[token]
            self.report(SocketsClosed(token))

    def close(self) -> None:
        """Close every socket. Idempotent."""
        for listener in self._listeners:
            with suppress(OSError):
                os.close(listener.fd)
        self._listeners = []
        if self._handover is not None:
            self._handover.close()

    def _log_access(self) -> None:
        """Have the requests of listeners with an access log told."""
        self._engine.log_access({it.name for it in self._listeners if it.ways.access_log})

    def _accept_on(self, listener: InheritedListener) -> None:
        if listener.is_datagrams:
            if self._datagrams is None:
                assert self.make_datagrams is not None, (
                    "sockets are adopted once everything is made"
                )
                self._datagrams = self.make_datagrams()
            sock = socket.socket(fileno=os.dup(listener.fd))
            path = self._datagrams.listen(
                sock,
                listener.name,
                exclusive=listener.ways.exclusive,
                client_auth=listener.ways.client_auth,
            )
            self._paths.setdefault(listener.token, []).append(path)
            return
        if listener.is_tcp:
            handle = self._engine.adopt_tcp(listener.fd, listener.name)
        else:
            handle = self._engine.adopt(listener.fd, listener.name, *_positional(listener.ways))
        self._handles.setdefault(listener.token, []).append(handle)


def _positional(ways: ListenerWays) -> tuple[bool, str, bool, bool, bool]:
    """Return what the engine takes, in its order."""
    return ways.secured, ways.client_auth, ways.http2, ways.http1, ways.exclusive
