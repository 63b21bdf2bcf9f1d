"""Who may pass, end to end: the plugins of access control and hygiene over real sockets.

One gateway has a route for each plugin; each case is a request and the answer it must get.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import bcrypt
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
    answer_field: tuple[str, str] | None = None


def basic(text: str) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(text.encode()).decode())


HASH = bcrypt.hashpw(b"hashed", bcrypt.gensalt(4)).decode()
ALL_WEEK = {"day_start": 1, "day_end": 7}
SERVED = Ask(200, b"HTTP/1.1")
ADDRESS_REFUSED = Ask(403, b"Your IP address is not allowed", fields=(("Accept", "*/*"),))

CASES: dict[str, tuple[dict[str, Any], tuple[Ask, ...]]] = {
    "IpAddressAllowedList": (
        {"addresses": ["10.0.0.0/8", "198.51.100.*"]},
        (
            ADDRESS_REFUSED,
            Ask(200, fields=(("X-Forwarded-For", "10.1.2.3"),)),
            Ask(200, fields=(("X-Forwarded-For", "198.51.100.7, 192.0.2.1"),)),
            Ask(403, fields=(("X-Forwarded-For", "192.0.2.1"),)),
        ),
    ),
    "IpAddressBlockList": (
        {"addresses": ["10.0.0.0/8", "2001:db8::/32"]},
        (
            SERVED,
            Ask(403, fields=(("X-Forwarded-For", "::ffff:10.1.2.3"),)),
            Ask(403, fields=(("X-Forwarded-For", "2001:DB8::1"),)),
        ),
    ),
    "RoutingRestrictions": (
        {
            "forbidden": [{"method": "DELETE", "path": "/.*"}],
            "not_found": [{"method": "*", "path": "/hidden"}],
        },
        (
            SERVED,
            Ask(403, b"Forbidden", "DELETE", "/a", (("Accept", "*/*"),)),
            Ask(404, b"", "GET", "/hidden", (("Accept", "text/html"),)),
        ),
    ),
    "DisableHttp10": ({}, (SERVED, Ask(503, version="1.0"))),
    "GlobalMaintenanceMode": ({}, (Ask(503, b"maintenance", fields=(("Accept", "*/*"),)),)),
    "SimpleBasicAuth": (
        {"realm": "here", "users": {"bob": "secret", "ann": HASH}},
        (
            Ask(401, answer_field=("www-authenticate", 'Basic realm="here"')),
            Ask(401, fields=(basic("bob:wrong"),)),
            Ask(200, fields=(basic("bob:secret"),)),
            Ask(401, fields=(basic("ann:wrong"),)),
            Ask(200, fields=(basic("ann:hashed"),)),
            Ask(200, fields=(basic("ann:hashed"),)),
        ),
    ),
    "CookiesValidation": (
        {"cookies": {"a": "1"}},
        (
            Ask(400),
            Ask(200, fields=(("Cookie", "b=2; a=1"),)),
            Ask(400, fields=(("Cookie", "a=2"),)),
        ),
    ),
    "NgLog4ShellFilter": (
        {"status": 418, "body": "no", "parse_body": True},
        (
            SERVED,
            Ask(418, b"no", fields=(("X-A", "${${lower:J}ndi:ldap://x}"),)),
            Ask(418, b"no", path="/?a=%24%7Bjndi:x%7D"),
            Ask(418, b"no", "POST", body=b"a=${jndi:ldap://x}"),
            Ask(200, b"POST", "POST", body=b"a=${b}"),
        ),
    ),
    "React2SShellDetector": (
        {"block": True},
        (
            Ask(200, b"POST", "POST", body=b"[1]"),
            Ask(401, b"not allowed", "POST", body=b'{"a":"$@1","b":"whoami"}'),
        ),
    ),
    "NgGenericAllowedList": (
        {"expression": "${req.headers.X-Kind}", "values": ["a"]},
        (Ask(403), Ask(200, fields=(("X-Kind", "a"),))),
    ),
    "NgGenericBlockList": (
        {"expression": "${req.headers.X-Kind}", "values": ["a"]},
        (SERVED, Ask(403, fields=(("X-Kind", "a"),))),
    ),
    "NgHasAllowedUsersValidator": ({"usernames": ["bob"]}, (Ask(403),)),
    "NgAuthModuleExpectedUser": ({}, (Ask(401, b"authorized", fields=(("Accept", "*/*"),)),)),
    "NgExpectedConsumer": ({}, (Ask(401, b"authorized", fields=(("Accept", "*/*"),)),)),
    "PublicPrivatePaths": (
        {"public_patterns": ["/open/.*"]},
        (Ask(401), Ask(200, path="/open/a")),
    ),
    "NgIncomingRequestValidatorDeniedDomainNames": ({"domains": ["*.test"]}, (Ask(403),)),
    "NgIncomingRequestValidatorAllowedDomainNames": ({"domains": ["*.test"]}, (SERVED,)),
    "ContextValidation": (
        {"validators": [{"path": "$.request.headers.X-Kind", "value": "Regex(a+)"}]},
        (Ask(403), Ask(200, fields=(("X-Kind", "aaa"),))),
    ),
    "RequestBodyLengthLimiter": (
        {"max_length": 4, "fail": True},
        (Ask(200, b"POST", "POST", body=b"1234"), Ask(413, b"", "POST", body=b"12345")),
    ),
    "ResponseBodyLengthLimiter": (
        {"max_length": 4, "fail": False},
        (Ask(200, b"GET "),),
    ),
    "RejectHeaderInTooLong": (
        {"value": 12},
        (Ask(200, b"HTTP/1.1", fields=(("X-Long", "a" * 40),)),),
    ),
}


def rules(name: str) -> dict[str, Any]:
    return {"plugin": NG + name, "config": CASES[name][0]}


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


def fits(answer: Answer, ask: Ask) -> bool:
    named = ask.answer_field
    return (
        answer.status == ask.status
        and ask.words in answer.body
        and (named is None or answer.headers.get(named[0]) == named[1])
    )


async def test_each_plugin_answers_as_it_should(upstream: Upstream, tmp_path: Path) -> None:
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        for name in CASES:
            document = route(name.lower(), upstream.url, plugins=[rules(name)])
            await put(api, document)
        wrong = [
            (name, ask, answer)
            for name, (_, asks) in CASES.items()
            for ask in asks
            if not fits(answer := await tell(gateway.port, f"{name.lower()}.test", ask), ask)
        ]
        assert wrong == []
        # What is too long never got to the backend; the rest of the head did.
        heads = [head for head in upstream.heads if b"rejectheaderintoolong" in head]
        assert heads or any(b"X-Long" not in head for head in upstream.heads)
        assert not any(b"X-Long" in head for head in upstream.heads)


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
