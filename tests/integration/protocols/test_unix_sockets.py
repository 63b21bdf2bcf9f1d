"""A whole gateway whose clients, backends and admin API are reached over Unix sockets."""

from __future__ import annotations

import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import GatewayEndedError, gateway_process
from tests.integration.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

API = "/apis/proxy.otoroshi.io/v1"
HOST = "cp:otoroshi.next.plugins.OverrideHost"
FORWARD = "cp:otoroshi.next.plugins.XForwardedHeaders"


def client(path: Path, *, http2: bool = False, tls: bool = False, **more: Any) -> httpx.AsyncClient:
    """A client over a Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(path), verify=False, http1=not http2, http2=http2)
    scheme = "https" if tls else "http"
    return httpx.AsyncClient(
        transport=transport, base_url=f"{scheme}://api.localhost", timeout=60, **more
    )


def target(path: Path | str, **more: Any) -> dict[str, Any]:
    return {"hostname": "api.localhost", "port": 80, "ip_address": f"unix:{path}", **more}


def route(
    name: str, *targets: dict[str, Any], plugins: tuple[str, ...] = (HOST,)
) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "frontend": {"domains": [f"{name}.localhost"]},
        "backend": {"targets": list(targets)},
        "plugins": [{"plugin": plugin} for plugin in plugins],
    }


@asynccontextmanager
async def listening(upstream: Upstream, path: Path) -> AsyncGenerator[None]:
    """Serve the backend on a Unix socket too."""
    sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await sock.bind(str(path))
    sock.listen(16)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, upstream.serve, [trio.SocketListener(sock)])
        yield
        nursery.cancel_scope.cancel()


async def test_clients_backends_and_the_admin_api_over_unix_sockets(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.answer = lambda head: (200, head)
    plain, secured, inside, back = (tmp_path / name for name in ("g", "s", "a", "b"))
    tcp = free_port()
    arguments = (
        *("--dev", "--workers", "2", "--bind", f"unix:{plain}", "--admin-bind", f"unix:{inside}"),
        *("--route", f"api.localhost=unix:{back}"),
    )
    environ = {"OTO_TRIO_HTTPS_BIND": f"unix:{secured}", "OTO_TRIO_UNIX_TARGETS": str(plain)}
    async with (
        listening(upstream, back),
        gateway_process(*arguments, data=tmp_path / "data", environ=environ) as gateway,
        client(inside, auth=gateway.auth) as admin,
        client(plain) as http,
        client(plain, http2=True) as h2c,
        client(secured, tls=True) as https,
        client(secured, tls=True, http2=True) as h2,
    ):
        told = gateway.announcement
        assert (told["http"], told["https"]) == (f"unix:{plain}", f"unix:{secured}")
        assert told["admin"] == f"unix:{inside}"

        async def put(kind: str, document: dict[str, Any]) -> httpx.Response:
            where = f"{API}/{kind}/{document['id']}"
            return await admin.post(where, params={"wait": "applied"}, json=document)

        # Every protocol, there and back; a body each way.
        await gateway.wait_for_log("certificate otoroshi-client made")
        for each, version in ((http, "1.1"), (h2c, "2"), (https, "1.1"), (h2, "2")):
            answer = await each.post("/x", content=b"a" * 300_000)
            assert (answer.status_code, answer.http_version) == (200, f"HTTP/{version}")
            assert b"POST /x HTTP/1.1\r\nHost: localhost\r\n" in answer.content

        # A client has no address: lists of addresses do not have it, and the backend is told so.
        allowed = "cp:otoroshi.next.plugins.IpAddressAllowedList"
        shown = route("shown", target(back), plugins=(FORWARD,))
        kept = route("kept", target(back), plugins=(allowed,))
        kept["plugins"][0]["config"] = {"addresses": ["0.0.0.0/0", "::/0", "127.*"]}
        opened = route("opened", target(back), plugins=(allowed,))
        opened["plugins"][0]["config"] = {"addresses": ["unix:*"]}
        # The gateway's own socket is a backend over HTTP/2, and for TLS.
        over_h2 = route("over-h2", target(plain, protocol="HTTP/2.0"))
        outside = route("outside", target(tmp_path / "other.sock"))
        for document in (shown, kept, opened, over_h2, outside):
            assert (await put("routes", document)).status_code == 201
        forwarded = (await http.get("/", headers={"Host": "shown.localhost"})).content
        assert b"\r\nX-Forwarded-For: unix:\r\n" in forwarded
        statuses = {
            name: (await http.get("/", headers={"Host": f"{name}.localhost"})).status_code
            for name in ("kept", "opened", "over-h2", "outside")
        }
        assert statuses == {"kept": 403, "opened": 200, "over-h2": 200, "outside": 502}
        told_once = await gateway.wait_for_log("Unix socket of a backend")
        where = f"route outside, target unix:{tmp_path / 'other.sock'}"
        assert told_once["message"].startswith(f"Unix socket of a backend: {where}: the setting")
        refused = await put("routes", route("dots", target(f"{tmp_path}/../b")))
        assert refused.status_code == 400
        assert "in full, without" in refused.text

        # A TCP service to a Unix socket.
        made = await put(
            "tcp-services",
            {
                "id": "t",
                "name": "t",
                "description": "",
                "enabled": True,
                "port": tcp,
                "interface": "127.0.0.1",
                "rules": [
                    {"domain": "*", "targets": [{"host": "b", "port": 1, "ip": f"unix:{back}"}]}
                ],
            },
        )
        assert made.status_code == 201, made.text
        async with httpx.AsyncClient() as direct:
            over_tcp = await direct.get(f"http://127.0.0.1:{tcp}/through")
        assert over_tcp.content.startswith(b"GET /through HTTP/1.1\r\n")

        # New workers take the sockets over: nobody is refused, and no file is removed.
        gateway.signal(signal.SIGUSR2)
        await gateway.wait_for_log("workers replaced")
        assert (await http.get("/x")).status_code == 200
        # A second gateway does not take the socket of one that runs.
        taken = pytest.RaisesExc(GatewayEndedError, match="another process listens there")
        with pytest.RaisesGroup(taken):
            async with gateway_process("--bind", f"unix:{plain}", data=tmp_path / "second"):
                pass
        assert (await http.get("/x")).status_code == 200
    assert not any(path.exists() for path in (plain, secured, inside)), "removed at the end"


async def test_ipv6_and_ipv4_and_a_unix_socket_at_once(upstream: Upstream, tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    upstream.answer = lambda head: (200, head)
    everything = route("all", {"hostname": "127.0.0.1", "port": upstream.port}, plugins=(FORWARD,))
    bind = f"127.0.0.1,[::1],unix:{tmp_path}/g"
    async with gateway_process(
        *("--dev", "--workers", "2", "--bind", bind, "--admin-bind", "[::1]"), data=tmp_path / "d"
    ) as gateway:
        urls = [gateway.http, *gateway.announcement["others"]]
        assert urls[1].startswith("http://[::1]:")
        assert urls[2] == f"unix:{tmp_path}/g"
        assert gateway.admin.startswith("http://[::1]:")
        async with httpx.AsyncClient(auth=gateway.auth, timeout=60) as api:
            inside = {"hostname": "::1", "port": int(urls[1].rpartition(":")[2])}
            bracketed = {**inside, "hostname": "[::1]"}
            over = [route(name, to) for name, to in (("bare", inside), ("dressed", bracketed))]
            # Their backend is the gateway itself, which knows this host.
            here = route("here", {"hostname": "127.0.0.1", "port": upstream.port}, plugins=())
            here["frontend"]["domains"] = ["[::1]"]
            for document in (everything, here, *over):
                where = f"{gateway.admin}{API}/routes/{document['id']}?wait=applied"
                assert (await api.post(where, json=document)).status_code == 201
        async with httpx.AsyncClient() as http:
            for url, address in ((urls[0], b"127.0.0.1"), (urls[1], b"::1")):
                answer = await http.get(url, headers={"Host": "all.localhost"})
                assert b"\r\nX-Forwarded-For: %b\r\n" % address in answer.content
            for name in ("bare", "dressed"):
                answer = await http.get(urls[0], headers={"Host": f"{name}.localhost"})
                assert answer.status_code == 200, answer.text
