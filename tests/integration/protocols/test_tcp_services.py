"""TCP services through a whole gateway with two workers: real clients and servers, and live changes."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trio
import trustme

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.backends import serving
from tests.integration.clients import admin, eventually
from tests.integration.ports import free_port, free_ports, is_open
from tests.integration.stores.redis_server import redis_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx

    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

SERVICES = "/apis/proxy.otoroshi.io/v1/tcp-services"
APPLIED = {"wait": "applied"}


def service(port: int, *targets: int, **more: Any) -> dict[str, Any]:
    """A service at a port, to targets on these ports."""
    return {
        "name": "s",
        "description": "",
        "enabled": True,
        "port": port,
        "interface": "127.0.0.1",
        "rules": [
            {"domain": "*", "targets": [{"host": "127.0.0.1", "port": to} for to in targets]}
        ],
        **more,
    }


async def put(api: httpx.AsyncClient, name: str, document: dict[str, Any]) -> None:
    """Create or replace a service, and wait until it is live."""
    body = {"id": name, **document}
    answer = await api.post(f"{SERVICES}/{name}", params=APPLIED, json=body)
    assert answer.status_code in {200, 201}, answer.text
    assert answer.headers["Oto-Trio-Applied"] == "true"


@asynccontextmanager
async def echo(mark: bytes) -> AsyncGenerator[int]:
    """A server that says who it is, and then what it hears."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(mark)
        async for data in stream:
            await stream.send_all(bytes(data))

    async with serving(serve) as port:
        yield port


async def hears(stream: trio.SocketStream, text: bytes) -> bool:
    """Say something and hear it again."""
    await stream.send_all(text)
    got = b""
    while len(got) < len(text):
        part = await stream.receive_some()
        if not part:
            return False
        got += part
    return got == text


