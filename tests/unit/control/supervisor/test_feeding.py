"""What a worker is told of the store, with secrets in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from oto_trio.control.store import MemoryStore
from oto_trio.control.supervisor.feeding import feed
from oto_trio.control.vaults import Vaults
from oto_trio.gateway.frames import Change, EntityKey, SnapshotFull
from oto_trio.gateway.link import LinkClosedError
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from oto_trio.control.store.base import Record
    from oto_trio.gateway.frames import DownFrame

WITH = b'{"k":"${vault://v/a}"}'


class Held:
    is_near = True

    def __init__(self) -> None:
        self.value = "one"
        self.gate = trio.Event()
        self.gate.set()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        await self.gate.wait()
        return self.value


class Fed:
    """A worker that keeps what it is told."""

    def __init__(self, store: MemoryStore, held: Held) -> None:
        self.store, self.held = store, held
        self.vaults = Vaults({"v": held})
        self.frames: list[DownFrame] = []
        self.is_gone = False
        self.hold: trio.Event | None = None
        """Keeps the next frame waiting; those after it may pass."""
        self.has_held = False

    async def put(self, frame: DownFrame) -> None:
        hold, self.hold = self.hold, None
        if hold is not None:
            self.has_held = True
            await hold.wait()
        await trio.lowlevel.checkpoint()
        if self.is_gone:
            raise LinkClosedError("gone")
        self.frames.append(frame)

    async def run(self) -> None:
        await feed(self.store, self.vaults, self.put, lambda: None, 0)

    def bodies(self) -> dict[str, bytes]:
        """Everything the worker has now, by id."""
        found: dict[str, bytes] = {}
        for frame in self.frames:
            match frame:
                case SnapshotFull():
                    found.update({e.id: e.body for e in frame.entities})
                case Change():
                    found.update({e.id: e.body for e in frame.upserts})
                    for key in frame.removed:
                        found.pop(key.id, None)
                case _:
                    raise AssertionError(frame)
        return found


async def test_secrets_are_put_in_place_in_snapshots_and_changes(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async with MemoryStore() as store:
        await store.put("routes", "r", WITH)
        await store.put("routes", "plain", b"{}")
        fed = Fed(store, Held())
        nursery.start_soon(fed.run)
        await trio.testing.wait_all_tasks_blocked()
        assert fed.bodies() == {"r": b'{"k":"one"}', "plain": b"{}"}
        await store.put("backends", "b", WITH)
        await trio.testing.wait_all_tasks_blocked()
        assert fed.bodies()["b"] == b'{"k":"one"}'
        record = await store.get("routes", "r")
        assert record is not None
        assert record.document == WITH, "the store keeps the reference"
        fed.is_gone = True
        await store.put("routes", "r", b"{}")
        await trio.testing.wait_all_tasks_blocked()


async def test_a_changed_secret_sends_the_documents_again_that_use_it(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async with MemoryStore() as store:
        for name in ("r", "s", "gone"):
            await store.put("routes", name, WITH)
        await store.put("routes", "plain", b"{}")
        fed = Fed(store, Held())
        nursery.start_soon(fed.run)
        nursery.start_soon(fed.vaults.run)
        await trio.sleep(1)
        await store.delete("routes", "gone")
        await store.put("routes", "s", b'{"v":2}')
        await trio.sleep(1)
        before, fed.frames = fed.bodies(), []
        assert before == {"r": b'{"k":"one"}', "s": b'{"v":2}', "plain": b"{}"}
        fed.held.value = "new"
        await trio.sleep(30)
        (frame,) = fed.frames
        assert isinstance(frame, Change)
        assert (frame.revision, frame.last, frame.removed) == (store.revision, True, [])
        assert [(e.kind, e.id, e.body) for e in frame.upserts] == [("routes", "r", b'{"k":"new"}')]


async def test_a_removal_while_secrets_are_read_is_the_last_word(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async with MemoryStore() as store:
        await store.put("routes", "r", WITH)
        fed = Fed(store, Held())
        nursery.start_soon(fed.run)
        await trio.sleep(1)
        fed.held.gate = trio.Event()
        # The second secret is not there yet, so the change waits for it.
        await store.put("routes", "r", b'["${vault://v/a}","${vault://v/b}"]')
        await trio.sleep(1)
        await store.delete("routes", "r")
        await trio.sleep(1)
        assert fed.bodies() == {"r": b'{"k":"one"}'}
        fed.held.gate.set()
        await trio.sleep(1)
        assert fed.bodies() == {}
        last = fed.frames[-1]
        assert isinstance(last, Change)
        assert last.removed == [EntityKey("routes", "r")]


async def test_nothing_comes_back_that_is_removed_while_it_is_sent_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async with MemoryStore() as store:
        await store.put("routes", "r", WITH)
        fed = Fed(store, Held())
        nursery.start_soon(fed.run)
        nursery.start_soon(fed.vaults.run)
        await trio.sleep(1)
        hold = fed.hold = trio.Event()
        fed.held.value = "new"
        await trio.sleep(30)
        assert fed.has_held, "it is being sent again"
        await store.delete("routes", "r")
        await trio.sleep(1)
        hold.set()
        await trio.sleep(1)
        assert fed.bodies() == {}


async def test_a_store_that_fails_while_a_secret_changes_is_asked_again(
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original = MemoryStore.get
    failures = [StoreError("the disk is gone")]

    async def get(self: MemoryStore, kind: str, entity_id: str) -> Record | None:
        if failures:
            raise failures.pop()
        return await original(self, kind, entity_id)

    async with MemoryStore() as store:
        await store.put("routes", "r", WITH)
        fed = Fed(store, Held())
        nursery.start_soon(fed.run)
        nursery.start_soon(fed.vaults.run)
        await trio.sleep(1)
        monkeypatch.setattr(MemoryStore, "get", get)
        fed.held.value = "new"
        await trio.sleep(30)
        assert fed.bodies() == {"r": b'{"k":"new"}'}
    assert "changed secrets are not in use yet: the disk is gone" in caplog.text
