"""TLS to backends: whom the gateway believes, and what it shows."""

import json
import re
import ssl
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oto_trio.gateway.engine import UPGRADED
from tests.conformance.http1.gateway import python_step, route
from tests.conformance.tls.secure import (
    authority,
    backend,
    ca_certificate,
    certificate,
    connect,
    exchange,
    secured,
)


def _server(*names: str, ca: str = "ours", needs: trustme.CA | None = None) -> ssl.SSLContext:
    """TLS of a backend with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority(ca).issue_cert(*names).configure_cert(context)
    if needs is not None:
        needs.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _target(port: int, **config: Any) -> dict[str, Any]:
    """A target under TLS that is called by name and found on this machine."""
    return {
        "hostname": "back.test",
        "ip_address": "127.0.0.1",
        "port": port,
        "tls": True,
        "tls_config": {"enabled": bool(config), **config},
    }


async def _ask(
    context: ssl.SSLContext, entities: dict[str, bytes] | None = None, **config: Any
) -> tuple[int, list[str], list[str]]:
    """Ask through a gateway; returns status, the notices, and the names the backend was asked for."""
    certificates = {"one": certificate("a.test"), **(entities or {})}
    async with backend(context) as (port, names):
        plan = route(targets=[_target(port, **config)])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            status, _ = await exchange(stream)
            return status, gateway.notices, names


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"

OURS = {"ca": ca_certificate(authority())}


async def test_an_authority_in_the_table_is_believed() -> None:
    assert await _ask(_server("back.test"), OURS) == (200, [], ["back.test"])


async def test_an_unknown_authority_is_not() -> None:
    status, notices, _ = await _ask(_server("back.test"))
    assert status == 502
    (notice,) = notices
    assert re.fullmatch(
        r"TLS to a backend: route r, target 127\.0\.0\.1:\d+: .*UnknownIssuer", notice
    )


async def test_another_name_is_refused_unless_loose() -> None:
    assert (await _ask(_server("other.test"), OURS))[0] == 502
    assert (await _ask(_server("other.test"), OURS, loose=True))[0] == 200
    assert (await _ask(_server("other.test"), loose=True))[0] == 502, "the authority still counts"


async def test_anything_goes_only_when_asked_for() -> None:
    assert (await _ask(_server("other.test"), trust_all=True))[0] == 200


async def test_a_pinned_certificate_needs_no_authority() -> None:
    leaf = authority("theirs").issue_cert("back.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    pem = leaf.cert_chain_pems[0].bytes().decode()
    pinned = {"pin": json.dumps({"chain": pem, "domain": ""}).encode()}
    assert (await _ask(context, pinned, trusted_certs=["pin"]))[0] == 200
    other = {"pin": certificate("back.test", ca=authority("theirs"))}
    assert (await _ask(context, other, trusted_certs=["pin"]))[0] == 502


async def test_a_pinned_certificate_vouches_for_no_other() -> None:
    """Only an authority signs: whoever has the key of a backend must not speak for others."""
    pinned = authority("theirs").issue_cert("back.test")
    issuer = x509.load_pem_x509_certificate(pinned.cert_chain_pems[0].bytes())
    signer = serialization.load_pem_private_key(pinned.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    own = ec.generate_private_key(ec.SECP256R1())
    forged = (
        x509.CertificateBuilder(issuer.subject, x509.Name([]), own.public_key())
        .serial_number(7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("back.test")]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.LeafCert(key, forged.public_bytes(pem), []).configure_cert(context)
    entity = {
        "pin": json.dumps({"chain": issuer.public_bytes(pem).decode(), "domain": ""}).encode()
    }
    assert (await _ask(context, entity, trusted_certs=["pin"]))[0] == 502


async def test_the_client_certificate_is_shown() -> None:
    context = _server("back.test", needs=authority())
    shown = {**OURS, "me": certificate("gateway.test")}
    assert (await _ask(context, shown, certs=["me"]))[0] == 200
    assert (await _ask(_server("back.test", needs=authority()), OURS))[0] == 502


async def test_a_certificate_that_is_missing_is_told() -> None:
    for config in ({"certs": ["gone"]}, {"trusted_certs": ["gone"]}):
        status, notices, _ = await _ask(_server("back.test"), OURS, **config)
        assert status == 502
        assert re.fullmatch(
            r"TLS to a backend: route r, target 127\.0\.0\.1:\d+: .*there is no certificate gone",
            notices[0],
        )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_connections_are_used_again(version: ssl.TLSVersion) -> None:
    context = _server("back.test")
    context.minimum_version = context.maximum_version = version
    certificates = {"one": certificate("a.test"), **OURS}
    async with backend(context, echo=True) as (port, names):
        plan = route(targets=[_target(port)])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            for size in (0, 10, 100_000, 2_000_000):
                assert await exchange(stream, body=b"x" * size) == (200, b"x" * size)
            assert len(names) == 1
            assert gateway.count("reused") == 3


async def test_open_connections_end_when_their_authority_is_taken_back() -> None:
    certificates = {"one": certificate("a.test"), **OURS}
    async with backend(_server("back.test")) as (port, names):
        plan = route(targets=[_target(port)])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            assert (await exchange(stream))[0] == 200
            gateway.change(ca=None)
            assert gateway.count("pooled") == 0, "closed at once, not when it is wanted next"
            assert (await exchange(stream))[0] == 502
            assert "UnknownIssuer" in gateway.notices[0]
            gateway.change(ca=OURS["ca"])
            assert (await exchange(stream))[0] == 200
            assert gateway.count("reused") == 0
            assert len(names) == 3


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        ({}, {"one": certificate("a.test")}),
        ({}, {"other": certificate("c.test")}),
        ({"loose": True}, {"pin": certificate("c.test")}),
        ({"trust_all": True}, {"ca": None}),
        ({"certs": ["me"]}, {"pin": certificate("c.test")}),
    ],
)
async def test_open_connections_stay_when_certificates_change_that_are_none_of_theirs(
    config: dict[str, Any], changes: dict[str, bytes | None]
) -> None:
    certificates = {
        "one": certificate("a.test"),
        "me": certificate("gateway.test"),
        "pin": certificate("back.test", ca=authority("theirs")),
        **OURS,
    }
    async with backend(_server("back.test")) as (port, names):
        plan = route(targets=[_target(port, **config)])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            assert (await exchange(stream))[0] == 200
            gateway.change(settings=None, **changes)
            assert (await exchange(stream))[0] == 200
            assert gateway.count("reused") == 1
            assert len(names) == 1


async def test_open_connections_end_when_a_pin_is_moved() -> None:
    pinned = authority("theirs").issue_cert("back.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pinned.configure_cert(context)
    certificates = {"one": certificate("a.test"), "pin": certificate("back.test", leaf=pinned)}
    async with backend(context) as (port, _):
        plan = route(targets=[_target(port, trusted_certs=["pin"])])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            assert (await exchange(stream))[0] == 200
            gateway.change(pin=certificate("back.test", ca=authority("theirs")))
            assert (gateway.count("pooled"), (await exchange(stream))[0]) == (0, 502)
            gateway.change(pin=certificate("back.test", leaf=pinned, revoked=True))
            assert (await exchange(stream))[0] == 502
            gateway.change(pin=certificate("back.test", leaf=pinned))
            assert (await exchange(stream))[0] == 200
            gateway.change(pin=certificate("back.test", leaf=pinned, revoked=True))
            assert (gateway.count("pooled"), (await exchange(stream))[0]) == (0, 502)


async def test_open_connections_end_when_the_certificate_that_they_showed_goes() -> None:
    certificates = {"one": certificate("a.test"), "me": certificate("gateway.test"), **OURS}
    context = _server("back.test", needs=authority())
    async with backend(context) as (port, names):
        plan = route(targets=[_target(port, certs=["me"])])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            assert (await exchange(stream))[0] == 200
            gateway.change(me=certificate("gateway.test"))
            assert gateway.count("pooled") == 0
            assert (await exchange(stream))[0] == 200
            assert len(names) == 2, "the renewed one is shown on a connection of its own"
            gateway.change(me=None)
            assert (gateway.count("pooled"), (await exchange(stream))[0]) == (0, 502)
            assert "there is no certificate me" in gateway.notices[0]


async def test_a_call_under_way_ends_well_and_its_connection_with_it() -> None:
    certificates = {"one": certificate("a.test"), **OURS}
    async with backend(_server("back.test"), echo=True) as (port, names):
        plan = route(targets=[_target(port)])
        async with secured(plan, certificates=certificates) as gateway:
            stream = await connect(gateway.port)
            head = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n"
            await stream.send_all(head + b"ha")
            while not names:
                await trio.testing.wait_all_tasks_blocked(0.01)
            gateway.change(ca=None)
            await stream.send_all(b"lf")
            received = b""
            while not received.endswith(b"half"):
                received += bytes(await stream.receive_some())
            assert received.startswith(b"HTTP/1.1 200")
            assert gateway.count("pooled") == 0
            assert (await exchange(stream))[0] == 502


async def test_a_backend_without_http2_that_says_nothing_is_not_asked_for_ever() -> None:
    context = _server("back.test")
    asked = 0

    async def hang_up(tcp: trio.SocketStream) -> None:
        nonlocal asked
        stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        await stream.receive_some()
        asked += 1
        await tcp.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, hang_up, 0)
        target = _target(listeners[0].socket.getsockname()[1], trust_all=True)
        plan = route(
            targets=[{**target, "protocol": "HTTP/2.0"}],
            client={"retries": 2, "retry_initial_delay": 0},
        )
        async with secured(plan, certificates={"one": certificate("a.test")}) as gateway:
            stream = await connect(gateway.port)
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 502 ")
        nursery.cancel_scope.cancel()
    assert asked == 2


class Chooser:
    """A backend that chooses a protocol, and answers one request on each connection.

    Args:
        spoken: What it speaks.
    """

    def __init__(self, *spoken: str) -> None:
        self.spoken = list(spoken)
        self.chosen: list[str | None] = []
        self.arrived = 0
        self.gate = trio.Event()
        """Handshakes wait for it."""

    async def serve(self, tcp: trio.SocketStream) -> None:
        self.arrived += 1
        await self.gate.wait()
        context = _server("back.test")
        context.set_alpn_protocols(self.spoken)
        stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        await stream.do_handshake()
        self.chosen.append(stream.selected_alpn_protocol())
        if self.chosen[-1] != "h2":
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await stream.receive_some()
            await stream.send_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            )
        await tcp.aclose()

    async def sees(self, arrived: int) -> None:
        """Wait for so many connections."""
        while self.arrived < arrived:
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_backend_that_chose_http1_is_believed_to_choose_it_again() -> None:
    chooser = Chooser("http/1.1")
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, chooser.serve, 0)
        target = _target(listeners[0].socket.getsockname()[1], trust_all=True)
        plan = route(targets=[{**target, "protocol": "HTTP/2.0"}])
        async with secured(plan, certificates={"one": certificate("a.test")}) as gateway:
            clients = [await connect(gateway.port) for _ in range(3)]
            chooser.gate.set()
            assert (await exchange(clients[0]))[0] == 200
            chooser.gate = trio.Event()
            # It speaks HTTP/2 now, and nobody asks; nor does anybody wait for another's handshake.
            chooser.spoken = ["h2", "http/1.1"]
            answers: list[int] = []

            async def ask(client: trio.SSLStream[trio.SocketStream]) -> None:
                answers.append((await exchange(client))[0])

            async with trio.open_nursery() as asking:
                for client in clients:
                    asking.start_soon(ask, client)
                await chooser.sees(4)
                chooser.gate.set()
            assert answers == [200] * 3
            assert chooser.chosen == ["http/1.1"] * 4
            gateway.pass_time(61)
            await (await connect(gateway.port)).send_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            while len(chooser.chosen) < 5:
                await trio.testing.wait_all_tasks_blocked(0.01)
            assert chooser.chosen[-1] == "h2"
        nursery.cancel_scope.cancel()


async def test_a_websocket_that_plugins_look_at_outlives_the_terms_of_its_backend() -> None:
    context = _server("back.test")
    opened: list[trio.SSLStream[trio.SocketStream]] = []

    async def switch(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        await stream.receive_some()
        opened.append(stream)
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + b"\r\n")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, switch, 0)
        target = _target(listeners[0].socket.getsockname()[1])
        plan = route(targets=[target], steps=[python_step("access")])
        certificates = {"one": certificate("a.test"), **OURS}
        async with secured(plan, certificates=certificates) as gateway:
            client = await connect(gateway.port)
            await client.send_all(b"GET /x HTTP/1.1\r\nHost: a.test\r\n" + UPGRADE + b"\r\n")
            held = await gateway.held.receive()
            held.watch(object())
            gateway.resume(held)
            assert bytes(await client.receive_some()).startswith(b"HTTP/1.1 101 ")
            ((kind, (_, _, up, _)),) = gateway.carried
            assert kind == UPGRADED
            gateway.change(ca=None)
            assert gateway.engine.send(up, b"still here")
            assert bytes(await opened[0].receive_some()) == b"still here"
            assert len(gateway.carried) == 1, "neither side is gone"
        nursery.cancel_scope.cancel()
