"""A gateway that speaks TLS inside the test, and authorities that exist for one test run."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import trio
import trustme
from typing_extensions import override

from oto_trio._core import Engine, Snapshot
from oto_trio.gateway.engine import CERTIFICATE, LOST, NOTICE, UPGRADED
from tests.conformance.http1.gateway import PATIENCE_S, Gateway, listening, pumped

__all__ = [
    "NOW",
    "OK",
    "SecureGateway",
    "authority",
    "backend",
    "certificate",
    "client_context",
    "connect",
    "exchange",
    "open_plain",
    "secured",
]

NOW = 1_800_000_000.0
"""Unix time of the tests' gateways; trustme's certificates are valid then."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


_opened: list[trio.SocketStream] = []


def authority(name: str = "ours") -> trustme.CA:
    """Return the authority of this name, the same for the whole run."""
    return _authority(name)


@cache
def _authority(name: str) -> trustme.CA:
    """Make an authority, once."""
    return trustme.CA(organization_name=name)


def certificate(
    *names: str,
    ca: trustme.CA | None = None,
    common_name: str | None = None,
    leaf: trustme.LeafCert | None = None,
    **entity: Any,
) -> bytes:
    """A certificate entity for these names, as the store holds it; `leaf` is one made before."""
    leaf = leaf or (ca or authority()).issue_cert(*names, common_name=common_name)
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems).decode()
    key = leaf.private_key_pem.bytes().decode()
    return json.dumps({"chain": chain, "privateKey": key, "domain": names[0], **entity}).encode()


def ca_certificate(ca: trustme.CA) -> bytes:
    """An authority as a certificate entity."""
    return json.dumps({"chain": ca.cert_pem.bytes().decode(), "domain": "", "ca": True}).encode()


class SecureGateway(Gateway):
    """A gateway whose snapshot a test changes as it goes."""

    def __init__(self, engine: Engine, port: int, snapshot: Snapshot) -> None:
        super().__init__(engine, port)
        self._snapshot = snapshot
        self.wanted: list[str] = []
        """Server names for which the engine wants a certificate."""
        self.notices: list[str] = []
        """What the engine told an operator."""
        self.carried: list[tuple[int, Any]] = []
        """What it told of connections whose bytes it hands up: those that changed their protocol, those that are gone."""

    @override
    def note(self, events: Sequence[tuple[int, Any]]) -> None:
        """Remember what the engine wants."""
        for kind, value in events:
            if kind == CERTIFICATE:
                self.wanted.append(value)
            elif kind == NOTICE:
                self.notices.append(value)
            elif kind in (LOST, UPGRADED):
                self.carried.append((kind, value))
        super().note(events)

    def change(
        self, *, settings: Mapping[str, Any] | None = None, **certificates: bytes | None
    ) -> None:
        """Install a snapshot with other TLS settings or certificates, by id."""
        self._snapshot = self._snapshot.apply(
            [],
            [],
            None if settings is None else json.dumps({"tls": dict(settings)}).encode(),
            [("certificates", name, body) for name, body in certificates.items()],
        )
        self.engine.install(self._snapshot)

    def told(self, server_name: str, unsaved: bytes = b"") -> None:
        """Say that a wanted certificate is there, or will not be."""
        self.note(self.engine.certificate_told(server_name, unsaved, self.now))
        self._turn_pending()


