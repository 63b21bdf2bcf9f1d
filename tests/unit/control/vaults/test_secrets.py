"""How secrets are kept, renewed and told, with vaults that do what a test says."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from oto_trio.control.vaults.base import MAX_SECRET_BYTES, SecretError
from oto_trio.control.vaults.secrets import CLOSED_KINDS, VaultBounds, Vaults
from oto_trio.gateway.installer import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

A, B = "vault://v/a", "vault://v/b"
DOCUMENT = b'{"k":"${vault://v/a}"}'


class Held:
    """A vault."""

    def __init__(self, *, is_near: bool = False, takes_s: float = 0.0) -> None:
        self.is_near = is_near
        self.takes_s = takes_s
        self.values: dict[str, str | SecretError | Exception] = {"a": "one", "b": "two"}
        self.reads: list[str] = []
        self.at_once = self.most_at_once = 0

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        self.reads.append("/".join(path))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.at_once -= 1
        value = self.values.get("/".join(path), SecretError("secret-not-found", "none"))
        if isinstance(value, Exception):
            raise value
        return value


DOWN = SecretError("secret-read-error", "it answers 503", is_down=True)


async def test_a_secret_is_read_once_within_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Held(takes_s=1)
    vaults = Vaults({"v": held})
    found: list[dict[str, str | None]] = []

    async def fetch() -> None:
        found.append(await vaults.fetch([A, B, A]))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(fetch)
    assert found == [{A: "one", B: "two"}] * 5
    await trio.sleep(298)
    await fetch()
    assert sorted(held.reads) == ["a", "b"]
    await trio.sleep(2)
    held.values["a"] = "new"
    assert await vaults.fetch([A]) == {A: "new"}


async def test_a_reader_that_is_cancelled_leaves_the_others_their_secret(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Held(takes_s=2)
    vaults = Vaults({"v": held})
    with trio.move_on_after(5) as outer:
        async with trio.open_nursery() as nursery:

            async def first() -> None:
                with trio.move_on_after(1):
                    await vaults.fetch([A])

            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            assert await vaults.fetch([A]) == {A: "one"}
    assert not outer.cancelled_caught
    assert held.reads == ["a", "a"]


async def test_no_more_are_read_at_once_than_allowed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Held(takes_s=1)
    held.values = {str(n): str(n) for n in range(20)}
    vaults = Vaults({"v": held}, VaultBounds(parallel=3))
    async with trio.open_nursery() as nursery:
        for part in range(4):
            wanted = [f"vault://v/{n}" for n in range(part * 5, part * 5 + 5)]
            nursery.start_soon(vaults.fetch, wanted)
    assert held.most_at_once == 3
    assert len(held.reads) == 20


async def test_what_cannot_be_had_is_none_and_logged_once(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    held.values["long"] = "planted" * MAX_SECRET_BYTES
    held.values["odd"] = "planted\ud800"
    held.values["fault"] = RuntimeError("planted")
    vaults = Vaults({"v": held})
    wanted = {
        "vault://none/a": "vault-not-found",
        "vault://v/missing?token=planted": "secret-not-found",
        "vault://v/../a": "bad-secret-path",
        "vault://v/long": f"over {MAX_SECRET_BYTES} bytes",
        "vault://v/odd": "no text",
        "vault://v/fault": "RuntimeError",
    }
    for _ in range(3):
        assert await vaults.fetch(wanted) == dict.fromkeys(wanted)
        await trio.sleep(30)
    assert held.reads.count("missing") == 3, "an error holds for 20 s"
    for reference, words in wanted.items():
        lines = [m for m in caplog.messages if f"{reference.partition('?')[0]} cannot" in m]
        assert len(lines) == 1
        assert words in lines[0]
    assert "planted" not in caplog.text


async def test_secrets_in_use_are_renewed_and_told(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    held = Held()
    vaults = Vaults({"v": held})
    nursery.start_soon(vaults.run)
    with vaults.subscribe() as used, vaults.subscribe() as other:
        prepared = await used.prepare([("routes", "r", DOCUMENT), ("routes", "s", b"{}")])
        await other.prepare([("routes", "x", DOCUMENT.replace(b"/a", b"/b"))])
        assert prepared.fill("routes", "r", DOCUMENT) == b'{"k":"one"}'
        held.values["a"] = "new"
        with trio.fail_after(292):
            assert await used.changed() == [("routes", "r")]
        assert trio.current_time() >= 280
        again = await used.prepare([("routes", "r", DOCUMENT)])
        assert again.fill("routes", "r", DOCUMENT) == b'{"k":"new"}'
        with trio.move_on_after(1000) as scope:
            await other.changed()
        assert scope.cancelled_caught
        reads = held.reads.count("a")
        await used.prepare([("routes", "r", None)])
        await trio.sleep(1000)
        assert held.reads.count("a") == reads, "nobody uses it any more"
    reads = len(held.reads)
    await trio.sleep(1000)
    assert len(held.reads) == reads


async def test_near_vaults_are_looked_into_often(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    held = Held(is_near=True)
    vaults = Vaults({"v": held})
    nursery.start_soon(vaults.run)
    with vaults.subscribe() as used:
        await used.prepare([("routes", "r", DOCUMENT)])
        held.values["a"] = "new"
        with trio.fail_after(21):
            assert await used.changed() == [("routes", "r")]


async def test_a_vault_that_is_down_leaves_the_last_value_and_says_so_once(
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    held = Held()
    vaults = Vaults({"v": held})
    nursery.start_soon(vaults.run)
    with vaults.subscribe() as used:
        await used.prepare([("routes", "r", DOCUMENT), ("routes", "s", b'["${vault://v/b}"]')])
        held.values = {"a": DOWN, "b": DOWN}
        await trio.sleep(2000)
        assert await vaults.fetch([A, B]) == {A: "one", B: "two"}
        assert len([m for m in caplog.messages if "the vault v does not answer" in m]) == 1
        assert len(caplog.messages) == 1
        assert len(held.reads) < 2 + 2 * 2000 / 20, "one of them is asked for, not both"
        held.values = {"a": "back", "b": "two"}
        with trio.fail_after(60):
            assert await used.changed() == [("routes", "r")]
        assert caplog.messages[1:] == ["the vault v answers again"]
        held.values["a"] = SecretError("secret-read-forbidden", "no")
        await trio.sleep(400)
        assert await vaults.fetch([A]) == {A: "back"}
        held.values["a"] = SecretError("secret-not-found", "gone")
        with trio.fail_after(400):
            assert await used.changed() == [("routes", "r")]
        assert await vaults.fetch([A]) == {A: None}


async def test_a_thousand_secrets_of_a_dead_vault_cost_one_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Held(takes_s=3600)
    vaults = Vaults({"v": held, "other": Held()})
    before = trio.current_time()
    wanted = [f"vault://v/{n}" for n in range(1000)]
    found = await vaults.fetch([*wanted, "vault://other/a"])
    assert found.pop("vault://other/a") == "one"
    assert set(found.values()) == {None}
    assert trio.current_time() - before == pytest.approx(10)
    assert len(held.reads) == 4


async def test_secrets_that_nobody_uses_are_forgotten_when_there_are_too_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Held()
    vaults = Vaults({"v": held}, VaultBounds(cached=1))
    with vaults.subscribe() as used:
        await used.prepare([("routes", "r", DOCUMENT)])
        await vaults.fetch([B])
        await vaults.fetch([A, B])
        assert held.reads == ["a", "b", "b"]


async def test_references_take_turns(autojump_clock: trio.testing.MockClock) -> None:
    vaults = Vaults({"v": Held()})
    document = b'"${vault://v/a && vault://v/b}"'
    with vaults.subscribe() as used:
        prepared = await used.prepare([("routes", "r", document)])
        filled = [prepared.fill("routes", "r", document) for _ in range(4)]
    assert filled == [b'"one"', b'"two"', b'"one"', b'"two"']


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_enabled", [True, False])
async def test_who_knows_no_secret_is_let_in_by_none_that_cannot_be_had(
    autojump_clock: trio.testing.MockClock, is_enabled: bool, kind: str
) -> None:
    vaults = Vaults({"v": Held()}, is_enabled=is_enabled)
    document = b'{"bob":"${vault://v/none}","eve":"${vault://v/none}"}'
    with vaults.subscribe() as used:
        prepared = await used.prepare([(kind, "e", document)])
        filled = [prepared.fill(kind, "e", document) for _ in range(2)]
    if not is_enabled and kind not in CLOSED_KINDS:
        assert filled == [document] * 2
        return
    texts = [text for one in filled for text in json.loads(one).values()]
    assert len(set(texts)) == 4
    # It may stand for a host: no part of a name may be over 63 characters long.
    assert all(re.fullmatch("not-found-[0-9a-f]{48}", text) for text in texts)


async def test_a_document_with_too_many_references_is_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    document = b'"' + b"".join(b"${vault://v/%d}" % n for n in range(70)) + b'"'
    held = Held()
    held.values = {str(n): "planted" for n in range(70)}
    vaults = Vaults({"v": held})
    with vaults.subscribe() as used:
        prepared = await used.prepare([("routes", "many", document)])
        prepared.fill("routes", "many", document)
    assert len(held.reads) == 64
    assert "routes many refers to more secrets" in caplog.text
    assert "planted" not in caplog.text
