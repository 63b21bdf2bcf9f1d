"""The answer that a plugin may be told to give in place of its own refusal."""

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.plugin_api.config import Config

__all__ = ["CustomResponseConfig"]


class CustomResponseConfig(Config, frozen=True):
    """Otoroshi's five ``custom_response…`` keys."""

    custom_response: Annotated[
        bool, Meta(description="Answer a refused request with the response below.")
    ] = False
    custom_response_status: Annotated[int, Meta(description="Its status.", ge=200, le=599)] = 401
    custom_response_headers: Annotated[
        dict[str, str],
        Meta(description="Its headers; Content-Type is application/json when none is given."),
    ] = msgspec.field(default_factory=dict[str, str])
    custom_response_body: Annotated[str, Meta(description="Its body.")] = '{"error":"unauthorized"}'
