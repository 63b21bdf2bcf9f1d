"""Let only some addresses in.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.IpAddressAllowedList``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.addresses import AddressSet

__all__ = ["IpAddressAllowedList", "IpAddressAllowedListConfig"]


class IpAddressAllowedListConfig(Config, frozen=True):
    """Who is let in."""

    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses (10.0.0.7), ranges (10.0.0.0/8) and patterns (10.0.*); empty lets nobody in."
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what is no address when the config is read, not when a request comes."""
        try:
            AddressSet(self.addresses)
        except ValueError as error:
            raise ValueError(f"addresses{error}") from error


class IpAddressAllowedList(Plugin[IpAddressAllowedListConfig]):
    """Refuses with 403 a caller whose address is not listed.

    The address is the one a trusted ``X-Forwarded-For`` says first, else the socket's.
    """

    id = "cp:otoroshi.next.plugins.IpAddressAllowedList"
    name = "IP allowed list"
    description = "Lets only callers from the listed addresses through."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if exchange.remote_address in AddressSet(self.config.addresses):
            return None
        return Refusal(403, "Your IP address is not allowed", "errors.ip.address.not.allowed")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("ip_allowed_list", Phase.ACCESS, self.config),)
