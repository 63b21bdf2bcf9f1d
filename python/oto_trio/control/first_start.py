"""What an empty store needs before anything can run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, first_global_config

if TYPE_CHECKING:
    from oto_trio.control.store import Store

__all__ = ["bootstrap"]


async def bootstrap(store: Store) -> bool:
    """Put the first global configuration into a store that has none.

    Returns:
        Whether it was put there now.

    Raises:
        StoreError: The store cannot be written.
    """
    document = encode_document(first_global_config())
    try:
        await store.put(GLOBAL_CONFIGS.store_kind, GLOBAL_CONFIG_ID, document, expect="absent")
    except ConflictError:
        return False
    return True
