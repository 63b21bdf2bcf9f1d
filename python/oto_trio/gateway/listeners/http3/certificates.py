"""The certificates of the snapshot, as aioquic wants them.

The engine chooses by the name a client asks for, as it does over TCP, so what is renewed is shown from the
next handshake on. What it tells is DER; the objects made of it are kept, by the certificate's bytes.
"""

from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from oto_trio.gateway.engine import Clock
from oto_trio.gateway.quic import LaterError

__all__ = ["Certificates", "ShowingEngine"]

MOST: Final = 512
"""Certificates whose objects are kept; all are let go of when there are more."""


class ShowingEngine(Protocol):
    """What is needed of an engine."""

    def to_show(
        self, server_name: str | None, now: float, /
    ) -> tuple[str, list[bytes], bytes] | None:
        """Choose a certificate; see `Engine.to_show`."""
        ...


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
        self._loaded: dict[bytes, tuple[x509.Certificate, list[x509.Certificate], Any]] = {}

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
        loaded = self._loaded.get(chain[0])
        if loaded is None:
            if len(self._loaded) >= MOST:
                self._loaded.clear()
            try:
                read = [x509.load_der_x509_certificate(it) for it in chain]
                loaded = read[0], read[1:], load_der_private_key(key, None)
            except (ValueError, TypeError):
                return None  # the engine could read it, and this library cannot
            self._loaded[chain[0]] = loaded
        return loaded
