"""The first administrator, and what becomes of its password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bcrypt
import msgspec
import pytest

from oto_trio.control.admin_api.admins import passwords
from oto_trio.control.first_admin import FirstAdmin
from oto_trio.control.first_start import bootstrap
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore
from oto_trio.model.errors import CredentialsError

if TYPE_CHECKING:
    from pathlib import Path

    from oto_trio.control.first_admin import ShownAdmin


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(passwords, "COST", 4)


async def start(store: MemoryStore, settings: Settings) -> ShownAdmin | None:
    first = FirstAdmin(settings)
    return await first.told(is_kept=await bootstrap(store, first.make))


async def stored_hash(store: MemoryStore, login: str = "admin@otoroshi.io") -> bytes:
    record = await store.get("admins", login)
    assert record is not None
    document = msgspec.json.decode(record.document)
    assert document["rights"] == [{"tenant": "*:rw", "teams": ["*:rw"]}]
    return str(document["password"]).encode()


async def test_a_password_is_made_up_and_shown_once() -> None:
    async with MemoryStore() as store:
        shown = await start(store, Settings())
        assert shown is not None
        assert shown.login == "admin@otoroshi.io"
        assert shown.password is not None
        assert len(shown.password) == 32
        assert bcrypt.checkpw(shown.password.encode(), await stored_hash(store))
        assert await start(store, Settings()) is None
        assert await store.count("admins") == 1


async def test_a_password_that_was_given_or_hidden_is_not_shown() -> None:
    async with MemoryStore() as store:
        given = Settings(initial_admin_login="ann", initial_admin_password="given")
        shown = await start(store, given)
        assert shown is not None
        assert (shown.login, shown.password, shown.file) == ("ann", None, None)
        assert bcrypt.checkpw(b"given", await stored_hash(store, "ann"))
    async with MemoryStore() as store:
        shown = await start(store, Settings(hide_initial_admin_password=True))
        assert shown is not None
        assert (shown.password, shown.file) == (None, None)


async def test_the_file_is_private_and_the_next_start_removes_it(tmp_path: Path) -> None:
    file = tmp_path / "below" / "password"
    settings = Settings(
        write_initial_admin_password_to_file=True, initial_admin_password_file=str(file)
    )
    async with MemoryStore() as store:
        shown = await start(store, settings)
        assert shown is not None
        assert (shown.password, shown.file) == (None, str(file))
        assert file.stat().st_mode & 0o777 == 0o600
        assert bcrypt.checkpw(file.read_bytes(), await stored_hash(store))
        assert await start(store, settings) is None
        assert not file.exists()
        assert await start(store, settings) is None


async def test_nothing_is_kept_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(
        write_initial_admin_password_to_file=True,
        initial_admin_password_file=str(tmp_path / "file" / "password"),
    )
    async with MemoryStore() as store:
        with pytest.raises(CredentialsError, match="initial_admin_password_file"):
            await start(store, settings)
        assert await store.count("admins") == 0


async def test_who_has_administrators_gets_no_other() -> None:
    async with MemoryStore() as store:
        await store.put("admins", "ann", b"{}")
        assert await start(store, Settings()) is None
        assert await store.count("admins") == 1
