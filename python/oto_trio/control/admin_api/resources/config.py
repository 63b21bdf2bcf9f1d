"""The row of the global configuration: ``config.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, GlobalConfig, first_global_config

__all__ = ["GLOBAL_CONFIGS"]

GLOBAL_CONFIGS: Final = Resource(
    kind="GlobalConfig",
    plural="global-configs",
    singular="global-config",
    group="config.otoroshi.io",
    legacy_path="/api/globalconfig",
    store_kind="global-config",
    cls=GlobalConfig,
    template=lambda _env: first_global_config(),
    template_key="",
    actions=frozenset({"update"}),
    only_id=GLOBAL_CONFIG_ID,
)
