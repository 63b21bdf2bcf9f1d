"""Limit the length of request bodies.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RequestBodyLengthLimiter``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["RequestBodyLengthLimiter", "RequestBodyLengthLimiterConfig"]

DEFAULT_BYTES = 4 << 20
"""The bound when the config names none."""


class RequestBodyLengthLimiterConfig(Config, frozen=True):
    """How long, and what then."""

    max_length: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="The longest body, in bytes; 4 MiB when left out."),
    ] = None
    fail: Annotated[
        bool, Meta(description="Refuse a longer body; otherwise it is cut to that length.")
    ] = False


class RequestBodyLengthLimiter(Plugin[RequestBodyLengthLimiterConfig]):
    """Cuts a request body that is too long, or refuses it with 413.

    A request that is too long and does not say so is answered with 413 when it turns out.
    The engine counts the bytes as they pass; of several limiters the strictest counts. This
    hook in Python sees only what ``Content-Length`` says.
    """

    id = "cp:otoroshi.next.plugins.RequestBodyLengthLimiter"
    name = "Request Body length limiter"
    description = "Limits the length of request bodies."
    categories = ("Transformations",)

    @override
    def transform_request(self, exchange: Exchange) -> Refusal | None:
        length = exchange.request.content_length
        most = DEFAULT_BYTES if self.config.max_length is None else self.config.max_length
        if self.config.fail and length is not None and length > most:
            message = "Response entity too large"
            return Refusal(413, message, "errors.failed.response.entityTooLarge")
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("body_length", Phase.TRANSFORM_REQUEST, self.config),)
