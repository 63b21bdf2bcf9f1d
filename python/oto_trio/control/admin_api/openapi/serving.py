"""The paths of the OpenAPI document, under Otoroshi's names, and the page at ``/docs``.

They need no API key, as in Otoroshi: they say what the API can do, and nothing of what this gateway
holds. The page is three files of ours that load nothing from elsewhere, so it works without a network;
its policy (CSP) allows nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.bodies import encode_yaml
from oto_trio.control.admin_api.openapi.document import openapi_document

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

__all__ = ["OpenApiPaths", "is_docs_path"]

_JSON_PATHS: Final = ("/apis/openapi.json", "/apis/openapi", "/api/openapi.json")
_YAML_PATHS: Final = ("/apis/openapi.yaml", "/apis/openapi.yml")
_PAGE_PATHS: Final = ("/docs", "/apis/openapi/ui", "/api/openapi/ui")
_PARTS: Final = {"/docs/page.js": "text/javascript", "/docs/page.css": "text/css"}

_OPEN: Final = frozenset((*_JSON_PATHS, *_YAML_PATHS, *_PAGE_PATHS, *_PARTS))

_ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*"}
"""Tools in a browser may read the document from any page. Source: Otoroshi's documentation resources."""

_OF_PAGE: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

Endpoint = Callable[["Request"], Awaitable[Response]]


def is_docs_path(path: str) -> bool:
    """Tell whether a path is the document's or its page's, and so needs no API key."""
    return path in _OPEN


class OpenApiPaths:
    """Endpoints for the document.

    Args:
        routes: Gives the routes of the application; called at the first request.
    """

    def __init__(self, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._routes = routes
        self._json: bytes | None = None
        self._yaml: bytes | None = None

    def paths(self) -> list[Path]:
        """Give the paths."""
        endpoints: dict[str, Endpoint] = {
            **dict.fromkeys(_JSON_PATHS, self._show_json),
            **dict.fromkeys(_YAML_PATHS, self._show_yaml),
            **dict.fromkeys(_PAGE_PATHS, _show_page),
            **dict.fromkeys(_PARTS, _show_part),
        }
        return [Path(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()]

    async def _show_json(self, _request: Request) -> Response:
        """Answer the document as JSON; made once. Cancellation: the thread ends by itself."""
        if self._json is None:
            self._json = await trio.to_thread.run_sync(self._make_json)
        return Response(self._json, 200, _ANY_ORIGIN, media_type="application/json")

    async def _show_yaml(self, _request: Request) -> Response:
        """Answer the document as YAML; made once."""
        if self._yaml is None:
            self._yaml = await trio.to_thread.run_sync(self._make_yaml)
        return Response(self._yaml, 200, _ANY_ORIGIN, media_type="application/yaml")

    def _make_json(self) -> bytes:
        """Write the document as JSON."""
        return msgspec.json.encode(openapi_document(self._routes()))

    def _make_yaml(self) -> bytes:
        """Write the document as YAML; from JSON, which has no parts in common for YAML to name."""
        return encode_yaml(msgspec.json.decode(self._make_json()))


async def _show_page(_request: Request) -> Response:
    """Answer the page."""
    text = await trio.to_thread.run_sync(_read, "page.html")
    return Response(text, 200, _OF_PAGE, media_type="text/html")


async def _show_part(request: Request) -> Response:
    """Answer the script or the style of the page."""
    path = request.url.path
    text = await trio.to_thread.run_sync(_read, path.rpartition("/")[2])
    return Response(text, 200, _OF_PAGE, media_type=_PARTS[path])


def _read(name: str) -> bytes:
    """Read one file of the page."""
    return files("oto_trio.control.admin_api.openapi").joinpath("page", name).read_bytes()
