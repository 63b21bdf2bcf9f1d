"""NgIncomingRequestValidatorDeniedDomainNames."""

import pytest
from msgspec import UNSET, UnsetType

from oto_trio.plugin_api import Phase, PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.ng_incoming_request_validator_denied_domain_names import (
    NgIncomingRequestValidatorDeniedDomainNames,
    NgIncomingRequestValidatorDeniedDomainNamesConfig,
)
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("domains", "passes"),
    [
        (UNSET, True),
        (("A.localhost",), False),
        (("*.localhost",), False),
        (("b.localhost",), True),
        ((), True),
    ],
)
async def test_the_domain_decides(domains: tuple[str, ...] | UnsetType, passes: bool) -> None:
    plugin = NgIncomingRequestValidatorDeniedDomainNames(
        NgIncomingRequestValidatorDeniedDomainNamesConfig(domains)
    )
    exchange = FakeExchange.of("GET", "http://a.localhost:8080/")
    assert await play(plugin, exchange) == (None if passes else Response(403))
    settings = steps.DomainNames(None if domains is UNSET else domains, listed_pass=False)
    assert plugin.lower() == (steps.Native("domain_names", Phase.ACCESS, settings),)


def test_domains_are_a_list() -> None:
    with pytest.raises(PluginError, match=r"\$\.domains"):
        read_config(NgIncomingRequestValidatorDeniedDomainNamesConfig, {"domains": "a.test"})
