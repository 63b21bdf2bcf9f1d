"""Add a cookie that the client did not send.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.MissingCookieIn``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Step, compiled_template, steps
from oto_trio.plugin_api.cookies import CookieConfig, put_cookie, sent_cookies

__all__ = ["MissingCookieIn", "MissingCookieInConfig"]


class MissingCookieInConfig(CookieConfig, frozen=True):
    """The cookie; only its name and value count in a request."""


class MissingCookieIn(Plugin[MissingCookieInConfig]):
    """Sends the backend a cookie, unless the client sent one of that name."""

    id = "cp:otoroshi.next.plugins.MissingCookieIn"
    name = "Missing cookies in"
    description = "Adds a cookie to the backend's request if it is absent."
    categories = ("Cookies",)

    def __init__(self, config: MissingCookieInConfig) -> None:
        super().__init__(config)
        self._name = compiled_template("$.name", config.name)
        self._value = compiled_template("$.value", config.value)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        name = self._name.render(exchange)
        if all(known != name for known, _ in sent_cookies(headers)):
            put_cookie(headers, name, self._value.render_header(exchange))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("add_missing_cookie", Phase.TRANSFORM_REQUEST, self.config),)
