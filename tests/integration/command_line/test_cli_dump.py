"""`oto-trio dump` and `oto-trio diff`, with a gateway that runs, its store and its folder."""

import json
from pathlib import Path

import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.command_line.program import oto

CONFIG = """
settings: {http_port: 0}
routes:
  - {name: users, frontend: api.localhost/users, backend: 'http://127.0.0.1:9000'}
apikeys:
  - {clientId: billing, clientName: billing, clientSecret: n7Zk2tGq9VbXw4LrYp8sDf3h}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.yaml")}


async def test_a_gateway_started_from_a_dump_dumps_the_same(config: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    data = tmp_path / "data"
    async with gateway_process("--config", str(config), "--workers", "0", data=data):
        pass
    # The certificates of the first start may still have been missing while it ran.
    dumped = oto("dump", str(data), "--out", str(first))
    assert dumped.returncode == 0, dumped.stderr
    before = files(first)
    assert {"routes/route_users.yaml", "apikeys/billing.yaml"} <= set(before)
    assert "global-configs/global.yaml" in before
    assert oto("check", str(first)).returncode == 0
    assert oto("diff", str(data), str(first)).returncode == 0

    (first / "settings.yaml").write_text(
        "settings: {wildcard_certificate: false, admin_api_exposed: false}\n"
    )
    other = tmp_path / "other"
    async with gateway_process("--config", str(first), "--workers", "0", data=other) as gateway:
        told = gateway.announcement
        url = told["admin"].replace("//", f"//{told['client_id']}:{told['client_secret']}@")
        kinds = ("--kind", "routes", "--kind", "apikeys", "--kind", "global-configs")
        dump = await trio.to_thread.run_sync(oto, "dump", url, "--out", str(second), *kinds)
        assert dump.returncode == 0, dump.stderr
        compared = await trio.to_thread.run_sync(oto, "diff", url, str(first), *kinds)
        assert (compared.returncode, compared.stdout) == (0, "")
    after = files(second)
    assert after == {path: text for path, text in before.items() if path.split("/")[0] in kinds}


def test_a_dump_removes_files_only_when_told_to(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert oto("dump", str(config), "--out", str(out)).returncode == 0
    config.write_text("routes: []\n")
    refused = oto("dump", str(config), "--out", str(out))
    assert refused.returncode == 1
    assert "routes/route_users.yaml" in refused.stderr
    assert "--prune" in refused.stderr
    assert len(files(out)) == 2
    assert oto("dump", str(config), "--out", str(out), "--prune").returncode == 0
    assert files(out) == {}


def test_a_dump_may_leave_kinds_out(config: Path, tmp_path: Path) -> None:
    assert (
        oto("dump", str(config), "--out", str(tmp_path / "a"), "--without", "apikeys").returncode
        == 0
    )
    assert set(files(tmp_path / "a")) == {"routes/route_users.yaml"}


def test_what_differs_is_shown(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    text = CONFIG.replace("9000", "9001").replace("n7Zk2tGq9VbXw4LrYp8sDf3h", "another-secret-text")
    other.write_text(
        text.replace("routes:", "backends: [{id: b, backend: 'http://b.test'}]\nroutes:")
    )
    result = oto("diff", str(config), str(other))
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "~ apikeys billing",
        "    $.clientSecret",
        '      - "***"',
        '      + "***"',
        "+ backends b",
        "~ routes route_users",
        "    $.backend.targets[0].id",
        '      - "http://127.0.0.1:9000"',
        '      + "http://127.0.0.1:9001"',
        "    $.backend.targets[0].port",
        "      - 9000",
        "      + 9001",
    ]
    only = oto("diff", str(config), str(other), "--kind", "backends", "--format", "json")
    assert json.loads(only.stdout) == [
        {"change": "added", "kind": "backends", "id": "b", "fields": []}
    ]
    assert oto("diff", str(config), str(config)).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["diff", "gone.yaml", "gone.yaml"],
        ["diff", "gone.yaml"],
        ["dump", "gone.yaml", "--out", "x"],
        ["dump"],
        ["dump", "--out", "x", "--kind", "nothing"],
    ],
)
def test_a_wrong_place_or_option_ends_with_2(arguments: list[str], tmp_path: Path) -> None:
    result = oto(*(str(tmp_path / a) if a in {"gone.yaml", "x"} else a for a in arguments))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_file_with_a_fault_is_neither_dumped_nor_compared(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("routes: [{id: 3}]\n")
    assert oto("dump", str(bad), "--out", str(tmp_path / "out")).returncode == 1
    assert not (tmp_path / "out").exists()
    assert oto("diff", str(bad), str(bad)).returncode == 2
