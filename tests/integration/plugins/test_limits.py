"""Limits over real sockets and real worker processes: exact, told to clients, kept over restarts."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import STAMP, Connection, admin, eventually
from tests.integration.plugins.api_keys import METHODS, key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
ROUTES = "/apis/proxy.otoroshi.io/v1/routes?wait=applied"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys?wait=applied"


def limited(name: str, plugin: str, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A route for `<name>.test` that a plugin limits and the gateway itself answers."""
    return {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.test"]},
        "backend": {},
        "plugins": [
            {"plugin": NG + plugin, "config": config},
            {"plugin": NG + "StaticResponse", "config": {"status": 200, "body": "ok"}},
        ],
        **more,
    }


async def put(gateway: GatewayProcess, *routes: dict[str, Any]) -> None:
    async with admin(gateway) as api:
        for route in routes:
            answer = await api.post(ROUTES, json=route)
            assert answer.status_code == 201, answer.text


async def statuses(
    gateway: GatewayProcess,
    host: str,
    calls: int,
    clients: int = 1,
    workers: set[int] | None = None,
) -> list[int]:
    """Ask so often, by so many connections at once; return every status.

    `workers` gets the processes that answered, if there is a stamped route.
    """
    found: list[int] = []

    async def client(share: int) -> None:
        async with await Connection.open(gateway.port) as connection:
            if workers is not None:
                workers.add((await connection.ask("stamped.test")).worker)
            found.extend([(await connection.ask(host)).status for _ in range(share)])

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client, calls // clients)
    return found


def kept(data: Path) -> int:
    """Return the calls of the day that a gateway that runs has in its store, of all keys together."""
    with closing(sqlite3.connect(f"file:{data / STORE_FILE}?mode=ro", uri=True)) as store:
        pages = store.execute("SELECT value FROM blobs WHERE name LIKE 'limits:page:%'").fetchall()
    # A row: the key, then day and month, each a number of two bytes and a count of six.
    rows = [page[start : start + 32] for (page,) in pages for start in range(0, len(page), 32)]
    return sum(int.from_bytes(row[18:24]) for row in rows)


async def test_eight_workers_admit_exactly_as_many_calls_as_a_limit_says(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "stamp.py").write_text(STAMP)
    stamped = limited("stamped", "AllowHttpMethods", {"allowed": ["GET"]})
    stamped["plugins"].append({"plugin": "cp:test.Stamp", "config": {"version": "1"}})
    async with gateway_process("--workers", "8", data=tmp_path) as gateway:
        hour = {"windowDurationMs": 3_600_000, "quota": {"window": 137}}
        bucket = {
            "capacity": 53,
            "refillRequestIntervalMs": 3_600_000,
            "refillRequestedTokens": 1,
            "bucketKey": "b",
        }
        await put(
            gateway,
            limited("window", "FixedWindow", hour),
            limited("bucket", "LocalTokenBucket", bucket),
            limited("public", "NgServiceQuotas", {"daily_quota": 71}),
            stamped,
        )
        for name, limit, refused in (
            ("window", 137, 429),
            ("bucket", 53, 429),
            ("public", 71, 403),
        ):
            workers: set[int] = set()
            found = await statuses(gateway, f"{name}.test", 640, clients=64, workers=workers)
            assert len(found) == 640
            # The kernel deals connections out: with sixty-four it leaves hardly a worker without any.
            assert workers <= set(gateway.workers())
            assert len(workers) > 4
            assert found.count(200) == limit
            assert found.count(refused) == 640 - limit


async def test_workers_that_are_replaced_or_die_leave_the_counts_as_they_were(
    tmp_path: Path,
) -> None:
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        hour = {"windowDurationMs": 3_600_000, "quota": {"window": 5}}
        await put(gateway, limited("window", "FixedWindow", hour))
        assert sorted(await statuses(gateway, "window.test", 8)) == [200] * 5 + [429] * 3
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")
        assert await statuses(gateway, "window.test", 8, clients=8) == [429] * 8
        victims = await gateway.wait_for_workers(2)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        for victim in victims:
            await gateway.wait_for_workers(2, without=victim)
        assert await statuses(gateway, "window.test", 8, clients=8) == [429] * 8


async def test_quotas_survive_a_clean_stop_and_a_kill(tmp_path: Path) -> None:
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        await put(gateway, limited("public", "NgServiceQuotas", {"daily_quota": 6}))
        assert await statuses(gateway, "public.test", 2) == [200] * 2
        gateway.signal(signal.SIGTERM)
        await gateway.wait()
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        assert await statuses(gateway, "public.test", 3) == [200] * 3

        async def is_kept() -> bool:
            return kept(tmp_path) == 5

        await eventually(is_kept)  # a second later, where nothing is busy
        os.kill(gateway.pid, signal.SIGKILL)
        await gateway.wait()
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        assert await statuses(gateway, "public.test", 3) == [200, 403, 403]


