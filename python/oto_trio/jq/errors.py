"""What filters fail with."""

from typing import ClassVar

from oto_trio.model.errors import GatewayError, Source

__all__ = ["JqBoundError", "JqBusyError", "JqError"]


class JqError(GatewayError):
    """A filter is none, or failed; the message has jq's own words, and may hold parts of the document."""

    code = "jq_filter_failed"
    source: ClassVar[Source] = "config"


class JqBoundError(JqError):
    """A filter takes or makes more than it may. The message holds nothing of the document."""

    code = "jq_filter_over_bounds"


class JqBusyError(JqBoundError):
    """Too many filters run already."""

    code = "jq_filters_busy"
    source = "internal"
    status = 503
    retry = "always"
