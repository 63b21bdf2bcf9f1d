"""Which plugins this gateway has, and the forms that Otoroshi's pages draw: all of it from the registry.

``/apis/plugins.json`` needs the API key as everything else does. In Otoroshi it is one of the documentation
resources; but what is listed here are also the plugins of the gateway's own folder, whose names and texts
are nobody else's business.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.bodies import encode_yaml
from oto_trio.model.backend import BackendSettings
from oto_trio.model.route import Route
from oto_trio.model.route_composition import RouteComposition
from oto_trio.plugin_api.forms import form_of
from oto_trio.plugin_api.inspection import describe

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.plugin_api.registry import PluginClass, Registry

__all__ = ["CATEGORIES", "FORMS", "STEPS", "PluginPaths"]

CATEGORIES: Final = (
    *("AccessControl", "Authentication", "Classic", "Custom", "Experimental", "Headers"),
    *("Integrations", "Logging", "Monitoring", "Other", "Security", "ServiceDiscovery"),
    *("TrafficControl", "Transformations", "Tunnel", "Wasm", "Websocket"),
)
"""Categories that are listed whether a plugin has them or not. Source: Otoroshi's plugin API."""

STEPS: Final = (
    *("Router", "Sink", "PreRoute", "ValidateAccess", "TransformRequest", "TransformResponse"),
    *("MatchRoute", "HandlesTunnel", "HandlesRequest", "CallBackend"),
)
"""Otoroshi's steps in its order, also those that no plugin here has."""

FORMS: Final[dict[str, type[msgspec.Struct]]] = {
    "/api/routes/_form": Route,
    "/api/route-compositions/_form": RouteComposition,
    "/api/backends/_form": BackendSettings,
}
"""What each form is of. That of a backend is of the part that routes have too, as in Otoroshi."""

_ANY_ORIGIN: Final = {"Access-Control-Allow-Origin": "*"}
_TRANSFORMS: Final = frozenset({"TransformRequest", "TransformResponse"})
_BEFORE_THE_CALL: Final = frozenset({"PreRoute", "ValidateAccess", "Sink", "MatchRoute"})


def listed_plugin(plugin: PluginClass) -> dict[str, Any]:
    """Describe a plugin as Otoroshi's list of plugins does.

    Whether it acts on requests or responses follows from its steps, as in Otoroshi: what transforms acts
    where it transforms, what decides before the call acts on requests, what answers acts on responses.

    Args:
        plugin: Its class.
    """
    facts = describe(plugin)
    form = form_of(plugin.Config)
    steps = set[str](facts["steps"])
    if steps & _TRANSFORMS:
        on_request, on_response = "TransformRequest" in steps, "TransformResponse" in steps
    else:
        on_request = bool(steps & _BEFORE_THE_CALL)
        on_response = not on_request
    return {
        "id": facts["id"],
        "name": facts["name"],
        "description": facts["description"],
        "default_config": facts["default_config"],
        "config_schema": form.schema,
        "config_flow": form.flow,
        "no_js_form": True,
        "plugin_type": "ng",
        "plugin_visibility": "userland",
        "plugin_categories": facts["categories"],
        "plugin_steps": facts["steps"],
        "plugin_tags": [],
        "plugin_multi_inst": plugin.multi_instance,
        "plugin_backend_call_delegates": plugin.delegates,
        "on_request": on_request,
        "on_response": on_response,
    }


class PluginPaths:
    """Endpoints for the plugins, and for forms.

    Args:
        gateway: Has the plugins.
    """

    def __init__(self, gateway: GatewayControl) -> None:
        self._gateway = gateway
        self._made: tuple[Registry, bytes] | None = None

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resources."""
        return [
            Path("/api/plugins/all", self._all, methods=["GET"]),
            Path("/api/plugins/categories", self._categories, methods=["GET"]),
            Path("/api/plugins/steps", _steps, methods=["GET"]),
            Path("/apis/plugins.json", self._all_anywhere, methods=["GET"]),
            Path("/apis/plugins.yaml", self._all_as_yaml, methods=["GET"]),
            Path("/apis/plugins.yml", self._all_as_yaml, methods=["GET"]),
            *(
                Path(path, partial(_form, struct), methods=["GET"])
                for path, struct in FORMS.items()
            ),
        ]

    async def _listed(self) -> bytes:
        """Write the list, sorted by id; made again only when there are other plugins.

        Cost: about 50 ms in a thread for the built-in ones. Cancellation: the thread ends by itself.
        """
        registry = self._gateway.registry()
        if self._made is None or self._made[0] != registry:
            text = await trio.to_thread.run_sync(_write, registry)
            self._made = (registry, text)
        return self._made[1]

    async def _all(self, _request: Request) -> Response:
        """Answer every plugin."""
        return Response(await self._listed(), 200, media_type="application/json")

    async def _all_anywhere(self, _request: Request) -> Response:
        """Answer the same to pages of any origin."""
        return Response(await self._listed(), 200, _ANY_ORIGIN, media_type="application/json")

    async def _all_as_yaml(self, _request: Request) -> Response:
        """Answer every plugin as YAML."""
        text = await trio.to_thread.run_sync(_to_yaml, await self._listed())
        return Response(text, 200, _ANY_ORIGIN, media_type="text/yaml")

    async def _categories(self, _request: Request) -> Response:
        """Answer the categories: Otoroshi's own, and those of the plugins there are."""
        found = {name for plugin in self._gateway.registry() for name in plugin.categories}
        names = sorted(found.union(CATEGORIES), key=str.lower)
        return Response(msgspec.json.encode(names), 200, media_type="application/json")


def _write(registry: Registry) -> bytes:
    """Write the list of plugins as JSON."""
    return msgspec.json.encode([listed_plugin(plugin) for plugin in registry])


def _to_yaml(text: bytes) -> bytes:
    """Write JSON as YAML."""
    return encode_yaml(msgspec.json.decode(text))


async def _steps(_request: Request) -> Response:
    """Answer the steps."""
    return Response(msgspec.json.encode(STEPS), 200, media_type="application/json")


async def _form(struct: type[msgspec.Struct], request: Request) -> Response:
    """Answer the form of an entity."""
    return answer(request, msgspec.to_builtins(form_of(struct)), pretty_by_default=False)
