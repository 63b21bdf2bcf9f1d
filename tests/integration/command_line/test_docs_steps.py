"""docs/gitops.md and docs/migrate.md, played: their commands in their order, as a new user would."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin
from tests.integration.command_line.page_reader import ADDRESS, Reader
from tests.integration.command_line.program import certified
from tests.integration.gateways import HTTPS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ROUTES: Final = """\
routes:
  - {id: users, frontend: api.localhost/users, backend: "http://127.0.0.1:9000",
     plugins: [cp:otoroshi.next.plugins.ApikeyCalls]}
  - {id: orders, frontend: api.localhost/orders, backend: "http://127.0.0.1:9000",
     plugins: [cp:otoroshi.next.plugins.ApikeyCalls]}
"""


async def test_gitops_happens_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    async with gateway_process("--workers", "0", *HTTPS, data=tmp_path / "data") as gateway:
        await certified(gateway)
        reader = Reader("gitops.md", repository, gateway)
        (tmp_path / "routes.yaml").write_text(ROUTES)
        first = (
            f"oto-trio apply {tmp_path}/routes.yaml {ADDRESS} --client-id ID --client-secret SECRET"
        )
        await trio.to_thread.run_sync(lambda: reader.run(f"{first} --yes"))
        await trio.to_thread.run_sync(_follow, reader, repository)
        # The gateway's own folder is back where it began.
        async with admin(gateway) as api:
            users = (await api.get("/api/routes/users")).json()
            assert users["backend"]["targets"][0]["port"] == 9000


def _follow(reader: Reader, repository: Path) -> None:
    """Play the page from the first files to the way back."""
    reader.run("git init -q")
    reader.play(f"oto-trio dump {ADDRESS}")
    files = sorted(str(p.relative_to(repository)) for p in repository.glob("conf/*/*"))
    assert files == reader.block("conf/global-configs/global.yaml")
    reader.git("add conf")
    reader.git("commit -qm first")

    for line in reader.block("oto-trio check --strict conf"):
        reader.run(line)
    users = repository / "conf" / "routes" / "users.yaml"
    users.write_text(users.read_text().replace("9000", "9001"))
    reader.play(f"oto-trio diff {ADDRESS} conf", code=1)
    reader.git("commit -qam 'another port'")

    reader.play(f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --dry-run")
    reader.run(
        reader.block(f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --yes")[
            0
        ]
    )
    nothing = (
        f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --dry-run --detailed"
    )
    reader.run(reader.block(nothing)[0])
    reader.run(reader.block(f"oto-trio diff {ADDRESS} conf")[0])

    history, rollback = reader.block(f"oto-trio history {ADDRESS}")
    listed = reader.run(history)
    assert "another port" in listed, "the commit is the reason"
    revisions = re.findall(r"^ *(\d+)  \d{4}-", listed, re.MULTILINE)
    reader.run(rollback.replace("rollback 12", f"rollback {revisions[1]}"))
    reader.run(reader.block(nothing)[0], code=2)
    reader.git("revert --no-edit HEAD")
    reader.run(reader.block(nothing)[0])
    worktree, diff = reader.block("git worktree add before HEAD~1")
    reader.run(worktree)
    assert "9001" in reader.run(diff, code=1)


OF_OTOROSHI: Final[dict[str, Any]] = {
    "label": "Otoroshi export",
    "config": {"lines": ["prod"]},
    "serviceGroups": [{"id": "default", "name": "default", "description": ""}],
    "apiKeys": [],
    "serviceDescriptors": [
        {
            "id": "users",
            "domain": "example.com",
            "subdomain": "api",
            "targets": [{"host": "127.0.0.1:9", "scheme": "http"}],
            "publicPatterns": ["/.*"],
            "forceHttps": False,
        }
    ],
    "routes": [],
}


async def test_a_migration_happens_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    export = folder / "export.json"
    export.write_text(json.dumps(OF_OTOROSHI))
    data = folder / "oto-data"
    async with gateway_process("--workers", "0", data=data) as gateway, admin(gateway) as api:
        reader = Reader("migrate.md", folder, gateway)
        dry_run, write = (
            block[0]
            for first, block in reader.blocks.items()
            if first.startswith("oto-trio import export.json")
        )
        for path in ("?dry_run=true", "?wait=applied"):
            told = await api.post(
                f"/api/otoroshi.json{path}",
                content=export.read_bytes(),
                headers={"Content-Type": "application/json"},
            )
            assert told.status_code == 200, told.text
            assert told.json()["done"] == (path == "?wait=applied")
        # Without --admin it is the gateway of the page, on the usual port.
        told_again = await trio.to_thread.run_sync(reader.run, f"{dry_run} --admin {ADDRESS}")
        assert "serviceDescriptors: 1 unchanged" in told_again
        written = await trio.to_thread.run_sync(reader.run, f"{write} --admin {ADDRESS}")
        assert "imported as revision" in written
        # "$API" is the address that the page sets in the step before.
        explain = reader.block("oto-trio explain GET")[0].replace('"$API"', ADDRESS)
        explained = await trio.to_thread.run_sync(reader.run, explain)
        assert "route  users" in explained
        assert "http://127.0.0.1:9 " in explained
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{gateway.http}/users", headers={"Host": "api.example.com"})
        assert answer.status_code == 502, "nothing listens at its target, but the service is served"
        out = "oto-trio export --file out.json --client-id ID --client-secret SECRET"
        await trio.to_thread.run_sync(reader.run, f"{out} --admin {ADDRESS}")
        assert (
            json.loads((folder / "out.json").read_text())["serviceDescriptors"][0]["id"] == "users"
        )
    told_at_rest = dry_run.replace("--client-id ID --client-secret SECRET", "--data oto-data")
    assert "serviceDescriptors: 1 unchanged" in await trio.to_thread.run_sync(
        reader.run, told_at_rest
    )
