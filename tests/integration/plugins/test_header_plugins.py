"""The plugins on headers, cookies, queries and well-known texts, and expressions in them, over real sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api.registry import builtin_plugins
from tests.conformance.http1.gateway import Gateway, running
from tests.conformance.http1.upstream import Recorder, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.conformance.http1.messages import RequestSeen, ResponseSeen

NG = "cp:otoroshi.next.plugins."
NOW = 1_709_208_000
"""2024-02-29T12:00:00Z."""

GATEWAY_OWNED = (
    *("Otoroshi-State", "Otoroshi-Claim", "Otoroshi-Request-Id", "Otoroshi-Client-Id"),
    *("Otoroshi-Client-Secret", "Otoroshi-Authorization", "Otoroshi-Try-It-Request-Id"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Protocol", "Raw-Request-Uri"),
    *("Remote-Address", "Timeout-Access", "Tls-Session-Info"),
)

Plugins = dict[str, dict[str, Any]]


def plugin_route(port: int, plugins: Plugins, root: str) -> bytes:
    """Compile a route to a backend; nothing of it may need Python."""
    document = {
        "id": "r1",
        "name": "a route",
        "metadata": {"team": "core"},
        "frontend": {"domains": ["a.test/:page", "a.test"], "strip_path": False},
        "backend": {"root": root, "targets": [{"hostname": "127.0.0.1", "port": port}]},
        "plugins": [{"plugin": NG + name, "config": config} for name, config in plugins.items()],
    }
    lowered = RouteCompiler(builtin_plugins(), Hooks()).compile(read_route(document), {})
    assert lowered.problems == ()
    assert b'"kind":"python"' not in lowered.document
    return lowered.document


@asynccontextmanager
async def fronted(
    answer: Callable[[RequestSeen], bytes], plugins: Plugins, root: str
) -> AsyncGenerator[tuple[Gateway, Recorder]]:
    """Run a gateway with these plugins in front of a backend."""
    upstream = await Upstream.open()
    recorder = Recorder(upstream, answer)
    async with running(plugin_route(upstream.port, plugins, root)) as gateway:
        gateway.engine.set_unix_offset(NOW - gateway.now)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            yield gateway, recorder
            nursery.cancel_scope.cancel()
    await upstream.close()


async def exchange(
    plugins: Plugins,
    request: str,
    sent: tuple[str, ...] = (),
    *,
    answer: str = "200 OK",
    answered: tuple[str, ...] = (),
    root: str = "",
) -> tuple[ResponseSeen, list[RequestSeen]]:
    """Send one request; return the response, and what the backend saw."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {answer}", *answered, "Content-Length: 2"))
    async with fronted(lambda _: f"{head}\r\nok".encode(), plugins, root) as (gateway, recorder):
        client = await gateway.client()
        lines = (f"{request} HTTP/1.1", "Host: a.test", *sent)
        await client.send("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n")
        response = await client.read_response()
        await client.close()
    return response, recorder.requests


def fields(headers: list[tuple[bytes, bytes]], names: dict[str, Any]) -> dict[str, list[str]]:
    """Return the values of some fields."""
    return {
        name: [v.decode("latin-1") for known, v in headers if known == name.lower().encode()]
        for name in names
    }


@dataclass
class Case:
    """What is asked, and what is to be seen; fields that are to be absent have no values."""

    plugins: Plugins
    request: str = "GET /p?q=1"
    sent: tuple[str, ...] = ()
    answer: str = "200 OK"
    answered: tuple[str, ...] = ()
    root: str = ""
    status: int = 200
    to_client: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    to_backend: dict[str, list[str]] | None = field(default_factory=dict[str, list[str]])
    target: str | None = None
    body: bytes | None = None


CORS = {"allow_origin": "https://b.test", "allow_methods": ["PUT"], "max_age": 5}
ALLOWED = {
    "Access-Control-Allow-Origin": ["https://b.test"],
    "Access-Control-Allow-Credentials": ["true"],
    "Access-Control-Allow-Methods": ["PUT"],
    "Access-Control-Max-Age": ["5"],
}
PREFLIGHT = ("Origin: https://b.test", "Access-Control-Request-Method: PUT")
SECURITY_TXT = (
    b"Contact: contact@foo.bar\nExpires: 2025-02-28T12:00:00.000Z\n"
    b"Canonical: https://a.test/.well-known/security.txt\n"
)

