"""An upgraded connection is a tunnel: bytes both ways, unread, each direction with its own end."""

import pytest

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway
from tests.conformance.http1.upstream import OK, Upstream
from tests.conformance.http1.wire import Wire

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GOING_AWAY = b"\x88\x1b\x03\xe9the gateway is going away"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_bytes_pass_both_ways_unread() -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        assert gateway.busy == {"connections": 1, "tunnels": 1}
        for data in (b"\0\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 400):
            await client.send(data)
            assert await backend.read_exactly(len(data)) == data
            await backend.send(data)
            assert await client.read_exactly(len(data)) == data
        await client.close()
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()


async def test_what_was_sent_early_belongs_to_the_tunnel() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(UPGRADE + b"from the client")
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        assert backend.held == b"", "nothing of it before the backend agreed"
        await backend.send(SWITCH + b"from the backend")
        assert await client.read_until(b"\r\n\r\n") == SWITCH_AS_SENT
        assert await client.read_exactly(16) == b"from the backend"
        assert await backend.read_exactly(15) == b"from the client"
        await client.close()
        await backend.close()
        await gateway.settled()


async def test_each_side_may_end_first_and_still_be_told_the_rest() -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        await client.finish()
        assert await backend.read_to_end() == b""
        await backend.send(b"the rest")
        assert await client.read_exactly(8) == b"the rest"
        await backend.close()
        assert await client.read_to_end() == b""
        await client.close()
        await gateway.settled()


@pytest.mark.parametrize("size", [8, 1_000_000])
async def test_last_words_of_a_client_reach_a_backend_that_ended_first(size: int) -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        await backend.finish()
        assert await client.read_to_end() == b""
        sent = client.send_and_close_at_once(b"x" * size)
        assert len(await backend.read_to_end()) == sent > 0
        await backend.close()
        await gateway.settled()


@pytest.mark.parametrize("said", [b"", b"\x81\x02hi", b"\x81\x05hi"])
@pytest.mark.parametrize("drains", ["before", "behind"])
async def test_a_drain_takes_no_client_from_a_backend_that_ended_first(
    said: bytes, drains: str
) -> None:
    is_told = drains == "before" and said != b"\x81\x05hi"  # the last is no whole frame
    async with fronting() as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        await backend.send(said)
        assert await client.read_exactly(len(said)) == said
        if drains == "before":
            gateway.engine.drain(gateway.now)
            assert await client.read_exactly(len(GOING_AWAY) * is_told) == GOING_AWAY * is_told
        await backend.finish()
        assert await client.read_to_end() == b""
        if drains == "behind":
            gateway.engine.drain(gateway.now)
        for word in (b"it", b"goes", b"on"):
            await client.send(word)
            assert await backend.read_exactly(len(word)) == word
        assert gateway.busy == {"connections": 1, "tunnels": 1}
        await client.close()
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()


@pytest.mark.parametrize("who", ["client", "backend"])
async def test_a_reset_ends_the_other_side(who: str) -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        left, right = (client, backend) if who == "client" else (backend, client)
        left.reset()
        assert await right.read_to_end() == b""
        await right.close()
        await gateway.settled()


async def test_a_backend_that_declines_answers_as_ever() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(UPGRADE)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.send(UPGRADE)
        await backend.read_request()
        await client.close()
        await backend.close()


@pytest.mark.parametrize("head", [b"Upgrade: websocket\r\n", b"Connection: close\r\n"])
async def test_a_change_that_the_backend_does_not_announce_is_refused(head: bytes) -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(UPGRADE)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 101 Switching Protocols\r\n" + head + b"\r\n")
        assert (await client.read_response()).status == 502
        await client.close()
        await backend.close()


async def test_a_silent_tunnel_ends_and_one_that_speaks_does_not() -> None:
    async with fronting(tunnel_idle_s=100) as (gateway, upstream):
        client, backend = await tunnel(gateway, upstream)
        for _ in range(5):
            gateway.pass_time(90)
            await backend.send(b"x")
            assert await client.read_exactly(1) == b"x"
        gateway.pass_time(101)
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()
        await gateway.settled()


SWITCH_AS_SENT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)


async def tunnel(gateway: Gateway, upstream: Upstream) -> tuple[Wire, Wire]:
    """Both ends of an upgraded connection."""
    client = await gateway.client()
    await client.send(UPGRADE)
    backend = await upstream.accept()
    await backend.read_until(b"\r\n\r\n")
    await backend.send(SWITCH)
    assert await client.read_until(b"\r\n\r\n") == SWITCH_AS_SENT
    return client, backend
