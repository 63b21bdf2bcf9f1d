"""Refuse a request whose cookies are not as expected.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.CookiesValidation``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Headers, Phase, Plugin, Refusal, Step, steps

__all__ = ["CookiesValidation", "CookiesValidationConfig"]


class CookiesValidationConfig(Config, frozen=True):
    """The value each cookie must have."""

    cookies: Annotated[
        dict[str, str], Meta(description="Exact values by the name of the cookie.")
    ] = {}


class CookiesValidation(Plugin[CookiesValidationConfig]):
    """Refuses with 400 unless every named cookie is there and has exactly its value.

    A cookie that is sent twice must have the value twice: which one a backend reads is unknown.
    """

    id = "cp:otoroshi.next.plugins.CookiesValidation"
    name = "Cookies validation"
    description = "Requires cookies to have given values."
    categories = ("Cookies",)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        headers = exchange.request.headers
        for name, value in self.config.cookies.items():
            # Header text is latin-1; a config is written in UTF-8.
            wanted = value.encode().decode("latin-1")
            given = _values(headers, name.encode().decode("latin-1"))
            if not given or any(other != wanted for other in given):
                return Refusal(400, "bad request")
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("require_cookies", Phase.ACCESS, self.config),)


_BLANK = " \t\n\r\x0c"


def _values(headers: Headers, name: str) -> list[str]:
    """Return every value a request gives a cookie."""
    values: list[str] = []
    for field in headers.get_all("Cookie"):
        for pair in field.split(";"):
            own, equals, value = pair.strip(_BLANK).partition("=")
            if equals and own.rstrip(_BLANK) == name:
                value = value.lstrip(_BLANK)
                is_quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
                values.append(value[1:-1] if is_quoted else value)
    return values
