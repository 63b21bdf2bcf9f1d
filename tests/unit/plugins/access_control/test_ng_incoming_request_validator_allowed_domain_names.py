"""NgIncomingRequestValidatorAllowedDomainNames."""

import pytest
from msgspec import UNSET, UnsetType

from oto_trio.plugin_api import Phase, PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.ng_incoming_request_validator_allowed_domain_names import (
    NgIncomingRequestValidatorAllowedDomainNames,
    NgIncomingRequestValidatorAllowedDomainNamesConfig,
)
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("domains", "passes"),
    [
        (UNSET, True),
        (("A.localhost",), True),
        (("*.localhost",), True),
        (("b.localhost",), False),
        ((), False),
    ],
)
async def test_the_domain_decides(domains: tuple[str, ...] | UnsetType, passes: bool) -> None:
    plugin = NgIncomingRequestValidatorAllowedDomainNames(
        NgIncomingRequestValidatorAllowedDomainNamesConfig(domains)
    )
    exchange = FakeExchange.of("GET", "http://a.localhost:8080/")
    assert await play(plugin, exchange) == (None if passes else Response(403))
    settings = steps.DomainNames(None if domains is UNSET else domains, listed_pass=True)
    assert plugin.lower() == (steps.Native("domain_names", Phase.ACCESS, settings),)


def test_domains_are_a_list() -> None:
    with pytest.raises(PluginError, match=r"\$\.domains"):
        read_config(NgIncomingRequestValidatorAllowedDomainNamesConfig, {"domains": "a.test"})
