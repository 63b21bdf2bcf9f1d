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
    Template,
    compiled_template,
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
        str,
        Meta(description="Body: text in which ${…} is evaluated, or Base64(…)."),
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
    name reads ``no-path-param-<name>``. Other expressions are evaluated as anywhere; what a segment says is
    never taken for one.
    """

    id = "cp:otoroshi.next.plugins.MockResponses"
    name = "Mock Responses"
    description = "Answers some endpoints with fixed responses."
    categories = ("TrafficControl",)
    delegates = True

    def __init__(self, config: MockResponsesConfig) -> None:
        super().__init__(config)
        self._bodies = [
            _parts(f"$.responses[{at}].body", mock.body) for at, mock in enumerate(config.responses)
        ]

    @override
    def call_backend(self, exchange: Exchange) -> Response | None:
        method = exchange.request.method.upper()
        segments = _segments(stripped_path(exchange))
        for mock, body in zip(self.config.responses, self._bodies, strict=True):
            if mock.method.upper() == method:
                params = _match(_segments(mock.path), segments)
                if params is not None:
                    return _answer(mock, body, {**exchange.path_params, **params}, exchange)
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


def _parts(path: str, body: str) -> tuple[Template | tuple[str, str | None], ...]:
    """Cut a body into texts with expressions, and (name, default) of path parameters.

    Raises:
        PluginError: An expression cannot be compiled.
    """
    if body.startswith("Base64("):
        return ()
    parts: list[Template | tuple[str, str | None]] = []
    end = 0
    for found in _PATH_PARAM.finditer(body):
        parts += [compiled_template(path, body[end : found.start()]), (found[1], found[2])]
        end = found.end()
    return (*parts, compiled_template(path, body[end:]))


def _answer(
    mock: MockResponse,
    parts: tuple[Template | tuple[str, str | None], ...],
    params: dict[str, str],
    exchange: Exchange,
) -> Response:
    """Make the response of one mock."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Template):
            texts.append(part.source if part.is_literal else part.render(exchange))
        else:
            name, default = part
            missing = f"no-path-param-{name}" if default is None else default
            texts.append(params.get(name, missing))
    body = "".join(texts).encode() if parts else read_body(mock.body)
    return Response(mock.status, tuple(writable_fields(mock.headers).items()), body)
