"""Requests that come with a client's first packets (0-RTT, RFC 8470): which begin at once, and which have to wait.

Whoever sees such a packet pass can play it again. QUIC's side takes each ticket once (`oto_trio.gateway.quic.early`), and here
only what changes nothing goes on, marked for the backend, which may refuse it as well.
"""

from typing import Final

from oto_trio._core import FieldBlock

__all__ = ["TOO_EARLY", "is_harmless", "marked"]

SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods that ask for nothing to be changed (RFC 9110 section 9.2.1), and that clients use."""

TOO_EARLY: Final = ((b":status", b"425"), (b"content-length", b"0"))
"""The answer to all others: a client that has finished its handshake sends them again (RFC 8470 section 5.2)."""


def is_harmless(fields: FieldBlock, *, end: bool) -> bool:
    """Whether a request may begin before it is certain that nobody plays it again.

    Args:
        fields: Its head.
        end: Whether that is all of it.
    """
    return end and fields.get(b":method") in SAFE


def marked(fields: FieldBlock) -> FieldBlock:
    """Return the head with the field that tells a backend that the request came early, once."""
    kept = [(name, value) for name, value in fields if name != b"early-data"]
    return FieldBlock([*kept, (b"early-data", b"1")])
