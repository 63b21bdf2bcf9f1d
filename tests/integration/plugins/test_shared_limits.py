"""Quotas that two gateways on one store count together, over real sockets and real servers."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import Connection, admin, eventually
from tests.integration.plugins.api_keys import METHODS, key
from tests.integration.plugins.test_limits import KEYS, limited, put
from tests.integration.stores.store_homes import SHARED, ServerHome, home_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx

    from tests.integration.stores.cassandra_server import CassandraServer
    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

SYNC_S = 0.1
QUOTA = 100
SHOWN = METHODS["custom_headers"]("few", "planted-1").headers


@pytest.fixture(params=SHARED)
async def server(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    postgres: PostgresServer,
    cassandra: CassandraServer,
) -> AsyncGenerator[ServerHome]:
    async with home_of(request.param, tmp_path, postgres, cassandra) as home:
        yield cast("ServerHome", home)


async def call(gateway: GatewayProcess, calls: int) -> int:
    """Call so often; return how often it was let through."""
    async with await Connection.open(gateway.port) as connection:
        found = [(await connection.ask("keyed.test", headers=SHOWN)).status for _ in range(calls)]
    assert set(found) <= {200, 429}
    return found.count(200)


async def counted(api: httpx.AsyncClient) -> int:
    """Return the calls of the day, as a gateway shows them."""
    answer = await api.get("/api/apikeys/few/quotas")
    assert answer.status_code == 200, answer.text
    days: int = answer.json()["currentCallsPerDay"]
    return days


async def shows(api: httpx.AsyncClient, calls: int) -> bool:
    return await counted(api) == calls


async def lets_through(gateway: GatewayProcess) -> bool:
    return await call(gateway, 1) == 1


async def test_gateways_of_one_store_share_quotas_and_resets_and_lose_none_in_outages(
    server: ServerHome, tmp_path: Path
) -> None:
    environ = {"OTO_TRIO_STORE": server.url("a"), "OTO_TRIO_QUOTA_SYNC_S": str(SYNC_S)}
    options = partial(gateway_process, "--workers", "1", environ=environ)
    async with options(data=tmp_path / "one") as one, admin(one) as api_of_one:
        await put(one, limited("keyed", "ApikeyCalls", {}, groups=["g"]))
        document = {**key("few", "planted-1"), "dailyQuota": QUOTA}
        answer = await api_of_one.post(KEYS, json=document)
        assert answer.status_code == 201, answer.text

        async with options(data=tmp_path / "two") as two, admin(two) as api_of_two:
            # Before each turn both know of all calls, so what comes behind the limit are those of one turn.
            through, calls = 0, 0
            while calls < 120:
                through += await call(one, 5) + await call(two, 5)
                calls += 10
                # What each shows is what it asked for just now; what the other one told, it told by itself.
                await eventually(partial(shows, api_of_two, calls))
                await eventually(partial(shows, api_of_one, calls))
            assert QUOTA <= through <= QUOTA + 5

            # A reset on one is seen on the other.
            assert not await lets_through(two)
            await eventually(partial(shows, api_of_one, calls + 1))
            reset = await api_of_one.delete("/api/apikeys/few/quotas")
            assert (reset.status_code, reset.json()["currentCallsPerDay"]) == (200, 0)
            await eventually(partial(lets_through, two))
            assert await lets_through(one)
            assert await counted(api_of_two) > 0, "by which all its calls are told"
            reset = await api_of_one.delete("/api/apikeys/few/quotas")
            assert await counted(api_of_two) == 0

            # Both count on while the store is away; afterwards each knows of all.
            await server.stop()
            assert await call(one, 20) == await call(two, 20) == 20
            await trio.sleep(2 * SYNC_S)
            assert await call(one, 10) == await call(two, 10) == 10
            answer = await api_of_two.delete("/api/apikeys/few/quotas")
            assert answer.status_code == 503, answer.text
            await server.start()
            await eventually(partial(is_back, api_of_two, 60))
            await eventually(partial(is_back, api_of_one, 60))

            # What was told survives a gateway that is killed, and counts on in the next one.
            os.kill(two.pid, signal.SIGKILL)
            await two.wait()
            auth = two.auth
        async with options(data=tmp_path / "two") as two, admin(two, auth) as api_of_two:
            assert await counted(api_of_two) == 60
            assert await call(two, 5) == 5
            await eventually(partial(shows, api_of_one, 65))


async def is_back(api: httpx.AsyncClient, calls: int) -> bool:
    """Whether the store answers again, and a gateway shows so many calls."""
    answer = await api.get("/api/apikeys/few/quotas")
    return answer.status_code == 200 and answer.json()["currentCallsPerDay"] == calls
