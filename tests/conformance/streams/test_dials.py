"""Connections over QUIC, up to where somebody would make them."""

import pytest

from oto_trio._core import FieldBlock, Snapshot
from oto_trio.gateway.engine import CALL, DIAL, LOST, NOTICE, RESOLVE
from tests.conformance.http1.gateway import route
from tests.conformance.streams.caller import GET, calling


async def test_a_connection_is_asked_for_once_and_shared() -> None:
    async with calling() as caller:
        target = {**caller.target, "protocol": "HTTP/3.0"}
        caller.engine.install(Snapshot().apply([route(targets=[target])], []))
        clients = [await caller.client(GET) for _ in range(3)]
        conn, to, name, shown = await caller.told(DIAL)
        assert (to, name, shown) == (("127.0.0.1", target["port"]), "127.0.0.1", None)
        with pytest.raises(ValueError, match="no certificate"):
            caller.engine.check_backend(conn, name, [])
        caller.engine.dialled(conn, 3, caller.now)
        assert caller.engine.backend_of(conn) == f"127.0.0.1:{target['port']}"
        for _ in clients:
            called, stream, fields, ends = await caller.told(CALL)
            assert (called, ends) == (conn, True)
            assert (b":scheme", b"https") in list(fields)
            assert not fields.get(b":client")
            caller.engine.answer_head(stream, FieldBlock([(":status", "204")]), caller.now)
            caller.engine.feed(stream, b"", True, caller.now)
        for client in clients:
            answer = await caller.hears(client, b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 204 ")
        assert not caller.values(DIAL)


async def test_a_connection_that_cannot_be_made_fails_all_that_wait_for_it() -> None:
    async with calling() as caller:
        target = {**caller.target, "protocol": "HTTP/3.0"}
        caller.engine.install(Snapshot().apply([route(targets=[target])], []))
        client = await caller.client(GET)
        conn, *_ = await caller.told(DIAL)
        caller.engine.dial_failed(conn, "nobody is there", False, caller.now)
        where = f"route r, target 127.0.0.1:{target['port']}"
        assert await caller.told(NOTICE) == f"QUIC to a backend: {where}: nobody is there"
        answer = await caller.hears(client, b"}")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"refused" in answer


async def test_a_connection_that_takes_too_long_is_wanted_no_more() -> None:
    async with calling() as caller:
        target = {**caller.target, "protocol": "HTTP/3.0"}
        caller.engine.install(Snapshot().apply([route(targets=[target])], []))
        client = await caller.client(GET)
        conn, *_ = await caller.told(DIAL)
        caller.pass_time(60)
        assert await caller.told(LOST) == conn
        assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 504 ")


async def test_a_name_is_tried_at_its_other_addresses() -> None:
    async with calling() as caller:
        target = {"hostname": "b.test", "port": 443, "protocol": "HTTP/3.0"}
        caller.engine.install(Snapshot().apply([route(targets=[target])], []))
        client = await caller.client(GET)
        assert await caller.told(RESOLVE) == "b.test"
        addresses = ["192.0.2.1", "192.0.2.2"]
        caller.events += caller.engine.resolved("b.test", addresses, caller.now)
        asked: set[str] = set()
        for _ in addresses:
            conn, (address, _port), *_ = await caller.told(DIAL)
            asked.add(address)
            caller.engine.dial_failed(conn, "nobody is there", False, caller.now)
        assert asked == set(addresses)
        assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 502 ")
