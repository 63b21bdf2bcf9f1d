"""Certificates from the store to the handshake: the first ones, those made while a client waits, those refused."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow

ECDSA = {"algo": "ecdsa", "size": 256}


async def call(gateway: GatewayProcess, verb: str, path: str, body: Any = None) -> Any:
    """Asks the admin API."""
    async with admin(gateway) as client:
        answer = await client.request(verb, path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()


async def trusting(gateway: GatewayProcess) -> ssl.SSLContext:
    """Waits for the gateway's root authority and its intermediate, and trusts the root."""
    await gateway.wait_for_log("certificate otoroshi-client made")
    root = await call(gateway, "GET", "/api/certificates/otoroshi-root-ca")
    context = ssl.create_default_context(cadata=root["chain"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


async def fetch(gateway: GatewayProcess, context: ssl.SSLContext, name: str) -> tuple[str, str]:
    """Makes one handshake and one request; gives the subject's common name and the status line."""
    port = gateway.https_port
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with trio.SSLStream(stream, context, server_hostname=name, https_compatible=True) as tls:
        with trio.fail_after(60):
            await tls.do_handshake()
            subject = dict(pair for rdn in tls.getpeercert()["subject"] for pair in rdn)
            head = f"GET /x HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
            await tls.send_all(head.encode())
            answer = b""
            async for data in tls:
                answer += data
    return subject["commonName"], answer.split(b"\r\n")[0].decode()


async def test_on_a_desk_every_name_has_a_certificate(tmp_path: Path, upstream: Upstream) -> None:
    route = f"api.localhost={upstream.url}"
    arguments = ("--dev", "--workers", "1", "--https-port", "0", "--route", route)
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        # What signs is there as soon as the gateway says that it is ready.
        port = gateway.https_port
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        wire = await trio.open_tcp_stream("127.0.0.1", port)
        async with trio.SSLStream(wire, anyone, server_hostname="api.localhost") as first:
            with trio.fail_after(60):
                await first.do_handshake()
        context = await trusting(gateway)
        assert await fetch(gateway, context, "api.localhost") == (
            "api.localhost",
            "HTTP/1.1 200 OK",
        )
        made = await gateway.wait_for_log("made for the server name 'api.localhost'")
        again = await fetch(gateway, context, "api.localhost")
        assert again == ("api.localhost", "HTTP/1.1 200 OK")
        assert sum(line is made or "made for" in line["message"] for line in gateway.log) == 1
        listed = await call(gateway, "GET", "/api/certificates")
        (stored,) = [c for c in listed if c["domain"] == "api.localhost"]
        assert (stored["caRef"], stored["autoRenew"]) == ("otoroshi-intermediate-ca", True)
        # One that an operator makes is served too, on a name that had none.
        query = {"hosts": ["mine.localhost"], "subject": "CN=by hand", "key": ECDSA}
        await call(
            gateway, "POST", "/api/pki/cas/otoroshi-intermediate-ca/certs?wait=applied", query
        )
        subject, status = await fetch(gateway, context, "mine.localhost")
        assert (subject, status.split()[1]) == ("by hand", "404")
        secret = stored["privateKey"].splitlines()[1]
        assert all(secret not in str(line) for line in gateway.log)


async def test_in_production_an_unknown_name_is_refused_and_logged_until_it_is_allowed(
    tmp_path: Path,
) -> None:
    arguments = ("--workers", "1", "--https-port", "0")
    async with gateway_process(*arguments, data=tmp_path) as gateway:
        context = await trusting(gateway)
        with pytest.raises(trio.BrokenResourceError):
            await fetch(gateway, context, "unknown.localhost")
        config = await call(gateway, "GET", "/api/globalconfig")
        config["autoCert"] = {
            "enabled": True,
            "replyNicely": True,
            "caRef": "otoroshi-intermediate-ca",
            "allowed": ["*.ok.localhost"],
            "notAllowed": [],
        }
        await call(gateway, "PUT", "/api/globalconfig?wait=applied", config)
        subject, _ = await fetch(gateway, context, "a.ok.localhost")
        assert subject == "a.ok.localhost"
        subject, status = await fetch(gateway, context, "unknown.localhost")
        assert (subject, status.split()[1]) == ("NotAllowedCert", "404")
        listed = await call(gateway, "GET", "/api/certificates")
        domains = {c["domain"] for c in listed}
        assert "a.ok.localhost" in domains
        assert not {"NotAllowedCert", "unknown.localhost"} & domains, "never stored"