async def said(port: int, count: int = 1) -> tuple[bytes, trio.SocketStream]:
    """Connect, and read what the server says first."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    return bytes(await stream.receive_some(count)), stream


def certificate(ca: trustme.CA, *names: str) -> dict[str, Any]:
    leaf = ca.issue_cert(*names)
    return {
        "id": "cert_tcp",
        "name": "tcp",
        "description": "",
        "domain": names[0],
        "chain": "".join(part.bytes().decode() for part in leaf.cert_chain_pems),
        "privateKey": leaf.private_key_pem.bytes().decode(),
    }


async def test_a_service_comes_and_goes_without_a_word_to_the_others(tmp_path: Path) -> None:
    async with (
        echo(b"1") as one,
        echo(b"2") as two,
        gateway_process("--workers", "2", data=tmp_path) as gateway,
        admin(gateway) as api,
    ):
        first, second = free_ports(2)
        assert not await is_open(first)
        await put(api, "tcp_a", service(first, one))
        mark, kept = await said(first)
        assert mark == b"1"
        # On each of many connections, whichever worker takes them.
        await put(api, "tcp_b", service(second, two))
        for _ in range(8):
            mark, stream = await said(second)
            assert mark == b"2"
            await stream.aclose()
        # Other targets: the connection that is there stays where it is.
        await put(api, "tcp_a", service(first, two))
        mark, stream = await said(first)
        assert mark == b"2"
        await stream.aclose()
        assert await hears(kept, b"still the first")
        # Another port: the old one is closed, its connections are not.
        third = free_port()
        await put(api, "tcp_a", service(third, two))
        assert not await is_open(first)
        mark, stream = await said(third)
        assert mark == b"2"
        assert await hears(kept, b"after its port went")
        await put(api, "tcp_b", service(second, two, enabled=False))
        assert not await is_open(second)
        answer = await api.delete(f"{SERVICES}/tcp_a", params=APPLIED)
        assert answer.status_code == 200
        assert not await is_open(third)
        assert await hears(stream, b"after its service went")
        for one_of_them in (kept, stream):
            await one_of_them.aclose()


async def test_each_connection_is_a_line_of_the_access_log(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    arguments = ("--workers", "2", "--access-log", str(log))
    async with (
        echo(b"1") as one,
        gateway_process(*arguments, data=tmp_path / "data") as gateway,
        admin(gateway) as api,
    ):
        port, dead = free_ports(2)
        await put(api, "tcp_a", service(port, one))
        mark, stream = await said(port)
        assert mark == b"1"
        assert await hears(stream, b"hello")
        await stream.aclose()
        await put(api, "tcp_a", service(port, dead))
        mark, stream = await said(port)
        assert mark == b""
        await stream.aclose()

        async def are_written() -> bool:
            return log.read_text().count("\n") >= 2

        await eventually(are_written)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines.sort(key=lambda line: line["time"])
    told = ("ip", "protocol", "port", "service", "name", "server_name", "bytes_in", "bytes_out")
    reached, lost = ([line[name] for name in told] for line in lines)
    where: list[object] = ["127.0.0.1", "tcp", port, "tcp_a", "s", None]
    assert reached == [*where, 5, 6]
    assert lost == [*where, 0, 0]
    ends = [(line["target"], line["end"]) for line in lines]
    assert ends == [
        (f"127.0.0.1:{one}", "both sides are done"),
        (None, "no target could be reached"),
    ]


async def test_a_connection_that_the_end_of_the_gateway_cuts_off_is_a_line_too(
    tmp_path: Path,
) -> None:
    log = tmp_path / "access.log"
    arguments = ("--workers", "1", "--access-log", str(log), "--drain-timeout", "0.1")
    async with (
        echo(b"1") as target,
        gateway_process(*arguments, data=tmp_path / "data") as gateway,
        admin(gateway) as api,
    ):
        port = free_port()
        await put(api, "tcp_a", service(port, target))
        _, stream = await said(port)
        assert await hears(stream, b"hello")
        gateway.signal(signal.SIGTERM)
        assert await gateway.wait() == 0
        await stream.aclose()
    (line,) = [json.loads(line) for line in log.read_text().splitlines()]
    told = [line[name] for name in ("service", "target", "bytes_in", "bytes_out", "end")]
    assert told == ["tcp_a", f"127.0.0.1:{target}", 5, 6, "the gateway ended"]


async def test_a_port_in_use_is_told_and_tried_again_and_new_workers_get_what_there_is(
    tmp_path: Path,
) -> None:
    async with (
        echo(b"1") as one,
        gateway_process("--workers", "2", data=tmp_path) as gateway,
        admin(gateway) as api,
    ):
        # No port that the kernel may give to a client's connection once it is free.
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            await put(api, "tcp_a", service(port, one))
            line = await gateway.wait_for_log(f"tcp:127.0.0.1:{port} does not listen")
            assert "another process listens there" in line["message"]
        await gateway.wait_for_log(f"tcp:127.0.0.1:{port} listens")
        mark, kept = await said(port)
        assert mark == b"1"
        before = gateway.workers()
        gateway.signal(signal.SIGUSR2)
        await kept.aclose()
        await gateway.wait_for_log("workers replaced in")
        assert not set(before) & set(gateway.workers())
        for _ in range(8):
            mark, stream = await said(port)
            assert mark == b"1"
            await stream.aclose()
        # What came while they were there goes with them gone, too.
        await put(api, "tcp_a", service(port, one, enabled=False))
        assert not await is_open(port)


async def test_postgresql_and_redis_talk_through_raw_ports_and_by_name(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    ca = trustme.CA()
    trust = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(trust)
    async with (
        redis_server(tmp_path) as redis,
        gateway_process("--workers", "2", data=tmp_path / "data") as gateway,
        admin(gateway) as api,
    ):
        raw, named = free_ports(2)
        await put(api, "tcp_pg", service(raw, postgres.port))
        answer = await api.post("/api/certificates", json=certificate(ca, "*.data.test"))
        assert answer.status_code in {200, 201}, answer.text
        rules = [
            {"domain": "redis.data.test", "targets": [{"host": "127.0.0.1", "port": redis.port}]},
            {"domain": "pg.data.test", "targets": [{"host": "127.0.0.1", "port": postgres.port}]},
        ]
        by_name = service(named, rules=rules, tls="Enabled", sni={"enabled": True})
        await put(api, "tcp_named", by_name)

        def ask_postgres() -> int:
            where = postgres.url().replace(f":{postgres.port}/", f":{raw}/")
            with psycopg.connect(where, autocommit=True) as connection:
                rows = connection.execute(
                    "SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i"
                )
                return sum(len(row[1]) for row in rows)

        assert await trio.to_thread.run_sync(ask_postgres) == 5_000_000

        done = await trio.run_process(
            [
                *(
                    "redis-cli",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(named),
                    "--tls",
                    "--cacert",
                    str(trust),
                ),
                *("--sni", "redis.data.test", "SET", "k", "v"),
            ],
            capture_stdout=True,
        )
        assert done.stdout.strip() == b"OK"
        assert await redis.command("GET", "k") == "v"

        context = ssl.create_default_context(cafile=str(trust))
        stream = await trio.open_tcp_stream("127.0.0.1", named)
        secure = trio.SSLStream(stream, context, server_hostname="pg.data.test")
        # A request for TLS inside TLS: the server is asked, and says no.
        await secure.send_all(bytes.fromhex("0000000804d2162f"))
        assert await secure.receive_some(1) == b"N"
        await trio.aclose_forcefully(secure)
        metrics = (await api.get("/metrics?format=json")).text
        assert "otoroshi.tcp.accepted" in metrics
