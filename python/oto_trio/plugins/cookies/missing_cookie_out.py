"""Set a cookie that the backend did not set.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.MissingCookieOut``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Step, compiled_template, steps
from oto_trio.plugin_api.cookies import CookieConfig, set_cookie_line, set_cookie_name

__all__ = ["MissingCookieOut", "MissingCookieOutConfig"]


class MissingCookieOutConfig(CookieConfig, frozen=True):
    """The cookie."""


class MissingCookieOut(Plugin[MissingCookieOutConfig]):
    """Sets a cookie, unless the backend sets one of that name.

    A name that is none of a cookie's sets nothing; ``;`` and control characters in a value become ``?``.
    """

    id = "cp:otoroshi.next.plugins.MissingCookieOut"
    name = "Missing cookies out"
    description = "Sets a response cookie if it is absent."
    categories = ("Cookies",)

    def __init__(self, config: MissingCookieOutConfig) -> None:
        super().__init__(config)
        self._name = compiled_template("$.name", config.name)
        self._value = compiled_template("$.value", config.value)
        self._domain = compiled_template("$.domain", config.domain or "")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        name = self._name.render(exchange)
        headers = exchange.response.headers
        if any(set_cookie_name(line) == name for line in headers.get_all("Set-Cookie")):
            return
        value, domain = self._value.render_header(exchange), self._domain.render_header(exchange)
        line = set_cookie_line(self.config, name, value, domain)
        if line is not None:
            headers.add("Set-Cookie", line)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("set_missing_cookie", Phase.TRANSFORM_RESPONSE, self.config),)
