"""Route compositions and service descriptors over real sockets: each key of a service at work."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.challenge_backend import decoded
from tests.integration.clients import Answer, admin
from tests.integration.plugins.api_keys import basic, key, token
from tests.integration.plugins.test_access_control import Ask, tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
SERVICES = "/api/services"
APPLIED = {"wait": "applied"}
KEY = (("Authorization", f"Basic {basic('k', 's')}"),)
LATE = (("Authorization", f"Basic {basic('tagged', 's')}"),)
SHARED = "planted-shared-key"


@dataclass(frozen=True)
class Seen:
    """A request to a service and what is to be seen.

    Attributes:
        ask: The request, the answer's status and words in its body; the backend's body is the head it got.
        not_there: What must not be in the body.
        fields: Fields of the answer and words in them.
        host: Ask for another host than the service's.
    """

    ask: Ask
    not_there: bytes = b"\x00"
    fields: dict[str, str] = field(default_factory=dict[str, str])
    host: str = ""


def served(path: str = "/", words: bytes = b"HTTP/1.1", **more: Any) -> Ask:
    return Ask(200, words, path=path, **more)


def only(patterns: str) -> dict[str, Any]:
    return {"publicPatterns": [patterns]}


OPEN: dict[str, Any] = only("/.*")
"""A service that everybody may call."""

FAR = 4_102_444_800
"""The year 2100: the tokens of a table are made long before they are shown."""

CASES: dict[str, tuple[dict[str, Any], tuple[Seen, ...]]] = {
    "bare": ({**OPEN}, (Seen(served("/p?q=1", b"GET /p?q=1 HTTP/1.1")),)),
    "hosts": (
        {**OPEN, "hosts": ["other.test", "*.wild.test"], "handleLegacyDomain": False},
        (
            Seen(served(), host="other.test"),
            Seen(served(), host="a.wild.test"),
            Seen(Ask(404)),
        ),
    ),
    "line": ({**OPEN, "env": "dev"}, (Seen(served(), host="line.dev.svc.test"), Seen(Ask(404)))),
    "matchingroot": (
        {**OPEN, "matchingRoot": "/m", "root": "/r"},
        (Seen(served("/m/p", b"GET /r/p ")), Seen(Ask(404, path="/p"))),
    ),
    "stripnot": (
        {**OPEN, "matchingRoot": "/m", "stripPath": False},
        (Seen(served("/m/p", b"GET /m/p ")),),
    ),
    "matchingheaders": (
        {**OPEN, "matchingHeaders": {"X-Version": "2"}},
        (Seen(served(fields=(("X-Version", "2"),))), Seen(Ask(404))),
    ),
    "disabled": ({**OPEN, "enabled": False}, (Seen(Ask(404)),)),
    "forcehttps": (
        {**OPEN, "forceHttps": True},
        (Seen(Ask(303), fields={"location": "https://forcehttps.svc.test"}),),
    ),
    "maintenance": (
        {**OPEN, "maintenanceMode": True},
        (Seen(Ask(503, b"Service in maintenance mode")),),
    ),
    "build": ({**OPEN, "buildMode": True}, (Seen(Ask(503, b"Service under construction")),)),
    "readonly": (
        {**OPEN, "readOnly": True},
        (Seen(served()), Seen(Ask(405, method="DELETE"))),
    ),
    "http10": (
        {**OPEN, "allowHttp10": False},
        (Seen(served()), Seen(Ask(503, version="1.0"))),
    ),
    "keys": (
        {"privatePatterns": ["/p/private"], "publicPatterns": ["/p.*"]},
        (
            Seen(Ask(400, b"no apikey")),
            Seen(served(fields=KEY), not_there=b"Authorization"),
            Seen(served("/p/x")),
            Seen(Ask(400, path="/p/private")),
            Seen(served("/p/private", fields=KEY)),
        ),
    ),
    "strictly": (
        {
            "strictlyPrivate": True,
            "privatePatterns": ["/p/private"],
            "publicPatterns": ["/p.*"],
        },
        (
            Seen(Ask(400, b"no apikey")),
            Seen(served(fields=KEY)),
            Seen(served("/p/x")),
            Seen(Ask(400, path="/p/private")),
            Seen(served("/p/private", fields=KEY)),
        ),
    ),
    "constraints": (
        {
            "apiKeyConstraints": {
                "basicAuth": {"enabled": False},
                "customHeadersAuth": {"clientIdHeaderName": "X-Id"},
                "routing": {"oneTagIn": ["late"]},
            }
        },
        (
            Seen(Ask(400, b"no apikey", fields=LATE)),
            Seen(served(fields=(("X-Id", "tagged"), ("Otoroshi-Client-Secret", "s")))),
            # A key that does not suit is not of this service.
            Seen(Ask(404, fields=(("X-Id", "k"), ("Otoroshi-Client-Secret", "s")))),
        ),
    ),
    "restrictions": (
        {
            **OPEN,
            "restrictions": {
                "enabled": True,
                "allowLast": True,
                "forbidden": [{"method": "DELETE", "path": "/.*"}],
                "notFound": [{"method": "*", "path": "/hidden"}],
            },
        },
        (
            Seen(served()),
            Seen(Ask(403, method="DELETE")),
            Seen(Ask(404, path="/hidden")),
        ),
    ),
    "headersin": (
        {
            **OPEN,
            "additionalHeaders": {"X-Set": "yes"},
            "missingOnlyHeadersIn": {"X-Maybe": "default"},
            "removeHeadersIn": ["X-Gone"],
        },
        (
            Seen(
                served(words=b"X-Set: yes", fields=(("X-Set", "no"), ("X-Gone", "here"))),
                not_there=b"X-Gone",
            ),
            Seen(served(words=b"X-Maybe: default")),
            Seen(served(words=b"X-Maybe: own", fields=(("X-Maybe", "own"),)), not_there=b"default"),
        ),
    ),
    "headersout": (
        {
            **OPEN,
            "additionalHeadersOut": {"X-Set": "yes"},
            "missingOnlyHeadersOut": {"X-Maybe": "default"},
        },
        (Seen(served(), fields={"x-set": "yes", "x-maybe": "default"}),),
    ),
    "verification": (
        {**OPEN, "headersVerification": {"X-Code": "42"}},
        (Seen(served(fields=(("X-Code", "42"),))), Seen(Ask(400))),
    ),
    "blocked": (
        {**OPEN, "ipFiltering": {"whitelist": [], "blacklist": ["127.0.0.1"]}},
        (Seen(Ask(403)),),
    ),
    "allowed": (
        {**OPEN, "ipFiltering": {"whitelist": ["10.9.8.7"], "blacklist": []}},
        (
            Seen(Ask(403)),
            Seen(served(fields=(("X-Forwarded-For", "10.9.8.7"),))),
        ),
    ),
    "redirection": (
        {**OPEN, "redirection": {"enabled": True, "code": 302, "to": "https://a.test/"}},
        (Seen(Ask(302), fields={"location": "https://a.test/"}),),
    ),
    "cors": (
        {**OPEN, "cors": {"enabled": True, "allowOrigin": "https://page.test"}},
        (Seen(served(), fields={"access-control-allow-origin": "https://page.test"}),),
    ),
    "jwt": (
        {**OPEN, "jwtVerifier": {"enabled": True, "ids": ["v"], "excludedPatterns": ["/open"]}},
        (
            Seen(served("/open")),
            Seen(Ask(400, path="/closed")),
            Seen(served(fields=(("X-Jwt", token("me", "verifier's", exp=FAR)),))),
        ),
    ),
    "hostkept": (
        {**OPEN, "overrideHost": False},
        (Seen(served(words=b"\r\nHost: hostkept.svc.test")),),
    ),
    "hostchanged": (
        {**OPEN, "overrideHost": True},
        (Seen(served(words=b"\r\nHost: 127.0.0.1")),),
    ),
    "forwarded": (
        {**OPEN, "xForwardedHeaders": True},
        (Seen(served(words=b"X-Forwarded-Host: forwarded.svc.test")),),
    ),
    "back": (
        {**OPEN, "sendOtoroshiHeadersBack": True},
        (Seen(served(), fields={"otoroshi-request-id": ""}),),
    ),
    "infos": (
        {**OPEN, "sendInfoToken": True, "secComHeaders": {"claimRequestName": "X-Claim"}},
        (Seen(served(words=b"X-Claim: ey")),),
    ),
    "challenged": (
        {
            **OPEN,
            "enforceSecureCommunication": True,
            "secComHeaders": {"stateRequestName": "X-State"},
            "secComExcludedPatterns": ["/free"],
        },
        # The backend of this test does not answer challenges.
        (
            Seen(Ask(502, b"does not seems to be secured")),
            Seen(served("/free"), not_there=b"X-State"),
        ),
    ),
    "slow": (
        {**OPEN, "clientConfig": {"callTimeout": 300, "globalTimeout": 300}},
        (Seen(Ask(504, path="/slow")),),
    ),
    "ngplugin": (
        {
            **OPEN,
            "plugins": {
                "enabled": True,
                "refs": [f"{NG}StaticResponse"],
                "config": {"StaticResponse": {"status": 418, "body": "tea"}},
                "excluded": ["/coffee"],
            },
        },
        (Seen(Ask(418, b"tea")), Seen(served("/coffee"))),
    ),
    "optional": (
        {
            **OPEN,
            "gzip": {"enabled": True},
            "canary": {"enabled": True},
            "chaosConfig": {"enabled": True},
        },
        (Seen(served()),),
    ),
    # What would keep callers out and is not there closes the service.
    "privateapp": ({**OPEN, "privateApp": True, "authConfigRef": "m"}, (Seen(Ask(503)),)),
    "privatenowhere": ({**OPEN, "privateApp": True}, (Seen(Ask(503)),)),
    "validator": ({**OPEN, "clientValidatorRef": "v"}, (Seen(Ask(503)),)),
    "scripts": ({**OPEN, "accessValidator": {"enabled": True, "refs": ["s"]}}, (Seen(Ask(503)),)),
    "prerouting": ({**OPEN, "preRouting": {"enabled": True, "refs": ["s"]}}, (Seen(Ask(503)),)),
    "transformers": ({**OPEN, "transformerRefs": ["s"]}, (Seen(Ask(503)),)),
    "localjwt": ({**OPEN, "jwtVerifier": {"type": "local", "enabled": True}}, (Seen(Ask(503)),)),
    "oldplugin": (
        {**OPEN, "plugins": {"enabled": True, "refs": ["cp:otoroshi.plugins.x.Y"]}},
        (Seen(Ask(503)),),
    ),
    # Only WebSockets on the path of tunnels are led to the target.
    "tunnel": ({**OPEN, "tcpUdpTunneling": True}, (Seen(Ask(404)),)),
}


def service(name: str, upstream: Upstream, **keys: Any) -> dict[str, Any]:
    """A service `<name>.svc.test` that does nothing of its own accord."""
    return {
        "id": name,
        "name": name,
        "groups": ["g"],
        "domain": "svc.test",
        "subdomain": name,
        "targets": [{"host": f"127.0.0.1:{upstream.port}", "scheme": "http"}],
        "forceHttps": False,
        "enforceSecureCommunication": False,
        "sendInfoToken": False,
        "sendOtoroshiHeadersBack": False,
        **keys,
    }


def composition(upstream: Upstream, **keys: Any) -> dict[str, Any]:
    """Two routes below `shop.test`: one open, one that asks for a key of the composition."""
    backend = {"targets": [{"hostname": "127.0.0.1", "port": upstream.port}]}
    return {
        "id": "shop",
        "name": "shop",
        "groups": ["nobody's"],
        "routes": [
            {
                "frontend": {"domains": ["shop.test/open"]},
                "backend": backend,
                "plugins": [header("X-Part", "open")],
                "override_plugins": True,
            },
            {
                "frontend": {"domains": ["shop.test/closed"]},
                "backend": {**backend, "root": "/r"},
                "plugins": [header("X-Part", "closed")],
            },
        ],
        "plugins": [
            {"plugin": f"{NG}ApikeyCalls", "config": {}},
            header("X-Shop", "${route.name}"),
        ],
        **keys,
    }


def header(name: str, value: str) -> dict[str, Any]:
    return {"plugin": f"{NG}AdditionalHeadersOut", "config": {"headers": {name: value}}}


VERIFIER: dict[str, Any] = {
    "id": "v",
    "name": "v",
    "strict": True,
    "source": {"type": "InHeader", "name": "X-Jwt"},
    "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": "verifier's"},
    "strategy": {"type": "PassThrough", "verificationSettings": {}},
}


@asynccontextmanager
async def declared(upstream: Upstream, data: Path) -> AsyncGenerator[GatewayProcess]:
    """Run a gateway whose file declares every case, and a backend that answers with the head it got."""
    document: dict[str, Any] = {
        "settings": {"claim_shared_key": SHARED},
        "apikeys": [
            key("k", "s"),
            key("tagged", "s", tags=["late"]),
            key("shopper", "s", authorizedEntities=["route-composition_shop"]),
        ],
        "jwt-verifiers": [VERIFIER],
        "service-descriptors": [
            service(name, upstream, **keys) for name, (keys, _) in CASES.items()
        ],
        "route-compositions": [composition(upstream)],
    }
    path = data / "gateway.json"
    path.write_text(json.dumps(document))
    upstream.answer = lambda head: (200, head)
    async with gateway_process("--config", str(path), data=data) as gateway:
        yield gateway


def faults(seen: Seen, answer: Answer) -> list[str]:
    """Say what is not as a case says."""
    ask = seen.ask
    found: list[str] = []
    if answer.status != ask.status:
        found.append(f"status {answer.status}, not {ask.status}: {answer.body[:200]!r}")
    elif ask.words.lower() not in answer.body.lower():
        found.append(f"no {ask.words!r} in {answer.body!r}")
    if seen.not_there.lower() in answer.body.lower():
        found.append(f"{seen.not_there!r} in {answer.body!r}")
    for name, words in seen.fields.items():
        if words not in answer.headers.get(name, "\x00"):
            found.append(f"{name}: {answer.headers.get(name)!r}, not {words!r}")
    return found


async def test_every_key_of_a_service_does_what_it_says_and_compositions_share_plugins(
    upstream: Upstream, tmp_path: Path
) -> None:
    wrong: list[str] = []
    async with declared(upstream, tmp_path) as gateway:
        for name, (_, seens) in CASES.items():
            for seen in seens:
                if seen.ask.path == "/slow":
                    upstream.gate = trio.Event()
                host = seen.host or f"{name}.svc.test"
                answer = await tell(gateway.port, host, seen.ask)
                if upstream.gate is not None:
                    upstream.gate.set()
                    upstream.gate = None
                wrong += [f"{name} {seen.ask.path}: {fault}" for fault in faults(seen, answer)]
        await check_info_token(gateway)
        await check_composition(gateway)
        log = gateway.log
    assert wrong == []
    told = "\n".join(str(line) for line in log)
    for name, words in (
        ("validator", "$.clientValidatorRef"),
        ("optional", "$.gzip"),
        ("oldplugin", "$.plugins.refs[0]"),
    ):
        assert f"service-descriptors {name}: " in told
        assert words in told


async def check_info_token(gateway: GatewayProcess) -> None:
    """It is signed with the installation's key."""
    answer = await tell(gateway.port, "infos.svc.test", Ask(200))
    (claim,) = [
        line.split(b": ")[1]
        for line in answer.body.split(b"\r\n")
        if line.lower().startswith(b"x-claim:")
    ]
    assert decoded(claim.decode(), SHARED)["iss"] == "Otoroshi"


