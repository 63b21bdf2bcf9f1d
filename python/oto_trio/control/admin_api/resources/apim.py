"""The row of API keys: ``apim.otoroshi.io``."""

from __future__ import annotations

import time
from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.api_key import (
    ApiKey,
    api_key_template,
    new_client_id,
    shown_api_key,
    with_bearer,
)

__all__ = ["API_KEYS"]

API_KEYS: Final = Resource(
    kind="Apikey",
    plural="apikeys",
    singular="apikey",
    group="apim.otoroshi.io",
    legacy_path="/api/apikeys",
    store_kind="apikeys",
    cls=ApiKey,
    template=lambda _env: api_key_template(),
    template_key="apikey",
    id_key="clientId",
    new_id=new_client_id,
    shown=lambda document: shown_api_key(document, time.time_ns() // 1_000_000),
    adorned=with_bearer,
)
