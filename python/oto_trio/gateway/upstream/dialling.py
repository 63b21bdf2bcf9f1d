"""Connections to backends over QUIC: made when the engine asks for one.

Theory of operation
    Each connection has a connected UDP socket of its own: the kernel leaves other senders out, spreads what comes over
    buffers, and tells when nobody listens at the other end. One `QuicEndpoint` of the worker reads them all and keeps
    their time. What came is acted on in batches: the sessions that were touched are flushed, and the engine
    has its turn.
"""

import logging
import math
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key
from typing_extensions import override

from oto_trio.gateway.listeners.carried_engine import DialEngine
from oto_trio.gateway.quic import QuicEndpoint, QuicLimits, QuicLink, QuicState
from oto_trio.gateway.upstream.backend_state import BackendState
from oto_trio.gateway.upstream.http3 import ALPN, Http3Calls

if TYPE_CHECKING:
    from oto_trio.gateway.quic.sockets import Address, Datagrams

__all__ = ["BACKEND_LIMITS", "DialEndpoint", "Dialler", "Wanted"]

logger = logging.getLogger(__name__)

BACKEND_LIMITS: Final = QuicLimits(streams=16, handshake_s=math.inf)
"""Streams that a backend opens are those of the protocol's own. How long a handshake may take is the target's to say,
and the engine's to watch."""

Wanted: TypeAlias = tuple[int, tuple[str, int], str, tuple[list[bytes], bytes] | None]
"""What `DIAL` brings: number, address and port, name, and the chain and key to show, all in DER."""


class DialEndpoint(QuicEndpoint):
    """Has a socket for each connection."""

    def __init__(self, clock: Callable[[], float], limits: QuicLimits, **more: Any) -> None:
        super().__init__(clock, limits, **more)
        self._by_path: dict[Datagrams, QuicLink] = {}

    @override
    def enter(self, state: QuicState, path: "Datagrams", now: float) -> QuicLink:
        link = self._by_path[path] = super().enter(state, path, now)
        return link

    @override
    def forget(self, link: QuicLink, now: float) -> None:
        super().forget(link, now)
        self._by_path.pop(link.path, None)
        self.drop(link.path)

    @override
    def stray(
        self, cid: bytes, data: bytes, address: "Address", path: "Datagrams", now: float
    ) -> None:
        """A backend that forgot a connection names none when it says so: the socket tells which."""
        link = self._by_path.get(path)
        if link is not None:
            self._give(link, data, address, now)


class Dialler:
    """Makes connections, and drives them.

    Args:
        engine: Asked for them.
        clock: Reads the Trio clock.
        settle: Called with the time when sessions have taken what came: has them flushed, and the engine turned.
        limits: The bounds of a connection.
    """

    def __init__(
        self,
        engine: DialEngine,
        clock: Callable[[], float],
        settle: Callable[[float], None],
        limits: QuicLimits = BACKEND_LIMITS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._settle_others = settle
        self._endpoint = DialEndpoint(clock, limits, settle=self._settle)

    def __len__(self) -> int:
        """Return how many connections there are."""
        return len(self._endpoint.links)

    def dial(
        self,
        wanted: Wanted,
        streams: dict[int, Any],
        mark: Callable[[Http3Calls], None],
        now: float,
    ) -> Http3Calls | None:
        """Begin a connection; what becomes of it is told to the engine.

        Args:
            wanted: What the engine asked for.
            streams: Where its session enters the engine's numbers of its streams.
            mark: Called when its session has to be flushed.
            now: The Trio clock.

        Returns: Its session; None when no connection could even begin.
        """
        conn, (host, port), name, shown = wanted
        engine = self._engine

        def check(chain: list[bytes]) -> None:
            engine.check_backend(conn, name, chain)

        try:
            configuration = _configuration(name, shown)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            problem = f"the certificate to show cannot be used: {error}"
            engine.dial_failed(conn, problem, True, now)  # noqa: FBT003 (positional only)
            return None
        try:
            path = self._connected(host, port)
        except OSError as error:
            engine.dial_failed(conn, str(error), False, now)  # noqa: FBT003 (positional only)
            return None
        endpoint = self._endpoint
        state = BackendState(configuration, endpoint.limits, endpoint.prefix, check)
        state.heard_at = now
        link = endpoint.enter(state, path, now)
        session = Http3Calls(engine, conn, streams, now, link, state, mark=mark)
        try:
            state.connect(path.sock.getpeername(), now)
        except Exception as error:
            # A name that TLS cannot ask for, or a defect of the library: it costs this connection alone.
            logger.exception("a connection over QUIC to %s cannot begin", name)
            endpoint.forget(link, now)
            engine.dial_failed(conn, str(error), False, now)  # noqa: FBT003 (positional only)
            return None
        link.owner = session
        path.on_refused = lambda: session.refused(self._clock())
        link.transmit(now)
        return session

    def _connected(self, host: str, port: int) -> "Datagrams":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect((host, port))
        except OSError:
            sock.close()
            raise
        return self._endpoint.add(sock)

    def _settle(self, now: float) -> None:
        # An acknowledgement is no event, but lets more of a body out.
        for link in self._endpoint.touched:
            if isinstance(link.owner, Http3Calls):
                link.owner.touched()
        self._settle_others(now)

    async def run(self) -> None:
        """Drive the connections until cancelled.

        Cancellation: says the end on each connection, and closes their sockets.
        """
        try:
            await self._endpoint.run()
        finally:
            now = self._clock()
            for link in list(self._endpoint.links):
                link.owner = None
                link.close(0x100, "", now)
                link.transmit(now)
            self._endpoint.close()


def _configuration(name: str, shown: tuple[list[bytes], bytes] | None) -> QuicConfiguration:
    """Return aioquic's settings; raises ValueError for a certificate that it cannot show."""
    configuration = QuicConfiguration(
        alpn_protocols=[ALPN],
        server_name=name,
        # The engine checks, by the rules of every target.
        verify_mode=ssl.CERT_NONE,
    )
    if shown is not None:
        chain, key = shown
        own, *others = [x509.load_der_x509_certificate(it) for it in chain]
        configuration.certificate, configuration.certificate_chain = own, others
        configuration.private_key = load_der_private_key(key, password=None)
    return configuration
