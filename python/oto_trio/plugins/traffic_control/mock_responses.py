"""Mock some endpoints of a backend.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.MockResponses``.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderName,
    HeaderValue,
    Plugin,
    Response,
    read_body,
    stripped_path,
    writable_fields,
)

__all__ = ["MockResponse", "MockResponses", "MockResponsesConfig"]

_NOT_FOUND = Response(
    404, (("Content-Type", "application/json"),), b'{"error":"resource not found !"}'
)
_PATH_PARAM = re.compile(r"\$\{req\.pathparams\.([^}:]+)(?::([^}]*))?\}")


class MockResponse(msgspec.Struct, frozen=True):
    """One mocked endpoint."""

    path: Annotated[str, Meta(description="The whole path; a :name segment takes any value.")] = "/"
    method: Annotated[str, Meta(description="The method, in any case.")] = "GET"
    status: Annotated[int, Meta(description="Status of the response.", ge=200, le=599)] = 200
    headers: Annotated[
        dict[HeaderName, HeaderValue], Meta(description="Headers of the response.")
    ] = {}
    body: Annotated[
        str, Meta(description="Body: text with ${req.pathparams.name}, or Base64(…).")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse a body that is no base64 when the config is read, not when a request comes."""
        read_body(self.body)


class MockResponsesConfig(Config, frozen=True):
    """The endpoints, and what becomes of the others."""

    responses: Annotated[
        tuple[MockResponse, ...], Meta(description="The endpoints; the first that matches answers.")
    ] = ()
    pass_through: Annotated[
        bool, Meta(description="Call the backend when none matches, instead of answering 404.")
    ] = True


class MockResponses(Plugin[MockResponsesConfig]):
    """Answers for the endpoints it knows; paths are those the backend would see below its root.

    ``${req.pathparams.name}`` in a body becomes the value of the ``:name`` segment, of the mock's path
    first and then of the route's; ``${req.pathparams.name:text}`` has a default, and without one an unknown
    name reads ``no-path-param-<name>``. Everything else is taken literally.
    """

    id = "cp:otoroshi.next.plugins.MockResponses"
    name = "Mock Responses"
    description = "Answers some endpoints with fixed responses."
    categories = ("TrafficControl",)

    @override
    def call_backend(self, exchange: Exchange) -> Response | None:
        method = exchange.request.method.upper()
        segments = _segments(stripped_path(exchange))
        for mock in self.config.responses:
            if mock.method.upper() == method:
                params = _match(_segments(mock.path), segments)
                if params is not None:
                    return _answer(mock, {**exchange.path_params, **params})
        return None if self.config.pass_through else _NOT_FOUND


def _segments(path: str) -> list[str]:
    """Split a path, empty segments dropped, as the router does."""
    return [segment for segment in path.split("/") if segment]


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """Return the values of the ``:name`` segments; ``None`` when the path is another one."""
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, given in zip(pattern, segments, strict=True):
        if wanted.startswith(":"):
            params[wanted[1:]] = given
        elif wanted != given:
            return None
    return params


def _answer(mock: MockResponse, params: dict[str, str]) -> Response:
    """Make the response of one mock."""

    def value_of(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        missing = f"no-path-param-{name}" if default is None else default
        return params.get(name, missing)

    body = mock.body if mock.body.startswith("Base64(") else _PATH_PARAM.sub(value_of, mock.body)
    return Response(mock.status, tuple(writable_fields(mock.headers).items()), read_body(body))
