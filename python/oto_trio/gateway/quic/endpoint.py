"""All QUIC connections of a worker: their sockets, timers and tasks.

Theory of operation
    A task a socket waits until it is readable and reads a batch. Each datagram is given to its connection by the
    identifier that it names; what a connection makes of it goes to its owner, which writes to streams. When the batch is
    through, `settle` lets others act on it (a worker turns its engine), and then every connection that was
    touched sends what it has. One task more waits for the next deadline. Connections have no task.

    Times are arguments; the tasks read the clock they were given.

Place in the path
    Servers give an `Acceptor`, which decides about datagrams of unknown connections. Clients call `connect`. One endpoint may
    be both.
"""

import logging
import math
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import trio
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionIdRetired, QuicEvent

from oto_trio.gateway.quic.connection import CID_BYTES, PREFIX_BYTES, QuicState
from oto_trio.gateway.quic.forwarding import Forwarder
from oto_trio.gateway.quic.handshake import LaterError
from oto_trio.gateway.quic.limits import QuicLimits
from oto_trio.gateway.quic.resets import Resets
from oto_trio.gateway.quic.secrets import QuicSecrets
from oto_trio.gateway.quic.sockets import Address, Datagrams
from oto_trio.gateway.quic.timers import Timers

if TYPE_CHECKING:
    from oto_trio.gateway.quic.accepting import Acceptor

__all__ = ["QuicEndpoint", "QuicLink", "QuicOwner"]

logger = logging.getLogger(__name__)

LONG_HEADER: Final = 0x80
SHORTEST_S: Final = 0.0002
"""No deadline is nearer: one that the library sets into the past would have its task turn for nothing."""
TURN_S: Final = 0.002
"""When a batch took so long, others have their turn before the rest of it: a datagram may be cheap, or full of frames."""
INTERNAL_ERROR: Final = 0x1
HANDSHAKE_TIMEOUT: Final = 0x2
"""CONNECTION_REFUSED: the handshake took too long, or there is no room."""


class QuicOwner(Protocol):
    """Who a connection belongs to. No method blocks."""

    def quic_event(self, event: QuicEvent, now: float) -> None:
        """Act on something that happened on the connection."""
        ...

    def quic_lost(self, now: float) -> None:
        """The connection ends, by either side or by its deadline: nothing comes or goes any more. Told once."""
        ...


class QuicLink:
    """One connection and its place in an endpoint.

    Args:
        endpoint: Has the connection.
        state: Its state; owners write to its streams, and call `touch` or `transmit` then.
        path: The socket that its datagrams come to.
        due_handshake: When the handshake has to be done.
    """

    __slots__ = (
        "_endpoint",
        "_is_lost",
        "due",
        "due_handshake",
        "known",
        "on_sent",
        "owner",
        "path",
        "queued",
        "state",
    )

    def __init__(
        self, endpoint: "QuicEndpoint", state: QuicState, path: Datagrams, due_handshake: float
    ) -> None:
        self._endpoint = endpoint
        self._is_lost = False
        self.state = state
        self.path = path
        self.owner: QuicOwner | None = None
        self.on_sent: Callable[[float], None] | None = None
        """Called with the time when packets may have gone out, for whoever waits for that."""
        self.due = math.inf
        self.queued = math.inf
        self.due_handshake = due_handshake
        self.known: set[bytes] = set()
        """The identifiers under which the endpoint finds it."""

    @property
    def peer(self) -> Address:
        """Where the other side is, as far as is known; it may change."""
        address = self.state.get_peer_address()
        return tuple(address) if address is not None else ("0.0.0.0", 0)  # noqa: S104 (nowhere)

    def touch(self) -> None:
        """Have the connection send at the end of this batch."""
        self._endpoint.touched.add(self)

    def transmit(self, now: float) -> None:
        """Send what there is to send, as far as congestion lets it out, and set the timer. Never raises."""
        self._endpoint.touched.discard(self)
        state = self.state
        try:
            if state.has_path and not state.is_over:
                while state.fresh_identifiers:
                    made = state.fresh_identifiers.pop()
                    if made in state.identifiers:  # and not retired already, which was told before
                        self._endpoint.know(self, made)
                datagrams = state.datagrams_to_send(now)
                if datagrams:
                    self.path.send(datagrams)
            due = state.get_timer() if not state.is_over else None
        except Exception:
            logger.exception("a QUIC connection failed")
            self._endpoint.forget(self, now)
            return
        self.due = math.inf if due is None else max(due, now + SHORTEST_S)
        if not state.is_established and not state.is_closing:
            self.due = min(self.due, self.due_handshake)
        self._endpoint.note_due(self, now)

    def close(self, code: int, reason: str, now: float) -> None:
        """Say CONNECTION_CLOSE with a code of the application's. Idempotent.

        Args:
            code: Of the application's protocol.
            reason: For whoever reads traces.
            now: The Trio clock.
        """
        self.state.close(error_code=code, reason_phrase=reason)
        self.touch()
        self.tell_lost(now)

    def tell_lost(self, now: float) -> None:
        """Tell the owner, once, that the connection ends. Never raises."""
        if not self._is_lost:
            self._is_lost = True
            if self.owner is not None:
                try:
                    self.owner.quic_lost(now)
                except Exception:
                    # The connection is gone all the same, and the others stay.
                    logger.exception("the end of a QUIC connection failed")


