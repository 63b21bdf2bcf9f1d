"""Sessions that go on: tickets that every worker of a gateway can open, and nobody else.

A ticket is the session itself, sealed (RFC 5077 section 4), so nothing is kept of it here. Its key is made of the
gateway's secret and of the period's number: keys change everywhere at the same moment, and tickets of this period and the
one before are taken. It says for which server name, under which way of asking clients for certificates and in which version of QUIC
the session began, and with which certificate of the client: it goes on under the same only.
"""

import datetime as dt
import os
from collections.abc import Callable
from typing import Final

import msgspec
from aioquic import tls
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["TICKET_S", "Session", "Sessions"]

TICKET_S: Final = 6 * 3600
"""How long a key seals tickets, and how long a ticket lasts."""
FOREVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
"""aioquic reads a clock of its own; how old a session is was looked at before."""
LARGEST: Final = 4096
"""A larger ticket is not given: its client would send it, unasked, in the first packets of its next connection."""
PERIOD_BYTES: Final = 4
NONCE_BYTES: Final = 12


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a session.

    Args:
        cipher_suite: TLS's number of it.
        secret: What both sides know.
        issued: When its full handshake was, in Unix seconds. Going on makes it no younger.
        server_name: The name that the client asked for.
        auth: Whether it was asked for a certificate.
        version: Of QUIC.
        chain: What the client showed, in DER, its own certificate first.
        early: The name under which it may send requests with its first packets; empty when it may not.
    """

    cipher_suite: int
    secret: bytes
    issued: float
    server_name: str | None
    auth: str
    version: int
    chain: list[bytes]
    early: bytes = b""

    def as_ticket(self, identity: bytes) -> tls.SessionTicket:
        """Return it as aioquic wants it."""
        before, after = FOREVER
        return tls.SessionTicket(
            age_add=0,
            cipher_suite=tls.CipherSuite(self.cipher_suite),
            not_valid_after=after,
            not_valid_before=before,
            resumption_secret=self.secret,
            server_name=self.server_name or "",
            ticket=identity,
        )


class Sessions:
    """Seals and opens tickets.

    Args:
        derive: Makes a key of 32 bytes for a purpose, the same one in all workers.
        unix_clock: Reads Unix time, in seconds.
    """

    def __init__(self, derive: Callable[[str], bytes], unix_clock: Callable[[], float]) -> None:
        self.unix_clock = unix_clock
        """Reads Unix time, in seconds."""
        self._derive = derive
        self._keys: dict[int, AESGCM] = {}

    def seal(self, session: Session) -> bytes | None:
        """Return a ticket; None when it would be too large."""
        period = int(self.unix_clock()) // TICKET_S
        name, nonce = period.to_bytes(PERIOD_BYTES), os.urandom(NONCE_BYTES)
        sealed = self._key(period).encrypt(nonce, msgspec.msgpack.encode(session), name)
        ticket = name + nonce + sealed
        return ticket if len(ticket) <= LARGEST else None

    def open(self, ticket: bytes) -> Session | None:
        """Return the session of a ticket; None when it is not ours, or too old."""
        if not PERIOD_BYTES + NONCE_BYTES < len(ticket) <= LARGEST:
            return None
        name, nonce, sealed = (
            ticket[:PERIOD_BYTES],
            ticket[PERIOD_BYTES : PERIOD_BYTES + NONCE_BYTES],
            ticket[PERIOD_BYTES + NONCE_BYTES :],
        )
        period, present = int.from_bytes(name), int(self.unix_clock()) // TICKET_S
        if not present - 1 <= period <= present:
            return None
        try:
            plain = self._key(period).decrypt(nonce, sealed, name)
            session = msgspec.msgpack.decode(plain, type=Session)
        except (InvalidTag, msgspec.MsgspecError):
            return None
        return session if self.left_s(session) > 0 else None

    def left_s(self, session: Session) -> int:
        """Return how long a session may still be gone on with, in seconds; 0 or less when it is over."""
        return int(session.issued + TICKET_S - self.unix_clock())

    def _key(self, period: int) -> AESGCM:
        key = self._keys.get(period)
        if key is None:
            self._keys = {it: kept for it, kept in self._keys.items() if it >= period - 1}
            key = self._keys[period] = AESGCM(self._derive(f"session {period}"))
        return key
