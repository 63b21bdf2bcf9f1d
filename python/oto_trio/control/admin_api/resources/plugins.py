"""Rows of what plugins are made of: ``plugins.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.script import SCRIPTS as SCRIPT_KIND
from oto_trio.model.script import Script, script_template
from oto_trio.model.wasm_plugin import WASM_PLUGINS as WASM_PLUGIN_KIND
from oto_trio.model.wasm_plugin import WasmPlugin, wasm_plugin_template
from oto_trio.model.workflow import WORKFLOWS as WORKFLOW_KIND
from oto_trio.model.workflow import Workflow, workflow_template

__all__ = ["SCRIPTS", "WASM_PLUGINS", "WORKFLOWS"]

SCRIPTS: Final = Resource(
    kind="Script",
    plural="scripts",
    singular="script",
    group="plugins.otoroshi.io",
    legacy_path="/api/scripts",
    store_kind=SCRIPT_KIND,
    cls=Script,
    template=lambda env: script_template(env=env),
    template_key="script",
    is_deprecated=True,
)

WASM_PLUGINS: Final = Resource(
    kind="WasmPlugin",
    plural="wasm-plugins",
    singular="wasm-plugin",
    group="plugins.otoroshi.io",
    legacy_path=None,
    store_kind=WASM_PLUGIN_KIND,
    cls=WasmPlugin,
    template=lambda env: wasm_plugin_template(env=env),
    template_key="script",
    is_deprecated=True,
)
"""Its template has the key of scripts in Otoroshi too."""

WORKFLOWS: Final = Resource(
    kind="Workflow",
    plural="workflows",
    singular="workflow",
    group="plugins.otoroshi.io",
    legacy_path=None,
    store_kind=WORKFLOW_KIND,
    cls=Workflow,
    template=lambda env: workflow_template(env=env),
    template_key="",
)
