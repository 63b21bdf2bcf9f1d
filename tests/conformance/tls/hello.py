"""A ClientHello made by hand and the server's first answer to it: TLS libraries refuse to offer
what a scanner has to ask for."""

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.conformance.tls.secure import open_plain

__all__ = ["SIGNATURES", "TLS12", "TLS13", "Answer", "ask"]

TLS12, TLS13 = 0x0303, 0x0304

SIGNATURES = (
    0x0403,
    0x0503,
    0x0603,
    0x0804,
    0x0805,
    0x0806,
    0x0401,
    0x0501,
    0x0601,
    0x0203,
    0x0201,
)
"""Signature schemes of ECDSA and RSA, the broken ones with SHA-1 last (RFC 8446 section 4.2.3)."""

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a HelloRetryRequest (RFC 8446 section 4.1.3)."""


@dataclass(frozen=True)
class Answer:
    """What a server said first."""

    alert: int | None = None
    """The fatal alert, if that was all."""
    version: int = 0
    random: bytes = b""
    suite: int = 0
    compression: int = 0
    extensions: Mapping[int, bytes] | None = None

    @property
    def is_retry(self) -> bool:
        """Whether it asks for another key share."""
        return self.random == RETRY_RANDOM


def _vector(data: bytes, length_bytes: int) -> bytes:
    return len(data).to_bytes(length_bytes, "big") + data


def _numbers(numbers: Sequence[int]) -> bytes:
    return b"".join(struct.pack("!H", number) for number in numbers)


def _hello(
    version: int,
    suites: Sequence[int],
    compression: bytes,
    groups: Sequence[int],
    key_share: tuple[int, bytes] | None,
    more: Mapping[int, bytes],
) -> bytes:
    name = b"a.test"
    extensions: dict[int, bytes] = {}
    if version > 0x0300:
        extensions[0] = _vector(b"\0" + _vector(name, 2), 2)
        extensions[10] = _vector(_numbers(groups), 2)
        extensions[11] = _vector(b"\0", 1)
        extensions[13] = _vector(_numbers(SIGNATURES), 2)
        extensions[23] = b""
    if version >= TLS13:
        share = b"" if key_share is None else _numbers([key_share[0]]) + _vector(key_share[1], 2)
        extensions[43] = _vector(_numbers([version]), 1)
        extensions[51] = _vector(share, 2)
    extensions.update(more)
    body = _numbers([min(version, TLS12)]) + os.urandom(32) + _vector(os.urandom(32), 1)
    body += _vector(_numbers(suites), 2) + _vector(compression, 1)
    if extensions:
        items = (_numbers([kind]) + _vector(value, 2) for kind, value in extensions.items())
        body += _vector(b"".join(items), 2)
    message = b"\x01" + _vector(body, 3)
    return b"\x16" + _numbers([min(version, 0x0301)]) + _vector(message, 2)


async def ask(
    port: int,
    version: int,
    suites: Sequence[int],
    *,
    compression: bytes = b"\0",
    groups: Sequence[int] = (29, 23, 24, 25),
    key_share: tuple[int, bytes] | None = (29, b"\x09" + bytes(31)),
    more: Mapping[int, bytes] | None = None,
) -> Answer:
    """Offer this and nothing else for `a.test`.

    Args:
        port: The listener.
        version: The only version, as TLS numbers them: 0x0300 is SSL 3.
        suites: Cipher suites.
        compression: Compression methods.
        groups: Groups for the key exchange.
        key_share: The group and public key sent along in TLS 1.3.
        more: Further extensions.
    """
    stream = await open_plain(port)
    await stream.send_all(_hello(version, suites, compression, groups, key_share, more or {}))
    received = b""
    while len(received) < 5 or len(received) < 5 + int.from_bytes(received[3:5], "big"):
        data = await stream.receive_some()
        assert data, f"closed without a word, after {received!r}"
        received += data
    await stream.aclose()
    record = received[5 : 5 + int.from_bytes(received[3:5], "big")]
    if received[0] == 21:
        assert record[0] == 2, "a fatal alert"
        return Answer(alert=record[1])
    assert (received[0], record[0]) == (22, 2), "a ServerHello"
    return _server_hello(record[4 : 4 + int.from_bytes(record[1:4], "big")])


def _server_hello(body: bytes) -> Answer:
    version, random = int.from_bytes(body[:2], "big"), body[2:34]
    at = 35 + body[34]
    suite, compression = int.from_bytes(body[at : at + 2], "big"), body[at + 2]
    rest, extensions = body[at + 5 :], dict[int, bytes]()
    while rest:
        kind, size = struct.unpack("!HH", rest[:4])
        extensions[kind], rest = rest[4 : 4 + size], rest[4 + size :]
    if 43 in extensions:
        version = int.from_bytes(extensions[43], "big")
    return Answer(None, version, random, suite, compression, extensions)
