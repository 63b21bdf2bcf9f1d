"""NgClientCertChainHeader."""

import base64
import json

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugins.headers.ng_client_cert_chain_header import (
    NgClientCertChainHeader,
    NgClientCertChainHeaderConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play
from tests.conformance.signature_cases import client_certificate, client_chain

ALL = NgClientCertChainHeaderConfig(send_pem=True, send_dns=True, send_chain=True)
SUBJECT = "SURNAME=Doe, OU=dév, O=Me\\, Myself, CN=client"
ISSUER = "O=Me, CN=Authority"


async def test_the_backend_gets_pem_names_and_facts() -> None:
    exchange = FakeExchange()
    exchange.client_certificate = client_certificate()
    assert await play(NgClientCertChainHeader(ALL), exchange) is None
    sent = dict(exchange.request.headers.items())
    pems = sent["X-Client-Cert-Pem"].split(",")
    assert [base64.b64decode(pem.split(" ")[2]) for pem in pems] == list(client_chain())
    assert all(pem.startswith("-----BEGIN CERTIFICATE----- ") for pem in pems)
    assert sent["X-Client-Cert-DNs"].isascii()
    assert json.loads(sent["X-Client-Cert-DNs"]) == [SUBJECT, ISSUER]
    own, authority = json.loads(sent["X-Client-Cert-Chain"])
    assert own == {
        "subjectDN": SUBJECT,
        "issuerDN": ISSUER,
        "notAfter": 1_988_247_845_000,
        "notBefore": 1_672_628_645_000,
        "serialNumber": "abcdef12345",
        "subjectCN": "client",
        "issuerCN": "Authority",
    }
    assert authority["serialNumber"] == "7"


async def test_nothing_is_sent_unless_it_is_asked_for() -> None:
    exchange = FakeExchange()
    exchange.client_certificate = client_certificate()
    plugin = NgClientCertChainHeader(NgClientCertChainHeaderConfig())
    assert await play(plugin, exchange) is None
    assert exchange.request.headers.items() == []


async def test_a_client_cannot_claim_a_certificate() -> None:
    exchange = FakeExchange(FakeRequest(headers={"x-client-cert-dns": "[]", "X-One": "1"}))
    assert await play(NgClientCertChainHeader(ALL), exchange) is None
    assert exchange.request.headers.items() == [("X-One", "1")]


def test_it_is_native() -> None:
    lowered = NgClientCertChainHeader(ALL).lower()
    assert lowered == (steps.Native("client_cert_chain", Phase.TRANSFORM_REQUEST, ALL),)
