"""What clients get that are not to be served: answers without end, 426, redirects, shared bandwidth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Connection, LostError, admin, eventually, route
from tests.integration.plugins.api_keys import basic

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
KEYS = "/apis/apim.otoroshi.io/v1/apikeys"
GLOBAL = "/api/globalconfig"
APPLIED = {"wait": "applied"}
LISTED = {"X-Forwarded-For": "10.1.2.3"}


async def put(api: httpx.AsyncClient, name: str, url: str, **plugins: Any) -> None:
    slots = [{"plugin": NG + plugin, "config": config} for plugin, config in plugins.items()]
    document = route(name, url, plugins=slots)
    answer = await api.post(ROUTES, params=APPLIED, json=document)
    assert answer.status_code == 201, answer.text


async def begin(port: int, host: str, **headers: str) -> tuple[Connection, int, dict[str, str]]:
    """Send a request and read the head of its answer."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    connection = await Connection.open(port)
    await connection.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    return connection, *await connection.read_head()


async def test_an_answer_without_end_starves_nobody_and_ends_with_its_client(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(
            api,
            "end",
            upstream.url,
            EndlessHttpResponse={"addresses": ["10.0.0.0/8"], "finger": True},
        )
        await put(api, "open", upstream.url)
        with trio.fail_after(GUARD_S):
            taker, status, fields = await begin(
                gateway.port, "end.test", X_Forwarded_For="10.1.2.3"
            )
            idler, *_ = await begin(gateway.port, "end.test", X_Forwarded_For="10.1.2.3")
            assert (status, fields["transfer-encoding"]) == (200, "chunked")
            assert fields["content-type"] == "application/octet-stream"
            size = int((await taker.read(6)).partition(b"\r\n")[0], 16)
            piece = "\U0001f595".encode() * 16
            assert size % len(piece) == 0
            # A megabyte later it still comes, and the others are served meanwhile.
            for _ in range(16):
                await taker.read(64 * 1024)
                other = await Connection.open(gateway.port)
                async with other:
                    assert (await other.ask("open.test")).status == 200
                    assert (await other.ask("end.test")).status == 200, "not listed: served"
            assert piece in await taker.read(4 * len(piece))
            await taker.aclose()
            await idler.aclose()

            async def all_left() -> bool:
                page = await api.get("/metrics", params={"format": "prometheus"})
                left = [line for line in page.text.splitlines() if "client_left" in line]
                return any(float(line.rsplit(" ", 1)[1]) >= 2 for line in left if line[0] != "#")

            await eventually(all_left)


async def test_the_global_list_holds_for_every_route(upstream: Upstream, tmp_path: Path) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, "open", upstream.url)
        config = (await api.get(GLOBAL)).json()
        config["endlessIpAddresses"] = ["10.0.0.0/8"]
        answer = await api.put(GLOBAL, params=APPLIED, json=config)
        assert answer.status_code == 200, answer.text
        with trio.fail_after(GUARD_S):
            connection, status, fields = await begin(
                gateway.port, "open.test", X_Forwarded_For="10.1.2.3"
            )
            async with connection:
                assert (status, fields["transfer-encoding"]) == (200, "chunked")
                data = await connection.read(100_000)
                assert set(data) <= set(b"\0\r\n0123456789abcdefABCDEF")
                assert data.count(b"\0") > 99_000
            connection, status, fields = await begin(gateway.port, "open.test")
            async with connection:
                assert (status, "content-length" in fields) == (200, True)


async def test_a_key_that_came_in_the_clear_is_disabled(upstream: Upstream, tmp_path: Path) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, "tls", upstream.url, ApikeyCalls={}, BlockHttpTraffic={})
        await put(
            api, "kept", upstream.url, ApikeyCalls={}, BlockHttpTraffic={"revoke_apikeys": False}
        )
        for name in ("leaked", "safe"):
            key = {
                "clientId": name,
                "clientSecret": "s",
                "clientName": name,
                "authorizedEntities": ["route_tls", "route_kept"],
            }
            answer = await api.post(KEYS, params=APPLIED, json=key)
            assert answer.status_code == 201, answer.text
        with trio.fail_after(GUARD_S):
            async with await Connection.open(gateway.port) as connection:
                for host, name in (("tls.test", "leaked"), ("kept.test", "safe")):
                    shown = {"Authorization": f"Basic {basic(name, 's')}"}
                    refused = await connection.ask(host, headers=shown)
                    assert (refused.status, refused.body) == (
                        426,
                        b'{"message":"All connections to this resource MUST use HTTPS and TLS"}',
                    )

            async def is_disabled() -> bool:
                return (await api.get(f"{KEYS}/leaked")).json()["enabled"] is False

            await eventually(is_disabled)
            assert (await api.get(f"{KEYS}/safe")).json()["enabled"] is True
            async with await Connection.open(gateway.port) as connection:
                shown = {
                    "Authorization": f"Basic {basic('leaked', 's')}",
                    "X-Forwarded-Proto": "https",
                }

                async def is_refused() -> bool:
                    return (await connection.ask("tls.test", headers=shown)).status == 401

                await eventually(is_refused)
                shown["Authorization"] = f"Basic {basic('safe', 's')}"
                assert (await connection.ask("tls.test", headers=shown)).status == 200