async def check_composition(gateway: GatewayProcess) -> None:
    """Its routes share its plugins, and a key for it opens them."""
    shopper = (("Authorization", f"Basic {basic('shopper', 's')}"),)
    answer = await tell(gateway.port, "shop.test", Ask(200, path="/open/x"))
    assert (answer.status, answer.headers["x-part"]) == (200, "open")
    assert "x-shop" not in answer.headers
    assert answer.body.startswith(b"GET /x ")
    answer = await tell(gateway.port, "shop.test", Ask(400, path="/closed/x"))
    assert (answer.status, b"no apikey" in answer.body) == (400, True)
    answer = await tell(gateway.port, "shop.test", Ask(200, path="/closed/x", fields=shopper))
    assert (answer.status, answer.headers["x-part"]) == (200, "closed")
    assert answer.headers["x-shop"] == "shop -  - /closed"
    assert answer.body.startswith(b"GET /r/x ")
    # A key of the group of other services is of no use here.
    answer = await tell(gateway.port, "shop.test", Ask(400, path="/closed/x", fields=KEY))
    assert answer.status == 400


async def test_changes_through_the_admin_api_take_effect(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.answer = lambda head: (200, head)
    async with gateway_process(data=tmp_path) as gateway, admin(gateway) as api:

        async def status(host: str, path: str = "/") -> int:
            return (await tell(gateway.port, host, Ask(200, path=path))).status

        document = service("s", upstream, **OPEN)
        made = await api.post(SERVICES, params=APPLIED, json=document)
        assert made.status_code == 201, made.text
        assert await status("s.svc.test") == 200
        closed = {**document, "accessValidator": {"enabled": True, "refs": ["script"]}}
        put = await api.put(f"{SERVICES}/s", params=APPLIED, json=closed)
        assert put.status_code == 200, put.text
        assert "accessValidator" in put.headers["Oto-Trio-Warnings"]
        assert await status("s.svc.test") == 503
        patch = [{"op": "replace", "path": "/accessValidator/enabled", "value": False}]
        assert (await api.patch(f"{SERVICES}/s", params=APPLIED, json=patch)).status_code == 200
        assert await status("s.svc.test") == 200
        assert (await api.delete(f"{SERVICES}/s", params=APPLIED)).status_code == 200
        assert await status("s.svc.test") == 404

        shop = composition(upstream)
        made = await api.post("/api/route-compositions", params=APPLIED, json=shop)
        assert made.status_code == 201, made.text
        assert await status("shop.test", "/open/x") == 200
        shop["routes"] = shop["routes"][1:]
        put = await api.put("/api/route-compositions/shop", params=APPLIED, json=shop)
        assert put.status_code == 200
        assert await status("shop.test", "/open/x") == 404
        assert await status("shop.test", "/closed/x") == 400
