"""Require tags of the caller's API key, when it has one.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgApikeyMandatoryTags``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Native, Phase, Plugin, Refusal, Step

__all__ = ["NgApikeyMandatoryTags", "NgApikeyMandatoryTagsConfig"]


class NgApikeyMandatoryTagsConfig(Config, frozen=True):
    """The tags."""

    tags: Annotated[tuple[str, ...], Meta(description="Tags that the key must all have.")] = ()


class NgApikeyMandatoryTags(Plugin[NgApikeyMandatoryTagsConfig]):
    """Refuses a key without all the tags; goes behind the plugin that finds the key."""

    id = "cp:otoroshi.next.plugins.NgApikeyMandatoryTags"
    name = "Apikey mandatory tags"
    description = "Requires tags of the caller's API key."
    categories = ("AccessControl",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        key = exchange.apikey
        if key is None or set(self.config.tags) <= set(key.tags):
            return None
        return Refusal(403, "forbidden", "errors.no.matching.tags")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("apikey_tags", Phase.ACCESS, self.config),)
