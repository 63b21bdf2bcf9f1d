"""Where the plugins' cases are played: one whole gateway, a backend that writes down, and clients."""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import h11
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.conformance.http1.messages import RequestSeen, ResponseReader, ResponseSeen
from tests.conformance.http1.upstream import Recorder, Upstream
from tests.conformance.tls.secure import authority, certificate, client_context
from tests.integration.clients import admin
from tests.integration.plugins.cases.case import BACKEND, NG, OK, Ask, Case, Show, Wanted
from tests.integration.plugins.cases.entities import CLIENT, ENTITIES
from tests.integration.protocols.http2_client import Heard, Http2Client
from tests.integration.protocols.http3_client import http3_client, quic_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

__all__ = ["Stage", "staged"]

PATIENCE_S: Final = 30.0
"""How long an answer may take; nothing comes near it."""


def host_of(name: str, *, bare: bool) -> str:
    """Return the host of a plugin's route, or of the one without it."""
    return f"{name.lower()}{'-bare' if bare else ''}.plugin.test"


def _route(name: str, case: Case, url: str, *, bare: bool) -> dict[str, Any]:
    host = host_of(name, bare=bare)
    own = {"plugin": NG + name, "config": case.config, **case.more}
    return {
        "id": host.removesuffix(".plugin.test"),
        "name": host.removesuffix(".plugin.test"),
        "frontend": {"domains": [host], "strip_path": False},
        "backend": {"url": url},
        "plugins": [*case.before, *([] if bare else [own]), *case.after],
        **case.route,
    }


def _configuration(cases: Mapping[str, Case], url: str) -> bytes:
    """Write the file that declares a route with and one without each plugin, and all entities."""
    server = json.loads(certificate("*.plugin.test"))
    ca = {"chain": authority().cert_pem.bytes().decode(), "domain": "", "ca": True}
    declared: dict[str, Any] = {
        **ENTITIES,
        "certificates": [
            *ENTITIES["certificates"],
            {"id": "server", "name": "server", **server},
            {"id": "clients-ca", "name": "clients-ca", **ca},
        ],
        "settings": {"client_auth": "Want", "http3_port": 0, "http3_exposed_port": 4433},
        "routes": [
            _route(name, case, url, bare=bare)
            for name, case in cases.items()
            for bare in (False, True)
        ],
    }
    return json.dumps(declared).replace(BACKEND, url).encode()


