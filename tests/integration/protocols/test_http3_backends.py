"""Backends over HTTP/3, behind whole gateways: aioquic's server, which loses datagrams, restarts and misbehaves."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
import trio
import trustme

from oto_trio.gateway.upstream.http3 import DOUBTED_S
from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin, route
from tests.integration.protocols.http3_backend import http3_backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow

LARGE = b"0123456789abcdef" * 20_000
SHARED = 3
"""The most connections of many requests: where a machine stands still for seconds, one is taken for lost."""
PATIENT = {"call_timeout": 100_000, "global_timeout": 100_000}
CANCELLED = 0x10C
OURS = trustme.CA()
THEIRS = trustme.CA()


def certificate(name: str, chain: bytes, key: bytes = b"", *, ca: bool = False) -> dict[str, Any]:
    """A certificate entity."""
    return {
        "id": name,
        "name": name,
        "chain": chain.decode(),
        "privateKey": key.decode(),
        "domain": "",
        "subject": "",
        "from": 0,
        "to": 0,
        "caRef": None,
        "autoRenew": False,
        "ca": ca,
        "client": False,
    }


def speaking(entity_id: str, *ports: int, client: dict[str, Any] | None = None, **tls: Any) -> Any:
    """A route to backends that speak HTTP/3 on these ports."""
    document = route(entity_id, "http://127.0.0.1:1")
    targets = [
        {
            "hostname": "back.test",
            "ip_address": "127.0.0.1",
            "port": port,
            "tls": True,
            "protocol": "HTTP/3.0",
            "tls_config": {"enabled": bool(tls), **tls},
        }
        for port in ports
    ]
    document["backend"] = {"targets": targets, "client": {**PATIENT, **(client or {})}}
    return document


async def make(gateway: GatewayProcess, documents: Sequence[dict[str, Any]]) -> None:
    async with admin(gateway) as api:
        for document in documents:
            kind = "certificates" if "chain" in document else "routes"
            answer = await api.post(f"/api/{kind}", params={"wait": "applied"}, json=document)
            assert answer.status_code in {200, 201}, answer.text


@asynccontextmanager
async def running(
    tmp_path: Path, *documents: dict[str, Any]
) -> AsyncGenerator[tuple[GatewayProcess, httpx.AsyncClient]]:
    """Run a gateway that believes our authority, with these routes, and a client of it."""
    async with gateway_process("--workers", "1", data=tmp_path) as gateway:
        await make(gateway, [certificate("ours", OURS.cert_pem.bytes(), ca=True), *documents])
        async with httpx.AsyncClient(base_url=gateway.http, timeout=120) as client:
            yield gateway, client


async def ask(
    client: httpx.AsyncClient, host: str, path: str, body: bytes | None = None
) -> tuple[int, bytes]:
    """Ask for a path, with GET or, with a body, with POST; returns the status and what came."""
    method = "GET" if body is None else "POST"
    answer = await client.request(method, path, headers={"host": f"{host}.test"}, content=body)
    return answer.status_code, answer.content


async def test_every_client_reaches_a_backend_over_http3(tmp_path: Path) -> None:
    leaf = OURS.issue_cert("back.test")
    async with (
        http3_backend(leaf) as backend,
        running(tmp_path, speaking("three", backend.port)) as (gateway, _),
    ):
        for http1, http2 in ((True, False), (False, True)):
            async with httpx.AsyncClient(http1=http1, http2=http2, base_url=gateway.http) as client:
                head = {"host": "three.test"}
                answer = await client.post("/p%20q?r=s", headers=head, content=LARGE)
                assert answer.status_code == 200, answer.text
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                assert answer.headers["x-version"] == "3"
                assert answer.headers["x-path"] == "/p%20q?r=s"
                assert answer.headers["x-host"] == "three.test"
                assert answer.headers["x-scheme"] == "https"
                assert answer.content == LARGE
                bare = await client.head("/large?160", headers=head)
                assert (bare.status_code, bare.content) == (200, b"")
                assert bare.headers["content-length"] == "160"
                large = await client.get("/large?1600000", headers=head)
                assert large.content == LARGE * 5
                sizes: dict[int, int] = {}

                async def call(
                    number: int,
                    client: httpx.AsyncClient = client,
                    sizes: dict[int, int] = sizes,
                ) -> None:
                    path = f"/large?{number * 1600}"
                    answer = await client.get(path, headers={"host": "three.test"})
                    sizes[number] = len(answer.content)

                async with trio.open_nursery() as nursery:
                    for number in range(40):
                        nursery.start_soon(call, number)
                assert sizes == {number: number * 1600 for number in range(40)}
        assert backend.connections <= SHARED

        def play() -> None:
            options = [("grpc.default_authority", "three.test")]
            with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=options) as channel:
                method: Any = channel.unary_unary("/t.Echo/One")
                answer, call = method.with_call(b"abc", timeout=60)
                assert answer == b"abc"
                assert ("x-heard", "") in list(call.trailing_metadata())

        await trio.to_thread.run_sync(play)
        assert backend.connections <= SHARED


async def test_what_goes_wrong_on_a_stream_is_that_request_s(tmp_path: Path) -> None:
    leaf = OURS.issue_cert("back.test")
    async with (
        http3_backend(leaf) as backend,
        http3_backend(leaf, loss=0.05) as lossy,
        running(
            tmp_path,
            speaking("three", backend.port),
            speaking("short", backend.port, client={"call_timeout": 2000}),
            speaking("lossy", lossy.port),
            # Nobody listens at the first one.
            speaking("next", 9, backend.port, client={"retries": 4, "retry_initial_delay": 1}),
            speaking("nobody", 9),
        ) as (_, client),
    ):
        # A request that the backend did not look at is sent again, and one that it broke off is not.
        backend.refusals = 1
        assert (await ask(client, "three", "/refuse"))[0] == 200
        assert backend.paths == [b"/refuse", b"/refuse"]
        assert (await ask(client, "three", "/half"))[0] == 502
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, "three", "/broken")
        # The backend answers before the body is there, and wants no more of it.
        assert (await ask(client, "three", "/early", LARGE * 4))[0] == 413
        # A deadline passes, and the backend hears of it.
        backend.cancelled.clear()
        assert (await ask(client, "short", "/hang"))[0] == 504
        await backend.wait_for(lambda: CANCELLED in backend.cancelled)
        # A client leaves, and the backend hears of it.
        backend.cancelled.clear()
        backend.paths.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client, "three", "/hang")
            await backend.wait_for(lambda: b"/hang" in backend.paths)
            nursery.cancel_scope.cancel()
        await backend.wait_for(lambda: CANCELLED in backend.cancelled)
        assert backend.connections <= SHARED

        # A client that reads nothing stops the backend.
        sent = backend.sent
        async with client.stream(
            "GET", "/large?48000000", headers={"host": "three.test"}
        ) as answer:
            assert answer.status_code == 200
            before = -1
            while backend.sent != before:
                before = backend.sent
                await trio.sleep(0.3)
            assert backend.sent - sent < 24_000_000
        assert (await ask(client, "three", "/after"))[0] == 200
        assert backend.connections <= SHARED

        bodies: list[bytes] = []

        async def call() -> None:
            bodies.append((await ask(client, "lossy", "/x", LARGE))[1])

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(call)
        assert bodies == [LARGE] * 4

        assert [(await ask(client, "next", "/a"))[0] for _ in range(4)] == [200] * 4
        assert (await ask(client, "nobody", "/a"))[0] == 502


async def test_a_backend_that_leaves_is_found_again(tmp_path: Path) -> None:
    leaf = OURS.issue_cert("back.test")
    async with http3_backend(leaf) as first:
        port = first.port
        async with running(tmp_path, speaking("three", port)) as (gateway, client):
            assert (await ask(client, "three", "/a"))[0] == 200
            # It says that it leaves; what is under way is answered, and the next request goes elsewhere.
            assert (await ask(client, "three", "/leave"))[0] == 200
            assert (await ask(client, "three", "/b"))[0] == 200
            assert first.connections > 1
            before = first.connections
            first.close_all()
            await gateway.wait_for_log(": it ended: error 0x100")
            assert (await ask(client, "three", "/c"))[0] == 200
            assert first.connections > before
            before = first.connections
            # It is cut off, and is there again without knowing of the connection, on which nothing was heard lately.
            await trio.sleep(DOUBTED_S + 2)
            first.vanish()
            first.is_silent = False
            assert (await ask(client, "three", "/d"))[0] == 200
            assert first.connections > before
            # A connection that is used is given up while a request waits on it.
            async with trio.open_nursery() as nursery:
                answers: list[int] = []

                async def hang() -> None:
                    answers.append((await ask(client, "three", "/hang"))[0])

                nursery.start_soon(hang)
                await first.wait_for(lambda: b"/hang" in first.paths)
                first.vanish()
                first.is_silent = False
                with trio.fail_after(60):
                    while not answers:
                        await ask(client, "three", "/e")
                        await trio.sleep(0.05)
                nursery.cancel_scope.cancel()
            assert answers == [502]
            assert (await ask(client, "three", "/f"))[0] == 200


async def test_whom_the_gateway_believes_and_what_it_shows(tmp_path: Path) -> None:
    leaf, other, foreign = (
        OURS.issue_cert("back.test"),
        OURS.issue_cert("other.test"),
        THEIRS.issue_cert("back.test"),
    )
    shown = OURS.issue_cert(common_name="gateway")
    chain = b"".join(it.bytes() for it in shown.cert_chain_pems)
    async with (
        http3_backend(leaf, asks=True) as backend,
        http3_backend(other) as named,
        http3_backend(foreign) as unknown,
        running(
            tmp_path,
            certificate("mine", chain, shown.private_key_pem.bytes()),
            speaking("bare", backend.port),
            speaking("shows", backend.port, certs=["mine"], mtls=True),
            speaking("named", named.port),
            speaking("loose", named.port, loose=True),
            speaking("unknown", unknown.port),
            speaking("all", unknown.port, trust_all=True),
        ) as (gateway, client),
    ):
        for host, status in (
            ("bare", 200),
            ("shows", 200),
            ("named", 502),
            ("loose", 200),
            ("unknown", 502),
            ("all", 200),
        ):
            assert (await ask(client, host, "/a"))[0] == status, host
        assert [name.partition(",")[0] for name in backend.shown] == ["", "CN=gateway"]
        assert (named.connections, unknown.connections) == (1, 1)
        await gateway.wait_for_log("UnknownIssuer")
        # Who is not believed any more is not spoken to any more, on a connection that is there.
        async with admin(gateway) as api:
            gone = await api.delete("/api/certificates/ours", params={"wait": "applied"})
            assert gone.status_code == 200, gone.text
        assert (await ask(client, "bare", "/a"))[0] == 502