class QuicEndpoint:
    """The connections of a worker.

    Args:
        clock: Reads the Trio clock.
        limits: The bounds.
        acceptor: Decides about connections that others begin; None for a client.
        settle: Called with the time after each batch, before anything is sent: lets others act on what came.
        secrets: What the workers of a gateway share, to forward datagrams to each other, and to tell clients of
            one that crashed; None when there is nothing to share.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: QuicLimits | None = None,
        *,
        acceptor: "Acceptor | None" = None,
        settle: Callable[[float], None] | None = None,
        secrets: QuicSecrets | None = None,
    ) -> None:
        self.limits = limits or QuicLimits()
        self.prefix = os.urandom(PREFIX_BYTES)
        self.links: set[QuicLink] = set()
        self.touched: set[QuicLink] = set()
        self._opening: set[QuicLink] = set()
        self._acceptor = acceptor
        self._clock = clock
        self._settle = settle
        self._by_cid: dict[bytes, QuicLink] = {}
        self._timers: Timers[QuicLink] = Timers()
        self._timer_scope: trio.CancelScope | None = None
        self._readers: dict[Datagrams, trio.CancelScope] = {}
        self._retired: dict[Datagrams, Callable[[], None]] = {}
        self._blocked: dict[Datagrams, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self.secrets = secrets
        """What the workers of the gateway share."""
        self._forwarder: Forwarder | None = None
        self._resets: Resets | None = None
        if secrets is not None:
            try:
                self._forwarder = Forwarder(secrets.group, self.prefix)
                self._resets = Resets(secrets, self.limits.resets, self.limits.resets_per_s)
            except OSError as error:
                logger.warning("QUIC connections stay on their first address: %s", error)

    @property
    def handshakes(self) -> int:
        """How many connections have not ended their handshake."""
        return len(self._opening)

    @property
    def is_forwarded_to(self) -> bool:
        """Whether other workers can forward datagrams to this one."""
        return self._forwarder is not None

    # --------------------------------------------------------------------------------- sockets

    def add(self, sock: socket.socket) -> Datagrams:
        """Read and write on one more socket, which is the endpoint's from here on."""
        path = Datagrams(sock, self.limits.waiting_datagrams)
        self._readers[path] = scope = trio.CancelScope()
        if self._nursery is not None:
            self._nursery.start_soon(self._read, path, scope)
        return path

    def stop_reading(self, path: Datagrams) -> None:
        """Leave the datagrams of a socket to others; what its connections send goes out on it still."""
        self._readers[path].cancel()

    def drop(self, path: Datagrams) -> None:
        """Close a socket that no connection needs any more."""
        scope = self._readers.pop(path, None)
        if scope is not None:
            scope.cancel()
            self._close(path)

    def retire(self, path: Datagrams, on_closed: Callable[[], None] = lambda: None) -> None:
        """Begin no connections on a socket any more, and close it when those on it have ended; that is told."""
        if self._acceptor is not None:
            self._acceptor.retired.add(path)
        self._retired[path] = on_closed
        self._close_unused(path)

    def _close_unused(self, path: Datagrams) -> None:
        if path not in self._retired or any(it.path is path for it in self.links):
            return
        on_closed = self._retired.pop(path)
        if self._acceptor is not None:
            self._acceptor.retired.discard(path)
        self._readers.pop(path).cancel()
        self._close(path)
        on_closed()

    def _close(self, path: Datagrams) -> None:
        """Close a socket, for which nobody may go on waiting: its number is soon another's."""
        blocked = self._blocked.get(path)
        if blocked is not None:
            blocked.cancel()
        path.close()

    def stop_all_reading(self) -> None:
        """The same for every socket; what other workers forward is still heard."""
        for path in self._readers:
            self.stop_reading(path)

    def close(self) -> None:
        """Close every socket. Idempotent."""
        for path, scope in self._readers.items():
            scope.cancel()
            self._close(path)
        if self._forwarder is not None:
            self._forwarder.close()

    async def run(self) -> None:
        """Read, and keep time, until cancelled.

        Cancellation: between two batches. The sockets stay open: see `close`.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._keep_time)
            if self._forwarder is not None:
                nursery.start_soon(self._read_forwarded, self._forwarder)
            for path, scope in self._readers.items():
                nursery.start_soon(self._read, path, scope)

    async def _read(self, path: Datagrams, scope: trio.CancelScope) -> None:
        with scope:
            await trio.lowlevel.checkpoint()  # it may have been closed before it began
            while not path.is_closed:
                await trio.lowlevel.wait_readable(path.sock)
                now = self._clock()
                for address, runs in path.gather(self.limits.batch):
                    left: list[tuple[bytes, int]] | None = runs
                    while left and not path.is_closed:
                        left = self.receive_runs(left, address, path, now)
                        if left or self._clock() - now > TURN_S:
                            self.settle(now)
                            # What was read is nobody else's any more, whoever stops the reading meanwhile.
                            await trio.lowlevel.cancel_shielded_checkpoint()
                            now = self._clock()
                self.settle(now)

    async def _read_forwarded(self, forwarder: Forwarder) -> None:
        while not forwarder.is_closed:
            await trio.lowlevel.wait_readable(forwarder.sock)
            now = self._clock()
            for data, address in forwarder.read(self.limits.batch):
                link = self._by_cid.get(_destination(data))
                if link is not None:
                    self._give(link, data, address, now)
            self.settle(now)

    async def _write_waiting(self, path: Datagrams, scope: trio.CancelScope) -> None:
        try:
            with scope:
                while path.waits and not path.is_closed:
                    await trio.lowlevel.wait_writable(path.sock)
                    path.flush()
        finally:
            self._blocked.pop(path, None)

    async def _keep_time(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._timers.next_due(self.links)) as scope:
                self._timer_scope = scope
                await trio.sleep_forever()
            self.expire(self._clock())

    # ----------------------------------------------------------------------------- connections

    def connect(
        self, configuration: QuicConfiguration, path: Datagrams, address: Address, now: float
    ) -> QuicLink:
        """Begin a connection; its owner is to be set before anything else happens.

        Args:
            configuration: aioquic's, for a client.
            path: The socket to use.
            address: The server's.
            now: The Trio clock.

        The handshake is under way when this returns, and done with the event `HandshakeCompleted`.
        """
        state = QuicState(configuration, self.limits, self.prefix)
        link = self.enter(state, path, now)
        state.connect(address, now)
        link.touch()
        return link

    def enter(self, state: QuicState, path: Datagrams, now: float) -> QuicLink:
        """Give a connection its place."""
        link = QuicLink(self, state, path, now + self.limits.handshake_s)
        self.links.add(link)
        self._opening.add(link)
        for cid in state.identifiers:
            self.know(link, cid)
        return link

    def make_identifier(self) -> bytes:
        """Return a connection identifier that leads to this worker."""
        return self.prefix + os.urandom(CID_BYTES - PREFIX_BYTES)

    def know(self, link: QuicLink, cid: bytes) -> None:
        """Find a connection under one more identifier."""
        link.known.add(cid)
        self._by_cid[cid] = link

    def forget(self, link: QuicLink, now: float) -> None:
        """Drop a connection without a word to the peer."""
        self.links.discard(link)
        self.touched.discard(link)
        self._opening.discard(link)
        for cid in link.known:
            self._by_cid.pop(cid, None)
        link.known.clear()
        link.due = math.inf
        link.tell_lost(now)
        self._close_unused(link.path)

    def receive_runs(
        self, runs: list[tuple[bytes, int]], address: Address, path: Datagrams, now: float
    ) -> list[tuple[bytes, int]]:
        """Give datagrams of one peer that came together to their connections; `settle` has to follow.

        Args:
            runs: Datagrams, one behind the other, with the length of each but the last, which may be shorter.
            address: The peer's.
            path: Where they came.
            now: The Trio clock.

        Returns:
            What is left of them, when others are to have their turn first: those that are not plain take long.
        """
        at = start = 0
        while at < len(runs):
            run, step = runs[at]
            link = self._by_cid.get(run[start + 1 : start + 1 + CID_BYTES])
            used = 0
            is_one = at + 1 == len(runs) and len(run) - start <= step
            if link is not None and link.path is path and not is_one:
                left = [(run[start:], step), *runs[at + 1 :]] if at or start else runs
                used = self._give_runs(link, left, address, now)
            if not used:
                data = run[start : start + step]
                self.receive(data, address, path, now)
                used = len(data)
            start += used
            while at < len(runs) and start >= len(runs[at][0]):
                start -= len(runs[at][0])
                at += 1
            if at < len(runs) and self._clock() - now > TURN_S:
                run, step = runs[at]
                return [(run[start:], step), *runs[at + 1 :]]
        return []

    def _give_runs(
        self, link: QuicLink, runs: list[tuple[bytes, int]], address: Address, now: float
    ) -> int:
        try:
            used = link.state.receive_runs(runs, address, now)
        except Exception:
            # As in `_give`.
            logger.exception("a QUIC connection failed")
            link.state.close(error_code=INTERNAL_ERROR, frame_type=0)
            used = min(len(runs[0][0]), runs[0][1])
        self.touched.add(link)
        return used

    def receive(self, data: bytes, address: Address, path: Datagrams, now: float) -> None:
        """Give a datagram to its connection; `settle` has to follow."""
        cid = _destination(data)
        link = self._by_cid.get(cid)
        if link is None:
            if not data or self._is_forwarded(cid, data, address):
                return
            if not data[0] & LONG_HEADER:
                self.stray(cid, data, address, path, now)
                return
            if self._acceptor is None:
                return
            link = self._acceptor.hear(self, data, address, path, now)
            if link is None:
                return
        # Who moved to a socket that is to close would keep it open; answers leave by the one that it had.
        if link.path is not path and path not in self._retired:
            left, link.path = link.path, path
            self._close_unused(left)
        self._give(link, data, address, now)

    def stray(self, cid: bytes, data: bytes, address: Address, path: Datagrams, now: float) -> None:
        """Act on a datagram of a connection that nobody has: its sender is told that it is gone.

        Without a forwarder nothing is said: another worker might have it still.
        """
        if self._acceptor is not None and self._resets is not None and len(cid) == CID_BYTES:
            answer = self._resets.answer(cid, data, now)
            if answer is not None:
                path.send([(answer, address)])

    def _is_forwarded(self, cid: bytes, data: bytes, address: Address) -> bool:
        """Whether a datagram belongs to another worker, which has it now."""
        if self._forwarder is None or len(cid) != CID_BYTES or cid.startswith(self.prefix):
            return False
        return self._forwarder.forward(cid[:PREFIX_BYTES], data, address)

    def _give(self, link: QuicLink, data: bytes, address: Address, now: float) -> None:
        state = link.state
        try:
            state.receive_datagram(data, address, now)
        except LaterError:
            self.forget(link, now)
            return
        except Exception:
            # A defect of the library must not take the worker's other connections with it.
            logger.exception("a QUIC connection failed")
            state.close(error_code=INTERNAL_ERROR, frame_type=0)
        if not state.is_begun and not state.configuration.is_client:
            self.forget(link, now)  # nothing of it was understood
            if self._acceptor is not None:
                self._acceptor.note_unread(self, now)
        else:
            self.touched.add(link)

    def settle(self, now: float) -> None:
        """Tell owners what happened, let others act on it, and send."""
        self.deliver(now)
        if self._settle is not None:
            self._settle(now)
        while self.touched:
            link = self.touched.pop()
            link.transmit(now)
            if link.on_sent is not None:
                self._tell_sent(link, now)
            state = link.state
            if state.is_established or state.is_closing:
                self._opening.discard(link)
            if state.is_over:
                self.forget(link, now)

    def _tell_sent(self, link: QuicLink, now: float) -> None:
        assert link.on_sent is not None, "the caller looked"
        try:
            link.on_sent(now)
        except Exception:
            logger.exception("a QUIC connection failed")
            link.close(INTERNAL_ERROR, "", now)

    def deliver(self, now: float) -> None:
        """Tell the owners of touched connections what happened on them. Never raises."""
        for link in list(self.touched):
            try:
                self._deliver(link, now)
            except Exception:
                logger.exception("a QUIC connection failed")
                link.close(INTERNAL_ERROR, "", now)

    def _deliver(self, link: QuicLink, now: float) -> None:
        state = link.state
        while (event := state.next_event()) is not None:
            if isinstance(event, ConnectionIdRetired):
                link.known.discard(event.connection_id)
                self._by_cid.pop(event.connection_id, None)
            elif link.owner is not None:
                link.owner.quic_event(event, now)
        if state.is_closing:
            link.tell_lost(now)

    def _check_path(self, path: Datagrams) -> None:
        """Have what a socket did not take go out when it takes more."""
        if path.waits and path not in self._blocked and self._nursery is not None:
            self._blocked[path] = scope = trio.CancelScope()
            self._nursery.start_soon(self._write_waiting, path, scope)

    # ------------------------------------------------------------------------------- deadlines

    def note_due(self, link: QuicLink, now: float) -> None:
        """Take notice of a connection's deadline."""
        self._timers.note(link, now)
        self._check_path(link.path)
        scope = self._timer_scope
        if scope is not None:
            due = self._timers.next_due(self.links)
            scope.deadline = min(scope.deadline, due)

    def expire(self, now: float) -> None:
        """Act on deadlines that passed."""
        self._timers.sweep(self.links, now)
        while (link := self._timers.pop(now)) is not None:
            self.touched.add(link)
            state = link.state
            if not state.is_established and now >= link.due_handshake and not state.is_closing:
                state.close(error_code=HANDSHAKE_TIMEOUT, frame_type=0)
                continue
            try:
                state.handle_timer(now)
            except Exception:
                # As in `_give`; it would only fail again if it were asked once more.
                logger.exception("a QUIC connection failed")
                self.forget(link, now)
        self.settle(now)


def _destination(data: bytes) -> bytes:
    """Return the connection identifier that a datagram names; empty when it names none."""
    if not data:
        return b""
    if data[0] & LONG_HEADER:
        length = data[5] if len(data) > 5 else 0
        return data[6 : 6 + length]
    return data[1 : 1 + CID_BYTES]
