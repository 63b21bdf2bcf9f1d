"""`oto-trio export` and `oto-trio import`, of a gateway that runs and of a store at rest."""

from __future__ import annotations

import functools
import json
import stat
from itertools import islice
from pathlib import Path

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.admin_api.export_kinds import EXPORT_KINDS, resource_of
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import SqliteStore
from oto_trio.testing.admin_api import route_document as route
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.command_line.program import certified, invoked, refused, said
from tests.integration.gateways import HTTPS

OF_THE_EXPORT = {"label", "date", "dateRaw", "stats"}


async def fill(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await bootstrap(store)


@pytest.fixture
def data(tmp_path: Path) -> str:
    folder = tmp_path / "data"
    folder.mkdir()
    trio.run(fill, folder / STORE_FILE)
    return str(folder)


def kept() -> dict[str, list[dict[str, str]]]:
    """A list of entities that are kept and not served; none, once every kind is served."""
    rows = (row for row in EXPORT_KINDS if row.extension is None and resource_of(row) is None)
    return {row.key: [{row.id_key: "t", "name": "t"}] for row in islice(rows, 1)}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.json"
    routes = [route(f"r{n:02}") for n in range(12)]
    path.write_text(json.dumps({"routes": routes, "gadgets": [1], **kept()}))
    return path


def walk_through(place: tuple[str, ...], export: Path, folder: Path) -> None:
    """Look, import, export, import again."""
    empty = said("export", *place)
    looked = said("import", str(export), "--dry-run", *place)
    assert "routes: 12 created (r00, r01, " in looked
    assert "r09, and 2 more)" in looked
    for key in kept():
        assert f"kept, but not served by this version: 1 of {key}\n" in looked
    assert "left out: 1 of gadgets\n" in looked
    assert "nothing was changed (--dry-run)" in looked
    assert json.loads(said("export", *place))["routes"] == json.loads(empty)["routes"]
    assert "imported as revision " in said("import", str(export), *place)
    whole = folder / "whole.json"
    assert said("export", "--file", str(whole), *place) == f"exported to {whole}\n"
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600
    assert "is there already" in refused("export", "--file", str(whole), *place)
    written = json.loads(whole.read_text())
    assert [r["id"] for r in written["routes"]] == [f"r{n:02}" for n in range(12)]
    assert {key: written[key] for key in kept()} == kept()
    dump = folder / "whole.ndjson"
    said("export", "--ndjson", "--file", str(dump), *place)
    again = said("import", str(dump), *place)
    assert "routes: 12 unchanged" in again
    assert "created" not in again
    small = folder / "small.json"
    small.write_text(json.dumps({"routes": [route("r00", name="other")]}))
    assert "routes: 1 updated (r00), 11 deleted (r01, " in said("import", str(small), *place)
    said("import", str(whole), *place)
    back = json.loads(said("export", *place))
    assert {k: v for k, v in back.items() if k not in OF_THE_EXPORT} == {
        k: v for k, v in written.items() if k not in OF_THE_EXPORT
    }
    bad = folder / "bad.json"
    slots = [{"plugin": "cp:no.such"}]
    bad.write_text(json.dumps({"routes": [route("a", plugins=slots), {"id": "b"}]}))
    words = refused("import", str(bad), *place)
    assert "$.routes[0].plugins[0].plugin: there is no plugin cp:no.such" in words
    assert "\n$.routes[1].name: this key is required" in words
    assert len(json.loads(said("export", *place))["routes"]) == 12


def test_the_store_of_a_gateway_that_does_not_run(data: str, export: Path, tmp_path: Path) -> None:
    walk_through(("--data", data), export, tmp_path)


@pytest.mark.slow
async def test_a_gateway_that_runs(data: str, export: Path, tmp_path: Path) -> None:
    async with gateway_process(
        *("--workers", "0", "--dev", *HTTPS),
        data=Path(data),
        # Else it has a route and a key of its own.
        environ={"ADMIN_API_EXPOSED": "false"},
    ) as gateway:
        await certified(gateway)
        place = ("--admin", gateway.admin)
        await trio.to_thread.run_sync(functools.partial(walk_through, place, export, tmp_path))
        wrong = await trio.to_thread.run_sync(
            refused, "export", *place, "--client-id", "x", "--client-secret", "planted-secret"
        )
        assert "refuses the key (400); give --client-id and --client-secret" in wrong
        assert "planted-secret" not in wrong
        held = await trio.to_thread.run_sync(refused, "export", "--data", data)
        assert "is in use by another oto-trio" in held


def test_what_cannot_be_used_is_told(data: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.json")
    assert "cannot be read: No such file" in refused("import", missing, "--data", data)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\xff{")
    assert "this is no JSON" in refused("import", str(garbage), "--data", data)
    assert "there is no store at" in refused("export", "--data", str(tmp_path / "nowhere"))
    assert "cannot be asked" in refused("export", "--admin", "http://127.0.0.1:9")
    assert invoked("export", "--admin", "x", "--data", data).exit_code == 2
    assert invoked("export", "--admin", "ftp://x").exit_code == 2
