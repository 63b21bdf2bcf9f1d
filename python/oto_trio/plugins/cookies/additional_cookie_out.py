"""Set a cookie of the response.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.AdditionalCookieOut``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Step, compiled_template, steps
from oto_trio.plugin_api.cookies import CookieConfig, set_cookie_line

__all__ = ["AdditionalCookieOut", "AdditionalCookieOutConfig"]


class AdditionalCookieOutConfig(CookieConfig, frozen=True):
    """The cookie."""


class AdditionalCookieOut(Plugin[AdditionalCookieOutConfig]):
    """Sets a cookie, beside those that the backend sets.

    A name that is none of a cookie's sets nothing; ``;`` and control characters in a value become ``?``.
    """

    id = "cp:otoroshi.next.plugins.AdditionalCookieOut"
    name = "Additional cookies out"
    description = "Sets a response cookie."
    categories = ("Cookies",)

    def __init__(self, config: AdditionalCookieOutConfig) -> None:
        super().__init__(config)
        self._name = compiled_template("$.name", config.name)
        self._value = compiled_template("$.value", config.value)
        self._domain = compiled_template("$.domain", config.domain or "")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        name = self._name.render(exchange)
        headers = exchange.response.headers
        value, domain = self._value.render_header(exchange), self._domain.render_header(exchange)
        line = set_cookie_line(self.config, name, value, domain)
        if line is not None:
            headers.add("Set-Cookie", line)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("set_cookie", Phase.TRANSFORM_RESPONSE, self.config),)
