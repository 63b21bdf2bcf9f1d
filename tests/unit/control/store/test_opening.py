"""Which store a setting names."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oto_trio.control.settings import Settings, settings_problems
from oto_trio.control.store import SqliteStore
from oto_trio.control.store.opening import (
    NODE_FILE,
    counting_name,
    node_name,
    open_store,
    store_url_problem,
)
from oto_trio.control.store.sqlite_file import FileLock
from oto_trio.model.errors import StoreFileError

if TYPE_CHECKING:
    from collections.abc import Generator


async def test_without_a_url_it_is_the_embedded_store(tmp_path: Path) -> None:
    async with await open_store(None, tmp_path / "data" / "store") as store:
        assert isinstance(store, SqliteStore)


@pytest.mark.parametrize("url", ["", "oto", "mysql://u:hidden@h/x", "file:hidden", "://hidden"])
def test_a_url_of_no_driver_is_named_but_not_repeated(url: str) -> None:
    (problem,) = settings_problems(Settings(store=url))
    assert problem.path == "$.settings.store"
    assert "postgresql://" in problem.fix
    assert "hidden" not in str(problem)


def test_the_scheme_may_be_written_in_capitals() -> None:
    assert store_url_problem("PostgreSQL://h/x") is None


async def test_a_missing_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "oto_trio.control.store.postgres", raising=False)
    monkeypatch.delitem(sys.modules, "oto_trio.control.store.postgres_link", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreFileError, match=r"oto-trio\[postgresql\]") as caught:
        await open_store("postgresql://u:hidden@h/x", tmp_path / "data" / "store")
    assert "hidden" not in str(caught.value)


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreFileError, match="choose another --data folder"):
        await open_store("postgresql://h/x", tmp_path / "data" / "in" / "store")


def test_a_gateway_on_a_shared_store_has_a_name_that_stays(tmp_path: Path) -> None:
    assert node_name(None, tmp_path / "none") == ""
    assert not (tmp_path / "none").exists()
    names = [node_name("redis://h", tmp_path / folder) for folder in ("a", "b", "a", "b")]
    assert names[:2] == names[2:]
    assert names[0] != names[1]


def test_two_gateways_with_one_data_folder_count_under_two_names(tmp_path: Path) -> None:
    node = node_name("redis://h", tmp_path)
    with counting_name(node, tmp_path) as one, counting_name(node, tmp_path) as two:
        assert one == node
        assert two != node
        assert two.isalnum()
    with counting_name(node, tmp_path) as again:
        assert again == node
    with counting_name("", tmp_path / "none") as alone:
        assert alone == ""


@contextmanager
def duplicates(path: Path) -> Generator[None]:
    """Hold duplicates of the descriptors of a file, as a process does that is just being started."""
    descriptors = Path("/proc/self/fd").iterdir()
    held = [os.dup(int(it.name)) for it in list(descriptors) if it.exists() and it.samefile(path)]
    assert held
    yield
    for descriptor in held:
        os.close(descriptor)


def test_a_process_that_is_just_being_started_keeps_no_lock(tmp_path: Path) -> None:
    store = tmp_path / "store"
    lock = FileLock(store)
    with duplicates(lock.path):
        lock.release()
        FileLock(store).release()
    node = node_name("redis://h", tmp_path)
    counting = counting_name(node, tmp_path)
    counting.__enter__()
    with duplicates(tmp_path / NODE_FILE):
        counting.__exit__(None, None, None)
        with counting_name(node, tmp_path) as again:
            assert again == node


@pytest.mark.parametrize("content", [b"", b"a:b", b"\xff", b"a" * 65])
def test_a_file_that_holds_no_name_of_a_gateway_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NODE_FILE).write_bytes(content)
    with pytest.raises(StoreFileError, match="remove") as caught:
        node_name("redis://h", tmp_path)
    assert str(tmp_path / NODE_FILE) in str(caught.value)
