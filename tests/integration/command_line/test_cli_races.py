"""`oto-trio apply` and `oto-trio rollback` do what they showed, also when others write at the same time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.cli.changes import Shown
from oto_trio.cli.store_client import StoreClient
from oto_trio.control.store import SqliteStore
from oto_trio.testing.admin_api import route_document
from tests.integration.command_line.program import invoked

if TYPE_CHECKING:
    from pathlib import Path

    from oto_trio.cli.admin_client import AdminClient

CONF = """
routes:
  - {id: r1, name: r1, frontend: r1.test, backend: 'http://127.0.0.1:9000'}
"""


async def put(folder: Path, entity_id: str) -> int:
    async with await SqliteStore.open(folder / STORE_FILE) as store:
        return await store.put("routes", entity_id, json.dumps(route_document(entity_id)).encode())


async def ids(folder: Path) -> list[str]:
    async with await SqliteStore.open(folder / STORE_FILE) as store:
        return [record.id for record in await store.list("routes")]


@pytest.fixture
def meddling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have somebody write before each of the next changes: a route of each of these ids."""
    others: list[str] = []
    call = StoreClient._call  # pyright: ignore[reportPrivateUsage]

    async def late(self: AdminClient, path: str, *rest: Any) -> Any:
        if others and "at=" in path and "dry_run" not in path:
            await put(tmp_path, others.pop(0))
        return await call(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreClient, "_call", late)
    return others


def run(*arguments: str, answer: str | None = None) -> tuple[int, list[str]]:
    result = invoked(*arguments, answer=answer)
    return result.exit_code, result.output.splitlines()


def test_a_rollback_shows_again_what_others_made_of_it(
    tmp_path: Path, meddling: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trio.run(put, tmp_path, "r0")
    trio.run(put, tmp_path, "r1")
    meddling += ["r2"]
    code, lines = run("rollback", str(first), str(tmp_path), "--yes")
    assert code == 0, lines
    meanwhile = lines.index("others changed the configuration meanwhile; now it would be:")
    assert ("- routes r1" in lines[:meanwhile], "- routes r2" in lines[:meanwhile]) == (True, False)
    assert {"- routes r1", "- routes r2"} <= set(lines[meanwhile:])
    assert trio.run(ids, tmp_path) == ["r0"]

    asked: list[str] = []
    monkeypatch.setattr("oto_trio.cli.changes._ask", asked.append)
    trio.run(put, tmp_path, "r3")
    meddling += ["r0"]  # as it is: nothing to show, nobody to ask again
    code, lines = run("rollback", str(first), str(tmp_path))
    assert (code, len(asked)) == (0, 1), lines
    assert lines.count("- routes r3") == 1
    assert trio.run(ids, tmp_path) == ["r0"]
    meddling += [f"n{n}" for n in range(20)]
    trio.run(put, tmp_path, "r3")
    code, lines = run("rollback", str(first), str(tmp_path), "--yes")
    assert (code, "look again" in lines[-1]) == (1, True), lines
    assert (len(meddling), "r3" in trio.run(ids, tmp_path)) == (12, True)


def test_applying_prunes_what_came_meanwhile(tmp_path: Path, meddling: list[str]) -> None:
    conf = tmp_path / "conf.yaml"
    conf.write_text(CONF)
    trio.run(put, tmp_path, "old")
    meddling += ["late"]
    code, lines = run("apply", str(conf), str(tmp_path), "--prune", "--yes")
    assert code == 0, lines
    assert lines[-1].startswith("1 created, 0 updated, 2 deleted, 0 unchanged; applied"), lines
    assert trio.run(ids, tmp_path) == ["r1"]


def test_somebody_is_asked_again_only_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("oto_trio.cli.changes._ask", asked.append)
    shown = Shown(is_sure=False)
    for lines, is_new in ((["a"], True), (["a"], False), (["b"], True), (["b"], False)):
        assert shown.show(lines) == is_new
        shown.confirm("sure?")
    assert len(asked) == 2
