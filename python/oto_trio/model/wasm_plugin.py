"""The WASM plugin: a module of WebAssembly, where it comes from, and what it may do."""

from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document, JsonObject
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "WASM_PLUGINS",
    "DataRights",
    "KillOptions",
    "WasmAuthorizations",
    "WasmConfig",
    "WasmPlugin",
    "WasmSource",
    "wasm_plugin_template",
]

WASM_PLUGINS: Final = "wasm-plugins"
"""Kind under which the store keeps them."""

_STEPS: Final = (
    *("Router", "Sink", "PreRoute", "ValidateAccess", "TransformRequest", "TransformResponse"),
    *("MatchRoute", "HandlesTunnel", "HandlesRequest", "CallBackend", "Job"),
    *("DataExporterFilter", "DataExporterTransform"),
)

_SOURCE_KINDS: Final = {
    **{k.lower(): k for k in ("Unknown", "Base64", "Http", "Wasmo", "Local", "File", "ClassPath")},
    "wasmmanager": "Wasmo",
}

_PREFIXES: Final = {
    "base64://": "Base64",
    "file://": "File",
    "local://": "Local",
    "entity://": "Local",
}
"""How the older ``raw_source`` says where the module is; URLs are kept whole, the rest is base64."""


class WasmSource(Document, frozen=True, kw_only=True):
    """Where the module comes from."""

    kind: Annotated[
        Literal["Unknown", "Base64", "Http", "Wasmo", "Local", "File", "ClassPath"],
        Meta(description="what kind of place it is"),
    ] = "Unknown"
    path: Annotated[str, Meta(description="URL, path, id or the module itself")] = ""
    opts: Annotated[dict[str, Any], Meta(description="settings of the place")] = msgspec.field(
        default_factory=dict[str, Any]
    )

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the kind in any case, and its older name ``wasmmanager``."""
        kind = raw.get("kind")
        if isinstance(kind, str):
            return {**raw, "kind": _SOURCE_KINDS.get(kind.lower(), kind)}
        return raw


class DataRights(Document, frozen=True, kw_only=True):
    """Whether a module may read and write a kind of data."""

    read: Annotated[bool, Meta(description="may read")] = False
    write: Annotated[bool, Meta(description="may write")] = False


class WasmAuthorizations(Document, frozen=True, kw_only=True, rename="camel"):
    """What a module may reach through the gateway; nothing unless said."""

    http_access: Annotated[bool, Meta(description="may call over HTTP")] = False
    proxy_http_call_timeout: Annotated[Whole, Meta(description="longest such call, ms")] = 5000
    global_data_store_access: Annotated[DataRights, Meta(description="all of the store")] = (
        DataRights()
    )
    plugin_data_store_access: Annotated[DataRights, Meta(description="its own keys")] = DataRights()
    global_map_access: Annotated[DataRights, Meta(description="the shared map in memory")] = (
        DataRights()
    )
    plugin_map_access: Annotated[DataRights, Meta(description="its own map in memory")] = (
        DataRights()
    )
    proxy_state_access: Annotated[bool, Meta(description="may see every entity")] = False
    configuration_access: Annotated[bool, Meta(description="may see the settings")] = False


class KillOptions(Document, frozen=True, kw_only=True):
    """When an instance of a module is thrown away."""

    immortal: Annotated[bool, Meta(description="never")] = False
    max_calls: Annotated[Whole, Meta(description="after so many calls")] = 2**31 - 1
    max_memory_usage: Annotated[int | float, Meta(description="share of memory; 0 = any")] = 0
    max_avg_call_duration: Annotated[
        int | float, Meta(description="mean time of its calls, ms; 0 = any")
    ] = 0
    max_unused_duration: Annotated[Whole, Meta(description="time without a call, ms")] = 300_000

    def __post_init__(self) -> None:
        """Hold whole numbers as such, so that 0.0 is written as 0."""
        for key in ("max_memory_usage", "max_avg_call_duration"):
            value = getattr(self, key)
            if isinstance(value, float) and value.is_integer():
                msgspec.structs.force_setattr(self, key, int(value))


class WasmConfig(Document, frozen=True, kw_only=True, rename="camel"):
    """A module, and how it is run."""

    source: Annotated[WasmSource, Meta(description="where the module comes from")] = WasmSource()
    memory_pages: Annotated[Whole, Meta(description="memory at most, pages of 64 KiB")] = 100
    function_name: Annotated[str | None, Meta(description="function that is called")] = None
    config: Annotated[dict[str, str], Meta(description="settings the module can read")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    allowed_hosts: Annotated[tuple[str, ...], Meta(description="hosts it may call")] = ()
    allowed_paths: Annotated[dict[str, str], Meta(description="folders it may open, by path")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    wasi: Annotated[bool, Meta(description="offer the WASI functions")] = False
    opa: Annotated[bool, Meta(description="it is a policy of Open Policy Agent")] = False
    http_wasm: Annotated[bool, Meta(description="it follows the http-wasm interface")] = False
    authorizations: Annotated[WasmAuthorizations, Meta(description="what it may reach")] = (
        WasmAuthorizations()
    )
    instances: Annotated[Whole, Meta(description="instances that run at once")] = 1
    kill_options: Annotated[KillOptions, Meta(description="when an instance is thrown away")] = (
        KillOptions()
    )
    is_js: Annotated[bool, Meta(description="it is JavaScript inside of a module")] = msgspec.field(
        default=False, name="isJS"
    )

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the older ``compiler_source`` (a plugin of Wasmo) and ``raw_source`` (a URL or text)."""
        full = dict(raw)
        compiled = full.pop("compiler_source", None)
        plain = full.pop("raw_source", None)
        if "source" in full:
            return full
        if isinstance(compiled, str) and compiled:
            full["source"] = {"kind": "Wasmo", "path": compiled}
        elif isinstance(plain, str) and plain:
            full["source"] = _source_of(plain)
        return full


def _source_of(text: str) -> JsonObject:
    """Make the source out of an older text."""
    if text.startswith(("http://", "https://")):
        return {"kind": "Http", "path": text}
    for prefix, kind in _PREFIXES.items():
        if text.startswith(prefix):
            return {"kind": kind, "path": text.removeprefix(prefix)}
    return {"kind": "Base64", "path": text}


class WasmPlugin(Document, frozen=True, kw_only=True):
    """A WASM plugin (``plugins.otoroshi.io/WasmPlugin``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the plugin")]
    name: Annotated[str, Meta(description="name of the plugin")]
    description: Annotated[str, Meta(description="what it is for")]
    config: Annotated[WasmConfig, Meta(description="the module, and how it is run")] = WasmConfig(
        memory_pages=50
    )
    """Where the whole object is left out, Otoroshi gives half the pages."""
    steps: Annotated[
        tuple[
            Literal[
                "Router",
                "Sink",
                "PreRoute",
                "ValidateAccess",
                "TransformRequest",
                "TransformResponse",
                "MatchRoute",
                "HandlesTunnel",
                "HandlesRequest",
                "CallBackend",
                "Job",
                "DataExporterFilter",
                "DataExporterTransform",
            ],
            ...,
        ],
        Meta(description="phases it takes part in"),
    ] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Leave out phases that nobody knows, and keep the others."""
        steps = raw.get("steps")
        if not isinstance(steps, list):
            return raw
        return {**raw, "steps": [step for step in cast("list[object]", steps) if step in _STEPS]}


def wasm_plugin_template(*, env: str = "prod") -> WasmPlugin:
    """Make the plugin that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return WasmPlugin(
        id=named_id("wasm-plugin", env=env), name="New wasm plugin", description="New wasm plugin"
    )
