"""Ports that pass bytes on as they come: both ways, to their ends, within their bounds."""

import os

import pytest
import trio

from tests.conformance.http1.gateway import until
from tests.conformance.tcp.served import read_all, served, service, targets


async def exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """Read so many bytes."""
    got = b""
    while len(got) < count:
        part = bytes(await stream.receive_some())
        assert part, f"an end after {got!r}"
        got += part
    return got


async def test_a_server_may_speak_first_and_each_side_ends_for_itself() -> None:
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        await target.send_all(b"220 welcome")
        assert await exactly(client, 11) == b"220 welcome"
        await client.send_all(b"all I have")
        await client.send_eof()
        assert await read_all(target) == b"all I have"
        await target.send_all(b"still here")
        assert await exactly(client, 10) == b"still here"
        await target.aclose()
        assert await read_all(client) == b""
        await gateway.settled()
        (record,) = gateway.records()
        assert record[3:6] == ["s", "a service", f"127.0.0.1:{some[0].port}"]
        assert record[9:] == [10, 21, None]
        await client.aclose()


async def test_what_is_open_when_the_gateway_ends_is_told() -> None:
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        await client.send_all(b"hello")
        assert await exactly(target, 5) == b"hello"
        gateway.engine.close()
        (record,) = gateway.records()
        assert record[3:6] == ["s", "a service", f"127.0.0.1:{some[0].port}"]
        assert record[9:] == [5, 0, "the gateway ended"]
        assert gateway.engine.in_flight()["connections"] == 0
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()


async def test_much_goes_both_ways_at_once_unchanged() -> None:
    many = os.urandom(1 << 20) * 24
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        got: dict[str, bytes] = {}

        async def send(stream: trio.SocketStream) -> None:
            await stream.send_all(many)
            await stream.send_eof()

        async def receive(name: str, stream: trio.SocketStream) -> None:
            got[name] = await read_all(stream)

        async with trio.open_nursery() as nursery:
            for name, stream in (("client", client), ("target", target)):
                nursery.start_soon(send, stream)
                nursery.start_soon(receive, name, stream)
        assert got["client"] == many
        assert got["target"] == many
        await gateway.settled()
        assert gateway.count("tcp_bytes_in") == gateway.count("tcp_bytes_out") == len(many)
        await client.aclose()


async def test_a_slow_reader_holds_its_sender_back() -> None:
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await client.send_all(bytes(65536))
                sent += 65536
        # Kernel buffers of four sockets and a pipe, and not what a sender without end sends.
        assert 0 < sent < 64 << 20
        await client.send_eof()
        assert len(await read_all(target)) >= sent
        await target.aclose()
        await client.aclose()


async def test_a_reset_is_no_end() -> None:
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        await client.send_all(b"half of")
        assert await exactly(target, 7) == b"half of"
        client.socket.setsockopt(
            trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
        )
        client.socket.close()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(target)
        await gateway.settled()
        assert gateway.last_error() == "the client left"


async def test_targets_take_turns_and_a_dead_one_is_passed_over() -> None:
    async with targets(3) as some, served(service(*some.ports)) as gateway:
        await some[1].aclose()
        clients = [await gateway.dial() for _ in range(6)]
        for client in clients:
            await client.send_all(b"x")
        for _ in range(2):
            assert await exactly(await some[0].accept(), 1) == b"x"
        for _ in range(4):
            assert await exactly(await some[2].accept(), 1) == b"x"
        assert gateway.count("upstream_failures") == 2
        told = f"target of a TCP service: service s, target 127.0.0.1:{some[1].port}: "
        assert gateway.notices[0].startswith(told)
        assert "refused" in gateway.notices[0]
        for client in clients:
            await client.aclose()


async def test_without_a_target_the_connection_ends() -> None:
    async with targets() as some:
        await some[0].aclose()
        async with served(service(*some.ports)) as gateway:
            client = await gateway.dial()
            assert await read_all(client) == b""
            assert gateway.last_error() == "no target could be reached"
            await client.aclose()


async def test_a_name_is_resolved_and_one_that_is_none_is_passed_over() -> None:
    async with targets() as some:
        hosts = [{"host": "no.test", "port": 1}, {"host": "db.test", "port": some[0].port}]
        one = service(rules=[{"domain": "*", "targets": hosts}])
        async with served(one) as gateway:
            client = await gateway.dial()
            await until(lambda: gateway.wanted_hosts == ["no.test"])
            gateway.note(gateway.engine.resolved("no.test", [], gateway.now))
            await until(lambda: gateway.wanted_hosts == ["no.test", "db.test"])
            gateway.note(gateway.engine.resolved("db.test", ["127.0.0.1"], gateway.now))
            gateway.turn()
            await client.send_all(b"x")
            assert await exactly(await some[0].accept(), 1) == b"x"
            await client.aclose()


