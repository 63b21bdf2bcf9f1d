"""The commands that open a store by themselves, with every kind of store that has a URL."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.store import SqliteStore
from tests.integration.clients import STAMP, route
from tests.integration.command_line.program import invoked, said
from tests.integration.stores.redis_server import redis_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.stores.postgres_server import PostgresServer

PLANTED = "planted-secret"

CONF = """
routes:
  - {id: by-file, name: by-file, frontend: by-file.test, backend: 'http://127.0.0.1:9000'}
"""


def walk_through(url: str, folder: Path) -> None:
    """Bring in, look, change, and take out again."""
    data = ("--data", url)
    export = folder / "export.json"
    export.write_text(json.dumps({"routes": [route("users", "http://127.0.0.1:9000")]}))
    assert "routes: 1 created (users)" in said("import", str(export), *data)
    assert [r["id"] for r in json.loads(said("export", *data))["routes"]] == ["users"]

    explained = json.loads(said("explain", "GET", "http://users.test/", "--json", *data))
    assert explained["routing"]["winner"]["id"] == "users"

    said("certs", "create-ca", "CN=Ours, O=Us", "--id", "ours", *data)
    assert said("certs", "issue", "a.test", "--ca", "ours", "--id", "a", *data) == "a\n"
    assert "BEGIN CERTIFICATE" in said("certs", "export", "a", *data)
    assert {line.split()[-1] for line in said("certs", "list", *data).splitlines()} >= {"a.test"}
    taken = invoked("certs", "create-ca", "CN=Ours", "--id", "ours", *data)
    assert (taken.exit_code, "already" in taken.stderr) == (1, True)

    found = json.loads(said("lint", url, "--format", "json", "--fail-on", "never"))
    assert {"route-without-authentication"} <= {f["code"] for f in found if f["id"] == "users"}

    conf = folder / "conf.yaml"
    conf.write_text(CONF)
    said("apply", str(conf), url, "--yes", "--message", "more")
    assert json.loads(invoked("diff", url, str(conf), "--format", "json").stdout)
    said("dump", url, "--out", str(folder / "dumped"))
    assert {path.name for path in (folder / "dumped" / "routes").iterdir()} == {
        "users.yaml",
        "by-file.yaml",
    }
    assert invoked("diff", url, str(folder / "dumped")).exit_code == 0

    told = json.loads(said("history", url, "--json"))
    assert told[0]["message"] == "more"
    said("rollback", str(told[1]["revision"]), url, "--yes")
    assert [r["id"] for r in json.loads(said("export", *data))["routes"]] == ["users"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "redis", "postgresql"])
async def test_every_command_takes_the_url_of_a_store(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "file":
        url = f"file://{tmp_path}/state.ndjson"
        await trio.to_thread.run_sync(partial(walk_through, url, tmp_path))
        return
    if kind == "redis":
        (tmp_path / "redis").mkdir()
        async with redis_server(tmp_path / "redis") as running:
            await trio.to_thread.run_sync(partial(walk_through, running.url, tmp_path))
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    await trio.to_thread.run_sync(partial(walk_through, postgres.new_database(), tmp_path))


def test_a_variable_names_a_store_and_its_password_is_never_shown(tmp_path: Path) -> None:
    kept = {"HERE": f"file://{tmp_path}/state.ndjson", "GONE": f"redis://:{PLANTED}@127.0.0.1:9/0"}
    assert json.loads(invoked("export", "--data", "env:HERE", **kept).stdout)["routes"] == []
    for arguments, code in (
        (("certs", "list", "--data", "env:GONE"), 1),
        (("export", "--data", "env:GONE"), 1),
        (("import", str(tmp_path / "x.json"), "--data", "env:GONE"), 1),
        (("explain", "GET", "http://a.test/", "--data", "env:GONE"), 1),
        (("lint", "env:GONE"), 2),
        (("history", "env:GONE"), 1),
    ):
        (tmp_path / "x.json").write_text("{}")
        gone = invoked(*arguments, **kept)
        assert gone.exit_code == code, gone.output
        assert "127.0.0.1:9" in gone.stderr
        assert PLANTED not in gone.output
        assert gone.exception is None or isinstance(gone.exception, SystemExit)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("memory://", "memory:// keeps nothing"),
        ("env:NO_SUCH_VARIABLE", "the environment variable NO_SUCH_VARIABLE is not set"),
        (f"ftp://:{PLANTED}@x", "no store has such a url"),
    ],
)
def test_what_is_no_store_is_a_wrong_command_line(place: str, words: str) -> None:
    for arguments in (
        ("certs", "list", "--data", place),
        ("explain", "GET", "http://a.test/", "--data", place),
        ("lint", place),
        ("history", place),
    ):
        done = invoked(*arguments)
        assert done.exit_code == 2, done.output
        assert words in done.stderr
        assert PLANTED not in done.output


async def test_the_file_of_an_embedded_store_and_its_plugins(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / STORE_FILE):
        pass
    export = tmp_path / "export.json"
    slots = [{"plugin": "cp:test.Stamp"}]
    export.write_text(
        json.dumps({"routes": [route("users", "http://127.0.0.1:9000", plugins=slots)]})
    )
    file, url = str(tmp_path / STORE_FILE), f"file://{tmp_path}/state.ndjson"

    def look() -> None:
        for place in (file, url):
            refused = invoked("import", str(export), "--data", place)
            assert (refused.exit_code, "there is no plugin cp:test" in refused.stderr) == (1, True)
        plugins = tmp_path / "plugins"
        plugins.mkdir()
        (plugins / "stamp.py").write_text(STAMP)
        said("import", str(export), "--data", file)
        assert "there is no plugin cp:test" in invoked("import", str(export), "--data", url).stderr
        said("import", str(export), "--data", url, "--plugins", str(plugins))
        assert "users" in said("export", "--data", url)

    await trio.to_thread.run_sync(look)
