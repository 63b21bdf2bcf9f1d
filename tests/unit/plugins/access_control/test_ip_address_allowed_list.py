"""IpAddressAllowedList."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.ip_address_allowed_list import (
    IpAddressAllowedList,
    IpAddressAllowedListConfig,
)
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(403, "Your IP address is not allowed", "errors.ip.address.not.allowed")


@pytest.mark.parametrize(
    ("addresses", "answer"),
    [
        ((), REFUSED),
        (("192.0.2.7",), None),
        (("192.0.2.8", "192.0.2.0/29"), None),
        (("192.0.2.8", "192.0.2.0/30"), REFUSED),
        (("192.0.*",), None),
        (("10.*",), REFUSED),
    ],
)
async def test_only_listed_addresses_pass(
    addresses: tuple[str, ...], answer: Refusal | None
) -> None:
    config = IpAddressAllowedListConfig(addresses)
    plugin = IpAddressAllowedList(config)
    assert await play(plugin, FakeExchange()) == answer
    assert plugin.lower() == (steps.Native("ip_allowed_list", Phase.ACCESS, config),)


@pytest.mark.parametrize(
    "entry", ["10.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "localhost", "*/8"]
)
def test_nonsense_is_named_when_the_config_is_read(entry: str) -> None:
    with pytest.raises(PluginError, match=r"addresses\[1\]: .* is no address; write one"):
        read_config(IpAddressAllowedListConfig, {"addresses": ["10.0.0.7", entry]})
