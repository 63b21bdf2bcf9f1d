"""NgRfc9440ClientCertHeader."""

import base64

import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugins.headers.ng_rfc9440client_cert_header import (
    NgRfc9440ClientCertHeader,
    NgRfc9440ClientCertHeaderConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play
from tests.conformance.signature_cases import client_certificate, client_chain

CLAIMED = {"client-cert": ":AA==:", "Client-Cert-Chain": ":AA==:"}


@pytest.mark.parametrize("send_chain", [True, False])
async def test_the_certificates_are_sent_as_byte_sequences(send_chain: bool) -> None:
    exchange = FakeExchange(FakeRequest(headers=CLAIMED))
    exchange.client_certificate = client_certificate()
    plugin = NgRfc9440ClientCertHeader(NgRfc9440ClientCertHeaderConfig(send_chain))
    assert await play(plugin, exchange) is None
    own, authority = (f":{base64.b64encode(der).decode()}:" for der in client_chain())
    expected = [("Client-Cert", own), ("Client-Cert-Chain", authority)]
    assert exchange.request.headers.items() == expected[: 2 if send_chain else 1]


async def test_a_client_cannot_claim_a_certificate() -> None:
    exchange = FakeExchange(FakeRequest(headers=CLAIMED))
    plugin = NgRfc9440ClientCertHeader(NgRfc9440ClientCertHeaderConfig())
    assert await play(plugin, exchange) is None
    assert exchange.request.headers.items() == []


def test_it_is_native() -> None:
    config = NgRfc9440ClientCertHeaderConfig()
    lowered = NgRfc9440ClientCertHeader(config).lower()
    assert lowered == (steps.Native("rfc9440_client_cert", Phase.TRANSFORM_REQUEST, config),)
