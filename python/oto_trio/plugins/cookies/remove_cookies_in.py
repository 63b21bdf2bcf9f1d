"""Keep cookies from the backend.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RemoveCookiesIn``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.cookies import rewrite_cookies, sent_cookies

__all__ = ["RemoveCookiesIn", "RemoveCookiesInConfig"]


class RemoveCookiesInConfig(Config, frozen=True):
    """Which."""

    names: Annotated[tuple[str, ...], Meta(description="Exact names of the cookies.")] = ()


class RemoveCookiesIn(Plugin[RemoveCookiesInConfig]):
    """Takes the named cookies off the backend's request."""

    id = "cp:otoroshi.next.plugins.RemoveCookiesIn"
    name = "Remove cookies in"
    description = "Removes cookies from the backend's request."
    categories = ("Cookies",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        cookies = sent_cookies(headers)
        kept = [pair for name, pair in cookies if name not in self.config.names]
        if len(kept) < len(cookies):
            rewrite_cookies(headers, kept)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("remove_cookies", Phase.TRANSFORM_REQUEST, self.config),)
