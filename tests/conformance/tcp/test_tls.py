"""Ports that TLS ends at, or is passed through by server name; and targets that speak it."""

import ssl
from typing import Any

import pytest
import trio

from tests.conformance.http1.gateway import until
from tests.conformance.tcp.served import Target, TcpGateway, read_all, served, service, targets
from tests.conformance.tls.secure import authority, ca_certificate, certificate, client_context

Secure = trio.SSLStream[trio.SocketStream]


def server_context(name: str, *, wants: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
    """What a target that speaks TLS needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(name).configure_cert(context)
    authority().configure_trust(context)
    context.verify_mode = wants
    return context


def plain_context(**options: Any) -> ssl.SSLContext:
    context = client_context(**options)
    context.set_alpn_protocols([])
    return context


async def dial(gateway: TcpGateway, name: str, context: ssl.SSLContext | None = None) -> Secure:
    stream = await gateway.dial()
    return trio.SSLStream(stream, context or plain_context(), server_hostname=name)


async def answer(target: Target, name: str, **options: Any) -> Secure:
    """Take a connection that speaks TLS."""
    stream = await target.accept()
    return trio.SSLStream(stream, server_context(name, **options), server_side=True)


async def talk(client: trio.abc.Stream, target: trio.abc.Stream) -> None:
    """Say something both ways."""

    async def say(one: trio.abc.Stream) -> None:
        await one.send_all(b"ping")

    async def hear(one: trio.abc.Stream) -> None:
        assert bytes(await one.receive_some()) == b"ping"

    async with trio.open_nursery() as nursery:
        for one in (client, target):
            nursery.start_soon(say, one)
            nursery.start_soon(hear, one)


def by_name(*rules: tuple[str, int], **more: Any) -> dict[str, Any]:
    """A service with a rule for each name."""
    listed = [
        {"domain": domain, "targets": [{"host": "127.0.0.1", "port": port}]}
        for domain, port in rules
    ]
    return service(**{"rules": listed, "tls": "PassThrough", "sni": {"enabled": True}, **more})


def split(hello: bytes, most: int) -> bytes:
    """The same first message in records of so many bytes."""
    message = hello[5:]
    parts = (message[at : at + most] for at in range(0, len(message), most))
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


def hello_of(name: str) -> bytes:
    """The first message of a client that asks for a name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = plain_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        secure.do_handshake()
    return outgoing.read()


async def test_names_choose_targets_and_tls_ends_there() -> None:
    async with (
        targets(2) as some,
        served(by_name(("a.test", some[0].port), ("*.b.test", some[1].port))) as gateway,
    ):
        for name, target in (("a.test", some[0]), ("x.b.test", some[1])):
            client = await dial(gateway, name)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.do_handshake)
                server = await answer(target, name)
                await server.do_handshake()
            await talk(client, server)
            await trio.aclose_forcefully(client)
            await trio.aclose_forcefully(server)
        await gateway.settled()
        assert [record[8] for record in gateway.records()] == ["a.test", "x.b.test"]


async def test_a_handshake_that_fails_is_told_with_its_port_and_client() -> None:
    stored = {"c": certificate("a.test")}
    async with (
        targets() as some,
        served(service(*some.ports, tls="Enabled"), certificates=stored) as gateway,
    ):
        old = plain_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("AES128-GCM-SHA256")  # without forward secrecy
        with pytest.raises(trio.BrokenResourceError):
            await (await dial(gateway, "a.test", old)).do_handshake()
        await gateway.settled()
        told = f"a client of a TCP service: port {gateway.port}, client 127.0.0.1: "
        assert told in gateway.notices[0]


@pytest.mark.parametrize("most", [1, 7, 100])
async def test_a_first_message_in_pieces_arrives_as_it_was_sent(most: int) -> None:
    whole = split(hello_of("a.test"), most)
    async with targets() as some, served(by_name(("a.test", some[0].port))) as gateway:
        client = await gateway.dial()
        for at in range(0, len(whole), 3 * most):
            await client.send_all(whole[at : at + 3 * most])
            gateway.turn()
        await client.send_eof()
        assert await read_all(await some[0].accept()) == whole
        await client.aclose()


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_an_address_is_no_name(address: str) -> None:
    # Of the same length, as the lengths around it are told too.
    name = "x" * (len(address) - 5) + ".test"
    whole = hello_of(name).replace(name.encode(), address.encode())
    async with (
        targets(2) as some,
        served(by_name((address, some[0].port), ("*", some[1].port))) as gateway,
    ):
        client = await gateway.dial()
        await client.send_all(whole)
        await client.send_eof()
        server = await some[1].accept()
        assert await read_all(server) == whole
        await server.aclose()
        assert await read_all(client) == b""
        await gateway.settled()
        assert [record[8] for record in gateway.records()] == [None]


@pytest.mark.parametrize("forwards", [False, True])
async def test_a_name_without_a_rule_goes_nowhere_or_where_the_rest_goes(forwards: bool) -> None:
    async with targets(2) as some:
        rest = {"host": "127.0.0.1", "port": some[1].port}
        sni = {"enabled": True, "forwardIfNoMatch": forwards, "forwardsTo": rest}
        async with served(by_name(("a.test", some[0].port), sni=sni)) as gateway:
            client = await dial(gateway, "c.test")
            if forwards:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.do_handshake)
                    server = await answer(some[1], "c.test")
                    await server.do_handshake()
                await talk(client, server)
            else:
                with pytest.raises(trio.BrokenResourceError) as refused:
                    await client.do_handshake()
                assert "UNRECOGNIZED_NAME" in str(refused.value.__cause__)
            await trio.aclose_forcefully(client)