@asynccontextmanager
async def secured(
    *routes: bytes,
    tls: Mapping[str, Any] | None = None,
    ticket_secret: bytes = b"a secret of the tests",
    certificates: Mapping[str, bytes] | None = None,
    entities: Sequence[tuple[str, str, bytes]] = (),
    **settings: Any,
) -> AsyncIterator[SecureGateway]:
    """Run a gateway with one TLS listener; everything is closed behind it.

    Args:
        routes: Lowered routes.
        tls: The TLS settings of the snapshot.
        ticket_secret: What session tickets are locked with.
        certificates: Certificate entities by id; by default one for `a.test` and `*.b.test`.
        entities: Other entities, as (kind, id, JSON).
        settings: Bounds and time-outs of the engine.
    """
    engine = Engine(json.dumps(settings).encode())
    engine.set_ticket_secret(ticket_secret)
    if certificates is None:
        certificates = {"one": certificate("a.test", "*.b.test")}
    snapshot = Snapshot().apply(
        list(routes),
        [],
        json.dumps({"tls": dict(tls or {})}).encode(),
        [*entities, *(("certificates", name, body) for name, body in certificates.items())],
    )
    engine.install(snapshot)
    with trio.fail_after(PATIENCE_S), listening() as listener:
        engine.adopt(listener.fileno(), "https-listener", True)
        gateway = SecureGateway(engine, listener.getsockname()[1], snapshot)
        engine.set_unix_offset(NOW - gateway.now)
        try:
            async with pumped(gateway):
                yield gateway
        finally:
            while _opened:
                _opened.pop().socket.close()


def client_context(
    *,
    version: ssl.TLSVersion | None = None,
    shows: trustme.LeafCert | None = None,
    trusts: trustme.CA | None = None,
) -> ssl.SSLContext:
    """What a client needs.

    Args:
        version: The only version it speaks.
        shows: Its own certificate.
        trusts: The authority it believes.
    """
    # Not the default one, which reads all authorities of the machine each time.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    (trusts or authority()).configure_trust(context)
    context.set_alpn_protocols(["http/1.1"])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if shows is not None:
        shows.configure_cert(context)
    return context


async def connect(
    port: int, server_name: str | None = "a.test", context: ssl.SSLContext | None = None
) -> trio.SSLStream[trio.SocketStream]:
    """Connect and shake hands."""
    stream = await open_plain(port)
    context = context or client_context()
    if server_name is None:
        context.check_hostname = False
    secure = trio.SSLStream(stream, context, server_hostname=server_name, https_compatible=True)
    await secure.do_handshake()
    return secure


async def open_plain(port: int) -> trio.SocketStream:
    """Connect without a handshake; `secured` closes what a test leaves open."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    _opened.append(stream)
    return stream


async def exchange(
    stream: trio.SSLStream[trio.SocketStream], host: str = "a.test", body: bytes = b""
) -> tuple[int, bytes]:
    """Send one request and read its answer, which has a length."""
    head = f"POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    await stream.send_all(head + body)
    received = b""
    while b"\r\n\r\n" not in received:
        received += await _more(stream)
    head, _, rest = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    while len(rest) < length:
        rest += await _more(stream)
    return int(head.split()[1]), rest


async def _more(stream: trio.SSLStream[trio.SocketStream]) -> bytes:
    """Read something."""
    data = bytes(await stream.receive_some())
    assert data, "the gateway closed before its answer was whole"
    return data


@asynccontextmanager
async def backend(
    context: ssl.SSLContext | None = None, echo: bool = False
) -> AsyncIterator[tuple[int, list[str]]]:
    """A backend that answers each request; yields its port and the names clients asked for.

    Args:
        context: Its TLS; None for plain HTTP.
        echo: Whether it sends the request's body back.
    """
    names: list[str] = []

    async def serve(stream: trio.SocketStream) -> None:
        served: Any = stream
        if context is not None:
            context.sni_callback = lambda _, name, __: names.append(name)
            served = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await _answer(served, echo=echo)
        except (trio.BrokenResourceError, ssl.SSLError):
            return
        finally:
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield listeners[0].socket.getsockname()[1], names
        nursery.cancel_scope.cancel()


async def _answer(stream: Any, *, echo: bool) -> None:
    """Answer requests until the connection ends."""
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            data = bytes(await stream.receive_some())
            if not data:
                return
            held += data
        head, _, held = held.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            ),
            0,
        )
        while len(held) < length:
            held += bytes(await stream.receive_some())
        body, held = held[:length], held[length:]
        if not echo:
            body = b"ok"
        await stream.send_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