async def test_an_address_that_refuses_is_passed_over_for_the_next_one() -> None:
    async with targets() as some:
        hosts = [{"host": "both.test", "port": some[0].port}]
        async with served(service(rules=[{"domain": "*", "targets": hosts}])) as gateway:
            clients = [await gateway.dial()]
            await until(lambda: gateway.wanted_hosts == ["both.test"])
            addresses = ["127.0.0.1", "127.0.0.2", "::1"]
            gateway.note(gateway.engine.resolved("both.test", addresses, gateway.now))
            gateway.turn()
            clients += [await gateway.dial() for _ in range(3)]
            for client in clients:
                await client.send_all(b"x")
                assert await exactly(await some[0].accept(), 1) == b"x"
                await client.aclose()


@pytest.mark.parametrize(
    ("bound", "error"),
    [
        ({"maxBytesIn": 10}, "the client sent too much"),
        ({"maxBytesOut": 10}, "the target sent too much"),
    ],
)
async def test_the_byte_after_the_last_one_allowed_ends_the_connection(
    bound: dict[str, int], error: str
) -> None:
    async with targets() as some, served(service(*some.ports, settings=bound)) as gateway:
        for extra, expected in ((b"", None), (b"!", error)):
            client = await gateway.dial()
            target = await some[0].accept()
            sender, receiver = (client, target) if "maxBytesIn" in bound else (target, client)
            await sender.send_all(b"0123456789")
            assert await exactly(receiver, 10) == b"0123456789"
            if extra:
                await sender.send_all(extra)
                with pytest.raises(trio.BrokenResourceError):
                    await read_all(receiver)
            await client.aclose()
            await target.aclose()
            await gateway.settled()
            assert gateway.last_error() == expected


async def test_time_is_bounded_while_nothing_moves_and_in_all() -> None:
    times = {"idleTimeout": 5000, "totalTimeout": 12000}
    async with targets() as some, served(service(*some.ports, settings=times)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        for _ in range(2):
            gateway.pass_time(4.0)
            await client.send_all(b"x")
            assert await exactly(target, 1) == b"x"
        gateway.pass_time(4.5)
        await gateway.settled()
        assert gateway.last_error() == "the connection lasted too long"
        client = await gateway.dial()
        target = await some[0].accept()
        await client.send_all(b"x")
        assert await exactly(target, 1) == b"x"
        gateway.pass_time(5.5)
        await gateway.settled()
        assert gateway.last_error() == "nothing moved for too long"


async def test_connections_beyond_their_number_are_refused_until_one_ends() -> None:
    bound = {"maxConnections": 2}
    async with targets() as some, served(service(*some.ports, settings=bound)) as gateway:
        kept = [await gateway.dial() for _ in range(2)]
        for client in kept:
            await client.send_all(b"x")
            await exactly(await some[0].accept(), 1)
        third = await gateway.dial()
        assert await read_all(third) == b""
        assert gateway.last_error() == "too many connections"
        await some[0].taken[0].aclose()
        await kept[0].aclose()
        await until(lambda: gateway.count("tcp_connections") == 1)
        fourth = await gateway.dial()
        await fourth.send_all(b"y")
        assert await exactly(await some[0].accept(), 1) == b"y"
        for stream in (kept[1], third, fourth):
            await stream.aclose()


@pytest.mark.parametrize(
    ("lists", "is_let_in"),
    [
        ({"allowed": ["127.0.0.0/8"]}, True),
        ({"allowed": ["10.0.0.0/8"]}, False),
        ({"blocked": ["127.0.0.1"]}, False),
        ({"blocked": ["10.*"]}, True),
    ],
)
async def test_addresses_are_let_in_by_the_lists(
    lists: dict[str, list[str]], is_let_in: bool
) -> None:
    async with targets() as some, served(service(*some.ports, settings=lists)) as gateway:
        client = await gateway.dial()
        if is_let_in:
            await client.send_all(b"x")
            assert await exactly(await some[0].accept(), 1) == b"x"
        else:
            assert await read_all(client) == b""
            assert gateway.last_error() == "the address is not let in"
        await client.aclose()


async def test_a_released_listener_accepts_no_more_and_its_connections_go_on() -> None:
    async with targets() as some, served(service(*some.ports)) as gateway:
        client = await gateway.dial()
        target = await some[0].accept()
        gateway.note(gateway.engine.release(1, gateway.now))
        late = await gateway.dial()
        await client.send_all(b"x")
        assert await exactly(target, 1) == b"x"
        assert gateway.count("tcp_accepted") == 1
        await late.aclose()
        await client.aclose()