@pytest.mark.parametrize(
    "opening",
    [
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\0\x04\x01\xff\xff\xff",
    ],
    ids=["no TLS", "a record too long", "a message too long"],
)
async def test_what_is_no_first_message_is_refused(opening: bytes) -> None:
    async with targets() as some, served(by_name(("*", some[0].port))) as gateway:
        client = await gateway.dial()
        await client.send_all(opening)
        assert await read_all(client) == bytes.fromhex("15030300020232")
        assert gateway.count("tcp_refused") == 1
        await client.aclose()


async def test_a_slow_first_message_is_not_waited_for() -> None:
    async with (
        targets() as some,
        served(by_name(("*", some[0].port)), handshake_timeout_s=3.0) as gateway,
    ):
        client = await gateway.dial()
        await until(lambda: gateway.count("tcp_accepted") == 1)
        for byte in hello_of("a.test")[:4]:
            await client.send_all(bytes([byte]))
            gateway.turn()
            gateway.pass_time(1.0)
        assert await read_all(client) == b""
        assert gateway.last_error() == "the client took too long"
        await client.aclose()


async def test_tls_ends_here_and_the_target_sees_what_is_in_it() -> None:
    many = bytes(range(256)) * 4096
    shown = {"one": certificate("a.test")}
    async with (
        targets() as some,
        served(by_name(("a.test", some[0].port), tls="Enabled"), certificates=shown) as gateway,
    ):
        client = await dial(gateway, "a.test")
        await client.do_handshake()
        server = await some[0].accept()
        await talk(client, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, many)
            got = b""
            while len(got) < len(many):
                got += bytes(await client.receive_some())
        assert got == many
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, many)
            got = b""
            while len(got) < len(many):
                got += bytes(await server.receive_some())
        assert got == many
        await trio.aclose_forcefully(client)
        unknown = await dial(gateway, "c.test")
        with pytest.raises(trio.BrokenResourceError):
            await unknown.do_handshake()


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["postgresql"], "postgresql"), (["h2", "http/1.1"], None)]
)
async def test_the_one_protocol_that_is_offered_is_agreed_on(
    offered: list[str], agreed: str | None
) -> None:
    shown = {"one": certificate("a.test")}
    async with (
        targets() as some,
        served(by_name(("*", some[0].port), tls="Enabled"), certificates=shown) as gateway,
    ):
        context = client_context()
        context.set_alpn_protocols(offered)
        client = await dial(gateway, "a.test", context)
        await client.do_handshake()
        assert client.selected_alpn_protocol() == agreed
        await trio.aclose_forcefully(client)


@pytest.mark.parametrize(("auth", "shows", "works"), [
    ("Need", True, True), ("Need", False, False), ("Want", False, True), ("None", True, True),
])  # fmt: skip
async def test_clients_show_certificates_where_they_must(
    auth: str, shows: bool, works: bool
) -> None:
    stored = {"one": certificate("a.test"), "ca": ca_certificate(authority())}
    tls = {"system_cas_for_clients": False}
    async with (
        targets() as some,
        served(
            by_name(("*", some[0].port), tls="Enabled", clientAuth=auth),
            certificates=stored,
            tls=tls,
        ) as gateway,
    ):
        leaf = authority().issue_cert("jo@a.test") if shows else None
        context = plain_context(shows=leaf)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client = await dial(gateway, "a.test", context)
        if works:
            await client.do_handshake()
            await talk(client, await some[0].accept())
        else:
            with pytest.raises(trio.BrokenResourceError):
                await client.do_handshake()
            assert gateway.count("handshake_failures") == 1
        await trio.aclose_forcefully(client)


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_target_speaks_tls_and_asks_for_a_certificate(is_trusted: bool) -> None:
    stored = {
        "mine": certificate("gateway.test"),
        "ca": ca_certificate(authority("ours" if is_trusted else "theirs")),
    }
    async with targets() as some:
        target = {
            "host": "db.test",
            "ip": "127.0.0.1",
            "port": some[0].port,
            "tls": True,
            "mtlsConfig": {"mtls": True, "certs": ["mine"], "trustedCerts": ["ca"]},
        }
        proxy = {"proxyProtocol": {"send": "V1"}}
        one = service(rules=[{"domain": "*", "targets": [target]}], settings=proxy)
        tls = {"system_cas_for_backends": False}
        async with served(one, certificates=stored, tls=tls) as gateway:
            client = await gateway.dial()
            stream = await some[0].accept()
            # In front of TLS, not inside it.
            line = b""
            while not line.endswith(b"\r\n"):
                line += await stream.receive_some(1)
            assert line.startswith(b"PROXY TCP4 127.0.0.1 ")
            context = server_context("db.test", wants=ssl.CERT_REQUIRED)
            server = trio.SSLStream(stream, context, server_side=True)
            if is_trusted:
                await server.do_handshake()
                await talk(client, server)
            else:
                with pytest.raises(trio.BrokenResourceError):
                    await server.do_handshake()
                assert await read_all(client) == b""
                assert "UnknownIssuer" in gateway.notices[0]
            await client.aclose()
