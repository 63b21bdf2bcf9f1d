"""Add a cookie to the backend's request.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.AdditionalCookieIn``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, compiled_template, steps
from oto_trio.plugin_api.cookies import put_cookie

__all__ = ["AdditionalCookieIn", "AdditionalCookieInConfig"]


class AdditionalCookieInConfig(Config, frozen=True):
    """The cookie."""

    name: Annotated[str, Meta(description="Its name; ${…} is evaluated.")] = "cookie"
    value: Annotated[str, Meta(description="Its value; ${…} is evaluated.")] = "value"


class AdditionalCookieIn(Plugin[AdditionalCookieInConfig]):
    """Sends the backend a cookie, in place of the client's of the same name.

    A name that is none of a cookie's adds nothing; ``;`` and control characters in a value become ``?``.
    """

    id = "cp:otoroshi.next.plugins.AdditionalCookieIn"
    name = "Additional cookies in"
    description = "Adds a cookie to the backend's request."
    categories = ("Cookies",)

    def __init__(self, config: AdditionalCookieInConfig) -> None:
        super().__init__(config)
        self._name = compiled_template("$.name", config.name)
        self._value = compiled_template("$.value", config.value)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        name, value = self._name.render(exchange), self._value.render_header(exchange)
        put_cookie(exchange.request.headers, name, value)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("add_cookie", Phase.TRANSFORM_REQUEST, self.config),)
