"""NgCertificateAsApikey; what native steps make of it is tested with the twins."""

import base64
from typing import Any

import msgspec
import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, steps
from oto_trio.plugins.access_control.ng_certificate_as_apikey import (
    NgCertificateAsApikey,
    NgCertificateAsApikeyConfig,
)
from oto_trio.testing import FakeExchange, play
from tests.conformance.signature_cases import SERIAL, client_certificate

SUBJECT = "SURNAME=Doe, OU=dév, O=Me\\, Myself, CN=client"
CLIENT_ID = base64.b64encode(f"{SUBJECT}-{SERIAL}".encode()).decode()


async def key_of(exchange: FakeExchange, **config: Any) -> ApiKey | None:
    plugin = NgCertificateAsApikey(NgCertificateAsApikeyConfig(**config))
    assert await play(plugin, exchange) is None
    return exchange.apikey


def with_certificate(**stored: Any) -> FakeExchange:
    exchange = FakeExchange()
    exchange.client_certificate = client_certificate()
    if stored:
        document = {"clientId": CLIENT_ID, "clientSecret": "s", "clientName": "stored", **stored}
        exchange.apikeys[CLIENT_ID] = ApiKey.read(msgspec.json.encode(document))
    return exchange


async def test_without_a_certificate_nobody_is_the_caller() -> None:
    assert await key_of(FakeExchange()) is None


async def test_a_key_stands_for_a_certificate() -> None:
    key = await key_of(with_certificate(), tags=("a",), metadata={"b": "c"})
    assert key is not None
    assert key.light() == {
        "clientId": CLIENT_ID,
        "clientName": f"{SUBJECT} ({SERIAL})",
        "metadata": {"b": "c"},
        "tags": ["a"],
    }
    other = await key_of(with_certificate())
    assert other is not None
    assert key.client_secret != other.client_secret
    end_s = client_certificate().not_after_s
    assert key.is_enabled(end_s - 1)
    assert not key.is_enabled(end_s)


async def test_a_stored_key_goes_before_unless_it_is_disabled_or_expired() -> None:
    key = await key_of(with_certificate(enabled=True))
    assert key is not None
    assert key.client_name == "stored"
    assert await key_of(with_certificate(enabled=False)) is None
    assert await key_of(with_certificate(validUntil=1)) is None


async def test_a_stored_key_of_another_organization_lets_nobody_in() -> None:
    assert await key_of(with_certificate(_loc={"tenant": "other", "teams": []})) is None


class Untrusted:
    """A certificate that nobody vouches for."""

    is_trusted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(client_certificate(), name)


async def test_a_certificate_that_nobody_vouches_for_is_none() -> None:
    exchange = FakeExchange()
    untrusted: Any = Untrusted()
    exchange.client_certificate = untrusted
    assert await key_of(exchange) is None


def test_it_is_native() -> None:
    config = NgCertificateAsApikeyConfig()
    lowered = NgCertificateAsApikey(config).lower()
    assert lowered == (steps.Native("certificate_as_apikey", Phase.PRE_ROUTE, config),)


def test_quotas_are_not_negative() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"daily_quota": -1}, NgCertificateAsApikeyConfig)