@pytest.mark.parametrize("exposed", [None, 443, 8443])
async def test_redirects_to_https_name_the_port_that_clients_see(
    exposed: int | None, upstream: Upstream, tmp_path: Path
) -> None:
    arguments = ("--workers", "1", "--https-port", "0")
    environ = {} if exposed is None else {"APP_EXPOSED_PORTS_HTTPS": str(exposed)}
    async with (
        gateway_process(*arguments, data=tmp_path, environ=environ) as gateway,
        admin(gateway) as api,
    ):
        await put(api, "tls", upstream.url, ForceHttpsTraffic={})
        own = gateway.https_port
        port = {None: f":{own}", 443: "", 8443: ":8443"}[exposed]
        with trio.fail_after(GUARD_S):
            async with await Connection.open(gateway.port) as connection:
                answer = await connection.ask("tls.test", "/a?b=c")
        assert (answer.status, answer.headers["location"]) == (303, f"https://tls.test{port}/a?b=c")


async def test_bodies_of_a_group_share_their_bandwidth(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = lambda _: (200, b"x" * 30_000)
    shared = {"throttling_quota": "50000", "group_expr": "g", "kind": "per_node"}
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, "down", upstream.url, ResponseBandwidthThrottling=shared)
        await put(api, "also", upstream.url, ResponseBandwidthThrottling=shared)
        await put(api, "up", upstream.url, RequestBandwidthThrottling=shared)
        with trio.fail_after(GUARD_S):
            connection, status, _ = await begin(gateway.port, "down.test")
            async with connection:
                assert (status, len(await connection.read(30_000))) == (200, 30_000)
            # The second goes beyond what is left: it is broken off, whatever route it is on.
            connection, status, _ = await begin(gateway.port, "also.test")
            async with connection:
                with pytest.raises(LostError):
                    await connection.read(30_000)
            connection, status, fields = await begin(gateway.port, "down.test", Accept="*/*")
            async with connection:
                body = await connection.read(int(fields["content-length"]))
            assert (status, body) == (413, b'{"Otoroshi-Error":"Bandwidth limit exceeded"}')
            # Requests of the same group have a share of their own.
            upstream.answer = lambda _: (200, b"ok")
            async with await Connection.open(gateway.port) as connection:
                for size, expected in ((50_000, 200), (10, 413)):
                    head = f"POST / HTTP/1.1\r\nHost: up.test\r\nContent-Length: {size}\r\n\r\n"
                    await connection.send(head.encode() + b"x" * size)
                    status, fields = await connection.read_head()
                    await connection.read(int(fields["content-length"]))
                    assert status == expected


async def test_expressions_ask_for_fields_as_they_arrived(
    upstream: Upstream, tmp_path: Path
) -> None:
    slots = [
        {"plugin": NG + "NgUserAgentExtractor"},
        {"plugin": NG + "NgUserAgentInfoEndpoint"},
        {"plugin": NG + "NgUserAgentInfoHeader"},
        {"plugin": NG + "RemoveHeadersIn", "config": {"header_names": ["X-Kind", "Cookie"]}},
        {
            "plugin": NG + "AdditionalHeadersIn",
            "config": {
                "headers": {
                    "X-Told": "${req.headers.X-Kind} ${req.cookies.a} ${ctx.useragent.browser}"
                }
            },
        },
    ]
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        document = route("told", upstream.url, plugins=slots)
        answer = await api.post(ROUTES, params=APPLIED, json=document)
        assert answer.status_code == 201, answer.text
        headers = {"X-Kind": "seen", "Cookie": "a=b", "User-Agent": "curl/8.5.0"}
        with trio.fail_after(GUARD_S):
            async with await Connection.open(gateway.port) as connection:
                assert (await connection.ask("told.test", headers=headers)).status == 200
                path = "/.well-known/otoroshi/plugins/user-agent"
                shown = await connection.ask("told.test", path, headers=headers)
        head = upstream.heads[-1]
        assert b"X-Told: seen b cURL" in head
        assert b"X-Kind" not in head
        assert b'X-User-Agent-Info: {"browser":"cURL"' in head
        assert (shown.status, b'"browserMajorVersion":"8"' in shown.body) == (200, True)
