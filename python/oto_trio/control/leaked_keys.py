"""Takes API keys out of use that were sent in the clear (``BlockHttpTraffic``).

A worker finds them; only the control plane writes entities. The change then reaches every worker as any
other does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.store import Put
from oto_trio.model.errors import ConflictError, StoreError

if TYPE_CHECKING:
    from oto_trio.control.store import Store

__all__ = ["disable_api_key"]

logger = logging.getLogger(__name__)

KEYS: Final = "apikeys"
ATTEMPTS: Final = 5
"""How often a change is tried that somebody else's change came in between of."""


async def disable_api_key(store: Store, client_id: str) -> None:
    """Disable an API key; nothing happens when it is gone, or disabled already.

    Never raises for what the store does: that the key stays in use is logged.

    Args:
        store: Holds the key.
        client_id: Its client id.

    Cancellation: the key is changed whole or not at all.
    """
    try:
        for _ in range(ATTEMPTS):
            record = await store.get(KEYS, client_id)
            if record is None:
                return
            document: dict[str, Any] = msgspec.json.decode(record.document)
            if document.get("enabled") is False:
                return
            document["enabled"] = False
            changed = msgspec.json.encode(document)
            try:
                await store.transact([Put(KEYS, client_id, changed, expect=record.revision)])
            except ConflictError:
                continue
            logger.warning("API key %s was sent in the clear and is disabled", client_id)
            return
        logger.error("API key %s was sent in the clear and changes too fast to disable", client_id)
    except (StoreError, msgspec.DecodeError):
        logger.exception("API key %s was sent in the clear and could not be disabled", client_id)
