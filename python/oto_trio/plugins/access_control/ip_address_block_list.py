"""Keep some addresses out.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.IpAddressBlockList``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.addresses import AddressSet

__all__ = ["IpAddressBlockList", "IpAddressBlockListConfig"]


class IpAddressBlockListConfig(Config, frozen=True):
    """Who is kept out."""

    addresses: Annotated[
        tuple[str, ...],
        Meta(description="Addresses (10.0.0.7), ranges (10.0.0.0/8) and patterns (10.0.*)."),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what is no address when the config is read, not when a request comes."""
        try:
            AddressSet(self.addresses)
        except ValueError as error:
            raise ValueError(f"addresses{error}") from error


class IpAddressBlockList(Plugin[IpAddressBlockListConfig]):
    """Refuses with 403 a caller whose address is listed.

    The address is the one a trusted ``X-Forwarded-For`` says first, else the socket's.
    """

    id = "cp:otoroshi.next.plugins.IpAddressBlockList"
    name = "IP block list"
    description = "Refuses callers from the listed addresses."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if exchange.remote_address not in AddressSet(self.config.addresses):
            return None
        return Refusal(403, "Your IP address is not allowed", "errors.ip.address.not.allowed")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("ip_block_list", Phase.ACCESS, self.config),)
