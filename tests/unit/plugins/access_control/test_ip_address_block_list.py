"""IpAddressBlockList."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.ip_address_block_list import (
    IpAddressBlockList,
    IpAddressBlockListConfig,
)
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(403, "Your IP address is not allowed", "errors.ip.address.not.allowed")


@pytest.mark.parametrize(
    ("addresses", "answer"),
    [
        ((), None),
        (("192.0.2.7",), REFUSED),
        (("192.0.2.8", "192.0.2.0/29"), REFUSED),
        (("192.0.2.8", "192.0.2.0/30"), None),
        (("192.0.*",), REFUSED),
        (("10.*",), None),
    ],
)
async def test_listed_addresses_are_refused(
    addresses: tuple[str, ...], answer: Refusal | None
) -> None:
    config = IpAddressBlockListConfig(addresses)
    plugin = IpAddressBlockList(config)
    assert await play(plugin, FakeExchange()) == answer
    assert plugin.lower() == (steps.Native("ip_block_list", Phase.ACCESS, config),)


@pytest.mark.parametrize(
    "entry", ["10.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "localhost", "*/8"]
)
def test_nonsense_is_named_when_the_config_is_read(entry: str) -> None:
    with pytest.raises(PluginError, match=r"addresses\[1\]: .* is no address; write one"):
        read_config(IpAddressBlockListConfig, {"addresses": ["10.0.0.7", entry]})
