"""`oto-trio lint` as people and pipelines run it."""

import json
from pathlib import Path

import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.command_line.program import oto

CONFIG = """
settings: {http_port: 0}
routes:
  - name: users
    frontend: api.localhost/users
    backend: http://127.0.0.1:9000
  - name: twice
    frontend: api.localhost/users
    backend: http://127.0.0.1:9001
    plugins: [cp:otoroshi.next.plugins.ApikeyCalls]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def codes(*arguments: str) -> list[str]:
    return [
        finding["code"]
        for finding in json.loads(oto("lint", *arguments, "--format", "json").stdout)
    ]


def test_findings_are_shown_with_what_to_do(config: Path) -> None:
    # Routes are asked in the order of their ids: route_twice comes before route_users.
    result = oto("lint", str(config))
    assert result.returncode == 1
    first, fix = result.stdout.splitlines()[:2]
    assert first.startswith("error: routes route_users: $.frontend.domains: no request reaches")
    assert first.endswith("[route-unreachable]")
    assert fix.startswith("    fix: ")
    assert "2 entities, 1 error, 1 warning, 0 info" in result.stderr


def test_what_fails_is_chosen(config: Path) -> None:
    spared = ("--ignore", "route-unreachable")
    assert oto("lint", str(config), *spared).returncode == 0
    assert oto("lint", str(config), *spared, "--fail-on", "warning").returncode == 1
    assert oto("lint", str(config), "--fail-on", "never").returncode == 0
    assert codes(str(config), *spared) == ["route-without-authentication"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-file.yaml"],
        ["http://127.0.0.1:1"],
        ["http://[::1"],
        ["gateway.yaml", "--ignore", "no-such-code"],
        ["gateway.yaml", "--fail-on", "bad"],
    ],
)
def test_what_cannot_be_linted_ends_with_2(arguments: list[str]) -> None:
    result = oto("lint", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("routes: [{id: 3}]\nrouts: []\n")
    assert codes(str(tmp_path)) == ["document-invalid"] * 3


def test_every_rule_is_listed() -> None:
    listed = oto("lint", "--rules").stdout.splitlines()
    assert len(listed) > 15
    assert all(line.split()[1] in {"error", "warning", "info"} for line in listed)


async def test_a_running_gateway_and_its_store_are_linted(config: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with gateway_process("--config", str(config), "--workers", "0", data=data) as gateway:
        told = gateway.announcement
        admin, identity, secret = told["admin"], told["client_id"], told["client_secret"]
        key = ("--client-id", identity, "--client-secret", secret)
        live = await trio.to_thread.run_sync(codes, admin, *key)
        with_key = admin.replace("//", f"//{identity}:{secret}@")
        assert await trio.to_thread.run_sync(codes, with_key) == live
        refused = await trio.to_thread.run_sync(oto, "lint", admin)
        assert refused.returncode == 2
        assert "refuses the key" in refused.stderr
    assert {"route-unreachable", "route-without-authentication"} <= set(live)
    assert codes(str(data)) == live
