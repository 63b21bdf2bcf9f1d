"""TLS from clients: versions, names, resumption, client certificates, and what goes wrong."""

import json
import ssl
from typing import Any

import pytest
import trio
import trustme
from cryptography import x509

from tests.conformance.http1.gateway import route, until
from tests.conformance.tls.hello import TLS12, TLS13, Answer, ask
from tests.conformance.tls.secure import (
    authority,
    backend,
    ca_certificate,
    certificate,
    client_context,
    connect,
    exchange,
    open_plain,
    secured,
)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_request_passes(version: ssl.TLSVersion) -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        stream = await connect(gateway.port, context=client_context(version=version))
        assert stream.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            assert await exchange(stream) == (200, b"ok")
        await stream.aclose()
        assert gateway.count("handshakes") == 1


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 70_000, 3_000_000])
async def test_bodies_pass_both_ways_unharmed(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with backend(echo=True) as (port, _), secured(route(port)) as gateway:
        stream = await connect(gateway.port)
        assert await exchange(stream, body=body) == (200, body)


async def test_the_certificate_follows_the_name() -> None:
    certificates = {
        "exact": certificate("x.b.test"),
        "wild": certificate("*.b.test"),
        "default": certificate("z.test"),
        "authority": ca_certificate(authority()),
    }
    async with (
        backend() as (port, _),
        secured(
            route(port), certificates=certificates, tls={"default_domain": "z.test"}
        ) as gateway,
    ):
        context = client_context()
        context.check_hostname = False
        for name, shown in [
            ("x.b.test", "x.b.test"),
            ("y.b.test", "*.b.test"),
            ("a.y.b.test", "z.test"),
            ("unknown.test", "z.test"),
            (None, "z.test"),
        ]:
            stream = await connect(gateway.port, name, context)
            alternative = stream.getpeercert()["subjectAltName"]
            assert alternative == (("DNS", shown),), name
            await stream.aclose()


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("address", [b"192.0.2.1", b"2001:db8::1"])
async def test_an_address_is_no_name(address: bytes, version: int) -> None:
    name = b"\0" + len(address).to_bytes(2) + address
    asked = {0: len(name).to_bytes(2) + name}
    suites = [0xC02B, 0xC02F, 0x1301]
    async with secured(tls={"default_domain": "a.test"}) as gateway:
        answer = await ask(gateway.port, version, suites, more=asked)
        assert (answer.alert, answer.version) == (None, version)
    # Nobody makes a certificate for it, either.
    async with secured(tls={"creates_certificates": True}) as gateway:
        assert await ask(gateway.port, version, suites, more=asked) == Answer(alert=112)
        assert not gateway.wanted


async def test_a_name_without_certificate_gets_an_alert_and_a_notice() -> None:
    async with secured() as gateway:
        with pytest.raises(trio.BrokenResourceError) as refused:
            await connect(gateway.port, "c.test")
        assert "unrecognized name" in str(refused.value.__cause__).lower()
        assert gateway.notices == [
            "TLS handshake with a client: there is no certificate for the server name c.test"
        ]
        assert gateway.count("handshake_failures") == 1


async def test_certificates_are_swapped_under_traffic() -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        kept = await connect(gateway.port)
        gateway.change(one=None, two=certificate("a.test", "new.test"))
        fresh = await connect(gateway.port)
        assert ("DNS", "new.test") in fresh.getpeercert()["subjectAltName"]
        assert await exchange(kept) == (200, b"ok")
        assert await exchange(fresh) == (200, b"ok")
        gateway.change(two=None)
        with pytest.raises(trio.BrokenResourceError):
            await connect(gateway.port)
        assert await exchange(kept) == (200, b"ok")


async def test_expired_and_revoked_certificates_are_not_shown() -> None:
    async with secured(certificates={"one": certificate("a.test", revoked=True)}) as gateway:
        with pytest.raises(trio.BrokenResourceError):
            await connect(gateway.port)
        gateway.change(one=certificate("a.test"))
        await (await connect(gateway.port)).aclose()
        gateway.engine.set_unix_offset(4e10)
        with pytest.raises(trio.BrokenResourceError):
            await connect(gateway.port)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_another_worker_resumes_the_session(version: ssl.TLSVersion) -> None:
    one = {"one": certificate("a.test")}
    async with (
        backend() as (port, _),
        secured(route(port), certificates=one) as first,
        secured(route(port), certificates=one) as second,
        secured(route(port), certificates=one, ticket_secret=b"another") as third,
    ):
        context = client_context(version=version)
        stream = await connect(first.port, context=context)
        await exchange(stream)
        session = stream.session
        for gateway, resumed in [(second, True), (third, False)]:
            plain = await open_plain(gateway.port)
            again = trio.SSLStream(plain, context, server_hostname="a.test", https_compatible=True)
            again._ssl_object.session = session
            await again.do_handshake()
            assert await exchange(again) == (200, b"ok")
            assert again.session_reused is resumed
            assert gateway.count("handshakes_resumed") == resumed


async def test_a_host_the_connection_is_not_for_is_misdirected() -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        stream = await connect(gateway.port, "a.test")
        assert (await exchange(stream, host="a.test:8443"))[0] == 200
        assert (await exchange(stream, host="x.b.test"))[0] == 200, "the certificate covers it"
        assert (await exchange(stream, host="c.test"))[0] == 421
        assert (await exchange(stream, host="a.test"))[0] == 200


async def test_a_certificate_is_made_while_the_connection_waits() -> None:
    async with (
        backend() as (port, _),
        secured(route(port), tls={"creates_certificates": True}) as gateway,
    ):
        async with trio.open_nursery() as nursery:
            answers: list[tuple[int, bytes]] = []

            async def ask() -> None:
                answers.append(await exchange(await connect(gateway.port, "new.test"), "new.test"))

            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await until(lambda: gateway.wanted == ["new.test"])
            await gateway.caught_up()
            gateway.change(new=certificate("new.test"))
            gateway.told("new.test")
        assert answers == [(200, b"ok")] * 2
        assert gateway.wanted == ["new.test"], "asked for once"


async def test_a_certificate_that_cannot_be_made_is_an_alert() -> None:
    async with (
        secured(tls={"creates_certificates": True}) as gateway,
        trio.open_nursery() as nursery,
    ):

        async def ask() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await connect(gateway.port, "new.test")

        nursery.start_soon(ask)
        await until(lambda: gateway.wanted == ["new.test"])
        gateway.told("new.test")


CLIENTS = {"system_cas_for_clients": False, "strict": True}


def _leaf(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("someone@a.test", common_name="someone")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("auth", "shows", "passes"),
    [
        ("None", None, True),
        ("Want", None, True),
        ("Want", "ours", True),
        ("Want", "theirs", False),
        ("Need", None, False),
        ("Need", "ours", True),
        ("Need", "theirs", False),
    ],
)
async def test_client_certificates(
    version: ssl.TLSVersion, auth: str, shows: str | None, *, passes: bool
) -> None:
    certificates = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
    leaf = None if shows is None else _leaf(authority(shows))
    async with (
        backend() as (port, _),
        secured(
            route(port), certificates=certificates, tls={"client_auth": auth, **CLIENTS}
        ) as gateway,
    ):
        context = client_context(version=version, shows=leaf)
        if passes:
            stream = await connect(gateway.port, context=context)
            assert await exchange(stream) == (200, b"ok")
        else:
            # In TLS 1.3 the client only learns it with its first read.
            with pytest.raises(trio.BrokenResourceError):
                await exchange(await connect(gateway.port, context=context))
            assert gateway.count("handshakes") == 0


async def test_without_strictness_an_unknown_client_certificate_is_taken() -> None:
    certificates = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
    tls = {"client_auth": "Need", "strict": False}
    async with (
        backend() as (port, _),
        secured(route(port), certificates=certificates, tls=tls) as gateway,
    ):
        context = client_context(shows=_leaf(authority("theirs")))
        assert await exchange(await connect(gateway.port, context=context)) == (200, b"ok")
        with pytest.raises(trio.BrokenResourceError):
            await exchange(await connect(gateway.port))


NAMED = {"client_auth": "Want", "trusted_cas": ["ca"]}


@pytest.mark.parametrize(
    ("tls", "named"),
    [
        ({"client_auth": "Want", "strict": True, "system_cas_for_clients": False}, True),
        ({"client_auth": "Need", "strict": True, "system_cas_for_clients": False}, True),
        (NAMED, True),
        (NAMED | {"strict": False, "system_cas_for_clients": True}, True),
        (NAMED | {"trusted_cas": ["revoked"]}, False),
        ({"client_auth": "Want", "strict": True, "system_cas_for_clients": True}, False),
        ({"client_auth": "Want", "strict": False, "system_cas_for_clients": False}, False),
    ],
)
async def test_clients_are_told_whose_certificates_count(
    tls: dict[str, Any], *, named: bool
) -> None:
    """Where others count too, no name is given: a client shows nothing to who does not name its issuer."""
    ca = authority()
    subject = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject.public_bytes()
    revoked = json.loads(ca_certificate(ca)) | {"revoked": True}
    certificates = {
        "one": certificate("a.test", ca=authority("others")),
        "ca": ca_certificate(ca),
        "revoked": json.dumps(revoked).encode(),
    }
    async with secured(certificates=certificates, tls=tls) as gateway:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # There the request for a certificate can be read on the way.
        context = client_context(version=ssl.TLSVersion.TLSv1_2, trusts=authority("others"))
        secure = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
        stream = await open_plain(gateway.port)
        with pytest.raises(ssl.SSLWantReadError):
            secure.do_handshake()
        await stream.send_all(outgoing.read())
        flight = b""
        while not flight.endswith(HELLO_DONE):
            flight += await stream.receive_some()
        assert (subject in flight) == named


HELLO_DONE = b"\x0e\x00\x00\x00"


async def test_a_handshake_byte_by_byte() -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = client_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
        stream = await open_plain(gateway.port)
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    await stream.send_all(bytes([byte]))
                incoming.write(await stream.receive_some(1))
        secure.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        for byte in outgoing.read():
            await stream.send_all(bytes([byte]))
        received = b""
        while not received.endswith(b"\r\n\r\nok"):
            incoming.write(await stream.receive_some(1))
            try:
                received += secure.read()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff" + b"x" * 10,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(70_000),
        bytes(100),
    ],
)
async def test_what_is_no_handshake_is_closed(opening: bytes) -> None:
    async with secured() as gateway:
        stream = await open_plain(gateway.port)
        try:
            await stream.send_all(opening)
            received = b""
            while data := await stream.receive_some():
                received += data
            assert received[:1] in (b"", b"\x15")
        except trio.BrokenResourceError:
            pass
        await until(lambda: gateway.busy == {})
        assert gateway.count("handshake_failures") == 1