CASES = {
    "expressions in request headers": Case(
        {
            "AdditionalHeadersIn": {
                "headers": {
                    "X-A": "${req.method} ${req.path} ${req.query.q} ${req.pathparams.page}",
                    "X-B": "${route.id} ${route.metadata.team} ${route.domains['1']}",
                    "X-C": "${user.email || apikey.name::anonymous} ${now.format('yyyy')}",
                    "X-D": "${req.headers.x-evil}",
                }
            }
        },
        sent=("X-Evil: ${route.metadata.team}",),
        to_backend={
            "X-A": ["GET /p 1 p"],
            "X-B": ["r1 core a.test"],
            "X-C": ["anonymous 2024"],
            "X-D": ["${route.metadata.team}"],
        },
    ),
    "expressions cannot split a message": Case(
        {"AdditionalHeadersOut": {"headers": {"X-A": "${req.query.q}"}}},
        "GET /?q=a%0d%0aX-B:%20c",
        to_client={"X-A": ["a??X-B: c"], "X-B": []},
    ),
    "missing headers": Case(
        {
            "MissingHeadersIn": {"headers": {"X-A": "${req.domain}", "X-B": "x"}},
            "MissingHeadersOut": {"headers": {"X-C": "${req.uri}", "X-D": "x"}},
        },
        sent=("X-B: mine",),
        answered=("X-D: theirs",),
        to_backend={"X-A": ["a.test"], "X-B": ["mine"]},
        to_client={"X-C": ["/p?q=1"], "X-D": ["theirs"]},
    ),
    "redirection": Case(
        {"Redirection": {"code": 307, "to": "https://b.test${req.uri}"}},
        status=307,
        to_client={"Location": ["https://b.test/p?q=1"]},
        to_backend=None,
    ),
    "CORS: preflight": Case(
        {"Cors": CORS}, "OPTIONS /p", PREFLIGHT, status=204, to_client=ALLOWED, to_backend=None
    ),
    "CORS: preflight of another origin": Case(
        {"Cors": CORS},
        "OPTIONS /p",
        ("Origin: https://c.test", PREFLIGHT[1]),
        status=404,
        to_client=ALLOWED | {"Otoroshi-Error-Msg": ["Cors error"]},
        to_backend=None,
    ),
    "CORS: answers": Case({"Cors": CORS}, sent=PREFLIGHT[:1], to_client=ALLOWED),
    "CORS: refusals of later plugins": Case(
        {"Cors": CORS, "ReadOnlyCalls": {}},
        "DELETE /p",
        status=405,
        to_client=ALLOWED,
        to_backend=None,
    ),
    "security headers": Case(
        {
            "SecurityHeadersPlugin": {
                "frame_options": "DENY",
                "content_type_options": True,
                "hsts": {"enabled": True},
                "csp": {"mode": "ENABLED", "csp": "default-src 'self'"},
            }
        },
        sent=("X-Forwarded-Proto: https",),
        answered=("X-Frame-Options: ALLOWALL", "Referrer-Policy: unsafe-url"),
        to_client={
            "X-Frame-Options": ["DENY"],
            "X-Content-Type-Options": ["nosniff"],
            "Strict-Transport-Security": ["max-age=3600"],
            "Content-Security-Policy": ["default-src 'self'"],
            "Referrer-Policy": [],
        },
    ),
    "Forwarded": Case(
        {"ForwardedHeader": {}},
        sent=("X-Forwarded-For: 203.0.113.9", "Forwarded: for=evil"),
        to_backend={
            "Forwarded": ['for=203.0.113.9, for=127.0.0.1;proto=http;host="a.test"'],
            "X-Forwarded-For": [],
        },
    ),
    "Location": Case(
        {"OverrideLocationHeader": {}},
        answer="302 Found",
        answered=("Location: http://127.0.0.1:99/api/x?y",),
        root="/api",
        status=302,
        to_client={"Location": ["http://a.test/x?y"]},
        target="/api/p?q=1",
    ),
    "security.txt": Case(
        {"NgSecurityTxt": {}},
        "GET /.well-known/security.txt",
        to_client={"Content-Type": ["text/plain; charset=utf-8"]},
        to_backend=None,
        body=SECURITY_TXT,
    ),
    "robots.txt": Case(
        {"Robots": {}},
        "GET /robots.txt",
        to_client={"Content-Type": ["text/plain"]},
        to_backend=None,
        body=b"User-agent: *\nDisallow: /\n",
    ),
    "X-Robots-Tag": Case(
        {"Robots": {}}, to_client={"X-Robots-Tag": ["noindex, nofollow, noarchive"]}
    ),
    "query": Case(
        {"QueryTransformer": {"remove": ["q"], "rename": {"a": "b"}, "add": {"tenant": "x y"}}},
        "GET /p?q=1&a=2&c",
        target="/p?b=2&c&tenant=x%20y",
    ),
    "query: all gone": Case({"QueryTransformer": {"remove": ["q"]}}, target="/p"),
    "cookies in": Case(
        {
            "RemoveCookiesIn": {"names": ["session"]},
            "MissingCookieIn": {"name": "lang", "value": "fr"},
            "AdditionalCookieIn": {"name": "page", "value": "${req.pathparams.page}"},
        },
        sent=("Cookie: session=x; a=1; page=mine",),
        to_backend={"Cookie": ["a=1; lang=fr; page=p"]},
    ),
    "cookies out": Case(
        {
            "RemoveCookiesOut": {"names": ["debug"]},
            "MissingCookieOut": {"name": "a", "value": "never"},
            "AdditionalCookieOut": {"name": "b", "value": "2", "httpOnly": True, "path": "/"},
        },
        answered=("Set-Cookie: a=1", "Set-Cookie: debug=1; Path=/"),
        to_client={"Set-Cookie": ["a=1", "b=2; Path=/; HttpOnly"]},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_plugin_does_its_work(name: str) -> None:
    case = CASES[name]
    response, requests = await exchange(
        case.plugins,
        case.request,
        case.sent,
        answer=case.answer,
        answered=case.answered,
        root=case.root,
    )
    assert response.status == case.status
    assert fields(response.headers, case.to_client) == case.to_client
    if case.body is not None:
        assert response.body == case.body
    if case.to_backend is None:
        assert requests == []
        return
    assert fields(requests[0].headers, case.to_backend) == case.to_backend
    if case.target is not None:
        assert requests[0].target == case.target.encode()


async def test_what_only_the_gateway_says_never_comes_from_a_client() -> None:
    """Every name, in four ways to write it, in one request each."""
    ways = (str, str.lower, str.upper, str.swapcase)
    for way in ways:
        sent = tuple(f"{way(name)}: forged" for name in GATEWAY_OWNED)
        response, requests = await exchange({}, "GET /", (*sent, "X-Mine: kept"))
        assert response.status == 200
        names = {name for name, _ in requests[0].headers}
        assert b"x-mine" in names
        assert not names & {name.lower().encode() for name in GATEWAY_OWNED}
