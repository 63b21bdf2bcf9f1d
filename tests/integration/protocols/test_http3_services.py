"""What is more than requests, for clients of HTTP/3: events, gRPC, gRPC-Web, messages that plugins look at, mTLS behind."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.attacks.backends import Http2Backend
from tests.conformance.tls.secure import authority
from tests.conformance.websocket.frames import BINARY, CLOSE, PING, PONG, Frame
from tests.integration.backends import serving
from tests.integration.gateways import HTTP3, declared_gateway, shown, trusted
from tests.integration.protocols.grpc_echo import PATIENCE_S as CALL_S
from tests.integration.protocols.grpc_echo import Echo, grpc_server
from tests.integration.protocols.http3_client import Http3Client, http3_client
from tests.integration.protocols.stream_clients import ask_for_socket
from tests.integration.protocols.test_event_streams import PLUGINS, Backend, backend
from tests.integration.protocols.test_grpc_web import CORS, WEB, frame, frames

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.protocols.http2_client import Heard

pytestmark = pytest.mark.slow

PATIENCE_S: Final = 400
NG: Final = "cp:otoroshi.next.plugins."
PATIENT: Final = {"call_timeout": PATIENCE_S * 1000, "global_timeout": PATIENCE_S * 1000}
"""Megabytes through a client in Python take their time on a busy machine."""
NAMES: Final = ("events", "grpc", "web", "sized", "shows", "hides")
GRPC: Final = (("content-type", "application/grpc"), ("te", "trailers"))
CALLED: Final = (("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1"))


class Guarded:
    """A backend that speaks HTTP/2 to those who show a certificate of the authority's."""

    def __init__(self) -> None:
        self.http2 = Http2Backend()
        self.shown: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("back.test").configure_cert(self._context)
        authority().configure_trust(self._context)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.set_alpn_protocols(["h2"])

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        secure = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
        try:
            await secure.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(secure)
            return
        told: Any = secure.getpeercert()
        self.shown += [name for kind, name in told["subjectAltName"] if kind == "DNS"]
        await self.http2.serve(secure)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Stage:
    """What the tests play with: a client of HTTP/3, and who is behind the gateway."""

    def __init__(self, client: Http3Client, events: Backend, echo: Echo, guarded: Guarded) -> None:
        self.client = client
        self.events = events
        self.echo = echo
        self.guarded = guarded

    async def until(self, heard: Heard, text: bytes) -> None:
        """Wait until a text is in a body."""
        await self.client.until(lambda: text in heard.octets)


def secured(port: int, **tls: Any) -> dict[str, Any]:
    """A target of HTTP/2 over TLS."""
    where = {"hostname": "back.test", "ip_address": "127.0.0.1", "port": port}
    told = {"enabled": True, **tls}
    return {**where, "tls": True, "protocol": "HTTP/2.0", "tls_config": told}


def document(events: int, echo: int, guarded: int) -> dict[str, Any]:
    calls = {"hostname": "127.0.0.1", "port": echo, "tls": False, "protocol": "HTTP/2.0"}
    sized: list[dict[str, Any]] = [
        {
            "plugin": f"{NG}WebsocketSizeValidator",
            "config": {"client_max_payload": 10, "reject_strategy": "close"},
        },
        {"plugin": f"{NG}api.YesWebsocketBackend"},
    ]
    targets: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        "events": ({"hostname": "127.0.0.1", "port": events, "tls": False}, PLUGINS),
        "grpc": (calls, []),
        "web": (calls, [CORS, WEB]),
        "sized": ({"hostname": "127.0.0.1", "port": 1, "tls": False}, sized),
        "shows": (secured(guarded, certs=["mine"], mtls=True), []),
        "hides": (secured(guarded), []),
    }
    return {
        "certificates": [
            shown(*(f"{it}.test" for it in NAMES)),
            shown("gateway.test", entity_id="mine"),
            trusted(),
        ],
        "routes": [
            {
                "name": name,
                "frontend": {"domains": [f"{name}.test"]},
                "backend": {"targets": [target], "client": PATIENT},
                "plugins": plugins,
            }
            for name, (target, plugins) in targets.items()
        ],
    }


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    guarded = Guarded()
    with trio.fail_after(PATIENCE_S):
        async with (
            backend() as events,
            grpc_server() as (echo, port),
            serving(guarded.serve) as behind,
            declared_gateway(document(events.port, port, behind), folder, *HTTP3) as gateway,
            http3_client(gateway.http3_port, "events.test") as client,
        ):
            yield Stage(client, events, echo, guarded)


