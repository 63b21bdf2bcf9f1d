"""Keep cookies from the client.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RemoveCookiesOut``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderValue, Phase, Plugin, Step, steps
from oto_trio.plugin_api.cookies import set_cookie_name

__all__ = ["RemoveCookiesOut", "RemoveCookiesOutConfig"]


class RemoveCookiesOutConfig(Config, frozen=True):
    """Which."""

    names: Annotated[tuple[HeaderValue, ...], Meta(description="Exact names of the cookies.")] = ()


class RemoveCookiesOut(Plugin[RemoveCookiesOutConfig]):
    """Takes the named cookies off the response."""

    id = "cp:otoroshi.next.plugins.RemoveCookiesOut"
    name = "Remove cookies out"
    description = "Removes cookies from the response."
    categories = ("Cookies",)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        headers = exchange.response.headers
        lines = headers.get_all("Set-Cookie")
        kept = [line for line in lines if set_cookie_name(line) not in self.config.names]
        if len(kept) < len(lines):
            headers.remove("Set-Cookie")
            for line in kept:
                headers.add("Set-Cookie", line)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("remove_set_cookies", Phase.TRANSFORM_RESPONSE, self.config),)
