"""NgHasClientCertMatchingApikeyValidator."""

import msgspec
import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugins.access_control.ng_has_client_cert_matching_apikey_validator import (
    NgHasClientCertMatchingApikeyValidator,
)
from oto_trio.testing import FakeExchange, play
from tests.conformance.signature_cases import client_certificate

NAME = "CN=client, SN=Doe, OU=dév, O=Me\\, Myself"


def key(allowed: str | None) -> ApiKey:
    metadata = {} if allowed is None else {"allowed-client-cert-dn": allowed}
    document = {"clientId": "c", "clientSecret": "s", "clientName": "n", "metadata": metadata}
    return ApiKey.read(msgspec.json.encode(document))


@pytest.mark.parametrize(
    ("has_certificate", "apikey", "gets_in"),
    [
        (True, key(NAME), True),
        (True, key("CN=*, SURNAME=Doe, OU=*, O=*"), True),
        (True, key("CN=other"), False),
        (True, key(""), False),
        (True, key(None), False),
        (True, None, False),
        (False, key(NAME), False),
        (False, key("*"), False),
    ],
)
async def test_the_certificate_must_be_the_one_of_the_key(
    has_certificate: bool, apikey: ApiKey | None, gets_in: bool
) -> None:
    exchange = FakeExchange()
    exchange.apikey = apikey
    exchange.client_certificate = client_certificate() if has_certificate else None
    answer = await play(NgHasClientCertMatchingApikeyValidator(None), exchange)
    assert answer == (None if gets_in else Refusal(403, "forbidden"))


def test_it_is_native() -> None:
    lowered = NgHasClientCertMatchingApikeyValidator(None).lower()
    assert lowered == (steps.Native("client_cert_of_apikey", Phase.ACCESS),)