@pytest.mark.skipif(NG + "ApikeyCalls" not in builtin_plugins().plugins, reason="no API keys yet")
async def test_the_admin_api_reads_and_resets_what_is_left(tmp_path: Path) -> None:
    async with gateway_process("--workers", "2", data=tmp_path) as gateway, admin(gateway) as api:
        await put(gateway, limited("keyed", "ApikeyCalls", {}))
        key = {
            "clientId": "key1",
            "clientSecret": "s",
            "clientName": "a key",
            "authorizedEntities": ["route_keyed"],
            "dailyQuota": 3,
        }
        answer = await api.post("/apis/apim.otoroshi.io/v1/apikeys?wait=applied", json=key)
        assert answer.status_code == 201, answer.text

        async def call() -> tuple[int, Mapping[str, str]]:
            async with await Connection.open(gateway.port) as connection:
                await connection.send(
                    b"GET / HTTP/1.1\r\nHost: keyed.test\r\nAccept: */*\r\n"
                    b"Otoroshi-Client-Id: key1\r\nOtoroshi-Client-Secret: s\r\n\r\n"
                )
                answer = await connection.answer()
                return answer.status, answer.headers

        assert [(await call())[0] for _ in range(4)] == [200, 200, 200, 429]
        for path in ("/api/apikeys/key1/quotas", "/api/routes/keyed/apikeys/key1/quotas"):
            left = (await api.get(path)).json()
            assert left == {
                "authorizedCallsPerWindow": 10000000,
                "throttlingCallsPerWindow": 4,
                "remainingCallsPerWindow": 9999996,
                "authorizedCallsPerDay": 3,
                "currentCallsPerDay": 4,
                "remainingCallsPerDay": 0,
                "authorizedCallsPerMonth": 10000000,
                "currentCallsPerMonth": 4,
                "remainingCallsPerMonth": 9999996,
            }
        for path in (
            "/api/apikeys/nobody/quotas",
            "/api/routes/nothing/apikeys/key1/quotas",
            "/api/groups/default/apikeys/key1/quotas",
        ):
            missing = await api.get(path)
            assert missing.status_code == 404
            assert "not found" in missing.json()["error"]
        reset = await api.delete("/api/apikeys/key1/quotas")
        assert (reset.status_code, reset.json()["currentCallsPerDay"]) == (200, 0)
        assert (await call())[0] == 200


