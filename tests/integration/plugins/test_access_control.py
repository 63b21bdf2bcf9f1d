"""Access control over real sockets: what takes more than one plugin, a look at bodies, or bad configurations.

What each plugin does by itself is in `plugin_cases`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import GUARD_S, Answer, Connection, LostError, admin, route

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
GLOBAL = "/api/globalconfig"
APPLIED = {"wait": "applied"}
OPEN, NEVER = "00:00:00.000", "00:00:00.001"


class Ask(msgspec.Struct, frozen=True):
    """A request, and the status and words of the answer it gets."""

    status: int
    words: bytes = b""
    method: str = "GET"
    path: str = "/"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = "1.1"


ALL_WEEK = {"day_start": 1, "day_end": 7}
SERVED = Ask(200, b"HTTP/1.1")


async def put(api: httpx.AsyncClient, document: dict[str, Any]) -> None:
    answer = await api.post(f"{ROUTES}/{document['id']}", params=APPLIED, json=document)
    assert answer.status_code in {200, 201}, answer.text


async def tell(port: int, host: str, ask: Ask) -> Answer:
    """Make one request on a connection of its own."""
    lines = [f"{ask.method} {ask.path} HTTP/{ask.version}", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in ask.fields]
    if ask.body:
        lines.append(f"Content-Length: {len(ask.body)}")
    with trio.fail_after(GUARD_S):
        async with await Connection.open(port) as connection:
            await connection.send("\r\n".join([*lines, "", ""]).encode() + ask.body)
            status, fields = await connection.read_head()
            if "content-length" in fields:
                return Answer(status, fields, await connection.read(int(fields["content-length"])))
            return Answer(status, fields, await everything(connection))


async def everything(connection: Connection) -> bytes:
    """Read until the gateway closes, or the last chunk came."""
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        try:
            data += await connection.read(1)
        except LostError:
            break
    return data


async def test_hours_open_and_close_a_route(upstream: Upstream, tmp_path: Path) -> None:
    plugin = NG + "TimeRestrictedAccessPlugin"
    always = {"time_start": OPEN, "time_end": "23:59:59.999", **ALL_WEEK}
    never = {"time_start": OPEN, "time_end": NEVER, **ALL_WEEK}
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        for name, rule in (("open", always), ("closed", never)):
            slot = {"plugin": plugin, "config": {"rules": [rule], "timezone": "Europe/Paris"}}
            await put(api, route(name, upstream.url, plugins=[slot]))
        assert (await tell(gateway.port, "open.test", SERVED)).status == 200
        refused = await tell(gateway.port, "closed.test", SERVED)
        assert refused.status == 403
        assert b"You cannot access this resource right now" in refused.body


async def test_headers_out_and_bodies_are_bounded(upstream: Upstream, tmp_path: Path) -> None:
    slots: dict[str, tuple[str, Mapping[str, Any]]] = {
        "cut": ("ResponseBodyLengthLimiter", {"max_length": 4}),
        "refused": ("ResponseBodyLengthLimiter", {"max_length": 4, "fail": True}),
        "slow": (
            "ResponseBandwidthThrottling",
            {"window_millis": "200", "throttling_quota": "20000", "fail": False},
        ),
        "limited": ("LimitHeaderOutTooLong", {"value": 4}),
        "dropped": ("RejectHeaderOutTooLong", {"value": 4}),
    }
    upstream.answer = lambda head: (200, b"x" * (130_000 if b"slow.test" in head else 9))
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        for name, (plugin, config) in slots.items():
            added = {
                "plugin": NG + "AdditionalHeadersOut",
                "config": {"headers": {"X-Kind": "abcdefgh"}},
                "plugin_index": {"transform_response": 0},
            }
            slot = {"plugin": NG + plugin, "config": config}
            await put(api, route(name, upstream.url, plugins=[slot, added]))
        port = gateway.port
        cut = await tell(port, "cut.test", SERVED)
        assert (cut.status, cut.body.strip(b"\r\n")[:4]) in {(200, b"xxxx"), (200, b"4\r\nx")}
        assert b"xxxxx" not in cut.body
        refused = await tell(port, "refused.test", Ask(413, fields=(("Accept", "*/*"),)))
        assert (refused.status, refused.body) == (
            413,
            b'{"Otoroshi-Error":"Response entity too large"}',
        )
        began = trio.current_time()
        slow = await tell(port, "slow.test", SERVED)
        assert slow.body.count(b"x") == 130_000
        assert trio.current_time() - began > 0.4
        assert (await tell(port, "limited.test", SERVED)).headers["x-kind"] == "abc"
        assert "x-kind" not in (await tell(port, "dropped.test", SERVED)).headers


async def test_global_plugins_run_first_and_indexes_decide_the_rest(
    upstream: Upstream, tmp_path: Path
) -> None:
    def sets(value: str, index: float | None = None, **more: Any) -> dict[str, Any]:
        slot = {
            "plugin": NG + "AdditionalHeadersIn",
            "config": {"headers": {"X-Last": value}},
            **more,
        }
        return slot if index is None else {**slot, "plugin_index": {"transform_request": index}}

    async def last(path: str = "/") -> str:
        await tell(gateway.port, "order.test", Ask(200, path=path))
        lines = upstream.heads[-1].decode().split("\r\n")
        return next(line.partition(": ")[2] for line in lines if line.startswith("X-Last"))

    async def globally(*slots: dict[str, Any], **more: Any) -> None:
        config = (await api.get(GLOBAL)).json()
        config["plugins"]["config"]["ng"] = list(slots)
        answer = await api.put(GLOBAL, params=APPLIED, json=config | more)
        assert answer.status_code == 200, answer.text

    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, route("order", upstream.url, plugins=[sets("route")]))
        await globally(sets("global"))
        assert await last() == "route"
        # A slot with an index comes before those without one, wherever it is listed.
        await put(api, route("order", upstream.url, plugins=[sets("route", 1)]))
        assert await last() == "global"
        await globally(sets("global", 0.5))
        assert await last() == "route"
        await globally(sets("global", 1.5))
        assert await last() == "global"
        await globally(sets("global", 1.5, include=["/in/.*"], exclude=["/in/not"]))
        assert [await last(path) for path in ("/", "/in/a", "/in/not")] == [
            "route",
            "global",
            "route",
        ]
        await globally(ipFiltering={"whitelist": [], "blacklist": ["203.0.113.0/24"]})
        refused = Ask(403, fields=(("X-Forwarded-For", "203.0.113.9"),))
        assert (await tell(gateway.port, "order.test", refused)).status == 403
        assert (await tell(gateway.port, "order.test", SERVED)).status == 200


async def test_garbage_is_refused_with_the_field(upstream: Upstream, tmp_path: Path) -> None:
    garbage: dict[str, tuple[dict[str, Any], str]] = {
        "IpAddressAllowedList": ({"addresses": ["10.0.0"]}, "addresses[0]"),
        "IpAddressBlockList": ({"addresses": "10.0.0.7"}, "addresses"),
        "RoutingRestrictions": ({"forbidden": [{"path": "("}]}, "forbidden[0].path"),
        "TimeRestrictedAccessPlugin": ({"timezone": "Mars"}, "timezone"),
        "SimpleBasicAuth": ({"realm": "a\n"}, "realm"),
        "CookiesValidation": ({"cookies": {"a": []}}, "cookies"),
        "NgLog4ShellFilter": ({"status": 99}, "status"),
        "ContextValidation": ({"validators": [{"path": "$.["}]}, "validators[0].path"),
        "NgHasAllowedUsersValidator": ({"profile_match": ["$.["]}, "profile_match[0]"),
        "PublicPrivatePaths": ({"public_patterns": ["("]}, "public_patterns[0]"),
        "RequestBodyLengthLimiter": ({"max_length": "long"}, "max_length"),
        "RequestBandwidthThrottling": ({"throttling_quota": "fast"}, "throttling_quota"),
        "LimitHeaderInTooLong": ({"value": -1}, "value"),
    }
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        for name, (config, field) in garbage.items():
            document = route("bad", upstream.url, plugins=[{"plugin": NG + name, "config": config}])
            answer = await api.post(ROUTES, json=document)
            assert answer.status_code in {400, 422}, (name, answer.text)
            assert field in answer.text, (name, answer.text)
