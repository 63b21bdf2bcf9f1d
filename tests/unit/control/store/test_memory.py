"""The memory store keeps the contract of a store."""

from __future__ import annotations

from oto_trio.control.store import MemoryStore
from oto_trio.testing.check_store import check_store


async def test_the_memory_store_keeps_the_contract() -> None:
    async def open_store(name: str) -> MemoryStore:
        return MemoryStore()

    await check_store(open_store, durable=False)