async def test_a_silent_client_is_closed_in_time() -> None:
    async with secured(handshake_timeout_s=3) as gateway:
        stream = await open_plain(gateway.port)
        await until(lambda: gateway.count("accepted") == 1)
        gateway.pass_time(2.9)
        assert gateway.busy == {"connections": 1}
        gateway.pass_time(0.2)
        assert await stream.receive_some() == b""
        assert gateway.count("handshake_failures") == 1


async def test_the_end_is_said() -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        stream = await connect(gateway.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        received = b""
        # Without close_notify, ssl would raise here: https_compatible is off in a raw object.
        while data := await stream.receive_some():
            received += data
        assert received.endswith(b"ok")


async def test_pipelined_requests_in_one_record() -> None:
    async with backend() as (port, _), secured(route(port)) as gateway:
        stream = await connect(gateway.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n" * 20)
        received = b""
        while received.count(b"\r\n\r\nok") < 20:
            data = bytes(await stream.receive_some())
            assert data
            received += data


async def test_a_name_that_is_not_allowed_is_told_nicely() -> None:
    async with (
        backend() as (port, _),
        secured(route(port), tls={"creates_certificates": True}) as gateway,
        trio.open_nursery() as nursery,
    ):

        async def ask() -> None:
            stream = await connect(gateway.port, "bad.test")
            assert (await exchange(stream, "bad.test"))[0] == 404

        nursery.start_soon(ask)
        await until(lambda: gateway.wanted == ["bad.test"])
        gateway.told("bad.test", certificate("bad.test", common_name="NotAllowedCert"))


async def test_where_clients_need_a_certificate_nobody_gets_in_over_datagrams() -> None:
    async with secured() as gateway:

        def carry(client_auth: str) -> int:
            listener = gateway.engine.adopt_datagrams("udp", False, client_auth)
            return gateway.engine.carry(listener, "127.0.0.1", "a.test", gateway.now)

        for client_auth in ("None", "Want", "Dynamic"):
            assert carry(client_auth)
        with pytest.raises(ValueError, match="clients need a certificate"):
            carry("Need")
        gateway.change(settings={"client_auth": "Need"})
        with pytest.raises(ValueError, match="clients need a certificate"):
            carry("Dynamic")
        assert carry("None"), "what the listener says goes first"


async def test_a_connection_over_datagrams_whose_certificate_went_does_not_begin() -> None:
    async with secured() as gateway:
        engine = gateway.engine
        listener = engine.adopt_datagrams("udp", False)
        assert engine.carry(listener, "127.0.0.1", "a.test", gateway.now)
        gateway.change(one=None)
        with pytest.raises(ValueError, match="certificate is gone"):
            engine.carry(listener, "127.0.0.1", "a.test", gateway.now)
