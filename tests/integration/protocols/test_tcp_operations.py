"""TCP services as an operator sees them: PostgreSQL over TLS, events, global lists of addresses, and the drain."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trio
import trustme

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin, eventually, eventually_is
from tests.integration.events import EXPORTERS, events_in, exporter
from tests.integration.ports import free_ports, is_open
from tests.integration.protocols.test_tcp_services import (
    certificate,
    echo,
    hears,
    put,
    said,
    service,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

NAME = "pg.data.test"


def tcp_events(path: Path, port: int) -> list[dict[str, Any]]:
    events = (event for event in events_in(path) if event["@type"] == "TcpEvent")
    return [event for event in events if event["port"] == port]


async def check_events(path: Path, named: int, target: int) -> None:
    """An event each, once it has ended."""

    async def are_told() -> bool:
        return len(tcp_events(path, named)) == 2

    await eventually(are_told)
    served, refused = sorted(tcp_events(path, named), key=lambda event: event["gwError"] or "")
    assert (served["to"], served["@serviceId"]) == (f"{NAME}:{named}", "tcp_pg")
    assert served["gwError"] is None
    assert served["target"] == f"127.0.0.1:{target}"
    assert served["remote"].startswith("127.0.0.1:")
    assert served["data"]["dataIn"] > 0
    assert served["data"]["dataOut"] > 0
    assert (refused["service"], refused["target"]) == (None, "")
    assert refused["gwError"] == "no TLS"


async def shut_out(api: httpx.AsyncClient, *addresses: str) -> None:
    """Let nobody of these addresses in."""
    config = (await api.get("/api/globalconfig")).json()
    config["ipFiltering"] = {"whitelist": [], "blacklist": list(addresses)}
    done = await api.put("/api/globalconfig", json=config, params={"wait": "applied"})
    assert done.status_code == 200, done.text


async def test_an_operator_sees_shuts_out_and_drains_connections(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    ca = trustme.CA()
    trust, path = tmp_path / "ca.pem", tmp_path / "events.log"
    ca.cert_pem.write_to_path(trust)
    named, plain = free_ports(2)
    async with (
        echo(b"e") as target,
        gateway_process("--workers", "2", data=tmp_path / "data") as gateway,
        admin(gateway) as api,
    ):
        made = await api.post(EXPORTERS, json=exporter("e", config={"path": str(path)}))
        assert made.status_code == 201, made.text
        made = await api.post("/api/certificates", json=certificate(ca, "*.data.test"))
        assert made.status_code in {200, 201}, made.text
        rules = [{"domain": NAME, "targets": [{"host": "127.0.0.1", "port": postgres.port}]}]
        await put(api, "tcp_pg", service(named, rules=rules, tls="Enabled", sni={"enabled": True}))
        await put(api, "tcp_echo", service(plain, target))

        # TLS from the first byte, whose server name chooses the rule; it ends at the gateway.
        connect = partial(
            psycopg.connect,
            *(postgres.url(),),
            host=NAME,
            hostaddr="127.0.0.1",
            port=named,
            sslmode="verify-full",
            sslrootcert=str(trust),
            connect_timeout=60,
        )

        def ask() -> int:
            with connect(sslnegotiation="direct") as connection:
                assert connection.pgconn.ssl_in_use
                row = connection.execute("SELECT 41 + 1").fetchone()
                assert row is not None
                return int(row[0])

        assert await trio.to_thread.run_sync(ask) == 42
        # What asks for TLS in the protocol of PostgreSQL first is no first message of TLS.
        with pytest.raises(psycopg.OperationalError):
            await trio.to_thread.run_sync(partial(connect, sslnegotiation="postgres"))

        await check_events(path, named, postgres.port)

        # Whom the global configuration shuts out is shut out of these ports too; who is in stays.
        mark, kept = await said(plain)
        assert mark == b"e"
        await shut_out(api, "127.0.0.0/8")
        mark, shut = await said(plain)
        assert mark == b""
        await shut.aclose()
        assert await hears(kept, b"still here")
        await shut_out(api)
        mark, tunnel = await said(plain)
        assert mark == b"e"

        # A drain takes no new connection, waits for those that are there, and ends with the last.
        gateway.signal(signal.SIGTERM)
        await gateway.wait_for_log("draining for up to")

        await eventually_is(partial(is_open, plain), False)
        for stream in (kept, tunnel):
            assert await hears(stream, b"in the drain")
            await stream.aclose()
        assert await gateway.wait() == 0
        drained = await gateway.wait_for_log("drained in")
        assert "waited for" in drained["message"]
