"""The operations that tell what an installation is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.about import THIS_NODE
from oto_trio.control.admin_api.openapi.parts import (
    ANY_OBJECT,
    JSON,
    TEXT,
    Operation,
    array_of,
    json_answer,
    object_of,
    parameter,
    reference,
    refusals,
)
from oto_trio.control.admin_api.plugin_list import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.model.document import JsonObject

__all__ = ["about_operations"]

_TAG: Final = "Installation"
_NUMBER: Final[JsonObject] = {"type": "number"}
_TEXT_OR_NULL: Final[JsonObject] = {"type": ["string", "null"]}


def about_operations() -> Iterator[Operation]:
    """Describe the version, and what it runs on."""
    numbers = dict.fromkeys(("major", "minor", "patch", "value"), _NUMBER)
    texts = dict.fromkeys(("build", "suffix", "suffix_version"), _TEXT_OR_NULL)
    version = object_of("raw", *numbers, *texts, raw=TEXT, **numbers, **texts)
    told = "The version of Otoroshi whose API this is"
    yield _make("/api/version", "version", told, version)
    yield _make(f"{THIS_NODE}/version", "version_of_node", told, version)
    keys = ("otoroshi_cluster_id", "otoroshi_version", "oto_trio_version", "datastore", "env")
    infos = object_of(
        *keys,
        *("otoroshi_version_sem", "java_version", "os"),
        **dict.fromkeys(keys, TEXT),
        otoroshi_version_sem=version,
        java_version=object_of("version", "vendor", version=TEXT, vendor=TEXT),
        os=object_of("name", "version", "arch", name=TEXT, version=TEXT, arch=TEXT),
    )
    told = "What this installation is, and what it runs on"
    yield _make("/api/infos", "infos", told, infos)
    yield _make(f"{THIS_NODE}/infos", "infos_of_node", told, infos)
    yield from _plugins()


def _plugins() -> Iterator[Operation]:
    """Describe the plugins, and forms."""
    plugin = object_of(
        *("id", "name", "description", "default_config", "config_schema", "config_flow"),
        *("no_js_form", "plugin_type", "plugin_visibility", "plugin_categories", "plugin_steps"),
        *("plugin_tags", "plugin_multi_inst", "plugin_backend_call_delegates"),
        *("on_request", "on_response"),
        default_config={"type": ["object", "null"]},
        config_schema={**ANY_OBJECT, "description": "the form: one row a field"},
        config_flow={**array_of(TEXT), "description": "the fields in their order"},
        **dict.fromkeys(("id", "name", "description"), TEXT),
    )
    everything = array_of(plugin)
    told = "Every plugin of this gateway"
    yield _make("/api/plugins/all", "plugins", told, everything, is_enveloped=False)
    yield _make("/apis/plugins.json", "plugins_anywhere", told, everything, is_enveloped=False)
    for end in ("yaml", "yml"):
        name = f"plugins_as_{end}"
        yield _make(
            f"/apis/plugins.{end}", name, told, everything, is_enveloped=False, form="text/yaml"
        )
    for name in ("categories", "steps"):
        told = f"The {name} of plugins"
        yield _make(
            f"/api/plugins/{name}", f"plugin_{name}", told, array_of(TEXT), is_enveloped=False
        )
    form = object_of("schema", "flow", schema=ANY_OBJECT, flow=array_of(TEXT))
    for path in FORMS:
        name = path.split("/")[2].replace("-", "_")
        yield _make(path, f"form_of_{name}", f"The form of {name.replace('_', ' ')}", form)


def _make(
    path: str,
    name: str,
    summary: str,
    schema: JsonObject,
    *,
    is_enveloped: bool = True,
    form: str = JSON,
) -> Operation:
    """Describe one operation.

    Args:
        path: Its path.
        name: Its id.
        summary: What it does.
        schema: Of the answer.
        is_enveloped: Whether it reads ``pretty`` and ``envelope``.
        form: The media type of the answer.
    """
    whole: JsonObject = {"anyOf": [schema, reference("api.Envelope")]} if is_enveloped else schema
    answered: JsonObject = {"description": "It.", "content": {form: {"schema": whole}}}
    return Operation(
        method="GET",
        path=path,
        served_by=path,
        id=name,
        tag=_TAG,
        summary=summary,
        answers={"200": json_answer("It.", whole) if is_enveloped else answered, **refusals()},
        parameters=tuple(map(parameter, ("pretty", "envelope"))) if is_enveloped else (),
    )
