"""Answer every request with the same response.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.StaticResponse``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderName,
    HeaderValue,
    Plugin,
    Response,
    compiled_template,
    read_body,
    writable_fields,
)

__all__ = ["StaticResponse", "StaticResponseConfig"]


class StaticResponseConfig(Config, frozen=True):
    """The response."""

    status: Annotated[int, Meta(description="Status of the response.", ge=200, le=599)] = 200
    headers: Annotated[
        dict[HeaderName, HeaderValue], Meta(description="Headers of the response.")
    ] = {}
    body: Annotated[str, Meta(description="Body: text, or Base64(…) for any bytes.")] = ""
    apply_el: Annotated[
        bool, Meta(description="Evaluate ${…} in the body, unless it is Base64(…).")
    ] = False

    def __post_init__(self) -> None:
        """Refuse a body that is no base64 when the config is read, not when a request comes."""
        read_body(self.body)


class StaticResponse(Plugin[StaticResponseConfig]):
    """Answers in the backend's place; the backend is never called."""

    id = "cp:otoroshi.next.plugins.StaticResponse"
    name = "Static Response"
    description = "Answers every request with one fixed response."
    categories = ("TrafficControl",)

    def __init__(self, config: StaticResponseConfig) -> None:
        super().__init__(config)
        headers = tuple(writable_fields(config.headers).items())
        self._response = Response(config.status, headers, read_body(config.body))
        evaluates = config.apply_el and not config.body.startswith("Base64(")
        self._body = compiled_template("$.body", config.body) if evaluates else None

    @override
    def call_backend(self, exchange: Exchange) -> Response:
        if self._body is None:
            return self._response
        body = self._body.render(exchange).encode()
        return Response(self._response.status, self._response.headers, body)
