"""Require metadata of the caller's API key, when it has one.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgApikeyMandatoryMetadata``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Native, Phase, Plugin, Refusal, Step

__all__ = ["NgApikeyMandatoryMetadata", "NgApikeyMandatoryMetadataConfig"]


class NgApikeyMandatoryMetadataConfig(Config, frozen=True):
    """The metadata."""

    metadata: Annotated[
        dict[str, str], Meta(description="Metadata that the key must all have, by name.")
    ] = {}


class NgApikeyMandatoryMetadata(Plugin[NgApikeyMandatoryMetadataConfig]):
    """Refuses a key without all the metadata; goes behind the plugin that finds the key."""

    id = "cp:otoroshi.next.plugins.NgApikeyMandatoryMetadata"
    name = "Apikey mandatory metadata"
    description = "Requires metadata of the caller's API key."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        key = exchange.apikey
        if key is None or self.config.metadata.items() <= key.metadata.items():
            return None
        return Refusal(403, "forbidden", "errors.no.matching.metadata")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("apikey_metadata", Phase.ACCESS, self.config),)
