"""NgHasClientCertValidator."""

from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugins.access_control.ng_has_client_cert_validator import NgHasClientCertValidator
from oto_trio.testing import FakeExchange, play
from tests.conformance.signature_cases import client_certificate


async def test_only_a_client_with_a_certificate_gets_in() -> None:
    plugin, exchange = NgHasClientCertValidator(None), FakeExchange()
    assert await play(plugin, exchange) == Refusal(403, "forbidden")
    exchange.client_certificate = client_certificate()
    assert await play(plugin, exchange) is None


def test_it_is_native() -> None:
    lowered = NgHasClientCertValidator(None).lower()
    assert lowered == (steps.Native("has_client_cert", Phase.ACCESS),)