async def test_services_over_http3(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await _events_come_one_by_one(stage)
        await _all_kinds_of_grpc_calls(stage)
        await _calls_of_pages(stage)
        await _messages_are_looked_at(stage)
        await _a_backend_that_wants_a_certificate(stage)


async def _events_come_one_by_one(stage: Stage) -> None:
    client = stage.client
    stream = await client.begin("GET", "events.test", "/")
    heard = client.heard[stream]
    said = await stage.events.next()
    await client.until(lambda: heard.fields)  # before the first event
    fields = dict(heard.fields)
    assert fields[b"content-type"] == b"text/event-stream"
    assert (fields[b"x-plugin"], fields[b"access-control-allow-origin"]) == (b"seen", b"*")
    for number in range(20):
        await said.say(number)
        await stage.until(heard, b"data: %d\n\n" % number)
    await client.cancel(stream)
    await said.wait_for_the_end()


async def _called(
    stage: Stage, method: str, *messages: bytes
) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Call over gRPC; returns the messages and the trailers."""
    client = stage.client
    more = (*GRPC, ("x-said", "hi"), ("grpc-timeout", f"{PATIENCE_S}S"))
    stream = await client.begin("POST", "grpc.test", f"/t.Echo/{method}", *more, end=False)
    for message in messages:
        await client.send_body(stream, frame(message), end=False)
    await client.send_body(stream, b"", end=True)
    heard = await client.answer(stream)
    assert (heard.status, heard.reset) == (200, None)
    trailers = dict(heard.trailers or heard.fields)
    return [message for _, message in frames(bytes(heard.body))], trailers


async def _all_kinds_of_grpc_calls(stage: Stage) -> None:
    client = stage.client
    large = b"x" * (4 << 20)
    for message in (b"", b"hello", large):
        answers, trailers = await _called(stage, "One", message)
        assert answers == [message]
        assert (trailers[b"grpc-status"], trailers[b"x-trailing"]) == (b"0", b"end")
    assert (await _called(stage, "Many", b"n"))[0] == [b"n0", b"n1", b"n2", b"n3", b"n4"]
    assert (await _called(stage, "Sum", b"a", b"b", b"c"))[0] == [b"abc"]
    # Each answer comes before the next message is sent.
    stream = await client.begin("POST", "grpc.test", "/t.Echo/Talk", *GRPC, end=False)
    heard = client.heard[stream]
    for number in range(5):
        await client.send_body(stream, frame(b"turn %d" % number), end=False)
        await stage.until(heard, b"TURN %d" % number)
    await client.send_body(stream, b"", end=True)
    assert dict((await client.answer(stream)).trailers)[b"grpc-status"] == b"0"
    trailers = (await _called(stage, "Fail", b""))[1]
    assert (trailers[b"grpc-status"], trailers[b"grpc-message"]) == (b"9", b"not now: 100%25")
    # One that is given up is cancelled at the server.
    stream = await client.begin("POST", "grpc.test", "/t.Echo/Feed", *GRPC, end=False)
    await client.send_body(stream, frame(b"5"), end=True)
    stage.echo.wanted.release()
    await stage.until(client.heard[stream], b"fed 0")
    await client.cancel(stream)
    assert await trio.to_thread.run_sync(stage.echo.cancelled.wait, CALL_S)


async def _calls_of_pages(stage: Stage) -> None:
    client = stage.client
    more = (*CALLED, ("x-said", "hi"), ("origin", "https://page.test"))
    heard = await client.ask("POST", "web.test", "/t.Echo/Many", *more, body=frame(b"n"))
    *messages, (flags, trailers) = frames(bytes(heard.body))
    assert messages == [(0, b"n%d" % number) for number in range(5)]
    assert (flags, b"grpc-status:0" in trailers.replace(b" ", b"")) == (0x80, True)
    assert dict(heard.fields)[b"access-control-allow-origin"] == b"*"
    blocked = await client.ask("POST", "web.test", "/t.Echo/Sum", *CALLED, body=frame(b"n"))
    assert dict(blocked.fields)[b"grpc-status"] == b"403"


async def _messages_are_looked_at(stage: Stage) -> None:
    client = stage.client
    stream = await ask_for_socket(client, "sized.test", "/")
    heard = client.heard[stream]
    assert heard.status == 200

    async def say(frame: Frame) -> None:
        is_last = frame.opcode == CLOSE
        await client.send_body(stream, frame.octets(b"mask"), end=is_last)

    await say(Frame(PING, b"there?"))
    await stage.until(heard, Frame(PONG, b"there?").octets(None))
    await say(Frame(BINARY, b"x" * 11))
    code = (1009).to_bytes(2)
    await stage.until(heard, Frame(CLOSE, code + b"limit exceeded").octets(None))
    await say(Frame(CLOSE, code))
    assert (await client.answer(stream)).reset is None


async def _a_backend_that_wants_a_certificate(stage: Stage) -> None:
    assert (await stage.client.ask("GET", "shows.test", "/")).status == 200
    assert stage.guarded.shown == ["gateway.test"]
    assert (await stage.client.ask("GET", "hides.test", "/")).status == 502
    assert stage.guarded.http2.asked == {"/": 1}
