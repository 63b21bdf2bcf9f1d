"""The parts of an API: its routes, backends, chains, clients, documentation and deployments."""

import time
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.backend import BackendSettings
from oto_trio.model.client_settings import ClientSettings, Whole
from oto_trio.model.document import Document, JsonObject
from oto_trio.model.ids import named_id, new_uuid
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.model.route import Frontend

__all__ = [
    "DEFAULT_CLIENT",
    "ApiBackend",
    "ApiClient",
    "ApiDeployment",
    "ApiDocumentation",
    "ApiFlow",
    "ApiOwner",
    "ApiReference",
    "ApiRoute",
    "ApiTesting",
    "ApiVisibility",
    "BackendClient",
    "DocumentationSearch",
    "DocumentationSource",
]

DEFAULT_CLIENT: Final = "default_backend_client"
"""Id and name of the client settings that every API has."""

FreeObject = Annotated[dict[str, Any], Meta(description="a free object, kept verbatim")]


class ApiVisibility(Document, frozen=True, kw_only=True):
    """Who sees an API."""

    kind: Annotated[
        Literal["public", "semi_public", "private", "custom"], Meta(description="who sees it")
    ] = "public"
    config: Annotated[FreeObject, Meta(description="settings of the kind")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class ApiReference(Document, frozen=True, kw_only=True):
    """A member, or whoever is told of changes."""

    ref: Annotated[str, Meta(description="id of who or what is meant")] = ""
    config: Annotated[FreeObject, Meta(description="settings that go with it")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class ApiOwner(Document, frozen=True, kw_only=True):
    """Whose an API is."""

    ref: Annotated[str, Meta(description="id of the owner")] = "owner"
    config: Annotated[FreeObject, Meta(description="settings that go with it")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class ApiRoute(Document, frozen=True, kw_only=True):
    """Which requests an API takes, and where they go."""

    id: Annotated[str, Meta(description="id of the route, unique in its API")]
    enabled: Annotated[bool, Meta(description="take requests")] = True
    name: Annotated[str | None, Meta(description="name of the route")] = None
    frontend: Annotated[Frontend, Meta(description="which requests it takes")] = Frontend()
    backend: Annotated[
        str, Meta(description="id of a backend of the API, or of a stored backend")
    ] = ""
    flow_ref: Annotated[str, Meta(description="id of a chain of plugins of the API")] = ""

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the chain under ``plugin_chain``."""
        if "plugin_chain" not in raw:
            return raw
        full = {k: v for k, v in raw.items() if k != "plugin_chain"}
        return {"flow_ref": raw["plugin_chain"], **full}


class ApiBackend(Document, frozen=True, kw_only=True):
    """Where requests of an API go."""

    id: Annotated[str, Meta(description="id of the backend, unique in its API")]
    name: Annotated[str, Meta(description="name of the backend")]
    backend: Annotated[BackendSettings, Meta(description="targets and how they are called")]
    client: Annotated[str, Meta(description="id of client settings of the API")] = DEFAULT_CLIENT


class ApiFlow(Document, frozen=True, kw_only=True):
    """A chain of plugins. One that is no list is an error, as in a route."""

    strict_keys = frozenset({"plugins"})

    id: Annotated[str, Meta(description="id of the chain, unique in its API")]
    name: Annotated[str, Meta(description="name of the chain")]
    plugins: Annotated[
        tuple[PluginSlot, ...], Meta(description="what happens to requests on the way")
    ] = ()


class BackendClient(Document, frozen=True, kw_only=True):
    """How backends are called."""

    id: Annotated[str, Meta(description="id of the settings, unique in their API")]
    name: Annotated[str, Meta(description="name of the settings")] = ""
    client: Annotated[ClientSettings, Meta(description="retries, breaker and timeouts")] = (
        ClientSettings()
    )


class DocumentationSource(Document, frozen=True, kw_only=True):
    """Where more documentation is fetched."""

    url: Annotated[str, Meta(description="where it is")]
    headers: Annotated[dict[str, str], Meta(description="headers of the call")] = msgspec.field(
        default_factory=dict[str, str]
    )
    timeout: Annotated[Whole, Meta(description="longest wait for it, ms")] = 30000
    follow_redirects: Annotated[bool, Meta(description="go where it is redirected to")] = True


class DocumentationSearch(Document, frozen=True, kw_only=True):
    """Whether the portal can be searched."""

    enabled: Annotated[bool, Meta(description="offer a search")] = True


class ApiDocumentation(Document, frozen=True, kw_only=True):
    """What the portal of an API shows; its pages are kept verbatim."""

    enabled: Annotated[bool, Meta(description="show it")] = True
    source: Annotated[
        DocumentationSource | None, Meta(description="where more of it is fetched")
    ] = None
    home: Annotated[FreeObject, Meta(description="the first page")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    logo: Annotated[FreeObject, Meta(description="the picture above")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    references: Annotated[tuple[Any, ...], Meta(description="specifications")] = ()
    resources: Annotated[tuple[Any, ...], Meta(description="pages and files")] = ()
    navigation: Annotated[tuple[Any, ...], Meta(description="the menu")] = ()
    redirections: Annotated[tuple[Any, ...], Meta(description="pages that moved")] = ()
    footer: Annotated[dict[str, Any] | None, Meta(description="what is below")] = None
    search: Annotated[DocumentationSearch, Meta(description="whether it can be searched")] = (
        DocumentationSearch()
    )
    banner: Annotated[dict[str, Any] | None, Meta(description="what is told to everybody")] = None
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()


class ApiDeployment(Document, frozen=True, kw_only=True, rename="camel"):
    """One version that was published. What has no id, or no time, gets one when it is read."""

    id: Annotated[str, Meta(description="id of the deployment")] = msgspec.field(
        default_factory=lambda: named_id("api_deployment")
    )
    api_ref: Annotated[str, Meta(description="id of the API")]
    owner: Annotated[str, Meta(description="who published it")]
    at: Annotated[int, Meta(description="when, ms since 1970")] = msgspec.field(
        default_factory=lambda: time.time_ns() // 1_000_000
    )
    api_definition: Annotated[FreeObject, Meta(description="the API as it was published")]
    version: Annotated[str, Meta(description="its version")] = "0.0.1"


class ApiTesting(Document, frozen=True, kw_only=True, rename="camel"):
    """By which header the draft of an API is called. The value is random when none is given."""

    enabled: Annotated[bool, Meta(description="serve the draft")] = False
    header_key: Annotated[str, Meta(description="name of the header")] = "X-OTOROSHI-TESTING"
    header_value: Annotated[str, Meta(description="value of the header")] = msgspec.field(
        default_factory=new_uuid
    )


class ApiClient(Document, frozen=True, kw_only=True):
    """Somebody who uses an API."""

    id: Annotated[str, Meta(description="id of the client, unique in its API")]
    name: Annotated[str, Meta(description="name of the client")]
    description: Annotated[str | None, Meta(description="what it does")] = None
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
