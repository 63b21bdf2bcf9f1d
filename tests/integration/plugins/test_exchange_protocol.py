"""The challenge between gateway and backend, over real sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api.registry import builtin_plugins
from tests.conformance.challenge_backend import answer_to, decoded
from tests.conformance.http1.gateway import Gateway, running
from tests.conformance.http1.upstream import Recorder, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.conformance.http1.messages import RequestSeen

NG = "cp:otoroshi.next.plugins."
NOW = 1_700_000_000


def plugin_route(port: int, **plugins: dict[str, Any]) -> bytes:
    """Compile a route to a backend, with plugins by name and config."""
    document = {
        "id": "r1",
        "name": "orders",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": port}]},
        "plugins": [{"plugin": NG + name, "config": config} for name, config in plugins.items()],
    }
    hooks = Hooks()
    lowered = RouteCompiler(builtin_plugins(), hooks).compile(read_route(document), {})
    assert lowered.problems == ()
    assert b'"kind":"python"' not in lowered.document
    return lowered.document


@asynccontextmanager
async def fronted(
    answer: Callable[[RequestSeen], bytes], **plugins: dict[str, Any]
) -> AsyncGenerator[tuple[Gateway, Recorder]]:
    """Run a gateway with these plugins in front of a backend."""
    upstream = await Upstream.open()
    recorder = Recorder(upstream, answer)
    async with running(plugin_route(upstream.port, **plugins)) as gateway:
        gateway.engine.set_unix_offset(NOW - gateway.now)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            yield gateway, recorder
            nursery.cancel_scope.cancel()
    await upstream.close()


def ok(fields: list[tuple[str, str]]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok".encode()


def field_of(request: RequestSeen, name: str) -> str:
    found = [value for known, value in request.headers if known.lower() == name.lower().encode()]
    assert len(found) == 1, f"{name}: {found}"
    return found[0].decode()


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("right", 200), ("silent", 502), ("other state", 502), ("no state", 502)],
)
async def test_only_a_backend_that_knows_the_gateway_answers(
    version: str, behaviour: str, status: int
) -> None:
    def answer(request: RequestSeen) -> bytes:
        return ok(answer_to(field_of(request, "Otoroshi-State"), NOW, behaviour))

    async with fronted(answer, OtoroshiChallenge={"version": version}) as (gateway, recorder):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nOtoroshi-State: mine\r\n\r\n")
        response = await client.read_response()
        await client.close()
    assert response.status == status
    sent = field_of(recorder.requests[0], "Otoroshi-State")
    if version == "V2":
        claims = decoded(sent)
        assert claims["aud"] == "orders"
        assert (claims["iat"], claims["exp"]) == (NOW, NOW + 30)
    else:
        assert len(sent) == 128
    shown = dict(response.headers)
    if status == 200:
        assert response.body == b"ok"
        assert b"otoroshi-state-resp" not in shown
        return
    # The page echoes what the client sent, never what was for the backend's eyes.
    assert shown[b"otoroshi-state-resp"] == b"mine"
    assert sent.encode() not in response.body
    assert (
        shown[b"otoroshi-error-msg"]
        == b"Backend server does not seems to be secured. Cancelling request !"
    )


async def test_without_the_plugin_a_backends_state_is_kept_from_the_client() -> None:
    async with fronted(lambda _: ok([("Otoroshi-State-Resp", "x")])) as (gateway, _):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = await client.read_response()
        await client.close()
    assert response.status == 200
    assert b"otoroshi-state-resp" not in dict(response.headers)


async def test_an_error_page_of_a_broken_backend_does_not_show_the_challenge() -> None:
    async with fronted(lambda _: b"nonsense\r\n\r\n", OtoroshiChallenge={}) as (gateway, recorder):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = await client.read_response()
        await client.close()
    assert response.status == 502
    assert dict(response.headers)[b"otoroshi-state-resp"] == b"--"
    assert field_of(recorder.requests[0], "Otoroshi-State")


async def test_an_hmac_signature_opens_and_closes_the_way() -> None:
    async with fronted(
        lambda _: ok([]),
        HMACValidator={"secret": "in", "authorizationHeader": "X-Mac"},
        HMACCaller={"secret": "out", "algo": "HMAC-SHA256"},
        BasicAuthCaller={"username": "u", "password": "p", "headerName": "X-Login"},
    ) as (gateway, recorder):
        # Signed with Python's hmac: key "in", text "today".
        good = b"6DNahjfUjhLIFZzAL0EBG/ATeIgepTux+Py4fr73+xQ="
        for signature, status in ((good, 200), (good.swapcase(), 400)):
            client = await gateway.client()
            await client.send(
                b"GET / HTTP/1.1\r\nHost: a.test\r\nDate: today\r\n"
                b'X-Mac: hmac headers="Date",signature="' + signature + b'"\r\n\r\n'
            )
            response = await client.read_response()
            assert response.status == status
            await client.close()
    (request,) = recorder.requests
    assert field_of(request, "Date") == str(NOW * 1000)
    assert field_of(request, "Authorization").startswith('hmac algorithm="hmac-sha256", ')
    assert field_of(request, "X-Login") == "Basic dTpw"
    assert msgspec.json.encode(str(request.headers)).count(b"out") == 0
