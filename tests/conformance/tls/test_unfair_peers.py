"""Peers that keep to the letter of TLS and to nothing else: floods of nothing, ends that are not said."""

import ssl
import struct
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.conformance.http1.gateway import route, until
from tests.conformance.tls.secure import (
    SecureGateway,
    authority,
    ca_certificate,
    certificate,
    client_context,
    open_plain,
    secured,
)


def _derived(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 section 7.1, without a context."""
    name = b"tls13 " + label
    info = struct.pack(">HB", length, len(name)) + name + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)


def _empty_records(secret: bytes, count: int) -> bytes:
    """The first records of a client under TLS_AES_256_GCM_SHA384, all of them without a byte in it."""
    cipher = AESGCM(_derived(secret, b"key", 32))
    iv = int.from_bytes(_derived(secret, b"iv", 12), "big")
    head = b"\x17\x03\x03\x00\x11"
    seal = cipher.encrypt
    return b"".join(
        head + seal((iv ^ number).to_bytes(12, "big"), b"\x17", head) for number in range(count)
    )


async def _shaken(gateway: SecureGateway, keys: Path) -> tuple[trio.SocketStream, bytes]:
    """Shake hands; returns the bare connection and the secret of what the client sends on it."""
    context = client_context(version=ssl.TLSVersion.TLSv1_3)
    context.keylog_filename = str(keys)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    stream = await open_plain(gateway.port)
    while True:
        try:
            secure.do_handshake()
            break
        except ssl.SSLWantReadError:
            await stream.send_all(outgoing.read())
            incoming.write(await stream.receive_some())
    await stream.send_all(outgoing.read())
    cipher = secure.cipher()
    assert cipher is not None
    assert cipher[0] == "TLS_AES_256_GCM_SHA384"
    lines = (line.split() for line in keys.read_text().splitlines())
    (secret,) = (line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0")
    return stream, bytes.fromhex(secret)


async def test_a_client_that_sends_records_without_content_is_put_out(tmp_path: Path) -> None:
    async with secured() as gateway:
        stream, secret = await _shaken(gateway, tmp_path / "keys")
        with pytest.raises(trio.BrokenResourceError):  # noqa: PT012 (whichever comes first)
            await stream.send_all(_empty_records(secret, 1000))
            while await stream.receive_some():
                pass
            raise trio.BrokenResourceError
        await until(lambda: gateway.busy == {})


async def test_a_few_records_without_content_are_passed_over(tmp_path: Path) -> None:
    async with secured() as gateway:
        stream, secret = await _shaken(gateway, tmp_path / "keys")
        await stream.send_all(_empty_records(secret, 10))
        await until(lambda: gateway.count("handshakes") == 1)
        await trio.testing.wait_all_tasks_blocked()
        assert gateway.busy == {"connections": 1}


TO_THE_END = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello"
"""An answer that ends where the connection ends."""


async def _answer_of_backend(
    version: bytes, *, notified: bool, upgrades: bool = False
) -> tuple[bytes, bool]:
    """Ask a backend that answers and closes, with close_notify or without.

    Returns:
        What the client got, and whether the connection ended as connections end.
    """
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("back.test").configure_cert(theirs)

    async def serve(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, theirs, server_side=True)
        await secure.receive_some()
        await secure.send_all(SWITCHED if upgrades else TO_THE_END)
        if notified:
            await secure.aclose()
        else:
            await stream.aclose()

    received, whole = b"", True
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        target = {"hostname": "back.test", "ip_address": "127.0.0.1", "port": port, "tls": True}
        certificates = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
        async with secured(route(targets=[target]), certificates=certificates) as gateway:
            plain = await open_plain(gateway.port)
            stream = trio.SSLStream(plain, client_context(), server_hostname="a.test")
            head = b"GET / HTTP/%b\r\nHost: a.test\r\n%b\r\n"
            await stream.send_all(head % (version, UPGRADE if upgrades else b""))
            try:
                while data := bytes(await stream.receive_some()):
                    received += data
                    if received.endswith(b"0\r\n\r\n"):
                        break
            except trio.BrokenResourceError:
                whole = False
        nursery.cancel_scope.cancel()
    return received, whole


UPGRADE = b"Connection: Upgrade\r\nUpgrade: chat\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_ends_with_its_connection_only_if_the_backend_says_so(
    version: bytes,
) -> None:
    """RFC 9112 section 9.8: anybody on the way can cut a connection, and only close_notify is signed."""
    received, whole = await _answer_of_backend(version, notified=True)
    assert b"hello" in received
    assert whole
    assert received.endswith(b"0\r\n\r\n") == (version == b"1.1")
    received, whole = await _answer_of_backend(version, notified=False)
    assert not received.endswith(b"0\r\n\r\n")
    assert version == b"1.1" or not whole


async def test_a_tunnel_is_not_said_to_be_over_when_it_is_cut() -> None:
    received, whole = await _answer_of_backend(b"1.1", notified=True, upgrades=True)
    assert received.endswith(b"hello")
    assert whole
    received, whole = await _answer_of_backend(b"1.1", notified=False, upgrades=True)
    assert not whole
