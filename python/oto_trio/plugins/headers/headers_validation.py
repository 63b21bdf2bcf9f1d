"""Refuse a request whose header fields are not as expected.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.HeadersValidation``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Plugin, Refusal, Step, steps
from oto_trio.plugin_api.expectation import Expected, fault_of

__all__ = ["HeadersValidation", "HeadersValidationConfig"]


class HeadersValidationConfig(Config, frozen=True):
    """What each header must look like."""

    headers: Annotated[
        dict[HeaderName, str],
        Meta(
            description="Expectations by header name: a value, or Regex(…), Wildcard(…), Contains(…), "
            "ContainedIn(a,b), Not(…), RegexNot(…), WildcardNot(…), ContainsNot(…), NotContainedIn(a,b); "
            "${…} in the words is evaluated."
        ),
    ] = {}

    def __post_init__(self) -> None:
        """Refuse a pattern that is none when the config is read, not when a request comes."""
        for name, expectation in self.headers.items():
            fault = fault_of(expectation)
            if fault is not None:
                raise ValueError(f"the expectation of {name} is no pattern: {fault}")


class HeadersValidation(Plugin[HeadersValidationConfig]):
    """Refuses with 400 unless every named header is there and as expected.

    Where a header is sent several times, each of its values must be as expected. Otoroshi judges the first alone,
    while a backend may well go by another one. A list in one field is one value.

    Expressions are evaluated in the words of an expectation; its form is read from the config, where
    Otoroshi also takes one from a value. Words that make no pattern let nobody in.
    """

    id = "cp:otoroshi.next.plugins.HeadersValidation"
    name = "Headers validation"
    description = "Requires request headers to have given values."
    categories = ("Headers", "Classic")

    def __init__(self, config: HeadersValidationConfig) -> None:
        super().__init__(config)
        self._words = {
            name: Expected(f"$.headers[{name!r}]", text) for name, text in self._expected().items()
        }

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        headers = exchange.request.headers
        for name, expected in self._words.items():
            values = headers.get_all(name)
            if not values or not all(expected.accepts(value, exchange) for value in values):
                return Refusal(400, "bad request")
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.RequireHeaders(self._expected()),)

    def _expected(self) -> dict[str, str]:
        """Return the expectations, without that of an empty name."""
        return {name: text for name, text in self.config.headers.items() if name}
