"""Send the backend a user name and a password.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.BasicAuthCaller``.
"""

import base64
from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderName,
    HeaderValue,
    Phase,
    Plugin,
    Response,
    Step,
    steps,
)
from oto_trio.plugin_api.fields import writable_name

__all__ = ["BasicAuthCaller", "BasicAuthCallerConfig"]

REFUSED = Response(400, [("Content-Type", "application/json")], b'{"error":"Bad configuration"}')


class BasicAuthCallerConfig(Config, frozen=True, rename="camel"):
    """The credentials, and where they go."""

    username: Annotated[str | None, Meta(description="The user the backend knows.")] = None
    password: Annotated[str | None, Meta(description="The user's password.")] = None
    header_name: Annotated[HeaderName, Meta(description="The header to write.")] = "Authorization"
    header_value_format: Annotated[
        HeaderValue, Meta(description="The header's value; %s stands for the encoded credentials.")
    ] = "Basic %s"

    def __post_init__(self) -> None:
        """Refuse a header that a plugin cannot write when the config is read."""
        writable_name("headerName", self.header_name)


class BasicAuthCaller(Plugin[BasicAuthCallerConfig]):
    """Sets the backend's ``Authorization``, replacing the client's; 400 without user or password."""

    id = "cp:otoroshi.next.plugins.BasicAuthCaller"
    name = "Basic Auth. caller"
    description = "Adds a basic Authorization header towards the backend."
    categories = ("Authentication",)

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        config = self.config
        if not (config.username and config.password):
            return REFUSED
        credentials = base64.b64encode(f"{config.username}:{config.password}".encode()).decode()
        value = config.header_value_format.replace("%s", credentials, 1)
        exchange.hide(value)
        exchange.request.headers.set(config.header_name or "Authorization", value)
        return None

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("basic_auth_caller", Phase.TRANSFORM_REQUEST, self.config),)
