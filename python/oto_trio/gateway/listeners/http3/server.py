"""HTTP/3 in a worker: its UDP sockets, its certificates, and where its connections meet the engine."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Final, Self

from oto_trio.gateway.engine import Clock, Event
from oto_trio.gateway.frames import Start
from oto_trio.gateway.listeners.carried import CarriedConnections
from oto_trio.gateway.listeners.carried_engine import ServerEngine
from oto_trio.gateway.listeners.http3.bounds import http3_limits, quic_limits
from oto_trio.gateway.listeners.http3.certificates import (
    Certificates,
    ListenerTerms,
)
from oto_trio.gateway.listeners.http3.limits import Http3Limits
from oto_trio.gateway.listeners.http3.session import Http3Session
from oto_trio.gateway.pipeline import Pipeline
from oto_trio.gateway.pump import Pump, unix_time
from oto_trio.gateway.quic import Acceptor, QuicEndpoint, QuicLimits, QuicLink
from oto_trio.gateway.quic.early import EarlyTickets
from oto_trio.gateway.quic.secrets import QuicSecrets
from oto_trio.gateway.quic.sockets import Datagrams

__all__ = ["Http3Server"]

H3_NO_ERROR: Final = 0x100


class Http3Server:
    """The HTTP/3 connections of a worker.

    Args:
        engine: Has their streams.
        carried: Knows which session each stream belongs to.
        clock: Reads the Trio clock.
        settle: Turns the engine, given the time, and acts on what comes up.
        wake: Has the engine turned soon.
        secrets: What the workers of this gateway share; None when there is nothing to share.
        early_data: Whether clients that return may send requests before their handshake is over.
        limits: The bounds of a connection.
        quic_limits: Those of QUIC.
    """

    def __init__(  # noqa: PLR0913 (each of them is another part of the worker)
        self,
        engine: ServerEngine,
        carried: CarriedConnections,
        clock: Clock,
        *,
        settle: Callable[[float], None],
        wake: Callable[[], None],
        secrets: QuicSecrets | None = None,
        early_data: bool = False,
        limits: Http3Limits | None = None,
        quic_limits: QuicLimits | None = None,
    ) -> None:
        self._engine = engine
        self._carried = carried
        self._clock = clock
        self._wake = wake
        self._limits = limits or Http3Limits()
        self._early = EarlyTickets() if early_data else None
        self._certificates = Certificates(engine, clock, wake)
        self._acceptor = Acceptor(["h3"], self._terms, self._own)
        self._listeners: dict[Datagrams, int] = {}
        self.endpoint = QuicEndpoint(
            clock, quic_limits, acceptor=self._acceptor, settle=settle, secrets=secrets
        )

    @classmethod
    def of(
        cls, start: Start, engine: ServerEngine, clock: Clock, pump: Pump, pipeline: Pipeline
    ) -> Self:
        """Make that of a worker, with what its start says."""
        return cls(
            engine,
            pipeline.carried,
            clock,
            settle=partial(pump.turn_now, pipeline),
            wake=pump.wake,
            secrets=QuicSecrets.of(start.ticket_secret, unix_time),
            early_data=start.http3_early_data,
            limits=http3_limits(start.stream_bounds),
            quic_limits=quic_limits(start.stream_bounds),
        )

    def listen(
        self,
        sock: socket.socket,
        name: str,
        *,
        exclusive: bool = False,
        client_auth: str = "Dynamic",
    ) -> Datagrams:
        """Take connections on a bound UDP socket, which is the server's from here on.

        Args:
            sock: The socket.
            name: The listener's name, which is all that routes know of it.
            exclusive: Whether its clients find only the routes that are bound to it.
            client_auth: Whether they are asked for a certificate, as in `ListenerWays`.

        Returns:
            What `retune` and `unlisten` take.
        """
        path = self.endpoint.add(sock)
        self._listeners[path] = self._engine.adopt_datagrams(name, exclusive, client_auth)
        return path

    def retune(self, path: Datagrams, *, exclusive: bool, client_auth: str) -> None:
        """Have the connections that come on a socket from now on go other ways; those that are there keep theirs.

        Args:
            path: What `listen` gave.
            exclusive: As of `listen`.
            client_auth: As of `listen`.
        """
        self._engine.retune(self._listeners[path], True, client_auth, False, False, exclusive)  # noqa: FBT003 (positional only)

    def unlisten(
        self, path: Datagrams, *, tunnels_s: float, on_closed: Callable[[], None]
    ) -> list[Event]:
        """Take no more connections on a socket; those on it say GOAWAY, and it closes behind the last one.

        Args:
            path: What `listen` gave.
            tunnels_s: How many seconds WebSockets on it last, where nobody looks at their messages.
            on_closed: Told once it is closed, which may be at once.

        Returns:
            What the engine raised, to be acted on.
        """
        now = self._clock()
        events = self._engine.release(self._listeners.pop(path), now, tunnels_s)
        for link in [it for it in self.endpoint.links if it.path is path]:
            if isinstance(link.owner, Http3Session):
                link.owner.drain(now)
        self.endpoint.retire(path, on_closed)
        self.endpoint.settle(now)
        return events

    async def run(self) -> None:
        """Serve until cancelled."""
        await self.endpoint.run()

    def drain(self, now: float, *, replaced: bool) -> None:
        """Take no more connections, and close each one behind its last answer.

        Args:
            now: The Trio clock.
            replaced: Whether another worker reads the sockets: it forwards what belongs here.
        """
        self._acceptor.is_open = False
        if replaced and self.endpoint.is_forwarded_to:
            self.endpoint.stop_all_reading()
        self.endpoint.settle(now)

    def close(self, now: float) -> None:
        """Say CONNECTION_CLOSE on every connection, and close every socket. Idempotent."""
        for link in list(self.endpoint.links):
            link.close(H3_NO_ERROR, "", now)
            link.transmit(now)
        self.endpoint.close()

    def _terms(self, path: Datagrams) -> ListenerTerms:
        """Tell what is asked and shown in the handshakes of a socket."""
        listener = self._listeners.get(path, 0)
        return ListenerTerms(self._engine, self._certificates, self._clock, listener, self._early)

    def _own(self, link: QuicLink, path: Datagrams, now: float) -> Http3Session:
        """Make the session of a new connection."""
        return Http3Session(
            self._engine,
            link,
            self._listeners.get(path, 0),
            self._carried.streams,
            now,
            self._limits,
            wake=self._wake,
            enter=self._carried.enter,
            leave=self._carried.leave,
        )
