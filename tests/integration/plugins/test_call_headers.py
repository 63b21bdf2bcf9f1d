"""Otoroshi's header fields about a call, over sockets, with time in the test's hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from oto_trio._core import Snapshot
from tests.conformance.http1.gateway import python_step, route, running, until
from tests.conformance.http1.upstream import OK, Upstream
from tests.integration.plugins.test_exchange_protocol import NOW, field_of, plugin_route
from tests.integration.ports import free_port

if TYPE_CHECKING:
    from tests.conformance.http1.messages import ResponseSeen

STEPS = [
    python_step("access"),
    {"phase": "transform_request", "plugin": "in", "kind": "otoroshi_headers_in"},
    {"phase": "transform_response", "plugin": "back", "kind": "otoroshi_headers_back"},
]
CAME = "2023-11-14T22:13:20.000+00:00"
DAY, MONTH = b"otoroshi-daily-calls-remaining", b"otoroshi-monthly-calls-remaining"


def value_of(response: ResponseSeen, name: bytes) -> str:
    (value,) = response.values(name)
    return value.decode()


async def test_both_sides_learn_of_the_call_and_the_client_how_long_it_took() -> None:
    upstream = await Upstream.open()
    async with running(route(upstream.port, steps=STEPS)) as gateway:
        gateway.engine.set_unix_offset(NOW - gateway.now)
        client = await gateway.client()
        ids: set[str] = set()
        for _ in range(2):
            gateway.engine.set_unix_offset(NOW - gateway.now)
            await client.send(
                b"GET / HTTP/1.1\r\nHost: a.test:81\r\nOtoroshi-Request-Id: mine\r\n\r\n"
            )
            exchange = await gateway.held.receive()
            gateway.pass_time(0.03)
            gateway.resume(exchange)
            backend = await upstream.accept()
            request = await backend.read_request()
            gateway.pass_time(0.25)
            await backend.send(OK)
            response = await client.read_response()
            await backend.close()
            assert field_of(request, "Otoroshi-Proxied-Host") == "a.test:81"
            assert field_of(request, "Otoroshi-Request-Timestamp") == CAME
            assert value_of(response, b"otoroshi-request-timestamp") == CAME
            request_id = field_of(request, "Otoroshi-Request-Id")
            assert value_of(response, b"otoroshi-request-id") == request_id
            ids.add(request_id)
            assert value_of(response, b"otoroshi-proxy-latency") == "30"
            assert value_of(response, b"otoroshi-upstream-latency") == "250"
            assert response.values(DAY) == []
        assert len(ids) == 2
        assert all(int(request_id) > 2**53 for request_id in ids)
        await client.close()
    await upstream.close()


async def test_the_upstreams_time_counts_every_attempt() -> None:
    alive = await Upstream.open()
    limits = {"retries": 3, "retry_initial_delay": 100}
    async with running(route(free_port(), alive.port, client=limits, steps=STEPS[1:])) as gateway:
        client = await gateway.client()
        latencies: list[str] = []
        # Round robin: one of two calls begins at the target that is gone.
        for _ in range(2):
            await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            await until(lambda: gateway.engine.in_flight()["exchanges"] == 1)
            await gateway.caught_up(client)
            gateway.pass_time(0.11)
            backend = await alive.accept()
            await backend.read_request()
            gateway.pass_time(0.2)
            await backend.send(OK)
            response = await client.read_response()
            latencies.append(value_of(response, b"otoroshi-upstream-latency"))
            await backend.close()
        await client.close()
    assert latencies == ["310", "310"]
    assert gateway.count("retries") >= 1
    await alive.close()


async def test_a_key_learns_what_is_left_of_its_quotas() -> None:
    upstream = await Upstream.open()
    document = plugin_route(upstream.port, ApikeyCalls={}, SendOtoroshiHeadersBack={})
    key = {
        "clientId": "c",
        "clientSecret": "s",
        "clientName": "n",
        "authorizations": [{"kind": "route", "id": "r1"}],
        "dailyQuota": 10,
        "monthlyQuota": 100,
    }
    snapshot = Snapshot().apply([document], [], None, [("apikeys", "c", json.dumps(key).encode())])
    async with running() as gateway:
        gateway.engine.install(snapshot)
        gateway.engine.set_unix_offset(NOW - gateway.now)
        client = await gateway.client()
        for left in (9, 8):
            await client.send(
                b"GET / HTTP/1.1\r\nHost: a.test\r\n"
                b"Otoroshi-Client-Id: c\r\nOtoroshi-Client-Secret: s\r\n\r\n"
            )
            backend = await upstream.accept()
            await backend.read_request()
            await backend.send(OK)
            response = await client.read_response()
            await backend.close()
            assert value_of(response, DAY) == str(left)
            assert value_of(response, MONTH) == str(90 + left)
        await client.close()
    await upstream.close()