class Stage:
    """A gateway with a route for each plugin.

    Args:
        gateway: It.
        recorder: What its backend got.
        url: The backend's address.
        cases: What is played.
    """

    speaks: Literal["1", "2", "3"] = "1"
    """The version of HTTP that clients speak, but for what is asked in HTTP/1.0."""

    def __init__(
        self, gateway: GatewayProcess, upstream: Upstream, cases: Mapping[str, Case], url: str
    ) -> None:
        self.recorder = Recorder(upstream, self._answer)
        self._gateway = gateway
        self._cases = cases
        self._url = url
        self._services: Mapping[str, bytes] = {}
        self._ask: Ask | None = None
        self._seen: list[RequestSeen] = []

    async def faults(self, name: str, *, bare: bool, show: Show | None = None) -> list[list[str]]:
        """Ask all that the case of a plugin asks; return what is not as it says, request by request.

        Args:
            name: The plugin's.
            bare: Ask the route that lacks it.
            show: How all clients come, whatever the case says.
        """
        case = self._cases[name]
        self._services = case.services
        asks = case.asks if show is None else [replace(ask, show=show) for ask in case.asks]
        async with self._configured(case.globally):
            return [await self._faults_of(host_of(name, bare=bare), ask) for ask in asks]

    @asynccontextmanager
    async def _configured(self, changes: Mapping[str, Any]) -> AsyncGenerator[None]:
        """Change the global configuration for the length of a block."""
        if not changes:
            yield
            return
        url, applied = "/api/globalconfig", {"wait": "applied"}
        async with admin(self._gateway) as api:
            before = (await api.get(url)).json()
            changed = await api.put(url, params=applied, json=before | dict(changes))
            assert changed.status_code == 200, changed.text
            yield
            await api.put(url, params=applied, json=before)

    async def _faults_of(self, host: str, ask: Ask) -> list[str]:
        self._ask, self._seen = ask, []
        began = trio.current_time()
        try:
            with trio.fail_after(PATIENCE_S):
                response = await self._send(host, ask)
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.TooSlowError) as error:
            return [f"no answer: {error!r} {error.__cause__!r}"]
        took_s = trio.current_time() - began
        found = [*_of_the_answer(ask, response), *self._of_the_backend(ask)]
        if took_s < ask.least_s:
            found.append(f"it took {took_s:.3f} s")
        return found

    async def _send(self, host: str, ask: Ask) -> ResponseSeen:
        method, _, target = ask.request.partition(" ")
        if self.speaks != "1" and ask.version == "1.1":
            return await self._send_in_streams(host, ask, method, target)
        lines = [f"{method} {target} HTTP/{ask.version}"]
        if not any(line.lower().startswith("host:") for line in ask.sent):
            lines.append(f"Host: {host}")
        lines += ask.sent
        if ask.body:
            lines.append(f"Content-Length: {len(ask.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        async with await self._connected(host, ask) as stream:
            await stream.send_all(head + ask.body)
            reader = ResponseReader(method)
            while True:
                piece = await _received(stream)
                if reader.feed(piece):
                    return reader.seen
                if not piece:
                    raise h11.RemoteProtocolError("the connection ended before the message")

    async def _send_in_streams(self, host: str, ask: Ask, method: str, target: str) -> ResponseSeen:
        """Ask over HTTP/2 or HTTP/3."""
        fields: list[tuple[str, str]] = []
        authority = host
        for line in ask.sent:
            name, _, value = line.partition(":")
            if name.lower() == "host":
                authority = value.strip()
            else:
                fields.append((name.lower(), value.strip()))
        if ask.body:
            fields.append(("content-length", str(len(ask.body))))
        heard = Heard()
        if self.speaks == "3":
            port = self._gateway.http3_port
            shown = quic_certificate(CLIENT) if ask.show == "certificate" else {}
            async with http3_client(port, host, **shown) as quic:
                body = ask.body or None
                heard = await quic.ask(method, authority, target, *fields, body=body)
        else:
            async with await self._connected(host, ask) as stream:
                client = Http2Client(stream)
                client.h2.initiate_connection()
                heard = await client.ask(method, authority, target, *fields, body=ask.body)
        if not heard.fields:
            raise h11.RemoteProtocolError(f"no answer; the stream was reset with {heard.reset}")
        return ResponseSeen(
            status=heard.status, headers=heard.fields, body=heard.body, trailers=heard.trailers
        )

    async def _connected(self, host: str, ask: Ask) -> Any:
        if ask.show == "plain":
            return await trio.open_tcp_stream("127.0.0.1", self._gateway.port)
        port = self._gateway.https_port
        context = client_context(shows=CLIENT if ask.show == "certificate" else None)
        if self.speaks == "2":
            context.set_alpn_protocols(["h2"] if ask.version == "1.1" else ["http/1.1"])
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        secure = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
        await secure.do_handshake()
        return secure

    def _answer(self, request: RequestSeen) -> bytes:
        """Answer for the backend, or for one of the services that the gateway itself calls."""
        path = request.target.decode().partition("?")[0]
        if path.startswith("/service/"):
            return self._services[path.removeprefix("/service")]
        self._seen.append(request)
        answered = OK if self._ask is None else self._ask.answered
        made = answered if isinstance(answered, bytes) else answered(request)
        if request.method == b"HEAD":
            made = made.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        return made.replace(BACKEND.encode(), self._url.encode())

    def _of_the_backend(self, ask: Ask) -> list[str]:
        seen = self._seen
        if ask.to_backend is None:
            return [f"the backend got {one.target!r}" for one in seen]
        if len(seen) != 1:
            return [f"the backend got {len(seen)} requests"]
        (request,) = seen
        found = _of_fields("to the backend", ask.to_backend, request)
        if ask.target is not None and request.target.decode() != ask.target:
            found.append(f"the backend got {request.target!r}")
        if ask.got is not None and request.body != ask.got:
            found.append(f"the backend got {request.body!r}")
        return found


def _of_the_answer(ask: Ask, response: ResponseSeen) -> list[str]:
    found = _of_fields("to the client", ask.to_client, response)
    if response.status != ask.status:
        found.append(f"status {response.status}: {response.body[:200]!r}")
    if ask.words not in response.body or ask.exactly not in (None, response.body):
        found.append(f"body {response.body[:400]!r}")
    return found


def _of_fields(
    where: str, wanted: Mapping[str, Wanted], message: RequestSeen | ResponseSeen
) -> list[str]:
    found: list[str] = []
    for name, want in wanted.items():
        values = [value.decode("latin-1") for value in message.values(name.lower().encode())]
        try:
            is_so = values == want if isinstance(want, list) else want(values)
        except Exception as error:  # noqa: BLE001 (what a judge cannot read is not what it wants)
            values.append(repr(error))
            is_so = False
        if not is_so:
            found.append(f"{name} {where}: {values}")
    return found


async def _received(stream: Any) -> bytes:
    """Receive some bytes; the end of TLS without its last word is an end, too."""
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError as error:
        if isinstance(error.__cause__, ssl.SSLError):
            return b""
        raise


@asynccontextmanager
async def staged(cases: Mapping[str, Case], data: Path) -> AsyncGenerator[Stage]:
    """Start a gateway with all cases' routes.

    Args:
        cases: What is to be played, by plugin.
        data: A folder of its own.
    """
    upstream = await Upstream.open()
    url = f"http://127.0.0.1:{upstream.port}"
    file = data / "gateway.json"
    file.write_bytes(_configuration(cases, url))
    ports = ("--https-port", "0", "--http3-port", "0")
    options = ("--workers", "1", *ports, "--config", str(file))
    try:
        async with (
            gateway_process(*options, data=data / "data") as gateway,
            trio.open_nursery() as nursery,
        ):
            stage = Stage(gateway, upstream, cases, url)
            nursery.start_soon(stage.recorder.run)
            yield stage
            nursery.cancel_scope.cancel()
    finally:
        await upstream.close()
