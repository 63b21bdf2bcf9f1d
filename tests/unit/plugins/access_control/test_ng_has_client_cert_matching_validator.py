"""NgHasClientCertMatchingValidator."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.access_control.ng_has_client_cert_matching_validator import (
    NgHasClientCertMatchingValidator,
    NgHasClientCertMatchingValidatorConfig,
)
from oto_trio.testing import FakeExchange, play
from tests.conformance.signature_cases import client_certificate


@pytest.mark.parametrize(
    ("lists", "gets_in"),
    [
        ({}, False),
        ({"serial_numbers": ["ABCDEF12345"]}, True),
        ({"serial_numbers": ["7"]}, True),
        ({"serial_numbers": ["8"]}, False),
        ({"subject_dns": ["SN=Doe, CN=client, O=Me\\, Myself, OU=*"]}, True),
        ({"subject_dns": ["CN=Authority, O=Me"]}, True),
        ({"subject_dns": ["CN=client"]}, False),
        ({"issuer_dns": ["CN=Auth*, O=Me"]}, True),
        ({"issuer_dns": ["CN=client*"]}, False),
        ({"regex_subject_dns": [".*CN=cl.ent"]}, True),
        ({"regex_subject_dns": ["CN=cl.ent"]}, False),
        ({"regex_issuer_dns": ["O=M., CN=Authority"]}, True),
        ({"regex_issuer_dns": ["O=M."]}, False),
    ],
)
async def test_one_certificate_of_the_chain_must_be_listed(
    lists: dict[str, list[str]], gets_in: bool
) -> None:
    exchange = FakeExchange()
    exchange.client_certificate = client_certificate()
    config = read_config(NgHasClientCertMatchingValidatorConfig, lists)
    answer = await play(NgHasClientCertMatchingValidator(config), exchange)
    assert answer == (None if gets_in else Refusal(403, "forbidden"))


@pytest.mark.parametrize("mandatory", [True, False])
async def test_a_client_without_a_certificate_may_be_let_in(mandatory: bool) -> None:
    config = NgHasClientCertMatchingValidatorConfig(mandatory=mandatory)
    answer = await play(NgHasClientCertMatchingValidator(config), FakeExchange())
    assert (answer is None) is not mandatory


@pytest.mark.parametrize("field", ["regex_subject_dns", "regex_issuer_dns"])
def test_a_pattern_that_is_none_is_refused_when_the_config_is_read(field: str) -> None:
    config: dict[str, Any] = {field: ["ok", "("]}
    with pytest.raises(PluginError, match=rf"{field}\[1\]"):
        read_config(NgHasClientCertMatchingValidatorConfig, config)


def test_it_is_native() -> None:
    config = NgHasClientCertMatchingValidatorConfig()
    lowered = NgHasClientCertMatchingValidator(config).lower()
    assert lowered == (steps.Native("client_cert_matching", Phase.ACCESS, config),)
