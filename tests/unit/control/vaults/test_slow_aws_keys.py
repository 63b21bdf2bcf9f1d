"""Keys of AWS that take their time: nobody waits for them longer than said."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from oto_trio.control.store.state_http import S3Place
from oto_trio.control.store.state_url import S3Url
from oto_trio.control.vaults.aws import AwsProvider, AwsSettings
from oto_trio.control.vaults.base import SecretError
from oto_trio.control.vaults.secrets import VaultBounds, Vaults
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

GUARD_S = 60.0


class SlowKeys:
    """What stands for botocore's session; nobody answers until the end of the test."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.most_at_once = self.at_once = 0
        self.go_on = threading.Event()

    def get_credentials(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.release()
        self.go_on.wait()
        self.at_once -= 1


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Generator[SlowKeys]:
    session = pytest.importorskip("botocore.session")
    slow = SlowKeys()
    monkeypatch.setattr(session.Session, "get_credentials", slow.get_credentials)
    yield slow
    slow.go_on.set()


async def give_up(
    keys: SlowKeys, clock: trio.testing.MockClock, wait: Callable[[], Awaitable[None]]
) -> None:
    """Let the time for keys pass once they are asked for: a busy machine may take longer to begin with that."""
    with trio.fail_after(3600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            assert await trio.to_thread.run_sync(keys.asked.acquire, True, GUARD_S)
            await trio.testing.wait_all_tasks_blocked(0.01)
            clock.jump(0.06)
            clock.autojump_threshold = GUARD_S  # who waits on, waits in vain


async def test_a_vault_gives_up_when_its_keys_do_not_come(
    keys: SlowKeys, mock_clock: trio.testing.MockClock
) -> None:
    vaults = Vaults({"aws": AwsProvider(AwsSettings())}, VaultBounds(timeout_s=0.05, parallel=2))
    asked = ["vault://aws/a", "vault://aws/b"]

    async def fetch() -> None:
        assert await vaults.fetch(asked) == dict.fromkeys(asked)

    await give_up(keys, mock_clock, fetch)
    assert keys.most_at_once == 1


async def test_a_vault_whose_keys_do_not_come_can_be_cancelled(keys: SlowKeys) -> None:
    provider = AwsProvider(AwsSettings())
    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(provider.read, ["a"], dict[str, str]())
            await trio.to_thread.run_sync(keys.asked.acquire)
            nursery.cancel_scope.cancel()
    keys.go_on.set()
    # The thread that was left is done; the next one may find keys, or that there are none.
    with trio.fail_after(GUARD_S), pytest.raises(SecretError, match="no keys"):
        await provider.read(["a"], {})


async def test_a_store_in_s3_says_that_its_keys_do_not_come(
    keys: SlowKeys, mock_clock: trio.testing.MockClock
) -> None:
    place = S3Place(S3Url("states", "a", timeout_s=0.05))

    async def load() -> None:
        with pytest.raises(StoreError, match=r"no keys within 0\.05 s"):
            await place.load()

    await give_up(keys, mock_clock, load)
    assert keys.most_at_once == 1
