"""The API: routes, backends and chains of plugins that are published together, and who may use them how.

Its parts are in `oto_trio.model.api_parts`. What a change of state asks is decided where it is written
(``control/admin_api/api_states.py``).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.api_parts import (
    DEFAULT_CLIENT,
    ApiBackend,
    ApiClient,
    ApiDeployment,
    ApiDocumentation,
    ApiFlow,
    ApiOwner,
    ApiReference,
    ApiRoute,
    ApiTesting,
    ApiVisibility,
    BackendClient,
)
from oto_trio.model.backend import BackendSettings, Target
from oto_trio.model.document import Document, JsonObject
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location
from oto_trio.model.plugin_slot import PluginSlot

__all__ = ["APIS", "Api", "api_template"]

APIS: Final = "apis"
"""Kind under which the store keeps them."""


class Api(Document, frozen=True, kw_only=True):
    """An API (``apis.otoroshi.io/Api``).

    Otoroshi reads every blueprint as REST, by a slip in the name of the key; here it is kept.
    """

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    kind: Annotated[
        Literal["Api", "apis.otoroshi.io/Api"],
        Meta(description="always Api; answers of the generic dialect have the group before it"),
    ] = "Api"
    id: Annotated[str, Meta(description="id of the API")]
    name: Annotated[str, Meta(description="name of the API")]
    description: Annotated[str, Meta(description="what it is for")]
    domain: Annotated[str, Meta(description="domain of its routes")] = ""
    context_path: Annotated[str, Meta(description="path before that of its routes")] = (
        msgspec.field(default="", name="contextPath")
    )
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    visibility: Annotated[ApiVisibility, Meta(description="who sees it")] = ApiVisibility()
    owner: Annotated[ApiOwner, Meta(description="whose it is")] = ApiOwner()
    members: Annotated[tuple[ApiReference, ...], Meta(description="who works on it")] = ()
    version: Annotated[str, Meta(description="its version")] = "0.0.1"
    debug_flow: Annotated[bool, Meta(description="trace each request's way")] = False
    capture: Annotated[bool, Meta(description="keep requests and responses for replay")] = False
    export_reporting: Annotated[bool, Meta(description="export a report of each request")] = False
    groups: Annotated[tuple[str, ...], Meta(description="ids of the groups it belongs to")] = ()
    state: Annotated[
        Literal["staging", "published", "deprecated", "removed"],
        Meta(description="how far it is"),
    ] = "staging"
    enabled: Annotated[bool, Meta(description="serve its routes once it is published")] = True
    blueprint: Annotated[
        Literal["REST", "GraphQL", "gRPC", "Http", "Websocket"], Meta(description="its style")
    ] = "REST"
    plans: Annotated[
        tuple[dict[str, Any], ...], Meta(description="ways to use it, kept verbatim")
    ] = ()
    routes: Annotated[tuple[ApiRoute, ...], Meta(description="which requests it takes")] = ()
    backends: Annotated[tuple[ApiBackend, ...], Meta(description="where they go")] = ()
    flows: Annotated[tuple[ApiFlow, ...], Meta(description="chains of plugins")] = ()
    clients_backend_config: Annotated[
        tuple[BackendClient, ...], Meta(description="how backends are called; never empty")
    ] = ()
    documentation: Annotated[ApiDocumentation | None, Meta(description="what its portal shows")] = (
        None
    )
    deployments: Annotated[
        tuple[ApiDeployment, ...], Meta(description="what was published, latest last")
    ] = ()
    versions: Annotated[tuple[str, ...], Meta(description="its versions so far")] = ()
    testing: Annotated[ApiTesting, Meta(description="how a draft of it is called")] = msgspec.field(
        default_factory=ApiTesting
    )
    clients: Annotated[tuple[ApiClient, ...], Meta(description="who subscribed")] = ()
    hooks: Annotated[tuple[ApiReference, ...], Meta(description="who is told of its states")] = ()

    def __post_init__(self) -> None:
        """Give it the one client settings that every API has, and the kind without its group."""
        msgspec.structs.force_setattr(self, "kind", "Api")
        if not self.clients_backend_config:
            default = (BackendClient(id=DEFAULT_CLIENT, name=DEFAULT_CLIENT),)
            msgspec.structs.force_setattr(self, "clients_backend_config", default)

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Take whatever ``kind`` says: answers of the admin API have the group before it."""
        return {k: v for k, v in raw.items() if k != "kind"}


def api_template(*, env: str = "prod") -> Api:
    """Make the API that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    target = Target(id="target_1", hostname="request.otoroshi.io", port=443, tls=True)
    chain = "default_plugin_chain"
    return Api(
        id=named_id("api", env=env),
        name="New API",
        description="New API description",
        domain="api.oto.tools",
        context_path="/v1",
        backends=(
            ApiBackend(
                id=named_id("api_backend", env=env),
                name="default_backend",
                backend=BackendSettings(targets=(target,)),
            ),
        ),
        flows=(
            ApiFlow(
                id=chain,
                name=chain,
                plugins=(PluginSlot(plugin="cp:otoroshi.next.plugins.OverrideHost"),),
            ),
        ),
    )
