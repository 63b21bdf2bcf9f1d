"""Let pages of other origins call the route.

Phases: pre_route, transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.Cors``.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Headers,
    HeaderValue,
    Pattern,
    Phase,
    Plugin,
    Refusal,
    Response,
    Step,
    compiled_template,
    steps,
)

__all__ = ["Cors", "CorsConfig"]


class CorsConfig(Config, frozen=True):
    """Who may call what, and what they may see of the answer."""

    allow_origin: Annotated[
        HeaderValue,
        Meta(description="The origin in lower case, or * for any; ${…} is evaluated in answers."),
    ] = "*"
    expose_headers: Annotated[
        tuple[HeaderValue, ...], Meta(description="Response headers that a page may read.")
    ] = ()
    allow_headers: Annotated[
        tuple[HeaderValue, ...],
        Meta(description="Request headers that a page may send; * allows all without credentials."),
    ] = ()
    allow_methods: Annotated[
        tuple[HeaderValue, ...], Meta(description="Methods of preflight requests; none means none.")
    ] = ()
    excluded_patterns: Annotated[
        tuple[str, ...], Meta(description="Regular expressions of whole paths left alone.")
    ] = ()
    max_age: Annotated[
        int | None, Meta(description="Seconds that a browser may keep the preflight's answer.")
    ] = None
    allow_credentials: Annotated[
        bool, Meta(description="Whether a page may send cookies and credentials.")
    ] = True

    def __post_init__(self) -> None:
        """Refuse a pattern that is none when the config is read, not when a request comes."""
        for pattern in self.excluded_patterns:
            Pattern(pattern)


class Cors(Plugin[CorsConfig]):
    """Answers preflight requests, and marks every answer of the route, errors included.

    A preflight is an ``OPTIONS`` with ``Access-Control-Request-Method``; 204 when its origin, method and
    headers are allowed, else 404. ``Access-Control-Allow-Origin`` is what the config says and never the
    origin that asks, so that a browser refuses ``*`` together with credentials.
    """

    id = "cp:otoroshi.next.plugins.Cors"
    name = "CORS"
    description = "Lets pages of other origins call, and answers their preflight requests."
    categories = ("AccessControl", "Classic")

    def __init__(self, config: CorsConfig) -> None:
        super().__init__(config)
        self._excluded = [Pattern(pattern) for pattern in config.excluded_patterns]
        texts = {
            "Access-Control-Allow-Origin": config.allow_origin,
            "Access-Control-Allow-Credentials": "true" if config.allow_credentials else "false",
            "Access-Control-Expose-Headers": ", ".join(config.expose_headers).lower(),
            "Access-Control-Allow-Headers": ", ".join(config.allow_headers).lower(),
            "Access-Control-Allow-Methods": ", ".join(config.allow_methods),
            "Access-Control-Max-Age": "" if config.max_age is None else str(config.max_age),
        }
        self._fields = {
            name: compiled_template(f"$ ({name})", text) for name, text in texts.items() if text
        }

    @override
    def pre_route(self, exchange: Exchange) -> Response | Refusal | None:
        if self._leaves_alone(exchange):
            return None
        headers = exchange.request.headers
        method = headers.get("Access-Control-Request-Method")
        is_preflight = exchange.request.method == "OPTIONS" and method is not None
        if is_preflight and self._passes(headers):
            return Response(204, tuple(self._values(exchange)))
        for name, value in self._values(exchange):
            exchange.add_to_response(name, value)
        return Refusal(404, "Cors error", "errors.cors.error") if is_preflight else None

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        if not self._leaves_alone(exchange):
            for name, value in self._values(exchange):
                exchange.response.headers.set(name, value)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("cors", Phase.PRE_ROUTE, self.config),
            steps.Native("cors", Phase.TRANSFORM_RESPONSE, self.config),
        )

    def _leaves_alone(self, exchange: Exchange) -> bool:
        return any(pattern.matches(exchange.request.path) for pattern in self._excluded)

    def _values(self, exchange: Exchange) -> Iterator[tuple[str, str]]:
        for name, value in self._fields.items():
            yield name, value.render_header(exchange)

    def _passes(self, headers: Headers) -> bool:
        """Tell whether the origin, the method and the headers that are asked for are allowed."""
        config = self.config
        origin = headers.get("Origin")
        if config.allow_origin != "*" and (origin is None or origin.lower() != config.allow_origin):
            return False
        method = headers.get("Access-Control-Request-Method")
        if method is not None and not any(
            known.lower() == method.lower() for known in config.allow_methods
        ):
            return False
        wanted = headers.get("Access-Control-Request-Headers")
        if wanted is None:
            return True
        allowed = {name.lower() for name in config.allow_headers}
        if "*" in allowed and "Cookie" not in headers and "Authorization" not in headers:
            return True
        names = (name.strip(" \t") for name in wanted.lower().split(","))
        return all(name in allowed for name in names if name)
