"""A gRPC server of bytes, without generated code, and how its messages look on the wire."""

from __future__ import annotations

import threading
from concurrent import futures
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc
import trio
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

__all__ = ["PATIENCE_S", "Echo", "grpc_server", "same"]

PATIENCE_S: Final = 60
"""How long a test waits for anything of a call."""


def same(data: bytes) -> bytes:
    """No schema: messages are bytes."""
    return data


class Echo(grpc.GenericRpcHandler):
    """A server of all four kinds of calls, without generated code."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        """A call of Feed is over."""
        self.hanging = threading.Semaphore(0)
        """Calls of Hang that are here."""
        self.left = threading.Semaphore(0)
        """Those of them that are over."""
        self.wanted = threading.Semaphore(0)
        self.flooded = 0

    @override
    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        found: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "/t.Echo/One": grpc.unary_unary_rpc_method_handler(self.one, same, same),
            "/t.Echo/Many": grpc.unary_stream_rpc_method_handler(self.many, same, same),
            "/t.Echo/Sum": grpc.stream_unary_rpc_method_handler(self.sum, same, same),
            "/t.Echo/Talk": grpc.stream_stream_rpc_method_handler(self.talk, same, same),
            "/t.Echo/Fail": grpc.unary_unary_rpc_method_handler(self.fail, same, same),
            "/t.Echo/Feed": grpc.unary_stream_rpc_method_handler(self.feed, same, same),
            "/t.Echo/Flood": grpc.unary_stream_rpc_method_handler(self.flood, same, same),
            "/t.Echo/Hang": grpc.unary_unary_rpc_method_handler(self.hang, same, same),
        }
        return found.get(handler_call_details.method)

    def one(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        said = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", str(said.get("x-said", ""))),))
        context.set_trailing_metadata((("x-trailing", "end"), ("x-bin", b"\x00\xff")))
        return request

    def many(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (request + str(number).encode() for number in range(5))

    def sum(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"".join(requests)

    def talk(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request.upper()

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100%")
        raise AssertionError("abort raises")

    def feed(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Send as many messages as are wanted, the empty one last."""
        context.add_callback(self.cancelled.set)
        context.add_callback(self.wanted.release)
        for number in range(int(request)):
            self.wanted.acquire()
            yield b"fed %d" % number
        yield b""

    def flood(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Send many messages of 64 KiB, and count them."""
        for number in range(int(request)):
            self.flooded = number + 1
            yield number.to_bytes(4) * (16 << 10)

    def hang(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Say nothing until the call is over; one that was given up before it came here counts for nothing."""
        over = threading.Event()
        if context.add_callback(over.set):
            self.hanging.release()
            if over.wait(2 * PATIENCE_S):
                self.left.release()
        return b""

    def has_left(self) -> bool:
        """Wait until a call of Hang is over."""
        return self.left.acquire(timeout=PATIENCE_S)


@asynccontextmanager
async def grpc_server() -> AsyncGenerator[tuple[Echo, int]]:
    """Run a gRPC server in threads of its own."""
    echo = Echo()
    size = [("grpc.max_receive_message_length", 16 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[echo], options=size)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield echo, port
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(lambda: server.stop(0).wait())
