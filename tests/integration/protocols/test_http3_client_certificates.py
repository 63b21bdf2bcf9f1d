"""Certificates of clients over HTTP/3 and HTTPS: one gateway, the same clients, the same outcome."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any, Final

import h11
import pytest
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.conformance.http1.messages import ResponseReader
from tests.conformance.tls.leaves import Leaf, issued
from tests.integration.clients import admin
from tests.integration.gateways import HTTP3, HTTPS, declared_gateway, shown, trusted
from tests.integration.protocols.http2_client import Heard
from tests.integration.protocols.http3_client import http3_client

if TYPE_CHECKING:
    from pathlib import Path

    from oto_trio.testing.gateway_process import GatewayProcess
    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

PATIENCE_S = 400
REFUSED: Final = "refused"
NG = "cp:otoroshi.next.plugins."
Outcome = str | tuple[int, list[bytes]]


def leaves() -> dict[str, Leaf | None]:
    now = dt.datetime.now(dt.UTC)
    return {
        "none": None,
        "good": issued(now),
        "another authority": issued(now, trustme.CA(organization_name="another")),
        "expired": issued(now, days=(-9, -1)),
        "not yet valid": issued(now, days=(1, 9)),
        "a server's": issued(now, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
    }


def port_of(gateway: GatewayProcess, kind: str) -> int:
    return int(gateway.announcement[kind].rpartition(":")[2])


def what_came_of_it(status: int, body: bytes) -> Outcome:
    """The status, and what the backend was told of the client."""
    lines = [it for it in body.split(b"\r\n") if it.lower().startswith(b"x-client-cert")]
    return status, [it.partition(b": ")[2] for it in lines]


async def over_https(gateway: GatewayProcess, leaf: Leaf | None, folder: Path) -> Outcome:
    # One that trusts the authority would send it along.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if leaf is not None:
        file = folder / f"{leaf.certificate.serial_number}-{id(leaf)}.pem"
        file.write_bytes(leaf.pem)
        context.load_cert_chain(file)
    plain = await trio.open_tcp_stream("127.0.0.1", port_of(gateway, "https"))
    stream = trio.SSLStream(plain, context, server_hostname="a.test", https_compatible=True)
    reader = ResponseReader("GET")
    try:
        async with stream:
            await stream.do_handshake()
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            while not reader.feed(bytes(await stream.receive_some())):
                pass
    except (trio.BrokenResourceError, ssl.SSLError, h11.RemoteProtocolError):
        return REFUSED
    return what_came_of_it(reader.seen.status, reader.seen.body)


async def over_http3(gateway: GatewayProcess, leaf: Leaf | None) -> Outcome:
    shown: dict[str, Any] = {}
    if leaf is not None:
        shown = {"certificate": leaf.certificate, "private_key": leaf.key}
    async with http3_client(port_of(gateway, "http3"), **shown) as client:
        heard = Heard() if client.ended else await client.ask("GET", "a.test", "/")
        if client.ended is not None:
            assert client.ended.frame_type is not None, "the handshake says so"
            return REFUSED
    return what_came_of_it(heard.status, heard.body)


async def test_clients_are_judged_as_over_https(upstream: Upstream, tmp_path: Path) -> None:
    upstream.answer = lambda head: (200, head)
    document = {
        "certificates": [shown("a.test"), trusted()],
        "routes": [
            {
                "name": "r",
                "frontend": "a.test",
                "backend": upstream.url,
                "plugins": [{"plugin": NG + "NgClientCertChainHeader", "config": HEADERS}],
            }
        ],
    }
    every = leaves()
    with trio.fail_after(PATIENCE_S):
        async with declared_gateway(document, tmp_path, *HTTPS, *HTTP3) as gateway:
            seen: dict[tuple[str, str], Outcome] = {}
            for auth, strict in (("None", True), ("Want", True), ("Need", True), ("Need", False)):
                await _configure(gateway, auth, strict=strict)
                for name, leaf in every.items():
                    https = await over_https(gateway, leaf, tmp_path)
                    http3 = await over_http3(gateway, leaf)
                    assert http3 == https, (auth, strict, name)
                    seen[f"{auth} {strict}", name] = http3
            good = every["good"]
            assert good is not None
            thief = Leaf(good.certificate, ec.generate_private_key(ec.SECP256R1()))
            assert await over_http3(gateway, thief) == REFUSED
            # The worker goes on.
            assert await over_http3(gateway, good) == seen["Need True", "good"]
    refused = {"Want True": set(every) - {"none", "good"}, "Need True": set(every) - {"good"}}
    for (auth, name), outcome in seen.items():
        lets_in = name not in refused.get(auth, {"none"} if auth.startswith("Need") else set())
        assert (outcome != REFUSED) is lets_in, (auth, name, outcome)
    assert seen["None True", "good"] == (200, [])
    assert seen["Need True", "good"] == (200, [b'["CN=jo"]'])


HEADERS: Final = {
    "send_pem": False,
    "send_dns": True,
    "dns_header_name": "X-Client-Cert-DNs",
    "send_chain": False,
}


async def _configure(gateway: GatewayProcess, auth: str, *, strict: bool) -> None:
    async with admin(gateway) as api:
        document = (await api.get("/api/globalconfig")).json()
        document["tlsSettings"] = document.get("tlsSettings", {}) | {
            "clientAuth": auth,
            "includeJdkCaServer": False,
            "strictBackendServerValidation": strict,
        }
        done = await api.put("/api/globalconfig", params={"wait": "applied"}, json=document)
        assert done.status_code == 200, done.text