async def test_clients_are_told_how_they_stand_and_when_to_come_back(tmp_path: Path) -> None:
    async with gateway_process("--workers", "0", data=tmp_path) as gateway, admin(gateway) as api:
        quotas = {"throttling_quota": 2, "daily_quota": 5}
        await put(gateway, limited("public", "NgServiceQuotas", quotas))
        async with await Connection.open(gateway.port) as connection:
            first, second, third = [await connection.ask("public.test") for _ in range(3)]
        assert first.headers["ratelimit-policy"] == '"window";q=2;w=10, "daily";q=5;w=86400'
        assert first.headers["ratelimit"].startswith('"window";r=1;t=10, "daily";r=4;t=')
        assert "retry-after" not in second.headers
        assert third.status == 403
        assert third.headers["ratelimit"].startswith('"window";r=0;t=')
        assert 1 <= int(third.headers["retry-after"]) <= 10

        (config,) = (await api.get("/apis/config.otoroshi.io/v1/global-configs")).json()
        config["metadata"] = {"otoroshi-core-rate-limit-headers": "false"}
        config["perIpThrottlingQuota"] = 3
        url = "/apis/config.otoroshi.io/v1/global-configs/global?wait=applied"
        assert (await api.put(url, json=config)).status_code == 200
        await put(
            gateway,
            limited("plain", "AllowHttpMethods", {"allowed": ["GET"]}),
            limited(
                "exempt",
                "AllowHttpMethods",
                {"allowed": ["GET"]},
                metadata={"otoroshi-core-apply-legacy-checks": "false"},
            ),
        )
        async with await Connection.open(gateway.port) as connection:
            answers = [await connection.ask("plain.test") for _ in range(4)]
            exempt = [(await connection.ask("exempt.test")).status for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert b"[IP] You performed too much requests" in answers[3].body
        assert "ratelimit" not in answers[0].headers
        assert exempt == [200] * 4


async def test_whoever_fails_too_often_is_banned(tmp_path: Path) -> None:
    config = {"max_retry": 3, "ban_time": "1h", "status_codes": ["404"]}
    missing = limited("missing", "Fail2BanPlugin", config)
    missing["plugins"][1]["config"]["status"] = 404
    async with gateway_process("--workers", "2", data=tmp_path) as gateway:
        await put(gateway, missing)
        assert await statuses(gateway, "missing.test", 3) == [404] * 3
        async with await Connection.open(gateway.port) as connection:
            banned = await connection.ask("missing.test")
        assert banned.status == 403
        assert b'"error":"temporary_ban"' in banned.body
        # Some of the hour may be over on a busy machine.
        assert 3500 < json.loads(banned.body)["retry_in_seconds"] <= 3600
        # Every worker keeps it out.
        assert await statuses(gateway, "missing.test", 16, clients=16) == [403] * 16


async def test_the_throttling_window_and_the_table_are_settings(tmp_path: Path) -> None:
    environ = {"OTOROSHI_THROTTLING_WINDOW": "2", "OTO_TRIO_LIMIT_COUNTERS": "5000"}
    async with gateway_process("--workers", "2", data=tmp_path, environ=environ) as gateway:
        await put(gateway, limited("keyed", "ApikeyCalls", {}, groups=["g"]))
        async with admin(gateway) as api:
            document = {**key("few", "planted-1"), "throttlingQuota": 3}
            answer = await api.post(KEYS, json=document)
            assert answer.status_code == 201, answer.text
        shown = METHODS["custom_headers"]("few", "planted-1").headers
        async with await Connection.open(gateway.port) as connection:
            while True:  # a busy machine may take longer than a window for them
                began = trio.current_time()
                answers = [await connection.ask("keyed.test", headers=shown) for _ in range(4)]
                if trio.current_time() - began < 2:
                    break
                await trio.sleep(2.1)
            assert [answer.status for answer in answers] == [200, 200, 200, 429]
            left = [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers]
            assert left == [f'"window";r={number}' for number in (2, 1, 0, 0)]
            assert "retry-after" not in answers[2].headers
            assert '"window";q=3;w=2' in answers[-1].headers["ratelimit-policy"]
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
            await trio.sleep(2.1)
            assert (await connection.ask("keyed.test", headers=shown)).status == 200


async def test_an_ipv6_network_counts_as_one_client(tmp_path: Path) -> None:
    window = {"id": "FixedWindowStrategyConfig", "bucketKey": "${req.ip}", "quota": {"window": 2}}
    missing = limited("missing", "Fail2BanPlugin", {"max_retry": 2, "ignored": ["*2001:db8::9"]})
    missing["plugins"][1]["config"]["status"] = 401
    async with gateway_process("--workers", "2", data=tmp_path) as gateway, admin(gateway) as api:
        url = "/apis/config.otoroshi.io/v1/global-configs/global?wait=applied"
        config = (await api.get(url)).json()
        config["perIpThrottlingQuota"] = 2
        assert (await api.put(url, json=config)).status_code == 200
        apart = {"otoroshi-core-apply-legacy-checks": "false"}
        await put(
            gateway,
            limited("plain", "AllowHttpMethods", {"allowed": ["GET"]}),
            limited("window", "FixedWindow", window, metadata=apart),
            limited("custom", "NgCustomThrottling", {"throttling_quota": 2}, metadata=apart),
            {**missing, "metadata": apart},
        )
        neighbours = ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3")
        others = ("2001:db8:0:1::1", "::ffff:198.51.100.7", "198.51.100.8")

        async def found(host: str, *addresses: str) -> list[int]:
            async with await Connection.open(gateway.port) as connection:
                return [
                    (await connection.ask(host, headers={"X-Forwarded-For": address})).status
                    for address in addresses
                ]

        refusals = {"plain": 429, "window": 429, "custom": 403}
        for name, refusal in refusals.items():
            host = f"{name}.test"
            assert await found(host, *neighbours) == [200, 200, refusal], name
            assert await found(host, *others) == [200] * 3, name
            assert await found(host, "198.51.100.7") == [200], "the same address in IPv4"
            assert await found(host, "198.51.100.7") == [refusal], name
        assert await found("missing.test", *neighbours) == [401, 401, 403]
        assert await found("missing.test", *others) == [401] * 3
        # Who is let in whatever it does is named by its own address.
        assert await found("missing.test", "2001:db8::9", neighbours[0]) == [401, 403]

        config["metadata"] = {"otoroshi-core-limits-ipv6-prefix": "128"}
        assert (await api.put(url, json=config)).status_code == 200
        assert await found("plain.test", *neighbours) == [200] * 3
        assert await found("missing.test", *neighbours) == [401] * 3
