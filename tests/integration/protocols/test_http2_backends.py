"""HTTP/2 on both sides of whole gateways: real backends, real clients, and gRPC through them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import grpc
import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.backends import hypercorn, serving
from tests.integration.clients import UNTIMED, admin, route
from tests.integration.protocols.grpc_echo import PATIENCE_S, grpc_server, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

LARGE = b"0123456789abcdef" * 20_000


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Tell how it was called, and give back the body."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"x-version", scope["http_version"].encode()), (b"x-path", scope["raw_path"])]
    fields = dict(scope["headers"])
    headers.append((b"x-host", fields.get(b"host", b"")))
    headers.append((b"x-heard", fields.get(b"x-said", b"")))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, len(body), 50_000):
        piece = body[start : start + 50_000]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def speaking(entity_id: str, port: int, protocol: str = "HTTP/2.0") -> dict[str, Any]:
    """A route to a backend that speaks this protocol."""
    document = route(entity_id, f"http://127.0.0.1:{port}")
    target = {"hostname": "127.0.0.1", "port": port, "tls": False, "protocol": protocol}
    document["backend"] = {"targets": [target], "client": UNTIMED}
    return document


async def make(gateway: GatewayProcess, *documents: dict[str, Any]) -> None:
    async with admin(gateway) as api:
        for document in documents:
            answer = await api.post("/api/routes", params={"wait": "applied"}, json=document)
            assert answer.status_code == 201, answer.text


async def test_every_client_reaches_an_http2_backend(tmp_path: Path) -> None:
    async with (
        hypercorn(application) as port,
        gateway_process("--workers", "1", data=tmp_path) as gateway,
    ):
        await make(gateway, speaking("two", port), speaking("one", port, "HTTP/1.1"))
        for http1, http2 in ((True, False), (False, True)):
            async with httpx.AsyncClient(http1=http1, http2=http2, base_url=gateway.http) as client:
                for name, spoken in (("two", "2"), ("one", "1.1")):
                    answer = await client.post(
                        "/p%20q?r=s", headers={"host": f"{name}.test"}, content=LARGE
                    )
                    assert answer.status_code == 200, answer.text
                    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                    assert answer.headers["x-version"] == spoken
                    assert answer.headers["x-path"] == "/p%20q"
                    assert answer.headers["x-host"] == f"{name}.test"
                    assert answer.content == LARGE
                    head = await client.head("/", headers={"host": f"{name}.test"})
                    assert (head.status_code, head.content) == (200, b"")


async def test_many_requests_at_once_share_connections(tmp_path: Path) -> None:
    async with (
        hypercorn(application) as port,
        gateway_process("--workers", "1", data=tmp_path) as gateway,
    ):
        await make(gateway, speaking("two", port))
        bodies: dict[int, bytes] = {}
        async with httpx.AsyncClient(http1=False, http2=True, base_url=gateway.http) as client:

            async def call(number: int) -> None:
                answer = await client.post(
                    "/", headers={"host": "two.test"}, content=str(number).encode() * 1000
                )
                bodies[number] = answer.content

            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(call, number)
        assert bodies == {number: str(number).encode() * 1000 for number in range(60)}


# ------------------------------------------------------------------------------------------ gRPC


async def with_channel(gateway: GatewayProcess, play: Callable[[grpc.Channel], None]) -> None:
    """Play calls through the gateway, in a thread."""
    options = [
        ("grpc.default_authority", "two.test"),
        ("grpc.max_receive_message_length", 16 << 20),
    ]

    def run() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options=options) as channel:
            play(channel)

    with trio.fail_after(300):
        await trio.to_thread.run_sync(run)


async def test_all_kinds_of_grpc_calls(tmp_path: Path) -> None:
    async with (
        grpc_server() as (_echo, port),
        gateway_process("--workers", "1", data=tmp_path) as gateway,
    ):
        await make(gateway, speaking("two", port))

        def play(channel: grpc.Channel) -> None:
            one = channel.unary_unary("/t.Echo/One", same, same)
            for message in (b"", b"hello", b"x" * (4 << 20)):
                answer, call = one.with_call(
                    message, metadata=(("x-said", "hi"),), timeout=PATIENCE_S
                )
                assert answer == message
                assert dict(call.initial_metadata())["x-initial"] == "hi"
                trailing = dict(call.trailing_metadata())
                assert (trailing["x-trailing"], trailing["x-bin"]) == ("end", b"\x00\xff")
            many = channel.unary_stream("/t.Echo/Many", same, same)
            assert list(many(b"n", timeout=PATIENCE_S)) == [b"n0", b"n1", b"n2", b"n3", b"n4"]
            total = channel.stream_unary("/t.Echo/Sum", same, same)
            assert total(iter([b"a", b"b", b"c"]), timeout=PATIENCE_S) == b"abc"
            talk = channel.stream_stream("/t.Echo/Talk", same, same)
            # Each answer comes before the next request is made: nothing is held back on the way.
            turns: list[bytes] = []

            def ask() -> Iterator[bytes]:
                for number in range(10):
                    while len(turns) < number:
                        threading.Event().wait(0.001)
                    yield f"turn {number}".encode()

            turns.extend(talk(ask(), timeout=PATIENCE_S))
            assert turns == [f"TURN {number}".encode() for number in range(10)]
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary("/t.Echo/Fail", same, same)(b"", timeout=PATIENCE_S)
            assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert failed.value.details() == "not now: 100%"
            with pytest.raises(grpc.RpcError) as unknown:
                channel.unary_unary("/t.Echo/Nothing", same, same)(b"", timeout=PATIENCE_S)
            assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED

        await with_channel(gateway, play)


class LeavingServer:
    """Answers calls of gRPC; each of its connections but the last leaves when it has read a call, and did not look at it.

    Args:
        connections: How many leave.
    """

    def __init__(self, connections: int) -> None:
        self.leaving = connections
        self.left = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        is_leaving, self.leaving = self.leaving > 0, self.leaving - 1
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        h2c = h2.connection.H2Connection(config)
        h2c.initiate_connection()
        body = b""
        await stream.send_all(h2c.data_to_send())
        while data := await stream.receive_some():
            for event in h2c.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    h2c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    body += event.data
                if not isinstance(event, h2.events.StreamEnded):
                    continue
                if is_leaving:
                    self.left += 1
                    h2c.close_connection(last_stream_id=0)
                    await stream.send_all(h2c.data_to_send())
                    while await stream.receive_some():
                        pass
                    return
                head = [(":status", "200"), ("content-type", "application/grpc")]
                h2c.send_headers(event.stream_id, head)
                for start in range(0, len(body), h2c.max_outbound_frame_size):
                    piece = body[start : start + h2c.max_outbound_frame_size]
                    h2c.send_data(event.stream_id, piece)
                h2c.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
                body = b""
            await stream.send_all(h2c.data_to_send())


async def test_grpc_calls_survive_a_backend_that_leaves(tmp_path: Path) -> None:
    server = LeavingServer(connections=2)
    async with (
        serving(server.serve) as port,
        gateway_process("--workers", "1", data=tmp_path) as gateway,
    ):
        await make(gateway, speaking("two", port))

        def play(channel: grpc.Channel) -> None:
            one = channel.unary_unary("/t.Echo/One", same, same)
            for message in (b"hello", b"x" * 50_000):
                assert one(message, timeout=PATIENCE_S) == message

        await with_channel(gateway, play)
        assert server.left == 2


async def test_a_grpc_call_that_is_given_up_is_cancelled_at_the_server(tmp_path: Path) -> None:
    async with (
        grpc_server() as (echo, port),
        gateway_process("--workers", "1", data=tmp_path) as gateway,
    ):
        await make(gateway, speaking("two", port))

        def play(channel: grpc.Channel) -> None:
            hang = channel.unary_unary("/t.Echo/Hang", same, same)
            for patience_s in (0.5, 5, 20):
                with pytest.raises(grpc.RpcError) as late:
                    hang(b"", timeout=patience_s)
                assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                # On a busy machine the time may be over before the call is at the server.
                if echo.hanging.acquire(blocking=False):
                    break
            else:
                pytest.fail("no call came to the server")
            assert echo.has_left()
            call = hang.future(b"")
            assert echo.hanging.acquire(timeout=PATIENCE_S)
            call.cancel()
            assert echo.has_left()

        await with_channel(gateway, play)
