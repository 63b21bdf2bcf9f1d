"""gRPC-Web through whole gateways: pages and other clients in front, a real gRPC server behind."""

from __future__ import annotations

import base64
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin
from tests.integration.protocols.chromium import CHROMIUM, page_report
from tests.integration.protocols.grpc_echo import PATIENCE_S, Echo, grpc_server
from tests.integration.protocols.http2_client import http2_client
from tests.integration.protocols.test_http2_backends import speaking

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

NG: Final = "cp:otoroshi.next.plugins."
CORS: Final[dict[str, Any]] = {
    "plugin": NG + "Cors",
    "config": {
        "allow_origin": "*",
        "allow_credentials": False,
        "allow_methods": ["POST"],
        "allow_headers": ["content-type", "x-grpc-web", "grpc-timeout", "x-said"],
        "expose_headers": ["grpc-status", "grpc-message"],
    },
}
WEB: Final[dict[str, Any]] = {
    "plugin": NG + "GrpcWebProxyPlugin",
    "config": {"blocked_methods": ["Sum"]},
}
KEYED: Final[dict[str, Any]] = {"plugin": NG + "ApikeyCalls", "config": {}}


def frame(message: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(message).to_bytes(4) + message


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Take a body apart; it has to end with a frame."""
    while body:
        length = int.from_bytes(body[1:5])
        assert len(body) >= 5 + length
        yield body[0], body[5 : 5 + length]
        body = body[5 + length :]


def out_of_text(text: bytes) -> bytes:
    """Read base64 whose pieces may each have padding of their own."""
    assert len(text) % 4 == 0
    parts = re.findall(rb"[^=]+=*", text)
    return b"".join(base64.b64decode(part, validate=True) for part in parts)


class Answered:
    """What came of a call: its messages, and its trailers from wherever they stood."""

    def __init__(self, response: httpx.Response, *, is_text: bool) -> None:
        assert response.status_code == 200, response.text
        body = out_of_text(response.content) if is_text else response.content
        found = list(frames(body))
        self.messages = [message for flags, message in found if flags == 0]
        self.trailers = {
            name: value
            for flags, block in found
            if flags == 0x80
            for name, _, value in (line.partition(":") for line in block.decode().splitlines())
        }
        assert [flags for flags, _ in found] == [0] * len(self.messages) + [0x80] * bool(
            self.trailers
        )
        self.status = self.trailers.get("grpc-status", response.headers.get("grpc-status"))
        self.said = self.trailers.get("grpc-message", response.headers.get("grpc-message"))
        self.fields = response.headers


def content_type(*, is_text: bool) -> str:
    return "application/grpc-web-text" if is_text else "application/grpc-web+proto"


class Web:
    """A client of gRPC-Web.

    Args:
        client: What sends its requests.
        is_text: Whether it writes base64.
        host: Whom it calls.
    """

    def __init__(self, client: httpx.AsyncClient, *, is_text: bool, host: str = "web.test") -> None:
        self.client = client
        self.is_text = is_text
        self.headers = {
            "host": host,
            "content-type": content_type(is_text=is_text),
            "x-grpc-web": "1",
            "accept": "*/*",
        }

    def written(self, data: bytes) -> bytes:
        return base64.b64encode(data) if self.is_text else data

    async def call(self, method: str, message: bytes = b"", **fields: str) -> Answered:
        headers = self.headers | {name.replace("_", "-"): text for name, text in fields.items()}
        content = self.written(frame(message))
        answer = await self.client.post(f"/t.Echo/{method}", headers=headers, content=content)
        return Answered(answer, is_text=self.is_text)

    async def stream(self, method: str, message: bytes) -> AsyncIterator[bytes]:
        """Call; yields each message as soon as it is there, whatever else is not."""
        content = self.written(frame(message))
        held = b""
        async with self.client.stream(
            "POST", f"/t.Echo/{method}", headers=self.headers, content=content
        ) as answer:
            async for piece in answer.aiter_raw():
                held += piece
                while True:
                    usable = held[: len(held) // 4 * 4] if self.is_text else held
                    body = out_of_text(usable) if self.is_text else usable
                    length = 5 + int.from_bytes(body[1:5])
                    if len(body) < max(length, 5):
                        break
                    held = held[len(self.written(body[:length])) :]
                    if body[0] == 0:
                        yield body[5:length]


@asynccontextmanager
async def served(data: Path) -> AsyncGenerator[tuple[GatewayProcess, Echo]]:
    """Run a gateway with routes to a gRPC server, one that wants a key and one that leads nowhere."""
    async with (
        grpc_server() as (echo, port),
        gateway_process("--workers", "1", data=data) as gateway,
    ):
        documents = [
            speaking("web", port) | {"plugins": [CORS, WEB]},
            speaking("keyed", port) | {"plugins": [CORS, KEYED, WEB]},
            speaking("nowhere", 1) | {"plugins": [CORS, WEB]},
            speaking("bare", 1) | {"plugins": [CORS]},
        ]
        async with admin(gateway) as api:
            for document in documents:
                answer = await api.post("/api/routes", params={"wait": "applied"}, json=document)
                assert answer.status_code == 201, answer.text
        yield gateway, echo


@asynccontextmanager
async def clients(gateway: GatewayProcess) -> AsyncGenerator[list[Web]]:
    """Make a client of each form over each version of HTTP."""
    async with (
        httpx.AsyncClient(base_url=gateway.http, timeout=2 * PATIENCE_S) as http1,
        httpx.AsyncClient(
            http1=False, http2=True, base_url=gateway.http, timeout=2 * PATIENCE_S
        ) as http2,
    ):
        yield [
            Web(client, is_text=is_text) for client in (http1, http2) for is_text in (False, True)
        ]


async def test_calls_in_both_forms_over_both_versions(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, _), clients(gateway) as webs:
        for web in webs:
            for message in (b"", b"hello", bytes(range(256)) * 4096):
                one = await web.call("One", message, x_said="hi")
                assert (one.messages, one.status) == ([message], "0")
                assert one.fields["x-initial"] == "hi"
                text = "-text+proto" if web.is_text else ""
                assert one.fields["content-type"] == f"application/grpc-web{text}"
                assert one.trailers["x-trailing"] == "end"
                assert base64.b64decode(one.trailers["x-bin"] + "==") == b"\x00\xff"
            many = await web.call("Many", b"n")
            assert (many.messages, many.status) == ([b"n0", b"n1", b"n2", b"n3", b"n4"], "0")
            failed = await web.call("Fail")
            assert (failed.messages, failed.status, failed.said) == ([], "9", "not now: 100%25")
            unknown = await web.call("Nothing")
            assert (unknown.messages, unknown.status) == ([], "12")
            blocked = await web.call("Sum")
            assert (blocked.status, blocked.said) == ("403", "You're not authorized here!")


async def test_base64_may_be_cut_and_padded_anywhere(tmp_path: Path) -> None:
    whole = frame(bytes(range(256)) * 40)
    padded = b"".join(base64.b64encode(whole[at : at + 100]) for at in range(0, len(whole), 100))

    async def pieces(text: bytes, step: int) -> AsyncIterator[bytes]:
        for at in range(0, len(text), step):
            await trio.lowlevel.checkpoint()
            yield text[at : at + step]

    async with served(tmp_path) as (gateway, _), clients(gateway) as webs:
        for web in (web for web in webs if web.is_text):
            for text in (padded, base64.b64encode(whole)):
                for content in (text, pieces(text, 1001), pieces(text, 7)):
                    answer = await web.client.post(
                        "/t.Echo/One", headers=web.headers, content=content
                    )
                    assert Answered(answer, is_text=True).messages == [whole[5:]]
            for bad in (b"AAAA*", b"AA==A", padded[:-1]):
                answer = await web.client.post("/t.Echo/One", headers=web.headers, content=bad)
                refused = Answered(answer, is_text=True)
                assert (refused.status, refused.said) == (
                    "13",
                    "The body of a gRPC-Web call is not base64",
                )


async def test_messages_come_one_by_one(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (gateway, echo), clients(gateway) as webs:
        for web in webs:
            with trio.fail_after(3 * PATIENCE_S):
                stream = web.stream("Feed", b"3")
                for number in range(3):
                    # The server has nothing more to say before this one is here.
                    echo.wanted.release()
                    assert await anext(stream) == b"fed %d" % number
                assert await anext(stream) == b""
                assert [left async for left in stream] == []


async def test_a_call_that_is_left_is_cancelled_at_the_server(tmp_path: Path) -> None:
    fields = [("content-type", "application/grpc-web+proto"), ("content-length", "6")]
    sent = frame(b"3")
    async with served(tmp_path) as (gateway, echo):
        with trio.fail_after(3 * PATIENCE_S):
            echo.wanted.release()
            lines = [f"{name}: {value}" for name, value in (("host", "web.test"), *fields)]
            head = "\r\n".join(["POST /t.Echo/Feed HTTP/1.1", *lines, "", ""])
            async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
                await stream.send_all(head.encode() + sent)
                heard = b""
                while b"fed 0" not in heard:
                    heard += await stream.receive_some()
                echo.cancelled.clear()
            assert await trio.to_thread.run_sync(echo.cancelled.wait, PATIENCE_S)
            async with http2_client(gateway.port) as client:
                path = "/t.Echo/Feed"
                identity = await client.begin("POST", "web.test", path, *fields, end=False)
                await client.send_body(identity, sent)
                echo.wanted.release()
                while b"fed 0" not in client.heard[identity].body:
                    assert await client.hear()
                echo.cancelled.clear()
                client.h2.reset_stream(identity, 8)
                await client.flush()
                assert await trio.to_thread.run_sync(echo.cancelled.wait, PATIENCE_S)


async def test_a_client_that_does_not_read_holds_the_server_up(tmp_path: Path) -> None:
    count = 300
    async with served(tmp_path) as (gateway, echo), clients(gateway) as webs:
        for web in (web for web in webs if web.is_text):
            echo.flooded = 0
            with trio.fail_after(3 * PATIENCE_S):
                stream = web.stream("Flood", str(count).encode())
                assert len(await anext(stream)) == 64 << 10
                seen = -1
                while seen != echo.flooded:
                    seen = echo.flooded
                    await trio.sleep(0.5)
                assert seen < count
                number = 0
                async for message in stream:
                    number += 1
                    assert message[:4] == number.to_bytes(4)
                assert number == count - 1


async def test_errors_of_the_gateway_are_said_as_statuses(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, echo), clients(gateway) as webs:
        for web in webs:
            for host, status, said in (
                ("nowhere.test", "14", "The connection to the backend was refused"),
                ("keyed.test", "13", "no apikey"),
            ):
                asking = Web(web.client, is_text=web.is_text, host=host)
                refused = await asking.call("One", b"x")
                assert (refused.messages, refused.status, refused.said) == ([], status, said)
                assert refused.fields["access-control-allow-origin"] == "*"
                assert refused.fields["content-type"].startswith("application/grpc-web")
                assert refused.fields["content-length"] == "0"
            for patience in ("300m", "3S", "20S"):
                late = await web.call("Hang", grpc_timeout=patience)
                assert (late.messages, late.status) == ([], "4")
                # On a busy machine the time may be over before the call is at the server.
                if echo.hanging.acquire(blocking=False):
                    break
            else:
                pytest.fail("no call came to the server")
            assert await trio.to_thread.run_sync(echo.has_left)
            # Where nothing bridges calls, and for what is no call, errors are what they always are.
            for headers in (
                web.headers | {"host": "bare.test"},
                {"host": "nowhere.test", "content-type": "application/json"},
            ):
                plain = await web.client.post("/t.Echo/One", headers=headers, content=b"x")
                assert plain.status_code == 502


PAGE: Final = """<!doctype html><title>calls</title><script type="module">
const base = new URLSearchParams(location.search).get("api");
const bytes = text => new TextEncoder().encode(text);
function frame(message) {
  const out = new Uint8Array(5 + message.length);
  new DataView(out.buffer).setUint32(1, message.length);
  out.set(message, 5);
  return out;
}
const toText = data => btoa(String.fromCharCode(...data));
function fromText(text) {
  const groups = text.match(/.{4}/gs) ?? [];
  return Uint8Array.from(groups.map(group => atob(group)).join(""), char => char.charCodeAt(0));
}
async function call(method, message, isText) {
  const sent = frame(bytes(message));
  const answer = await fetch(`${base}/t.Echo/${method}`, {
    method: "POST",
    headers: {
      "content-type": isText ? "application/grpc-web-text" : "application/grpc-web+proto",
      "x-grpc-web": "1",
    },
    body: isText ? toText(sent) : sent,
  });
  const body = isText ? fromText(await answer.text()) : new Uint8Array(await answer.arrayBuffer());
  const found = [];
  for (let at = 0; at < body.length;) {
    const length = new DataView(body.buffer).getUint32(at + 1);
    found.push([body[at], new TextDecoder().decode(body.slice(at + 5, at + 5 + length))]);
    at += 5 + length;
  }
  return {status: answer.headers.get("grpc-status"), said: answer.headers.get("grpc-message"), found};
}
const report = {};
for (const isText of [false, true]) {
  for (const method of ["Many", "Sum"]) {
    try {
      report[`${method} ${isText}`] = await call(method, "n", isText);
    } catch (error) {
      report[`${method} ${isText}`] = String(error);
    }
  }
}
await fetch("/report", {method: "POST", body: JSON.stringify(report)});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
async def test_a_page_of_another_origin_calls(tmp_path: Path) -> None:
    async with served(tmp_path / "gateway") as (gateway, _):
        api = f"http://web.localhost:{gateway.port}"
        async with admin(gateway) as client:
            document: dict[str, Any] = (await client.get("/api/routes/web")).json()
            document["frontend"]["domains"] = ["web.localhost"]
            params = {"wait": "applied"}
            changed = await client.put("/api/routes/web", params=params, json=document)
            assert changed.status_code == 200, changed.text
        report = await page_report(PAGE, {"api": api}, tmp_path)
    for is_text in ("false", "true"):
        many = report[f"Many {is_text}"]
        assert many["found"][:-1] == [[0, f"n{number}"] for number in range(5)], many
        flags, block = many["found"][-1]
        assert (flags, block) == (0x80, "grpc-status:0\r\ngrpc-message:\r\n")
        blocked = report[f"Sum {is_text}"]
        assert blocked == {"status": "403", "said": "You're not authorized here!", "found": []}
