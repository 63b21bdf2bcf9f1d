"""Answer some addresses with more than they can take.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.EndlessHttpResponse``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Native, Phase, Plugin, Response, Step
from oto_trio.plugin_api.addresses import AddressSet

__all__ = ["EndlessHttpResponse", "EndlessHttpResponseConfig"]

_ZEROS = bytes(18)
_FINGERS = "\U0001f595".encode() * 16


class EndlessHttpResponseConfig(Config, frozen=True):
    """Whom, and with what."""

    finger: Annotated[bool, Meta(description="Send rude signs instead of zeros.")] = False
    addresses: Annotated[
        tuple[str, ...], Meta(description="Addresses, with * for any part, or CIDR blocks.")
    ] = ()
    is_debug: Annotated[
        bool, Meta(description="Send one piece only, to everybody when addresses is empty.")
    ] = False

    def __post_init__(self) -> None:
        """Refuse what is no address when the config is read."""
        try:
            AddressSet(self.addresses)
        except ValueError as error:
            raise ValueError(f"addresses{error}") from error


class EndlessHttpResponse(Plugin[EndlessHttpResponseConfig]):
    """Answers 200 and 128 GiB of zeros, in the backend's place.

    The engine writes a block of 16 KiB whenever the client has taken the last one, and ends with the client;
    one that takes nothing is given up as any slow reader. A hook in Python has the first piece only.
    The global configuration's ``endlessIpAddresses`` does the same for every route.
    """

    id = "cp:otoroshi.next.plugins.EndlessHttpResponse"
    name = "Endless HTTP responses"
    description = "Answers some addresses with a response that does not end."
    categories = ("Other",)

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        config = self.config
        addresses = AddressSet(config.addresses)
        everybody = config.is_debug and not addresses
        if not everybody and exchange.remote_address not in addresses:
            return None
        piece = _FINGERS if config.finger else _ZEROS
        return Response(200, (("Content-Type", "application/octet-stream"),), piece)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("endless", Phase.TRANSFORM_REQUEST, self.config),)
