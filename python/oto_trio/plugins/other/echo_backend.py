"""Echo the request as JSON: what a backend would have seen.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.EchoBackend``.
"""

import base64
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import BodyTooLarge, Config, Exchange, Plugin, Response, stripped_path

__all__ = ["EchoBackend", "EchoBackendConfig"]


class EchoBackendConfig(Config, frozen=True):
    """How much to echo."""

    limit: Annotated[
        int, Meta(description="Longest request body in bytes; a longer one gets 413.", ge=0)
    ] = 524288


class EchoBackend(Plugin[EchoBackendConfig]):
    """Answers 200 with method, paths, query, headers, cookies and body of the request.

    A JSON body is echoed as JSON, text and forms as a string, anything else as base64, none as null.
    """

    id = "cp:otoroshi.next.plugins.EchoBackend"
    name = "Request Echo"
    description = "Echoes the request as JSON."
    categories = ("Other",)

    @override
    async def call_backend(self, exchange: Exchange) -> Response:
        request = exchange.request
        try:
            body = await request.read(self.config.limit)
        except BodyTooLarge:
            return too_large(self.config.limit)
        echo = {
            "method": request.method,
            "path": stripped_path(exchange),
            "raw_path": request.path,
            "query": dict(parse_qsl(request.query, keep_blank_values=True)),
            "headers": dict(request.headers.items()),
            "cookies": _cookies(request.headers.get_all("Cookie")),
            "body": _body(body, request.headers.get("Content-Type") or ""),
        }
        return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(echo))


def too_large(limit_bytes: int) -> Response:
    """Return Otoroshi's 413 of the echo plugins."""
    error = {
        "error": "request_body_too_large",
        "message": f"Request body exceeds maximum allowed size of {limit_bytes} bytes",
        "limit": limit_bytes,
    }
    return Response(413, (("Content-Type", "application/json"),), msgspec.json.encode(error))


def _cookies(values: list[str]) -> list[dict[str, str]]:
    """Return the request's cookies as name and value; what has no name is left out."""
    pairs = (part.strip().partition("=") for value in values for part in value.split(";"))
    return [{"name": name, "value": value.strip('"')} for name, _, value in pairs if name]


def _body(body: bytes, content_type: str) -> msgspec.Raw | str | None:
    """Return the body in the form its type asks for; JSON stays as it was written."""
    if not body:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return body.decode("utf-8", "replace")
        return msgspec.Raw(body)
    if kind.startswith("text/") or kind == "application/x-www-form-urlencoded":
        return body.decode("utf-8", "replace")
    return base64.b64encode(body).decode()
