"""Read the ``User-Agent`` for expressions and later plugins.

Phases: pre_route.
Otoroshi: ``cp:otoroshi.next.plugins.NgUserAgentExtractor``.
"""

import logging
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin
from oto_trio.plugin_api.user_agents import ATTRIBUTE, TEXT_LENGTH, parse_user_agent

__all__ = ["NgUserAgentExtractor", "NgUserAgentExtractorConfig"]

logger = logging.getLogger(__name__)


class NgUserAgentExtractorConfig(Config, frozen=True):
    """Whether it is logged."""

    log: Annotated[bool, Meta(description="Log what was found, at level info.")] = False


class NgUserAgentExtractor(Plugin[NgUserAgentExtractorConfig]):
    """Leaves browser, platform and kind of device in ``${ctx.useragent.…}`` and for the plugins behind it.

    The facts are ``browser``, ``browserType``, ``browserMajorVersion``, ``deviceType``, ``platform`` and
    ``platformVersion``; what is not known is ``Unknown``. Without the field there are none. Otoroshi does nothing
    unless ``userAgentSettings.enabled`` is on too; here the slot is enough. The first 512 characters count.
    """

    id = "cp:otoroshi.next.plugins.NgUserAgentExtractor"
    name = "User-Agent details extractor"
    description = "Reads browser and platform from the User-Agent."
    categories = ("Other",)

    @override
    def pre_route(self, exchange: Exchange) -> None:
        text = exchange.request.headers.get("User-Agent")
        if text is None:
            return
        facts = parse_user_agent(text[:TEXT_LENGTH])
        exchange.attrs[ATTRIBUTE] = dict(facts)
        for name, value in facts:
            exchange.tell_context(f"useragent.{name}", value)
        if self.config.log:
            logger.info("user agent of request %s: %s", exchange.request_id, dict(facts))
