"""What handshakes ask and show: the certificates of the snapshot, as aioquic wants them, and those of clients.

The engine chooses by the name a client asks for, as it does over TCP, so what is renewed is shown from the
next handshake on. What it tells is DER; the objects made of it are kept, by the bytes of the whole chain.
What clients show it judges with the code, and by the settings, of its own handshakes.
"""

from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from oto_trio.gateway.engine import Clock
from oto_trio.gateway.listeners.carried_engine import ShowingEngine
from oto_trio.gateway.quic import LaterError
from oto_trio.gateway.quic.early import EarlyTickets

__all__ = ["Certificates", "ListenerTerms"]

MOST: Final = 512
"""Certificates whose objects are kept; all are let go of when there are more."""


class Certificates:
    """Finds certificates for handshakes.

    Args:
        engine: Has them.
        clock: Reads the Trio clock.
        wake: Has the engine turned soon: it may ask for a certificate to be made.
    """

    def __init__(self, engine: ShowingEngine, clock: Clock, wake: Any) -> None:
        self._engine = engine
        self._clock = clock
        self._wake = wake
        self._loaded: dict[
            tuple[bytes, ...], tuple[x509.Certificate, list[x509.Certificate], Any]
        ] = {}

    def choose(
        self, name: str | None
    ) -> tuple[x509.Certificate, list[x509.Certificate], Any] | None:
        """Return certificate, chain and private key for a name in lower case; None when there are none.

        Raises:
            LaterError: One is being made.
        """
        try:
            found = self._engine.to_show(name, self._clock())
        except LookupError:
            return None
        if found is None:
            self._wake()
            raise LaterError
        _, chain, key = found
        loaded = self._loaded.get(tuple(chain))
        if loaded is None:
            if len(self._loaded) >= MOST:
                self._loaded.clear()
            try:
                read = [x509.load_der_x509_certificate(it) for it in chain]
                loaded = read[0], read[1:], load_der_private_key(key, None)
            except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
                return None  # the engine could read it, and this library cannot
            self._loaded[tuple(chain)] = loaded
        return loaded


class ListenerTerms:
    """What the handshakes of one listener ask and show.

    Args:
        engine: Has the settings.
        certificates: Finds ours.
        clock: Reads the Trio clock.
        listener: The engine's number of the listener.
        early: Tickets with which clients may send requests in their first packets; None when none may.
    """

    def __init__(
        self,
        engine: ShowingEngine,
        certificates: Certificates,
        clock: Clock,
        listener: int,
        early: EarlyTickets | None = None,
    ) -> None:
        self.early = early
        """See `HandshakeTerms`."""
        self._engine = engine
        self._clock = clock
        self._listener = listener
        self.choose = certificates.choose
        """See `Certificates.choose`."""

    def client_auth(self) -> str:
        """Tell whether clients are asked for a certificate: `None`, `Want` or `Need`."""
        return self._engine.client_auth(self._listener)

    def check(self, chain: list[bytes], /) -> tuple[int, str] | None:
        """Return the alert that refuses what a client shows, and what is wrong; None when it is taken."""
        return self._engine.check_client(self._listener, chain, self._clock())
